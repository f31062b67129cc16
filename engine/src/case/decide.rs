//! The decision: a proposal against a case, answered with the events to append, or with a refusal that explains itself.
//!
//! Pure: time, ids and salts are arguments. Recording an event is proposing a new timeline: it is accepted if the event is
//! legal at its own place and makes no later event illegal that was legal before.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::adjusting;
use super::adoption::obstacles;
use super::authority::{against_note, override_reason, stands};
use super::candidate::MissingEvent;
use super::day::Day;
use super::draft::{Drafting, InvalidEvent, draft};
use super::effective::{EffectiveEvent, is_note};
use super::elsewhere::lawful_elsewhere;
use super::event::{CaseId, EventId, ProposedEvent, RecordedEvent, Recorder, Version, engine_types};
use super::explain::{explain, plain, refuse, refuse_plainly};
use super::footing::{Footing, accepts, footing, takers};
use super::judge::{Judgement, Question, Unmet, judge};
use super::notes;
use super::noting::{self, Miss};
use super::path::{Missing, missing_steps};
use super::refusal::{LosesFooting, Reason, Refusal};
use super::state::CaseState;
use super::status::Status;
use crate::definition::deadline::Missed;
use crate::definition::{Definition, RuleClass};

/// Time, ids and randomness, as the machine gives them.
pub struct Supply<'m> {
    /// The instant of recording.
    pub now: Timestamp,
    /// Makes an id.
    pub new_id: &'m mut dyn FnMut() -> Uuid,
    /// Draws a salt, already in base64.
    pub new_salt: &'m mut dyn FnMut() -> String,
}

/// How proposals are to be judged.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Declare missing steps as gaps in the same batch.
    pub declare_gaps: bool,
    /// The record is another system's or a published text's: a step that it leaves out is no breach.
    pub imported: bool,
    /// What it belongs to in the caller's system.
    pub correlation_id: Option<String>,
}

/// The case that proposals are for.
#[derive(Debug, Clone)]
pub struct CaseName {
    /// Its reference.
    pub reference: String,
    /// Its id.
    pub case_id: CaseId,
}

/// What is to be appended, in one atomic batch.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The events, each gap before the event that proves it, each breach after the event that made it. `prev` is not
    /// set yet: it is computed from the bytes when they are written.
    pub events: Vec<RecordedEvent>,
    /// Id of the last event proposed.
    pub last_proposed: EventId,
    /// Rules that passed although something they ask about is not known.
    pub unproven: Vec<String>,
}

/// Why nothing is appended.
#[derive(Debug)]
pub enum NotDecided {
    /// A rule or a state said no.
    Refused(Box<Refusal>),
    /// The event as given is not valid.
    Invalid(InvalidEvent),
}

/// Decides on proposals for a case, all or none.
///
/// # Errors
/// The refusal with its reasons, or what is invalid.
pub fn decide(
    state: &CaseState,
    name: &CaseName,
    proposals: &[ProposedEvent],
    terms: &Terms,
    supply: &mut Supply<'_>,
) -> Result<Decision, NotDecided> {
    let batch =
        proposals.iter().map(|proposal| (proposal.label.clone(), EventId((supply.new_id)()))).collect();
    let mut decider = Decider {
        before: state,
        working: None,
        drafting: Drafting { name, terms, supply, batch },
        // Most proposals bring one event: a vector that grows would take room for four of them.
        events: Vec::with_capacity(proposals.len()),
        unproven: Vec::new(),
        moved_others: false,
        overridden: Vec::new(),
        last_proposed: EventId(Uuid::nil()),
        several: proposals.len() > 1,
        adopted: false,
    };
    for (index, proposal) in proposals.iter().enumerate() {
        decider.admit(index, proposal)?;
    }
    decider.finish()
}

