//! Deadlines of a case: when each is due, and what can be said of it on a certain day.
//!
//! Pure, and never stored: a case that nobody touches has other answers tomorrow. So every answer is for a day that the
//! caller names. Vague dates give an earliest and a latest due day; what they do not decide is *indeterminate*.

use super::clock::{Change, Clock, Existence, Happening, Lapse, Mark, Pause};
use super::day::Day;
use super::occurred::{Bounds, Occurred};
use super::period::{NotCounted, end, shifted, without};
use super::state::CaseState;
use crate::definition::Definition;
use crate::definition::calendar::Calendar;
use crate::definition::deadline::{Deadline, Due, Repeats};
use crate::definition::period::{Counting, Length, Unit};

/// The most rounds of one repeating deadline that are told of: twenty years of days. What comes after is not decided.
const ROUNDS_MAX: usize = 7_500;

const NOT_KNOWN: &str = "it is not known whether the duty exists";
const TOO_MANY: &str = "it has more rounds than are counted";
const PERHAPS_GONE: &str = "it may have been due before the duty fell away";

/// What can be said of a deadline on a certain day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// What had to happen did, definitely in time.
    Met,
    /// It definitely did not happen in time.
    Missed,
    /// There is still time.
    Running,
    /// The clock stands still.
    Paused,
    /// What is known does not decide.
    Indeterminate,
    /// The duty fell away.
    Void,
}

/// One round of a deadline: from a start to what meets it.
#[derive(Debug, Clone)]
pub struct Round<'c> {
    /// The clock that it belongs to.
    pub clock: &'c Clock,
    /// Which round of that clock, from 1; more than 1 only where a deadline repeats from its end.
    pub number: u32,
    /// The day from which it is counted.
    pub begins: Bounds,
    /// When it is due.
    pub due: DueDays,
    /// What met it.
    pub met: Option<&'c Mark>,
    /// What adjusted it.
    pub adjusted: Vec<&'c Mark>,
    changes: Vec<&'c Change>,
}

/// The days on which a round can be due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DueDays {
    /// It may not happen before this day.
    pub not_before: Option<Bounds>,
    /// It is due at the end of this day, or later.
    pub earliest: Option<Day>,
    /// It is due at the end of this day, or sooner.
    pub latest: Option<Day>,
    /// It has no last day.
    pub is_endless: bool,
    /// Why a day is missing.
    pub doubt: Option<String>,
}

impl Answer {
    const ALL: [Self; 6] =
        [Self::Met, Self::Missed, Self::Running, Self::Paused, Self::Indeterminate, Self::Void];

    /// The answer that is written so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|answer| answer.name() == name)
    }

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Indeterminate => "indeterminate",
            Self::Void => "void",
        }
    }

    /// Whether somebody may still have to do something.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

/// Every round of every deadline of the case that has begun by `today`, in the order in which the clocks started.
#[must_use]
pub fn rounds(state: &CaseState, today: Day) -> Vec<Round<'_>> {
    let definition = state.definition();
    state
        .clocks()
        .iter()
        .filter(|clock| clock.exists != Existence::Never)
        .flat_map(|clock| rounds_of(definition, clock, today))
        .collect()
}

/// The rounds of one clock: those that something happened to, and those that have begun by `today`.
#[must_use]
pub fn rounds_of<'c>(definition: &Definition, clock: &'c Clock, today: Day) -> Vec<Round<'c>> {
    let counter = Counter::new(definition, clock);
    let mut rounds = vec![counter.first()];
    let every = match counter.deadline.repeats {
        Some(Repeats::FromEnd(every)) => Some(every),
        _ => None,
    };
    for happening in &clock.happened {
        let Some(at) = counter.concerned(&mut rounds, every, happening) else { continue };
        let round = &mut rounds[at];
        match happening {
            Happening::Met(mark) => round.met = Some(mark),
            Happening::Adjusted(mark, change) => {
                round.adjusted.push(mark);
                round.changes.push(change);
                round.due = counter.due(round);
            }
        }
    }
    if every.is_none() {
        return rounds;
    }
    let fell_away = clock.void.as_ref().or(clock.lapsed_by()).and_then(|mark| mark.when.latest);
    loop {
        let last = &rounds[rounds.len() - 1];
        let Some(ended) = last.due.latest else { break };
        // The next begins on the day after: where days are vague, from the first on which that can be.
        if last.due.earliest.unwrap_or(ended) >= today || fell_away.is_some_and(|day| day <= ended) {
            break;
        }
        let next = counter.next(last);
        if rounds.len() == ROUNDS_MAX {
            rounds[ROUNDS_MAX - 1].due = DueDays { doubt: Some(TOO_MANY.to_owned()), ..DueDays::default() };
            break;
        }
        rounds.push(next);
    }
    rounds
}

