//! Plays a scenario against a definition, without a store: what is given is recorded, what is proposed is decided.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::driven::Driven;
use super::problem::suggestion;
use super::scenario::{DeadlineExpectation, Expectation, Expected, FieldText, Scenario, ScenarioEvent};
use super::schema::FieldKind;
use super::{Definition, EventType, KindId};
use crate::case::candidate::{Candidate, Universe, Width, candidates, new_entity};
use crate::case::deadline::due_words;
use crate::case::deadline_reading::{DeadlineReading, deadlines};
use crate::case::decide::{CaseName, NotDecided, Supply, Terms, decide};
use crate::case::effective::missing_of;
use crate::case::event::{
    CaseId, Decider, Override, Payload, Position, ProposedEvent, RecordedEvent, Recorder, engine_types,
};
use crate::case::judge::{Question, judge};
use crate::case::occurred::Occurred;
use crate::case::refusal::Refusal;
use crate::case::state::CaseState;

/// 2100-01-01T00:00:00Z: scenarios are recorded long after anything that they say happened.
const RECORDED_AT_SECOND: i64 = 4_102_444_800;

/// How a scenario went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScenarioOutcome {
    /// The scenario's title.
    pub scenario: String,
    /// Its file.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// What was not as expected; empty: it holds.
    pub failures: Vec<Failure>,
}

/// One thing that was not as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The line of the scenario, from 1.
    pub line: usize,
    /// What it expects.
    pub expected: String,
    /// What was found, with the text of the refusal where there was one.
    pub found: String,
}

impl ScenarioOutcome {
    /// Whether everything was as expected.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Plays a scenario. The same scenario and definition give the same outcome.
#[must_use]
pub fn run(definition: &Arc<Definition>, scenario: &Scenario) -> ScenarioOutcome {
    play(Stage::new(definition, None), scenario)
}

/// As [`run`], and adds to what scenarios drive of the definition.
#[must_use]
pub fn run_driving(
    definition: &Arc<Definition>,
    scenario: &Scenario,
    driven: &mut Driven,
) -> ScenarioOutcome {
    play(Stage::new(definition, Some(driven)), scenario)
}

/// What a definition answered to the last event of a scenario, and the case after it.
pub(crate) struct Rehearsed {
    pub(crate) answer: LastAnswer,
    pub(crate) state: CaseState,
}

/// What was answered to the last event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LastAnswer {
    /// One of the events before it was not accepted.
    NotReached,
    /// Accepted, with the rules whose breach was noted.
    Accepted(Vec<String>),
    /// Refused, or no valid event: by which rule, and what it says.
    Refused(Vec<(String, String)>),
}

/// The rule of an event that is refused because it is not valid.
pub(crate) const NOT_VALID: &str = "engine:invalid";

/// Plays a scenario to its end and tells what came of it.
pub(crate) fn rehearse(definition: &Arc<Definition>, scenario: &Scenario) -> Rehearsed {
    let mut stage = Stage::new(definition, None);
    let answer = match stage.prepare(&scenario.given) {
        Err(_) => LastAnswer::NotReached,
        Ok(given) => match scenario.when.as_ref().map_or(given, |event| stage.propose(event, false)) {
            Answer::Accepted { events, .. } => LastAnswer::Accepted(breaches(&events)),
            Answer::Invalid(problem) => LastAnswer::Refused(vec![(NOT_VALID.to_owned(), problem)]),
            Answer::Refused(refusal) => {
                let reasons = refusal.reasons.into_iter().map(|reason| (reason.rule, reason.message));
                LastAnswer::Refused(reasons.collect())
            }
        },
    };
    Rehearsed { answer, state: stage.state }
}

/// The event that a scenario writes, as it is proposed under a definition; `None` where that does not know such an event.
pub(crate) fn proposed(
    definition: &Arc<Definition>,
    event: &ScenarioEvent,
    is_given: bool,
) -> Option<ProposedEvent> {
    Stage::new(definition, None).proposal(event, is_given).ok()
}

fn breaches(events: &[RecordedEvent]) -> Vec<String> {
    let noted = events.iter().filter(|event| event.proposed.event_type == engine_types::BREACH_NOTED);
    noted
        .filter_map(|event| event.proposed.data.get("rule").and_then(Value::as_str).map(str::to_owned))
        .collect()
}