/// Decides what is to be recorded for the deadlines that have passed silently by `today`: breaches, and the events that the
/// definition names. `None`: nothing is missed that is not noted.
///
/// # Errors
/// The refusal of an event that the definition names and does not accept.
pub fn decide_missed(
    state: &CaseState,
    name: &CaseName,
    today: Day,
    by: &Recorder,
    supply: &mut Supply<'_>,
) -> Result<Option<Decision>, NotDecided> {
    let misses = noting::passed(state, today, by);
    let Some(last) = misses.last() else { return Ok(None) };
    let terms = Terms::default();
    let mut decider = Decider {
        before: state,
        working: None,
        last_proposed: last.about,
        drafting: Drafting { name, terms: &terms, supply, batch: Vec::new() },
        events: Vec::new(),
        unproven: Vec::new(),
        moved_others: false,
        overridden: Vec::new(),
        several: misses.len() > 1,
        adopted: false,
    };
    for (index, miss) in misses.into_iter().enumerate() {
        if miss.is_breach {
            decider.take_note(miss);
            continue;
        }
        let id = EventId((decider.drafting.supply.new_id)());
        decider.drafting.batch.push((None, id));
        let about = miss.about;
        let index_in_batch = decider.drafting.batch.len() - 1;
        let drafted = draft(
            decider.working.as_ref().unwrap_or(state),
            index_in_batch,
            &miss.proposed,
            &mut decider.drafting,
        );
        let mut event = drafted.map_err(NotDecided::Invalid)?;
        event.causation_id = Some(about.to_string());
        decider.admit_event(index, event)?;
    }
    decider.last_proposed = decider.events.last().map_or(decider.last_proposed, |event| event.id);
    decider.finish().map(Some)
}

struct Decider<'a, 'm> {
    before: &'a CaseState,
    /// The case after the events decided so far; absent while nothing has been decided.
    working: Option<CaseState>,
    drafting: Drafting<'a, 'm>,
    events: Vec<RecordedEvent>,
    unproven: Vec<String>,
    /// Some event did not simply join the end of the timeline.
    moved_others: bool,
    /// Events whose override set something aside.
    overridden: Vec<EventId>,
    last_proposed: EventId,
    several: bool,
    /// The case comes under another version in this batch.
    adopted: bool,
}

/// A proposal at its place.
struct AtPlace {
    event: Arc<EffectiveEvent>,
    before: Status,
    judgement: Judgement,
}

impl Decider<'_, '_> {
    fn state(&self) -> &CaseState {
        self.working.as_ref().unwrap_or(self.before)
    }

    fn definition(&self) -> Arc<Definition> {
        Arc::clone(self.state().definition())
    }

    fn admit(&mut self, index: usize, proposal: &ProposedEvent) -> Result<(), NotDecided> {
        let state = self.working.as_ref().unwrap_or(self.before);
        let event = draft(state, index, proposal, &mut self.drafting).map_err(NotDecided::Invalid)?;
        self.last_proposed = event.id;
        match event.proposed.event_type.as_str() {
            engine_types::EVENT_CORRECTED | engine_types::EVENT_ANNULLED => self.admit_note(index, event),
            engine_types::DEFINITION_MIGRATED => self.admit_adoption(index, event),
            _ => self.admit_event(index, event),
        }
    }

    /// Another version of the definition: the history has to be legal under it, or its states mapped by it.
    fn admit_adoption(&mut self, index: usize, event: RecordedEvent) -> Result<(), NotDecided> {
        let (before, definition) = (self.state(), self.definition());
        let against = against_note(&definition, before.status(), &event);
        if !against.is_empty() {
            return Err(self.refuse_plainly(index, &event, against));
        }
        let mut after = before.clone();
        after.evolve(event.clone(), before.position());
        let mapping = after.definition().migration_from(definition.version);
        let found = obstacles(before, &after, mapping);
        if !found.is_empty() {
            let message = format!(
                "under {} {}, so the case stays under {}",
                after.definition().pin(),
                found.in_words(),
                definition.pin()
            );
            let mut reasons = vec![plain("engine:adoption", RuleClass::Logical, message)];
            reasons.extend(found.states);
            let mut refusal = refuse_plainly(&event, self.several.then_some(index), reasons);
            refusal.loses_footing = found.events;
            refusal.path_note = Some(
                "a version may say what earlier states become with `migrates-from`; then the history is not read anew"
                    .into(),
            );
            return Err(NotDecided::Refused(Box::new(refusal)));
        }
        self.adopted = true;
        self.working = Some(after);
        self.events.push(event);
        Ok(())
    }

    /// Corrections and annulments: what they do to others is weighed when the batch is complete.
    fn admit_note(&mut self, index: usize, event: RecordedEvent) -> Result<(), NotDecided> {
        let definition = self.definition();
        let against = against_note(&definition, self.state().status(), &event);
        if !against.is_empty() {
            return Err(self.refuse_plainly(index, &event, against));
        }
        self.moved_others = true;
        self.take(event);
        Ok(())
    }

