//! Calendars: which days are working days, as dated data with a version.
//!
//! A calendar says which years it covers. Outside them it says nothing: holidays are not guessed.

use std::collections::BTreeMap;

use super::fields::{Fields, fields, list, spoken, text};
use super::problem::Problems;
use super::syntax::{Node, Place, Shape, Text};
use crate::case::day::Day;

/// The most days that one calendar covers: four centuries.
const DAYS_MAX: i32 = 146_097;

/// Names of the days of the week, as calendars write them.
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// A calendar of working days.
#[derive(Debug, Clone)]
pub struct Calendar {
    /// Its name in the definition.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Which edition of the holidays this is; a computed deadline names it.
    pub version: String,
    /// The first day covered.
    pub from: Day,
    /// The first day no longer covered.
    pub until: Day,
    /// The days of the week that are never working days, Monday first.
    pub weekend: [bool; 7],
    /// The holidays, with their names.
    pub holidays: BTreeMap<Day, String>,
    /// Every working day covered, in order.
    working: Vec<Day>,
}

/// A day that a calendar does not cover, and so cannot speak of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the calendar {calendar} covers {from} to {to}, and the period leaves that")]
pub struct NotCovered {
    /// Name and version of the calendar.
    pub calendar: String,
    /// Its first day.
    pub from: Day,
    /// Its last day.
    pub to: Day,
}

