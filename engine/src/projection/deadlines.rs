//! The deadlines of all cases that somebody may still have to do something about, in the order in which they are due.
//!
//! No answer is stored: days pass without any event. Each entry keeps the days between which it is due, and is answered for
//! the day of the question.
//!
//! ```text
//! d/<due day>\0<reference>\0<number>   an entry, JSON; `due day` is the earliest on which it can be due, or the latest
//!                                      where only that is known
//! u/<reference>\0<number>              an entry of which no due day is known
//! b/<day>\0<reference>                 from that day on, the case's repeating deadlines have rounds that are not listed
//! m/<reference>                        the case missed something before the duty fell away: nothing to do, but to note
//! k/<reference>\0<key>                 the keys above that the case has, to take them away again
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{ByCase, PAGE_ENTRIES, each, limit_of};
use crate::case::day::Day;
use crate::case::deadline::{Answer, Round, rounds};
use crate::case::deadline_reading::{DeadlineReading, DueReading, falls_due, may_be_late, reading};
use crate::case::event::{CaseId, Version};
use crate::case::state::CaseState;
use crate::definition::deadline::{Missed, Repeats};
use crate::engine::Engine;
use crate::store::{CaseKey, ModelWrite, ReadError, StorageError};

/// The model's name; the number changes with its shape, and an older one is left behind and rebuilt.
pub const MODEL: &str = "deadlines-3";

/// How many days after a case's last event the rounds of its repeating deadlines are listed; further ones are added when
/// somebody asks about days that lie beyond.
const AHEAD_DAYS: i32 = 730;

/// The furthest that can be asked about: ten years. Every round until then is listed.
pub const WITHIN_DAYS_MAX: u32 = 3_653;

/// Which deadlines to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadlineFilter {
    /// Only those that are missed, or may be, on the day of the question.
    pub overdue: bool,
    /// Only those that fall due within so many days, today included, by the earliest day on which they can be due; at most
    /// [`WITHIN_DAYS_MAX`].
    pub within: Option<u32>,
    /// At most this many; 0: 100.
    pub limit: usize,
}

/// A deadline of one of many cases, on the day of the question.
#[derive(Debug, Clone, Serialize)]
pub struct CaseDeadline {
    /// The case's reference.
    pub reference: String,
    /// `name@version` of its definition.
    pub workflow: String,
    /// The deadline's name.
    pub deadline: String,
    /// What people call it.
    pub title: String,
    /// Whose it is; `None` for the case.
    pub entity: Option<String>,
    /// Which start of it, or which round, from 1.
    pub round: u32,
    /// When it is due.
    pub due: DueReading,
    /// What can be said of it.
    pub answer: Answer,
    /// It is missed, and the definition makes nothing of that but a notice: see [`DeadlineReading::ran_out`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ran_out: bool,
    /// Why, where that is not plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Days from today to the latest due day; negative once it has passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_left: Option<i32>,
    /// The version of the event that started it.
    pub started_by: Version,
    /// Name and version of the calendar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calendar: Option<String>,
}

/// An open round as it is stored: without an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    workflow: String,
    deadline: String,
    title: String,
    entity: Option<String>,
    round: u32,
    due: DueReading,
    /// The first day of the round, where that is known.
    begins: Option<Day>,
    started_by: u64,
    calendar: Option<String>,
    is_endless: bool,
    /// Whether a miss is nothing but a time that ran out.
    runs_out: bool,
    stands_still: bool,
    /// Why a due day, or the duty itself, is not known.
    doubt: Option<String>,
    /// Whether it is not known that the duty exists.
    is_doubtful: bool,
}

/// The list of one engine.
#[derive(Debug)]
pub(crate) struct DeadlineList(ByCase);

impl DeadlineList {
    pub(crate) fn new() -> Self {
        Self(ByCase::new(MODEL))
    }

    /// Reads the log from the model's checkpoint to its head.
    pub(crate) fn catch_up(&self, engine: &Engine) -> Result<(), ReadError> {
        self.0.catch_up(engine, |case_id, writes| enter(engine, case_id, None, writes))
    }

