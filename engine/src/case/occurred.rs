//! When something happened, as precisely as people know it.
//!
//! A date is an EDTF value (ISO 8601-2, levels 0 and 1) with the words of its source; its bounds are whole
//! days, either of which may be open. Comparing two dates has three answers: see [`Order`].
//!
//! What a value does not prove stays open:
//! - `?`, `~` and `%` prove no order: the bounds that order uses are open there, while
//!   [`Occurred::displayed_bounds`] still gives the days as written.
//! - A season is three whole months (spring is March to May); `2021-24`, the winter of 2021, may be the one that
//!   began or the one that ended in that year.
//! - The clock (`time`) only orders events of the same day, and only where both have one.

use edtf_core::{Bound, Edtf, IntervalEndpoint};
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::{Disambiguation, OffsetConflict};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::date_words;
pub use super::day::Day;

/// The earliest and the latest day on which something can have happened; `None` is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// No earlier than this day.
    pub earliest: Option<Day>,
    /// No later than this day.
    pub latest: Option<Day>,
}

/// What two dates say about their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The first definitely came before the second.
    Before,
    /// The first definitely came after the second.
    After,
    /// The dates do not decide.
    Indeterminate,
}

/// How the date is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The source says so.
    #[default]
    Stated,
    /// It follows from what the source says.
    Inferred,
    /// It was computed.
    Computed,
}

/// When an event happened: EDTF, optional time of day, the source's words, links to other events.
///
/// Serialised as a plain EDTF string where nothing else was given, otherwise as an object.
///
/// ```
/// use casebook_engine::case::occurred::{Occurred, Order};
///
/// let month = Occurred::parse("2021-05")?;
/// assert_eq!(month.to_string(), "May 2021");
/// assert_eq!(month.order(&Occurred::parse("2021-06-01")?), Order::Before);
/// assert_eq!(month.order(&Occurred::parse("2021-05-20")?), Order::Indeterminate);
/// # Ok::<(), casebook_engine::case::occurred::OccurredError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Occurred {
    edtf: Option<String>,
    time: Option<String>,
    /// The source's own words.
    pub text: Option<String>,
    /// How it is known.
    pub basis: Basis,
    /// Events (ids, or labels of the same file) after which it happened.
    pub after: Vec<String>,
    /// Events before which it happened.
    pub before: Vec<String>,
    span: Span,
    instant: Option<Timestamp>,
}

/// Why a date was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct OccurredError {
    /// What is wrong and what to write instead.
    pub problem: String,
}

/// The days of a value: as far as they prove an order, and as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Span {
    proven: Bounds,
    displayed: Bounds,
}

impl Occurred {
    /// Unknown.
    #[must_use]
    pub fn unknown() -> Self {
        Self::default()
    }

    /// That day, nothing more.
    ///
    /// A day outside the years 0001 to 9999, which only arithmetic can make, has no EDTF text: it gives unknown.
    #[must_use]
    pub fn on(day: Day) -> Self {
        Self::parse(&day.to_string()).unwrap_or_default()
    }

    /// From EDTF, which is kept as given.
    ///
    /// # Errors
    /// When the text is not EDTF of level 0 or 1 without a time, lies outside the years 0001 to 9999, or is an
    /// interval that ends before it starts. The error says what to write instead.
    pub fn parse(edtf: &str) -> Result<Self, OccurredError> {
        Ok(Self { edtf: Some(edtf.to_owned()), span: span_of(edtf)?, ..Self::default() })
    }

    /// The same with a time of day and its offset or zone, such as `14:30+01:00`, `14:30:05Z` or
    /// `14:30[Europe/London]`.
    ///
    /// # Errors
    /// When the date is not one certain day, the time has another form, or the zone's clocks skipped it or showed it
    /// twice that day.
    pub fn with_time(mut self, time: &str) -> Result<Self, OccurredError> {
        self.instant = Some(instant_at(self.edtf.as_deref(), time)?);
        self.time = Some(time.to_owned());
        Ok(self)
    }

