//! A draft tried on the cases that there are: what it would refuse, accept, or place in another state. Nothing is written.
//!
//! ```text
//! log, page by page ── cases opened in it ──► at most CASES_AT_ONCE ──► judged on all cores ──► told in order of opening
//! ```
//!
//! A case is read as it is, and as it would be once it had adopted the draft ([`as_adopted`]): its history under the draft,
//! or, where the draft maps the states of the case's version, those states mapped. Memory is bounded by the cases that are
//! in hand at once, whatever the store holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use jiff::Timestamp;
use serde::Serialize;

use crate::case::adoption::{Obstacles, as_adopted, obstacles_between};
use crate::case::deadline::{Answer, rounds};
use crate::case::deadline_reading::DueReading;
use crate::case::event::{CaseId, Position, Version};
use crate::case::explain::explain;
use crate::case::footing::{Judged, reasons};
use crate::case::judge::{Question, Unmet};
use crate::case::reading::Change;
use crate::case::refusal::LosesFooting;
use crate::case::state::CaseState;
use crate::case::telling;
use crate::definition::Definition;
use crate::definition::condition::EntityId;
use crate::engine::{Engine, PAGE_EVENTS};
use crate::machine;
use crate::own_case;
use crate::store::{CaseKey, ReadError, decode};
use crate::verify::Progress;

/// Cases in hand at once: what bounds memory.
pub const CASES_AT_ONCE: usize = 256;

/// Workflows named where no case uses the one asked for.
const OTHERS_MAX: usize = 20;

/// Cases named as examples of a change.
const EXAMPLES_MAX: usize = 5;

/// Which cases to try a draft on.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Cases of this workflow; the draft's own where absent.
    pub workflow: Option<String>,
    /// These cases only; all of the workflow where empty.
    pub cases: Vec<CaseKey>,
    /// The instant for which deadlines are answered; that of the trial where absent.
    pub at: Option<Timestamp>,
}

/// What a draft would do to a case, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It reads as it does now.
    Unchanged,
    /// Something reads differently, and nothing stands in the way.
    Changed,
    /// The draft would refuse something that happened, or has no place for a state.
    Refused,
}

/// What a draft would do to one case.
#[derive(Debug, Clone, Serialize)]
pub struct CaseTrial {
    /// The case's reference.
    pub case: String,
    /// Its id.
    pub case_id: CaseId,
    /// Its last version.
    pub version: Version,
    /// `name@version` of the definition that it is under.
    pub workflow: String,
    /// In one word.
    pub outcome: Outcome,
    /// Events that are legal now and that the draft would refuse at their places, or cannot read.
    pub refused: Vec<LosesFooting>,
    /// States that the draft neither has nor maps, in words.
    pub no_place: Vec<String>,
    /// Events that stand against a rule now and that the draft would accept.
    pub accepted: Vec<TriedEvent>,
    /// States that differ.
    pub states: Vec<Change>,
    /// Breaches that the draft sees and the present definition does not.
    pub breaches_come: Vec<TriedBreach>,
    /// Breaches that the present definition sees and the draft does not.
    pub breaches_go: Vec<TriedBreach>,
    /// Deadlines of which something else can be said under the draft.
    pub deadlines: Vec<TriedDeadline>,
    /// Whether `definition-migrated` to the draft would be accepted.
    pub adoption: AdoptionTrial,
}

/// Whether a case could adopt a draft.
#[derive(Debug, Clone, Serialize)]
pub struct AdoptionTrial {
    /// Whether it could.
    pub accepted: bool,
    /// By its states being mapped, rather than by its history being read anew.
    pub by_mapping: bool,
    /// Why not, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
}

/// An event of a case, and what stood against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TriedEvent {
    /// Its version.
    pub version: Version,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// What stood against it, in words.
    pub against: Vec<String>,
}

/// A compliance rule that an event does not meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TriedBreach {
    /// The event's version.
    pub event: Version,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The rule.
    pub rule: String,
    /// In words.
    pub message: String,
}