    fn admit_event(&mut self, index: usize, mut event: RecordedEvent) -> Result<(), NotDecided> {
        let definition = self.definition();
        let (place, joined_end) = self.place(&definition, &event);
        let Some(place) = place else {
            self.take(event);
            return Ok(());
        };
        self.moved_others |= !joined_end;
        let mut judgement = place.judgement.clone();
        let wants_gaps = self.drafting.terms.declare_gaps;
        let lacks = judgement
            .unmet
            .iter()
            .any(|unmet| unmet.blocks() || self.is_left_out(&definition, &place, unmet));
        if wants_gaps && lacks {
            let declared = self.declare_gaps(&definition, &event, &place);
            if declared {
                event.version = self.state().version().next();
                let (again, _) = self.place(&definition, &event);
                judgement = again.map(|place| place.judgement).unwrap_or_default();
            }
        }
        if !judgement.is_legal() {
            self.check_override(index, &definition, &event, &place, &judgement)?;
        }
        self.check_adjustment(index, &event)?;
        let breaches = self.breaches(&definition, &event, &place, &judgement);
        let event_type = definition.event_type(place.event.event_type);
        let rules = judgement.unproven.iter().map(|rule| event_type.rules[*rule].id.clone());
        self.unproven.extend(rules);
        self.take(event);
        for breach in breaches {
            self.take(breach);
        }
        Ok(())
    }

    /// Where the event would stand, and whether that is simply the end. `None` for an event that is no part of a timeline.
    fn place(&self, definition: &Definition, event: &RecordedEvent) -> (Option<AtPlace>, bool) {
        let state = self.state();
        if let Some(plain) = state.at_end(event) {
            let before = state.status().clone();
            let judgement = judge(definition, &before, &Question::about(&plain));
            return (Some(AtPlace { event: plain, before, judgement }), true);
        }
        let mut next = state.clone();
        next.evolve(event.clone(), state.position());
        let placed = next.timeline().places().iter().find(|placed| placed.event.id() == event.id);
        let Some(placed) = placed.map(|placed| Arc::clone(&placed.event)) else { return (None, true) };
        let before = next.status_before(event.id);
        let judgement = judge(definition, &before, &Question::about(&placed));
        (Some(AtPlace { event: placed, before, judgement }), false)
    }

    fn take(&mut self, event: RecordedEvent) {
        // A single event that joins the end needs no second state of the case: nothing in the batch asks for it.
        if self.several || self.moved_others {
            let position = self.before.position();
            self.working.get_or_insert_with(|| self.before.clone()).evolve(event.clone(), position);
        }
        self.events.push(event);
    }

    /// Whether the rule only misses a step that the record leaves out: no definite date contradicts it.
    fn is_left_out(&self, definition: &Definition, place: &AtPlace, unmet: &Unmet) -> bool {
        let Unmet::Rule { index, class: RuleClass::Compliance, .. } = unmet else { return false };
        !definition.event_type(place.event.event_type).rules[*index].require.mentions_dates()
    }

    fn declare_gaps(&mut self, definition: &Definition, event: &RecordedEvent, place: &AtPlace) -> bool {
        let question = Question::about(&place.event);
        let found = [true, false]
            .into_iter()
            .map(|strict| missing_steps(definition, &place.before, &question, strict))
            .find(|found| !matches!(found, Missing::Nothing));
        let Some(Missing::Steps(steps)) = found else { return false };
        let mut previous: Option<EventId> = None;
        self.moved_others = true;
        for alternatives in steps {
            let gap = self.gap(definition, event, &alternatives, previous);
            previous = Some(gap.id);
            self.take(gap);
        }
        previous.is_some()
    }

    fn gap(
        &mut self,
        definition: &Definition,
        proof: &RecordedEvent,
        alternatives: &[MissingEvent],
        previous: Option<EventId>,
    ) -> RecordedEvent {
        let proposed = notes::gap(definition, proof, alternatives, previous);
        let next = self.state().version().next();
        let id = EventId((self.drafting.supply.new_id)());
        let definition = self.definition();
        self.drafting.record(&definition, next, proposed, (id, Some(proof.id)))
    }

