//! Attributes of a log, and what their values become.
//!
//! A value is kept as it is written until somebody uses it: what nobody uses may be wrong.

use jiff::civil;
use jiff::fmt::temporal::DateTimeParser;
use serde_json::Value;

use crate::case::occurred::Occurred;

/// What a log says its attribute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the meaning")]
pub enum AttributeKind {
    Text,
    Date,
    Integer,
    Float,
    Boolean,
    Id,
}

impl AttributeKind {
    /// The kind of an element of this name; `None`: it is no attribute with a value.
    #[must_use]
    pub fn of(element: &str) -> Option<Self> {
        Some(match element {
            "string" => Self::Text,
            "date" => Self::Date,
            "int" => Self::Integer,
            "float" => Self::Float,
            "boolean" => Self::Boolean,
            "id" => Self::Id,
            _ => return None,
        })
    }

    /// As XES calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Date => "date",
            Self::Integer => "int",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::Id => "id",
        }
    }
}

/// An attribute: its key, and its value as it is written. One inside another has both keys, with `/` between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The key.
    pub key: String,
    /// What it is said to be.
    pub kind: AttributeKind,
    /// The value as it is written.
    pub value: String,
}

/// The value of the attribute of this key; of several the first.
#[must_use]
pub fn attribute<'a>(attributes: &'a [Attribute], key: &str) -> Option<&'a Attribute> {
    attributes.iter().find(|attribute| attribute.key == key)
}

/// A date as a log has it: a day, perhaps with a time of day, perhaps with an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogDate<'a> {
    /// The day.
    pub day: civil::Date,
    /// The time of day as it is written, and the offset.
    pub time: Option<(&'a str, Option<&'a str>)>,
}

/// Reads a date: `2024-03-05T11:02:00.000+01:00`, the same without an offset, or a day alone.
///
/// # Errors
/// When the text is none of these, says what is expected.
pub fn log_date(text: &str) -> Result<LogDate<'_>, String> {
    let text = text.trim();
    let wrong = || {
        let shown: String = text.chars().take(60).collect();
        format!("`{}` is no date such as 2024-03-05T11:02:00+01:00 or 2024-03-05", shown.escape_debug())
    };
    let day_text = text.get(..10).ok_or_else(wrong)?;
    let day: civil::Date = PLAIN.parse_date(day_text).map_err(|_| wrong())?;
    let has_digits = day_text.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    if !has_digits || day.year() < 1 {
        return Err(wrong());
    }
    let rest = &text[10..];
    if rest.is_empty() {
        return Ok(LogDate { day, time: None });
    }
    let rest = rest.strip_prefix(['T', 't', ' ']).ok_or_else(wrong)?;
    let offset_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, offset) = rest.split_at(offset_at);
    PLAIN.parse_time(clock).map_err(|_| wrong())?;
    if !offset.is_empty() && whole_offset(offset).is_none() {
        return Err(wrong());
    }
    Ok(LogDate { day, time: Some((clock, (!offset.is_empty()).then_some(offset))) })
}

static PLAIN: DateTimeParser = DateTimeParser::new();

/// `Z`, or an offset with its colon.
fn whole_offset(offset: &str) -> Option<String> {
    if matches!(offset, "Z" | "z") {
        return Some("Z".to_owned());
    }
    let (sign, digits) = offset.split_at(1);
    let digits: String = digits.chars().filter(|letter| *letter != ':').collect();
    let (hours, minutes) = match digits.len() {
        2 => (digits.as_str(), "00"),
        4 => digits.split_at(2),
        _ => return None,
    };
    let in_range = hours.parse::<u8>().ok()? <= 14 && minutes.parse::<u8>().ok()? < 60;
    in_range.then(|| format!("{sign}{hours}:{minutes}"))
}

