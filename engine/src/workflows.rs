//! The definitions that ship with the engine, embedded so that one program file is enough.

use crate::definition::parts::calendar_files;
use crate::definition::source::SourceFile;

/// Names of the definitions that ship.
pub const SHIPPED: [&str; 4] =
    ["police-conduct", "fitness-to-practise", "whistleblowing-inquiry", "workplace-safety"];

/// A file that ships: its name and its text.
type Embedded = (&'static str, &'static str);

/// Files of a definition that ships, under its folder.
macro_rules! embedded {
    ($folder:literal: $($file:literal),+ $(,)?) => {
        &[$(($file, include_str!(concat!("../workflows/", $folder, "/", $file)))),+]
    };
}

/// The head stands first, then the parts in the order in which it lists them.
const POLICE_CONDUCT: &[Embedded] = embedded!["police-conduct":
    "definition.yaml",
    "intake.yaml",
    "investigation.yaml",
    "subject.yaml",
    "criminal.yaml",
    "charge.yaml",
    "disciplinary.yaml",
    "complaint.yaml",
    "learning.yaml",
    "publication.yaml",
    "inquest.yaml",
    "administration.yaml",
    "deadlines.yaml",
];

const POLICE_CONDUCT_SCENARIOS: &[Embedded] = embedded!["police-conduct":
    "scenarios/referral-and-mode.txt",
    "scenarios/investigation.txt",
    "scenarios/subject.txt",
    "scenarios/courts.txt",
    "scenarios/discipline.txt",
    "scenarios/closing.txt",
    "scenarios/illegal-moves.txt",
    "scenarios/odd-but-legal.txt",
    "scenarios/branches.txt",
    "scenarios/deadlines.txt",
    "scenarios/deadlines-kept.txt",
    "scenarios/published-summaries.txt",
    "scenarios/ways-through.txt",
    "scenarios/rules.txt",
];

const FITNESS_TO_PRACTISE: &[Embedded] = embedded!["fitness-to-practise":
    "definition.yaml",
    "intake.yaml",
    "examiners.yaml",
    "interim-orders.yaml",
    "hearing.yaml",
    "sanctions.yaml",
    "register.yaml",
];

const FITNESS_TO_PRACTISE_SCENARIOS: &[Embedded] = embedded!["fitness-to-practise":
    "scenarios/deadlines.txt",
    "scenarios/hearing-and-sanctions.txt",
    "scenarios/intake-and-examiners.txt",
    "scenarios/interim-orders.txt",
];

const WHISTLEBLOWING_INQUIRY: &[Embedded] = embedded!["whistleblowing-inquiry":
    "definition.yaml",
    "reports.yaml",
    "inquiry.yaml",
    "people.yaml",
    "follow-up.yaml",
];

const WHISTLEBLOWING_INQUIRY_SCENARIOS: &[Embedded] = embedded!["whistleblowing-inquiry":
    "scenarios/deadlines.txt",
    "scenarios/inquiry.txt",
    "scenarios/people-and-follow-up.txt",
    "scenarios/reports.txt",
];

const WORKPLACE_SAFETY: &[Embedded] = embedded!["workplace-safety":
    "definition.yaml",
    "incident.yaml",
    "primacy.yaml",
    "duty-holders.yaml",
    "notices.yaml",
    "courts.yaml",
    "inquest.yaml",
    "costs.yaml",
];

const WORKPLACE_SAFETY_SCENARIOS: &[Embedded] = embedded!["workplace-safety":
    "scenarios/deadlines.txt",
    "scenarios/enforcement-and-courts.txt",
    "scenarios/incident-and-primacy.txt",
    "scenarios/notices-and-inquest.txt",
];

/// The calendars that ship: bank and public holidays by date.
const CALENDARS: [(&str, &str); 3] = [
    ("england-and-wales.yaml", include_str!("../workflows/calendars/england-and-wales.yaml")),
    ("northern-ireland.yaml", include_str!("../workflows/calendars/northern-ireland.yaml")),
    ("scotland.yaml", include_str!("../workflows/calendars/scotland.yaml")),
];

/// The calendar that ships under the last step of this path, under the name that the path gives it.
///
/// A definition that names `calendars/scotland.yaml` and has no such file beside it means this one.
#[must_use]
pub fn calendar(path: &str) -> Option<SourceFile> {
    let file = path.rsplit(['/', '\\']).next()?;
    let (_, text) = CALENDARS.iter().find(|(name, _)| *name == file)?;
    Some(SourceFile { name: path.to_owned(), text: (*text).to_owned() })
}

/// The names of the files of the calendars that ship.
#[must_use]
pub fn calendars() -> [&'static str; 3] {
    CALENDARS.map(|(name, _)| name)
}

/// The files of a definition that ships, `definition.yaml` first; `None` where none has this name.
#[must_use]
pub fn shipped(name: &str) -> Option<Vec<SourceFile>> {
    files_of(name).map(|(files, _)| with_calendars(source_files(files)))
}

/// The scenario files beside a definition that ships; `None` where none has this name.
#[must_use]
pub fn scenarios(name: &str) -> Option<Vec<SourceFile>> {
    files_of(name).map(|(_, scenarios)| source_files(scenarios))
}

/// The files and the scenarios of the definition of this name.
fn files_of(name: &str) -> Option<(&'static [Embedded], &'static [Embedded])> {
    match name {
        "police-conduct" => Some((POLICE_CONDUCT, POLICE_CONDUCT_SCENARIOS)),
        "fitness-to-practise" => Some((FITNESS_TO_PRACTISE, FITNESS_TO_PRACTISE_SCENARIOS)),
        "whistleblowing-inquiry" => Some((WHISTLEBLOWING_INQUIRY, WHISTLEBLOWING_INQUIRY_SCENARIOS)),
        "workplace-safety" => Some((WORKPLACE_SAFETY, WORKPLACE_SAFETY_SCENARIOS)),
        _ => None,
    }
}

