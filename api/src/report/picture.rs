//! A case as a picture: strands as lanes over time, states as bars, events as numbered marks below them.
//!
//! ```text
//!            2021        2022              2023
//! Charge C1              ░▒▓ Laid │ Convicted │ Sentenced
//! Events      ①  ②③       ④      ⑤  ⑥
//! ```

use casebook_engine::case::course::{Course, CourseEvent, Lane, Run};
use casebook_engine::case::occurred::Day;
use maud::{Markup, html};

use super::marks::{draw_legend, draw_mark, legend, marks, triangle};
use super::placement::{Link, Placement, place};

const FONT: &str = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', Arial, sans-serif";
/// Where the lanes begin; their names stand before.
pub(super) const LEFT: f64 = 186.0;
const PLOT_WIDTH: f64 = 850.0;
const HEAD: f64 = 44.0;
const LANE: f64 = 34.0;
const BAR: f64 = 28.0;
const HEADING: f64 = 24.0;
pub(super) const MARK: f64 = 9.0;
const MARK_ROW: f64 = 21.0;
/// With fewer lanes that moved, those that did not are drawn too.
const LANES_MIN: usize = 4;
/// A letter of a label, on average.
const LETTER: f64 = 5.7;
const LABEL_LINE: f64 = 12.0;
/// Room that a state asks for at most, and at least.
const ROOM: (f64, f64) = (112.0, 30.0);

pub(super) const INK: &str = "#1c2733";
pub(super) const FAINT: &str = "#5b6a79";
const RULE: &str = "#d9dfe6";
const CALM: [&str; 2] = ["#dce6f0", "#c9d8e7"];
pub(super) const FINAL: &str = "#2f4f6f";
pub(super) const GAP: &str = "#9a6700";
pub(super) const WRONG: &str = "#b3261e";

/// A picture, and what it stands in.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    /// The case's reference.
    pub reference: &'a str,
    /// Its course.
    pub course: &'a Course,
    /// The marks lead to `#event-N` of the page that the picture stands in.
    pub is_linked: bool,
}

/// One line of the picture, from the top: an owner's name, or a lane.
enum Row<'a> {
    Owner(String),
    Lane(&'a Lane),
}

/// Draws a case as SVG. The same course gives the same bytes; nothing outside is asked for.
#[must_use]
pub fn picture(of: Picture<'_>) -> String {
    super::legible(draw(of).into_string())
}

/// Draws a case into a page.
pub(super) fn draw(of: Picture<'_>) -> Markup {
    let course = of.course;
    let (moved, still) = lanes_of(course);
    let chains: Vec<Vec<Link>> = moved.iter().map(|lane| chain(lane)).collect();
    let bounds: Vec<_> = course.events.iter().map(|event| event.bounds).collect();
    let placed = place(&bounds, &chains, PLOT_WIDTH);
    let rows = rows(&moved);
    let lanes_height: f64 = rows.iter().map(Row::height).sum();
    let marks = marks(course, &placed);
    let mark_rows = marks.iter().map(|mark| mark.row + 1).max().unwrap_or(1);
    let strip = HEAD + lanes_height + 10.0;
    let under = strip + mark_rows as f64 * MARK_ROW + 16.0;
    let notes = notes(course, &still);
    let legend = legend(course);
    let height = under + 24.0 + 17.0 * notes.len() as f64 + 8.0;
    let width = LEFT + placed.end + 12.0;
    let mut top = HEAD;
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (n(width)) " " (n(height)) }
            width=(n(width)) height=(n(height)) role="img" font-family=(FONT) font-size="12" fill=(INK)
            aria-label={ "The course of case " (of.reference) } {
            title { "The course of case " (of.reference) }
            desc { (description(course, moved.len())) }
            (patterns())
            rect width=(n(width)) height=(n(height)) fill="#ffffff" {}
            (axis(&placed, HEAD + lanes_height))
            (breach_lines(course, &placed, HEAD + lanes_height))
            @for row in &rows {
                @let at = top;
                @match row {
                    Row::Owner(name) => {
                        text x="8" y=(n(at + 17.0)) font-weight="600" { (name) }
                        line x1="8" y1=(n(at + 23.0)) x2=(n(LEFT + placed.end)) y2=(n(at + 23.0)) stroke=(RULE) {}
                    }
                    Row::Lane(lane) => (draw_lane(lane, course, &placed, at)),
                }
                @let () = top += row.height();
            }
            text x="8" y=(n(strip + 14.0)) font-weight="600" { "Events" }
            text x="8" y=(n(strip + 29.0)) font-size="10.5" fill=(FAINT) { "numbered as recorded" }
            line x1="8" y1=(n(strip - 5.0)) x2=(n(LEFT + placed.end)) y2=(n(strip - 5.0)) stroke=(RULE) {}
            @for mark in &marks { (draw_mark(of, mark, strip + MARK_ROW * (mark.row as f64 + 0.5))) }
            (draw_legend(&legend, under + 8.0))
            @for (index, note) in notes.iter().enumerate() {
                text x="8" y=(n(under + 32.0 + 17.0 * index as f64)) font-size="10.5" fill=(FAINT) { (note) }
            }
        }
    }
}

