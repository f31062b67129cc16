//! A refusal explains itself: its path leads where it says, what it calls possible is possible, and every fact is named.

use std::collections::BTreeSet;

use casebook_engine::case::event::{Decider, Payload, ProposedEvent, Recorder, Scope};
use casebook_engine::case::reading::Possible;
use casebook_engine::case::refusal::{Refusal, Step};
use casebook_engine::definition::{Definition, EventType, RuleClass};
use casebook_engine::engine::{RecordError, RecordOptions};
use casebook_tests::chance::Numbers;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::desk::{Desk, engine_of, police_conduct, rules};
use crate::replay::random_case;

/// Steps of a walk over police conduct, and the proposals that are tried at each.
const STEPS: usize = 8;
const PROPOSALS_EACH: usize = 2;
const MAY_EACH: usize = 3;

/// How many ways of filling in one event are tried.
const FILLINGS_MAX: usize = 24;

/// Fills in events by their schema.
struct Filling<'d> {
    definition: &'d Definition,
    numbers: Numbers,
}

impl Filling<'_> {
    fn event_type(&self, name: &str) -> &EventType {
        self.definition.event_type(self.definition.event(name).unwrap())
    }

    /// An event of a step; the first attempt says as little as it may, later ones say more, at random.
    fn event(&mut self, step: &Step, attempt: usize) -> ProposedEvent {
        let event_type = self.event_type(&step.event_type);
        let roles = if event_type.record.is_empty() { vec![] } else { event_type.record.clone() };
        let schema = event_type.schema.source.clone();
        let (decide, rationale) = (event_type.decide.clone(), event_type.rationale_required);
        let role = match self.one_of(roles.len().max(1), attempt) {
            index if roles.is_empty() => &self.definition.roles[index],
            index => &self.definition.roles[roles[index].index()],
        };
        let recorder = Recorder { id: format!("a-{}", role.name), role: role.name.clone() };
        let mut event = ProposedEvent::new(&step.event_type, recorder);
        event.scope = step.scope.clone();
        if !decide.is_empty() {
            let body = decide[self.one_of(decide.len(), attempt)].clone();
            event.decided_by = Some(Decider { body, role: None, id: None });
        }
        event.rationale = rationale.then(|| "because of the facts".into());
        event.data = self.object(&schema, attempt);
        for field in &step.with {
            let (name, value) = field.split_once('=').unwrap();
            let is_text = schema["properties"][name]["type"] == "string"
                || !schema["properties"][name]["enum"].is_null();
            let parsed = if is_text { None } else { serde_json::from_str(value).ok() };
            event.data.insert(name.into(), parsed.unwrap_or_else(|| json!(value)));
        }
        event
    }

    fn one_of(&mut self, count: usize, attempt: usize) -> usize {
        if attempt == 0 { 0 } else { usize::try_from(self.numbers.below(count as u64)).unwrap() }
    }

    fn object(&mut self, schema: &Value, attempt: usize) -> Payload {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut object = Payload::new();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if required.contains(&name.as_str()) || (attempt > FILLINGS_MAX / 4 && self.numbers.below(2) == 0)
            {
                object.insert(name.clone(), self.value(property, attempt));
            }
        }
        object
    }

    fn value(&mut self, schema: &Value, attempt: usize) -> Value {
        if let Some(listed) = schema["enum"].as_array() {
            return listed[self.one_of(listed.len(), attempt)].clone();
        }
        match schema["type"].as_str().or_else(|| schema["type"][0].as_str()) {
            Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
            Some("boolean") => json!(self.one_of(2, attempt) == 1),
            Some("array") => json!([self.value(&schema["items"], attempt)]),
            Some("object") => Value::Object(self.object(schema, attempt)),
            _ if schema["format"] == "date" => json!("2020-01-01"),
            _ => json!("as given"),
        }
    }
}

struct Walk<'d> {
    desk: &'d Desk,
    filling: Filling<'d>,
    failures: Vec<String>,
    paths_played: usize,
    may_played: usize,
    refusals: usize,
}

impl<'d> Walk<'d> {
    fn new(desk: &'d Desk, seed: u64) -> Self {
        let filling = Filling { definition: &desk.definition, numbers: Numbers(seed) };
        Self { desk, filling, failures: Vec::new(), paths_played: 0, may_played: 0, refusals: 0 }
    }

    /// Entities that are yet to come are shown as `new charge`, which is no id: they get one.
    fn try_list(&self, mut events: Vec<ProposedEvent>, dry_run: bool) -> Result<(), RecordError> {
        for id in events.iter_mut().flat_map(|event| event.scope.values_mut()) {
            *id = id.replacen("new ", "new-", 1);
        }
        let options = RecordOptions { dry_run, ..RecordOptions::default() };
        self.desk.wait(self.desk.engine.record(&self.desk.case, events, options)).map(|_| ())
    }

