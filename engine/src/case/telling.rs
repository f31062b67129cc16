//! From a case to what people read of it: status, history, changes, what may happen next.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::effective::{is_note, missing_of, target_of};
use super::event::{EventId, Payload, Position, RecordedEvent, Version, engine_types};
use super::footing::{fallen, reasons};
use super::judge::Unmet;
use super::reading::{
    AsOf, BreachReading, CaseSummary, Change, Cut, DerivedReading, DiffReading, EntityReading, EventMention,
    GapReading, HistoryEntry, StatusReading, StrandReading,
};
use super::state::CaseState;
use super::status::Status;
use crate::definition::condition::EntityId;
use crate::definition::{Definition, DerivedId, DerivedStrand, State};

/// The case under a cut, and the events that only may have happened by then.
#[must_use]
pub fn cut(state: &CaseState, cut: Cut) -> (CaseState, HashSet<EventId>) {
    let mut known = if cut.known_at.is_some() || cut.version.is_some() {
        state.known_when(|event| {
            cut.known_at.is_none_or(|instant| event.recorded_at <= instant)
                && cut.version.is_none_or(|version| event.version <= version)
        })
    } else {
        state.clone()
    };
    let mut uncertain = HashSet::new();
    if let Some(day) = cut.at {
        (known, uncertain) = known.as_at(day);
    }
    (known, uncertain)
}

/// The status as people read it.
#[must_use]
pub fn status(state: &CaseState, asked: Cut) -> StatusReading {
    let (state, uncertain) = cut(state, asked);
    let definition = state.definition();
    let opening = state.log().first();
    let inconsistent = inconsistent(&state);
    StatusReading {
        reference: opening.map(|event| event.case.clone()).unwrap_or_default(),
        case_id: opening.map_or(super::event::CaseId(uuid::Uuid::nil()), |event| event.case_id),
        title: title(&state),
        version: state.version(),
        position: state.position(),
        workflow: definition.pin(),
        as_of: AsOf {
            known_at: asked.known_at.map(|instant| instant.to_string()),
            at: asked.at.map(|day| day.to_string()),
        },
        consistent: inconsistent.is_empty(),
        inconsistent,
        strands: strands(&state),
        derived: derived(definition, state.status()),
        entities: entities(definition, state.status()),
        deadlines: Vec::new(),
        breaches: breaches(&state),
        gaps: gaps(&state),
        overrides: overrides(&state),
        uncertain: state
            .told()
            .into_iter()
            .filter(|event| uncertain.contains(&event.id()))
            .map(|event| mention(&event.recorded, None))
            .collect(),
    }
}

fn title(state: &CaseState) -> Option<String> {
    let opening = state
        .told()
        .into_iter()
        .find(|event| event.recorded.proposed.event_type == engine_types::CASE_OPENED)?;
    opening.data().get("title").and_then(Value::as_str).map(str::to_owned)
}

/// When an event happened, in words.
fn when(event: &RecordedEvent) -> String {
    event.proposed.occurred.as_ref().map_or_else(|| "unknown".to_owned(), super::occurred::Occurred::words)
}

fn mention(event: &RecordedEvent, note: Option<String>) -> EventMention {
    EventMention {
        version: event.version,
        event_type: event.proposed.event_type.clone(),
        occurred: when(event),
        note,
    }
}

fn mention_version(state: &CaseState, version: Version) -> Option<EventMention> {
    state.log().iter().find(|event| event.version == version).map(|event| mention(event, None))
}