    fn check_override(
        &mut self,
        index: usize,
        definition: &Definition,
        event: &RecordedEvent,
        place: &AtPlace,
        judgement: &Judgement,
    ) -> Result<(), NotDecided> {
        let blocking: Vec<&Unmet> = judgement.unmet.iter().filter(|unmet| unmet.blocks()).collect();
        if stands(definition, &place.event, judgement) {
            self.overridden.push(event.id);
            return Ok(());
        }
        let question = Question::about(&place.event);
        let mut reasons: Vec<Reason> =
            blocking.iter().map(|unmet| explain(definition, &place.before, &question, unmet)).collect();
        if event.proposed.override_given.is_some() {
            reasons.extend(override_reason(definition, event, &blocking));
        }
        let mut refusal = refuse(self.state(), &place.before, &place.event, &judgement.unmet);
        refusal.reasons = reasons;
        refusal.index = self.several.then_some(index);
        Err(NotDecided::Refused(Box::new(refusal)))
    }

    fn refuse_plainly(&self, index: usize, event: &RecordedEvent, reasons: Vec<Reason>) -> NotDecided {
        NotDecided::Refused(Box::new(refuse_plainly(event, self.several.then_some(index), reasons)))
    }

    /// What the engine has to note about the event: the compliance rules that it broke.
    fn breaches(
        &mut self,
        definition: &Definition,
        event: &RecordedEvent,
        place: &AtPlace,
        judgement: &Judgement,
    ) -> Vec<RecordedEvent> {
        let lenient = self.drafting.terms.imported || self.drafting.terms.declare_gaps;
        if place.event.is_gap() {
            return Vec::new();
        }
        let question = Question::about(&place.event);
        let mut version = event.version;
        let mut breaches = Vec::new();
        for unmet in &judgement.unmet {
            if unmet.blocks() || (lenient && self.is_left_out(definition, place, unmet)) {
                continue;
            }
            version = version.next();
            let reason = explain(definition, &place.before, &question, unmet);
            breaches.push(self.breach(version, event, &reason));
        }
        breaches
    }

    fn breach(&mut self, version: Version, event: &RecordedEvent, reason: &Reason) -> RecordedEvent {
        let proposed = notes::breach(event, reason);
        let id = EventId((self.drafting.supply.new_id)());
        let definition = self.definition();
        self.drafting.record(&definition, version, proposed, (id, Some(event.id)))
    }

    /// Weighs what the whole batch does to the events that were there before.
    fn finish(mut self) -> Result<Decision, NotDecided> {
        let definition = self.definition();
        if let (true, Some(working)) = (self.moved_others, &self.working) {
            let Footing { lost, breached } = footing(self.before, working);
            if !lost.is_empty() {
                self.accept_inconsistency(&definition, lost)?;
            }
            // A version that is adopted accuses nobody of what was recorded before.
            let lenient = self.drafting.terms.imported || self.drafting.terms.declare_gaps || self.adopted;
            for (event, reason) in breached.into_iter().filter(|_| !lenient) {
                let version = self.state().version().next();
                let breach = self.breach(version, &event, &reason);
                self.take(breach);
            }
        }
        self.note_broken_deadlines();
        let needless = |event: &&RecordedEvent| {
            event.proposed.override_given.is_some() && !self.overridden.contains(&event.id)
        };
        if let Some(event) = self.events.iter().find(needless) {
            let proposed = self.events.iter().filter(|event| event.causation_id.is_none());
            return Err(NotDecided::Invalid(InvalidEvent {
                index: proposed.take_while(|other| other.id != event.id).count(),
                field: "override".into(),
                problem: format!(
                    "nothing stands in the way of {}, so there is nothing to override",
                    event.proposed.event_type
                ),
                help: Some("record it without the override".into()),
            }));
        }
        Ok(Decision { events: self.events, last_proposed: self.last_proposed, unproven: self.unproven })
    }

    /// Whether a deadline may be adjusted as the event says.
    fn check_adjustment(&mut self, index: usize, event: &RecordedEvent) -> Result<(), NotDecided> {
        if event.proposed.event_type != engine_types::DEADLINE_ADJUSTED {
            return Ok(());
        }
        let mut after = self.state().clone();
        after.evolve(event.clone(), self.before.position());
        match adjusting::against(&after, event) {
            against if against.is_empty() => Ok(()),
            against => Err(self.refuse_plainly(index, event, against)),
        }
    }

