//! The costs of alignments are those that pm4py finds: on traces made by hand, on walks with noise, in part and to the end.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use casebook_engine::definition::compile::compile;
use casebook_engine::definition::source::SourceFile;
use casebook_engine::definition::{Definition, Strand};
use serde_json::{Value, json};

use crate::office::Office;
use crate::outside_tools::is_offline;
use crate::process_mining::{outside, python};

const STRANDS: [&str; 2] = ["order", "part"];

fn definition() -> Definition {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("workshop.yaml");
    let text = fs::read_to_string(path).unwrap();
    compile(&[SourceFile { name: "workshop.yaml".to_owned(), text }]).unwrap()
}

/// The strand as a net: what begins it, its rows, and where it stays for what it only observes.
fn net(definition: &Definition, strand: &Strand, to_an_end: bool) -> Value {
    let start = "(start)";
    let state = |index: usize| strand.states[index].name.as_str();
    let begins = if strand.per.is_some() { "part-received" } else { "case-opened" };
    let first = strand.initial[0].branches[0].to.unwrap();
    let mut steps = vec![json!([start, begins, state(first.index())])];
    for (event, rows) in &strand.rows {
        let label = &definition.event_type(*event).name;
        for row in rows {
            let to = row.branches[0].to.unwrap_or(row.from);
            steps.push(json!([state(row.from.index()), label, state(to.index())]));
        }
        if strand.per.is_some() && label == "order-cancelled" {
            for index in 0..strand.states.len() {
                if !rows.iter().any(|row| row.from.index() == index) {
                    steps.push(json!([state(index), label, state(index)]));
                }
            }
        }
    }
    let states =
        strand.states.iter().filter(|state| !to_an_end || state.is_final).map(|state| state.name.as_str());
    let ends: Vec<&str> = states.chain((!to_an_end).then_some(start)).collect();
    json!({ "name": strand.name, "steps": steps, "start": start, "ends": ends })
}

/// Traces as lists of event type and part.
type Walks = Vec<Vec<(&'static str, Option<usize>)>>;

fn by_hand() -> Walks {
    let order = |names: &[&'static str]| names.iter().map(|name| (*name, None)).collect::<Vec<_>>();
    vec![
        order(&["order-placed", "order-checked", "order-checked", "order-paid", "order-shipped"]),
        order(&["order-placed", "order-shipped"]),
        order(&["order-shipped", "order-paid", "order-placed"]),
        order(&["order-cancelled", "order-placed", "order-cancelled"]),
        order(&["order-checked", "order-checked", "order-checked"]),
        vec![
            ("part-fitted", Some(0)),
            ("part-received", Some(0)),
            ("part-received", Some(0)),
            ("part-fitted", Some(0)),
        ],
        vec![
            ("part-received", Some(0)),
            ("part-tested", Some(0)),
            ("order-cancelled", None),
            ("part-fitted", Some(0)),
            ("order-cancelled", None),
        ],
        Vec::new(),
    ]
}

const ORDER: [&str; 5] = ["order-placed", "order-checked", "order-paid", "order-shipped", "order-cancelled"];
const PART: [&str; 4] = ["part-received", "part-tested", "part-fitted", "part-scrapped"];

fn generated() -> Walks {
    let mut seed = 20_u64;
    let mut dice = |sides: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 40).unwrap() % sides
    };
    (0..120)
        .map(|_| {
            (0..dice(12))
                .map(|_| match dice(2) {
                    0 => (ORDER[dice(ORDER.len())], None),
                    _ => (PART[dice(PART.len())], Some(dice(2))),
                })
                .collect()
        })
        .collect()
}