    /// The same with the source's own words.
    #[must_use]
    pub fn with_text(mut self, text: &str) -> Self {
        self.text = Some(text.to_owned());
        self
    }

    /// The same, known in this way.
    #[must_use]
    pub fn with_basis(mut self, basis: Basis) -> Self {
        self.basis = basis;
        self
    }

    /// The EDTF text as given; `None` is unknown.
    #[must_use]
    pub fn edtf(&self) -> Option<&str> {
        self.edtf.as_deref()
    }

    /// The time of day as given.
    #[must_use]
    pub fn time(&self) -> Option<&str> {
        self.time.as_deref()
    }

    /// The days between which it happened, as far as the value proves them: open where it is qualified by `?`, `~`
    /// or `%`. Rules, orders and deadlines use these.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.span.proven
    }

    /// The days that the value names, its qualification left aside: for sorting and for people's eyes, never for rules.
    #[must_use]
    pub fn displayed_bounds(&self) -> Bounds {
        self.span.displayed
    }

    /// The exact instant, where a time of day with zone is known.
    #[must_use]
    pub fn instant(&self) -> Option<Timestamp> {
        self.instant
    }

    /// What the dates (not the links) say about the order: by days, and within one day by instants where both have one.
    ///
    /// Days are those that people wrote, each in its own place's calendar. Equal days without two instants, and equal
    /// instants, decide nothing.
    #[must_use]
    pub fn order(&self, other: &Self) -> Order {
        let by_days = self.bounds().order(other.bounds());
        if by_days != Order::Indeterminate {
            return by_days;
        }
        match (self.instant, other.instant) {
            (Some(mine), Some(theirs)) if mine < theirs => Order::Before,
            (Some(mine), Some(theirs)) if mine > theirs => Order::After,
            _ => Order::Indeterminate,
        }
    }

    /// The value in words, whatever the source's own words are: `4 October 2023`, `about May 2021`, `unknown`.
    #[must_use]
    pub fn words(&self) -> String {
        let Some(value) = self.edtf.as_deref().and_then(|text| Edtf::parse(text).ok()) else {
            return "unknown".to_owned();
        };
        let date = date_words::words(&value);
        match self.time.as_deref() {
            Some(time) => format!("{date} at {}", date_words::clock_words(time)),
            None => date,
        }
    }
}

impl std::fmt::Display for Occurred {
    /// The source's own words where they are given, otherwise [`Occurred::words`].
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.text.as_deref().filter(|text| !text.trim().is_empty()) {
            Some(text) => f.write_str(text),
            None => f.write_str(&self.words()),
        }
    }
}

impl Bounds {
    /// Both open.
    pub const OPEN: Self = Self { earliest: None, latest: None };

    /// Before where every day of the first comes before every day of the second.
    #[must_use]
    pub fn order(self, other: Self) -> Order {
        let ends_before = |first: Self, second: Self| match (first.latest, second.earliest) {
            (Some(latest), Some(earliest)) => latest < earliest,
            _ => false,
        };
        if ends_before(self, other) {
            Order::Before
        } else if ends_before(other, self) {
            Order::After
        } else {
            Order::Indeterminate
        }
    }
}

impl Order {
    /// The answer to the question asked the other way round.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Before => Self::After,
            Self::After => Self::Before,
            Self::Indeterminate => Self::Indeterminate,
        }
    }
}

fn refuse<T>(problem: String) -> Result<T, OccurredError> {
    Err(OccurredError { problem })
}