/// The lanes that are drawn, and those that are only named: the latter where there is enough to see without them.
fn lanes_of(course: &Course) -> (Vec<&Lane>, Vec<&Lane>) {
    let (moved, still): (Vec<&Lane>, Vec<&Lane>) =
        course.lanes.iter().partition(|lane| has_moved(lane, course));
    if moved.len() < LANES_MIN { (course.lanes.iter().collect(), Vec::new()) } else { (moved, still) }
}

/// Whether anything ever happened in a lane beyond its beginning together with its owner.
fn has_moved(lane: &Lane, course: &Course) -> bool {
    let owner = course.lanes.iter().filter(|other| other.entity == lane.entity);
    let began = owner.filter_map(|other| other.runs.first()).map(|run| run.event).min();
    lane.runs.len() > 1 || lane.runs.first().map(|run| run.event) != began
}

fn chain(lane: &Lane) -> Vec<Link> {
    let room = |run: &Run| if run.state.is_some() { room(&run.title) } else { ROOM.1 };
    lane.runs.iter().map(|run| Link { event: run.event, room: room(run) }).collect()
}

fn room(title: &str) -> f64 {
    let longest = in_two(title).iter().map(|line| line.chars().count()).max().unwrap_or(0);
    (longest as f64 * LETTER + 14.0).clamp(ROOM.1, ROOM.0)
}

/// A label in one line or two, broken where the longer half is shortest.
fn in_two(title: &str) -> Vec<String> {
    let words: Vec<&str> = title.split_whitespace().collect();
    let length = |words: &[&str]| words.join(" ").chars().count();
    if length(&words) <= 9 || words.len() < 2 {
        return vec![words.join(" ")];
    }
    let cut = (1..words.len()).min_by_key(|cut| length(&words[..*cut]).max(length(&words[*cut..])));
    let (first, second) = words.split_at(cut.unwrap_or(1));
    vec![first.join(" "), second.join(" ")]
}

/// A label cut to the room that there is; empty where it would say nothing.
fn fitted(label: &str, room: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of letters")]
    let most = (room.max(0.0) / LETTER) as usize;
    match label.chars().count() {
        count if count <= most => label.to_owned(),
        _ if most < 4 => String::new(),
        _ => label.chars().take(most - 1).chain(['…']).collect(),
    }
}

impl Row<'_> {
    const fn height(&self) -> f64 {
        match self {
            Self::Owner(_) => HEADING,
            Self::Lane(_) => LANE,
        }
    }
}

fn rows<'a>(lanes: &[&'a Lane]) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    let mut owner = None;
    for lane in lanes {
        if owner != Some(&lane.entity) {
            owner = Some(&lane.entity);
            rows.push(Row::Owner(owner_words(lane)));
        }
        rows.push(Row::Lane(lane));
    }
    rows
}

