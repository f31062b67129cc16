//! The same log gives the same status: event by event, in one pass, cut, and whatever order late facts arrived in.

use std::collections::BTreeMap;
use std::sync::Arc;

use casebook_engine::case::event::{Position, Version};
use casebook_engine::case::occurred::Day;
use casebook_engine::case::reading::{Cut, StatusReading};
use casebook_engine::case::state::CaseState;
use casebook_engine::case::telling;
use casebook_engine::engine::RecordOptions;
use casebook_tests::chance::Numbers;
use proptest::prelude::*;
use serde_json::Value;

use crate::desk::{Desk, json};

/// An event that may or may not be lawful where it is proposed.
pub(crate) fn random_line(numbers: &mut Numbers, version: u64) -> String {
    let person = format!("person=P{}", 1 + numbers.below(2));
    let charge = format!("charge=C{}", 1 + numbers.below(3));
    let either = |numbers: &mut Numbers| ["guilty", "not-guilty"][usize::from(numbers.below(3) == 0)];
    let earlier = 1 + numbers.below(version);
    let mut line = match numbers.below(22) {
        0 => "note-made".to_owned(),
        1 => format!("person-named {person} name=x"),
        2 => format!("person-described {person} height={}", numbers.below(200)),
        3 => format!("warning-given {person}"),
        4 => format!("interview-held {person}"),
        5 | 6 => format!("charge-brought {person} {charge}"),
        7 | 8 => format!("plea-entered {charge} plea={}", either(numbers)),
        9 | 10 => format!("verdict-returned {charge} verdict={}", either(numbers)),
        11 => format!("sentence-passed {charge} disposal=fine decided=court"),
        12 => {
            format!("sentence-passed {charge} disposal=fine decided=court by=head-1:reviewer override=head")
        }
        13 => format!("appeal-lodged {charge}"),
        14 => format!("appeal-determined {charge}"),
        15 => ["hearing-listed", "hearing-held"][usize::from(numbers.below(2) == 0)].to_owned(),
        16 => ["fine-imposed", "caution-given", "matter-settled"][usize::try_from(numbers.below(3)).unwrap()]
            .to_owned(),
        17 => ["case-closed", "case-reopened", "report-finished"][usize::try_from(numbers.below(3)).unwrap()]
            .to_owned(),
        18 => return format!("event-annulled annuls=\"{earlier}\" reason=r"),
        19 => {
            return format!("event-annulled annuls=\"{earlier}\" reason=r by=head-1:reviewer override=head");
        }
        20 => {
            let date = 1 + numbers.below(28);
            return format!(
                "event-corrected corrects=\"{earlier}\" fields={{\"occurred\":\"2020-06-{date:02}\"}} reason=r"
            );
        }
        _ => "letter-received".to_owned(),
    };
    let (month, day) = (1 + numbers.below(12), 1 + numbers.below(28));
    match numbers.below(6) {
        0 => {}
        1 => line.push_str(&format!(" on=2020-{month:02}")),
        2 => line.push_str(&format!(" on=2020-{month:02}-{day:02}~")),
        3 => line.push_str(&format!(" after={earlier}")),
        4 => line.push_str(&format!(" on=2020 before={earlier}")),
        _ => line.push_str(&format!(" on=2020-{month:02}-{day:02}")),
    }
    line
}

/// A case after so many proposals, of which those were recorded that were lawful.
pub(crate) fn random_case(seed: u64, proposals: usize) -> Desk {
    let desk = Desk::new();
    let mut numbers = Numbers(seed);
    for _ in 0..proposals {
        let line = random_line(&mut numbers, desk.case_state().version().0);
        let options = RecordOptions { declare_gaps: numbers.below(4) == 0, ..RecordOptions::default() };
        _ = desk.propose_with(&[&line], options);
    }
    desk
}

fn versions(state: &CaseState) -> Vec<u64> {
    state.timeline().places().iter().map(|placed| placed.event.version().0).collect()
}

#[track_caller]
fn check_same(state: &CaseState, other: &CaseState, what: &str) {
    assert_eq!(versions(state), versions(other), "{what}");
    let now = Cut::default();
    assert_eq!(json(&telling::status(state, now)), json(&telling::status(other, now)), "{what}");
}

