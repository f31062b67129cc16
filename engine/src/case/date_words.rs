//! Dates in words: what a caseworker reads for an EDTF value, and what to write where a text is not one.

use edtf_core::{Date, DateField, Edtf, Interval, IntervalEndpoint, YearKind};

use super::day::{Day, MONTHS, days_in_month, ymd};

/// EDTF's code of winter.
pub(crate) const WINTER: u8 = 24;

const SEASONS: [&str; 4] = ["spring", "summer", "autumn", "winter"];

const A_DAY: &str = "write year, month and day, such as 2023-10-04";
const A_DATE: &str = "write 2023-10-04 for a day, 2023-10 for a month, 2023 for a year, 2023-03/2023-06 for a period, \
                      and put the source's words into `text`";

/// The value as a caseworker reads it.
pub(crate) fn words(value: &Edtf) -> String {
    match value {
        Edtf::Date(date) => date_words(date),
        Edtf::DateTime(at) => date_words(&at.date),
        Edtf::Interval(interval) => interval_words(interval),
        // Level 2, which no date of a case holds.
        Edtf::Set(set) => set.elements.len().to_string() + " dates",
    }
}

/// The season's code (21 spring to 24 winter), where the date is a season.
pub(crate) fn season(date: &Date) -> Option<u8> {
    date.month.and_then(DateField::value).filter(|code| (21..=WINTER).contains(code))
}

fn interval_words(interval: &Interval) -> String {
    let open = |end: &IntervalEndpoint| matches!(end, IntervalEndpoint::Open);
    match (dated(&interval.start), dated(&interval.end)) {
        (Some(start), Some(end)) => format!("between {} and {}", date_words(start), date_words(end)),
        (Some(start), None) if open(&interval.end) => format!("{} or later", date_words(start)),
        (Some(start), None) => format!("from {}, end not known", date_words(start)),
        (None, Some(end)) if open(&interval.start) => format!("{} or earlier", date_words(end)),
        (None, Some(end)) => format!("until {}, start not known", date_words(end)),
        (None, None) => "unknown".to_owned(),
    }
}

fn dated(end: &IntervalEndpoint) -> Option<&Date> {
    match end {
        IntervalEndpoint::Date(date)
        | IntervalEndpoint::OnOrBefore(date)
        | IntervalEndpoint::OnOrAfter(date) => Some(date),
        IntervalEndpoint::Open | IntervalEndpoint::Unknown => None,
    }
}

fn date_words(date: &Date) -> String {
    let about = if date.is_approximate() { "about " } else { "" };
    let uncertain = if date.is_uncertain() { " (uncertain)" } else { "" };
    format!("{about}{}{uncertain}", calendar_words(date))
}

fn calendar_words(date: &Date) -> String {
    let year = year_words(date);
    if let Some(code) = season(date) {
        return format!("{} {year}", SEASONS[usize::from(code - 21)]);
    }
    let month = date.month.map(|field| field.value().and_then(month_name));
    match (month, date.day.map(DateField::value)) {
        (None, _) => year,
        (Some(None), None) => format!("a month in {year}"),
        (Some(None), Some(_)) => format!("a day in {year}"),
        (Some(Some(month)), None) => format!("{month} {year}"),
        (Some(Some(month)), Some(None)) => format!("a day in {month} {year}"),
        (Some(Some(month)), Some(Some(day))) => format!("{day} {month} {year}"),
    }
}

fn year_words(date: &Date) -> String {
    if let Some(year) = date.year.value() {
        return year.to_string();
    }
    let YearKind::Standard { digits, .. } = date.year.kind else {
        return "a year".to_owned();
    };
    let with =
        |fill: u8| digits.iter().map(|digit| char::from(b'0' + digit.unwrap_or(fill))).collect::<String>();
    match digits {
        [Some(_), Some(_), Some(_), None] => format!("the {}s", with(0)),
        _ => format!("the years {} to {}", with(0), with(9)),
    }
}

fn month_name(month: u8) -> Option<&'static str> {
    MONTHS.get(usize::from(month).checked_sub(1)?).copied()
}