    /// Finds a way to fill in a step after those before it; `Err` tells why the first way was not accepted.
    fn fill(&mut self, before: &[ProposedEvent], step: &Step) -> Result<ProposedEvent, String> {
        let mut first = String::new();
        for attempt in 0..FILLINGS_MAX {
            let event = self.filling.event(step, attempt);
            let list = before.iter().cloned().chain([event.clone()]).collect();
            match self.try_list(list, true) {
                Ok(()) => return Ok(event),
                Err(RecordError::Refused(refusal)) if first.is_empty() => {
                    let reasons =
                        refusal.reasons.iter().map(|reason| format!("{}: {}", reason.rule, reason.message));
                    first = reasons.collect::<Vec<_>>().join("; ");
                }
                Err(error) if first.is_empty() => first = format!("{error:?}"),
                Err(_) => {}
            }
        }
        Err(first)
    }

    /// Plays what a refusal says would make its event lawful.
    fn play(&mut self, proposal: &ProposedEvent, refusal: &Refusal) {
        let mut before = Vec::new();
        for step in &refusal.path_steps {
            match self.fill(&before, step) {
                Ok(event) => before.push(event),
                Err(why) => {
                    let played: Vec<_> =
                        before.iter().map(|event: &ProposedEvent| &event.event_type).collect();
                    self.failures.push(format!(
                        "path to {} {:?}: step {step:?} after {played:?} is not accepted: {why}",
                        proposal.event_type, proposal.scope
                    ));
                    return;
                }
            }
        }
        before.push(proposal.clone());
        self.paths_played += 1;
        if let Err(error) = self.try_list(before, true) {
            let why = match error {
                RecordError::Refused(refusal) => format!("{:?}", rules(&refusal)),
                other => format!("{other:?}"),
            };
            let path = &refusal.path_steps;
            self.failures.push(format!(
                "path to {} {:?}, {path:?}, does not lead there: {why}",
                proposal.event_type, proposal.data
            ));
        }
    }

    /// Proposes an event of any type about any entities, and checks the answer.
    fn propose_anything(&mut self) {
        let count = self.desk.definition.events.len() as u64;
        let index = usize::try_from(self.filling.numbers.below(count)).unwrap();
        let event_type = &self.desk.definition.events[index];
        if casebook_engine::case::event::engine_types::ALL.contains(&event_type.name.as_str()) {
            return;
        }
        let entities = self.desk.status().entities;
        let mut scope = Scope::new();
        for kind in &event_type.scope {
            let kind = &self.desk.definition.kinds[kind.index()];
            let known: Vec<_> = entities.iter().filter(|entity| entity.kind == kind.name).collect();
            let pick = usize::try_from(self.filling.numbers.below(known.len() as u64 + 1)).unwrap();
            let id = known.get(pick).map_or_else(|| format!("new {}", kind.name), |entity| entity.id.clone());
            scope.insert(kind.name.clone(), id);
        }
        let step = Step { event_type: event_type.name.clone(), scope, with: Vec::new() };
        let attempt = usize::from(self.filling.numbers.below(2) == 0);
        let proposal = self.filling.event(&step, attempt);
        let Err(RecordError::Refused(refusal)) = self.try_list(vec![proposal.clone()], true) else { return };
        self.refusals += 1;
        check_refusal(&refusal);
        if refusal.path.is_some() {
            self.play(&proposal, &refusal);
        }
    }

    /// Checks some of what is said to be possible next, and takes the first step found there that moves a strand.
    fn step(&mut self) {
        let next = self.desk.wait(self.desk.engine.next(&self.desk.case)).unwrap();
        assert!(!next.may.is_empty());
        let mut taken = None;
        for _ in 0..MAY_EACH {
            let pick = usize::try_from(self.filling.numbers.below(next.may.len() as u64)).unwrap();
            let event = self.check_possible(&next.may[pick]);
            taken = taken.or(event);
        }
        // Where none of these moves anything, the next one that does is taken: a walk that stands still checks little.
        let from = usize::try_from(self.filling.numbers.below(next.may.len() as u64)).unwrap();
        let mut others =
            next.may[from..].iter().chain(&next.may[..from]).filter(|it| !it.leads_to.is_empty());
        while taken.is_none()
            && let Some(possible) = others.next()
        {
            taken = self.check_possible(possible);
        }
        if let Some(mut event) = taken {
            // New entities get names of their own.
            for id in event.scope.values_mut().filter(|id| id.starts_with("new ")) {
                *id = format!("{}-{}", &id[4..], self.filling.numbers.below(1_000));
            }
            _ = self.try_list(vec![event], false);
        }
    }

