//! When a period ends: days, weeks, months and years of the calendar, and working days, counted as law counts them.
//!
//! A period ends at the midnight that ends its last day, so a [`Day`] is all there is to say. Months and years run to the
//! corresponding date, or to the month's last day where it has none (*Dodds v Walker* \[1981\] 1 WLR 1027).

use super::day::{Day, days_in_month};
use crate::definition::calendar::{Calendar, NotCovered};
use crate::definition::period::{Counting, Length, Unit};

/// Why an end cannot be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCounted {
    /// The calendar says nothing of those days.
    #[error(transparent)]
    NotCovered(#[from] NotCovered),
    /// Working days, and no calendar to say which they are.
    #[error("working days are counted, and the deadline has no calendar")]
    NoCalendar,
    /// Beyond the years 0001 to 9999.
    #[error("the period ends outside the years 0001 to 9999")]
    OutOfYears,
}

/// The last day of a period that starts from `day`; with [`Counting::BackFrom`], the last day on which it can still happen.
///
/// # Errors
/// When the calendar does not cover the days in question, or the end lies outside the calendar's years.
pub fn end(
    day: Day,
    length: Length,
    counting: Counting,
    calendar: Option<&Calendar>,
) -> Result<Day, NotCounted> {
    let count = i32::try_from(length.count).unwrap_or(i32::MAX);
    if length.unit == Unit::WorkingDays && counting != Counting::FollowingDay {
        let calendar = calendar.ok_or(NotCounted::NoCalendar)?;
        let after_first = match counting {
            Counting::BackFrom => -count,
            // The day itself is the first of them, if it is one.
            Counting::IncludingThatDay if calendar.is_working(day)? => count - 1,
            _ => count,
        };
        return Ok(calendar.working_day(day, after_first)?);
    }
    match counting {
        Counting::FollowingDay => Ok(Day(day.0 + 1)),
        Counting::DayAfter => moved(day, length, 1),
        Counting::BackFrom => moved(day, length, -1),
        Counting::IncludingThatDay => through(day, length),
        Counting::FirstWorkingDayAfter => {
            let calendar = calendar.ok_or(NotCounted::NoCalendar)?;
            through(calendar.working_day(day, 1)?, length)
        }
    }
}

/// The day that lies a length after another (or before it, where `sign` is -1).
///
/// # Errors
/// As [`end`].
pub fn shifted(day: Day, length: Length, sign: i32, calendar: Option<&Calendar>) -> Result<Day, NotCounted> {
    if length.unit == Unit::WorkingDays {
        let count = i32::try_from(length.count).unwrap_or(i32::MAX).saturating_mul(sign);
        return Ok(calendar.ok_or(NotCounted::NoCalendar)?.working_day(day, count)?);
    }
    moved(day, length, sign)
}

/// A due day moved by the time that spans take out of account: by their working days where the period is in working days,
/// otherwise by all their days. What a moved end reaches into counts too.
///
/// Each span holds its first day and not its last; only days from `start` on count.
///
/// # Errors
/// As [`end`].
pub fn without(
    start: Day,
    due: Day,
    spans: &[(Day, Day)],
    unit: Unit,
    calendar: Option<&Calendar>,
) -> Result<Day, NotCounted> {
    let mut spans: Vec<(Day, Day)> = spans.iter().map(|(from, until)| ((*from).max(start), *until)).collect();
    spans.sort();
    let mut end = due;
    let mut counted_to = start;
    for (from, until) in spans {
        let from = from.max(counted_to);
        if from > end || until <= from {
            continue;
        }
        counted_to = until;
        end = if unit == Unit::WorkingDays {
            let calendar = calendar.ok_or(NotCounted::NoCalendar)?;
            let left_out = calendar.working_days_between(from, until)?;
            calendar.working_day(end, left_out)?
        } else {
            Day(end.0.saturating_add(until.0 - from.0))
        };
    }
    Ok(end)
}

fn moved(day: Day, length: Length, sign: i32) -> Result<Day, NotCounted> {
    match span(length) {
        Span::Days(days) => in_years(i64::from(day.0) + i64::from(sign) * days),
        Span::Months(months) => months_from(day, i64::from(sign) * months).map(|(day, _)| day),
    }
}

/// The last day of a period of which the day itself is the first.
fn through(first: Day, length: Length) -> Result<Day, NotCounted> {
    match span(length) {
        Span::Days(days) => in_years(i64::from(first.0) + days - 1),
        Span::Months(months) => {
            let (day, corresponds) = months_from(first, months)?;
            // Where there is no corresponding date, the period fills the month.
            Ok(if corresponds { Day(day.0 - 1) } else { day })
        }
    }
}

enum Span {
    Days(i64),
    Months(i64),
}

