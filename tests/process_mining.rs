//! Exports are read back by tools that this project did not write: pm4py for XES and OCEL, the CloudEvents SDK for batches.
//!
//! They are installed on demand, pinned in `outside/requirements.txt`, into a folder of `target/tools` that Python makes for
//! it: nothing else on the machine changes. `CASEBOOK_TESTS_OFFLINE=1` skips this, and says so.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::office::Office;
use crate::outside_tools::{is_offline, run, tools};

const REFERENCE: &str = "2020/146999";
const ADVICE: &str = "pm4py could not be installed with `python3 -m venv` and `pip` (Python 3.11 or later). Where there is no \
                      Python, set CASEBOOK_TESTS_OFFLINE=1: the test is skipped then";

pub(crate) fn outside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("outside").join(name)
}

/// Python with the packages, installed where they are not there yet.
pub(crate) fn python() -> PathBuf {
    let pins = fs::read(outside("requirements.txt")).unwrap();
    let name = format!("pm4py-{:08x}", crc32c::crc32c(&pins));
    let place = tools().join(&name);
    let python = place.join("bin/python");
    if python.exists() {
        return python;
    }
    let part = tools().join(format!("{name}.part-{}", std::process::id()));
    fs::create_dir_all(&part).unwrap();
    let installed = run(Command::new("python3").args(["-m", "venv"]).arg(&part))
        && run(Command::new(part.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "-r"])
            .arg(outside("requirements.txt")));
    assert!(installed, "{ADVICE}");
    // Another test run may have been faster.
    let placed = fs::rename(&part, &place);
    assert!(placed.is_ok() || python.exists(), "{placed:?}");
    python
}

/// The published case, and one with every kind of date, a correction, an annulment, an override and a gap.
fn office() -> Office {
    let office = Office::with_a_case();
    let reference =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/reference-case/2020-146999.jsonl");
    office.done(&["import", reference.to_str().unwrap()]);
    let record = |arguments: &[&str]| office.done(&[&["record", "R/1"], arguments].concat());
    record(&["plea-entered", "--scope", "charge=C1", "--on", "2021-06", "plea=not-guilty"]);
    record(&["verdict-returned", "--scope", "charge=C1", "--on", "2021-08", "verdict=guilty"]);
    record(&["report-finished", "--on", "2021-10-01", "--declare-gaps"]);
    record(&["note-made", "--on", "2021-05-20", "text=a \"quoted\" <note> & more,\nin two lines\u{7}"]);
    record(&["note-made", "--on", "2021-05-21", "text=never so"]);
    let last = office.head().iter().find(|(reference, _)| reference == "R/1").unwrap().1.to_string();
    office.done(&["annul", "R/1", &last, "--reason", "of another case"]);
    office.done(&["correct", "R/1", "3", "count:=2", "--reason", "misread"]);
    let exact = office.file(
        "exact.jsonl",
        r#"{"case":"R/1","type":"note-made","occurred":{"edtf":"2021-06-10","time":"14:30+01:00"},"recorded_by":{"id":"clerk-2","role":"clerk"}}"#,
    );
    office.done(&["import", &exact]);
    record(&[
        "sentence-passed",
        "--scope",
        "charge=C1",
        "disposal=fine",
        "--decided-by",
        "court",
        "--on",
        "2021-09?",
    ]);
    office
}

/// What the tools found in the exports.
fn found(office: &Office) -> Value {
    let python = python();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    office.done(&["export", "xes", "-o", &path("cases.xes")]);
    office.done(&["export", "xes", "--by-strand", "-o", &path("strands.xes")]);
    office.done(&["export", "ocel", "-o", &path("log.ocel.json")]);
    office.done(&["export", "cloudevents", "-o", &path("batch.json")]);
    let read = Command::new(python).arg(outside("mined.py")).arg(folder.path()).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    serde_json::from_slice(&fs::read(folder.path().join("found.json")).unwrap()).unwrap()
}

/// The ids of a case's events in the order of the timeline, as `history` tells them.
fn timeline(office: &Office, reference: &str) -> Vec<String> {
    let answer = office.done(&["history", reference, "--json"]);
    let rows = answer.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut places: Vec<(u64, String)> = rows
        .filter_map(|row| Some((row["timeline"].as_u64()?, row["event"]["id"].as_str()?.to_owned())))
        .collect();
    places.sort();
    places.into_iter().map(|(_, id)| id).collect()
}

