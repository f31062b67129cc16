//! Logs of other systems: what is read of them is what goes in, what deviates is said, and nothing goes in by halves.

use std::fs;
use std::path::{Path, PathBuf};

use casebook_engine::foreign::xes_reader::{Trace, XesReader};
use casebook_engine::foreign::xes_value::attribute;
use serde_json::Value;

use crate::office::Office;

fn path(name: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    path.to_str().unwrap().to_owned()
}

/// A log of these traces: name, then events as XML inside `<event>`.
fn log(traces: &[(&str, &[String])]) -> String {
    let mut text = String::from("<log>\n");
    for (name, events) in traces {
        text.push_str(&format!("<trace>\n<string key='concept:name' value='{name}'/>\n"));
        for event in *events {
            text.push_str(&format!("<event>{event}</event>\n"));
        }
        text.push_str("</trace>\n");
    }
    text + "</log>\n"
}

fn done(activity: &str, on: &str) -> String {
    format!("<string key='concept:name' value='{activity}'/><date key='time:timestamp' value='{on}'/>")
}

const MAP: &str = "map: casebook-map/1
case: { prefix: 'W/', data: { customer: client } }
recorded-by: { id: org:resource, otherwise: till-1, role: clerk }
activities:
  - { activity: Order, event: order-placed, data: { quantity: pieces, express: fast, due: wanted } }
  - { activity: Check, lifecycle: complete, event: order-checked }
  - activity: Decision
    event: order-decided
    data: { outcome: { attribute: result, values: { Y: accepted, N: rejected } } }
    decided-by: { body: board }
    override: { authority: waiver, reason: why }
  - { activity: [Pay, Pay by card], event: order-paid }
  - { activity: Ship, event: order-shipped, override: { authority: waiver, reason: why } }
ignore: [Mail sent, { activity: Check, lifecycle: start }]
";

struct Workshop {
    office: Office,
    map: String,
}

fn workshop(map: &str) -> Workshop {
    let office = Office::new();
    let map = office.file("map.yaml", map);
    Workshop { office, map }
}

impl Workshop {
    fn log(&self, text: impl AsRef<[u8]>) -> String {
        self.office.file("log.xes", text)
    }

    fn import<'a>(&'a self, log: &'a str, more: &[&'a str]) -> Vec<String> {
        let definition = path("workshop.yaml");
        let fixed = ["import", "xes", log, "--workflow", &definition, "--map", &self.map];
        fixed.iter().chain(more).map(|argument| (*argument).to_owned()).collect()
    }

    #[track_caller]
    fn imported(&self, log: &str, more: &[&str]) -> String {
        let arguments = self.import(log, more);
        self.office.done(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[track_caller]
    fn refused(&self, log: &str, more: &[&str], code: i32, words: &[&str]) {
        let arguments = self.import(log, more);
        self.office.wrong(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), code, words);
    }

    fn judged(&self, log: &str, more: &[&str]) -> (i32, Value) {
        let definition = path("workshop.yaml");
        let fixed = ["conformance", log, "--workflow", &definition, "--json"];
        let answer = self.office.run(&[&fixed[..], more].concat());
        let report = serde_json::from_str(&answer.stdout).unwrap_or_else(|_| panic!("{answer:#?}"));
        (answer.code, report)
    }
}

fn ordered() -> String {
    done("Order", "2024-03-05T11:02:00.000+01:00")
        + "<int key='pieces' value='12'/><boolean key='fast' value='true'/><date key='wanted' value='2024-04-01T00:00:00Z'/><string key='org:resource' value='anna-1'/><id key='identity:id' value='e-1'/>"
}