    /// The deadlines that pass the filter on a day, in the order in which they are due; each case's days end in its own zone.
    pub(crate) fn find(
        &self,
        engine: &Engine,
        filter: &DeadlineFilter,
        today: &dyn Fn(&str) -> Day,
        latest_today: Day,
    ) -> Result<Vec<CaseDeadline>, ReadError> {
        let limit = limit_of(filter.limit);
        let (from, to) = span(filter, latest_today);
        self.list_until(engine, to.unwrap_or(latest_today).max(latest_today))?;
        let mut found: Vec<CaseDeadline> = Vec::new();
        let after = from.map(|from| [b"d/", day_key(Day(from.0 - 1)).as_bytes(), b"\xff"].concat());
        each(engine, MODEL, b"d/", after, |key, value| {
            if to.is_some_and(|to| &key[2..10] > day_key(to).as_bytes()) {
                return Ok(false);
            }
            found.extend(answered(&reference_in(&key[11..]), read(value)?, filter, today));
            Ok(found.len() < limit)
        })?;
        // What has no due day at all comes last; it may be late, and does not fall due within so many days.
        if filter.within.is_none() && found.len() < limit {
            each(engine, MODEL, b"u/", None, |key, value| {
                found.extend(answered(&reference_in(&key[2..]), read(value)?, filter, today));
                Ok(found.len() < limit)
            })?;
        }
        Ok(found)
    }

    /// Cases that missed something before the duty fell away: those that only a note can still concern.
    pub(crate) fn missed_for_good(engine: &Engine) -> Result<BTreeSet<String>, ReadError> {
        let mut cases = BTreeSet::new();
        each(engine, MODEL, b"m/", None, |key, _| {
            cases.insert(reference_in(&key[2..]));
            Ok(true)
        })?;
        Ok(cases)
    }

    /// Lists the rounds that begin by a day, of the cases whose repeating deadlines are not listed so far.
    fn list_until(&self, engine: &Engine, to: Day) -> Result<(), ReadError> {
        let _turn = self.0.turn();
        let store = engine.store().as_ref();
        loop {
            let mut short = Vec::new();
            each(engine, MODEL, b"b/", None, |key, _| {
                if &key[2..10] > day_key(to).as_bytes() {
                    return Ok(false);
                }
                short.push(reference_in(&key[11..]));
                Ok(short.len() < PAGE_ENTRIES)
            })?;
            if short.is_empty() {
                return Ok(());
            }
            let mut writes = Vec::new();
            for reference in short {
                if let Some(head) = store.head_of(&CaseKey::Reference(reference))? {
                    enter(engine, head.case_id, Some(Day(to.0 + AHEAD_DAYS)), &mut writes)?;
                }
            }
            store.models().write(MODEL, store.models().checkpoint(MODEL)?, &writes)?;
        }
    }
}

/// The due days in question: from, to.
fn span(filter: &DeadlineFilter, today: Day) -> (Option<Day>, Option<Day>) {
    match (filter.overdue, filter.within) {
        (true, _) => (None, Some(Day(today.0 - 1))),
        // Somewhere it is still the day before.
        (false, Some(days)) => {
            let days = i32::try_from(days.min(WITHIN_DAYS_MAX)).unwrap_or(0);
            (Some(Day(today.0 - 2)), Some(Day(today.0 + days)))
        }
        (false, None) => (None, None),
    }
}

fn answered(
    reference: &str,
    entry: Entry,
    filter: &DeadlineFilter,
    today: &dyn Fn(&str) -> Day,
) -> Option<CaseDeadline> {
    let today = today(&entry.workflow);
    let (answer, why) = entry.answer(today);
    let is_wanted = match (filter.overdue, filter.within) {
        (true, _) => may_be_late(answer, entry.due, entry.begins, today),
        (false, Some(days)) => falls_due(entry.due, today, days),
        (false, None) => entry.begins.is_none_or(|begins| begins <= today),
    };
    is_wanted.then(|| CaseDeadline {
        reference: reference.to_owned(),
        workflow: entry.workflow,
        deadline: entry.deadline,
        title: entry.title,
        entity: entry.entity,
        round: entry.round,
        due: entry.due,
        answer,
        ran_out: answer == Answer::Missed && entry.runs_out,
        why,
        days_left: entry.due.latest.and_then(|latest| latest.0.checked_sub(today.0)),
        started_by: Version(entry.started_by),
        calendar: entry.calendar,
    })
}

impl Entry {
    fn of(state: &CaseState, round: &Round<'_>, today: Day) -> Self {
        let DeadlineReading { deadline, title, entity, round: number, due, calendar, .. } =
            reading(state, round, today);
        let unknown = round.doubt().map(str::to_owned);
        Self {
            workflow: state.definition().pin(),
            deadline,
            title,
            entity,
            round: number,
            due,
            begins: round.begins.earliest,
            started_by: round.clock.started_by.version.0,
            calendar,
            is_endless: round.due.is_endless,
            runs_out: matches!(
                state.definition().deadlines[round.clock.deadline.index()].missed,
                Missed::Notice
            ),
            stands_still: round.stands_still(),
            is_doubtful: unknown.is_some(),
            doubt: unknown.or_else(|| round.due.doubt.clone()),
        }
    }