/// `The case`, `Subject SUB-1`.
fn owner_words(lane: &Lane) -> String {
    match &lane.entity {
        None => "The case".to_owned(),
        Some(id) => {
            let kind = lane.kind.as_deref().unwrap_or_default().replace('-', " ");
            fitted(&format!("{} {id}", crate::words::capitalised(&kind)), LEFT - 16.0)
        }
    }
}

fn draw_lane(lane: &Lane, course: &Course, placed: &Placement, top: f64) -> Markup {
    let name = in_two(&lane.title);
    let name = if lane.title.chars().count() <= 28 { vec![lane.title.clone()] } else { name };
    let y = top + (LANE - BAR) / 2.0;
    html! {
        g {
            @for (index, line) in name.iter().enumerate() {
                text x="18" y=(n(top + 21.0 + (index as f64 - (name.len() as f64 - 1.0) / 2.0) * 13.0))
                    font-size="11.5" fill=(FAINT) font-style=[lane.is_derived.then_some("italic")] {
                    (fitted(line, LEFT - 24.0))
                }
            }
            @for (index, run) in lane.runs.iter().enumerate() {
                @if run.state.is_some() { (draw_run(lane, index, course, placed, y)) }
            }
        }
    }
}

/// Between which places a run begins: its event's own, as far as its neighbours leave room.
fn edge(lane: &Lane, index: usize, placed: &Placement) -> (f64, f64) {
    let Some(run) = lane.runs.get(index) else { return (placed.end, placed.end) };
    let at = placed.events[run.event];
    let before = index.checked_sub(1).map(|before| placed.events[lane.runs[before].event]);
    let after = lane.runs.get(index + 1).map_or(placed.end, |after| placed.events[after.event]);
    let (from, until) = placed.spans[run.event];
    let from = before.map_or(from, |before| from.max(at - (at - before) * 0.4));
    (from.min(at), until.min(at + (after - at) * 0.4).max(at))
}

fn draw_run(lane: &Lane, index: usize, course: &Course, placed: &Placement, y: f64) -> Markup {
    let run = &lane.runs[index];
    let event = &course.events[run.event];
    let (begin, end) = (edge(lane, index, placed), edge(lane, index + 1, placed));
    let at = placed.events[run.event];
    let next = lane.runs.get(index + 1).map_or(placed.end, |next| placed.events[next.event]);
    // A sharp edge leaves a thin line of paper between two bars.
    let (from, until) = (begin.0, (end.1 - 1.5).max(begin.0 + 1.0));
    let is_soft = begin.1 - begin.0 > 3.0 || end.1 - end.0 > 3.0;
    let colour = if run.is_final { FINAL } else { CALM[index % 2] };
    let id =
        format!("soft-{}-{}-{index}", slug(&lane.strand), slug(lane.entity.as_deref().unwrap_or("case")));
    let middle = at.max(f64::midpoint(begin.0, begin.1)) + 7.0;
    // White letters need the dark part of a soft edge.
    let has_room = run.is_final && next - begin.1 >= room(&run.title);
    let label_from = if has_room { begin.1 + 5.0 } else { middle };
    let lines: Vec<String> =
        in_two(&run.title).iter().map(|line| fitted(line, next - label_from - 2.0)).collect();
    let lines: Vec<String> = if fitted(&run.title, next - label_from - 2.0) == run.title {
        vec![run.title.clone()]
    } else {
        lines
    };
    let stop = |place: f64| n(((place - from) / (until - from).max(1.0)).clamp(0.0, 1.0) * 100.0) + "%";
    let ink = if run.is_final { "#ffffff" } else { INK };
    html! {
        g {
            title { (run_words(lane, run, event)) }
            @if is_soft {
                linearGradient id=(id) gradientUnits="objectBoundingBox" {
                    stop offset=(stop(begin.0)) stop-color=(colour) stop-opacity=(if begin.1 - begin.0 > 3.0 { "0" } else { "1" }) {}
                    stop offset=(stop(begin.1)) stop-color=(colour) {}
                    stop offset=(stop(end.0)) stop-color=(colour) {}
                    stop offset=(stop(end.1)) stop-color=(colour) stop-opacity=(if end.1 - end.0 > 3.0 { "0" } else { "1" }) {}
                }
            }
            rect x=(n(LEFT + from)) y=(n(y)) width=(n(until - from)) height=(n(BAR)) rx="2"
                fill=(if is_soft { format!("url(#{id})") } else { colour.to_owned() }) {}
            @if event.is_gap {
                rect x=(n(LEFT + at)) y=(n(y)) width=(n((next - at - 1.5).max(1.0))) height=(n(BAR)) fill="url(#gap)" {}
                line x1=(n(LEFT + at)) y1=(n(y)) x2=(n(LEFT + at)) y2=(n(y + BAR)) stroke=(GAP) stroke-width="1.5"
                    stroke-dasharray="3 2" {}
            }
            @for (line, text) in lines.iter().enumerate() {
                text x=(n(LEFT + label_from))
                    y=(n(y + BAR / 2.0 + 4.0 + (line as f64 - (lines.len() as f64 - 1.0) / 2.0) * LABEL_LINE))
                    font-size="11" fill=(ink) { (text) }
            }
            @if event.is_breach {
                path d=(triangle(LEFT + at, y)) fill=(WRONG) {}
            }
        }
    }
}