#[test]
fn what_goes_in_is_what_the_log_says() {
    let shop = workshop(MAP);
    let check = |lifecycle: &str| {
        done("Check", "2024-03-06T09:00:00")
            + &format!("<string key='lifecycle:transition' value='{lifecycle}'/>")
    };
    let decided = done("Decision", "2024-03-07") + "<string key='result' value='Y'/>";
    let events = [
        ordered(),
        check("start"),
        check("complete"),
        done("Mail sent", "2024-03-06"),
        decided,
        done("Pay by card", "2024-03-08"),
    ];
    let text = log(&[("1", &events)]).replace(
        "<string key='concept:name' value='1'/>",
        "<string key='concept:name' value='1'/><string key='client' value='A &amp; B'/>",
    );
    let log = shop.log(&text);
    let told = shop.imported(&log, &[]);
    assert!(told.contains("5 events recorded in 1 case, 2 events ignored"), "{told}");
    let export = shop.office.done(&["export", "jsonl", "W/1"]);
    let lines: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let types: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["case-opened", "order-placed", "order-checked", "order-decided", "order-paid"]);
    assert_eq!(
        (&lines[0]["data"]["customer"], &lines[0]["occurred"]["edtf"]),
        (&"A & B".into(), &"../2024-03-05".into())
    );
    assert_eq!(lines[0]["asserted"], "inferred");
    assert_eq!(lines[1]["data"], serde_json::json!({"quantity": 12, "express": true, "due": "2024-04-01"}));
    assert_eq!(lines[1]["occurred"], serde_json::json!({"edtf": "2024-03-05", "time": "11:02:00+01:00"}));
    assert_eq!(lines[1]["recorded_by"], serde_json::json!({"id": "anna-1", "role": "clerk"}));
    assert_eq!(lines[1]["source"], serde_json::json!({"kind": "system", "ref": "e-1"}));
    assert_eq!(lines[2]["occurred"]["time"], "09:00:00[Europe/London]", "no offset: the definition's zone");
    assert_eq!(
        (&lines[3]["data"]["outcome"], &lines[3]["decided_by"]["body"]),
        (&"accepted".into(), &"board".into())
    );
    assert_eq!(lines[4]["recorded_by"]["id"], "till-1");

    let again = shop.imported(&log, &[]);
    assert!(again.contains("nothing new, 5 recorded by an earlier import"), "{again}");
}

#[test]
fn a_dry_run_makes_not_even_a_folder() {
    let shop = workshop(MAP);
    let log = shop.log(log(&[("1", &[ordered()])]));
    let told = shop.imported(&log, &["--dry-run"]);
    assert!(told.contains("2 events would be recorded"), "{told}");
    assert!(!shop.office.data().exists());
}

#[test]
fn a_refused_trace_is_named_and_none_of_it_goes_in() {
    let shop = workshop(MAP);
    let bad = [ordered(), done("Ship", "2024-03-09")];
    let log = shop.log(log(&[("1", &[ordered()]), ("2", &bad), ("3", &[ordered()])]));
    let words = ["log.xes:9, trace 2, event 2", "engine:no-transition"];
    let arguments = shop.import(&log, &["--keep-going"]);
    let answer = shop.office.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(answer.code, 3, "{answer:#?}");
    words.iter().for_each(|word| assert!(answer.stderr.contains(word), "{answer:#?}"));
    assert_eq!(shop.office.head(), [("W/1".to_owned(), 2), ("W/3".to_owned(), 2)]);
}

#[test]
fn every_activity_that_the_mapping_does_not_name_is_listed_before_anything_goes_in() {
    let shop = workshop(MAP);
    let other = done("Dance", "2024-03-05") + "<string key='lifecycle:transition' value='start'/>";
    let text =
        log(&[("1", &[ordered(), other]), ("2", &[done("Sing", "2024-03-05"), done("Sing", "2024-03-05")])]);
    let file = shop.log(&text);
    shop.refused(&file, &[], 2, &["Dance (start), 1 event", "Sing, 2 events", "unmapped: leave-out"]);
    let lenient = workshop(&format!("{MAP}unmapped: leave-out\n"));
    let told = lenient.imported(&lenient.log(&text), &[]);
    assert!(told.contains("Dance (start) (1), Sing (2)"), "{told}");
    assert_eq!(lenient.office.head(), [("W/1".to_owned(), 2), ("W/2".to_owned(), 1)]);
}