fn span_of(text: &str) -> Result<Span, OccurredError> {
    // Nearly every date of a log is a plain day; this way costs no allocation.
    if let Some(day) = Day::written_as(text) {
        let bounds = Bounds { earliest: Some(day), latest: Some(day) };
        return Ok(Span { proven: bounds, displayed: bounds });
    }
    let value = match Edtf::parse(text) {
        Ok(value) => value,
        Err(error) => return refuse(date_words::not_understood(text, error.message)),
    };
    if matches!(value, Edtf::DateTime(_)) || value.level() > 1 {
        return refuse(date_words::not_accepted(text, &value));
    }
    match &value {
        Edtf::Date(date) => date_span(text, date),
        Edtf::Interval(interval) => {
            let start = end_span(text, &interval.start)?;
            let end = end_span(text, &interval.end)?;
            Ok(Span {
                proven: Bounds { earliest: start.proven.earliest, latest: end.proven.latest },
                displayed: Bounds { earliest: start.displayed.earliest, latest: end.displayed.latest },
            })
        }
        Edtf::DateTime(_) | Edtf::Set(_) => refuse(date_words::not_accepted(text, &value)),
    }
}

fn end_span(text: &str, end: &IntervalEndpoint) -> Result<Span, OccurredError> {
    match end {
        IntervalEndpoint::Open | IntervalEndpoint::Unknown => Ok(Span::default()),
        IntervalEndpoint::Date(date) => date_span(text, date),
        // Level 2; refused before it comes here.
        IntervalEndpoint::OnOrBefore(_) | IntervalEndpoint::OnOrAfter(_) => refuse(format!(
            "`{text}` is more than this date can hold: leave one side of the interval as `..`"
        )),
    }
}

fn date_span(text: &str, date: &edtf_core::Date) -> Result<Span, OccurredError> {
    let bounds = Edtf::Date(*date).bounds();
    let (Some(mut earliest), Some(latest)) = (day_of(bounds.earliest), day_of(bounds.latest)) else {
        return refuse(format!("`{text}` is outside the years 0001 to 9999"));
    };
    if date_words::season(date) == Some(date_words::WINTER) {
        let (year, _, _) = earliest.to_ymd();
        earliest = Day::from_ymd(year, 1, 1).unwrap_or(earliest);
    }
    let displayed = Bounds { earliest: Some(earliest), latest: Some(latest) };
    let qualified = date.is_uncertain() || date.is_approximate();
    Ok(Span { proven: if qualified { Bounds::OPEN } else { displayed }, displayed })
}

fn day_of(bound: Bound) -> Option<Day> {
    match bound {
        Bound::Date(date) => Day::from_ymd(i32::try_from(date.year).ok()?, date.month, date.day),
        Bound::NegativeInfinity | Bound::PositiveInfinity | Bound::Unknown => None,
    }
}

fn instant_at(edtf: Option<&str>, time: &str) -> Result<Timestamp, OccurredError> {
    let Some(day) = edtf.and_then(Day::written_as) else {
        return refuse(format!(
            "the time `{time}` needs a date that is one certain day, such as 2023-10-04; the date is {}",
            edtf.map_or("unknown".to_owned(), |edtf| format!("`{edtf}`"))
        ));
    };
    let Some(zone) = date_words::zone_of(time) else {
        return refuse(date_words::not_a_time(time));
    };
    let text = format!("{day}T{time}");
    let understood = if zone.contains('[') {
        static EXACT: DateTimeParser = DateTimeParser::new()
            .offset_conflict(OffsetConflict::Reject)
            .disambiguation(Disambiguation::Reject);
        EXACT.parse_zoned_datetime(&text).map(|zoned| zoned.timestamp())
    } else {
        text.parse::<Timestamp>()
    };
    understood.or_else(|_| refuse(date_words::no_such_instant(day, time)))
}

impl Serialize for Occurred {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let plain = self.time.is_none()
            && self.text.is_none()
            && self.basis == Basis::Stated
            && self.after.is_empty()
            && self.before.is_empty();
        if let (true, Some(edtf)) = (plain, &self.edtf) {
            return serializer.serialize_str(edtf);
        }
        let mut map = serializer.serialize_map(None)?;
        if !self.after.is_empty() {
            map.serialize_entry("after", &self.after)?;
        }
        if self.basis != Basis::Stated {
            map.serialize_entry("basis", &self.basis)?;
        }
        if !self.before.is_empty() {
            map.serialize_entry("before", &self.before)?;
        }
        for (name, value) in [("edtf", &self.edtf), ("text", &self.text), ("time", &self.time)] {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Occurred {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OccurredVisitor)
    }
}

