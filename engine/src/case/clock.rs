//! The clocks of a case: what started, met, stopped and adjusted each deadline, folded over the timeline.
//!
//! No due day is computed here and no clock is read: a fold over the same timeline always gives the same clocks.
//! [`super::deadline`] says when they are due, and what that means on a certain day.

use std::sync::Arc;

use serde_json::Value;

use super::effective::EffectiveEvent;
use super::event::{EventId, Version, engine_types};
use super::occurred::{Bounds, Occurred};
use super::status::Status;
use crate::definition::condition::{Condition, EntityId, Truth};
use crate::definition::deadline::{Adjustment, Deadline, Due, OnRepeat, Repeats, Start, Term, Trigger};
use crate::definition::period::Length;
use crate::definition::{DeadlineId, Definition, EventTypeId};

/// The clocks of a case, in the order in which they started. Cheap to clone: each is shared until it changes.
#[derive(Debug, Clone, Default)]
pub struct Clocks {
    clocks: Vec<Arc<Clock>>,
}

/// One start of one deadline, and what came of it.
#[derive(Debug, Clone)]
pub struct Clock {
    /// The deadline.
    pub deadline: DeadlineId,
    /// Whose it is.
    pub entity: EntityId,
    /// Which start of this deadline for this entity, from 1.
    pub number: u32,
    /// The event that started it.
    pub started_by: Mark,
    /// The day from which it is counted.
    pub from: Bounds,
    /// How long it is; `None` where the due day itself is in the start, or the start does not say it.
    pub length: Option<Length>,
    /// The due day that the start names.
    pub at: Option<Bounds>,
    /// It is a later round of a rolling deadline.
    pub rolled: bool,
    /// What met it and what adjusted it, in timeline order.
    pub happened: Vec<Happening>,
    /// Time in which it stood still; the last may be open.
    pub pauses: Vec<Pause>,
    /// What made it fall away.
    pub void: Option<Mark>,
    /// Nothing more can happen to it.
    pub is_closed: bool,
    /// Whether the condition under `when` holds, and whether it ever did.
    pub exists: Existence,
    /// Time in which the duty did not exist, after it had; the last may be open.
    pub lapses: Vec<Lapse>,
}

/// An event, and when it happened.
#[derive(Debug, Clone)]
pub struct Mark {
    /// The event.
    pub event: EventId,
    /// Its version.
    pub version: Version,
    /// When it happened.
    pub when: Bounds,
}

/// Something that happened to a clock.
#[derive(Debug, Clone)]
pub enum Happening {
    /// It was met.
    Met(Mark),
    /// It was adjusted.
    Adjusted(Mark, Change),
}

/// What an adjustment changes.
#[derive(Debug, Clone)]
pub enum Change {
    /// Due later or sooner, by a length.
    By(Length, i32),
    /// Due on another day.
    Until(Bounds),
    /// These days do not count: from the first, up to and without the last.
    LeftOut(Bounds, Bounds),
    /// Counted anew from this day.
    Restarted(Bounds),
}

/// Time in which a clock stood still.
#[derive(Debug, Clone)]
pub struct Pause {
    /// From when.
    pub from: Bounds,
    /// The first day that counted again; `None`: it still stands.
    pub until: Option<Bounds>,
    /// Whether the condition held; otherwise it is not known whether it did.
    pub is_certain: bool,
}

/// Time in which a duty did not exist, because the condition under `when` no longer held.
#[derive(Debug, Clone)]
pub struct Lapse {
    /// The event with which it ended.
    pub ended_by: Mark,
    /// From when it existed again; `None`: it does not.
    pub until: Option<Bounds>,
}

/// Whether a duty exists, by the condition under `when`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existence {
    /// It does.
    Yes,
    /// It is not known.
    Unknown,
    /// It did, and no longer does.
    NoLonger,
    /// It never did.
    Never,
}

impl Clocks {
    /// Every clock, in the order in which they started.
    pub fn iter(&self) -> impl Iterator<Item = &Clock> {
        self.clocks.iter().map(AsRef::as_ref)
    }

    /// The same clocks under another version of the definition, by the names of their deadlines. Entities keep their places.
    ///
    /// What was asked of each clock is asked anew, in the words of that version: `now` is its status, `adopted` the event.
    pub(crate) fn carried(&self, from: &Definition, to: &Definition, now: &Status, adopted: &Mark) -> Self {
        let renamed = |clock: &Arc<Clock>| {
            let deadline = to.deadline(&from.deadlines[clock.deadline.index()].name)?;
            Some(Arc::new(Clock { deadline, ..clock.as_ref().clone() }))
        };
        let mut carried = Self { clocks: self.clocks.iter().filter_map(renamed).collect() };
        carried.ask(to, now, adopted);
        carried
    }