fn strands(state: &CaseState) -> Vec<StrandReading> {
    let definition = state.definition();
    let mut readings = Vec::new();
    for (id, entity) in state.status().entities() {
        for at in &entity.strands {
            let strand = &definition.strands[at.strand.index()];
            let known = at.state.map(|known| &strand.states[known.index()]);
            let overlays = strand.overlays.iter().enumerate();
            readings.push(StrandReading {
                strand: strand.name.clone(),
                entity: entity_id(id, &entity.id),
                kind: entity.kind.map(|kind| definition.kinds[kind.index()].name.clone()),
                state: known.map(|known| known.name.clone()),
                title: known.map_or_else(|| "not started".to_owned(), |known| known.title.clone()),
                since: mention_version(state, at.since),
                is_final: known.is_some_and(|known| known.is_final),
                overlays: overlays
                    .filter(|(index, _)| at.overlays & (1 << index) != 0)
                    .map(|(_, overlay)| overlay.name.clone())
                    .collect(),
            });
        }
    }
    readings
}

fn entity_id(entity: EntityId, id: &str) -> Option<String> {
    (entity != EntityId::CASE).then(|| id.to_owned())
}

/// Every derived strand of every entity, whose it is (`None`: the case's), and its state.
fn derived_states<'a>(
    definition: &'a Definition,
    status: &'a Status,
) -> impl Iterator<Item = (&'a DerivedStrand, Option<&'a str>, Option<&'a State>)> {
    status.entities().flat_map(move |(id, entity)| {
        let owner = (id != EntityId::CASE).then_some(&*entity.id);
        let strands = (0_u16..).map(DerivedId).zip(&definition.derived);
        strands.filter(|(_, strand)| strand.per == entity.kind).map(move |(derived, strand)| {
            let state = status.derived(definition, id, derived);
            (strand, owner, state.map(|state| &strand.states[state.index()]))
        })
    })
}

fn derived(definition: &Definition, status: &Status) -> Vec<DerivedReading> {
    derived_states(definition, status)
        .map(|(strand, entity, state)| DerivedReading {
            strand: strand.name.clone(),
            entity: entity.map(str::to_owned),
            state: state.map(|state| state.name.clone()),
            title: state.map_or_else(|| "not known".to_owned(), |state| state.title.clone()),
        })
        .collect()
}

fn entities(definition: &Definition, status: &Status) -> Vec<EntityReading> {
    status
        .entities()
        .filter_map(|(_, entity)| {
            Some(EntityReading {
                kind: definition.kinds[entity.kind?.index()].name.clone(),
                id: entity.id.to_string(),
                parent: entity
                    .parent
                    .filter(|parent| *parent != EntityId::CASE)
                    .map(|parent| status.entity(parent).id.to_string()),
                introduced_by: entity.introduced_by,
                data: entity.data.clone(),
            })
        })
        .collect()
}

/// The events of the timeline: under an `as at` cut, only those that may have happened by then.
fn told_by(state: &CaseState) -> HashSet<EventId> {
    state.told().into_iter().map(|event| event.id()).collect()
}

/// The most events of a case in which it is sought what took the ground of a breach away: the case is read anew for it.
const GROUND_SOUGHT_MAX: usize = 1_000;

/// The breaches noted; each says whether the case as it reads now still shows it.
fn breaches(state: &CaseState) -> Vec<BreachReading> {
    let told = told_by(state);
    let mut now = None;
    let mut earlier: HashMap<Version, Standing> = HashMap::new();
    let notes = state.log().iter().filter(|event| event.proposed.event_type == engine_types::BREACH_NOTED);
    notes
        .filter(|note| {
            let about = target_of(note, "event");
            about.is_none_or(|event| told.contains(&event) || state.effective().annulled.contains_key(&event))
        })
        .map(|note| {
            let mut reading = breach(state, note);
            let now = now.get_or_insert_with(|| Standing::of(state.clone()));
            reading.ground_gone = now.lacks_ground_of(note);
            if reading.ground_gone && state.log().len() <= GROUND_SOUGHT_MAX {
                reading.ground_taken_by = taken_by(state, note, &mut earlier);
            }
            reading
        })
        .collect()
}