impl LogDate<'_> {
    /// As a date of an event: with the time of day where `with_time` says so, in `zone` where the log names no offset.
    /// Where the clocks of the zone skipped that time or showed it twice, the day alone, and the log's own words.
    #[must_use]
    pub fn occurred(&self, with_time: bool, zone: &str, written: &str) -> Occurred {
        let day = Occurred::parse(&self.day.to_string()).unwrap_or_default();
        let Some((clock, offset)) = self.time.filter(|_| with_time) else { return day };
        let place = match offset {
            Some(offset) => whole_offset(offset).unwrap_or_default(),
            None if zone == "UTC" => "Z".to_owned(),
            None => format!("[{zone}]"),
        };
        let clock = match clock.split_once('.') {
            Some((whole, fraction)) if fraction.bytes().all(|byte| byte == b'0') => whole,
            _ => clock,
        };
        day.clone().with_time(&format!("{clock}{place}")).unwrap_or_else(|_| day.with_text(written))
    }
}

/// The largest number that stays itself in JSON everywhere.
const INTEGER_MAX: u64 = 1 << 53;

/// A whole number, also where the log writes it as `15000.0`.
///
/// # Errors
/// When it is none, or too large.
pub fn integer(text: &str) -> Result<Value, String> {
    let text = text.trim();
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() && fraction.bytes().all(|byte| byte == b'0') => whole,
        _ => text,
    };
    let number: i64 = whole.parse().map_err(|_| format!("`{}` is no whole number", text.escape_debug()))?;
    if number.unsigned_abs() > INTEGER_MAX {
        return Err(format!("`{text}` is larger than 2^53: keep it as text"));
    }
    Ok(Value::from(number))
}

/// True or false, as XML writes them.
///
/// # Errors
/// When it is neither.
pub fn boolean(text: &str) -> Result<Value, String> {
    match text.trim() {
        "true" | "True" | "TRUE" | "1" => Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" | "0" => Ok(Value::Bool(false)),
        other => Err(format!("`{}` is neither true nor false", other.escape_debug())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &str, zone: &str, expected: &str) {
        let date = log_date(written).expect("it is a date");
        let occurred = date.occurred(true, zone, written);
        assert_eq!(serde_json::to_string(&occurred).unwrap(), expected);
    }

    #[test]
    fn dates_come_with_offset_without_or_as_a_day() {
        check("2010-12-30T11:02:00.000+01:00", "UTC", r#"{"edtf":"2010-12-30","time":"11:02:00+01:00"}"#);
        check("2010-12-30T11:02:00.125Z", "UTC", r#"{"edtf":"2010-12-30","time":"11:02:00.125Z"}"#);
        check("2010-12-30T11:02:00+0100", "UTC", r#"{"edtf":"2010-12-30","time":"11:02:00+01:00"}"#);
        check("2010-12-30 11:02:00", "UTC", r#"{"edtf":"2010-12-30","time":"11:02:00Z"}"#);
        check(
            "2010-12-30T11:02:00",
            "Europe/London",
            r#"{"edtf":"2010-12-30","time":"11:02:00[Europe/London]"}"#,
        );
        check("2010-12-30", "UTC", r#""2010-12-30""#);
    }

    #[test]
    fn a_time_that_the_clocks_skipped_is_kept_in_words() {
        check(
            "2023-03-26T01:30:00",
            "Europe/London",
            r#"{"edtf":"2023-03-26","text":"2023-03-26T01:30:00"}"#,
        );
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for wrong in [
            "",
            "30/12/2010",
            "2010-13-01",
            "2010-12-30T25:00:00",
            "2010-12-30Tnoon",
            "20101230T1100",
            "é",
            "2010-12-30T11:00:00+99:00",
        ] {
            assert!(log_date(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_are_whole() {
        assert_eq!(integer("15000.0"), Ok(Value::from(15_000)));
        assert!(integer("1.5").is_err() && integer("1e3").is_err() && integer("9007199254740993").is_err());
        assert!(integer("-9223372036854775808").is_err());
        assert_eq!(boolean("True"), Ok(Value::Bool(true)));
        assert!(boolean("yes").is_err());
    }
}