/// `Charge of C1: Sentenced, from 4 October 2023 (event 34, Sentence passed)`.
fn run_words(lane: &Lane, run: &Run, event: &CourseEvent) -> String {
    let whose = lane.entity.as_ref().map(|id| format!(" of {id}")).unwrap_or_default();
    let what = if event.is_gap { "missing step" } else { "event" };
    format!(
        "{}{whose}: {}, {} ({what} {}, {})",
        lane.title,
        run.title,
        when_words(event),
        event.version,
        event.title
    )
}

fn when_words(event: &CourseEvent) -> String {
    let words = event.occurred.words();
    if words == "unknown" { "date unknown".to_owned() } else { format!("from {words}") }
}

fn patterns() -> Markup {
    html! {
        defs {
            pattern id="gap" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                line x1="0" y1="0" x2="0" y2="7" stroke=(GAP) stroke-opacity="0.35" stroke-width="2" {}
            }
        }
    }
}

/// Years and months, as thin lines behind the lanes.
fn axis(placed: &Placement, bottom: f64) -> Markup {
    let (first, last) = placed.days();
    let (from, until) = (Day(first).to_ymd().0, Day(last).to_ymd().0);
    let start = |year: i32, month: u8| Day::from_ymd(year, month, 1).map(|day| day.0);
    let is_drawn = |day: &i32| *day >= first && *day < last;
    let mut years: Vec<(f64, String)> = Vec::new();
    let mut months: Vec<(f64, f64, u8)> = Vec::new();
    for year in from..=until {
        let at = start(year, 1).map_or(0.0, |day| placed.day(day.max(first)));
        years.push((at, year.to_string()));
        for month in 1..=12 {
            let Some(day) = start(year, month).filter(is_drawn) else { continue };
            let next = start(if month == 12 { year + 1 } else { year }, month % 12 + 1).unwrap_or(last);
            months.push((placed.day(day), placed.day(next.min(last)), month));
        }
    }
    // Of two years too near each other the later one is named.
    let is_named = |index: usize| years.get(index + 1).is_none_or(|next| next.0 - years[index].0 > 40.0);
    let years: Vec<&(f64, String)> =
        years.iter().enumerate().filter(|(index, _)| is_named(*index)).map(|(_, year)| year).collect();
    let months = named_months(&months);
    html! {
        g font-size="10.5" fill=(FAINT) {
            @for (at, month) in &months {
                @let name = MONTHS[usize::from(month - 1)];
                line x1=(n(LEFT + at)) y1="32" x2=(n(LEFT + at)) y2=(n(bottom)) stroke=(RULE) stroke-width="0.7" {}
                text x=(n(LEFT + at + 3.0)) y="38" { (name) }
            }
            @for (at, year) in &years {
                line x1=(n(LEFT + at)) y1="12" x2=(n(LEFT + at)) y2=(n(bottom)) stroke="#b9c3ce" {}
                text x=(n(LEFT + at + 4.0)) y="22" font-size="13" font-weight="600" fill=(INK) { (year) }
            }
        }
    }
}

