//! A case as process mining wants it: what happened, in the order in which it happened, as the record reads now.
//!
//! Corrections are applied, what was annulled is left out, and notes about other events are no events of their own.
//! Every event gets one instant, although many dates are vague:
//!
//! - an exact instant is given as it is;
//! - otherwise the first instant of the earliest day that the date names, in the definition's time zone;
//! - never before an event that stands earlier in the timeline, and never after one that definitely came later.
//!
//! So tools that sort by time keep the order of the timeline. [`TimeBasis`] says how good the instant is, and the date
//! itself goes with it as EDTF.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::case::effective::EffectiveEvent;
use crate::case::event::{CaseId, Position, Scope};
use crate::case::occurred::{Bounds, Day};
use crate::case::state::CaseState;
use crate::case::status::{Status, StrandState, branches_for};
use crate::definition::condition::EntityId;
use crate::definition::{Definition, KindId, StateId};

/// A case, told.
#[derive(Debug, Clone)]
pub struct ToldCase {
    /// The case's reference.
    pub reference: String,
    /// Its id.
    pub case_id: CaseId,
    /// `name@version` of its definition now.
    pub workflow: String,
    /// The time zone in which its days end.
    pub zone: TimeZone,
    /// What happened, in the order in which it happened.
    pub events: Vec<ToldEvent>,
    /// The entities, in order of introduction.
    pub entities: Vec<ToldEntity>,
    /// Where every strand stands now, as a move that leads there from nowhere.
    pub now: Vec<StrandMove>,
    /// Recorded events that are no part of it: notes, and what was annulled or stands for something that was.
    pub left_out: usize,
}

/// One event of it.
#[derive(Debug, Clone)]
pub struct ToldEvent {
    /// The event as it reads now.
    pub event: Arc<EffectiveEvent>,
    /// Its type; of a gap, the missing one.
    pub name: String,
    /// What people call the type.
    pub title: String,
    /// Its place in the log of all cases.
    pub position: Position,
    /// When it happened, or the instant that stands for it.
    pub time: Timestamp,
    /// How that instant is known.
    pub basis: TimeBasis,
    /// What it did to strands, those included that it left where they were by a row of their own.
    pub moves: Vec<StrandMove>,
}

/// An entity of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToldEntity {
    /// Its kind.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Kind and id of the entity that it belongs to; `None`: to the case.
    pub parent: Option<(String, String)>,
    /// As introduced and since amended.
    pub data: Map<String, Value>,
}

/// What an event did to one strand of one entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrandMove {
    /// The strand.
    pub strand: String,
    /// Kind and id of the entity; `None`: the case.
    pub entity: Option<(String, String)>,
    /// The state before; `None` where it had not started.
    pub from: Option<String>,
    /// The state after.
    pub to: Option<String>,
}

/// How the instant of an event is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeBasis {
    /// The record names the instant.
    Instant,
    /// The record names the day: its beginning.
    Day,
    /// The record names a longer time: its beginning.
    Earliest,
    /// The record names only an end: the beginning of its last day.
    Latest,
    /// The date leaves it open, and the events before or after it decide.
    Order,
    /// Nothing in the case has a date: when it was recorded.
    Recorded,
}

impl TimeBasis {
    /// As exports write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Instant => "instant",
            Self::Day => "day",
            Self::Earliest => "earliest",
            Self::Latest => "latest",
            Self::Order => "order",
            Self::Recorded => "recorded",
        }
    }
}

/// Tells a case.
#[must_use]
pub fn told(state: &CaseState) -> ToldCase {
    let definition = state.definition();
    let mut places = Vec::new();
    play(state, &mut places);
    let zone = TimeZone::get(&definition.timezone).unwrap_or(TimeZone::UTC);
    let times = times(&places, &zone);
    let events: Vec<ToldEvent> = places
        .into_iter()
        .zip(times)
        .map(|(place, (time, basis))| ToldEvent {
            position: state.position_of(place.event.version()).unwrap_or_default(),
            event: place.event,
            name: place.name,
            title: place.title,
            time,
            basis,
            moves: place.moves,
        })
        .collect();
    let opening = state.log().first();
    ToldCase {
        reference: opening.map(|event| event.case.clone()).unwrap_or_default(),
        case_id: opening.map_or(CaseId(uuid::Uuid::nil()), |event| event.case_id),
        workflow: definition.pin(),
        zone,
        entities: entities(state, &events),
        now: now(definition, state.status()),
        left_out: state.log().len().saturating_sub(events.len()),
        events,
    }
}

