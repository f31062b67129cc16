//! Everything that is told of a case in a document, gathered once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use casebook_engine::case::course::{Course, CourseEvent, course};
use casebook_engine::case::deadline::Answer;
use casebook_engine::case::deadline_reading::{DeadlineReading, deadlines};
use casebook_engine::case::event::{ProposedEvent, Version, engine_types};
use casebook_engine::case::occurred::Day;
use casebook_engine::case::reading::{Change, Cut, HistoryEntry, StatusReading};
use casebook_engine::case::state::CaseState;
use casebook_engine::case::telling;
use casebook_engine::definition::Definition;
use casebook_engine::verify::Verification;
use serde::Serialize;

use crate::narrative::as_it_happened;
use crate::words::Titles;

/// A case as documents tell it.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its status now.
    pub status: StatusReading,
    /// Its events, in the order in which they happened; notes stand after what they are about.
    pub entries: Vec<HistoryEntry>,
    /// Strands and events over time.
    pub course: Course,
    /// The day for which deadlines are answered.
    pub day: Day,
    /// What the log was, signed.
    pub checkpoint: Option<Checkpointed>,
    /// What the log's last seal says of the case.
    pub sealed: Option<SealedEnd>,
    /// What verification found; `None` where it was not asked for.
    pub verification: Option<Verification>,
    /// What is wrong with the journal, where its end can't be read.
    pub damage: Option<String>,
    /// Facts that came into the record after facts that happened later.
    pub late: Vec<LateFact>,
    /// What came into the record on which day.
    pub recorded: Vec<RecordedOn>,
    pub(crate) titles: Titles,
    places: HashMap<Version, usize>,
}

/// What a seal of the log says of the case: that it is whole.
#[derive(Debug, Clone, Serialize)]
pub struct SealedEnd {
    /// How many events the case had.
    pub events: u64,
    /// Leaf hash of the last, base64.
    pub head: String,
    /// How many events the log had.
    pub size: u64,
    /// Where the seal stands in the log.
    pub position: u64,
    /// When it was recorded.
    pub recorded_at: String,
}

/// A signed checkpoint, as it is printed.
#[derive(Debug, Clone, Serialize)]
pub struct Checkpointed {
    /// The log's name.
    pub origin: String,
    /// How many events it had.
    pub size: u64,
    /// The root of the tree over them, base64.
    pub root: String,
    /// The note, as it is kept.
    pub note: String,
    /// The public key that signed.
    pub vkey: String,
}

/// A fact that the record learned late, and what it changed of a day in the past.
#[derive(Debug, Clone, Serialize)]
pub struct LateFact {
    /// The event.
    pub version: Version,
    /// The day for which the record said something else until then.
    pub day: Option<String>,
    /// What it changed of that day.
    pub changed: Vec<Change>,
}

/// What came into the record on one day.
#[derive(Debug, Clone, Serialize)]
pub struct RecordedOn {
    /// The day, in the definition's time zone.
    pub day: String,
    /// The first event of that day.
    pub first: Version,
    /// The last one.
    pub last: Version,
    /// Who recorded: id and role, and how many.
    pub by: Vec<(String, usize)>,
    /// What the status was different in at the end of it.
    pub changed: Vec<Change>,
}

/// Events counted by what is remarkable about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Events of the log.
    pub events: usize,
    /// Recorded against a rule.
    pub overrides: usize,
    /// Breaches noted.
    pub breaches: usize,
    /// Gaps that nothing closed.
    pub open_gaps: usize,
    /// Gaps that an event closed later.
    pub closed_gaps: usize,
    /// Corrections.
    pub corrections: usize,
    /// Annulments.
    pub annulments: usize,
    /// Facts recorded after facts that happened later.
    pub late: usize,
    /// Duties that were not done in time.
    pub deadlines_missed: usize,
    /// Deadlines that ran out without being a duty: nobody used the time that there was.
    pub deadlines_ran_out: usize,
    /// Deadlines of which what is known does not tell whether they were met.
    pub deadlines_undecided: usize,
}

impl Account {
    /// Gathers a case. `history`: its events in timeline order, as the engine tells them; `day`: for which deadlines are
    /// answered.
    #[must_use]
    pub fn of(state: &CaseState, history: Vec<HistoryEntry>, definition: Arc<Definition>, day: Day) -> Self {
        let mut status = telling::status(state, Cut::default());
        status.deadlines = deadlines(state, day);
        let course = course(state);
        let places = course.events.iter().enumerate().map(|(index, event)| (event.version, index)).collect();
        let mut account = Self {
            status,
            entries: as_it_happened(history),
            late: Vec::new(),
            recorded: recorded_on(state),
            titles: Titles::of(Some(definition)),
            checkpoint: None,
            sealed: None,
            verification: None,
            damage: None,
            course,
            day,
            places,
        };
        account.late = account
            .entries
            .iter()
            .filter(|entry| entry.late)
            .map(|entry| account.late_fact(state, entry))
            .collect();
        account
    }

    /// An event of the course, by version; corrections and notes are none.
    #[must_use]
    pub fn event(&self, version: Version) -> Option<&CourseEvent> {
        self.places.get(&version).map(|place| &self.course.events[*place])
    }

    /// An entry of the history, by version.
    #[must_use]
    pub fn entry(&self, version: Version) -> Option<&HistoryEntry> {
        self.entries.iter().find(|entry| entry.event.version == version)
    }