#[test]
fn what_is_wrong_with_a_log_is_said_with_line_trace_and_event_and_nothing_goes_in() {
    let shop = workshop(MAP);
    let fine = ordered();
    let check = |bad: &str, words: &[&str]| {
        let text = log(&[("1", std::slice::from_ref(&fine)), ("2", &[fine.clone(), bad.to_owned()])]);
        shop.refused(&shop.log(text), &[], 2, words);
    };
    let place = "log.xes:9, trace 2, event 2";
    check("<date key='time:timestamp' value='2024-03-05'/>", &["the event has no `concept:name`", place]);
    check(&done("Order", "5 March"), &["`time:timestamp`", "is no date", place, "case W/2"]);
    check(
        &(done("Order", "2024-03-05") + "<int key='pieces' value='a dozen'/>"),
        &["is no whole number", place],
    );
    check(
        &(done("Decision", "2024-03-05") + "<string key='result' value='maybe'/>"),
        &["no value for `maybe`", place],
    );
    check("<string key='concept:name' value='&undefined;'/>", &["a value is not XML", place]);
    check("<string key='concept:name' value='a'>", &["this is not XML", place]);
    let twice = shop.log(log(&[("1", &[ordered()]), ("1", &[ordered()])]));
    shop.refused(&twice, &[], 2, &["an earlier trace has the reference W/1 too", "trace 2"]);
    let nameless =
        shop.log(log(&[("1", &[ordered()])]).replace("<string key='concept:name' value='1'/>", ""));
    shop.refused(&nameless, &[], 2, &["the trace has no `concept:name`"]);
    shop.refused(&shop.log("<log/>"), &[], 2, &["holds no trace"]);
    shop.refused("nowhere.xes", &[], 5, &["there is no nowhere.xes"]);
    let text = log(&[("1", &[ordered()]), ("2", &[done("Order", "never")])]);
    let told = shop.import(&shop.log(text), &["--keep-going"]);
    let answer = shop.office.run(&told.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((answer.code, shop.office.head()), (2, vec![("W/1".to_owned(), 2)]), "{answer:#?}");
}

#[test]
fn everything_wrong_with_a_mapping_is_said_at_once_with_its_place() {
    let wrong = "map: casebook-map/2
recorded-by: { id: org:resource, role: clark }
dates: weekly
activities:
  - { activity: Order, event: order-place }
  - { activity: Order, event: order-placed, data: { quantty: pieces, quantity: { attribute: pieces, as: text } } }
  - { activity: Test, event: part-tested }
  - { activity: Decide, event: order-decided, data: { outcome: { attribute: r, values: { Y: acepted } } }, decided-by: { body: bored } }
  - { activity: Pay, event: order-paid, overide: { authority: a } }
";
    let shop = workshop(wrong);
    let log = shop.log(log(&[("1", &[ordered()])]));
    let words = [
        "map.yaml:1:6",
        "map.yaml:2:40",
        "did you mean `clerk`",
        "map.yaml:3:8",
        "did you mean `order-placed`",
        "did you mean `quantity`",
        "the field is no text",
        "names a part",
        "none of the field's values",
        "did you mean `board`",
        "did you mean `override`",
        "stands here twice",
    ];
    shop.refused(&log, &[], 2, &words);
    let short =
        workshop(&MAP.replace(
            "    data: { outcome: { attribute: result, values: { Y: accepted, N: rejected } } }\n",
            "",
        ));
    let log = short.log(self::log(&[("1", &[ordered()])]));
    short.refused(&log, &[], 2, &["order-decided: outcome", "requires"]);
}

#[test]
fn a_file_that_is_called_xes_can_still_be_imported() {
    let office = Office::new();
    office.file("xes", r#"{"case":"J/1","type":"case-opened","workflow":"small-inquiry","recorded_by":{"id":"c","role":"clerk"}}"#);
    office.done(&["import", "./xes"]);
    office.done(&["import", "./xes", "xes"]);
    assert_eq!(office.head(), [("J/1".to_owned(), 1)]);
    office.wrong(&["import", "--keep-going", "xes-not-here"], 5, &["there is no"]);
}

#[test]
fn what_broke_the_order_what_was_allowed_and_what_cannot_be_known_are_counted_apart() {
    let shop =
        workshop(&MAP.replace(
            "    data: { outcome: { attribute: result, values: { Y: accepted, N: rejected } } }\n",
            "",
        ));
    let waived =
        done("Ship", "2024-03-09") + "<string key='waiver' value='head-1'/><string key='why' value='storm'/>";
    let events: [&[String]; 4] = [
        &[ordered(), done("Pay", "2024-03-06"), done("Ship", "2024-03-07")],
        &[ordered(), done("Ship", "2024-03-07")],
        &[ordered(), waived],
        &[ordered(), done("Decision", "2024-03-07")],
    ];
    let named: Vec<(&str, &[String])> = ["1", "2", "3", "4"].into_iter().zip(events).collect();
    let log = shop.log(log(&named));
    let (code, report) = shop.judged(&log, &["--map", &shop.map]);
    assert_eq!(
        (code, &report["broke"], &report["with_authority"], &report["cannot_be_known"]),
        (9, &1.into(), &1.into(), &1.into()),
        "{report:#}"
    );
    assert_eq!(report["fitting"], 2, "what cannot be known is no deviation");
    let of = |case: &str| {
        let variant = report["by_trace"]
            .as_array()
            .unwrap()
            .iter()
            .find(|trace| trace["case"] == case)
            .unwrap()["variant"]
            .as_u64()
            .unwrap();
        &report["variants"][usize::try_from(variant).unwrap() - 1]
    };
    let words = |case: &str| of(case)["deviations"][0]["words"].as_str().unwrap().to_owned();
    assert!(words("W/2").contains("before event 2, “Order shipped” (order-shipped), “Order paid” (order-paid) is missing: it brings “Order” from “Placed” to “Paid”"), "{}", words("W/2"));
    assert!(words("W/3").contains("allowed by head-1: storm"), "{}", words("W/3"));
    assert!(
        words("W/4").contains("does not carry what decides where “Decision” goes from “Open” (`outcome`)"),
        "{}",
        words("W/4")
    );
    assert_eq!(report["rules_not_asked"], serde_json::json!(["quantity-known"]));
    let allowed = shop.log(self::log(&named[2..]));
    assert_eq!(shop.judged(&allowed, &["--map", &shop.map]).0, 0, "an authority is no breach");
}

#[test]
fn traces_that_say_the_same_are_judged_once_and_cases_that_are_over_have_to_end() {
    let shop = workshop(MAP);
    let same = [ordered(), done("Pay", "2024-03-06")];
    let log = shop.log(log(&[("1", &same), ("2", &same), ("3", &[ordered()])]));
    let (code, report) = shop.judged(&log, &["--map", &shop.map]);
    assert_eq!(
        (code, &report["fitness"], report["variants"].as_array().unwrap().len()),
        (0, &1.0.into(), 2),
        "{report:#}"
    );
    assert_eq!(
        (&report["variants"][0]["count"], &report["variants"][0]["cases"]),
        (&2.into(), &serde_json::json!(["W/1", "W/2"]))
    );
    let (code, report) = shop.judged(&log, &["--map", &shop.map, "--complete"]);
    assert_eq!(code, 9);
    let words = report["variants"][0]["deviations"].to_string();
    assert!(words.contains("the log ends where “Order” is “Paid”, which is no end"), "{words}");
}

#[test]
fn an_event_file_is_judged_as_it_is_written() {
    let office = Office::with_a_case();
    office.done(&[
        "record",
        "R/1",
        "plea-entered",
        "--scope",
        "charge=C1",
        "--on",
        "2021-06",
        "plea=not-guilty",
    ]);
    let export = office.done(&["export", "jsonl"]);
    let file = office.file("all.jsonl", &export);
    office.done(&["conformance", &file, "--workflow", "small-inquiry"]);
    let broken: String = export
        .lines()
        .filter(|line| !line.contains("charge-brought"))
        .map(|line| format!("{line}\n"))
        .collect();
    let file = office.file("broken.jsonl", broken);
    let answer = office.run(&["conformance", &file, "--workflow", "small-inquiry"]);
    assert_eq!(answer.code, 9, "{answer:#?}");
    assert!(answer.stdout.contains("“Charge brought” (charge-brought) is"), "{answer:#?}");
}

#[track_caller]
fn discovered(shop: &Workshop, text: &str, more: &[&str]) -> Value {
    let log = shop.log(text);
    let fixed = [
        "workflow",
        "discover",
        &log,
        "--name",
        "draft",
        "-o",
        "draft.yaml",
        "--map-out",
        "drafted-map.yaml",
        "--json",
    ];
    serde_json::from_str(&shop.office.done(&[&fixed[..], more].concat())).unwrap()
}

/// A log of walks with loops, rare turns, names that fall together and values of every kind.
fn wild_log() -> String {
    let names = ["Check it", "check-it", "Check  it!", "2nd look", "检查", "case-opened", "Prüfung", "A_B"];
    let mut seed = 7_u64;
    let mut dice = |sides: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 40).unwrap() % sides
    };
    let mut traces = Vec::new();
    for trace in 0..60 {
        let events: Vec<String> = (0..1 + dice(9))
            .map(|at| {
                let name = names[if dice(10) == 0 { dice(names.len()) } else { (at + dice(2)) % names.len() }];
                let lifecycle = if dice(4) == 0 { "start" } else { "complete" };
                let value = dice(5);
                format!(
                    "{}<string key='lifecycle:transition' value='{lifecycle}'/><int key='n' value='{value}'/><float key='cost:total' value='{value}.5'/><boolean key='ok' value='true'/><string key='a note' value='# \"x\"&#10;y: {value}'/><string key='a_note' value='z'/>",
                    done(name, &format!("2024-03-{:02}T10:00:00", 1 + at))
                )
            })
            .collect();
        traces.push((format!("T{trace}"), events));
    }
    let named: Vec<(&str, &[String])> =
        traces.iter().map(|(name, events)| (name.as_str(), events.as_slice())).collect();
    log(&named)
}