struct Place {
    event: Arc<EffectiveEvent>,
    name: String,
    title: String,
    bounds: Bounds,
    moves: Vec<StrandMove>,
}

/// The timeline with what each event moved, that before a mapping of states first.
fn play(state: &CaseState, places: &mut Vec<Place>) {
    if let Some(earlier) = state.earlier() {
        play(&earlier.case, places);
    }
    let definition = state.definition();
    let mut status = state.before_first();
    for placed in state.timeline().places() {
        let before = status.clone();
        status.step(definition, &placed.event);
        let event_type = definition.event_type(placed.event.event_type);
        places.push(Place {
            event: Arc::clone(&placed.event),
            name: event_type.name.clone(),
            title: event_type.title.clone(),
            bounds: placed.bounds,
            moves: moves(definition, &before, &status, &placed.event),
        });
    }
}

fn moves(
    definition: &Definition,
    before: &Status,
    after: &Status,
    event: &EffectiveEvent,
) -> Vec<StrandMove> {
    let named = after.closure(definition, event.scope());
    let mentioned = &definition.event_type(event.event_type).moves;
    let known: Vec<&[StrandState]> = before.entities().map(|(_, entity)| entity.strands.as_slice()).collect();
    let mut moves = Vec::new();
    for (id, entity) in after.entities() {
        for (index, now) in entity.strands.iter().enumerate() {
            let then = known.get(id.0 as usize).and_then(|strands| strands.get(index));
            let strand = &definition.strands[now.strand.index()];
            let from = then.and_then(|then| then.state);
            let is_moved = then
                .map_or(now.state.is_some(), |then| then.state != now.state || then.overlays != now.overlays);
            let is_row = || {
                named.contains(&id)
                    && mentioned.iter().any(|(mentioned, _)| *mentioned == now.strand)
                    && branches_for(strand, from, event.event_type).is_some()
            };
            if is_moved || is_row() {
                let name = |state| strand.states.get(StateId::index(state));
                moves.push(StrandMove {
                    strand: strand.name.clone(),
                    entity: owner(definition, after, id),
                    from: from.and_then(name).map(|state| state.name.clone()),
                    to: now.state.and_then(name).map(|state| state.name.clone()),
                });
            }
        }
    }
    moves
}

fn now(definition: &Definition, status: &Status) -> Vec<StrandMove> {
    let strands = status.entities().flat_map(|(id, entity)| entity.strands.iter().map(move |at| (id, at)));
    let moves = strands.map(|(id, at)| {
        let strand = &definition.strands[at.strand.index()];
        let state = at.state.and_then(|state| strand.states.get(state.index()));
        StrandMove {
            strand: strand.name.clone(),
            entity: owner(definition, status, id),
            from: None,
            to: state.map(|state| state.name.clone()),
        }
    });
    moves.collect()
}

fn owner(definition: &Definition, status: &Status, id: EntityId) -> Option<(String, String)> {
    let entity = status.entity(id);
    entity.kind.map(|kind| (kind_name(definition, kind), entity.id.to_string()))
}

fn kind_name(definition: &Definition, kind: KindId) -> String {
    definition.kinds[kind.index()].name.clone()
}