fn texts(list: &Value, key: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|one| one[key].as_str().unwrap_or("-").to_owned()).collect()
}

#[track_caller]
fn check_cases(office: &Office, log: &Value) {
    assert_eq!(log["extensions"], json!(["Concept", "ID", "Lifecycle", "Organizational", "Time"]));
    assert_eq!(log["classifiers"], json!({"Event type": ["concept:name"]}));
    let traces = log["traces"].as_array().unwrap();
    assert_eq!(traces.len(), 2);
    for (trace, reference) in traces.iter().zip([REFERENCE, "R/1"]) {
        assert_eq!(trace["attributes"]["concept:name"], reference);
        let expected = timeline(office, reference);
        assert_eq!(texts(&trace["events"], "identity:id"), expected, "{reference}");
        // Whoever sorts by time gets the same order.
        assert_eq!(log["by_time"][reference], json!(expected), "{reference}");
        for event in trace["events"].as_array().unwrap() {
            for key in log["globals"].as_array().unwrap() {
                assert!(event.get(key.as_str().unwrap()).is_some(), "{event} lacks {key}");
            }
        }
    }
    let events = &traces[1]["events"];
    let names = [
        "case-opened",
        "person-named",
        "charge-brought",
        "note-made",
        "note-made",
        "plea-entered",
        "verdict-returned",
        "sentence-passed",
        "inquiry-begun",
        "report-finished",
    ];
    let mut sorted = texts(events, "concept:name");
    assert_eq!(sorted.len(), names.len(), "{sorted:?}");
    sorted.sort();
    let mut expected = names.map(str::to_owned);
    expected.sort();
    assert_eq!(
        sorted, expected,
        "the gap is told as the event that is missing, the annulled note not at all"
    );
    let of_type = |name: &str| -> Vec<&Value> {
        events.as_array().unwrap().iter().filter(|event| event["concept:name"] == name).collect()
    };
    let charge = of_type("charge-brought")[0];
    assert_eq!((&charge["data.count"], &charge["edtf"]), (&json!(2), &json!("2021-05-01")), "as corrected");
    assert_eq!(charge["scope.charge"], "C1");
    assert_eq!(charge["time:timestamp"], "2021-04-30T23:00:00+00:00", "the day begins in London");
    assert_eq!(charge["time_basis"], "day");
    let begun = of_type("inquiry-begun")[0];
    assert_eq!(begun["gap"], true);
    let notes = of_type("note-made");
    assert_eq!(notes[0]["data.text"], "a \"quoted\" <note> & more,\nin two lines\u{fffd}");
    assert_eq!(
        (&notes[1]["time:timestamp"], &notes[1]["time_basis"]),
        (&json!("2021-06-10T13:30:00+00:00"), &json!("instant"))
    );
    assert_eq!((&notes[1]["org:resource"], &notes[1]["org:role"]), (&json!("clerk-2"), &json!("clerk")));
    let verdict = of_type("verdict-returned")[0];
    assert_eq!((&verdict["edtf"], &verdict["time_basis"]), (&json!("2021-08"), &json!("earliest")));
    let sentence = of_type("sentence-passed")[0];
    assert_eq!((&sentence["org:group"], &sentence["edtf"]), (&json!("court"), &json!("2021-09?")));
    assert_eq!(sentence["lifecycle:transition"], "complete");
}

#[track_caller]
fn check_strands(log: &Value) {
    let traces = log["traces"].as_array().unwrap();
    let charge = traces
        .iter()
        .find(|trace| trace["attributes"]["case"] == "R/1" && trace["attributes"]["strand"] == "charge")
        .unwrap();
    assert_eq!(charge["attributes"]["entity"], "C1");
    assert_eq!(charge["attributes"]["entity_kind"], "charge");
    let steps = |trace: &Value| -> Vec<(String, String, String)> {
        let events = &trace["events"];
        let columns = ["concept:name", "from", "to"].map(|key| texts(events, key));
        let [names, from, to] = columns;
        names.into_iter().zip(from).zip(to).map(|((name, from), to)| (name, from, to)).collect()
    };
    let step = |name: &str, from: &str, to: &str| (name.to_owned(), from.to_owned(), to.to_owned());
    assert_eq!(
        steps(charge),
        [
            step("charge-brought", "-", "brought"),
            step("plea-entered", "brought", "tried"),
            step("verdict-returned", "tried", "convicted"),
            step("sentence-passed", "convicted", "sentenced"),
        ]
    );
    for trace in traces {
        for pair in steps(trace).windows(2) {
            assert_eq!(pair[0].2, pair[1].1, "{trace}: each step begins where the one before it ended");
        }
    }
}

