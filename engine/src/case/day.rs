//! A whole day of the calendar, as a number that can be compared and counted with.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A day, as the number of days since 1970-01-01 (proleptic Gregorian calendar).
///
/// Days that people write lie in the years 0001 to 9999; arithmetic may leave them.
///
/// ```
/// use casebook_engine::case::day::Day;
///
/// let day = Day::parse("2023-10-04")?;
/// assert_eq!(day.to_ymd(), (2023, 10, 4));
/// assert_eq!(Day(day.0 + 30).to_string(), "2023-11-03");
/// # Ok::<(), casebook_engine::case::day::DayError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

/// Why a text is not a day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct DayError {
    /// What is wrong and what to write instead.
    pub problem: String,
}

/// Names of the months, January first.
pub(crate) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// 0001-01-01 in days since 1970-01-01.
const FIRST: i64 = -719_162;

const fn is_leap(year: i64) -> bool {
    year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0)
}

/// How many days the month has; 0 where there is no such month.
pub(crate) const fn days_in_month(year: i32, month: u8) -> u8 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year as i64) => 29,
        2 => 28,
        _ => 0,
    }
}

/// Days from 0001-01-01 to the first of January of that year.
const fn days_before_year(year: i64) -> i64 {
    let past = year - 1;
    past * 365 + past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400)
}

impl Day {
    /// The day of that year, month (1 to 12) and day of the month; `None` where the calendar has no such day or the
    /// year is outside 1 to 9999.
    #[must_use]
    pub fn from_ymd(year: i32, month: u8, day: u8) -> Option<Self> {
        if !(1..=9999).contains(&year) || day == 0 || day > days_in_month(year, month) {
            return None;
        }
        let before: i64 = (1..month).map(|earlier| i64::from(days_in_month(year, earlier))).sum();
        let number = FIRST + days_before_year(i64::from(year)) + before + i64::from(day) - 1;
        i32::try_from(number).ok().map(Self)
    }

    /// Year, month (1 to 12) and day of the month.
    #[must_use]
    pub fn to_ymd(self) -> (i32, u8, u8) {
        let since_first = i64::from(self.0) - FIRST;
        // 146,097 days make 400 years; the guess is at most one year off.
        let mut year = 1 + (since_first * 400).div_euclid(146_097);
        if days_before_year(year) > since_first {
            year -= 1;
        } else if days_before_year(year + 1) <= since_first {
            year += 1;
        }
        let mut left = since_first - days_before_year(year);
        // A 32-bit number of days reaches less than six million years either way.
        let year = i32::try_from(year).unwrap_or(i32::MAX);
        let mut month = 1;
        while left >= i64::from(days_in_month(year, month)) {
            left -= i64::from(days_in_month(year, month));
            month += 1;
        }
        (year, month, u8::try_from(left + 1).unwrap_or(u8::MAX))
    }

    /// Reads an ISO date such as `2023-10-04`.
    ///
    /// # Errors
    /// When the text has another form, or the calendar has no such day.
    pub fn parse(text: &str) -> Result<Self, DayError> {
        let Some((year, month, day)) = ymd(text) else {
            return Err(DayError { problem: super::date_words::not_a_day(text) });
        };
        Self::from_ymd(year, month, day)
            .ok_or_else(|| DayError { problem: super::date_words::no_such_day(year, month, day) })
    }

    /// The day that is written exactly so, without the work of saying why not.
    pub(crate) fn written_as(text: &str) -> Option<Self> {
        let (year, month, day) = ymd(text)?;
        Self::from_ymd(year, month, day)
    }
}

/// The three numbers of a text of exactly the form `2023-10-04`.
pub(crate) fn ymd(text: &str) -> Option<(i32, u8, u8)> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let digits = |range: std::ops::Range<usize>| -> Option<i32> {
        bytes[range]
            .iter()
            .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i32::from(byte - b'0')))
    };
    Some((digits(0..4)?, u8::try_from(digits(5..7)?).ok()?, u8::try_from(digits(8..10)?).ok()?))
}

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.to_ymd();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl Serialize for Day {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::Date;

    #[test]
    fn every_day_of_the_calendar_has_the_number_that_jiff_gives_it() {
        let epoch = Date::constant(1970, 1, 1);
        let mut number = FIRST;
        for year in 1..=9999_i16 {
            for month in 1..=12_i8 {
                let first = Date::new(year, month, 1).unwrap();
                for day in 1..=first.days_in_month() {
                    let ymd = (i32::from(year), month.unsigned_abs(), day.unsigned_abs());
                    let found = Day::from_ymd(ymd.0, ymd.1, ymd.2).unwrap();
                    assert_eq!(i64::from(found.0), number);
                    assert_eq!(found.to_ymd(), ymd);
                    number += 1;
                }
            }
        }
        assert_eq!(Day::parse("1970-01-01").unwrap(), Day(0));
        assert_eq!(epoch.days_in_month(), 31);
        assert_eq!(Day::parse("2023-10-04").unwrap().to_string(), "2023-10-04");
    }

    #[test]
    fn a_number_far_outside_the_calendar_still_has_a_text() {
        assert_eq!(Day(-719_163).to_ymd(), (0, 12, 31));
        assert!(!Day(i32::MAX).to_string().is_empty());
        assert!(!Day(i32::MIN).to_string().is_empty());
    }

    #[track_caller]
    fn check_refused(text: &str, problem: &str) {
        assert_eq!(Day::parse(text).unwrap_err().to_string(), problem);
    }

    #[test]
    fn what_is_not_a_day_is_refused_with_what_to_write() {
        check_refused("2023-02-30", "`2023-02-30` does not exist: February 2023 has 28 days");
        check_refused("2023-13-01", "`2023-13-01` does not exist: there is no month 13");
        check_refused("0000-01-01", "`0000-01-01` is outside the years 0001 to 9999");
        check_refused("20/07/2023", "`20/07/2023` is not a day: write 2023-07-20");
        check_refused("2023-07", "`2023-07` is not a day: write year, month and day, such as 2023-10-04");
        check_refused("", "`` is not a day: write year, month and day, such as 2023-10-04");
    }
}
