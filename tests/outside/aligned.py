"""Aligns sequences with nets by pm4py, and says what each alignment costs.

    aligned.py QUESTION.json ANSWER.json

A net is a list of steps [from, label, to] between places, with a start and the places where it may end.
"""

import json
import sys

from pm4py.algo.conformance.alignments.petri_net import algorithm
from pm4py.objects.log.obj import Event, Trace
from pm4py.objects.petri_net.obj import Marking, PetriNet
from pm4py.objects.petri_net.utils.petri_utils import add_arc_from_to


def petri_net(described):
    net = PetriNet(described["name"])
    places = {}

    def place(name):
        if name not in places:
            places[name] = PetriNet.Place(name)
            net.places.add(places[name])
        return places[name]

    def step(number, label, source, target):
        transition = PetriNet.Transition(f"t{number}", label)
        net.transitions.add(transition)
        add_arc_from_to(source, transition, net)
        add_arc_from_to(transition, target, net)

    for number, (source, label, target) in enumerate(described["steps"]):
        step(number, label, place(source), place(target))
    for end in described["ends"]:
        step(f"end-{end}", None, place(end), place("(sink)"))
    return net, Marking({place(described["start"]): 1}), Marking({place("(sink)"): 1})


question = json.load(open(sys.argv[1]))
nets = {described["name"]: petri_net(described) for described in question["nets"]}
known = {}
answer = []
for asked in question["sequences"]:
    key = (asked["net"], tuple(asked["events"]))
    if key not in known:
        trace = Trace([Event({"concept:name": name}) for name in asked["events"]])
        # A step in the log alone or in the net alone costs 10000, a silent one 1.
        known[key] = algorithm.apply_trace(trace, *nets[asked["net"]])["cost"] // 10000
    answer.append(known[key])
json.dump(answer, open(sys.argv[2], "w"))