    /// Notes the deadlines that the batch shows to have been met too late, or too early.
    fn note_broken_deadlines(&mut self) {
        let definition = self.definition();
        let meets = |event: &RecordedEvent| {
            let id = definition.event(&event.proposed.event_type);
            let breaches =
                definition.deadlines.iter().filter(|deadline| matches!(deadline.missed, Missed::Breach));
            breaches.flat_map(|deadline| &deadline.met_by).any(|trigger| Some(trigger.on) == id)
        };
        // A version that is adopted accuses nobody of what was recorded before.
        if definition.deadlines.is_empty()
            || self.adopted
            || !(self.moved_others || self.events.iter().any(meets))
        {
            return;
        }
        let Some(by) = self.events.last().map(|event| event.proposed.recorded_by.clone()) else { return };
        let after = self.working.clone().unwrap_or_else(|| {
            let mut after = self.before.clone();
            self.events.iter().for_each(|event| after.evolve(event.clone(), self.before.position()));
            after
        });
        for miss in noting::broken(self.before, &after, &self.events, &by) {
            self.take_note(miss);
        }
    }

    fn take_note(&mut self, miss: Miss) {
        let last = self.events.last().map_or_else(|| self.before.version(), |event| event.version);
        let id = EventId((self.drafting.supply.new_id)());
        let note = self.drafting.record(
            self.before.definition(),
            last.next(),
            miss.proposed,
            (id, Some(miss.about)),
        );
        self.take(note);
    }

    /// Whether whoever may override accepts that these events stand no longer: each loss on the event that causes it.
    fn accept_inconsistency(
        &mut self,
        definition: &Definition,
        mut lost: Vec<(EventId, LosesFooting)>,
    ) -> Result<(), NotDecided> {
        let fallen: HashSet<EventId> = lost.iter().map(|(id, _)| *id).collect();
        let takers = takers(self.before, &self.events, &fallen);
        let taker = |id: &EventId| takers.get(id).copied().unwrap_or(&self.events[0]);
        let is_accepted = |id: &EventId| accepts(definition, *id, taker(id), self.events.iter());
        let accepting: Vec<EventId> = lost
            .iter()
            .filter(|(id, _)| is_accepted(id))
            .map(|(id, _)| self.answerable(taker(id)).id)
            .collect();
        lost.retain(|(id, _)| !is_accepted(id));
        let Some((first, _)) = lost.first() else {
            self.overridden.extend(accepting);
            return Ok(());
        };
        let event = self.answerable(taker(first));
        let count = lost.len();
        let (s, its, it) = if count == 1 { ("", "its", "it") } else { ("s", "their", "them") };
        let mut message = format!(
            "{count} later event{s} would lose {its} footing; annul {it} in the same batch, or have somebody who may \
             override accept the case as inconsistent"
        );
        if self.several {
            message
                .push_str(&format!(", with an override on {}, which causes it", event.proposed.event_type));
        }
        let reason = plain("engine:footing", RuleClass::Logical, message);
        let mut refusal = refuse_plainly(event, self.index_of(event), vec![reason]);
        refusal.lawful_between = self.lawful_elsewhere(definition, event);
        refusal.loses_footing = lost.into_iter().map(|(_, lost)| lost).collect();
        refusal.path_note = Some("deal with the events that would lose their footing first".into());
        Err(NotDecided::Refused(Box::new(refusal)))
    }

    /// The event proposed that an event of the batch is there for.
    fn answerable<'e>(&'e self, event: &'e RecordedEvent) -> &'e RecordedEvent {
        let cause = event
            .causation_id
            .as_ref()
            .and_then(|cause| self.events.iter().find(|other| other.id.to_string() == *cause));
        cause.unwrap_or(event)
    }

    /// The event's place in the list proposed, if that is one.
    fn index_of(&self, event: &RecordedEvent) -> Option<usize> {
        let mut proposed = self.events.iter().filter(|event| event.causation_id.is_none());
        proposed.position(|other| other.id == event.id).filter(|_| self.several)
    }

    /// Where else an event of the batch would take nothing from others; notes have no place.
    fn lawful_elsewhere(
        &self,
        definition: &Definition,
        event: &RecordedEvent,
    ) -> Option<(Option<Version>, Option<Version>)> {
        let is_placed =
            !is_note(&event.proposed.event_type) && event.proposed.event_type != engine_types::GAP_DECLARED;
        let event_type = definition.event(&event.proposed.event_type).filter(|_| is_placed)?;
        let plain = Arc::new(EffectiveEvent::plain(event_type, Arc::new(event.clone())));
        if !self.several {
            return lawful_elsewhere(self.before, &plain);
        }
        let without = self.state().known_when(|other| other.id != event.id);
        lawful_elsewhere(&without, &plain)
    }
}
