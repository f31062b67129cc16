//! Points in a case's time: a version, an instant of the record, a date in the world.

use casebook_engine::case::event::Version;
use casebook_engine::case::occurred::{Day, Occurred};
use casebook_engine::case::reading::Cut;
use casebook_engine::engine::{Engine, Point};
use casebook_engine::store::CaseKey;
use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::answer::Failure;

/// Which reading of the case is asked for.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct CutArgs {
    /// As it was known then: an instant (2022-06-30T12:00:00Z), a date (to the end of that day, UTC), or a version
    #[arg(long, value_name = "TIME", value_parser = known_at)]
    pub(super) known_at: Option<Known>,
    /// As it stood in the world at the end of this day (2022-06-30), as it is known now
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub(super) at: Option<AtDay>,
}

/// What was known: up to an instant, or up to a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Recorded up to this instant.
    Until(Timestamp),
    /// Recorded up to the end of this day, UTC.
    UntilEndOf(Date, Timestamp),
    /// Up to this version.
    Version(Version),
}

/// A day in the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AtDay {
    day: Day,
}

impl CutArgs {
    /// The cut for the engine.
    pub(super) fn cut(&self) -> Cut {
        let (known_at, version) = match self.known_at {
            None => (None, None),
            Some(Known::Until(at) | Known::UntilEndOf(_, at)) => (Some(at), None),
            Some(Known::Version(version)) => (None, Some(version)),
        };
        Cut { known_at, version, at: self.at.map(|at| at.day) }
    }

    /// The reading in words; `None` for the status now.
    pub(super) fn words(&self) -> Option<String> {
        let known = self.known_at.map(|known| match known {
            Known::Until(at) => format!("as it was known at {at}"),
            Known::UntilEndOf(date, _) => format!("as it was known at the end of {} (UTC)", date_words(date)),
            Known::Version(version) => format!("as it was known after version {version}"),
        });
        let at = self.at.map(|at| format!("as it stood on {}", day_words(at.day)));
        match (at, known) {
            (Some(at), Some(known)) => Some(format!("{at}, {known}")),
            (at, known) => at.or(known),
        }
    }
}

/// A version that the case has not reached is a mistake, not a reading of the case.
pub(super) async fn check_reached(
    engine: &Engine,
    case: &CaseKey,
    option: &str,
    version: Option<Version>,
) -> Result<(), Failure> {
    let Some(version) = version else { return Ok(()) };
    let reached = engine.case(case).await?.version();
    if version <= reached {
        return Ok(());
    }
    Err(Failure::input(
        format!("{option} {version}: the case has no version {version}, it is at version {reached}"),
        format!("name a version up to {reached}; `casebook history REF` lists the events by version"),
    ))
}

/// Reads `--known-at`.
pub(super) fn known_at(text: &str) -> Result<Known, String> {
    if let Ok(version) = text.parse::<u64>() {
        return Ok(Known::Version(Version(version)));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Known::Until(at));
    }
    let date = text.parse::<Date>().map_err(|_| {
        format!("`{text}` is no instant (2022-06-30T12:00:00Z), no date (2022-06-30) and no version (12)")
    })?;
    end_of(date).map(|end| Known::UntilEndOf(date, end))
}

/// Reads `--at`.
pub(super) fn day(text: &str) -> Result<AtDay, String> {
    let day = Day::parse(text).map_err(|error| error.to_string())?;
    Ok(AtDay { day })
}

/// Reads `--from` and `--to`.
pub(super) fn point(text: &str) -> Result<Point, String> {
    if let Ok(version) = text.parse::<u64>() {
        return Ok(Point::Version(Version(version)));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Point::KnownAt(at));
    }
    day(text).map(|at| Point::At(at.day)).map_err(|_| {
        format!("`{text}` is no version (12), no date (2022-06-30) and no instant (2022-06-30T12:00:00Z)")
    })
}

fn end_of(date: Date) -> Result<Timestamp, String> {
    TimeZone::UTC.to_timestamp(date.at(23, 59, 59, 999_999_999)).map_err(|error| error.to_string())
}

fn date_words(date: Date) -> String {
    date.strftime("%-d %B %Y").to_string()
}

fn day_words(day: Day) -> String {
    Occurred::on(day).words()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_version() {
        assert_eq!(point("12"), Ok(Point::Version(Version(12))));
    }

    #[test]
    fn a_date_is_a_day_in_the_world() {
        assert_eq!(point("1970-01-02"), Ok(Point::At(Day(1))));
    }

    #[test]
    fn an_instant_is_a_moment_of_the_record() {
        assert!(matches!(point("2022-06-30T12:00:00Z"), Ok(Point::KnownAt(_))));
    }

    #[test]
    fn what_was_known_on_a_day_was_known_by_its_end() {
        let Ok(Known::UntilEndOf(_, end)) = known_at("2022-06-30") else { panic!("a date is accepted") };
        assert_eq!(end.to_string(), "2022-06-30T23:59:59.999999999Z");
    }

    #[test]
    fn anything_else_is_refused_with_what_to_write() {
        assert!(point("last June").is_err_and(|problem| problem.contains("2022-06-30")));
    }
}