#[test]
fn a_draft_is_lawful_and_its_log_replays_by_it_and_goes_in() {
    let shop = workshop(MAP);
    let drafted = discovered(&shop, &wild_log(), &[]);
    assert_eq!((&drafted["fitness"], &drafted["left_out"]["steps"]), (&1.0.into(), &0.into()));
    let office = &shop.office;
    let checked = office.done(&["workflow", "check", "./draft.yaml"]);
    assert!(checked.contains("0 errors, 0 warnings"), "{checked}");
    let log = shop.log(wild_log());
    office.done(&[
        "conformance",
        &log,
        "--workflow",
        "./draft.yaml",
        "--map",
        "drafted-map.yaml",
        "--complete",
    ]);
    let told =
        office.done(&["import", "xes", &log, "--workflow", "./draft.yaml", "--map", "drafted-map.yaml"]);
    assert!(told.contains("in 60 cases."), "{told}");
    let definition = drafted["definition"].as_str().unwrap();
    for name in [
        "check-it-complete",
        "check-it-complete-2",
        "check-it-complete-3",
        "activity-2nd-look-start",
        "activity-complete",
        "prufung-complete",
        "a_note_2",
    ] {
        assert!(definition.contains(&format!(" {name}:")), "{name} is not in\n{definition}");
    }
}