/// A round of a deadline that reads differently under a draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TriedDeadline {
    /// The deadline's name.
    pub deadline: String,
    /// Whose it is; `None` for the case.
    pub entity: Option<String>,
    /// Which start of it, or which round of a repeating one, from 1.
    pub round: u32,
    /// What is said of it now; `None`: there is no such round.
    pub before: Option<DeadlineAnswer>,
    /// What would be said of it under the draft; `None`: there would be no such round.
    pub after: Option<DeadlineAnswer>,
}

/// What is said of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DeadlineAnswer {
    /// In one word.
    pub answer: Answer,
    /// When it is due.
    pub due: DueReading,
}

/// How many cases a change concerns, and some of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CasesOf {
    /// How many.
    pub cases: u64,
    /// References of the first, at most 5.
    pub examples: Vec<String>,
}

/// What a draft would do to the deadlines of all cases looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DeadlineChanges {
    /// Cases with a deadline that is missed under the draft and is not now.
    pub newly_missed: CasesOf,
    /// Cases with a deadline that is missed now and is not under the draft.
    pub no_longer_missed: CasesOf,
    /// Cases with a deadline that is due on another day; both days are known.
    pub due_on_another_day: CasesOf,
    /// Cases with a deadline of which the day is known now or under the draft, and not in both.
    pub day_known_in_one: CasesOf,
}

/// What a draft would do to all cases looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TrialSummary {
    /// `name@version` of the draft.
    pub draft: String,
    /// Cases looked at.
    pub cases: u64,
    /// Cases that read as they do now.
    pub unchanged: u64,
    /// Cases that read differently.
    pub changed: u64,
    /// Cases in whose way something stands.
    pub refused: u64,
    /// Cases that could adopt the draft.
    pub could_adopt: u64,
    /// Cases with deadlines that read differently, by what is different.
    pub deadlines: DeadlineChanges,
    /// Workflows of the cases passed over, at most 20.
    pub others: Vec<String>,
}

/// Why a trial did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrialError {
    /// A case asked for is not there.
    #[error("there is no case {reference}")]
    NoSuchCase {
        /// The reference asked for.
        reference: String,
    },
    /// The log can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Whoever was told did not want to hear more.
    #[error("the trial was stopped")]
    Stopped,
}

/// Tries a draft on the cases of a store, in order of opening, and tells of each case; of those asked for by name, in
/// their order. Blocking: run it away from the threads that serve others. Nothing is recorded, and no read model touched.
///
/// # Errors
/// See [`TrialError`].
pub fn trial(
    engine: &Engine,
    draft: &Arc<Definition>,
    asked: &Asked,
    tell: &mut dyn FnMut(CaseTrial) -> bool,
    progress: &dyn Fn(Progress),
) -> Result<TrialSummary, TrialError> {
    let workflow = asked.workflow.as_deref().unwrap_or(&draft.name);
    let now = asked.at.unwrap_or_else(machine::now);
    let summary = TrialSummary { draft: draft.pin(), ..TrialSummary::default() };
    let mut run = Run { engine, draft, now, tell, summary };
    if !asked.cases.is_empty() {
        let cases = ids_of(engine, &asked.cases)?;
        let total = cases.len() as u64;
        for some in cases.chunks(CASES_AT_ONCE) {
            run.try_cases(some)?;
            progress(Progress { done: run.summary.cases, total });
        }
        return Ok(run.summary);
    }
    let head = *engine.store().head().borrow();
    let mut waiting = Vec::new();
    let mut others = BTreeSet::new();
    let mut after = Position(0);
    while after < head {
        let page = engine.store().read_log(after, PAGE_EVENTS)?;
        let Some(last) = page.last() else { break };
        after = last.position;
        for opening in
            page.iter().filter(|event| event.version == Version(1) && event.case_id != own_case::CASE_ID)
        {
            let pin = decode(opening)?.definition;
            let name = pin.split_once('@').map_or(pin.as_str(), |(name, _)| name);
            if name == workflow {
                waiting.push(opening.case_id);
            } else if others.len() < OTHERS_MAX {
                others.insert(name.to_owned());
            }
        }
        while waiting.len() >= CASES_AT_ONCE {
            let rest = waiting.split_off(CASES_AT_ONCE);
            run.try_cases(&std::mem::replace(&mut waiting, rest))?;
        }
        progress(Progress { done: after.0, total: head.0 });
    }
    run.try_cases(&waiting)?;
    run.summary.others = others.into_iter().collect();
    Ok(run.summary)
}