fn log_of(walks: &Walks) -> String {
    let mut text = String::from("<log>");
    for (index, walk) in walks.iter().enumerate() {
        text.push_str(&format!("<trace><string key='concept:name' value='{index}'/>"));
        for (name, part) in walk {
            let part =
                part.map(|part| format!("<string key='scope.part' value='P{part}'/>")).unwrap_or_default();
            text.push_str(&format!("<event><string key='concept:name' value='{name}'/>{part}</event>"));
        }
        text.push_str("</trace>");
    }
    text + "</log>"
}

/// What the program says: by sequence of one strand, its cost.
fn ours(office: &Office, walks: &Walks, to_an_end: bool) -> BTreeMap<(String, Vec<String>), u64> {
    let log = office.file("walks.xes", log_of(walks));
    let definition = Path::new(env!("CARGO_MANIFEST_DIR")).join("workshop.yaml");
    let mut arguments = vec!["conformance", &log, "--workflow", definition.to_str().unwrap(), "--json"];
    arguments.extend(to_an_end.then_some("--complete"));
    let answer = office.run(&arguments);
    let report: Value = serde_json::from_str(&answer.stdout).unwrap_or_else(|_| panic!("{answer:#?}"));
    assert_eq!(report["traces"], walks.len());
    let mut costs = BTreeMap::new();
    for variant in report["variants"].as_array().unwrap() {
        let mut sum = 0;
        for strand in variant["strands"].as_array().unwrap() {
            let name = strand["strand"].as_str().unwrap();
            let events: Vec<String> = serde_json::from_value(strand["events"].clone()).unwrap();
            let cost = strand["cost"].as_u64().unwrap();
            sum += cost;
            if STRANDS.contains(&name) {
                let before = costs.insert((name.to_owned(), events), cost);
                assert!(before.is_none_or(|before| before == cost));
            }
        }
        assert_eq!(variant["cost"], sum, "the costs of the strands, summed");
    }
    costs
}

/// What pm4py says of the same sequences.
fn theirs(office: &Office, nets: &[Value], asked: &BTreeMap<(String, Vec<String>), u64>) -> Vec<u64> {
    let sequences: Vec<Value> =
        asked.keys().map(|(net, events)| json!({ "net": net, "events": events })).collect();
    let question = office.file("question.json", json!({ "nets": nets, "sequences": sequences }).to_string());
    let answer = office.file("answer.json", "");
    let run = Command::new(python()).arg(outside("aligned.py")).args([&question, &answer]).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    serde_json::from_slice(&fs::read(answer).unwrap()).unwrap()
}

#[test]
fn alignments_cost_what_pm4py_says_they_cost() {
    if is_offline() {
        println!("skipped: CASEBOOK_TESTS_OFFLINE=1, so pm4py is not installed");
        return;
    }
    let (office, definition) = (Office::new(), definition());
    let strands: Vec<&Strand> =
        definition.strands.iter().filter(|strand| STRANDS.contains(&strand.name.as_str())).collect();
    for walks in [by_hand(), generated()] {
        for to_an_end in [false, true] {
            let ours = ours(&office, &walks, to_an_end);
            let nets: Vec<Value> = strands.iter().map(|strand| net(&definition, strand, to_an_end)).collect();
            let costs: Vec<u64> = ours.values().copied().collect();
            assert!(costs.iter().any(|cost| *cost > 1) && costs.contains(&0), "{costs:?}");
            assert_eq!(theirs(&office, &nets, &ours), costs, "{:?}", ours.keys());

            // A net that lacks one step of the strand's gives other costs: the comparison can fail.
            let mut lame = nets.clone();
            for net in &mut lame {
                net["steps"]
                    .as_array_mut()
                    .unwrap()
                    .retain(|step| !matches!(step[1].as_str(), Some("order-paid" | "part-tested")));
                let kept = net["steps"].to_string();
                net["ends"]
                    .as_array_mut()
                    .unwrap()
                    .retain(|end| kept.contains(&end.to_string()) || end == "(start)");
            }
            assert_ne!(theirs(&office, &lame, &ours), costs, "pm4py was not asked about these strands");
        }
    }
}
