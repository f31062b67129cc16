"""Reads exports with tools that this project did not write, and says in JSON what they found in them.

    mined.py FOLDER     reads cases.xes, strands.xes, log.ocel.json and batch.json in it, writes found.json
"""

import json
import pathlib
import sys

import pm4py
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent


def plain(value):
    if value != value:
        return None
    return value if isinstance(value, (str, int, bool)) or value is None else value.isoformat()


def xes(path):
    log = pm4py.read_xes(str(path), return_legacy_log_object=True)
    traces = [
        {
            "attributes": {key: plain(value) for key, value in trace.attributes.items()},
            "events": [{key: plain(value) for key, value in event.items()} for event in trace],
        }
        for trace in log
    ]
    # As most tools do, sorted by time within a case.
    table = pm4py.format_dataframe(pm4py.convert_to_dataframe(log))
    by_time = {
        case: list(rows["identity:id"]) for case, rows in table.groupby("case:concept:name", sort=False)
    }
    return {
        "extensions": sorted(log.extensions),
        "classifiers": log.classifiers,
        "globals": sorted(log.omni_present["event"]),
        "traces": traces,
        "by_time": by_time,
        "variants": len(pm4py.get_variants(log)),
    }


def ocel(path):
    log = pm4py.read_ocel2_json(str(path))
    text = lambda frame, *columns: [[plain(value) for value in row] for row in frame[list(columns)].values.tolist()]
    return {
        "events": text(log.events, "ocel:eid", "ocel:activity", "ocel:timestamp", "edtf"),
        "objects": text(log.objects, "ocel:oid", "ocel:type"),
        "relations": text(log.relations, "ocel:eid", "ocel:oid", "ocel:qualifier"),
        "o2o": text(log.o2o, "ocel:oid", "ocel:oid_2", "ocel:qualifier"),
        "changes": [
            [row["ocel:oid"], row["ocel:field"], row[row["ocel:field"]], plain(row["ocel:timestamp"])]
            for _, row in log.object_changes.iterrows()
        ],
    }


def batch(path):
    found = []
    for one in json.loads(path.read_text()):
        event = JSONFormat().read(CloudEvent, json.dumps(one))
        found.append(
            {
                "id": event.get_id(),
                "source": event.get_source(),
                "type": event.get_type(),
                "subject": event.get_subject(),
                "time": plain(event.get_time()),
                "sequence": event.get_extension("sequence"),
                "data": event.get_data(),
            }
        )
    return found


folder = pathlib.Path(sys.argv[1])
found = {
    "cases": xes(folder / "cases.xes"),
    "strands": xes(folder / "strands.xes"),
    "ocel": ocel(folder / "log.ocel.json"),
    "batch": batch(folder / "batch.json"),
}
(folder / "found.json").write_text(json.dumps(found))