/// The event with which the ground of a breach went: the record is read as it was known then, halving the events between.
fn taken_by(
    state: &CaseState,
    note: &RecordedEvent,
    earlier: &mut HashMap<Version, Standing>,
) -> Option<EventMention> {
    let (mut stood, mut gone) = (note.version.0, state.version().0);
    while gone.saturating_sub(stood) > 1 {
        let half = Version(u64::midpoint(stood, gone));
        let then = earlier
            .entry(half)
            .or_insert_with(|| Standing::of(state.known_when(|event| event.version <= half)));
        if then.lacks_ground_of(note) { gone = half.0 } else { stood = half.0 }
    }
    let event = state.at_version(Version(gone)).filter(|event| event.version > note.version)?;
    let occurred = event.proposed.occurred.as_ref();
    Some(EventMention {
        version: event.version,
        event_type: event.proposed.event_type.clone(),
        occurred: occurred.map_or_else(|| "unknown".to_owned(), super::occurred::Occurred::words),
        note: None,
    })
}

/// A case at some point of its record, and the rules of compliance that its events do not meet there.
struct Standing {
    state: CaseState,
    unmet: Option<HashMap<EventId, Vec<String>>>,
    told: Option<HashSet<EventId>>,
}

impl Standing {
    const fn of(state: CaseState) -> Self {
        Self { state, unmet: None, told: None }
    }

    /// Whether the case, as it reads here, no longer shows the breach that the note speaks of.
    fn lacks_ground_of(&mut self, note: &RecordedEvent) -> bool {
        let state = &self.state;
        if note.proposed.data.contains_key("deadline") {
            let day = state.definition().day_of(note.recorded_at);
            return !super::noting::still_missed(state, note, day);
        }
        let unmet = self.unmet.get_or_insert_with(|| unmet_compliance(state));
        let rule = note.proposed.data.get("rule").and_then(Value::as_str).unwrap_or_default();
        let Some(about) = target_of(note, "event") else { return true };
        unmet.get(&about).is_none_or(|rules| !rules.iter().any(|known| known == rule))
            && !(self.told.get_or_insert_with(|| told_by(state)).contains(&about)
                && is_of_another_version(state, note, rule))
    }
}

/// Whether the rule was one of a version that the case has left, and the present one has none of its name: a version that
/// drops a rule takes no breach back.
fn is_of_another_version(state: &CaseState, note: &RecordedEvent, rule: &str) -> bool {
    let definition = state.definition();
    note.definition != definition.pin()
        && !definition.events.iter().flat_map(|event| &event.rules).any(|known| known.id == rule)
}

/// A `breach-noted` event as people read it.
pub(crate) fn breach(state: &CaseState, note: &RecordedEvent) -> BreachReading {
    let text = |field: &str| note.proposed.data.get(field).and_then(Value::as_str).map(str::to_owned);
    let about = target_of(note, "event").and_then(|id| state.event(id));
    BreachReading {
        version: note.version,
        rule: text("rule").unwrap_or_default(),
        event: about.map_or(Version(0), |event| event.version),
        message: text("message").unwrap_or_default(),
        basis: text("basis"),
        ground_gone: false,
        ground_taken_by: None,
    }
}

fn unmet_compliance(state: &CaseState) -> HashMap<EventId, Vec<String>> {
    let definition = state.definition();
    let earlier = state.earlier().map(|earlier| unmet_compliance(&earlier.case)).unwrap_or_default();
    let judgements = state.judgements().into_iter();
    let own = judgements.map(|(event, judgement)| {
        let rules = &definition.event_type(event.event_type).rules;
        let ids = judgement.unmet.iter().filter_map(|unmet| match unmet {
            Unmet::Rule { index, .. } => Some(rules[*index].id.clone()),
            _ => None,
        });
        (event.id(), ids.collect())
    });
    earlier.into_iter().chain(own).collect()
}