fn definitely_before(first: Option<Day>, second: Option<Day>) -> bool {
    first.zip(second).is_some_and(|(first, second)| first < second)
}

/// Whether the first may have begun when the second happened.
fn may_be_by(begins: Bounds, when: Bounds) -> bool {
    match (begins.earliest, when.latest) {
        (Some(begins), Some(when)) => begins <= when,
        _ => true,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Edge {
    Earliest,
    Latest,
}

impl Edge {
    fn of(self, bounds: Bounds) -> Option<Day> {
        match self {
            Self::Earliest => bounds.earliest,
            Self::Latest => bounds.latest,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Earliest => Self::Latest,
            Self::Latest => Self::Earliest,
        }
    }
}

/// A day that is not known, and why if that is more than a date left open.
type Found = Result<Option<Day>, NotCounted>;

struct Counter<'d, 'c> {
    deadline: &'d Deadline,
    calendar: Option<&'d Calendar>,
    clock: &'c Clock,
}

impl<'d, 'c> Counter<'d, 'c> {
    fn new(definition: &'d Definition, clock: &'c Clock) -> Self {
        let deadline = &definition.deadlines[clock.deadline.index()];
        let calendar = deadline.calendar().and_then(|id| definition.calendars.get(id.index()));
        Self { deadline, calendar, clock }
    }

    fn first(&self) -> Round<'c> {
        self.round(1, self.clock.from)
    }

    /// Which round something happened to; of a repeating deadline further rounds are added up to it.
    ///
    /// What meets it counts for the earliest round that has begun and is not met; an adjustment, where the deadline repeats,
    /// for the earliest that was not over by then.
    fn concerned(
        &self,
        rounds: &mut Vec<Round<'c>>,
        every: Option<Length>,
        happening: &Happening,
    ) -> Option<usize> {
        let is_open = |round: &Round<'_>| {
            round.met.is_none()
                && match happening {
                    Happening::Adjusted(mark, _) if every.is_some() => {
                        !definitely_before(round.due.latest, mark.when.earliest)
                    }
                    Happening::Adjusted(..) | Happening::Met(_) => true,
                }
        };
        loop {
            if let Some(at) = rounds.iter().position(is_open) {
                return Some(at);
            }
            every?;
            let next = self.next(&rounds[rounds.len() - 1]);
            let has_begun = match happening {
                Happening::Met(mark) => may_be_by(next.begins, mark.when),
                Happening::Adjusted(..) => true,
            };
            if !has_begun || rounds.len() >= ROUNDS_MAX {
                return None;
            }
            rounds.push(next);
        }
    }

    /// The round that begins on the day after another ends.
    fn next(&self, before: &Round<'c>) -> Round<'c> {
        let after = |day: Option<Day>| day.map(|day| Day(day.0 + 1));
        let begins = Bounds { earliest: after(before.due.earliest), latest: after(before.due.latest) };
        let mut round = self.round(before.number + 1, begins);
        if round.due.doubt.is_none() {
            round.due.doubt.clone_from(&before.due.doubt);
        }
        round
    }

    fn round(&self, number: u32, begins: Bounds) -> Round<'c> {
        let mut round = Round {
            clock: self.clock,
            number,
            begins,
            due: DueDays::default(),
            met: None,
            adjusted: Vec::new(),
            changes: Vec::new(),
        };
        round.due = self.due(&round);
        round
    }

    /// How this round is counted.
    fn terms(&self, round: &Round<'_>) -> (Option<Length>, Counting) {
        match self.deadline.repeats {
            Some(Repeats::FromEnd(every)) if round.number > 1 => (Some(every), Counting::IncludingThatDay),
            _ if self.clock.rolled => (self.clock.length, Counting::DayAfter),
            _ => (self.clock.length, self.deadline.counting().unwrap_or(Counting::DayAfter)),
        }
    }

    fn due(&self, round: &Round<'_>) -> DueDays {
        let mut due = DueDays::default();
        let mut doubts = Vec::new();
        let mut known = |found: Found| {
            found.unwrap_or_else(|problem| {
                doubts.push(problem.to_string());
                None
            })
        };
        let is_window = matches!(self.deadline.due, Due::Window { no_later_than: None, .. });
        if let Due::Window { no_earlier_than: Some(length), counting, .. } = &self.deadline.due {
            let mut day = |edge: Edge| {
                // Where a window only opens, that day is what is adjusted and put off.
                if is_window {
                    return known(self.edge(round, edge, (Some(*length), *counting)));
                }
                let start = edge.of(restarted(round).unwrap_or(round.begins));
                known(start.map(|start| end(start, *length, *counting, self.calendar)).transpose())
            };
            due.not_before = Some(Bounds { earliest: day(Edge::Earliest), latest: day(Edge::Latest) });
        }
        due.is_endless = is_window;
        if !due.is_endless {
            due.earliest = known(self.edge(round, Edge::Earliest, self.terms(round)));
            due.latest = known(self.edge(round, Edge::Latest, self.terms(round)));
        }
        due.doubt = doubts.into_iter().next();
        if due.doubt.is_none() && !due.is_endless && (due.earliest.is_none() || due.latest.is_none()) {
            let stands = self.clock.pauses.last().filter(|pause| pause.until.is_none());
            due.doubt = Some(if let Some(pause) = stands {
                let words = if pause.is_certain { "the" } else { "it is not known whether the" };
                format!("{words} clock stands still")
            } else if self.clock.length.is_none() && self.clock.at.is_none() {
                "the event that started it does not say how long".to_owned()
            } else {
                "the date from which it is counted is not known exactly".to_owned()
            });
        }
        due
    }

    fn edge(&self, round: &Round<'_>, edge: Edge, (length, counting): (Option<Length>, Counting)) -> Found {
        let count = |start: Option<Day>| -> Found {
            let (Some(start), Some(length)) = (start, length) else { return Ok(None) };
            end(start, length, counting, self.calendar).map(Some)
        };
        let mut start = edge.of(round.begins);
        let mut day = match self.clock.at {
            Some(at) if round.number == 1 => edge.of(at),
            _ => count(start)?,
        };
        let mut spans = self.paused(edge);
        for change in &round.changes {
            match change {
                Change::By(length, sign) => {
                    day = day.map(|day| shifted(day, *length, *sign, self.calendar)).transpose()?;
                }
                Change::Until(bounds) => day = edge.of(*bounds),
                Change::Restarted(from) => {
                    start = edge.of(*from);
                    day = count(start)?;
                }
                Change::LeftOut(from, until) => spans = and_span(spans, *from, *until, edge),
            }
        }
        let (Some(day), Some(spans)) = (day, spans) else { return Ok(None) };
        let unit = length.map_or(Unit::Days, |length| length.unit);
        let first = start.or(edge.of(round.begins)).unwrap_or(day).min(day);
        let end = without(first, day, &spans, unit, self.calendar)?;
        Ok(Some(end).filter(|end| edge == Edge::Earliest || !self.may_stand_on(*end)))
    }

    /// The spans in which the clock stood still and goes again: the shortest that they can be for the earliest day, the
    /// longest for the latest; `None` where a span may never have ended.
    fn paused(&self, edge: Edge) -> Option<Vec<(Day, Day)>> {
        let ended = self.clock.pauses.iter().filter(|pause| pause.is_certain || edge == Edge::Latest);
        let mut ended = ended.filter_map(|Pause { from, until, .. }| Some((*from, (*until)?)));
        ended.try_fold(Vec::new(), |spans, (from, until)| and_span(Some(spans), from, until, edge))
    }

    /// Whether the clock may have stood still on its last day, and may still: then there is no last day yet.
    fn may_stand_on(&self, end: Day) -> bool {
        let open = self.clock.pauses.last().filter(|pause| pause.until.is_none());
        // What stops after the end takes nothing out of account.
        open.is_some_and(|pause| !definitely_before(Some(end), pause.from.earliest))
    }
}