/// A time of day as people read it: `14:30 (+01:00)`, `14:30 UTC`, `14:30 Europe/London`.
pub(crate) fn clock_words(time: &str) -> String {
    let zone = zone_of(time).unwrap_or_default();
    let clock = &time[..time.len() - zone.len()];
    match zone.split_once('[') {
        Some((_, name)) => format!("{clock} {}", name.trim_end_matches(']')),
        None if zone == "Z" => format!("{clock} UTC"),
        None => format!("{clock} ({zone})"),
    }
}

/// What follows the clock in a time such as `14:30:05+01:00[Europe/London]`: an offset, `Z`, a zone in brackets, or an
/// offset and a zone. `None` where the time has another form.
pub(crate) fn zone_of(time: &str) -> Option<&str> {
    let zone_at = time.find(['Z', '+', '-', '['])?;
    let (clock, zone) = time.split_at(zone_at);
    if !is_clock(clock) {
        return None;
    }
    let (offset, name) = match zone.split_once('[') {
        Some((offset, name)) => (offset, Some(name.strip_suffix(']')?)),
        None => (zone, None),
    };
    let offset_fits = match offset {
        "" => name.is_some(),
        // `Z` beside a zone would let the zone's calendar show another day than the one written.
        "Z" => name.is_none(),
        _ => {
            two_digits(offset.get(1..3)).is_some_and(|hours| hours <= 14)
                && offset.get(3..4) == Some(":")
                && two_digits(offset.get(4..)).is_some_and(|minutes| minutes < 60)
        }
    };
    let name_fits = name.is_none_or(|name| {
        name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "/_+-".contains(letter))
    });
    (offset_fits && name_fits).then_some(zone)
}

fn is_clock(clock: &str) -> bool {
    let (whole, fraction) = match clock.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (clock, None),
    };
    let hours = two_digits(whole.get(0..2)).is_some_and(|hours| hours < 24);
    let sixty = |range| whole.get(range) == Some(":");
    let minutes = sixty(2..3) && two_digits(whole.get(3..5)).is_some_and(|minutes| minutes < 60);
    let seconds = match whole.len() {
        5 => fraction.is_none(),
        8 => sixty(5..6) && two_digits(whole.get(6..8)).is_some_and(|seconds| seconds < 60),
        _ => false,
    };
    let parts = fraction.is_none_or(|digits| (1..=6).contains(&digits.len()) && all_digits(digits));
    hours && minutes && seconds && parts
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn two_digits(text: Option<&str>) -> Option<u8> {
    text.filter(|text| text.len() == 2 && all_digits(text))?.parse().ok()
}

/// Why a text in the form of a time is refused.
pub(crate) fn not_a_time(time: &str) -> String {
    let clock_alone = is_clock(time.trim());
    if clock_alone {
        let time = time.trim();
        return format!(
            "the time `{time}` lacks its offset or zone: write {time}+01:00, {time}Z or {time}[Europe/London]"
        );
    }
    format!(
        "`{time}` is not a time of day with offset or zone: write 14:30+01:00, 14:30:05Z or 14:30[Europe/London], \
         hours from 00 to 23"
    )
}

/// Why no instant belongs to a day and a well-formed time.
pub(crate) fn no_such_instant(day: Day, time: &str) -> String {
    let known = zone_of(time)
        .and_then(|zone| zone.split_once('['))
        .map(|(offset, name)| (offset, name.trim_end_matches(']')));
    let Some((offset, name)) = known else {
        return format!("`{time}` on {day} is no instant that a clock can show");
    };
    if jiff::tz::TimeZone::get(name).is_err() {
        return format!(
            "`{name}` is not a time zone: write an IANA name such as Europe/London, or an offset"
        );
    }
    if offset.is_empty() {
        return format!(
            "the clocks of {name} skipped `{time}` on {day} or showed it twice: write the offset too, such as \
             01:30+01:00[{name}]"
        );
    }
    format!(
        "{name} was not at offset {offset} at that time on {day}: correct the offset or leave the zone out"
    )
}

/// Why a year, month and day in the right form are no day.
pub(crate) fn no_such_day(year: i32, month: u8, day: u8) -> String {
    let text = format!("{year:04}-{month:02}-{day:02}");
    match month_name(month) {
        _ if year == 0 => format!("`{text}` is outside the years 0001 to 9999"),
        None => format!("`{text}` does not exist: there is no month {month:02}"),
        Some(name) => {
            format!("`{text}` does not exist: {name} {year} has {} days", days_in_month(year, month))
        }
    }
}