    /// How many of what.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let of_type =
            |name: &str| self.entries.iter().filter(|entry| entry.event.proposed.event_type == name).count();
        let answered = |answer: Answer| {
            self.status.deadlines.iter().filter(|deadline| deadline.answer == answer).count()
        };
        let missed: Vec<_> =
            self.status.deadlines.iter().filter(|deadline| deadline.answer == Answer::Missed).collect();
        let ran_out = missed.iter().filter(|deadline| deadline.ran_out).count();
        let closed = self.status.gaps.iter().filter(|gap| gap.closed_by.is_some()).count();
        Counts {
            events: self.entries.len(),
            overrides: self.status.overrides.len(),
            breaches: self.status.breaches.len(),
            open_gaps: self.status.gaps.len() - closed,
            closed_gaps: closed,
            corrections: of_type(engine_types::EVENT_CORRECTED),
            annulments: of_type(engine_types::EVENT_ANNULLED),
            late: self.late.len(),
            deadlines_missed: missed.len() - ran_out,
            deadlines_ran_out: ran_out,
            deadlines_undecided: answered(Answer::Indeterminate),
        }
    }

    /// Deadlines in the order in which people ask: what went wrong, what is open, what is over.
    #[must_use]
    pub fn deadlines(&self) -> Vec<&DeadlineReading> {
        let rank = |deadline: &DeadlineReading| match deadline.answer {
            Answer::Missed if deadline.ran_out => 3,
            Answer::Missed => 0,
            Answer::Indeterminate => 1,
            Answer::Running | Answer::Paused => 2,
            Answer::Met => 4,
            Answer::Void => 5,
        };
        let mut deadlines: Vec<&DeadlineReading> = self.status.deadlines.iter().collect();
        deadlines.sort_by_key(|deadline| rank(deadline));
        deadlines
    }

    /// Who recorded, as `id (role)`, and how many events.
    #[must_use]
    pub fn recorders(&self) -> Vec<(String, usize)> {
        counted(self.entries.iter().map(|entry| recorder(&entry.event.proposed)))
    }

    /// Whose decisions are recorded, and which events they are.
    #[must_use]
    pub fn deciders(&self) -> Vec<(String, Vec<Version>)> {
        let mut deciders: BTreeMap<String, Vec<Version>> = BTreeMap::new();
        for entry in &self.entries {
            if let Some(decider) = decider(&entry.event.proposed) {
                deciders.entry(decider).or_default().push(entry.event.version);
            }
        }
        deciders.into_iter().collect()
    }

    /// The source that more than half of the events name: it is said once.
    #[must_use]
    pub fn common_source(&self) -> Option<String> {
        let sources = self.entries.iter().filter_map(|entry| source(&entry.event.proposed));
        let most = counted(sources).into_iter().max_by_key(|(_, count)| *count)?;
        (most.1 * 2 > self.entries.len()).then_some(most.0)
    }

    /// Days from the last day on which an event can have happened to the day on which it was recorded.
    #[must_use]
    pub fn lag_days(&self, entry: &HistoryEntry) -> Option<i32> {
        let latest = self.event(entry.event.version)?.bounds.latest?;
        let recorded = self.titles.definition()?.day_of(entry.event.recorded_at);
        Some(recorded.0.saturating_sub(latest.0)).filter(|days| *days > 0)
    }

    fn late_fact(&self, state: &CaseState, entry: &HistoryEntry) -> LateFact {
        let version = entry.event.version;
        let bounds = self.event(version).map(|event| event.bounds);
        let Some(day) = bounds.and_then(|bounds| bounds.latest.or(bounds.earliest)) else {
            return LateFact { version, day: None, changed: Vec::new() };
        };
        let known = |version: u64| {
            let cut = Cut { version: Some(Version(version)), at: Some(day), ..Cut::default() };
            telling::cut(state, cut).0
        };
        let changed = telling::diff(&known(version.0.saturating_sub(1)), &known(version.0)).changed;
        LateFact { version, day: Some(day.to_string()), changed }
    }
}

fn recorded_on(state: &CaseState) -> Vec<RecordedOn> {
    let mut days: Vec<(Day, Version, Version, Vec<String>)> = Vec::new();
    for event in state.log() {
        let day = state.definition().day_of(event.recorded_at);
        let by = recorder(&event.proposed);
        match days.last_mut() {
            Some(last) if last.0 == day => {
                last.2 = event.version;
                last.3.push(by);
            }
            _ => days.push((day, event.version, event.version, vec![by])),
        }
    }
    let known = |version: Version| telling::cut(state, Cut { version: Some(version), ..Cut::default() }).0;
    let mut before: Option<CaseState> = None;
    days.into_iter()
        .map(|(day, first, last, by)| {
            let after = known(last);
            let changed =
                before.as_ref().map(|before| telling::diff(before, &after).changed).unwrap_or_default();
            before = Some(after);
            RecordedOn { day: day.to_string(), first, last, by: counted(by.into_iter()), changed }
        })
        .collect()
}

fn counted(names: impl Iterator<Item = String>) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    counts.into_iter().collect()
}

/// Who recorded: `officer-1 (caseworker)`.
pub(super) fn recorder(said: &ProposedEvent) -> String {
    format!("{} ({})", said.recorded_by.id, said.recorded_by.role)
}

/// Whose decision: `court`, `panel, chair chair-1`.
pub(super) fn decider(said: &ProposedEvent) -> Option<String> {
    let decider = said.decided_by.as_ref()?;
    let person = [decider.role.as_deref(), decider.id.as_deref()];
    let person: Vec<&str> = person.into_iter().flatten().collect();
    let body = decider.body.replace('-', " ");
    Some(if person.is_empty() { body } else { format!("{body}, {}", person.join(" ")) })
}

/// Where the knowledge came from.
pub(super) fn source(said: &ProposedEvent) -> Option<String> {
    let source = said.source.as_ref()?;
    let kind = serde_json::to_value(source.kind).ok()?.as_str()?.replace('-', " ");
    Some(match &source.reference {
        Some(reference) => format!("{reference} ({kind})"),
        None => kind,
    })
}