fn play(mut stage: Stage<'_>, scenario: &Scenario) -> ScenarioOutcome {
    let failures = match stage.prepare(&scenario.given) {
        Err(failure) => vec![failure],
        Ok(given) => {
            let answer = scenario.when.as_ref().map_or(given, |event| stage.propose(event, false));
            let mut failures = Vec::new();
            for Expectation { expected, text, line, .. } in &scenario.then {
                match (stage.check(&answer, expected), expected) {
                    (Err(found), _) => failures.push(Failure { line: *line, expected: text.clone(), found }),
                    (Ok(()), Expected::Deadline(wanted)) => stage.drive_deadline(wanted),
                    (Ok(()), _) => {}
                }
            }
            failures
        }
    };
    let (scenario, file, line) = (scenario.title.clone(), scenario.file.clone(), scenario.line);
    ScenarioOutcome { scenario, file, line, failures }
}

/// What was answered to an event.
enum Answer {
    Accepted { events: Vec<RecordedEvent>, unproven: Vec<String> },
    Refused(Box<Refusal>),
    Invalid(String),
}

impl Answer {
    /// Whether a reason, or what is wrong with the event, has this text in it.
    fn says(&self, text: &str) -> bool {
        match self {
            Self::Accepted { .. } => false,
            Self::Invalid(problem) => problem.contains(text),
            Self::Refused(refusal) => refusal.reasons.iter().any(|reason| reason.message.contains(text)),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Accepted { .. } => "accepted".to_owned(),
            Self::Invalid(problem) => format!("not a valid event: {problem}"),
            Self::Refused(refusal) => {
                let reasons: Vec<String> = refusal
                    .reasons
                    .iter()
                    .map(|reason| format!("{}: {}", reason.rule, reason.message))
                    .collect();
                format!("refused by {}", reasons.join("; "))
            }
        }
    }
}

struct Stage<'d> {
    definition: &'d Arc<Definition>,
    state: CaseState,
    ids: u128,
    driven: Option<&'d mut Driven>,
}

impl<'d> Stage<'d> {
    fn new(definition: &'d Arc<Definition>, driven: Option<&'d mut Driven>) -> Self {
        let state = CaseState::before_opening(Arc::clone(definition));
        Self { definition, state, ids: 0, driven }
    }

    fn prepare(&mut self, given: &[ScenarioEvent]) -> Result<Answer, Failure> {
        let mut events = Vec::new();
        let mut all_unproven = Vec::new();
        let opening = ScenarioEvent {
            line: given.first().map_or(0, |event| event.line),
            event_type: engine_types::CASE_OPENED.to_owned(),
            fields: Vec::new(),
            flags: Vec::new(),
        };
        let opens = given.first().is_some_and(|event| event.event_type == opening.event_type);
        for event in Some(&opening).filter(|_| !opens).into_iter().chain(given) {
            match self.propose(event, true) {
                Answer::Accepted { events: more, unproven } => {
                    events.extend(more);
                    all_unproven.extend(unproven);
                }
                other => {
                    let expected = format!("given {} is accepted", event.event_type);
                    return Err(Failure { line: event.line, expected, found: other.words() });
                }
            }
        }
        Ok(Answer::Accepted { events, unproven: all_unproven })
    }