impl Calendar {
    /// Name and version, as a computed deadline names it.
    #[must_use]
    pub fn pin(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// Whether the calendar speaks of this day.
    #[must_use]
    pub fn covers(&self, day: Day) -> bool {
        self.from <= day && day < self.until
    }

    /// Whether it is a working day.
    ///
    /// # Errors
    /// When the calendar does not cover the day.
    pub fn is_working(&self, day: Day) -> Result<bool, NotCovered> {
        if self.covers(day) { Ok(self.working.binary_search(&day).is_ok()) } else { Err(self.not_covered()) }
    }

    /// The `count`-th working day after a day (1 is the first), or before it where `count` is negative; the day itself
    /// where `count` is 0.
    ///
    /// # Errors
    /// When the calendar does not cover every day between.
    pub fn working_day(&self, from: Day, count: i32) -> Result<Day, NotCovered> {
        if !self.covers(from) {
            return Err(self.not_covered());
        }
        let count = i64::from(count);
        let at = match count {
            0 => return Ok(from),
            1.. => self.working.partition_point(|day| *day <= from) as i64 + count - 1,
            _ => self.working.partition_point(|day| *day < from) as i64 + count,
        };
        let found = usize::try_from(at).ok().and_then(|at| self.working.get(at));
        found.copied().ok_or_else(|| self.not_covered())
    }

    /// How many working days lie from the first day up to, and without, the second.
    ///
    /// # Errors
    /// When the calendar does not cover them.
    pub fn working_days_between(&self, from: Day, until: Day) -> Result<i32, NotCovered> {
        if !self.covers(from) || until > self.until {
            return Err(self.not_covered());
        }
        let before = |day: Day| self.working.partition_point(|working| *working < day);
        Ok(i32::try_from(before(until).saturating_sub(before(from))).unwrap_or(i32::MAX))
    }

    /// What to say of a day that is not covered.
    #[must_use]
    pub fn not_covered(&self) -> NotCovered {
        NotCovered { calendar: self.pin(), from: self.from, to: Day(self.until.0 - 1) }
    }
}

/// The day of the week, Monday 0.
fn weekday(day: Day) -> usize {
    // 1970-01-01 was a Thursday.
    usize::try_from((i64::from(day.0) + 3).rem_euclid(7)).unwrap_or(0)
}

const KEYS: [&str; 5] = ["title", "version", "covered", "weekend", "holidays"];

/// Reads a calendar.
pub(super) fn calendar(name: &Text, node: &Node, problems: &mut Problems<'_>) -> Option<Calendar> {
    if let Shape::Text(file) = &node.value {
        let message = format!("there is no file `{}`", file.escape_debug());
        let help =
            Some("put the calendar's file beside the definition, or write the calendar here".to_owned());
        problems.add("missing-part", node.place, file.chars().count().max(1), message, help);
        return None;
    }
    let before = problems.count();
    let source = fields(node, "a calendar", &KEYS, problems);
    let title = source.text("title", problems).map_or_else(|| spoken(&name.value), |title| title.value);
    let version = source.required_text("version", problems);
    let covered = source.required("covered", problems);
    let (from, until) = covered.and_then(|covered| span(covered, problems))?;
    let weekend = weekend(&source, problems);
    let mut holidays = BTreeMap::new();
    let listed = source.required("holidays", problems);
    for (day, title) in listed.map_or(&[] as &[_], |node| days(node, problems)) {
        let Some(date) = read_day(&day.value, day.place, problems) else { continue };
        if date < from || date >= until {
            let message = format!("the holiday {date} is outside the days that the calendar covers");
            problems.at(
                "wrong-shape",
                day,
                message,
                Some("widen `covered`, or leave the day out".to_owned()),
            );
        }
        if let Some(title) = text(title, &day.value, problems) {
            holidays.insert(date, title.value);
        }
    }
    if problems.count() > before {
        return None;
    }
    let is_working = |day: &Day| !weekend[weekday(*day)] && !holidays.contains_key(day);
    let working = (from.0..until.0).map(Day).filter(is_working).collect();
    Some(Calendar {
        name: name.value.clone(),
        title,
        version: version?.value,
        from,
        until,
        weekend,
        holidays,
        working,
    })
}

fn span(node: &Node, problems: &mut Problems<'_>) -> Option<(Day, Day)> {
    let covered = fields(node, "`covered`", &["from", "until"], problems);
    let (from, until) = (covered.required_text("from", problems), covered.required_text("until", problems));
    let (from, until) = (from?, until?);
    let first = read_day(&from.value, from.place, problems);
    let last = read_day(&until.value, until.place, problems);
    let (first, last) = (first?, last?);
    if last <= first {
        problems.at(
            "wrong-shape",
            &until,
            "`until` is the first day that is not covered: later than `from`",
            None,
        );
        return None;
    }
    if last.0 - first.0 > DAYS_MAX {
        problems.at("too-many", &until, "a calendar covers at most 400 years", None);
        return None;
    }
    Some((first, last))
}

fn weekend(source: &Fields<'_>, problems: &mut Problems<'_>) -> [bool; 7] {
    let Some(node) = source.get("weekend") else {
        return [false, false, false, false, false, true, true];
    };
    let mut weekend = [false; 7];
    for day in list(node, "weekend", problems) {
        let Some(day) = text(day, "weekend", problems) else { continue };
        match WEEKDAYS.iter().position(|known| *known == day.value) {
            Some(at) => weekend[at] = true,
            None => {
                let help = problems.suggestion(&day.value, WEEKDAYS);
                let message = format!("`{}` is no day of the week", day.value.escape_debug());
                problems.at("unknown-name", &day, message, help);
            }
        }
    }
    weekend
}

fn days<'n>(node: &'n Node, problems: &mut Problems<'_>) -> &'n [(Text, Node)] {
    match &node.value {
        Shape::Map(entries) => entries,
        Shape::Null => &[],
        other => {
            let message = format!("`holidays` is a map from days to their names, not {}", other.in_words());
            problems.add("wrong-shape", node.place, 1, message, None);
            &[]
        }
    }
}

fn read_day(written: &str, place: Place, problems: &mut Problems<'_>) -> Option<Day> {
    Day::parse(written)
        .map_err(|error| {
            problems.add("wrong-shape", place, written.chars().count().max(1), error.to_string(), None);
        })
        .ok()
}