fn with_calendars(mut files: Vec<SourceFile>) -> Vec<SourceFile> {
    let named = calendar_files(&files);
    files.extend(named.iter().filter_map(|path| calendar(path)));
    files
}

fn source_files(files: &[Embedded]) -> Vec<SourceFile> {
    files.iter().map(|&(name, text)| SourceFile { name: name.to_owned(), text: text.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::event::{Payload, ProposedEvent, engine_types};
    use crate::definition::compile::compile;
    use crate::definition::{Definition, EventType};

    const REFERENCE_CASE: &str = include_str!("../../examples/reference-case/2020-146999.jsonl");
    const EXPECTED_STATUS: &str = include_str!("../../examples/reference-case/expected-status.json");

    #[track_caller]
    fn compiled(name: &str) -> Definition {
        let files = shipped(name).expect("a shipped definition has files");
        compile(&files).unwrap_or_else(|problems| {
            let shown: Vec<String> =
                problems.iter().map(|problem| format!("{}\n{:?}", problem.snippet, problem.help)).collect();
            panic!("{} problems in {name}:\n{}", shown.len(), shown.join("\n"))
        })
    }

    /// The lines of the reference case, without what belongs to the file alone.
    fn reference_case() -> Vec<ProposedEvent> {
        REFERENCE_CASE
            .lines()
            .map(|line| {
                let mut line: Payload = serde_json::from_str(line).expect("a line is an object");
                assert_eq!(line.remove("case"), Some("2020/146999".into()));
                let opens = line["type"] == engine_types::CASE_OPENED;
                assert_eq!(line.remove("workflow").is_some(), opens, "only the opening names the workflow");
                serde_json::from_value(line.into()).expect("a line is an event")
            })
            .collect()
    }

    #[track_caller]
    fn check_may_stand(definition: &Definition, event: &ProposedEvent) {
        let event_type = event_type(definition, &event.event_type);
        let problems = event_type.payload_problems(&event.data);
        assert!(problems.is_empty(), "{}: {problems:?}", event.event_type);
        let role = definition.role(&event.recorded_by.role).expect("the recorder has a role");
        assert!(event_type.record.is_empty() || event_type.record.contains(&role), "{}", event.event_type);
        let body = event.decided_by.as_ref().map(|decider| decider.body.as_str());
        assert!(
            event_type.decide.is_empty()
                || body.is_some_and(|body| event_type.decide.iter().any(|may| may == body)),
            "{} is decided by {body:?}",
            event.event_type
        );
    }

    #[track_caller]
    fn check_may_be_missing(definition: &Definition, gap: &ProposedEvent) {
        let missing = gap.data["missing_type"].as_str().expect("a gap names one missing type");
        let missing_type = event_type(definition, missing);
        assert!(missing_type.may_be_gap, "{missing} may not be declared as a gap");
        let known = gap.data.get("missing_data").and_then(|data| data.as_object());
        for field in known.into_iter().flat_map(Payload::keys) {
            let path = [field.clone()];
            assert!(missing_type.schema.field(&path).is_some(), "{missing} has no field {field}");
        }
    }

    #[track_caller]
    fn event_type<'d>(definition: &'d Definition, name: &str) -> &'d EventType {
        let id = definition.event(name).unwrap_or_else(|| panic!("{name} is no event type"));
        definition.event_type(id)
    }

    #[test]
    fn every_definition_that_ships_compiles_without_problems() {
        for name in SHIPPED {
            compiled(name);
        }
    }

    #[test]
    fn every_part_that_the_head_names_is_embedded_and_no_other() {
        for name in SHIPPED {
            let (files, _) = files_of(name).expect("a shipped definition has files");
            let listed = files[0].1.lines().filter_map(|line| line.strip_prefix("  - "));
            let parts: Vec<&str> = listed.filter(|part| part.ends_with(".yaml")).collect();
            let embedded: Vec<&str> = files[1..].iter().map(|(file, _)| *file).collect();
            assert_eq!(parts, embedded, "{name}");
        }
    }

    #[test]
    fn every_definition_that_ships_has_scenarios() {
        for name in SHIPPED {
            let files = scenarios(name).expect("a shipped definition has scenarios");
            assert!(files.iter().all(|file| file.text.contains("\nscenario: ")), "{name}");
        }
        assert!(scenarios("no-such-workflow").is_none());
    }

    #[test]
    fn every_line_of_the_reference_case_fits_its_event_type() {
        let definition = compiled("police-conduct");
        for event in reference_case() {
            check_may_stand(&definition, &event);
            if event.event_type == engine_types::GAP_DECLARED {
                check_may_be_missing(&definition, &event);
            }
        }
    }

    #[test]
    fn the_expected_status_of_the_reference_case_names_strands_and_states_that_exist() {
        let definition = compiled("police-conduct");
        let expected: Payload = serde_json::from_str(EXPECTED_STATUS).expect("an object");
        for (strand, entities) in &expected {
            let states = match (definition.strand(strand), definition.derived_strand(strand)) {
                (Some(id), _) => &definition.strands[id.index()].states,
                (None, Some(id)) => &definition.derived[id.index()].states,
                (None, None) => panic!("{strand} is no strand"),
            };
            for state in entities.as_object().expect("entities").values() {
                assert!(states.iter().any(|known| state == known.name.as_str()), "{strand}: {state}");
            }
        }
    }
}