    fn propose(&mut self, event: &ScenarioEvent, is_given: bool) -> Answer {
        let proposal = match self.proposal(event, is_given) {
            Ok(proposal) => proposal,
            Err(problem) => return Answer::Invalid(problem),
        };
        let has = |flag: &str| event.flags.iter().any(|given| given == flag);
        let terms = Terms {
            declare_gaps: has("declare-gaps"),
            imported: is_given || has("imported"),
            correlation_id: None,
        };
        let name = CaseName { reference: "SCENARIO-1".to_owned(), case_id: CaseId(Uuid::from_u128(1)) };
        let ids = &mut self.ids;
        let mut new_id = || {
            *ids += 1;
            Uuid::from_u128((1 << 64) + *ids)
        };
        let mut supply = Supply {
            now: Timestamp::from_second(RECORDED_AT_SECOND).unwrap_or(Timestamp::MAX),
            new_id: &mut new_id,
            new_salt: &mut String::new,
        };
        match decide(&self.state, &name, &[proposal], &terms, &mut supply) {
            Ok(decision) => {
                let before = self.driven.is_some().then(|| self.state.clone());
                for event in &decision.events {
                    self.state.evolve(event.clone(), Position(event.version.0));
                }
                if let (Some(driven), Some(before)) = (&mut self.driven, before) {
                    driven.accepted(&before, &self.state, &decision.events);
                }
                Answer::Accepted { events: decision.events, unproven: decision.unproven }
            }
            Err(NotDecided::Refused(refusal)) => {
                if let Some(driven) = &mut self.driven {
                    let rules = refusal.reasons.iter().map(|reason| reason.rule.as_str());
                    driven.refused(self.definition, &event.event_type, rules);
                }
                Answer::Refused(refusal)
            }
            Err(NotDecided::Invalid(invalid)) => {
                let help = invalid.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
                Answer::Invalid(format!("{invalid}{help}"))
            }
        }
    }

    fn proposal(&self, event: &ScenarioEvent, is_given: bool) -> Result<ProposedEvent, String> {
        let name = &event.event_type;
        let Some(id) = self.definition.event(name) else {
            let names = self.definition.events.iter().map(|event| event.name.as_str());
            let near = suggestion(name, names).map(|near| format!(": {near}")).unwrap_or_default();
            return Err(format!("there is no event type {name}{near}"));
        };
        let event_type = self.definition.event_type(id);
        let mut proposal = ProposedEvent::new(name, self.default_recorder(event_type));
        proposal.decided_by =
            event_type.decide.first().map(|body| Decider { body: body.clone(), role: None, id: None });
        let mut reason = None;
        for (key, value) in &event.fields {
            match key.as_str() {
                "by" => proposal.recorded_by = recorder(&plain(value)),
                "decided_by" => {
                    proposal.decided_by = Some(Decider { body: plain(value), role: None, id: None });
                }
                "occurred" | "after" | "before" => date(&mut proposal, key, value)?,
                "rationale" => proposal.rationale = Some(plain(value)),
                "label" => proposal.label = Some(plain(value)),
                "override" => {
                    let given = Override { authority: plain(value), reason: String::new() };
                    proposal.override_given = Some(given);
                }
                "reason" if event.fields.iter().any(|(key, _)| key == "override") => {
                    reason = Some(plain(value));
                }
                kind if self.definition.kind(kind).is_some() => {
                    proposal.scope.insert(kind.to_owned(), plain(value));
                }
                field => insert(&mut proposal.data, field, typed(event_type, field, value)?),
            }
        }
        if let (Some(given), Some(reason)) = (&mut proposal.override_given, reason) {
            given.reason = reason;
        }
        if is_given {
            complete(&event_type.schema.source, &mut proposal.data);
            if event_type.rationale_required && proposal.rationale.is_none() {
                proposal.rationale = Some("given".to_owned());
            }
        }
        Ok(proposal)
    }

    fn default_recorder(&self, event_type: &EventType) -> Recorder {
        let role = event_type.record.first().map(|role| &self.definition.roles[role.index()]);
        let role = role.or_else(|| self.definition.roles.first());
        recorder(role.map_or("", |role| role.name.as_str()))
    }

    /// `Err` says what was found instead.
    fn check(&self, answer: &Answer, expected: &Expected) -> Result<(), String> {
        let holds = match expected {
            Expected::Accepted => matches!(answer, Answer::Accepted { .. }),
            Expected::Invalid => matches!(answer, Answer::Invalid(_)),
            Expected::Reason(text) => answer.says(text),
            Expected::Refused(None) => matches!(answer, Answer::Refused(_)),
            Expected::Refused(Some(rule)) => {
                matches!(answer, Answer::Refused(refusal) if refusal.reasons.iter().any(|reason| reason.rule == *rule))
            }
            Expected::Unproven(rule) => match answer {
                Answer::Accepted { unproven, .. } => return named(unproven, rule, "unproven"),
                _ => false,
            },
            Expected::Breach(_) | Expected::NoBreach | Expected::Gap(_) => return noted(answer, expected),
            Expected::State { strand, of, state } => return self.check_state(strand, of.as_deref(), state),
            Expected::PathIncludes(_) | Expected::PathIs(_) => return check_path(answer, expected),
            Expected::Accepts(name) => return self.check_accepts(name),
            Expected::Deadline(wanted) => return self.check_deadline(wanted),
        };
        if holds { Ok(()) } else { Err(answer.words()) }
    }