/// The gaps declared, with the event that closed each.
fn gaps(state: &CaseState) -> Vec<GapReading> {
    let effective = state.effective();
    let told = told_by(state);
    let is_told = |event: &RecordedEvent| match effective.closed_gaps.get(&event.id) {
        Some(closed_by) => state.at_version(*closed_by).is_some_and(|real| told.contains(&real.id)),
        None => told.contains(&event.id),
    };
    state
        .log()
        .iter()
        .filter(|event| event.proposed.event_type == engine_types::GAP_DECLARED && is_told(event))
        .map(|event| {
            let proof = event.causation_id.as_ref().and_then(|id| id.parse().ok()).map(EventId);
            let ground_gone = proof.is_some_and(|proof| effective.annulled.contains_key(&proof));
            GapReading { ground_gone, ..gap(event, effective.closed_gaps.get(&event.id).copied()) }
        })
        .collect()
}

/// A `gap-declared` event as people read it.
pub(crate) fn gap(event: &RecordedEvent, closed_by: Option<Version>) -> GapReading {
    let mut missing: Vec<String> =
        missing_of(&event.proposed.data).into_iter().map(|(name, _)| name.to_owned()).collect();
    missing.dedup();
    let why = event.proposed.data.get("why_known").and_then(Value::as_str);
    GapReading {
        version: event.version,
        missing,
        scope: event.proposed.scope.clone(),
        why_known: why.unwrap_or_default().to_owned(),
        closed_by,
        ground_gone: false,
    }
}

fn overrides(state: &CaseState) -> Vec<EventMention> {
    let told = told_by(state);
    let of_timeline: HashSet<EventId> =
        state.effective_events().into_iter().map(|event| event.id()).collect();
    state
        .log()
        .iter()
        .filter(|event| told.contains(&event.id) || !of_timeline.contains(&event.id))
        .filter_map(|event| {
            let given = event.proposed.override_given.as_ref()?;
            Some(mention(event, Some(format!("{}: {}", given.authority, given.reason))))
        })
        .collect()
}

/// Events without footing that somebody with authority accepted; looked for only where authority was ever used.
fn inconsistent(state: &CaseState) -> Vec<EventMention> {
    if !state.log().iter().any(|event| event.proposed.override_given.is_some()) {
        return Vec::new();
    }
    let mut found = state.earlier().map(|earlier| inconsistent(&earlier.case)).unwrap_or_default();
    found.extend(fallen(state).into_iter().map(|(event, judgement)| {
        let reasons = reasons(state, &event, &judgement).into_iter().map(|reason| reason.message);
        mention(&event.recorded, Some(reasons.collect::<Vec<_>>().join("; ")))
    }));
    found
}

/// The events, each with what it changed when it came into the record. Under an `as at` cut without those that happened
/// only later, and without the notes about them.
#[must_use]
pub fn history(state: &CaseState, asked: Cut, positions: &[Position]) -> Vec<HistoryEntry> {
    let (cut, uncertain) = cut(state, asked);
    let later = happened_later(&cut, asked);
    let effective = cut.effective();
    let place_of: HashMap<EventId, usize> =
        cut.told().into_iter().enumerate().map(|(index, event)| (event.id(), index + 1)).collect();
    let mut so_far = cut.untold();
    let mut entries = Vec::with_capacity(cut.log().len());
    for event in cut.log() {
        let (before, under) = (so_far.status().clone(), Arc::clone(so_far.definition()));
        let last = so_far.told().len();
        let index = usize::try_from(event.version.0).unwrap_or(1).saturating_sub(1);
        let position = positions.get(index).copied().unwrap_or_default();
        so_far.evolve(event.as_ref().clone(), position);
        if later.contains(&event.id) {
            continue;
        }
        let definition = cut.definition_for(event);
        let event_type = definition.event(&event.proposed.event_type);
        let reads_now =
            effective.corrected.contains_key(&event.id).then(|| reads_now(&cut, event.id)).flatten();
        let late = so_far.told().into_iter().take(last).any(|told| told.id() == event.id);
        entries.push(HistoryEntry {
            position,
            title: event_type.map_or_else(String::new, |id| definition.event_type(id).title.clone()),
            occurred: when(event),
            annulled_by: effective.annulled.get(&event.id).copied(),
            corrected_by: effective.corrected.get(&event.id).cloned().unwrap_or_default(),
            reads_now,
            timeline: place_of.get(&event.id).copied(),
            late,
            uncertain: uncertain.contains(&event.id),
            changed: changes((&under, &before), (so_far.definition(), so_far.status())),
            event: event.as_ref().clone(),
        });
    }
    entries
}