fn span(length: Length) -> Span {
    let count = i64::from(length.count);
    match length.unit {
        Unit::Days | Unit::WorkingDays => Span::Days(count),
        Unit::Weeks => Span::Days(count * 7),
        Unit::Months => Span::Months(count),
        Unit::Years => Span::Months(count * 12),
    }
}

/// The corresponding date, and whether the month has it; otherwise the month's last day.
fn months_from(day: Day, months: i64) -> Result<(Day, bool), NotCounted> {
    let (year, month, date) = day.to_ymd();
    let index = i64::from(year) * 12 + i64::from(month) - 1 + months;
    let year = i32::try_from(index.div_euclid(12)).map_err(|_| NotCounted::OutOfYears)?;
    let month = u8::try_from(index.rem_euclid(12) + 1).map_err(|_| NotCounted::OutOfYears)?;
    let last = days_in_month(year, month);
    let found = Day::from_ymd(year, month, date.min(last)).ok_or(NotCounted::OutOfYears)?;
    Ok((found, date <= last))
}

fn in_years(number: i64) -> Result<Day, NotCounted> {
    let day = i32::try_from(number).map(Day).map_err(|_| NotCounted::OutOfYears)?;
    if (1..=9999).contains(&day.to_ymd().0) { Ok(day) } else { Err(NotCounted::OutOfYears) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::compile::tests::compiled;
    use proptest::prelude::*;

    fn day(text: &str) -> Day {
        Day::parse(text).unwrap()
    }

    /// The calendars that ship, as a definition that names them gets them.
    fn calendars() -> Vec<Calendar> {
        let mut text = String::from("workflow: w\nversion: 1\nlanguage: casebook/1\ncalendars:\n");
        for name in crate::workflows::calendars() {
            let calendar = crate::workflows::calendar(name).unwrap().text;
            let indented: String = calendar.lines().map(|line| format!("    {line}\n")).collect();
            text.push_str(&format!("  {}:\n{indented}", name.trim_end_matches(".yaml")));
        }
        compiled(&text).calendars
    }

    fn calendar(name: &str) -> Calendar {
        calendars().into_iter().find(|calendar| calendar.name == name).unwrap()
    }

    /// Every bank and public holiday, written out by hand: month and day, year by year.
    const ENGLAND_AND_WALES: [(i32, &str); 13] = [
        (2015, "01-01 04-03 04-06 05-04 05-25 08-31 12-25 12-28"),
        (2016, "01-01 03-25 03-28 05-02 05-30 08-29 12-26 12-27"),
        (2017, "01-02 04-14 04-17 05-01 05-29 08-28 12-25 12-26"),
        (2018, "01-01 03-30 04-02 05-07 05-28 08-27 12-25 12-26"),
        (2019, "01-01 04-19 04-22 05-06 05-27 08-26 12-25 12-26"),
        (2020, "01-01 04-10 04-13 05-08 05-25 08-31 12-25 12-28"),
        (2021, "01-01 04-02 04-05 05-03 05-31 08-30 12-27 12-28"),
        (2022, "01-03 04-15 04-18 05-02 06-02 06-03 08-29 09-19 12-26 12-27"),
        (2023, "01-02 04-07 04-10 05-01 05-08 05-29 08-28 12-25 12-26"),
        (2024, "01-01 03-29 04-01 05-06 05-27 08-26 12-25 12-26"),
        (2025, "01-01 04-18 04-21 05-05 05-26 08-25 12-25 12-26"),
        (2026, "01-01 04-03 04-06 05-04 05-25 08-31 12-25 12-28"),
        (2027, "01-01 03-26 03-29 05-03 05-31 08-30 12-27 12-28"),
    ];
    const SCOTLAND: [(i32, &str); 13] = [
        (2015, "01-01 01-02 04-03 05-04 05-25 08-03 11-30 12-25 12-28"),
        (2016, "01-01 01-04 03-25 05-02 05-30 08-01 11-30 12-26 12-27"),
        (2017, "01-02 01-03 04-14 05-01 05-29 08-07 11-30 12-25 12-26"),
        (2018, "01-01 01-02 03-30 05-07 05-28 08-06 11-30 12-25 12-26"),
        (2019, "01-01 01-02 04-19 05-06 05-27 08-05 12-02 12-25 12-26"),
        (2020, "01-01 01-02 04-10 05-08 05-25 08-03 11-30 12-25 12-28"),
        (2021, "01-01 01-04 04-02 05-03 05-31 08-02 11-30 12-27 12-28"),
        (2022, "01-03 01-04 04-15 05-02 06-02 06-03 08-01 09-19 11-30 12-26 12-27"),
        (2023, "01-02 01-03 04-07 05-01 05-08 05-29 08-07 11-30 12-25 12-26"),
        (2024, "01-01 01-02 03-29 05-06 05-27 08-05 12-02 12-25 12-26"),
        (2025, "01-01 01-02 04-18 05-05 05-26 08-04 12-01 12-25 12-26"),
        (2026, "01-01 01-02 04-03 05-04 05-25 06-15 08-03 11-30 12-25 12-28"),
        (2027, "01-01 01-04 03-26 05-03 05-31 08-02 11-30 12-27 12-28"),
    ];
    /// What Northern Ireland has beside the holidays of England and Wales.
    const NORTHERN_IRELAND: [(i32, &str); 13] = [
        (2015, "03-17 07-13"),
        (2016, "03-17 07-12"),
        (2017, "03-17 07-12"),
        (2018, "03-19 07-12"),
        (2019, "03-18 07-12"),
        (2020, "03-17 07-13"),
        (2021, "03-17 07-12"),
        (2022, "03-17 07-12"),
        (2023, "03-17 07-12"),
        (2024, "03-18 07-12"),
        (2025, "03-17 07-14"),
        (2026, "03-17 07-13"),
        (2027, "03-17 07-12"),
    ];

    fn listed(lists: &[&[(i32, &str)]]) -> Vec<String> {
        let years = lists.iter().flat_map(|list| list.iter());
        let mut days: Vec<String> =
            years.flat_map(|(year, days)| days.split(' ').map(move |day| format!("{year}-{day}"))).collect();
        days.sort();
        days
    }

    #[test]
    fn the_holidays_are_those_written_out_by_hand() {
        let expected = [
            ("england-and-wales", listed(&[&ENGLAND_AND_WALES])),
            ("scotland", listed(&[&SCOTLAND])),
            ("northern-ireland", listed(&[&ENGLAND_AND_WALES, &NORTHERN_IRELAND])),
        ];
        for (name, expected) in expected {
            let calendar = calendar(name);
            let found: Vec<String> = calendar.holidays.keys().map(Day::to_string).collect();
            assert_eq!(found, expected, "{name}");
            assert_eq!(
                (calendar.from.to_string(), calendar.until.to_string()),
                ("2015-01-01".into(), "2028-01-01".into())
            );
        }
    }

    /// Working days counted one by one with strings and a list: no arithmetic in common with the code.
    fn walk(from: Day, count: i32, holidays: &[String]) -> Day {
        let mut left = count.abs();
        let mut at = from;
        // 2015-01-01 was a Thursday.
        let thursday = day("2015-01-01").0;
        while left > 0 {
            at = Day(at.0 + count.signum());
            let weekday = (at.0 - thursday).rem_euclid(7);
            let is_weekend = weekday == 2 || weekday == 3;
            if !is_weekend && !holidays.contains(&at.to_string()) {
                left -= 1;
            }
        }
        at
    }

    #[test]
    fn working_days_are_those_that_a_walk_from_day_to_day_finds() {
        let calendars = [
            (calendar("england-and-wales"), listed(&[&ENGLAND_AND_WALES])),
            (calendar("scotland"), listed(&[&SCOTLAND])),
            (calendar("northern-ireland"), listed(&[&ENGLAND_AND_WALES, &NORTHERN_IRELAND])),
        ];
        for (calendar, holidays) in &calendars {
            let last = day("2027-11-15").0;
            for number in (day("2015-02-10").0..last).step_by(3) {
                for count in [1, 2, 5, 10, 28, -1, -5] {
                    let from = Day(number);
                    let found = calendar.working_day(from, count).unwrap();
                    assert_eq!(found, walk(from, count, holidays), "{} {count} from {from}", calendar.name);
                }
            }
        }
    }

    #[track_caller]
    fn check(start: &str, length: &str, counting: Counting, expected: &str) {
        let calendar = calendar("england-and-wales");
        let length = Length::parse(length).unwrap();
        let found = end(day(start), length, counting, Some(&calendar)).map(|day| day.to_string());
        assert_eq!(found.unwrap_or_else(|problem| problem.to_string()), expected);
    }

    #[test]
    fn periods_end_on_the_days_worked_out_by_hand() {
        use Counting::{BackFrom, DayAfter, FirstWorkingDayAfter, FollowingDay, IncludingThatDay};
        // Working days: over Easter 2021, the jubilee, the funeral and the coronation, a weekend and a year's end.
        check("2021-03-25", "10 working-days", FirstWorkingDayAfter, "2021-04-12");
        check("2022-05-27", "5 working-days", FirstWorkingDayAfter, "2022-06-07");
        check("2022-09-16", "1 working-day", DayAfter, "2022-09-20");
        check("2023-04-28", "5 working-days", FirstWorkingDayAfter, "2023-05-09");
        check("2021-12-24", "3 working-days", DayAfter, "2021-12-31");
        check("2021-05-15", "10 working-days", FirstWorkingDayAfter, "2021-05-28");
        check("2023-10-04", "5 working-days", IncludingThatDay, "2023-10-10");
        check("2023-10-07", "5 working-days", IncludingThatDay, "2023-10-13");
        check("2023-10-04", "1 working-day", IncludingThatDay, "2023-10-04");
        check("2022-06-06", "5 working-days", BackFrom, "2022-05-26");
        // Calendar days and weeks.
        check("2021-05-10", "28 days", DayAfter, "2021-06-07");
        check("2021-05-10", "56 days", IncludingThatDay, "2021-07-04");
        check("2021-05-14", "4 weeks", FirstWorkingDayAfter, "2021-06-13");
        check("2021-12-31", "1 day", FollowingDay, "2022-01-01");
        check("2021-05-10", "2 weeks", BackFrom, "2021-04-26");
        // Months and years: the corresponding date, or the month's last day.
        check("2021-01-31", "1 month", DayAfter, "2021-02-28");
        check("2020-01-31", "1 month", DayAfter, "2020-02-29");
        check("2021-02-28", "1 month", DayAfter, "2021-03-28");
        check("2021-10-30", "4 months", DayAfter, "2022-02-28");
        check("2020-02-29", "1 year", DayAfter, "2021-02-28");
        check("2020-05-10", "12 months", IncludingThatDay, "2021-05-09");
        check("2020-08-31", "6 months", IncludingThatDay, "2021-02-28");
        check("2020-03-01", "12 months", IncludingThatDay, "2021-02-28");
        check("2021-03-31", "1 month", BackFrom, "2021-02-28");
        check("2021-05-10", "P18M", DayAfter, "2022-11-10");
    }

    #[test]
    fn outside_the_covered_years_nothing_is_guessed() {
        let problem =
            "the calendar england-and-wales 1 covers 2015-01-01 to 2027-12-31, and the period leaves that";
        check("2027-12-20", "10 working-days", Counting::DayAfter, problem);
        check("2014-12-30", "1 working-day", Counting::DayAfter, problem);
        check("2015-01-02", "5 working-days", Counting::BackFrom, problem);
        check("2028-01-01", "1 week", Counting::FirstWorkingDayAfter, problem);
        // Days of the calendar need none.
        check("2031-01-01", "10 days", Counting::DayAfter, "2031-01-11");
        let length = Length::parse("1 working-day").unwrap();
        assert_eq!(end(day("2021-01-01"), length, Counting::DayAfter, None), Err(NotCounted::NoCalendar));
        let length = Length::parse("40000 years").unwrap();
        assert_eq!(end(day("2021-01-01"), length, Counting::DayAfter, None), Err(NotCounted::OutOfYears));
    }

    #[test]
    fn time_left_out_moves_the_end_by_as_many_days_of_the_same_kind() {
        let calendar = calendar("england-and-wales");
        let moved = |unit, due: &str, spans: &[(&str, &str)]| {
            let spans: Vec<_> = spans.iter().map(|(from, until)| (day(from), day(until))).collect();
            without(day("2021-05-10"), day(due), &spans, unit, Some(&calendar)).unwrap().to_string()
        };
        assert_eq!(moved(Unit::Days, "2021-06-07", &[("2021-05-20", "2021-05-25")]), "2021-06-12");
        assert_eq!(moved(Unit::Days, "2021-06-07", &[("2021-06-08", "2021-06-25")]), "2021-06-07");
        // The moved end reaches into the second span; overlapping days count once.
        let two = [("2021-06-05", "2021-06-09"), ("2021-06-10", "2021-06-12"), ("2021-06-11", "2021-06-12")];
        assert_eq!(moved(Unit::Days, "2021-06-07", &two), "2021-06-13");
        // Friday to Monday takes one working day out.
        assert_eq!(moved(Unit::WorkingDays, "2021-05-21", &[("2021-05-14", "2021-05-17")]), "2021-05-24");
        assert_eq!(moved(Unit::Days, "2021-06-07", &[("2021-05-01", "2021-05-12")]), "2021-06-09");
    }

    proptest! {
        #[test]
        fn a_later_start_never_ends_sooner(start in 16_500_i32..20_500, count in 1_u32..60, unit in 0..5_usize, how in 0..4_usize) {
            let calendar = calendar("england-and-wales");
            let unit = [Unit::Days, Unit::WorkingDays, Unit::Weeks, Unit::Months, Unit::Years][unit];
            let how = [Counting::DayAfter, Counting::FirstWorkingDayAfter, Counting::IncludingThatDay, Counting::BackFrom][how];
            let length = Length { count: if unit == Unit::Years { count % 5 + 1 } else { count }, unit };
            let one = end(Day(start), length, how, Some(&calendar));
            let next = end(Day(start + 1), length, how, Some(&calendar));
            if let (Ok(one), Ok(next)) = (one, next) {
                prop_assert!(one <= next, "{one} {next}");
            }
        }
    }
}