fn ids_of(engine: &Engine, cases: &[CaseKey]) -> Result<Vec<CaseId>, TrialError> {
    cases
        .iter()
        .map(|case| match engine.store().head_of(case)? {
            Some(head) => Ok(head.case_id),
            None => {
                let reference = match case {
                    CaseKey::Reference(reference) => reference.clone(),
                    CaseKey::Id(id) => id.to_string(),
                };
                Err(TrialError::NoSuchCase { reference })
            }
        })
        .collect()
}

struct Run<'a> {
    engine: &'a Engine,
    draft: &'a Arc<Definition>,
    now: Timestamp,
    tell: &'a mut dyn FnMut(CaseTrial) -> bool,
    summary: TrialSummary,
}

impl Run<'_> {
    /// Tries some cases on all cores, and tells of them in their order.
    fn try_cases(&mut self, cases: &[CaseId]) -> Result<(), TrialError> {
        let next = AtomicUsize::new(0);
        let (engine, draft, now) = (self.engine, self.draft, self.now);
        let work = || {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(case) = cases.get(index) else { return done };
                done.push((index, engine.replay(*case).map(|loaded| try_case(&loaded.state, draft, now))));
            }
        };
        let cores = thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let mut tried: Vec<(usize, Result<CaseTrial, ReadError>)> = thread::scope(|scope| {
            let workers: Vec<_> = (0..cores.min(cases.len())).map(|_| scope.spawn(work)).collect();
            let joined = workers.into_iter().map(|worker| match worker.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            joined.flatten().collect()
        });
        tried.sort_by_key(|(index, _)| *index);
        for (_, case) in tried {
            let case = case?;
            self.summary.cases += 1;
            match case.outcome {
                Outcome::Unchanged => self.summary.unchanged += 1,
                Outcome::Changed => self.summary.changed += 1,
                Outcome::Refused => self.summary.refused += 1,
            }
            self.summary.could_adopt += u64::from(case.adoption.accepted);
            self.summary.deadlines.count(&case);
            if !(self.tell)(case) {
                return Err(TrialError::Stopped);
            }
        }
        Ok(())
    }
}

/// What a draft would do to a case: pure. Deadlines are answered for an instant.
#[must_use]
pub fn try_case(before: &CaseState, draft: &Arc<Definition>, now: Timestamp) -> CaseTrial {
    let old = before.definition();
    let opening = before.log().first();
    let mut tried = CaseTrial {
        case: opening.map(|event| event.case.clone()).unwrap_or_default(),
        case_id: opening.map_or(CaseId(uuid::Uuid::nil()), |event| event.case_id),
        version: before.version(),
        workflow: old.pin(),
        outcome: Outcome::Unchanged,
        refused: Vec::new(),
        no_place: Vec::new(),
        accepted: Vec::new(),
        states: Vec::new(),
        breaches_come: Vec::new(),
        breaches_go: Vec::new(),
        deadlines: Vec::new(),
        adoption: AdoptionTrial { accepted: false, by_mapping: false, why_not: not_adoptable(old, draft) },
    };
    if old.digest == draft.digest {
        return tried;
    }
    let after = as_adopted(before, draft);
    let mapping = draft.migration_from(old.version).filter(|_| old.name == draft.name);
    tried.adoption.by_mapping = mapping.is_some();
    let obstacles = if mapping.is_some() {
        obstacles_between((before, &[]), (&after, &[]), mapping)
    } else {
        compare(before, &after, &mut tried)
    };
    tried.states = telling::changes((old, before.status()), (draft, after.status()));
    tried.deadlines = deadlines_that_differ(before, &after, now);
    if !obstacles.is_empty() && tried.adoption.why_not.is_none() {
        tried.adoption.why_not = Some(obstacles.in_words());
    }
    tried.adoption.accepted = tried.adoption.why_not.is_none();
    let is_refused = !obstacles.is_empty();
    tried.refused = obstacles.events;
    tried.no_place = obstacles.states.into_iter().map(|reason| reason.message).collect();
    let is_same = tried.accepted.is_empty()
        && tried.states.is_empty()
        && tried.breaches_come.is_empty()
        && tried.breaches_go.is_empty()
        && tried.deadlines.is_empty();
    tried.outcome = match (is_refused, is_same) {
        (true, _) => Outcome::Refused,
        (false, true) => Outcome::Unchanged,
        (false, false) => Outcome::Changed,
    };
    tried
}