struct OccurredVisitor;

impl<'de> Visitor<'de> for OccurredVisitor {
    type Value = Occurred;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a date such as \"2023-10-04\" or {\"edtf\": \"2023-10\", \"text\": \"in October\"}")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Occurred, E> {
        Occurred::parse(text).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Occurred, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            edtf: Option<String>,
            time: Option<String>,
            text: Option<String>,
            #[serde(default)]
            basis: Basis,
            #[serde(default)]
            after: Vec<String>,
            #[serde(default)]
            before: Vec<String>,
        }
        let fields = Fields::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        if fields.after.iter().chain(&fields.before).any(String::is_empty) {
            return Err(A::Error::custom("`after` and `before` name events; an empty text names none"));
        }
        let mut occurred = match &fields.edtf {
            Some(edtf) => Occurred::parse(edtf).map_err(A::Error::custom)?,
            None => Occurred::unknown(),
        };
        if let Some(time) = &fields.time {
            occurred = occurred.with_time(time).map_err(A::Error::custom)?;
        }
        let Fields { text, basis, after, before, .. } = fields;
        Ok(Occurred { text, basis, after, before, ..occurred })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::ops::Range;

    // --- An oracle of its own: which days of a window does an EDTF text denote? Strings and counting, no library. ---

    const WINDOW: Range<i32> = 2018..2026;

    fn calendar() -> Vec<String> {
        let mut days = Vec::new();
        for year in WINDOW {
            let february = if year % 4 == 0 { 29 } else { 28 };
            let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            for (month, length) in lengths.iter().enumerate() {
                days.extend((1..=*length).map(|day| format!("{year}-{:02}-{day:02}", month + 1)));
            }
        }
        days
    }

    /// Whether a day such as `2023-10-04` is one of those that a plain date (no qualifier) denotes.
    fn denotes(date: &str, day: &str) -> bool {
        let (year, month) = (&day[..4], &day[5..7]);
        let next_year = |written: &str| format!("{}", written.parse::<i32>().unwrap() + 1);
        match date.split_once('-') {
            Some((written, "21")) => year == written && ["03", "04", "05"].contains(&month),
            Some((written, "22")) => year == written && ["06", "07", "08"].contains(&month),
            Some((written, "23")) => year == written && ["09", "10", "11"].contains(&month),
            // The hull of both winters that people call by this year.
            Some((written, "24")) => {
                year == written || year == next_year(written) && ["01", "02"].contains(&month)
            }
            _ => date.chars().zip(day.chars()).all(|(mask, letter)| mask == 'X' || mask == letter),
        }
    }

    fn matching(date: &str, days: &[String]) -> Vec<usize> {
        let bare = date.trim_end_matches(['?', '~', '%']);
        (0..days.len()).filter(|index| denotes(bare, &days[*index])).collect()
    }

    /// The days on which the event may have happened; the whole window stands for "no limit".
    fn possible_days(edtf: &str, days: &[String]) -> Vec<usize> {
        let qualified = |date: &str| date.ends_with(['?', '~', '%']);
        match edtf.split_once('/') {
            None if qualified(edtf) => (0..days.len()).collect(),
            None => matching(edtf, days),
            Some((start, end)) => {
                let open = |side: &str| side.is_empty() || side == ".." || qualified(side);
                let first = if open(start) { 0 } else { *matching(start, days).first().unwrap() };
                let last = if open(end) { days.len() - 1 } else { *matching(end, days).last().unwrap() };
                (first..=last).collect()
            }
        }
    }

    fn naive_bounds(edtf: &str, days: &[String]) -> Bounds {
        let possible = possible_days(edtf, days);
        let (first, last) = (*possible.first().unwrap(), *possible.last().unwrap());
        let day = |index: usize| Day::parse(&days[index]).unwrap();
        Bounds {
            earliest: (first > 0).then(|| day(first)),
            latest: (last < days.len() - 1).then(|| day(last)),
        }
    }

    fn naive_order(first: &[usize], second: &[usize]) -> Order {
        let all = |holds: fn(usize, usize) -> bool| {
            first.iter().all(|mine| second.iter().all(|theirs| holds(*mine, *theirs)))
        };
        if all(|mine, theirs| mine < theirs) {
            Order::Before
        } else if all(|mine, theirs| mine > theirs) {
            Order::After
        } else {
            Order::Indeterminate
        }
    }

    /// A date inside the window, away from its borders: days, months, years, seasons.
    fn plain_date() -> impl Strategy<Value = String> {
        (2019..=2023, 1..=12_u8, 1..=31_u8, 21..=24_u8, 0..8_u8).prop_map(
            |(year, month, day, season, form)| match form {
                0..=2 => format!("{year}-{month:02}-{day:02}"),
                3 | 4 => format!("{year}-{month:02}"),
                5 => format!("{year}"),
                _ => format!("{year}-{season}"),
            },
        )
    }

    fn masked_date() -> impl Strategy<Value = String> {
        (2019..=2023, 1..=12_u8, 0..3_u8).prop_map(|(year, month, form)| match form {
            0 => format!("{year}-{month:02}-XX"),
            1 => format!("{year}-XX-XX"),
            _ => format!("{year}-XX"),
        })
    }

    fn edtf_text() -> impl Strategy<Value = String> {
        let qualifier = prop::sample::select(vec!["", "", "", "?", "~", "%"]);
        let end = || {
            prop_oneof![
                1 => Just("..".to_owned()),
                1 => Just(String::new()),
                4 => (plain_date(), qualifier.clone()).prop_map(|(date, mark)| date + mark),
            ]
        };
        prop_oneof![
            3 => (plain_date(), qualifier.clone()).prop_map(|(date, mark)| date + mark),
            1 => masked_date(),
            3 => (end(), end()).prop_map(|(start, finish)| format!("{start}/{finish}")),
        ]
    }

    /// Whether the text may be a value at all, by the naive rules.
    fn is_value(edtf: &str, days: &[String]) -> bool {
        let exists = |side: &str| side.is_empty() || side == ".." || !matching(side, days).is_empty();
        match edtf.split_once('/') {
            None => exists(edtf),
            Some((start, end)) => {
                let dated = |side: &str| !side.is_empty() && side != "..";
                // An interval can start in the later of the two winters at least.
                let starts = match start.trim_end_matches(['?', '~', '%']).strip_suffix("-24") {
                    Some(year) => matching(&format!("{year}-12"), days),
                    None => matching(start, days),
                };
                let in_order = !dated(start) || !dated(end) || starts.first() <= matching(end, days).last();
                exists(start) && exists(end) && in_order && (dated(start) || dated(end))
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]

        #[test]
        fn bounds_and_order_are_those_of_the_days_counted_one_by_one(a in edtf_text(), b in edtf_text()) {
            let days = calendar();
            for text in [&a, &b] {
                prop_assert_eq!(Occurred::parse(text).is_ok(), is_value(text, &days), "{}", text);
            }
            if let (Ok(first), Ok(second)) = (Occurred::parse(&a), Occurred::parse(&b)) {
                prop_assert_eq!(first.bounds(), naive_bounds(&a, &days), "{}", a);
                let expected = naive_order(&possible_days(&a, &days), &possible_days(&b, &days));
                prop_assert_eq!(first.order(&second), expected, "{} {}", a, b);
                prop_assert_eq!(second.order(&first), expected.reversed());
                // The days at the edges, where a comparison goes wrong first.
                let possible = possible_days(&a, &days);
                let (start, end) = (possible[0], possible[possible.len() - 1]);
                for edge in [start.saturating_sub(1), start, end, end + 1] {
                    if let Some(day) = days.get(edge) {
                        let day = Occurred::parse(day).unwrap();
                        let expected = naive_order(&possible, &[edge]);
                        prop_assert_eq!(first.order(&day), expected, "{} {:?}", a, day.edtf());
                    }
                }
            }
        }

        #[test]
        fn what_is_serialised_is_read_back_the_same(
            edtf in edtf_text(),
            text in prop::option::of("\\PC{0,20}"),
            basis in prop::sample::select(vec![Basis::Stated, Basis::Inferred, Basis::Computed]),
            after in prop::collection::vec("[a-z]{1,5}", 0..3),
            before in prop::collection::vec("[a-z]{1,5}", 0..3),
        ) {
            if let Ok(occurred) = Occurred::parse(&edtf) {
                let occurred = Occurred { text, basis, after, before, ..occurred };
                let json = serde_json::to_string(&occurred).unwrap();
                prop_assert_eq!(serde_json::from_str::<Occurred>(&json).unwrap(), occurred);
            }
        }

        #[test]
        fn no_words_make_reading_panic(words in prop::collection::vec(prop::sample::select(vec![
            "July", "sept", "20", "20th", "2023", "7", "-", "/", " ", "T", "14:30", "+01:00", "..", "é", "X", "?", "early",
            " and ", "between ", "summer", "c. ", "[", "Europe/London]", "00",
        ]), 0..8)) {
            let text = words.concat();
            if let Err(error) = Occurred::parse(&text) {
                prop_assert!(error.problem.contains(&text));
            }
            let _ = Occurred::on(Day(19_000)).with_time(&text);
        }

        #[test]
        fn no_text_makes_reading_panic(text in "\\PC{0,24}", time in "[0-9:.TZ+\\[\\]/a-zA-Zé-]{0,20}") {
            let _ = Occurred::parse(&text);
            let _ = Occurred::parse(&time);
            if let Ok(timed) = Occurred::on(Day(19_000)).with_time(&time) {
                prop_assert!(timed.instant().is_some());
                prop_assert!(!timed.words().is_empty());
            }
        }
    }

    #[test]
    fn a_decade_and_a_century_have_their_years_as_bounds() {
        for (text, first, last) in
            [("201X", "2010-01-01", "2019-12-31"), ("20XX", "2000-01-01", "2099-12-31")]
        {
            let bounds = Occurred::parse(text).unwrap().bounds();
            assert_eq!(bounds.earliest, Some(Day::parse(first).unwrap()));
            assert_eq!(bounds.latest, Some(Day::parse(last).unwrap()));
        }
    }

    #[test]
    fn a_qualified_value_keeps_its_days_for_display_and_proves_no_order() {
        let about = Occurred::parse("2021-05~").unwrap();
        assert_eq!(about.bounds(), Bounds::OPEN);
        assert_eq!(about.displayed_bounds().earliest, Some(Day::parse("2021-05-01").unwrap()));
        assert_eq!(about.order(&Occurred::parse("2030").unwrap()), Order::Indeterminate);
    }

    #[track_caller]
    fn check_refused(edtf: &str, says: &str) {
        let problem = Occurred::parse(edtf).unwrap_err().to_string();
        assert!(problem.contains(says), "{problem}");
    }

    #[test]
    fn a_date_in_another_form_is_refused_with_what_to_write() {
        check_refused("20/07/2023", "write 2023-07-20");
        check_refused("20.7.2023", "write 2023-07-20");
        check_refused(
            "04/07/2023",
            "write 2023-07-04 if it means 4 July 2023, 2023-04-07 if it means 7 April 2023",
        );
        check_refused("07/2023", "write 2023-07");
        check_refused("2023-7-2", "write 2023-07-02");
        check_refused("2023/7/2", "write 2023-07-02");
        check_refused("20230720", "write 2023-07-20");
        check_refused("July 2023", "write 2023-07 and put the words into `text`");
        check_refused("20 July 2023", "write 2023-07-20 and put the words into `text`");
        check_refused("July 20th, 2023", "write 2023-07-20 and");
        check_refused("early 2021", "write 2021 and");
        check_refused("about May 2021", "write 2021-05~ and");
        check_refused("summer 2021", "write 2021-22 and");
        check_refused("between March and June 2023", "write 2023-03/2023-06 and");
        check_refused("2023-03 to 2023-06", "write 2023-03/2023-06 and");
        check_refused("20 July", "name the year too");
        check_refused("yesterday", "write 2023-10-04 for a day");
        check_refused("unknown", "leave the date out where it is unknown");
        check_refused("", "leave the date out");
        check_refused(" 2023-07", "write 2023-07");
    }

    #[test]
    fn a_date_that_no_calendar_has_is_refused() {
        check_refused("2023-02-30", "February 2023 has 28 days");
        check_refused("2023-13-01", "there is no month 13");
        check_refused("0000", "outside the years 0001 to 9999");
        check_refused("-0044", "outside the years 0001 to 9999");
        check_refused("Y17000", "outside the years 0001 to 9999");
        check_refused("9999-24", "outside the years 0001 to 9999");
        check_refused("2023-06/2023-05", "ends before it starts");
    }

    #[test]
    fn level_two_is_refused_with_what_to_write() {
        check_refused("[2020,2021]", "write the period that holds all of them");
        check_refused("2023-05-XX/2023-06", "without X");
        check_refused("2023-1X", "X may stand for");
        check_refused("2023?-05-20", "at the end, for the whole date");
        check_refused("2023-33", "as a period");
    }

    #[test]
    fn a_time_inside_the_date_is_refused() {
        check_refused("2023-10-04T14:30:00Z", "{\"edtf\":\"2023-10-04\",\"time\":\"14:30:00Z\"}");
        check_refused("2023-10-04 14:30", "{\"edtf\":\"2023-10-04\",\"time\":\"14:30+01:00\"}");
    }

    #[track_caller]
    fn check_instant(day: &str, time: &str, instant: &str) {
        let occurred = Occurred::parse(day).unwrap().with_time(time).unwrap();
        assert_eq!(occurred.instant().unwrap().to_string(), instant);
    }

    #[test]
    fn a_time_with_offset_or_zone_gives_an_instant() {
        check_instant("2023-10-04", "14:30+01:00", "2023-10-04T13:30:00Z");
        check_instant("2023-10-04", "14:30:05Z", "2023-10-04T14:30:05Z");
        check_instant("2023-10-04", "14:30[Europe/London]", "2023-10-04T13:30:00Z");
        check_instant("2023-12-04", "14:30[Europe/London]", "2023-12-04T14:30:00Z");
        check_instant("2023-10-29", "01:30+00:00[Europe/London]", "2023-10-29T01:30:00Z");
        check_instant("2023-10-04", "14:30:05.25-05:00", "2023-10-04T19:30:05.25Z");
    }

    #[track_caller]
    fn check_time_refused(day: &str, time: &str, says: &str) {
        let problem = Occurred::parse(day).unwrap().with_time(time).unwrap_err().to_string();
        assert!(problem.contains(says), "{problem}");
    }

    #[test]
    fn a_time_that_gives_no_single_instant_is_refused() {
        check_time_refused("2023-10", "14:30Z", "one certain day");
        check_time_refused("2023-10-04?", "14:30Z", "one certain day");
        check_time_refused("2023-10-04", "14:30", "write 14:30+01:00, 14:30Z or 14:30[Europe/London]");
        check_time_refused("2023-10-04", "2.30pm", "hours from 00 to 23");
        check_time_refused("2023-10-04", "24:00Z", "hours from 00 to 23");
        check_time_refused("2023-10-04", "14:30Z[Europe/London]", "hours from 00 to 23");
        check_time_refused("2023-03-26", "01:30[Europe/London]", "skipped");
        check_time_refused("2023-10-29", "01:30[Europe/London]", "showed it twice");
        check_time_refused("2023-10-04", "14:30+00:00[Europe/London]", "was not at offset +00:00");
        check_time_refused("2023-10-04", "14:30[Europe/Londn]", "not a time zone");
        let unknown = Occurred::unknown().with_time("14:30Z").unwrap_err();
        assert!(unknown.to_string().contains("the date is unknown"));
    }

    #[test]
    fn times_order_events_of_one_day_and_never_overrule_days() {
        let at = |day: &str, time: &str| Occurred::parse(day).unwrap().with_time(time).unwrap();
        let noon = at("2023-10-04", "12:00Z");
        assert_eq!(noon.order(&at("2023-10-04", "12:30+01:00")), Order::After);
        assert_eq!(noon.order(&at("2023-10-04", "13:00+01:00")), Order::Indeterminate);
        assert_eq!(noon.order(&Occurred::parse("2023-10-04").unwrap()), Order::Indeterminate);
        assert_eq!(noon.order(&at("2023-10-05", "00:10+14:00")), Order::Before);
    }

    #[test]
    fn a_date_is_shown_in_words_and_its_own_text_comes_first() {
        for (edtf, words) in [
            ("2023-10-04", "4 October 2023"),
            ("2021-05", "May 2021"),
            ("2021", "2021"),
            ("2021-24", "winter 2021"),
            ("2021-05~", "about May 2021"),
            ("2021-05-20?", "20 May 2021 (uncertain)"),
            ("2021-05-XX", "a day in May 2021"),
            ("2021-XX", "a month in 2021"),
            ("201X", "the 2010s"),
            ("20XX", "the years 2000 to 2099"),
            ("2023-07-20/2023-10-04", "between 20 July 2023 and 4 October 2023"),
            ("2021-05/..", "May 2021 or later"),
            ("../2021-05", "May 2021 or earlier"),
            ("2021-05/", "from May 2021, end not known"),
            ("/2021-05", "until May 2021, start not known"),
        ] {
            assert_eq!(Occurred::parse(edtf).unwrap().to_string(), words);
        }
        assert_eq!(Occurred::unknown().to_string(), "unknown");
        let told = Occurred::parse("2021-05").unwrap().with_text("earlier that month");
        assert_eq!(told.to_string(), "earlier that month");
        assert_eq!(told.words(), "May 2021");
        let timed = Occurred::parse("2023-10-04").unwrap().with_time("14:30[Europe/London]").unwrap();
        assert_eq!(timed.words(), "4 October 2023 at 14:30 Europe/London");
    }

    #[test]
    fn only_what_was_given_is_serialised() {
        let plain = Occurred::parse("2023-10-04").unwrap();
        assert_eq!(serde_json::to_value(&plain).unwrap(), json!("2023-10-04"));
        assert_eq!(
            serde_json::to_value(plain.with_text("4 Oct").with_basis(Basis::Inferred)).unwrap(),
            json!({"edtf": "2023-10-04", "text": "4 Oct", "basis": "inferred"})
        );
        assert_eq!(serde_json::to_value(Occurred::unknown()).unwrap(), json!({}));
    }

    #[test]
    fn a_wrong_object_is_refused_and_says_why() {
        for (value, says) in [
            (json!({"edtf": "July 2023"}), "write 2023-07"),
            (json!({"edft": "2023"}), "unknown field `edft`"),
            (json!({"edtf": "2023", "time": "14:30Z"}), "one certain day"),
            (json!({"edtf": "2023", "basis": "guess"}), "unknown variant `guess`"),
            (json!({"after": [""]}), "an empty text names none"),
            (json!(2023), "a date such as"),
        ] {
            let problem = serde_json::from_value::<Occurred>(value).unwrap_err().to_string();
            assert!(problem.contains(says), "{problem}");
        }
    }
}