    fn check_state(&self, strand: &str, of: Option<&str>, wanted: &str) -> Result<(), String> {
        let status = self.state.status();
        let mut entities = status.entities().filter(|(_, entity)| match of {
            Some(id) => entity.kind.is_some() && *entity.id == *id,
            None => entity.kind.is_none(),
        });
        let (plain, derived) = (self.definition.strand(strand), self.definition.derived_strand(strand));
        let found = entities.find_map(|(entity, described)| {
            if let Some(at) = plain.and_then(|strand| status.strand(entity, strand)) {
                let states = &self.definition.strands[at.strand.index()].states;
                return Some(at.state.map(|state| states[state.index()].name.clone()));
            }
            let id = derived.filter(|id| self.definition.derived[id.index()].per == described.kind)?;
            let states = &self.definition.derived[id.index()].states;
            Some(status.derived(self.definition, entity, id).map(|state| states[state.index()].name.clone()))
        });
        match found {
            None => Err(format!("there is no strand {strand} of {}", of.unwrap_or("the case"))),
            Some(None) => Err(format!("{strand} has not started")),
            Some(Some(state)) if state == wanted => Ok(()),
            Some(Some(state)) => Err(format!("{strand} is {state}")),
        }
    }

    /// The last round that has begun by the day of the question is the one that is asked about.
    fn check_deadline(&self, wanted: &DeadlineExpectation) -> Result<(), String> {
        if self.definition.deadline(&wanted.deadline).is_none() {
            let names = self.definition.deadlines.iter().map(|deadline| deadline.name.as_str());
            let near =
                suggestion(&wanted.deadline, names).map(|near| format!(": {near}")).unwrap_or_default();
            return Err(format!("there is no deadline {}{near}", wanted.deadline));
        }
        let last = self.state.timeline().places().iter().filter_map(|placed| placed.bounds.latest).max();
        let Some(today) = wanted.on.or(last) else {
            return Err("no day is known: write `on` and a day".to_owned());
        };
        let told = deadlines(&self.state, today);
        let is_meant =
            |reading: &&DeadlineReading| reading.deadline == wanted.deadline && reading.entity == wanted.of;
        let Some(found) = told.iter().rfind(is_meant) else {
            return Err(format!("{} has not started", wanted.deadline));
        };
        let is_due = wanted
            .due
            .is_none_or(|(first, last)| found.due.earliest == Some(first) && found.due.latest == Some(last));
        if found.answer.name() == wanted.answer && is_due {
            return Ok(());
        }
        let why = found.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        let due = due_words(found.due.earliest, found.due.latest);
        Err(format!("{} is {}{why}, due {due}", wanted.deadline, found.answer.name()))
    }

    /// What is expected of a deadline, and holds, is driven.
    fn drive_deadline(&mut self, wanted: &DeadlineExpectation) {
        let answer = crate::case::deadline::Answer::named(&wanted.answer);
        let deadline = self.definition.deadline(&wanted.deadline);
        if let (Some(driven), Some(deadline), Some(answer)) = (&mut self.driven, deadline, answer) {
            driven.deadline(deadline, answer);
        }
    }

    fn check_accepts(&self, name: &str) -> Result<(), String> {
        let Some(id) = self.definition.event(name) else {
            return Err(format!("there is no event type {name}"));
        };
        let status = self.state.status();
        let mut universe = Universe::new();
        for (at, kind) in self.definition.kinds.iter().enumerate() {
            let Ok(kind_id) = u16::try_from(at).map(KindId) else { continue };
            let known = status.entities().filter(|(_, entity)| entity.kind == Some(kind_id));
            let mut ids: Vec<String> = known.map(|(_, entity)| entity.id.to_string()).collect();
            ids.push(new_entity(kind));
            universe.insert(kind_id, ids);
        }
        let tried = candidates(self.definition, &universe, &[id].into(), Width::EVERY);
        let legal = |candidate: &Candidate| {
            judge(self.definition, status, &Question::about(&candidate.event)).is_legal()
        };
        if tried.iter().any(legal) {
            return Ok(());
        }
        Err(format!("{name} would be refused"))
    }
}

