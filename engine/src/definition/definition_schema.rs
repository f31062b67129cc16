//! The shape of a definition's files as a JSON Schema (draft 2020-12), for editors that complete and check while one types.
//!
//! It says what a file may look like; what names mean, and whether a definition makes sense, only the compiler says. A test
//! holds its keys to those of the parser.

use serde_json::{Map, Value, json};

use super::deadline::Adjustment;
use super::period::Counting;
use super::source::{LANGUAGE, PART_KEYS};

/// The schema of a definition's head, of its parts, and of calendar files: one for all three.
///
/// A file with `workflow` is a head, one with `covered` a calendar, any other a part.
#[must_use]
pub fn definition_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("A file of a Casebook workflow definition ({LANGUAGE})"),
        "type": "object",
        "if": { "required": ["workflow"] },
        "then": { "$ref": "#/$defs/definition" },
        "else": {
            "if": { "required": ["covered"] },
            "then": { "$ref": "#/$defs/calendar" },
            "else": { "$ref": "#/$defs/part" },
        },
        "$defs": definitions(),
    })
}

fn definitions() -> Value {
    let mut all = Map::new();
    for more in [plain(), files(), others(), events(), strands(), deadlines(), calendars()] {
        if let Value::Object(more) = more {
            all.extend(more);
        }
    }
    Value::Object(all)
}