/// A status without the words that say which reading was asked for.
fn told(mut reading: StatusReading) -> Value {
    reading.uncertain.clear();
    let mut value = json(&reading);
    value.as_object_mut().unwrap().remove("as");
    value
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn every_prefix_reads_the_same_however_it_is_read(seed in any::<u64>()) {
        let desk = random_case(seed, 30);
        let whole = desk.case_state();
        let mut stepped = CaseState::before_opening(Arc::clone(&desk.definition));
        for (index, event) in whole.log().iter().enumerate() {
            let count = index + 1;
            stepped.evolve(event.as_ref().clone(), Position(count as u64));
            let events = whole.log()[..count].iter().map(|event| event.as_ref().clone());
            let replayed = CaseState::replay(Arc::clone(&desk.definition), (1..).map(Position).zip(events));
            check_same(&stepped, &replayed, &format!("evolved and replayed to {count}"));
            let known = whole.known_when(|other| other.version.0 <= count as u64);
            check_same(&replayed, &known, &format!("replayed and known at {count}"));
        }
        check_same(&stepped, &whole, "evolved and kept");
    }

    #[test]
    fn the_far_future_is_now(seed in any::<u64>()) {
        let desk = random_case(seed, 30);
        let far = Cut { at: Day::from_ymd(9999, 12, 31), ..Cut::default() };
        prop_assert_eq!(told(desk.status_at(far)), told(desk.status()));
        let before = Cut { at: Day::from_ymd(2019, 12, 31), ..Cut::default() };
        let before = desk.status_at(before);
        let dated = before.uncertain.iter().filter(|mention| mention.occurred.contains("2020-"));
        prop_assert_eq!(dated.count(), 0);
    }

    #[test]
    fn both_cuts_together_are_one_after_the_other(seed in any::<u64>(), month in 1_u8..=12, share in 1_u64..=10) {
        let desk = random_case(seed, 25);
        let whole = desk.case_state();
        let version = Version((whole.version().0 * share / 10).max(1));
        let at = Day::from_ymd(2020, month, 15);
        let both = desk.status_at(Cut { version: Some(version), at, ..Cut::default() });
        let known = whole.known_when(|event| event.version <= version);
        let one_by_one = telling::status(&known, Cut { at, ..Cut::default() });
        prop_assert_eq!(json(&both), json(&one_by_one));
        let instant = whole.at_version(version).unwrap().recorded_at;
        let same_instant = whole.log().iter().filter(|event| event.recorded_at == instant).count();
        if same_instant == 1 {
            let mut both = desk.status_at(Cut { known_at: Some(instant), at, ..Cut::default() });
            both.as_of.known_at = None;
            prop_assert_eq!(json(&both), json(&one_by_one));
        }
    }

    #[test]
    fn a_reading_of_the_past_never_changes_by_what_is_recorded_later(seed in any::<u64>()) {
        let desk = Desk::new();
        let mut numbers = Numbers(seed);
        let mut readings = BTreeMap::new();
        for _ in 0..25 {
            let version = desk.case_state().version();
            readings.insert(version, json(&desk.status()));
            let line = random_line(&mut numbers, version.0);
            _ = desk.propose(&[&line]);
        }
        for (version, then) in readings {
            let now = desk.status_at(Cut { version: Some(version), ..Cut::default() });
            prop_assert_eq!(&json(&now), &then, "as known at version {}", version);
        }
    }

    /// Facts on distinct days, in any order of recording, tell one story.
    #[test]
    fn the_order_of_recording_does_not_matter_where_dates_decide(
        order in Just((0..10_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let facts = [
            "appeal-lodged charge=C1 on=2020-04-01",
            "person-described person=P1 height=170 on=2020-04-02",
            "appeal-determined charge=C1 on=2020-04-03",
            "note-made on=2020-04-04",
            "person-described person=P1 height=171 born=\"1980\" on=2020-04-05",
            "appeal-lodged charge=C1 on=2020-04-06T10:00Z",
            "note-made on=2020-04-06T09:00Z",
            "person-described person=P1 height=172 on=2020-04-07",
            "warning-given person=P1 on=2020-04-08/2020-04-09",
            "person-described person=P1 height=173 on=2020-05",
        ];
        let desk = Desk::charged();
        for index in &order {
            desk.record(facts[*index]);
        }
        let reading = desk.status();
        let person = &reading.entities[0];
        prop_assert_eq!(Value::Object(person.data.clone()), serde_json::json!({"name": "P1", "born": "1980", "height": 173}));
        let charge = reading.strands.iter().find(|strand| strand.strand == "charge").unwrap();
        prop_assert_eq!(&charge.overlays, &["appeal-pending"]);
        let placed: Vec<usize> = desk.timeline()[3..]
            .iter()
            .map(|(version, _)| order[usize::try_from(version - 4).unwrap()])
            .collect();
        prop_assert_eq!(placed, [0, 1, 2, 3, 4, 6, 5, 7, 8, 9]);
    }
}