fn date(proposal: &mut ProposedEvent, key: &str, value: &FieldText) -> Result<(), String> {
    let links = || -> Vec<String> {
        if let FieldText::List(labels) = value { labels.clone() } else { vec![plain(value)] }
    };
    let before = proposal.occurred.take().unwrap_or_default();
    let mut occurred = if key == "occurred" {
        Occurred::parse(&plain(value)).map_err(|error| format!("occurred: {error}"))?
    } else {
        before.clone()
    };
    (occurred.after, occurred.before) = (before.after, before.before);
    match key {
        "after" => occurred.after = links(),
        "before" => occurred.before = links(),
        _ => {}
    }
    proposal.occurred = Some(occurred);
    Ok(())
}

fn typed(event_type: &EventType, field: &str, value: &FieldText) -> Result<Value, String> {
    let path: Vec<String> = field.split('.').map(str::to_owned).collect();
    let kind = event_type.schema.field(&path).map_or(FieldKind::Any, |field| field.kind);
    let text = match value {
        FieldText::List(values) => return Ok(json!(values)),
        FieldText::Quoted(text) if kind != FieldKind::Object => return Ok(json!(text)),
        FieldText::Quoted(text) | FieldText::Bare(text) => text,
    };
    let read = || serde_json::from_str::<Value>(text).ok();
    match kind {
        FieldKind::Text => Ok(json!(text)),
        FieldKind::List => Ok(json!([text])),
        FieldKind::Any => Ok(read().unwrap_or_else(|| json!(text))),
        FieldKind::Integer => {
            read().filter(Value::is_number).ok_or(format!("{field}: `{text}` is no number"))
        }
        FieldKind::Boolean => {
            read().filter(Value::is_boolean).ok_or(format!("{field}: `{text}` is neither true nor false"))
        }
        FieldKind::Object => {
            read().filter(Value::is_object).ok_or(format!("{field}: `{text}` is no JSON object"))
        }
    }
}

fn recorder(role: &str) -> Recorder {
    role.parse().unwrap_or_else(|_| Recorder { id: format!("{role}-1"), role: role.to_owned() })
}

fn plain(value: &FieldText) -> String {
    match value {
        FieldText::Bare(text) | FieldText::Quoted(text) => text.clone(),
        FieldText::List(values) => values.join(", "),
    }
}

fn insert(data: &mut Payload, field: &str, value: Value) {
    match field.split_once('.') {
        None => {
            data.insert(field.to_owned(), value);
        }
        Some((first, rest)) => {
            let inner = data.entry(first).or_insert_with(|| json!({}));
            if let Some(inner) = inner.as_object_mut() {
                insert(inner, rest, value);
            }
        }
    }
}

fn named(found: &[String], wanted: &str, what: &str) -> Result<(), String> {
    if found.iter().any(|name| name == wanted) {
        return Ok(());
    }
    Err(if found.is_empty() { format!("nothing is {what}") } else { format!("{what}: {}", found.join(", ")) })
}

fn noted(answer: &Answer, expected: &Expected) -> Result<(), String> {
    let Answer::Accepted { events, .. } = answer else { return Err(answer.words()) };
    let of_type = |name: &'static str| events.iter().filter(move |event| event.proposed.event_type == name);
    let breaches = breaches(events);
    match expected {
        Expected::Breach(rule) => named(&breaches, rule, "noted as a breach"),
        Expected::Gap(name) => {
            let gaps: Vec<String> = of_type(engine_types::GAP_DECLARED)
                .flat_map(|event| {
                    missing_of(&event.proposed.data).into_iter().map(|(name, _)| name.to_owned())
                })
                .collect();
            named(&gaps, name, "declared as a gap")
        }
        _ if breaches.is_empty() => Ok(()),
        _ => Err(format!("noted as a breach: {}", breaches.join(", "))),
    }
}