/// Why a text is not a single day.
pub(crate) fn not_a_day(text: &str) -> String {
    let help = numeric_date(text)
        .filter(|help| help.len() >= "write 2023-10-04".len())
        .unwrap_or_else(|| A_DAY.to_owned());
    format!("`{text}` is not a day: {help}")
}

/// Why a text is not EDTF, and what to write.
pub(crate) fn not_understood(text: &str, reason: &str) -> String {
    if let Some((year, month, day)) = ymd(text)
        && Day::from_ymd(year, month, day).is_none()
    {
        return no_such_day(year, month, day);
    }
    let trimmed = text.trim();
    if trimmed.is_empty()
        || ["unknown", "n/a", "none", "?", "..", "../..", "/"].contains(&lower(trimmed).as_str())
    {
        return format!("`{text}` is not a date: leave the date out where it is unknown");
    }
    if trimmed != text && Edtf::parse(trimmed).is_ok() {
        return format!("`{text}` has spaces around it: write {trimmed}");
    }
    if reason.contains("precedes") {
        return format!("`{text}` ends before it starts: write the earlier date first");
    }
    let help = date_and_clock(trimmed)
        .or_else(|| numeric_date(trimmed))
        .or_else(|| spoken_period(trimmed))
        .or_else(|| spoken_date(trimmed));
    match help {
        Some(help) => format!("`{text}` is not a date in EDTF: {help}"),
        None => format!("`{text}` is not a date in EDTF ({reason}): {A_DATE}"),
    }
}

/// Why a value that is EDTF is more than a case's dates hold.
pub(crate) fn not_accepted(text: &str, value: &Edtf) -> String {
    if let Some(help) = date_and_clock(text) {
        return format!("`{text}` holds a time of day: {help}");
    }
    let help = match value {
        Edtf::Set(_) => {
            "write the period that holds all of them, such as 2023-03/2023-06, or record one event for each"
        }
        Edtf::Interval(_) if value.has_unspecified() => {
            "an interval's ends are written without X: write 2023-05 instead of 2023-05-XX"
        }
        Edtf::Date(_) if value.has_unspecified() => {
            "X may stand for a whole day, a whole month and day, or the last one or two digits of a year alone: 2023-05-XX, \
             2023-XX-XX, 2023-XX, 202X, 20XX"
        }
        _ if value.is_uncertain() || value.is_approximate() => {
            "put ?, ~ or % at the end, for the whole date: 2023-05-20?"
        }
        Edtf::Date(date) if date.month.is_some() => {
            "seasons are 21 (spring) to 24 (winter); write a quarter or a half of a year as a period, such as 2023-01/2023-03"
        }
        _ => A_DATE,
    };
    format!("`{text}` is EDTF of level 2, and dates here keep to levels 0 and 1: {help}")
}

fn lower(text: &str) -> String {
    text.to_lowercase()
}

/// `2023-10-04T14:30:00Z`, `2023-10-04 14:30`.
fn date_and_clock(text: &str) -> Option<String> {
    let (date, clock) = text.split_once(['T', ' '])?;
    Day::parse(date).ok()?;
    let clock = clock.trim();
    let time = if zone_of(clock).is_some() {
        clock.to_owned()
    } else if is_clock(clock) {
        format!("{clock}+01:00")
    } else {
        return None;
    };
    Some(format!(
        "write {date} and put the time of day into `time`: {{\"edtf\":\"{date}\",\"time\":\"{time}\"}}"
    ))
}