    /// The clocks after the event; `after` is the status after it. Total, and free where there are no deadlines.
    pub fn step(&mut self, definition: &Definition, after: &Status, event: &EffectiveEvent) {
        if definition.deadlines.is_empty() {
            return;
        }
        let adjusts = event.recorded.proposed.event_type == engine_types::DEADLINE_ADJUSTED;
        for (index, deadline) in definition.deadlines.iter().enumerate() {
            let id = DeadlineId(u16::try_from(index).unwrap_or(u16::MAX));
            let adjusted =
                adjusts && event.data().get("deadline").and_then(Value::as_str) == Some(&deadline.name);
            if !adjusted
                && !deadline
                    .events()
                    .any(|known| event.event_type == known || event.other_types().contains(&known))
            {
                continue;
            }
            for entity in after.reached(definition, event.scope(), deadline.per) {
                if adjusted {
                    self.adjust(id, entity, event);
                } else {
                    self.follow(deadline, (id, entity), event);
                }
            }
        }
        self.ask(definition, after, &mark(event));
    }

    fn last(&self, (deadline, entity): (DeadlineId, EntityId)) -> Option<usize> {
        self.clocks.iter().rposition(|clock| clock.deadline == deadline && clock.entity == entity)
    }

    fn open(&mut self, of: (DeadlineId, EntityId)) -> Option<&mut Clock> {
        let last = self.last(of).filter(|last| !self.clocks[*last].is_closed)?;
        Some(Arc::make_mut(&mut self.clocks[last]))
    }

    fn follow(&mut self, deadline: &Deadline, of: (DeadlineId, EntityId), event: &EffectiveEvent) {
        let is_in = |triggers: &[Trigger]| triggers.iter().any(|trigger| fits(trigger, event));
        let (meets, ends) = (is_in(&deadline.met_by), is_in(&deadline.void_by));
        let mut rolls = None;
        if let Some(clock) = self.open(of).filter(|_| meets || ends) {
            if meets {
                clock.happened.push(Happening::Met(mark(event)));
            }
            if ends && (!meets || matches!(deadline.repeats, Some(Repeats::FromEnd(_)))) {
                clock.void = Some(mark(event));
            }
            clock.is_closed = ends || !matches!(deadline.repeats, Some(Repeats::FromEnd(_)));
            if let (Some(Repeats::FromMeeting(length)), true, false) = (deadline.repeats, meets, ends) {
                rolls = Some(length);
            }
        }
        let start = deadline.starts.iter().find(|start| fits(&start.trigger, event));
        if let Some(length) = rolls {
            let mut next = self.started(of, event, event.occurred().bounds());
            next.length = Some(length);
            next.rolled = true;
            self.clocks.push(Arc::new(next));
        } else if let Some(start) = start {
            self.start(deadline, start, of, event);
        }
    }

    fn start(
        &mut self,
        deadline: &Deadline,
        start: &Start,
        of: (DeadlineId, EntityId),
        event: &EffectiveEvent,
    ) {
        let is_known = self.last(of).is_some();
        // A duty that no longer exists is not running: its clock stays as it is, and another begins.
        if let Some(clock) = self.open(of).filter(|clock| clock.exists == Existence::NoLonger)
            && deadline.on_repeat != OnRepeat::Once
        {
            clock.is_closed = true;
        }
        let restarts = self.open(of).is_some();
        match deadline.on_repeat {
            OnRepeat::Once if is_known => return,
            OnRepeat::Keep if restarts => return,
            _ => {}
        }
        let counts_back = deadline.counting() == Some(crate::definition::period::Counting::BackFrom);
        let from = match &start.from {
            None => event.occurred().bounds(),
            Some(path) => match date_in(event, path) {
                Field::Said(bounds) => bounds,
                Field::LeftOut if !counts_back => event.occurred().bounds(),
                Field::LeftOut | Field::NotKnown => Bounds::OPEN,
            },
        };
        let mut next = self.started(of, event, from);
        match &deadline.due {
            Due::At(path) => {
                next.at = Some(match date_in(event, path) {
                    Field::Said(bounds) => bounds,
                    Field::LeftOut | Field::NotKnown => Bounds::OPEN,
                });
            }
            Due::Period { term: Term::Fixed(length), .. } => next.length = Some(*length),
            Due::Period { term: Term::Field(path), .. } => {
                next.length = field(event, path).and_then(Value::as_str).and_then(Length::parse);
            }
            Due::Window { no_later_than, .. } => next.length = *no_later_than,
        }
        match self.last(of).filter(|_| restarts) {
            Some(running) => {
                next.number = self.clocks[running].number;
                self.clocks[running] = Arc::new(next);
            }
            None => self.clocks.push(Arc::new(next)),
        }
    }

    fn started(
        &self,
        (deadline, entity): (DeadlineId, EntityId),
        event: &EffectiveEvent,
        from: Bounds,
    ) -> Clock {
        let number = self.last((deadline, entity)).map_or(0, |last| self.clocks[last].number) + 1;
        Clock {
            deadline,
            entity,
            number,
            started_by: mark(event),
            from,
            length: None,
            at: None,
            rolled: false,
            happened: Vec::new(),
            pauses: Vec::new(),
            void: None,
            is_closed: false,
            exists: Existence::Yes,
            lapses: Vec::new(),
        }
    }

