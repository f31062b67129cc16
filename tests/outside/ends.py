"""Checks a casebook-heads-proof/1 with nothing but hashlib: the seal's way to the root of the checkpoint, the case's way to the
root of the seal, the case's last event. The signature of the checkpoint is for other tools (check.go)."""

import base64
import hashlib
import json
import sys
import uuid


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def included(leaf, index, size, path):
    """RFC 9162, 2.1.3.2."""
    last, at = size - 1, leaf
    for beside in path:
        if last == 0:
            sys.exit("the path is too long")
        if index % 2 == 1 or index == last:
            at = sha(b"\x01", beside, at)
            while index % 2 == 0 and index != 0:
                index, last = index // 2, last // 2
        else:
            at = sha(b"\x01", at, beside)
        index, last = index // 2, last // 2
    if last != 0:
        sys.exit("the path is too short")
    return at


def bit(key, at):
    return key[at // 8] >> (7 - at % 8) & 1


decode = base64.b64decode
proof = json.load(open(sys.argv[1]))
seal = proof["seal"]
sealed = decode(seal["event_base64"])
_, size, root = seal["checkpoint"].split("\n")[:3]
up = included(sha(b"\x00", sealed), seal["position"] - 1, int(size), [decode(beside) for beside in seal["inclusion"]])
if up != decode(root):
    sys.exit("the seal is not in the log")
event = json.loads(sealed)
if event["case"] != "casebook:ledger" or event["type"] != "heads-sealed":
    sys.exit("it is no seal")

key = sha(uuid.UUID(proof["case_id"]).bytes)
siblings = [decode(beside) for beside in proof["siblings"]]
end = proof.get("end")
at = bytes(32)
if end:
    found = decode(end["key"])
    if any(bit(found, depth) != bit(key, depth) for depth in range(len(siblings))):
        sys.exit("the way is another case's")
    at = sha(b"\x02", found, end["events"].to_bytes(8, "big"), decode(end["head"]))
for depth in range(len(siblings) - 1, -1, -1):
    at = sha(b"\x03", siblings[depth], at) if bit(key, depth) else sha(b"\x03", at, siblings[depth])
if at != decode(event["data"]["root"]):
    sys.exit("the case's way does not lead to the root of the seal")

events = end["events"] if end and decode(end["key"]) == key else 0
if events:
    last = decode(proof["last_event_base64"])
    told = json.loads(last)
    if sha(b"\x00", last) != decode(end["head"]) or (told["case_id"], told["version"]) != (proof["case_id"], events):
        sys.exit("the last event is not the one that was sealed")
if events != proof["events"]:
    sys.exit("the file claims another number of events")
print(f"{proof.get('case')} {events} {event['data']['size']}")