/// Why a case could never adopt the draft, whatever it holds.
fn not_adoptable(old: &Definition, draft: &Definition) -> Option<String> {
    if old.digest == draft.digest {
        Some(format!("the case is under {} already", draft.pin()))
    } else if old.name != draft.name {
        Some(format!("a case of {} never comes under {}", old.name, draft.name))
    } else if draft.version <= old.version {
        Some(format!(
            "the draft calls itself version {}: give it a later one than {}",
            draft.version, old.version
        ))
    } else {
        None
    }
}

impl TriedDeadline {
    /// Whether it is missed under the draft and is not now.
    #[must_use]
    pub fn is_newly_missed(&self) -> bool {
        let is_missed = |said: Option<DeadlineAnswer>| said.is_some_and(|said| said.answer == Answer::Missed);
        is_missed(self.after) && !is_missed(self.before)
    }

    /// Whether it is missed now and is not under the draft.
    #[must_use]
    pub fn is_no_longer_missed(&self) -> bool {
        Self { before: self.after, after: self.before, ..self.clone() }.is_newly_missed()
    }

    /// Whether it is due on another day: where a day is known both now and under the draft, they differ.
    #[must_use]
    pub fn is_due_on_another_day(&self) -> bool {
        self.is_due_otherwise() && !self.is_day_known_in_one()
    }

    /// Whether the day is known under the draft and is not now, or the reverse.
    #[must_use]
    pub fn is_day_known_in_one(&self) -> bool {
        self.before
            .zip(self.after)
            .is_some_and(|(before, after)| before.due.is_known() != after.due.is_known())
    }

    fn is_due_otherwise(&self) -> bool {
        self.before.zip(self.after).is_some_and(|(before, after)| before.due != after.due)
    }
}

impl DeadlineChanges {
    fn count(&mut self, case: &CaseTrial) {
        let count = |of: &mut CasesOf, is_meant: fn(&TriedDeadline) -> bool| {
            if case.deadlines.iter().any(is_meant) {
                of.cases += 1;
                if of.examples.len() < EXAMPLES_MAX {
                    of.examples.push(case.case.clone());
                }
            }
        };
        count(&mut self.newly_missed, TriedDeadline::is_newly_missed);
        count(&mut self.no_longer_missed, TriedDeadline::is_no_longer_missed);
        count(&mut self.due_on_another_day, TriedDeadline::is_due_on_another_day);
        count(&mut self.day_known_in_one, TriedDeadline::is_day_known_in_one);
    }
}

/// A round: its deadline, the entity whose it is, which start of it, and which round from there.
type RoundName = (String, Option<String>, u32, u32);