    fn adjust(&mut self, deadline: DeadlineId, entity: EntityId, event: &EffectiveEvent) {
        let Some(change) = change(event) else { return };
        if let Some(clock) = self.open((deadline, entity)) {
            clock.happened.push(Happening::Adjusted(mark(event), change));
        }
    }

    /// Asks the conditions of every open clock again, now that the event has happened.
    fn ask(&mut self, definition: &Definition, after: &Status, event: &Mark) {
        for clock in self.clocks.iter_mut().filter(|clock| !clock.is_closed) {
            let deadline = &definition.deadlines[clock.deadline.index()];
            // A condition that is no longer there holds, and what it stopped goes on.
            let has_condition = deadline.when.is_some() || deadline.paused_while.is_some();
            if !has_condition && clock.exists == Existence::Yes && !clock.stands_still() {
                continue;
            }
            let ask = |condition: &Condition| condition.evaluate(&after.scene_of(definition, clock.entity));
            let fresh = clock.started_by.event == event.event;
            let exists = match deadline.when.as_ref().map(ask) {
                None | Some(Truth::True) => Existence::Yes,
                Some(Truth::Unknown(_)) => Existence::Unknown,
                Some(Truth::False) if fresh || clock.exists == Existence::Never => Existence::Never,
                Some(Truth::False) => Existence::NoLonger,
            };
            let stands = match deadline.paused_while.as_ref().map(ask) {
                Some(Truth::True) => Some(true),
                Some(Truth::Unknown(_)) => Some(false),
                None | Some(Truth::False) => None,
            };
            let stood = clock.pauses.last().filter(|pause| pause.until.is_none());
            let stood = stood.map(|pause| pause.is_certain);
            if exists != clock.exists {
                Arc::make_mut(clock).is_owed(exists, event);
            }
            if stands != stood {
                let clock = Arc::make_mut(clock);
                if let Some(pause) = clock.pauses.last_mut().filter(|_| stood.is_some()) {
                    pause.until = Some(event.when);
                }
                let pause = |is_certain| Pause { from: event.when, until: None, is_certain };
                clock.pauses.extend(stands.map(pause));
            }
        }
    }
}

impl Clock {
    /// What ended the duty, where it no longer exists.
    #[must_use]
    pub fn lapsed_by(&self) -> Option<&Mark> {
        self.lapses.last().filter(|lapse| lapse.until.is_none()).map(|lapse| &lapse.ended_by)
    }

    /// Whether it stands still at the end of the timeline, or may.
    fn stands_still(&self) -> bool {
        self.pauses.last().is_some_and(|pause| pause.until.is_none())
    }

    fn is_owed(&mut self, exists: Existence, event: &Mark) {
        let before = std::mem::replace(&mut self.exists, exists);
        if exists == Existence::NoLonger {
            self.lapses.push(Lapse { ended_by: event.clone(), until: None });
        } else if let Some(lapse) = self.lapses.last_mut().filter(|_| before == Existence::NoLonger) {
            lapse.until = Some(event.when);
        }
    }
}

/// Whether the event is one that the trigger waits for. A gap that may have been of several types is none of them for sure.
fn fits(trigger: &Trigger, event: &EffectiveEvent) -> bool {
    let is_one_of = |known: EventTypeId| event.event_type == known && event.other_types().is_empty();
    is_one_of(trigger.on) && trigger.matches(event.event_type, event.data())
}

fn mark(event: &EffectiveEvent) -> Mark {
    Mark { event: event.id(), version: event.version(), when: event.occurred().bounds() }
}

/// What a payload says in a field.
enum Field {
    Said(Bounds),
    LeftOut,
    NotKnown,
}

fn field<'e>(event: &'e EffectiveEvent, path: &[String]) -> Option<&'e Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(event.data().get(first)?, |value, name| value.get(name))
}

fn date_in(event: &EffectiveEvent, path: &[String]) -> Field {
    match field(event, path).and_then(Value::as_str).map(Occurred::parse) {
        Some(Ok(date)) => Field::Said(date.bounds()),
        Some(Err(_)) => Field::NotKnown,
        None if event.is_gap() => Field::NotKnown,
        None => Field::LeftOut,
    }
}

/// What a `deadline-adjusted` event changes; `None` where it says too little, which [`super::draft`] refuses.
fn change(event: &EffectiveEvent) -> Option<Change> {
    let text = |name: &str| event.data().get(name).and_then(Value::as_str);
    let date = |name: &str| text(name).and_then(|text| Occurred::parse(text).ok()).map(|date| date.bounds());
    let kind = text("kind").and_then(Adjustment::named)?;
    Some(match kind {
        Adjustment::Extended | Adjustment::Reduced => {
            let sign = if kind == Adjustment::Extended { 1 } else { -1 };
            match text("length").and_then(Length::parse) {
                Some(length) => Change::By(length, sign),
                None => Change::Until(date("until")?),
            }
        }
        Adjustment::LeftOut => Change::LeftOut(date("from")?, date("until")?),
        Adjustment::Restarted => Change::Restarted(date("from").unwrap_or_else(|| event.occurred().bounds())),
    })
}