    /// What [`Round::answer`] says of a round that nothing has met or made void.
    fn answer(&self, today: Day) -> (Answer, Option<String>) {
        let undecided = || {
            (
                Answer::Indeterminate,
                Some(self.doubt.clone().unwrap_or_else(|| "the dates do not decide".to_owned())),
            )
        };
        if self.is_doubtful {
            return undecided();
        }
        match (self.due.earliest, self.due.latest) {
            (_, Some(latest)) if today > latest => (Answer::Missed, None),
            (Some(_), None) if self.stands_still => (Answer::Paused, None),
            (Some(earliest), _) if today <= earliest => (Answer::Running, None),
            _ if self.is_endless => (Answer::Running, None),
            _ => undecided(),
        }
    }
}

/// The day from which a case has rounds that are not among these.
fn listed_until(state: &CaseState, rounds: &[Round<'_>], until: Day) -> Option<Day> {
    let more = rounds.iter().filter(|round| {
        let deadline = &state.definition().deadlines[round.clock.deadline.index()];
        matches!(deadline.repeats, Some(Repeats::FromEnd(_)))
            && !round.clock.is_closed
            && round.clock.lapsed_by().is_none()
    });
    // The last round of each such clock is the one that ends on or after the day.
    let ends = more.filter_map(|round| round.due.latest).filter(|latest| *latest >= until);
    ends.min().map(|end| Day(end.0 + 1))
}

/// Writes the open deadlines of a case, and takes away those that it had. Rounds are listed that begin by `until`, or by
/// [`AHEAD_DAYS`] after the last event where that is later.
fn enter(
    engine: &Engine,
    case_id: CaseId,
    until: Option<Day>,
    writes: &mut Vec<ModelWrite>,
) -> Result<(), ReadError> {
    let loaded = engine.replay(case_id)?;
    let state = &loaded.state;
    let Some(last) = state.log().last() else { return Ok(()) };
    let reference = state.log()[0].case.clone();
    let ahead = Day(state.definition().day_of(last.recorded_at).0 + AHEAD_DAYS);
    let until = until.map_or(ahead, |until| until.max(ahead));
    let all = rounds(state, until);
    let beyond = listed_until(state, &all, until);
    let is_open = |round: &&Round<'_>| round.is_open() && round.answer(until).0 != Answer::Void;
    let entries = all.iter().filter(is_open).map(|round| Entry::of(state, round, until));
    let mut keys: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for (number, entry) in entries.enumerate() {
        let own = format!("{reference}\0{number:04}");
        let key = match entry.due.earliest.or(entry.due.latest) {
            Some(day) => format!("d/{}\0{own}", day_key(day)),
            None => format!("u/{own}"),
        };
        keys.insert(key.into_bytes(), serde_json::to_vec(&entry).map_err(|error| broken(&error))?);
    }
    if let Some(day) = beyond {
        keys.insert(format!("b/{}\0{reference}", day_key(day)).into_bytes(), Vec::new());
    }
    let is_gone = |round: &Round<'_>| round.met.is_none() && !round.is_open();
    if all.iter().any(|round| is_gone(round) && round.answer(until).0 == Answer::Missed) {
        keys.insert(format!("m/{reference}\0").into_bytes(), Vec::new());
    }
    let prefix = format!("k/{reference}\0").into_bytes();
    for old in keys_of(engine, &prefix)? {
        if !keys.contains_key(&old) {
            writes.push(([&prefix[..], &old].concat(), None));
            writes.push((old, None));
        }
    }
    for (key, value) in keys {
        writes.push(([&prefix[..], &key].concat(), Some(Vec::new())));
        writes.push((key, Some(value)));
    }
    Ok(())
}

fn keys_of(engine: &Engine, prefix: &[u8]) -> Result<BTreeSet<Vec<u8>>, ReadError> {
    let mut keys = BTreeSet::new();
    each(engine, MODEL, prefix, None, |key, _| {
        keys.insert(key[prefix.len()..].to_vec());
        Ok(true)
    })?;
    Ok(keys)
}

/// A day whose text sorts as the day does.
fn day_key(day: Day) -> String {
    format!("{:08x}", i64::from(day.0) - i64::from(i32::MIN))
}

/// The reference at the start of what follows a day in a key.
fn reference_in(rest: &[u8]) -> String {
    let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
    String::from_utf8_lossy(&rest[..end]).into_owned()
}

fn read(value: &[u8]) -> Result<Entry, ReadError> {
    serde_json::from_slice(value).map_err(|error| broken(&error))
}

fn broken(error: &serde_json::Error) -> ReadError {
    let problem = error.to_string();
    ReadError::Storage(StorageError::new("reading the list of deadlines", problem))
}