    /// Whether what may happen next does, for some way of filling it in; the event, if it moves a strand.
    fn check_possible(&mut self, possible: &Possible) -> Option<ProposedEvent> {
        let (event_type, scope) = (possible.event_type.clone(), possible.scope.clone());
        let step = Step { event_type, scope, with: Vec::new() };
        self.may_played += 1;
        match self.fill(&[], &step) {
            Ok(event) => Some(event).filter(|_| !possible.leads_to.is_empty()),
            Err(why) => {
                self.failures.push(format!("next says {step:?} may happen, and no filling in does: {why}"));
                None
            }
        }
    }
}

#[track_caller]
fn check_refusal(refusal: &Refusal) {
    assert!(refusal.refused && !refusal.reasons.is_empty());
    for reason in &refusal.reasons {
        assert!(!reason.message.is_empty());
        assert!(!reason.message.contains('{'), "a path was left in: {}", reason.message);
        assert_ne!(reason.class, RuleClass::Compliance, "{reason:?}");
        let is_rule = !reason.rule.starts_with("engine:");
        assert_eq!(is_rule, !reason.failed.is_empty(), "{reason:?}");
        for part in &reason.failed {
            assert!(!part.condition.is_empty() && !part.facts.is_empty(), "{reason:?}");
        }
        if reason.rule == "engine:no-transition" {
            assert!(reason.strand.is_some(), "{reason:?}");
        }
    }
    assert_eq!(refusal.path.is_some(), !refusal.path_steps.is_empty());
    if let Some(path) = &refusal.path {
        let steps: Vec<_> = refusal.path_steps.iter().map(|step| step.event_type.clone()).collect();
        assert_eq!(&steps, path);
        assert!(
            refusal.path_note.as_ref().is_none_or(|note| note.contains("was not ruled out")),
            "{refusal:?}"
        );
    } else {
        assert!(refusal.path_note.is_some(), "no path, and no word why: {:?}", rules(refusal));
    }
    if refusal.reasons.iter().all(|reason| reason.class == RuleClass::Authority) {
        assert_eq!(refusal.path, None, "{refusal:?}");
    }
}

fn walk(seed: u64) {
    let desk = Desk::at(
        engine_of(police_conduct()),
        "R/1",
        "case-opened by=intake-1:caseworker matter_type=conduct title=Walk",
    );
    let mut walk = Walk::new(&desk, seed);
    for _ in 0..STEPS {
        walk.step();
        for _ in 0..PROPOSALS_EACH {
            walk.propose_anything();
        }
    }
    let Walk { refusals, paths_played, may_played, .. } = walk;
    println!(
        "version {}: {refusals} refusals, {paths_played} paths and {may_played} possible events played; seed {seed}",
        desk.case_state().version()
    );
    assert!(
        desk.case_state().version().0 > STEPS as u64 / 2 && refusals > 1 && paths_played > 0,
        "the walk went nowhere"
    );
    let failures: BTreeSet<&String> = walk.failures.iter().collect();
    assert!(failures.is_empty(), "seed {seed}: {failures:#?}");
}

#[test]
fn what_refusals_and_next_promise_in_police_conduct_holds_on_a_first_walk() {
    walk(1);
}

#[test]
fn what_refusals_and_next_promise_in_police_conduct_holds_on_a_second_walk() {
    walk(2);
}