fn check_path(answer: &Answer, expected: &Expected) -> Result<(), String> {
    let Answer::Refused(refusal) = answer else { return Err(answer.words()) };
    let Some(path) = &refusal.path else {
        return Err(refusal.path_note.clone().unwrap_or_else(|| "there is no path".to_owned()));
    };
    let holds = match expected {
        Expected::PathIncludes(wanted) => wanted.iter().any(|name| path.contains(name)),
        Expected::PathIs(wanted) => wanted == path,
        _ => true,
    };
    if holds { Ok(()) } else { Err(format!("the path is {}", path.join(", "))) }
}

/// Fills in what the schema requires and the scenario does not say.
pub(crate) fn complete(schema: &Value, data: &mut Payload) {
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !data.contains_key(name) {
            data.insert(name.to_owned(), placeholder(&schema["properties"][name]));
        }
    }
}

/// The first listed value, or something plain of the right type.
pub(crate) fn placeholder(schema: &Value) -> Value {
    if let Some(value) = schema["enum"].get(0).or_else(|| schema.get("const")) {
        return value.clone();
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("boolean") => json!(false),
        Some("array") if schema["minItems"].as_u64().is_some_and(|least| least > 0) => {
            json!([placeholder(&schema["items"])])
        }
        Some("array") => json!([]),
        Some("object") => {
            let mut inner = Payload::new();
            complete(schema, &mut inner);
            Value::Object(inner)
        }
        _ if schema["format"] == "date" => json!("2020-01-01"),
        _ => json!("given"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::compile::compile;
    use crate::definition::scenario::parse;
    use crate::definition::source::SourceFile;

    const DEFINITION: &str = "\
workflow: small
version: 1
language: casebook/1
title: Small
timezone: Europe/London
roles:
  clerk: { title: Clerk }
  judge: { title: Judge, may-override: true }
entities:
  charge: { title: Charge, introduced-by: charge-authorised }
events:
  charge-authorised:
    title: Charge authorised
    scope: [charge]
    record: [clerk]
    data: { properties: { offence: { type: string } }, required: [offence] }
  charge-laid: { title: Charge laid, scope: [charge], record: [clerk], gap: true }
  plea-entered:
    title: Plea entered
    scope: [charge]
    record: [clerk]
    gap: true
    data: { properties: { plea: { enum: [guilty, not-guilty] }, count: { type: integer } }, required: [plea] }
  sentence-passed:
    title: Sentence passed
    scope: [charge]
    record: [clerk, judge]
    decide: [court]
  bail-granted:
    title: Bail granted
    scope: [charge]
    rules:
      - id: bail-after-charge
        class: compliance
        require: \"charge.happened('charge-laid') && !definitely_before(event.occurred, charge.last('charge-laid').occurred)\"
        message: bail before the charge
strands:
  charge:
    title: Charge
    per: charge
    states:
      authorised: {}
      laid: {}
      convicted: {}
      acquitted: { final: true }
      sentenced: { final: true }
    initial: authorised
    transitions:
      - { on: charge-laid, from: authorised, to: laid }
      - on: plea-entered
        from: laid
        choose: [ { where: { plea: guilty }, to: convicted }, { to: acquitted } ]
      - { on: sentence-passed, from: convicted, to: sentenced }
derived:
  position:
    states:
      - over: \"case.charges.exists(c, c.state('charge') in ['sentenced', 'acquitted'])\"
      - pending: true
";

    fn outcome(scenario: &str) -> ScenarioOutcome {
        let file = |name: &str, text: &str| SourceFile { name: name.to_owned(), text: text.to_owned() };
        let definition =
            compile(&[file("small.yaml", DEFINITION)]).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let text = format!("scenario: s\n{scenario}");
        let scenarios = parse(&file("s.txt", &text)).unwrap_or_else(|problems| panic!("{problems:#?}"));
        run(&Arc::new(definition), &scenarios[0])
    }

    #[track_caller]
    fn check(scenario: &str) {
        let outcome = outcome(scenario);
        assert!(outcome.holds(), "{outcome:#?}");
    }

    #[track_caller]
    fn check_fails(scenario: &str, line: usize, expected: &str, found: &str) {
        let outcome = outcome(scenario);
        let [failure] = outcome.failures.as_slice() else { panic!("{outcome:#?}") };
        assert_eq!((failure.line, failure.expected.as_str()), (line, expected));
        assert!(failure.found.contains(found), "{}", failure.found);
    }

    const GIVEN: &str = "given charge-authorised charge=C1, charge-laid charge=C1\n";

    #[test]
    fn what_is_expected_holds() {
        check(&format!(
            "{GIVEN}when plea-entered charge=C1 plea=guilty count=2\nthen accepted, no breach\nand charge of C1 is convicted, position is pending, accepts sentence-passed"
        ));
        check(&format!(
            "{GIVEN}and plea-entered charge=C1 plea=guilty\nwhen sentence-passed charge=C1\nthen accepted, position is over"
        ));
    }

    #[test]
    fn a_refusal_is_read_with_its_path() {
        check(&format!(
            "{GIVEN}when sentence-passed charge=C1\nthen refused, refused by engine:no-transition\nand path includes plea-entered or verdict-returned, path is plea-entered\nand charge of C1 is laid"
        ));
    }

    #[test]
    fn the_reason_is_part_of_what_is_expected() {
        check(&format!(
            "{GIVEN}when sentence-passed charge=C1\nthen refused\nand reason=\"cannot follow\", charge of C1 is laid"
        ));
        check(&format!("{GIVEN}when plea-entered charge=C1 plea=perhaps\nthen invalid, reason=\"plea\""));
        check_fails(
            &format!("{GIVEN}when sentence-passed charge=C1\nthen reason=\"no such words\""),
            4,
            "reason=\"no such words\"",
            "refused by",
        );
        check_fails(
            &format!("{GIVEN}when plea-entered charge=C1 plea=guilty\nthen reason=\"anything\""),
            4,
            "reason=\"anything\"",
            "accepted",
        );
    }

    #[test]
    fn gaps_are_declared_where_the_event_asks_for_them() {
        check(&format!(
            "{GIVEN}when sentence-passed charge=C1 declare-gaps\nthen accepted, gap plea-entered, charge of C1 is sentenced"
        ));
    }

    #[test]
    fn breaches_are_noted_and_dates_that_do_not_decide_leave_rules_unproven() {
        let authorised = "given charge-authorised charge=C1\n";
        check(&format!("{authorised}when bail-granted charge=C1\nthen accepted, breach bail-after-charge"));
        let laid = format!("{authorised}and charge-laid charge=C1 occurred=2023-05-02\n");
        check(&format!(
            "{laid}when bail-granted charge=C1 occurred=2023-05\nthen no breach, unproven bail-after-charge"
        ));
    }

    #[test]
    fn a_role_or_an_override_may_be_given() {
        check(&format!(
            "{GIVEN}when plea-entered by=judge charge=C1 plea=guilty\nthen refused by engine:role"
        ));
        check(&format!(
            "{GIVEN}when sentence-passed by=judge charge=C1 override=\"presiding judge\" reason=\"record lost\"\nthen accepted"
        ));
        check(&format!(
            "{GIVEN}and plea-entered charge=C1 plea=guilty\nwhen sentence-passed charge=C1 decided_by=jury\nthen refused by engine:decider"
        ));
    }

    #[test]
    fn what_is_found_instead_is_said() {
        check_fails(
            &format!("{GIVEN}when sentence-passed charge=C1\nthen accepted"),
            4,
            "accepted",
            "refused by engine:no-transition: ",
        );
        check_fails(
            &format!("{GIVEN}when plea-entered charge=C1 plea=guilty\nthen charge of C1 is laid"),
            4,
            "charge of C1 is laid",
            "charge is convicted",
        );
        check_fails(
            &format!("{GIVEN}when plea-entered charge=C1\nthen accepted"),
            4,
            "accepted",
            "not a valid event",
        );
        check_fails(
            &format!("{GIVEN}when plea-enterd charge=C1\nthen accepted"),
            4,
            "accepted",
            "did you mean `plea-entered`?",
        );
        check_fails(
            &format!("{GIVEN}when plea-entered charge=C1 plea=guilty count=many\nthen accepted"),
            4,
            "accepted",
            "`many` is no number",
        );
        check_fails(
            "given charge-laid charge=C1\nthen accepted",
            2,
            "given charge-laid is accepted",
            "refused by engine:scope",
        );
    }
}