#[test]
fn a_draft_without_rare_steps_says_what_that_costs() {
    let shop = workshop(MAP);
    let drafted = discovered(&shop, &wild_log(), &["--min-share", "0.3"]);
    let fitness = drafted["fitness"].as_f64().unwrap();
    assert!(
        fitness < 1.0 && fitness > 0.3 && drafted["left_out"]["times"].as_u64().unwrap() > 0,
        "{fitness}"
    );
    let checked = shop.office.done(&["workflow", "check", "./draft.yaml"]);
    assert!(checked.contains("0 errors"), "{checked}");
    let log = shop.log(wild_log());
    shop.office.wrong(&["workflow", "discover", &log, "--min-share", "2"], 2, &["between 0 and 1"]);
    shop.office.wrong(&["workflow", "discover", &shop.log("<log><trace/></log>")], 2, &["holds no event"]);
}

/// Reads an export with our own reader.
fn traces(path: &str) -> Vec<Trace> {
    let mut reader = XesReader::open(fs::File::open(path).unwrap()).unwrap();
    let mut traces = Vec::new();
    while let Some(trace) = reader.next_trace().unwrap() {
        traces.push(trace);
    }
    traces
}

fn exported(office: &Office, more: &[&str]) -> String {
    let file = office.file("export.xes", "");
    office.done(&[&["export", "xes", "-o", &file][..], more].concat());
    file
}

fn office_with_cases() -> Office {
    let office = Office::with_a_case();
    office.done(&["record", "R/1", "plea-entered", "--scope", "charge=C1", "--on", "2021-06", "plea=guilty"]);
    office.done(&[
        "record",
        "R/1",
        "note-made",
        "--on",
        "2021-05-20",
        "text=a \"quoted\" <note> & more,\nin two lines\u{7}",
    ]);
    office.done(&["record", "R/1", "report-finished", "--on", "2021-10-01", "--declare-gaps"]);
    office
}

#[test]
fn our_own_export_read_by_our_reader_gives_the_same_events() {
    let office = office_with_cases();
    office.done(&["import", &path("../examples/reference-case/2020-146999.jsonl")]);
    let file = exported(&office, &[]);
    let traces = traces(&file);
    assert_eq!(traces.len(), 2);
    for trace in &traces {
        let reference = &attribute(&trace.attributes, "concept:name").unwrap().value;
        let history = office.done(&["history", reference, "--json"]);
        let rows: Vec<Value> = history.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut placed: Vec<&Value> = rows.iter().filter(|row| row["timeline"].is_u64()).collect();
        placed.sort_by_key(|row| row["timeline"].as_u64());
        assert!(!placed.is_empty() && placed.len() == trace.events.len(), "{reference}");
        for (event, row) in trace.events.iter().zip(placed) {
            let value = |key: &str| attribute(&event.attributes, key).map(|one| one.value.as_str());
            assert_eq!(value("identity:id"), row["event"]["id"].as_str());
            let fields = row["event"]["data"].as_object().into_iter().flatten();
            let texts = fields.filter_map(|(name, value)| Some((name, value.as_str()?)));
            if value("gap").is_none() && !row["event"]["corrected"].is_object() {
                assert_eq!(value("concept:name"), row["event"]["type"].as_str());
                for (name, text) in texts {
                    assert_eq!(
                        value(&format!("data.{name}")),
                        Some(text.replace('\u{7}', "\u{fffd}").as_str()),
                        "{name}"
                    );
                }
            }
        }
    }
    for (reference, workflow) in [("R/1", "small-inquiry"), ("2020/146999", "police-conduct")] {
        let file = exported(&office, &[reference]);
        let answer = office.run(&["conformance", &file, "--workflow", workflow]);
        assert_eq!(answer.code, 0, "what was accepted conforms: {answer:#?}");
    }
}

