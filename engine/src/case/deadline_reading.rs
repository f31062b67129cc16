//! Deadlines as people read them.

use serde::Serialize;

use super::day::Day;
use super::deadline::{Answer, Round, rounds};
use super::event::Version;
use super::reading::EventMention;
use super::state::CaseState;
use crate::definition::condition::EntityId;
use crate::definition::deadline::Missed;

/// A round of a deadline, as people read it on a certain day.
#[derive(Debug, Clone, Serialize)]
pub struct DeadlineReading {
    /// The deadline's name.
    pub deadline: String,
    /// What people call it.
    pub title: String,
    /// Whose it is; `None` for the case.
    pub entity: Option<String>,
    /// Its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Which start of it, or which round of a repeating one, from 1.
    pub round: u32,
    /// When it is due.
    pub due: DueReading,
    /// The first day of the round, where that is known.
    #[serde(skip)]
    pub begins: Option<Day>,
    /// The day that it is read on.
    #[serde(skip)]
    pub on: Day,
    /// What can be said of it on that day.
    pub answer: Answer,
    /// It is missed, nothing met it, and what follows under the definition is a `notice`: a time that nobody used, such as that for
    /// an appeal, or one that came to its end, such as that of a warning.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ran_out: bool,
    /// Why, where that is not plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Days from the day asked about to the latest due day; negative once it has passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_left: Option<i32>,
    /// The event that started it.
    pub started_by: EventMention,
    /// The event that met it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub met_by: Option<EventMention>,
    /// The event that made it fall away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub void_by: Option<EventMention>,
    /// The adjustments that apply to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub adjusted_by: Vec<Version>,
    /// How it is counted, in words.
    pub counted: String,
    /// Name and version of the calendar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calendar: Option<String>,
    /// The law or policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basis: Option<String>,
}

/// What can be said of a deadline, in the word that people use: where a time ran out, nobody missed anything.
#[must_use]
pub const fn answer_word(answer: Answer, ran_out: bool) -> &'static str {
    if ran_out { "ran out" } else { answer.name() }
}

/// The days on which a deadline can be due: the midnight that ends them, in the definition's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct DueReading {
    /// No sooner than this.
    pub earliest: Option<Day>,
    /// No later than this.
    pub latest: Option<Day>,
    /// It must not happen before this day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Day>,
}

impl DueReading {
    /// Whether a day is known, be it only the first or the last that it can be.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.earliest.or(self.latest).or(self.not_before).is_some()
    }

    /// When a round is due.
    #[must_use]
    pub fn of(round: &Round<'_>) -> Self {
        Self {
            earliest: round.due.earliest,
            latest: round.due.latest,
            not_before: round.due.not_before.and_then(|open| open.latest),
        }
    }
}

/// The deadlines of a case on a day: of each, the last round, and every earlier one that was missed or is undecided.
#[must_use]
pub fn deadlines(state: &CaseState, today: Day) -> Vec<DeadlineReading> {
    let all = rounds(state, today);
    let owner = |round: &Round<'_>| (round.clock.deadline, round.clock.entity);
    let is_told = |(index, round): (usize, &Round<'_>)| {
        let is_last = !all[index + 1..].iter().any(|later| owner(later) == owner(round));
        is_last || matches!(round.answer(today).0, Answer::Missed | Answer::Indeterminate)
    };
    all.iter()
        .enumerate()
        .filter(|(index, round)| is_told((*index, round)))
        .map(|(_, round)| reading(state, round, today))
        .collect()
}

/// What of a case falls due within so many days of a day, rounds that begin only then included.
#[must_use]
pub fn falling_due(state: &CaseState, today: Day, days: u32) -> Vec<DeadlineReading> {
    let until = Day(today.0.saturating_add(i32::try_from(days).unwrap_or(i32::MAX)));
    let mut readings: Vec<DeadlineReading> =
        rounds(state, until).iter().map(|round| reading(state, round, today)).collect();
    readings
        .retain(|told| told.met_by.is_none() && told.void_by.is_none() && falls_due(told.due, today, days));
    readings
}

/// Whether somebody who asks what is overdue wants to see a round that is open: it is missed, or may be.
#[must_use]
pub fn may_be_late(answer: Answer, due: DueReading, begins: Option<Day>, today: Day) -> bool {
    if begins.is_some_and(|begins| begins >= today) {
        return false;
    }
    let may_be = || due.earliest.is_none_or(|earliest| earliest < today);
    answer == Answer::Missed || answer == Answer::Indeterminate && may_be()
}

/// Whether a round falls due within so many days, today included, by the earliest day on which it can be due.
#[must_use]
pub fn falls_due(due: DueReading, today: Day, days: u32) -> bool {
    let until = Day(today.0.saturating_add(i32::try_from(days).unwrap_or(i32::MAX)));
    due.earliest.is_some_and(|earliest| today <= earliest && earliest <= until)
}

/// One round as people read it.
#[must_use]
pub fn reading(state: &CaseState, round: &Round<'_>, today: Day) -> DeadlineReading {
    let definition = state.definition();
    let deadline = &definition.deadlines[round.clock.deadline.index()];
    let entity = state.status().entity(round.clock.entity);
    let (answer, why) = round.answer(today);
    let mention = |version: Version| {
        let event = state.at_version(version);
        let occurred = event.and_then(|event| event.proposed.occurred.as_ref());
        EventMention {
            version,
            event_type: event.map(|event| event.proposed.event_type.clone()).unwrap_or_default(),
            occurred: occurred.map_or_else(|| "unknown".to_owned(), super::occurred::Occurred::words),
            note: None,
        }
    };
    let is_open = round.met.is_none() && answer != Answer::Void;
    let left = round.due.latest.filter(|_| is_open).and_then(|latest| latest.0.checked_sub(today.0));
    DeadlineReading {
        deadline: deadline.name.clone(),
        title: deadline.title.clone(),
        entity: (round.clock.entity != EntityId::CASE).then(|| entity.id.to_string()),
        kind: entity.kind.map(|kind| definition.kinds[kind.index()].name.clone()),
        round: round.told_number(),
        due: DueReading::of(round),
        begins: round.begins.earliest,
        on: today,
        answer,
        ran_out: answer == Answer::Missed && round.met.is_none() && matches!(deadline.missed, Missed::Notice),
        why,
        days_left: left,
        started_by: mention(round.clock.started_by.version),
        met_by: round.met.map(|met| mention(met.version)),
        void_by: round
            .clock
            .void
            .as_ref()
            .or(round.clock.lapsed_by())
            .filter(|_| round.met.is_none())
            .map(|void| mention(void.version)),
        adjusted_by: round.adjusted.iter().map(|mark| mark.version).collect(),
        counted: deadline.due_in_words(),
        calendar: deadline
            .calendar()
            .and_then(|id| definition.calendars.get(id.index()))
            .map(crate::definition::calendar::Calendar::pin),
        basis: deadline.basis.clone(),
    }
}