#[test]
fn what_refusals_and_next_promise_in_police_conduct_holds_on_a_third_walk() {
    walk(3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    /// In whatever situation a case has come to: the steps of a path, recorded with the values that it states, lead there.
    #[test]
    fn every_path_that_a_refusal_shows_can_be_played(seed in any::<u64>()) {
        let desk = random_case(seed, 20);
        let mut walk = Walk::new(&desk, seed);
        for _ in 0..12 {
            walk.propose_anything();
        }
        let failures: BTreeSet<&String> = walk.failures.iter().collect();
        prop_assert!(failures.is_empty(), "{failures:#?}");
    }
}

#[test]
fn paths_are_played_in_random_situations_at_all() {
    let desk = random_case(7, 20);
    let mut walk = Walk::new(&desk, 7);
    for _ in 0..40 {
        walk.propose_anything();
    }
    assert!(walk.refusals > 5 && walk.paths_played > 3, "{} and {}", walk.refusals, walk.paths_played);
    assert_eq!(walk.failures, Vec::<String>::new());
}

#[test]
fn a_refusal_names_the_facts_it_looked_at() {
    let desk = Desk::charged();
    let refusal = desk.refused("sentence-passed charge=C1 disposal=fine decided=court");
    check_refusal(&refusal);
    let reason = &refusal.reasons[1];
    assert_eq!(
        (reason.rule.as_str(), reason.basis.as_deref()),
        ("sentence-needs-conviction", Some("Sentencing Act 2020"))
    );
    assert_eq!(reason.message, "C1 has no conviction to sentence");
    let facts = serde_json::to_value(&reason.failed).unwrap();
    assert!(facts.to_string().contains("brought"), "{facts}");
    assert_eq!(refusal.path, Some(vec!["plea-entered".to_owned()]));
    assert_eq!(refusal.path_steps[0].with, ["plea=guilty"]);
    assert_eq!(refusal.accepts_now, ["plea-entered", "verdict-returned"]);
    let place = &refusal.reasons[0];
    assert_eq!(
        (place.strand.as_deref(), place.entity.as_deref(), place.state.as_deref()),
        (Some("charge"), Some("C1"), Some("brought"))
    );
}

/// Any other plea than guilty leads there, so none is needed; but whoever fills in the step must not plead guilty.
#[test]
fn a_path_names_the_value_that_would_lead_elsewhere() {
    let desk = Desk::charged();
    let refusal = desk.refused("trial-opened charge=C1");
    assert_eq!(refusal.path, Some(vec!["plea-entered".to_owned()]));
    assert_eq!(refusal.path_steps[0].with, ["plea=not-guilty"]);
    let told = desk.record_with_gaps("trial-opened charge=C1");
    assert_eq!(told.events[0].proposed.data.get("missing_data"), None, "which plea it was is not known");
}

#[test]
fn refusals_of_authority_have_no_path_and_say_whose_it_is() {
    let desk = Desk::charged();
    desk.record("plea-entered charge=C1 plea=guilty");
    desk.record("note-made by=officer-1:investigator");
    for (line, rule, word) in [
        ("decision-made rationale=x", "engine:role", "reviewer"),
        ("interview-held person=P1 by=x:reviewer", "engine:role", "investigator"),
        ("note-made by=x:stranger", "engine:role", "clerk"),
        ("sentence-passed charge=C1 disposal=fine", "engine:decider", "court"),
        ("sentence-passed charge=C1 disposal=fine decided=club", "engine:decider", "court"),
        ("note-made by=officer-1:reviewer", "engine:separate-duties", "investigator"),
        ("seal-broken", "only-reviewers-break-seals", "clerk"),
    ] {
        let refusal = desk.refused(line);
        assert_eq!(rules(&refusal), [rule], "{line}");
        check_refusal(&refusal);
        assert_eq!((refusal.path.as_ref(), refusal.gaps.len()), (None, 0));
        assert!(refusal.reasons[0].message.contains(word), "{line}: {}", refusal.reasons[0].message);
    }
}

#[test]
fn every_reason_is_told_not_the_first_alone() {
    let desk = Desk::charged();
    let refusal = desk.refused("sentence-passed charge=C1 disposal=fine by=x:stranger");
    assert_eq!(
        rules(&refusal),
        ["engine:no-transition", "engine:role", "engine:decider", "sentence-needs-conviction"]
    );
}

#[test]
fn a_closed_case_says_so_and_takes_what_it_may() {
    let desk = Desk::new();
    desk.record("case-closed");
    let refusal = desk.refused("letter-received");
    assert_eq!(
        (rules(&refusal), &refusal.path),
        (vec!["engine:case-closed"], &Some(vec!["case-reopened".to_owned()]))
    );
    desk.record("late-review-done");
    desk.record("note-made");
    desk.record("event-annulled annuls=\"3\" reason=r");
    desk.record("case-reopened");
    desk.record("letter-received");
}

#[test]
fn an_unknown_entity_and_a_taken_id_are_refused_in_words() {
    let desk = Desk::charged();
    desk.record("person-named person=P2 name=x");
    for (line, word) in [
        ("plea-entered charge=C9 plea=guilty", "charge-brought"),
        ("plea-entered charge=C1 person=P2 plea=guilty", "belongs to P1"),
        ("person-named person=P1 name=x", "exists already"),
        ("charge-brought charge=C2", "which person"),
    ] {
        let refusal = desk.refused(line);
        assert_eq!(rules(&refusal), ["engine:scope"], "{line}");
        assert!(refusal.reasons[0].message.contains(word), "{line}: {}", refusal.reasons[0].message);
    }
}
