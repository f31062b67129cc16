//! Lengths of time as law writes them: so many days, working days, weeks, months or years.

use std::fmt;

/// The longest period, in its own unit: beyond it no duty is meant.
const COUNT_MAX: u32 = 40_000;

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// How many.
    pub count: u32,
    /// Of what.
    pub unit: Unit,
}

/// What a period is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Days of the calendar.
    Days,
    /// Days that a calendar calls working days.
    WorkingDays,
    /// Seven days each.
    Weeks,
    /// Months: to the corresponding date, or the month's last day where it has none.
    Months,
    /// Twelve months each.
    Years,
}

/// How the days of a period are counted from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// Day 1 is the day after.
    DayAfter,
    /// Day 1 is the first working day after.
    FirstWorkingDayAfter,
    /// The day itself is day 1.
    IncludingThatDay,
    /// The end of the next day.
    FollowingDay,
    /// Back from the day: the day before it is day 1.
    BackFrom,
}

impl Length {
    /// Reads `10 working-days`, `1 month`, or an ISO 8601 duration of one unit such as `P6M`; `None` where it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (count, unit) = match text.strip_prefix('P') {
            Some(iso) => {
                let (count, unit) = iso.split_at_checked(iso.len().checked_sub(1)?)?;
                (count, iso_unit(unit)?)
            }
            None => {
                let (count, unit) = text.split_once(' ')?;
                (count, Unit::named(unit)?)
            }
        };
        if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let count = count.parse().ok().filter(|count| (1..=COUNT_MAX).contains(count))?;
        Some(Self { count, unit })
    }
}

fn iso_unit(letter: &str) -> Option<Unit> {
    Some(match letter {
        "D" => Unit::Days,
        "W" => Unit::Weeks,
        "M" => Unit::Months,
        "Y" => Unit::Years,
        _ => return None,
    })
}

impl Unit {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "day" | "days" => Self::Days,
            "working-day" | "working-days" => Self::WorkingDays,
            "week" | "weeks" => Self::Weeks,
            "month" | "months" => Self::Months,
            "year" | "years" => Self::Years,
            _ => return None,
        })
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Days => "day",
            Unit::WorkingDays => "working day",
            Unit::Weeks => "week",
            Unit::Months => "month",
            Unit::Years => "year",
        };
        write!(f, "{} {unit}{}", self.count, if self.count == 1 { "" } else { "s" })
    }
}

impl Counting {
    /// The ways of counting, as definitions write them; `rolling` is day-after that starts again at each meeting event.
    pub const NAMES: [&'static str; 6] = [
        "day-after",
        "first-working-day-after",
        "including-that-day",
        "following-day",
        "rolling",
        "back-from",
    ];

    /// As definitions write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DayAfter => "day-after",
            Self::FirstWorkingDayAfter => "first-working-day-after",
            Self::IncludingThatDay => "including-that-day",
            Self::FollowingDay => "following-day",
            Self::BackFrom => "back-from",
        }
    }

    /// In words, after a length: `10 working days from the first working day after`.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::DayAfter => "from the day after",
            Self::FirstWorkingDayAfter => "from the first working day after",
            Self::IncludingThatDay => "beginning with the day itself",
            Self::FollowingDay => "to the end of the next day after",
            Self::BackFrom => "back from the day",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_a_number_and_a_unit() {
        let length = |count, unit| Some(Length { count, unit });
        assert_eq!(Length::parse("10 working-days"), length(10, Unit::WorkingDays));
        assert_eq!(Length::parse("1 day"), length(1, Unit::Days));
        assert_eq!(Length::parse("P6M"), length(6, Unit::Months));
        assert_eq!(Length::parse("P18M").map(|length| length.to_string()).as_deref(), Some("18 months"));
        for wrong in [
            "",
            "10",
            "days",
            "0 days",
            "-1 days",
            "+1 days",
            "1  days",
            "P",
            "PM",
            "P1",
            "PT5H",
            "P1Y6M",
            "é",
            "Pé",
            "99999999999 days",
            "40001 days",
            "ten days",
        ] {
            assert_eq!(Length::parse(wrong), None, "{wrong}");
        }
    }
}