/// The day from which a restarted round is counted.
fn restarted(round: &Round<'_>) -> Option<Bounds> {
    round.changes.iter().rev().find_map(|change| match change {
        Change::Restarted(from) => Some(*from),
        _ => None,
    })
}

fn and_span(
    spans: Option<Vec<(Day, Day)>>,
    from: Bounds,
    until: Bounds,
    edge: Edge,
) -> Option<Vec<(Day, Day)>> {
    let mut spans = spans?;
    match (edge.other().of(from), edge.of(until)) {
        (Some(from), Some(until)) if from < until => spans.push((from, until)),
        (Some(_), Some(_)) => {}
        // The shortest that an open span can be is nothing; the longest has no end.
        _ if edge == Edge::Latest => return None,
        _ => {}
    }
    Some(spans)
}

impl Round<'_> {
    /// What can be said of it on a day, and why where that is not plain.
    #[must_use]
    pub fn answer(&self, today: Day) -> (Answer, Option<String>) {
        let gone = || (Answer::Void, Some("the duty no longer exists".to_owned()));
        let (answer, why) = self.answer_if_owed(today);
        match self.clock.exists {
            _ if matches!(answer, Answer::Met | Answer::Void) && self.clock.exists != Existence::Unknown => {
                return (answer, why);
            }
            Existence::Never => return gone(),
            Existence::Unknown if answer != Answer::Void => {
                return (Answer::Indeterminate, Some(NOT_KNOWN.to_owned()));
            }
            _ => {}
        }
        match self.in_lapse() {
            Some(true) => gone(),
            Some(false) => (answer, why),
            None => (Answer::Indeterminate, Some(PERHAPS_GONE.to_owned())),
        }
    }

    /// Why it is not known whether this round is owed at all, on whatever day; `None` where it is.
    #[must_use]
    pub fn doubt(&self) -> Option<&'static str> {
        match self.clock.exists {
            Existence::Unknown => Some(NOT_KNOWN),
            _ if self.in_lapse().is_none() => Some(PERHAPS_GONE),
            _ => None,
        }
    }

    /// Whether it was due while the duty did not exist; `None` where the dates do not decide.
    fn in_lapse(&self) -> Option<bool> {
        let mut answer = Some(false);
        for Lapse { ended_by, until } in &self.clock.lapses {
            let is_back = until.is_some_and(|until| {
                until.latest.zip(self.due.earliest).is_some_and(|(until, due)| until <= due)
            });
            if is_back {
                continue;
            }
            let goes_on = until.is_none_or(|until| definitely_before(self.due.latest, until.earliest));
            match self.was_due_before(ended_by.when) {
                Some(true) => {}
                Some(false) if goes_on => return Some(true),
                _ => answer = None,
            }
        }
        answer
    }

    /// Whether it was due when the duty fell away; `None` where the dates do not decide. Without dates nobody is accused.
    fn was_due_before(&self, when: Bounds) -> Option<bool> {
        let DueDays { earliest, latest, .. } = self.due;
        if definitely_before(latest, when.earliest) {
            return Some(true);
        }
        let is_undated = latest.is_none() || when == Bounds::OPEN;
        let fell_in_time = earliest.zip(when.latest).is_some_and(|(due, when)| when <= due);
        (is_undated || fell_in_time).then_some(false)
    }

    fn answer_if_owed(&self, today: Day) -> (Answer, Option<String>) {
        let undecided = || {
            let why = self.due.doubt.clone().unwrap_or_else(|| "the dates do not decide".to_owned());
            (Answer::Indeterminate, Some(why))
        };
        if let Some(met) = self.met {
            return match self.in_time(met.when) {
                Some(Ok(())) => (Answer::Met, None),
                Some(Err(why)) => (Answer::Missed, Some(why.to_owned())),
                None => undecided(),
            };
        }
        if let Some(void) = &self.clock.void {
            return match self.was_due_before(void.when) {
                Some(true) => (Answer::Missed, Some("it was due before the duty fell away".to_owned())),
                Some(false) => (Answer::Void, None),
                None => (Answer::Indeterminate, Some(PERHAPS_GONE.to_owned())),
            };
        }
        match (self.due.earliest, self.due.latest) {
            (_, Some(latest)) if today > latest => (Answer::Missed, None),
            (Some(_), None) if self.stands_still() => (Answer::Paused, None),
            (Some(earliest), _) if today <= earliest => (Answer::Running, None),
            _ if self.due.is_endless => (Answer::Running, None),
            _ => undecided(),
        }
    }

    /// Whether the clock stands still at the end of the timeline.
    #[must_use]
    pub fn stands_still(&self) -> bool {
        self.clock.pauses.last().is_some_and(|pause| pause.until.is_none() && pause.is_certain)
    }

    /// Which start of its deadline, or which round of a repeating one, as people count, from 1.
    #[must_use]
    pub fn told_number(&self) -> u32 {
        self.clock.number + self.number - 1
    }

    /// Whether nothing has met it and nothing has ended the duty, in time or not.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.met.is_none() && self.clock.void.is_none() && self.clock.lapsed_by().is_none()
    }

    /// Whether something that happened then was in time; `None` where the dates do not decide.
    fn in_time(&self, when: Bounds) -> Option<Result<(), &'static str>> {
        let open = self.due.not_before.unwrap_or(Bounds::OPEN);
        if definitely_before(when.latest, open.earliest) {
            return Some(Err("it was too early"));
        }
        if definitely_before(self.due.latest, when.earliest) {
            return Some(Err("it was too late"));
        }
        let not_late =
            self.due.is_endless || self.due.earliest.zip(when.latest).is_some_and(|(due, when)| when <= due);
        let not_early = self.due.not_before.is_none()
            || open.latest.zip(when.earliest).is_some_and(|(open, when)| open <= when);
        (not_late && not_early).then_some(Ok(()))
    }

    /// When it is due, in words: `14 May 2021`, `between 1 May 2021 and 31 May 2021`.
    #[must_use]
    pub fn due_in_words(&self) -> String {
        due_words(self.due.earliest, self.due.latest)
    }
}