/// The rounds of which not the same is said under both definitions.
fn deadlines_that_differ(before: &CaseState, after: &CaseState, now: Timestamp) -> Vec<TriedDeadline> {
    let (mut old, mut new) = (said_of_deadlines(before, now), said_of_deadlines(after, now));
    old.retain(|name, said| new.get(name) != Some(said) || new.remove(name).is_none());
    let names: BTreeSet<RoundName> = old.keys().chain(new.keys()).cloned().collect();
    let differing = names.into_iter().map(|name| {
        let (before, after) = (old.get(&name).copied(), new.get(&name).copied());
        let (deadline, entity, start, round) = name;
        TriedDeadline { deadline, entity, round: start + round - 1, before, after }
    });
    differing.collect()
}

fn said_of_deadlines(state: &CaseState, now: Timestamp) -> BTreeMap<RoundName, DeadlineAnswer> {
    let definition = state.definition();
    if definition.deadlines.is_empty() {
        return BTreeMap::new();
    }
    let today = definition.day_of(now);
    let said = rounds(state, today).into_iter().map(|round| {
        let name = definition.deadlines[round.clock.deadline.index()].name.clone();
        let entity = state.status().entity(round.clock.entity);
        let entity = (round.clock.entity != EntityId::CASE).then(|| entity.id.to_string());
        let said = DeadlineAnswer { answer: round.answer(today).0, due: DueReading::of(&round) };
        ((name, entity, round.clock.number, round.number), said)
    });
    said.collect()
}

/// The history under both definitions, judged once each.
fn compare(before: &CaseState, after: &CaseState, tried: &mut CaseTrial) -> Obstacles {
    let (old, new) = (before.judgements(), after.judgements());
    let lawful_now: BTreeSet<Version> =
        new.iter().filter(|(_, judgement)| judgement.is_legal()).map(|(event, _)| event.version()).collect();
    let accepted = old
        .iter()
        .filter(|(event, judgement)| !judgement.is_legal() && lawful_now.contains(&event.version()));
    tried.accepted = accepted
        .map(|(event, judgement)| TriedEvent {
            version: event.version(),
            event_type: event.recorded.proposed.event_type.clone(),
            against: reasons(before, event, judgement).into_iter().map(|reason| reason.message).collect(),
        })
        .collect();
    let (held, now) = (broken(before, &old), broken(after, &new));
    tried.breaches_come = only_in(after, &new, &now, &held);
    tried.breaches_go = only_in(before, &old, &held, &now);
    obstacles_between((before, &old), (after, &new), None)
}

/// The compliance rules that events do not meet, by version and rule.
fn broken(state: &CaseState, judged: &[Judged]) -> BTreeSet<(Version, String)> {
    let rules = |event: &Judged| {
        let rules = &state.definition().event_type(event.0.event_type).rules;
        let broken: Vec<_> =
            event.1.breaches().map(|rule| (event.0.version(), rules[rule].id.clone())).collect();
        broken
    };
    judged.iter().filter(|(event, _)| !event.is_gap()).flat_map(rules).collect()
}

/// The breaches of one set that the other does not have, in words.
fn only_in(
    state: &CaseState,
    judged: &[Judged],
    these: &BTreeSet<(Version, String)>,
    others: &BTreeSet<(Version, String)>,
) -> Vec<TriedBreach> {
    let definition = state.definition();
    let mut breaches = Vec::new();
    for (version, rule) in these.difference(others) {
        let Some((event, judgement)) = judged.iter().find(|(event, _)| event.version() == *version) else {
            continue;
        };
        let rules = &definition.event_type(event.event_type).rules;
        let is_meant =
            |unmet: &&Unmet| matches!(unmet, Unmet::Rule { index, .. } if rules[*index].id == *rule);
        let Some(unmet) = judgement.unmet.iter().find(is_meant) else { continue };
        let message =
            explain(definition, &state.status_before(event.id()), &Question::about(event), unmet).message;
        breaches.push(TriedBreach {
            event: *version,
            event_type: event.recorded.proposed.event_type.clone(),
            rule: rule.clone(),
            message,
        });
    }
    breaches
}