/// The entities that the case has, and those that its events name and the present definition has no place for.
fn entities(state: &CaseState, events: &[ToldEvent]) -> Vec<ToldEntity> {
    let (definition, status) = (state.definition(), state.status());
    let mut entities: Vec<ToldEntity> = status
        .entities()
        .filter_map(|(_, entity)| {
            Some(ToldEntity {
                kind: kind_name(definition, entity.kind?),
                id: entity.id.to_string(),
                parent: entity.parent.and_then(|parent| owner(definition, status, parent)),
                data: entity.data.clone(),
            })
        })
        .collect();
    let mut known: std::collections::HashSet<(String, String)> =
        entities.iter().map(|entity| (entity.kind.clone(), entity.id.clone())).collect();
    let scopes = events.iter().flat_map(scope_of);
    let moved = events.iter().flat_map(|event| event.moves.iter().filter_map(|moved| moved.entity.clone()));
    for (kind, id) in scopes.chain(moved) {
        if known.insert((kind.clone(), id.clone())) {
            entities.push(ToldEntity { kind, id, parent: None, data: Map::new() });
        }
    }
    entities
}

fn scope_of(event: &ToldEvent) -> impl Iterator<Item = (String, String)> {
    let scope: &Scope = event.event.scope();
    scope.iter().map(|(kind, id)| (kind.clone(), id.clone()))
}

/// One instant for each event; see the module.
fn times(places: &[Place], zone: &TimeZone) -> Vec<(Timestamp, TimeBasis)> {
    let start = |day: Day| start_of(day, zone);
    let mut limits = vec![None; places.len()];
    let mut limit: Option<Timestamp> = None;
    for (place, kept) in places.iter().zip(&mut limits).rev() {
        let own = place.event.occurred().instant().or(place.bounds.latest.and_then(start));
        limit = limit.into_iter().chain(own).min();
        *kept = limit;
    }
    let mut reached: Option<Timestamp> = None;
    let mut times: Vec<Option<(Timestamp, TimeBasis)>> = Vec::with_capacity(places.len());
    for (place, limit) in places.iter().zip(limits) {
        let time = match place.event.occurred().instant() {
            Some(instant) => Some((instant, TimeBasis::Instant)),
            None => {
                let wanted =
                    wanted(place, reached.is_some()).and_then(|(day, basis)| Some((start(day)?, basis)));
                match wanted {
                    Some((wanted, basis)) => {
                        let time =
                            limit.map_or(wanted, |limit| wanted.min(limit)).max(reached.unwrap_or(wanted));
                        // Later on the same day is still that day.
                        let is_own = time == wanted
                            || (basis == TimeBasis::Day && day_in(time, zone) == day_in(wanted, zone));
                        Some((time, if is_own { basis } else { TimeBasis::Order }))
                    }
                    None => reached.map(|reached| (reached, TimeBasis::Order)),
                }
            }
        };
        reached = reached.into_iter().chain(time.map(|(time, _)| time)).max();
        times.push(time);
    }
    let first = times.iter().flatten().next().map(|(time, _)| *time);
    let filled = times.into_iter().zip(places).map(|(time, place)| {
        time.or(first.map(|first| (first, TimeBasis::Order)))
            .unwrap_or((place.event.recorded.recorded_at, TimeBasis::Recorded))
    });
    filled.collect()
}

/// The day that stands for a date, and how well.
fn wanted(place: &Place, is_begun: bool) -> Option<(Day, TimeBasis)> {
    let displayed = place.event.occurred().displayed_bounds();
    match (displayed.earliest, displayed.latest) {
        (Some(earliest), latest) => {
            let is_certain = place.event.occurred().bounds().earliest.is_some();
            let is_day = latest == Some(earliest) && is_certain;
            Some((earliest, if is_day { TimeBasis::Day } else { TimeBasis::Earliest }))
        }
        // What only ends has no beginning of its own: it follows what is before it.
        (None, Some(latest)) if !is_begun => Some((latest, TimeBasis::Latest)),
        _ => None,
    }
}

fn start_of(day: Day, zone: &TimeZone) -> Option<Timestamp> {
    let (year, month, day) = day.to_ymd();
    let (year, month, day) = (i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    let date = jiff::civil::Date::new(year, month, day).ok()?;
    // Where clocks skip midnight, the day begins when they go on.
    zone.to_timestamp(date.at(0, 0, 0, 0)).ok()
}

fn day_in(time: Timestamp, zone: &TimeZone) -> jiff::civil::Date {
    zone.to_datetime(time).date()
}