/// `20/07/2023`, `2023/7/2`, `2023-7`, `20230720`, `7/2023`.
fn numeric_date(text: &str) -> Option<String> {
    if text.len() == 8 && all_digits(text) {
        let dashed = format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..]);
        return Day::parse(&dashed).ok().map(|day| format!("write {day}"));
    }
    let parts: Vec<&str> = text.split(['/', '.', '-', ' ']).collect();
    if !parts.iter().all(|part| (1..=4).contains(&part.len()) && all_digits(part)) {
        return None;
    }
    let numbers: Vec<i32> = parts.iter().filter_map(|part| part.parse().ok()).collect();
    let day = |year: i32, month: i32, day: i32| {
        Day::from_ymd(year, u8::try_from(month).ok()?, u8::try_from(day).ok()?)
    };
    match (numbers.as_slice(), parts.first()?.len() == 4, parts.last()?.len() == 4) {
        (&[year, month, of_month], true, false) => Some(format!("write {}", day(year, month, of_month)?)),
        (&[first, second, year], false, true) => match (day(year, second, first), day(year, first, second)) {
            (Some(day_first), Some(month_first)) if day_first != month_first => Some(format!(
                "write {day_first} if it means {}, {month_first} if it means {}",
                spoken(day_first),
                spoken(month_first)
            )),
            (Some(only), _) | (None, Some(only)) => Some(format!("write {only}")),
            (None, None) => None,
        },
        (&[year, month], true, false) | (&[month, year], false, true) => {
            (1..=12).contains(&month).then(|| format!("write {year:04}-{month:02}"))
        }
        _ => None,
    }
}

fn spoken(day: Day) -> String {
    let (year, month, day) = day.to_ymd();
    format!("{day} {} {year}", month_name(month).unwrap_or_default())
}

/// `between March and June 2023`, `2023-03 to 2023-06`, `2023-03..2023-06`.
fn spoken_period(text: &str) -> Option<String> {
    let lowered = lower(text);
    let bare = ["between ", "from "].iter().find_map(|word| lowered.strip_prefix(word)).unwrap_or(&lowered);
    let (start, end) =
        [" and ", " to ", " until ", " – ", " - ", ".."].iter().find_map(|word| bare.split_once(word))?;
    let last = edtf_of(end.trim())?;
    let first = edtf_of(start.trim()).or_else(|| edtf_of(&format!("{} {}", start.trim(), &last[..4])))?;
    let period = format!("{first}/{last}");
    Edtf::parse(&period).ok()?;
    Some(format!("write {period} and put the words into `text`"))
}

fn edtf_of(text: &str) -> Option<String> {
    if Edtf::parse(text).is_ok_and(|value| value.level() == 0) {
        Some(text.to_owned())
    } else {
        named_date(text)
    }
}

/// `20 July 2023`, `July 2023`, `early 2021`, `circa 2021`, `summer 2021`, `20 July`.
fn spoken_date(text: &str) -> Option<String> {
    if let Some(date) = named_date(text) {
        return Some(format!("write {date} and put the words into `text`"));
    }
    words_of(text).iter().any(|word| month_of(word).is_some()).then(|| {
        "name the year too, such as 2023-07-20, with `basis` inferred where the source leaves it out; put the words into \
         `text`"
            .to_owned()
    })
}

fn words_of(text: &str) -> Vec<String> {
    text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).map(lower).collect()
}

fn month_of(word: &str) -> Option<u8> {
    let found = MONTHS.iter().position(|name| {
        let name = lower(name);
        name == word || (word.len() >= 3 && (word == &name[..3] || word == "sept" && name == "september"))
    })?;
    u8::try_from(found + 1).ok()
}

fn named_date(text: &str) -> Option<String> {
    let words = words_of(text);
    let year = words.iter().find(|word| word.len() == 4 && all_digits(word) && *word != "0000")?;
    let about = if ["about", "circa", "c", "around", "approximately"]
        .iter()
        .any(|word| words.iter().any(|w| w == word))
    {
        "~"
    } else {
        ""
    };
    let month = words.iter().find_map(|word| month_of(word));
    let Some(month) = month else {
        let season = SEASONS.iter().position(|name| words.iter().any(|word| word == name));
        return Some(match season {
            Some(index) => format!("{year}-{}{about}", 21 + index),
            None => format!("{year}{about}"),
        });
    };
    let day = words.iter().find_map(|word| {
        let digits = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let ending = &word[digits.len()..];
        if !["", "st", "nd", "rd", "th"].contains(&ending) || digits.len() > 2 {
            return None;
        }
        Day::from_ymd(year.parse().ok()?, month, digits.parse().ok()?)
    });
    Some(match day {
        Some(day) => format!("{day}{about}"),
        None => format!("{year}-{month:02}{about}"),
    })
}