/// The months that are named: first those that are stretched and those after them, then quarters, then what fits between.
fn named_months(months: &[(f64, f64, u8)]) -> Vec<(f64, u8)> {
    let usual = months.iter().map(|(at, next, _)| next - at).fold(f64::INFINITY, f64::min);
    let is_stretched =
        |index: usize| months.get(index).is_some_and(|(at, next, _)| next - at > usual * 2.0 + 8.0);
    let rank = |index: usize| match months[index].2 {
        _ if is_stretched(index) => 0,
        _ if index > 0 && is_stretched(index - 1) => 1,
        1 | 7 => 2,
        4 | 10 => 3,
        _ => 4,
    };
    let mut order: Vec<usize> = (0..months.len()).collect();
    order.sort_by_key(|index| rank(*index));
    let mut named: Vec<(f64, u8)> = Vec::new();
    for index in order {
        let (at, _, month) = months[index];
        if named.iter().all(|(other, _)| (other - at).abs() > 28.0) {
            named.push((at, month));
        }
    }
    named.sort_by(|one, other| one.0.total_cmp(&other.0));
    named
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A line behind everything where the law was broken, and a mark at its head.
fn breach_lines(course: &Course, placed: &Placement, bottom: f64) -> Markup {
    html! {
        @for (index, _) in course.events.iter().enumerate().filter(|(_, event)| event.is_breach) {
            @let x = n(LEFT + placed.events[index]);
            line x1=(x) y1=(n(HEAD)) x2=(x) y2=(n(bottom)) stroke=(WRONG) {}
            path d=(triangle(LEFT + placed.events[index], HEAD - 1.0)) fill=(WRONG) {}
        }
    }
}

/// What the picture leaves out, and how it is to be read.
fn notes(course: &Course, still: &[&Lane]) -> Vec<String> {
    let mut notes = vec![
        "Soft edges: the day is not known. Hatched: begun by a step of which nobody has the details. Dark: nothing more is \
         expected. Time is stretched where much happened."
            .to_owned(),
    ];
    let whose = |lane: &Lane| lane.entity.as_ref().map(|id| format!(" of {id}")).unwrap_or_default();
    let titles: Vec<String> = still.iter().map(|lane| format!("{}{}", lane.title, whose(lane))).collect();
    if !titles.is_empty() {
        let words = titles.join(", ");
        let words: String = if words.chars().count() > 150 {
            words.chars().take(149).chain(['…']).collect()
        } else {
            words
        };
        notes.push(format!("Not drawn, since nothing moved there: {words}."));
    }
    if course.events.iter().any(|event| event.was.is_some()) {
        notes.push(
            "A small struck circle shows where an event stood before its date was corrected.".to_owned(),
        );
    }
    notes
}

fn description(course: &Course, lanes: usize) -> String {
    let gaps = course.events.iter().filter(|event| event.is_gap).count();
    let breaches = course.events.iter().filter(|event| event.is_breach).count();
    format!(
        "{lanes} strands over time and {} events below them; {gaps} gaps, {breaches} events with a breach. The list of events \
         says the same in words.",
        course.events.len()
    )
}

/// A name that may stand in an id; what differs only in other letters is told apart by its bytes.
fn slug(name: &str) -> String {
    name.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("_{byte:02x}")
                }
            },
        )
        .collect()
}

/// A number as SVG writes it, to a tenth.
pub(super) fn n(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}