/// A due day in words.
#[must_use]
pub fn due_words(earliest: Option<Day>, latest: Option<Day>) -> String {
    let words = |day: Day| Occurred::on(day).words();
    match (earliest, latest) {
        (Some(earliest), Some(latest)) if earliest == latest => words(earliest),
        (Some(earliest), Some(latest)) => format!("between {} and {}", words(earliest), words(latest)),
        (Some(earliest), None) => format!("{} or later", words(earliest)),
        (None, Some(latest)) => format!("{} or sooner", words(latest)),
        (None, None) => "a day that is not known".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::case::event::{EventId, Position, ProposedEvent, RecordedEvent, Recorder, Version};
    use crate::definition::compile::tests::compiled;
    use crate::definition::deadlines::tests::SAMPLE;

    /// A case of these events: `TYPE person=P1 on=2021-05-10 field=value`.
    fn case(lines: &[&str]) -> CaseState {
        let definition = Arc::new(compiled(SAMPLE));
        let opening = ["case-opened on=2021-01-04", "person-named person=P1 on=2021-01-04"];
        let events = opening.iter().chain(lines).enumerate().map(|(index, line)| {
            let number = index as u64 + 1;
            (Position(number), event(line, number))
        });
        CaseState::replay(definition, events.collect::<Vec<_>>())
    }

    fn event(line: &str, number: u64) -> RecordedEvent {
        let mut words = line.split_whitespace();
        let by = Recorder { id: "clerk-1".into(), role: "clerk".into() };
        let mut proposed = ProposedEvent::new(words.next().unwrap(), by);
        for word in words {
            let (name, value) = word.split_once('=').unwrap();
            match name {
                "on" => proposed.occurred = Some(Occurred::parse(value).unwrap()),
                "person" | "claim" => _ = proposed.scope.insert(name.into(), value.into()),
                _ => {
                    let value =
                        serde_json::from_str(value).unwrap_or_else(|_| value.replace('_', " ").into());
                    proposed.data.insert(name.into(), value);
                }
            }
        }
        let id = EventId(uuid::Uuid::from_u128(u128::from(number)));
        RecordedEvent { id, ..RecordedEvent::imagined(proposed, Version(number)) }
    }

    fn day(text: &str) -> Day {
        Day::parse(text).unwrap()
    }

    /// The rounds of a deadline on a day, each as `answer earliest..latest`.
    #[track_caller]
    fn check(lines: &[&str], today: &str, deadline: &str, expected: &[&str]) {
        let state = case(lines);
        let definition = state.definition();
        let rounds = rounds(&state, day(today));
        let rounds =
            rounds.iter().filter(|round| definition.deadlines[round.clock.deadline.index()].name == deadline);
        let told: Vec<String> = rounds
            .map(|round| {
                let edge = |day: Option<Day>| day.map_or("?".to_owned(), |day| day.to_string());
                let (earliest, latest) = (edge(round.due.earliest), edge(round.due.latest));
                let due = if earliest == latest { earliest } else { format!("{earliest}..{latest}") };
                format!("{} {due}", round.answer(day(today)).0.name())
            })
            .collect();
        assert_eq!(told, expected);
    }

    const SERVED: &str = "notice-served person=P1 on=2021-05-10 manner=hand";

    #[test]
    fn time_alone_makes_a_running_deadline_a_missed_one() {
        check(&[SERVED], "2021-05-24", "answer", &["running 2021-05-24"]);
        check(&[SERVED], "2021-05-25", "answer", &["missed 2021-05-24"]);
        check(&[], "2021-05-25", "answer", &[]);
    }

    #[test]
    fn what_meets_it_meets_it_in_time_or_late() {
        let answered = |on: &str| format!("answer-received person=P1 on={on} is_full=true");
        check(&[SERVED, &answered("2021-05-24")], "2021-12-01", "answer", &["met 2021-05-24"]);
        check(&[SERVED, &answered("2021-05-25")], "2021-12-01", "answer", &["missed 2021-05-24"]);
        check(&[SERVED, &answered("2021-05")], "2021-12-01", "answer", &["indeterminate 2021-05-24"]);
        let partly = "answer-received person=P1 on=2021-05-12 is_full=false";
        check(&[SERVED, partly], "2021-05-20", "answer", &["running 2021-05-24"]);
    }

    #[test]
    fn it_is_counted_from_the_date_that_the_start_names() {
        let posted = "notice-served person=P1 on=2021-05-10 manner=post served_on=2021-05-12";
        check(&[posted], "2021-05-25", "answer", &["running 2021-05-26"]);
        let vaguely = "notice-served person=P1 on=2021-05 manner=post served_on=2021-05";
        check(&[vaguely], "2021-05-10", "answer", &["running 2021-05-14..2021-06-14"]);
        check(&[vaguely], "2021-06-01", "answer", &["indeterminate 2021-05-14..2021-06-14"]);
        check(&[vaguely], "2021-06-15", "answer", &["missed 2021-05-14..2021-06-14"]);
        let about = "notice-served person=P1 on=2021-05-10 manner=post served_on=2021-05-10~";
        check(&[about], "2021-06-15", "answer", &["indeterminate ?"]);
    }

    #[test]
    fn a_further_start_restarts_or_is_kept_out() {
        let again = "notice-served person=P1 on=2021-05-20 manner=hand";
        check(&[SERVED, again], "2021-05-25", "answer", &["running 2021-06-03"]);
        check(&[SERVED, again], "2021-05-25", "decision", &[]);
        check(&[SERVED, again], "2021-05-25", "answer-within", &["indeterminate ?"]);
        let met = "answer-received person=P1 on=2021-05-15 is_full=true";
        let both = ["met 2021-05-24", "running 2021-06-03"];
        check(&[SERVED, met, again], "2021-05-25", "answer", &both);
    }

    #[test]
    fn it_falls_away_by_what_happens_above_it() {
        let claim = "claim-made claim=C1 person=P1 on=2021-05-03";
        check(
            &[claim, "person-died person=P1 on=2021-05-20"],
            "2021-12-01",
            "decision",
            &["void 2021-05-31"],
        );
        check(
            &[claim, "person-died person=P1 on=2021-06-20"],
            "2021-12-01",
            "decision",
            &["missed 2021-05-31"],
        );
        check(
            &[claim, "claim-decided claim=C1 on=2021-05-31"],
            "2021-12-01",
            "decision",
            &["met 2021-05-31"],
        );
        check(&[SERVED, "person-died person=P1 on=2021-05-20"], "2021-05-21", "answer", &["void 2021-05-24"]);
    }

    #[test]
    fn a_pause_leaves_its_days_out_of_account() {
        let stopped = [SERVED, "clock-stopped on=2021-05-17"];
        check(&stopped, "2021-05-20", "answer", &["paused 2021-05-24..?"]);
        check(&stopped, "2022-05-20", "answer", &["paused 2021-05-24..?"]);
        let resumed = [SERVED, "clock-stopped on=2021-05-17", "clock-started on=2021-05-20"];
        check(&resumed, "2021-05-27", "answer", &["running 2021-05-27"]);
        check(&resumed, "2021-05-28", "answer", &["missed 2021-05-27"]);
        let too_late = [SERVED, "clock-stopped on=2021-06-17"];
        check(&too_late, "2021-06-20", "answer", &["missed 2021-05-24"]);
    }

    #[test]
    fn a_window_can_be_missed_at_both_edges() {
        let held = |on: &str| format!("meeting-held person=P1 on={on}");
        check(&[SERVED], "2021-05-12", "meeting", &["running 2021-05-31"]);
        check(&[SERVED, &held("2021-05-21")], "2021-12-01", "meeting", &["missed 2021-05-31"]);
        check(&[SERVED, &held("2021-05-24")], "2021-12-01", "meeting", &["met 2021-05-31"]);
        check(&[SERVED, &held("2021-06-01")], "2021-12-01", "meeting", &["missed 2021-05-31"]);
        check(&[SERVED, &held("2021-05")], "2021-12-01", "meeting", &["indeterminate 2021-05-31"]);
    }

    #[test]
    fn days_named_in_the_start_and_counted_back() {
        let arranged =
            "notice-served person=P1 on=2021-05-10 manner=hand meeting_on=2021-06-14 answer_within=P2W";
        check(&[arranged], "2021-05-12", "notice-of-meeting", &["running 2021-06-07"]);
        check(&[arranged], "2021-05-12", "meeting-day", &["running 2021-06-14"]);
        check(&[arranged], "2021-05-12", "answer-within", &["running 2021-05-24"]);
        check(&[SERVED], "2021-05-12", "meeting-day", &["indeterminate ?"]);
        check(&[SERVED], "2021-05-12", "notice-of-meeting", &["indeterminate ?"]);
    }

    #[test]
    fn a_rolling_deadline_starts_again_where_it_was_met() {
        let update = |on: &str| format!("update-given person=P1 on={on}");
        check(&[], "2021-01-10", "update", &["running 2021-02-01"]);
        let rounds = ["met 2021-02-01", "missed 2021-02-22", "running 2021-04-12"];
        check(&[&update("2021-01-25"), &update("2021-03-15")], "2021-03-20", "update", &rounds);
        let died = "person-died person=P1 on=2021-02-05";
        check(&[&update("2021-01-25"), died], "2021-03-20", "update", &["met 2021-02-01", "void 2021-02-22"]);
    }

    #[test]
    fn a_repeating_duty_goes_on_from_the_end_of_each_period() {
        check(&[], "2022-01-03", "report", &["running 2022-01-03"]);
        let owed = ["missed 2022-01-03", "missed 2022-07-03", "running 2023-01-03"];
        check(&[], "2022-07-04", "report", &owed);
        // The late report is the one that was owed: it does not serve for the next period.
        let late = ["missed 2022-01-03", "missed 2022-07-03", "running 2023-01-03"];
        check(&["report-issued on=2022-02-01"], "2022-07-04", "report", &late);
        let second = ["missed 2022-01-03", "met 2022-07-03", "running 2023-01-03"];
        let both = ["report-issued on=2022-02-01", "report-issued on=2022-06-01"];
        check(&both, "2022-07-04", "report", &second);
        // Two reports of one period serve for one period.
        let early = ["report-issued on=2021-06-01", "report-issued on=2021-07-01"];
        check(&early, "2022-01-04", "report", &["met 2022-01-03", "running 2022-07-03"]);
        let ended = ["report-issued on=2021-06-01", "inquiry-ended on=2022-03-01"];
        check(&ended, "2030-01-04", "report", &["met 2022-01-03", "met 2022-07-03"]);
        check(
            &["inquiry-ended on=2022-03-01"],
            "2030-01-04",
            "report",
            &["missed 2022-01-03", "void 2022-07-03"],
        );
    }

    #[test]
    fn adjustments_move_what_is_not_over() {
        let adjusted =
            |data: &str| format!("deadline-adjusted person=P1 on=2021-05-20 deadline=answer reason=x {data}");
        let due = |data: &str, expected: &str| {
            check(&[SERVED, &adjusted(data)], "2021-05-21", "answer", &[expected]);
        };
        due("kind=extended length=5_working-days", "running 2021-05-31");
        due("kind=extended until=2021-07-01", "running 2021-07-01");
        due("kind=extended until=2021-07", "running 2021-07-01..2021-07-31");
        due("kind=reduced length=2_days", "running 2021-05-22");
        due("kind=left-out from=2021-05-12 until=2021-05-14", "running 2021-05-26");
        due("kind=restarted", "running 2021-06-03");
        due("kind=restarted from=2021-05-17", "running 2021-05-31");
    }

    #[test]
    fn outside_the_calendar_it_is_indeterminate_and_says_why() {
        let state = case(&["notice-served person=P1 on=2023-12-20 manner=hand"]);
        let rounds = rounds(&state, day("2024-06-01"));
        let answer = rounds.iter().find(|round| round.number == 1 && round.due.doubt.is_some()).unwrap();
        let (said, why) = answer.answer(day("2024-06-01"));
        assert_eq!(said, Answer::Indeterminate);
        assert!(why.unwrap().contains("office 7 covers 2020-01-01 to 2023-12-31"));
    }

    #[test]
    fn the_day_after_the_opening_is_enough_for_the_following_day() {
        check(&[], "2021-01-05", "referral", &["running 2021-01-05"]);
        check(&["report-issued on=2021-01-06"], "2021-01-08", "referral", &["missed 2021-01-05"]);
    }

    #[test]
    fn events_in_any_order_of_recording_give_the_same_clocks() {
        let met = "answer-received person=P1 on=2021-05-15 is_full=true";
        check(&[met, SERVED], "2021-12-01", "answer", &["met 2021-05-24"]);
    }

    #[test]
    fn what_was_missed_or_met_before_the_duty_ended_stays_so() {
        let stopped = "clock-stopped on=2021-02-10";
        check(&[stopped], "2022-01-01", "stock-taking", &["missed 2021-02-01", "void 2021-03-01"]);
        let met = "report-issued on=2021-01-20";
        check(&[met, stopped], "2022-01-01", "stock-taking", &["met 2021-02-01", "void 2021-03-01"]);
        let late = "report-issued on=2021-02-05";
        check(&[late, stopped], "2022-01-01", "stock-taking", &["missed 2021-02-01", "void 2021-03-01"]);
        let vaguely = "clock-stopped on=2021-02";
        let undecided = ["indeterminate 2021-02-01", "void 2021-03-01"];
        check(&[vaguely], "2022-01-01", "stock-taking", &undecided);
        check(&["clock-stopped on=2021-02-01"], "2022-01-01", "stock-taking", &["void 2021-02-01"]);
    }

    #[test]
    fn nobody_is_accused_of_the_time_in_which_there_was_no_duty() {
        let events = ["clock-stopped on=2021-02-10", "clock-started on=2021-04-10"];
        let again = ["missed 2021-02-01", "void 2021-03-01", "void 2021-03-29", "running 2021-04-26"];
        check(&events, "2021-04-20", "stock-taking", &again);
        // A further start begins anew, although the first was never met.
        let anew = ["missed 2021-02-01", "void 2021-03-01", "running 2021-05-08"];
        check(&events, "2021-04-20", "rota", &anew);
    }

    #[test]
    fn what_fell_away_on_a_vague_day_may_have_been_due_before() {
        let claim = "claim-made claim=C1 person=P1 on=2021-05-03";
        let died = |on: &str| format!("person-died person=P1 on={on}");
        let on_a_day = |on: &str, expected: &str| {
            check(&[claim, &died(on)], "2021-12-01", "decision", &[expected]);
        };
        on_a_day("2021-05-20/2021-06-10", "indeterminate 2021-05-31");
        on_a_day("2021-05-20/2021-05-31", "void 2021-05-31");
        on_a_day("2021-06", "missed 2021-05-31");
        // Without any date nobody is accused.
        on_a_day("2021-06-20~", "void 2021-05-31");
    }

    #[test]
    fn an_adjustment_of_a_repeating_duty_is_of_the_round_that_is_not_over() {
        let longer = "deadline-adjusted on=2022-02-01 deadline=report kind=extended length=10_days reason=x";
        check(&[longer], "2022-07-10", "report", &["missed 2022-01-03", "running 2022-07-13"]);
        let sooner = "deadline-adjusted on=2021-12-01 deadline=report kind=extended length=10_days reason=x";
        check(&[sooner], "2022-01-10", "report", &["running 2022-01-13"]);
    }

    #[test]
    fn a_clock_that_stops_within_an_extension_stands_still() {
        let longer = "deadline-adjusted person=P1 on=2021-05-20 deadline=answer reason=x kind=extended until=2021-07-01";
        let stopped = [SERVED, longer, "clock-stopped on=2021-06-10"];
        check(&stopped, "2021-08-01", "answer", &["paused 2021-07-01..?"]);
        let resumed = [SERVED, longer, "clock-stopped on=2021-06-10", "clock-started on=2021-06-15"];
        check(&resumed, "2021-06-20", "answer", &["running 2021-07-06"]);
    }

    #[test]
    fn a_clock_of_which_it_is_not_known_whether_it_stood_still_is_not_missed_for_certain() {
        let answered = "rest-agreed person=P1 on=2021-05-20 extent=not-stated";
        check(&[SERVED, answered], "2021-06-07", "rest", &["running 2021-06-07..?"]);
        check(&[SERVED, answered], "2021-06-08", "rest", &["indeterminate 2021-06-07..?"]);
        let again = "rest-agreed person=P1 on=2021-05-25 extent=none";
        check(&[SERVED, answered, again], "2021-06-08", "rest", &["indeterminate 2021-06-07..2021-06-12"]);
        check(&[SERVED, answered, again], "2021-06-13", "rest", &["missed 2021-06-07..2021-06-12"]);
    }
}