/// Under an `as at` cut, the events of the log that definitely happened later, and the notes about them.
fn happened_later(cut: &CaseState, asked: Cut) -> HashSet<EventId> {
    let mut later = HashSet::new();
    let Some(day) = asked.at else { return later };
    let told = told_by(cut);
    let effective = cut.effective();
    let of_case: HashSet<EventId> = cut.effective_events().into_iter().map(|event| event.id()).collect();
    for event in cut.log() {
        let closed_by = effective.closed_gaps.get(&event.id).and_then(|version| cut.at_version(*version));
        let target = ["corrects", "annuls", "event"].iter().find_map(|field| target_of(event, field));
        let is_later = match (&closed_by, target) {
            (Some(real), _) => !told.contains(&real.id),
            (None, Some(target)) if is_note(&event.proposed.event_type) => later.contains(&target),
            // What was annulled is in no timeline: its own date alone counts.
            _ if effective.annulled.contains_key(&event.id) => {
                let occurred = event.proposed.occurred.as_ref();
                occurred
                    .and_then(|occurred| occurred.bounds().earliest)
                    .is_some_and(|earliest| earliest > day)
            }
            _ => of_case.contains(&event.id) && !told.contains(&event.id),
        };
        if is_later {
            later.insert(event.id);
        }
    }
    later
}

fn reads_now(state: &CaseState, id: EventId) -> Option<Payload> {
    let event = state.effective_events().into_iter().find(|event| event.id() == id)?;
    let mut fields = event.data().clone();
    let corrections = state.effective().corrected.get(&id)?;
    let is_redated = corrections.iter().filter_map(|version| state.at_version(*version)).any(|correction| {
        let corrected = correction.proposed.data.get("fields").and_then(Value::as_object);
        corrected.is_some_and(|corrected| corrected.contains_key("occurred"))
    });
    if is_redated {
        fields.insert("occurred".into(), Value::String(event.occurred().words()));
    }
    Some(fields)
}

/// A strand or derived strand, one of its overlays or none, and whose.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct StrandName<'a> {
    strand: &'a str,
    overlay: Option<&'a str>,
    entity: Option<&'a str>,
}

impl StrandName<'_> {
    fn change(self, from: Option<&str>, to: Option<&str>) -> Change {
        Change {
            strand: match self.overlay {
                None => self.strand.to_owned(),
                Some(overlay) => format!("{}/{overlay}", self.strand),
            },
            entity: self.entity.map(str::to_owned),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
        }
    }
}

fn states_of<'a>(definition: &'a Definition, status: &'a Status) -> Vec<(StrandName<'a>, Option<&'a str>)> {
    let mut states = Vec::new();
    for (id, entity) in status.entities() {
        let owner = (id != EntityId::CASE).then_some(&*entity.id);
        for at in &entity.strands {
            let strand = &definition.strands[at.strand.index()];
            let name = StrandName { strand: &strand.name, overlay: None, entity: owner };
            states.push((name, at.state.map(|state| strand.states[state.index()].name.as_str())));
            for (index, overlay) in strand.overlays.iter().enumerate() {
                let set = (at.overlays & (1 << index) != 0).then_some("set");
                states.push((StrandName { overlay: Some(&overlay.name), ..name }, set));
            }
        }
    }
    states.extend(derived_states(definition, status).map(|(strand, entity, state)| {
        let name = StrandName { strand: &strand.name, overlay: None, entity };
        (name, state.map(|state| state.name.as_str()))
    }));
    states
}