/// What IEEE 1849-2016 says of the order of elements and of their attributes.
#[track_caller]
fn check_structure(file: &str) {
    let text = fs::read_to_string(file).unwrap();
    let document = roxmltree::Document::parse(&text).unwrap();
    let root = document.root_element();
    assert_eq!((root.tag_name().name(), root.attribute("xes.version")), ("log", Some("1849.2016")));
    assert!(root.attribute("xes.features").is_some());
    let is_attribute =
        |name: &str| ["string", "date", "int", "float", "boolean", "id", "list", "container"].contains(&name);
    let rank = |name: &str| match name {
        "extension" => 0,
        "global" => 1,
        "classifier" => 2,
        name if is_attribute(name) => 3,
        "trace" => 4,
        other => panic!("`{other}` is no part of a log"),
    };
    let elements = |node: roxmltree::Node<'_, '_>| -> Vec<String> {
        node.children()
            .filter(roxmltree::Node::is_element)
            .map(|child| child.tag_name().name().to_owned())
            .collect()
    };
    let ranks: Vec<u8> = elements(root).iter().map(|name| rank(name)).collect();
    assert!(ranks.is_sorted() && ranks.contains(&4), "{ranks:?}");
    let mut prefixes = Vec::new();
    for node in root.descendants().filter(roxmltree::Node::is_element) {
        assert_eq!(node.tag_name().namespace(), Some("http://www.xes-standard.org/"));
        match node.tag_name().name() {
            "extension" => prefixes.push(node.attribute("prefix").unwrap()),
            "global" => assert!(["trace", "event"].contains(&node.attribute("scope").unwrap())),
            "classifier" => assert!(node.attribute("name").is_some() && node.attribute("keys").is_some()),
            "log" => {}
            "trace" => {
                let of: Vec<bool> = elements(node).iter().map(|name| name == "event").collect();
                assert!(of.is_sorted(), "attributes stand before events");
            }
            "event" => {
                let mut keys: Vec<&str> =
                    node.children().filter_map(|child| child.attribute("key")).collect();
                assert!(keys.contains(&"concept:name") && keys.contains(&"time:timestamp"));
                let count = keys.len();
                keys.sort_unstable();
                keys.dedup();
                assert_eq!(keys.len(), count, "a key stands once");
            }
            name => {
                assert!(is_attribute(name), "{name}");
                let (key, value) = (node.attribute("key").unwrap(), node.attribute("value").unwrap());
                assert!(!key.is_empty() && !key.contains(char::is_whitespace));
                if let Some((prefix, _)) = key.split_once(':') {
                    assert!(prefixes.contains(&prefix), "{key} is of no extension that is named");
                }
                match name {
                    "int" => drop(value.parse::<i64>().unwrap()),
                    "boolean" => assert!(["true", "false"].contains(&value)),
                    "date" => {
                        assert!(casebook_engine::foreign::xes_value::log_date(value).is_ok(), "{value}");
                    }
                    "id" => drop(value.parse::<uuid::Uuid>().unwrap()),
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn every_element_of_our_export_stands_where_the_standard_wants_it() {
    let office = office_with_cases();
    office.done(&["import", &path("../examples/reference-case/2020-146999.jsonl")]);
    check_structure(&exported(&office, &[]));
    check_structure(&exported(&office, &["--by-strand"]));
}

#[test]
#[should_panic(expected = "`event` is no part of a log")]
fn the_check_of_the_structure_can_fail() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.xes");
    let log = "<log xes.version='1849.2016' xes.features='' xmlns='http://www.xes-standard.org/'><event/><trace/></log>";
    fs::write(&file, log).unwrap();
    check_structure(file.to_str().unwrap());
}