#[track_caller]
fn check_ocel(office: &Office, log: &Value) {
    let rows = |name: &str| log[name].as_array().unwrap();
    let mut ids = texts(&log["events"], "0");
    ids.clear();
    ids.extend(rows("events").iter().map(|row| row[0].as_str().unwrap().to_owned()));
    for reference in [REFERENCE, "R/1"] {
        let of_case = format!("case:{reference}");
        let mut related: Vec<&str> = rows("relations")
            .iter()
            .filter(|row| row[1] == json!(of_case))
            .map(|row| row[0].as_str().unwrap())
            .collect();
        // pm4py sorts by time, and events of one instant as it likes.
        related.sort_unstable();
        let mut expected = timeline(office, reference);
        expected.sort_unstable();
        assert_eq!(related, expected, "{reference}");
        assert!(expected.iter().all(|id| ids.contains(id)));
    }
    assert_eq!(ids.len(), timeline(office, REFERENCE).len() + timeline(office, "R/1").len());
    let objects: BTreeMap<&str, &str> =
        rows("objects").iter().map(|row| (row[0].as_str().unwrap(), row[1].as_str().unwrap())).collect();
    let own: Vec<_> = objects.iter().filter(|(id, _)| id.contains("R/1")).collect();
    assert_eq!(own, [(&"R/1/charge:C1", &"charge"), (&"R/1/person:P1", &"person"), (&"case:R/1", &"case")]);
    let o2o = rows("o2o");
    assert!(o2o.contains(&json!(["R/1/charge:C1", "R/1/person:P1", "of"])), "{o2o:?}");
    assert!(o2o.contains(&json!(["R/1/person:P1", "case:R/1", "of"])), "{o2o:?}");
    let about_charge = rows("relations").iter().filter(|row| row[1] == "R/1/charge:C1");
    let qualifiers: Vec<&str> = about_charge.map(|row| row[2].as_str().unwrap()).collect();
    assert_eq!(qualifiers, ["charge"; 4], "charge, plea, verdict and sentence");
    let changes: Vec<&Value> = rows("changes").iter().filter(|row| row[0] == "R/1/charge:C1").collect();
    let states: Vec<&str> = changes.iter().map(|row| row[2].as_str().unwrap()).collect();
    assert_eq!(states.last(), Some(&"sentenced"), "{changes:?}");
    assert!(changes.iter().all(|row| row[1] == "state.charge"), "{changes:?}");
}

#[track_caller]
fn check_batch(office: &Office, batch: &Value) {
    let lines: Vec<Value> =
        office.done(&["export", "jsonl"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let batch = batch.as_array().unwrap();
    assert_eq!(batch.len(), lines.len());
    for ((event, line), position) in batch.iter().zip(&lines).zip(1..) {
        assert_eq!(event["data"], *line, "the event itself, whole");
        assert_eq!(event["id"], line["id"]);
        assert_eq!(event["subject"], line["case"]);
        assert_eq!(event["source"], format!("urn:uuid:{}", line["case_id"].as_str().unwrap()));
        assert_eq!(event["sequence"], format!("{position:020}"));
    }
    let types = texts(&json!(batch), "type");
    assert!(types.contains(&"casebook.case-opened".to_owned()));
    assert!(types.contains(&"casebook.small-inquiry.charge-brought".to_owned()));
    assert!(types.contains(&"casebook.event-annulled".to_owned()));
}

#[test]
fn other_peoples_tools_read_the_exports_and_find_counts_order_and_attributes_as_they_are() {
    if is_offline() {
        println!("skipped: CASEBOOK_TESTS_OFFLINE=1, so pm4py is not installed");
        return;
    }
    let office = office();
    let found = found(&office);
    check_cases(&office, &found["cases"]);
    check_strands(&found["strands"]);
    check_ocel(&office, &found["ocel"]);
    check_batch(&office, &found["batch"]);
}