/// What differs between two statuses of one case, each under its definition.
#[must_use]
pub fn changes(before: (&Definition, &Status), after: (&Definition, &Status)) -> Vec<Change> {
    let (before, after) = (states_of(before.0, before.1), states_of(after.0, after.1));
    // An event seldom brings or takes an entity: the same strands stand in the same order then.
    if before.iter().map(|(name, _)| name).eq(after.iter().map(|(name, _)| name)) {
        let pairs = before.iter().zip(&after).filter(|((_, from), (_, to))| from != to);
        return pairs.map(|((name, from), (_, to))| name.change(*from, *to)).collect();
    }
    let known: HashMap<StrandName<'_>, Option<&str>> = before.iter().copied().collect();
    let now: HashSet<StrandName<'_>> = after.iter().map(|(name, _)| *name).collect();
    let moved = after.iter().filter_map(|(name, to)| {
        let from = known.get(name).copied().flatten();
        (from != *to).then(|| name.change(from, *to))
    });
    let gone = before.iter().filter(|(name, state)| !now.contains(name) && state.is_some());
    moved.chain(gone.map(|(name, state)| name.change(*state, None))).collect()
}

/// What changed from one reading of a case to another.
#[must_use]
pub fn diff(from: &CaseState, to: &CaseState) -> DiffReading {
    let (old, new) = (entities(from.definition(), from.status()), entities(to.definition(), to.status()));
    let lacks = |list: &[EntityReading], entity: &EntityReading| {
        !list.iter().any(|other| other.kind == entity.kind && other.id == entity.id)
    };
    let (old_breaches, old_gaps) = (breaches(from), gaps(from));
    let in_from = told_by(from);
    let in_to = told_by(to);
    let mut events: Vec<EventMention> = Vec::new();
    for (state, other, note) in [(to, &in_from, "only in the second"), (from, &in_to, "only in the first")] {
        let only = state.told().into_iter().filter(|event| !other.contains(&event.id()));
        events.extend(only.map(|event| mention(&event.recorded, Some(note.to_owned()))));
    }
    DiffReading {
        changed: changes((from.definition(), from.status()), (to.definition(), to.status())),
        entities_added: new.iter().filter(|entity| lacks(&old, entity)).cloned().collect(),
        entities_removed: old.iter().filter(|entity| lacks(&new, entity)).cloned().collect(),
        breaches_added: breaches(to)
            .into_iter()
            .filter(|breach| !old_breaches.iter().any(|other| other.version == breach.version))
            .collect(),
        gaps_added: gaps(to)
            .into_iter()
            .filter(|gap| !old_gaps.iter().any(|other| other.version == gap.version))
            .collect(),
        events,
    }
}

/// The case as a list shows it.
#[must_use]
pub fn summary(state: &CaseState) -> CaseSummary {
    let opening = state.log().first();
    let mut states: Vec<(String, String)> = Vec::new();
    let named = |strand: &str, entity: &Option<String>| match entity {
        Some(entity) => format!("{strand}/{entity}"),
        None => strand.to_owned(),
    };
    for reading in strands(state) {
        if let Some(known) = &reading.state {
            states.push((named(&reading.strand, &reading.entity), known.clone()));
        }
    }
    for reading in derived(state.definition(), state.status()) {
        if let Some(known) = &reading.state {
            states.push((named(&reading.strand, &reading.entity), known.clone()));
        }
    }
    let is_breach = |event: &&Arc<RecordedEvent>| event.proposed.event_type == engine_types::BREACH_NOTED;
    CaseSummary {
        reference: opening.map(|event| event.case.clone()).unwrap_or_default(),
        case_id: opening.map_or(super::event::CaseId(uuid::Uuid::nil()), |event| event.case_id),
        title: title(state),
        workflow: state.definition().pin(),
        version: state.version(),
        updated: state.log().last().map(|event| format!("{:.6}", event.recorded_at)).unwrap_or_default(),
        states,
        breaches: state.log().iter().filter(is_breach).count(),
        open_gaps: gaps(state).iter().filter(|gap| gap.closed_by.is_none()).count(),
    }
}