/// A map with known keys: `title` is what problems call it.
fn object(what: &str, about: &str, required: &[&str], properties: &Value) -> Value {
    json!({
        "title": what,
        "description": about,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// As [`object`], where writing nothing means that every key is left out.
fn object_or_nothing(what: &str, about: &str, properties: &Value) -> Value {
    let mut schema = object(what, about, &[], properties);
    schema["type"] = json!(["object", "null"]);
    schema
}

fn named(what: &str) -> Value {
    json!({
        "type": ["object", "null"],
        "propertyNames": { "$ref": "#/$defs/name" },
        "additionalProperties": { "$ref": format!("#/$defs/{what}") },
    })
}

fn text(about: &str) -> Value {
    json!({ "description": about, "type": "string" })
}

fn one_of(about: &str, values: &[&str]) -> Value {
    json!({ "description": about, "enum": values })
}

fn flag(about: &str) -> Value {
    json!({ "description": about, "type": "boolean" })
}

fn names(about: &str) -> Value {
    json!({ "description": about, "$ref": "#/$defs/names" })
}

fn condition(about: &str) -> Value {
    json!({ "description": about, "$ref": "#/$defs/condition" })
}

fn list(of: &str) -> Value {
    json!({ "type": ["array", "null"], "items": { "$ref": format!("#/$defs/{of}") } })
}

fn plain() -> Value {
    json!({
        "name": {
            "description": "lower-case words joined by hyphens",
            "type": "string",
            "pattern": "^[a-z][a-z0-9]*(-[a-z0-9]+)*$",
        },
        "names": {
            "description": "a name or a list of names",
            "type": ["string", "array"],
            "items": { "type": "string" },
        },
        "condition": { "description": "a condition in the subset of CEL", "type": ["string", "boolean"] },
        "constants": {
            "description": "a constant or a list of constants",
            "type": ["string", "number", "boolean", "array"],
            "items": { "type": ["string", "number", "boolean"] },
        },
        "where": {
            "description": "fields of the payload, and the constants one of which each must equal",
            "type": "object",
            "additionalProperties": { "$ref": "#/$defs/constants" },
        },
        "day": { "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" },
        "length": {
            "description": "`10 working-days`, `1 month`, or ISO 8601 with one unit: `P6M`",
            "type": "string",
            "pattern": "^([0-9]+ (day|working-day|week|month|year)s?|P[0-9]+[DWMY])$",
        },
    })
}

fn files() -> Value {
    let part = json!({
        "part": text("under which part people look for the events of this file; default: the file's name"),
        "roles": named("role"),
        "calendars": {
            "type": ["object", "null"],
            "propertyNames": { "$ref": "#/$defs/name" },
            "additionalProperties": { "anyOf": [{ "type": "string" }, { "$ref": "#/$defs/calendar" }] },
        },
        "entities": named("entity"),
        "events": named("event"),
        "strands": named("strand"),
        "derived": named("derived"),
        "deadlines": named("deadline"),
        "always-accepted": names("event types that no state refuses"),
    });
    let mut head = json!({
        "workflow": { "description": "the workflow's name", "$ref": "#/$defs/name" },
        "version": { "description": "from 1; a version in use never changes", "type": "integer", "minimum": 1 },
        "language": { "description": "the language it is written in", "const": LANGUAGE },
        "title": text("what people call it"),
        "about": text("what it is for, in a line or a few"),
        "timezone": text("IANA time zone in which days end; default UTC"),
        "separate-duties": {
            "description": "sets of roles of which one person may hold only one in a case",
            "type": ["array", "null"],
            "items": { "$ref": "#/$defs/names" },
        },
        "parts": { "description": "the files beside this one", "type": "array", "items": { "type": "string" } },
        "after-closing": { "$ref": "#/$defs/after-closing" },
        "migrates-from": {
            "description": "what the states of earlier versions become, by version",
            "type": ["object", "null"],
            "propertyNames": { "pattern": "^[1-9][0-9]*$" },
            "additionalProperties": { "$ref": "#/$defs/migration" },
        },
        "vocabulary": {
            "description": "labels in other languages: language, then name, then label",
            "type": "object",
            "additionalProperties": { "type": "object", "additionalProperties": { "type": "string" } },
        },
    });
    for key in PART_KEYS {
        head[key] = part[key].clone();
    }
    json!({
        "definition": object("a definition", "The head.", &["workflow", "version", "language"], &head),
        "part": object("a part", "A file that the head names under `parts`.", &[], &part),
        "after-closing": object("`after-closing`", "What a closed case still accepts.", &["state"], &json!({
            "state": {
                "description": "the strand, and its closed state",
                "type": "object",
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": { "type": "string" },
            },
            "accept": names("event types accepted without opening the case again"),
        })),
    })
}

/// What the head and its parts name beside events and strands.
fn others() -> Value {
    json!({
        "migration": object_or_nothing("a migration", "From one earlier version.", &json!({
            "strands": {
                "description": "strand, then earlier state, then state",
                "type": ["object", "null"],
                "additionalProperties": {
                    "type": ["object", "null"],
                    "additionalProperties": { "type": "string" },
                },
            },
        })),
        "role": object_or_nothing("a role", "In which people act.", &json!({
            "title": text("what people call it"),
            "may-override": flag("may record against a logical rule, with an authority and a reason"),
        })),
        "entity": object_or_nothing("an entity", "Of which a case has several.", &json!({
            "title": text("what people call it"),
            "plural": { "description": "the name of the list in conditions", "$ref": "#/$defs/name" },
            "introduced-by": names("event types that introduce one"),
            "parent": text("the kind that it belongs to"),
        })),
    })
}

fn events() -> Value {
    json!({
        "event": object_or_nothing("an event type", "Something that happens, named in the past tense.", &json!({
            "title": text("what people call it"),
            "part": text("under which part people look for it"),
            "scope": names("kinds that it must name; parents come along"),
            "optional-scope": names("kinds that it may name"),
            "introduces-or-mentions": names("kinds that it introduces if the id is new, and mentions if it is not"),
            "record": names("roles that may record it; default: any"),
            "decide": names("bodies whose decision it can be"),
            "rationale": one_of("whether a rationale must be given", &["required", "optional"]),
            "basis": text("the law under which it happens"),
            "unsought": flag("nobody brings it about to get somewhere: no path leads over it"),
            "gap": flag("whether a missing one may be declared as a gap"),
            "amends": names("kinds of its scope into whose data its fields are merged"),
            "protect": names("fields that hold personal data"),
            "data": {
                "description": "JSON Schema 2020-12 of the payload",
                "anyOf": [{ "type": "null" }, {
                    "type": "object",
                    "$ref": "https://json-schema.org/draft/2020-12/schema",
                }],
            },
            "rules": list("rule"),
        })),
        "rule": object("a rule", "A condition on an event type.", &["id", "class", "require", "message"], &json!({
            "id": { "description": "unique in the definition", "$ref": "#/$defs/name" },
            "class": one_of(
                "logical and gap: refuse, may be overridden. authority: refuse. compliance: record, and note a breach",
                &["logical", "authority", "compliance", "gap"],
            ),
            "when": condition("the rule is asked only where this is definitely true"),
            "require": condition("what must hold"),
            "message": text("what people read where it is not met; `{paths}` stand for facts"),
            "basis": text("the law or policy"),
            "from": { "description": "first day in force", "$ref": "#/$defs/day" },
            "until": { "description": "first day no longer in force", "$ref": "#/$defs/day" },
            "pinned-by": text("the event type whose date decides whether the law applied"),
        })),
    })
}

fn strands() -> Value {
    let branches = |more: Value| {
        let mut keys = json!({
            "on": names("event type or types"),
            "to": text("the state entered"),
            "choose": list("branch"),
        });
        if let (Value::Object(keys), Value::Object(more)) = (&mut keys, more) {
            keys.extend(more);
        }
        keys
    };
    let from = json!({ "from": names("states, `any`, or `any-open`") });
    json!({
        "strand": object("a strand", "A state machine.", &["states", "initial"], &json!({
            "title": text("what people call it"),
            "per": text("the kind that has one of these each; `case`: one for the case"),
            "states": named("state"),
            "initial": {
                "description": "a state, or the events that start it",
                "anyOf": [
                    { "type": "string" },
                    { "$ref": "#/$defs/way-in" },
                    { "type": "array", "items": { "anyOf": [{ "type": "string" }, { "$ref": "#/$defs/way-in" }] } },
                ],
            },
            "observes": names("events that it follows where it has a row, and never refuses"),
            "transitions": list("transition"),
            "overlays": named("overlay"),
        })),
        "state": object_or_nothing("a state", "Of a strand.", &state_keys()),
        "way-in": object("an entry of `initial`", "What starts a strand.", &["on"], &branches(json!({}))),
        "transition": object("a transition", "What an event does in a state.", &["on", "from"], &branches(from)),
        "branch": object("a branch", "The first that matches is taken.", &[], &json!({
            "where": { "$ref": "#/$defs/where" },
            "to": text("the state entered; left out: it stays"),
        })),
        "overlay": object("an overlay", "A fact on top of a state.", &["set-by"], &json!({
            "title": text("what people call it"),
            "set-by": names("event types that set it"),
            "cleared-by": names("event types that clear it"),
        })),
        "derived": object("a derived strand", "A state that is worked out.", &["states"], &json!({
            "title": text("what people call it"),
            "per": text("the kind that has one of these each; `case`: one for the case"),
            "states": { "type": "array", "items": {
                "description": "the first whose condition is true is the state",
                "type": "object",
                "minProperties": 1,
                "maxProperties": 1,
                "propertyNames": { "$ref": "#/$defs/name" },
                "additionalProperties": {
                    "anyOf": [{ "$ref": "#/$defs/condition" }, { "$ref": "#/$defs/derived-state" }],
                },
            } },
        })),
        "derived-state": derived_state(),
    })
}

fn state_keys() -> Value {
    json!({
        "title": text("what people call it"),
        "final": flag("nothing more is expected"),
    })
}

fn derived_state() -> Value {
    let mut keys = state_keys();
    keys["when"] = condition("the condition");
    object("a derived state", "A condition with a title.", &["when"], &keys)
}

fn deadlines() -> Value {
    let trigger = |what: &str, about: &str, more: Value| {
        let mut keys = json!({ "on": names("event type or types"), "where": { "$ref": "#/$defs/where" } });
        if let (Value::Object(keys), Value::Object(more)) = (&mut keys, more) {
            keys.extend(more);
        }
        object(what, about, &["on"], &keys)
    };
    let triggers = |of: &str| {
        let one = json!({ "anyOf": [{ "type": "string" }, { "$ref": format!("#/$defs/{of}") }] });
        json!({ "anyOf": [one.clone(), { "type": "array", "items": one }] })
    };
    let kinds = Adjustment::NAMES.map(|(name, _)| name);
    let length = json!({ "$ref": "#/$defs/length" });
    json!({
        "deadline": object("a deadline", "What has to happen by when.", &["starts", "due"], &json!({
            "title": text("what people call it"),
            "per": text("the kind that has one of these each; `case`: one for the case"),
            "when": condition("the duty exists only while this holds"),
            "starts": triggers("start"),
            "on-repeat": one_of("what a further start does", &["keep", "restart", "once"]),
            "due": { "$ref": "#/$defs/due" },
            "then-every": length,
            "met-by": triggers("met-by"),
            "void-by": triggers("void-by"),
            "paused-while": condition("days on which this holds are left out of account"),
            "adjust": { "$ref": "#/$defs/adjust" },
            "missed": { "anyOf": [{ "enum": ["notice", "breach"] }, { "$ref": "#/$defs/missed" }] },
            "basis": text("the law or policy"),
        })),
        "start": trigger("a start", "What starts a deadline.", json!({
            "from": text("the date in its payload from which the period is counted"),
        })),
        "met-by": trigger("an entry of `met-by`", "What meets it.", json!({})),
        "void-by": trigger("an entry of `void-by`", "What makes it fall away.", json!({})),
        "due": object("`due`", "When it is due.", &[], &json!({
            "length": length,
            "length-from": text("the field of the starting event in which the length stands"),
            "window": { "$ref": "#/$defs/window" },
            "at": text("the field of the starting event in which the day stands"),
            "counting": one_of("how days are counted", &Counting::NAMES),
            "calendar": text("the calendar of working days"),
        })),
        "window": object("`window`", "Both edges can be broken.", &[], &json!({
            "no-earlier-than": length,
            "no-later-than": length,
        })),
        "adjust": object("`adjust`", "Who may adjust it, and how.", &["by", "kinds"], &json!({
            "by": names("roles"),
            "kinds": {
                "anyOf": [{ "enum": kinds }, { "type": "array", "items": { "enum": kinds } }],
            },
        })),
        "missed": object("`missed`", "The event that is recorded when a miss is noted.", &["event"], &json!({
            "event": text("its type"),
            "data": { "description": "its payload", "type": "object" },
        })),
    })
}

fn calendars() -> Value {
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    json!({
        "calendar": object(
            "a calendar",
            "Which days are working days.",
            &["version", "covered", "holidays"],
            &json!({
                "title": text("what people call it"),
                "version": text("which edition of the holidays this is"),
                "covered": { "$ref": "#/$defs/covered" },
                "weekend": { "type": ["array", "null"], "items": { "enum": days } },
                "holidays": {
                    "type": ["object", "null"],
                    "propertyNames": { "$ref": "#/$defs/day" },
                    "additionalProperties": { "type": "string" },
                },
            }),
        ),
        "covered": object("`covered`", "The days of which it knows.", &["from", "until"], &json!({
            "from": { "$ref": "#/$defs/day" },
            "until": { "description": "the first day that is not covered", "$ref": "#/$defs/day" },
        })),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::definition::compile::compile;
    use crate::definition::fields::ASKED;
    use crate::definition::problem::Problems;
    use crate::definition::source::SourceFile;
    use crate::definition::syntax;
    use crate::workflows::{SHIPPED, shipped};

    fn as_json(text: &str) -> Value {
        syntax::read(0, text, &mut Problems::new(&[])).expect("YAML").to_json()
    }

    fn problems(document: &Value) -> Vec<String> {
        let schema = jsonschema::draft202012::new(&definition_schema()).expect("a schema");
        schema.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    #[test]
    fn the_schema_is_a_valid_schema() {
        assert!(jsonschema::draft202012::meta::is_valid(&definition_schema()));
    }

    #[test]
    fn every_file_of_every_definition_that_ships_fits() {
        for name in SHIPPED {
            for file in shipped(name).expect("files") {
                let found = problems(&as_json(&file.text));
                assert!(found.is_empty(), "{name}, {}: {found:#?}", file.name);
            }
        }
    }

    const HEAD: &str = "workflow: a\nversion: 1\nlanguage: casebook/1\n";

    #[track_caller]
    fn check(part: &str, fits: bool) {
        let document = as_json(&format!("{HEAD}{part}\n"));
        let found = problems(&document);
        assert_eq!(found.is_empty(), fits, "{part}: {found:#?}");
    }

    #[test]
    fn what_the_language_allows_fits() {
        for part in [
            "roles: { clerk: }",
            "events: { noted: }",
            "strands: { s: { states: { open: }, initial: open } }",
            "strands: { s: { states: { open: {} }, initial: [{ on: [a, b], choose: [{ where: { x: [1, true] }, to: open }] }] } }",
            "derived: { d: { states: [{ one: true }, { two: { when: \"a == b\", final: true } }] } }",
            "deadlines: { d: { starts: noted, due: { length: 10 working-days }, met-by: [{ on: a, where: { b: c } }] } }",
            "deadlines: { d: { starts: [{ on: noted, from: day }], due: { at: day }, void-by: a, missed: { event: late } } }",
            "calendars: { a: calendars/a.yaml }",
            "separate-duties: [[a, b]]",
            "after-closing: { state: { case: closed }, accept: reopened }",
        ] {
            check(part, true);
        }
    }

    #[test]
    fn what_the_language_does_not_allow_fails() {
        for part in [
            "rolls: {}",
            "title: 2020",
            "roles: { Clerk: {} }",
            "roles: { clerk: { may-overide: true } }",
            "entities: { charge: { introduced-by: 3 } }",
            "events: { noted: { recrd: clerk } }",
            "events: { noted: { rationale: sometimes } }",
            "events: { noted: { data: { type: strin } } }",
            "events: { noted: { rules: [{ id: a, class: logical, require: true }] } }",
            "events: { noted: { rules: [{ id: a, class: law, require: true, message: no }] } }",
            "strands: { s: { initial: open } }",
            "strands: { s: { states: { open: { finl: true } }, initial: open } }",
            "strands: { s: { states: { open: {} }, initial: open, transitions: [{ on: a, to: open }] } }",
            "strands: { s: { states: { open: {} }, initial: open, overlays: { o: { cleared-by: a } } } }",
            "strands: { s: { states: { open: {} }, initial: { to: open } } }",
            "derived: { d: { states: { one: true } } }",
            "derived: { d: { states: [{ one: true, two: false }] } }",
            "deadlines: { d: { due: { length: 1 day } } }",
            "deadlines: { d: { starts: a, due: { length: soon } } }",
            "deadlines: { d: { starts: a, due: { length: 1 day, counting: backwards } } }",
            "deadlines: { d: { starts: a, due: { length: 1 day }, adjust: { by: a, kinds: lengthened } } }",
            "calendars: { a: { version: \"1\", covered: { from: 2020-01-01 }, holidays: {} } }",
            "after-closing: { state: closed }",
        ] {
            check(part, false);
        }
        for head in
            ["workflow: a\nversion: 0\nlanguage: casebook/1", "workflow: a\nversion: 1\nlanguage: casebook/9"]
        {
            assert!(!problems(&as_json(head)).is_empty(), "{head}");
        }
    }

    /// Every map with known keys: what it is called, and the keys.
    fn objects(schema: &Value, found: &mut BTreeSet<(String, Vec<String>)>) {
        if let (Some(what), Some(false)) =
            (schema["title"].as_str(), schema["additionalProperties"].as_bool())
        {
            let properties = schema["properties"].as_object().expect("properties");
            let mut keys: Vec<String> = properties.keys().cloned().collect();
            keys.sort();
            found.insert((what.to_owned(), keys));
        }
        let inner: Vec<&Value> = match schema {
            Value::Object(entries) => entries.values().collect(),
            Value::Array(items) => items.iter().collect(),
            _ => Vec::new(),
        };
        inner.into_iter().for_each(|inner| objects(inner, found));
    }

    /// A definition with one of each thing that has keys.
    const ONE_OF_EACH: &str = "\
workflow: a
version: 2
language: casebook/1
migrates-from: { \"1\": { strands: {} } }
roles: { clerk: { title: Clerk } }
entities: { charge: { introduced-by: noted } }
calendars: { a: { version: \"1\", covered: { from: 2020-01-01, until: 2021-01-01 }, holidays: {} } }
events:
  noted: { scope: [charge], rules: [{ id: r, class: logical, require: true, message: no }] }
strands:
  s:
    per: charge
    states: { open: {} }
    initial: { on: noted, to: open }
    transitions: [{ on: noted, from: open, choose: [{ to: open }] }]
    overlays: { o: { set-by: noted } }
  t: { states: { closed: {} }, initial: closed }
derived: { d: { states: [{ one: { when: true } }] } }
after-closing: { state: { t: closed } }
deadlines:
  d:
    starts: { on: noted }
    due: { window: { no-later-than: 10 days } }
    met-by: { on: noted }
    void-by: { on: noted }
    adjust: { by: clerk, kinds: extended }
    missed: { event: noted }
";

    #[test]
    fn the_schema_has_the_keys_of_the_parser_and_no_other() {
        ASKED.with_borrow_mut(BTreeSet::clear);
        let file = SourceFile { name: "a.yaml".to_owned(), text: ONE_OF_EACH.to_owned() };
        // Whether it compiles does not matter: every map in it is read.
        let _ = compile(&[file]);
        let mut asked = ASKED.with_borrow(BTreeSet::clone);
        // The parser reads a derived state as a state with one key more, and calls it so.
        asked.remove(&("a state".to_owned(), ["final", "title", "when"].map(str::to_owned).to_vec()));
        let mut keys = PART_KEYS.map(str::to_owned).to_vec();
        keys.sort();
        asked.insert(("a part".to_owned(), keys));
        let mut written = BTreeSet::new();
        objects(&definition_schema(), &mut written);
        assert_eq!(written, asked);
    }
}
