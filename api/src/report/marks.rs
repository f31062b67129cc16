//! The events below a picture: numbered marks, each in the first row where it touches no other, and what the marks mean.

use casebook_engine::case::course::{Course, CourseEvent};
use maud::{Markup, html};

use super::picture::{FAINT, FINAL, GAP, INK, LEFT, MARK, Picture, WRONG, n};
use super::placement::{DATED_DAYS, Placement};

/// An event as drawn in the strip: where, in which row, and where it was thought to have been.
pub(super) struct Mark<'a> {
    event: &'a CourseEvent,
    at: f64,
    was: Option<f64>,
    pub(super) row: usize,
}

pub(super) fn marks<'a>(course: &'a Course, placed: &Placement) -> Vec<Mark<'a>> {
    let mut marks: Vec<Mark<'a>> = course
        .events
        .iter()
        .enumerate()
        .map(|(index, event)| {
            let was = event.was.map(|was| {
                let (first, last) = placed.days();
                let from = was.earliest.map_or(first, |day| day.0);
                let until = was.latest.map_or(last, |day| day.0);
                f64::midpoint(placed.day(from.clamp(first, last)), placed.day(until.clamp(first, last)))
            });
            Mark { event, at: placed.events[index], was, row: 0 }
        })
        .collect();
    marks.sort_by(|one, other| one.at.total_cmp(&other.at));
    let mut ends: Vec<f64> = Vec::new();
    for mark in &mut marks {
        let from = mark.was.map_or(mark.at, |was| was.min(mark.at));
        let free = ends.iter().position(|end| from - end >= 2.0 * MARK + 2.0);
        mark.row = free.unwrap_or(ends.len());
        let end = mark.was.map_or(mark.at, |was| was.max(mark.at));
        match free {
            Some(row) => ends[row] = end,
            None => ends.push(end),
        }
    }
    marks
}

fn is_dated(event: &CourseEvent) -> bool {
    event.bounds.earliest.zip(event.bounds.latest).is_some_and(|(from, until)| until.0 - from.0 < DATED_DAYS)
}

pub(super) fn draw_mark(of: Picture<'_>, mark: &Mark<'_>, y: f64) -> Markup {
    let event = mark.event;
    let x = LEFT + mark.at;
    let (fill, ink, ring) = match () {
        () if event.is_annulled => ("#ffffff", FAINT, FAINT),
        () if event.is_gap => ("#fdf4e3", GAP, GAP),
        () if event.is_breach || event.is_override => ("#fbe9e7", WRONG, WRONG),
        () if is_dated(event) => (FINAL, "#ffffff", FINAL),
        () => ("#eef3f8", INK, "#7f93a8"),
    };
    let drawn = html! {
        g {
            title { (mark_words(event)) }
            @if let Some(was) = mark.was {
                line x1=(n(LEFT + was)) y1=(n(y)) x2=(n(x)) y2=(n(y)) stroke=(FAINT) stroke-dasharray="2 2" {}
                circle cx=(n(LEFT + was)) cy=(n(y)) r="5" fill="#ffffff" stroke=(FAINT) {}
                line x1=(n(LEFT + was - 7.0)) y1=(n(y + 4.0)) x2=(n(LEFT + was + 7.0)) y2=(n(y - 4.0)) stroke=(WRONG) stroke-width="1.4" {}
            }
            // Behind the mark: the number of an event that still counts stays readable.
            @if event.is_corrected && !event.is_annulled { (strike(x, y, MARK + 5.0)) }
            circle cx=(n(x)) cy=(n(y)) r=(n(MARK - 0.5)) fill=(fill) stroke=(ring) stroke-width="1.2"
                stroke-dasharray=[event.is_gap.then_some("3 2")] {}
            text x=(n(x)) y=(n(y + 3.2)) font-size="9" text-anchor="middle" fill=(ink) { (event.version) }
            @if event.is_annulled { (strike(x, y, MARK + 1.0)) }
            @if event.is_breach { path d=(triangle(x + 7.0, y - 10.0)) fill=(WRONG) {} }
        }
    };
    if of.is_linked {
        html! { a href={ "#event-" (event.version) } { (drawn) } }
    } else {
        drawn
    }
}

/// A line across a mark.
fn strike(x: f64, y: f64, reach: f64) -> Markup {
    let rise = reach * 0.45;
    html! {
        line x1=(n(x - reach)) y1=(n(y + rise)) x2=(n(x + reach)) y2=(n(y - rise)) stroke=(WRONG) stroke-width="1.5" {}
    }
}

fn mark_words(event: &CourseEvent) -> String {
    let mut words = format!("Event {}: ", event.version);
    if event.is_gap {
        words.push_str("missing step, ");
    }
    words.push_str(&event.title);
    let about = crate::words::scope_words(&event.scope);
    if !about.is_empty() {
        words.push_str(&format!(", {about}"));
    }
    let when = event.occurred.words();
    words.push_str(&if when == "unknown" { ", date unknown".to_owned() } else { format!(", {when}") });
    let marks = [
        (event.is_annulled, "; annulled"),
        (event.is_corrected, "; corrected"),
        (event.is_breach, "; a breach was noted"),
        (event.is_override, "; recorded against a rule"),
    ];
    marks.into_iter().filter(|(is, _)| *is).for_each(|(_, word)| words.push_str(word));
    words
}

/// A small triangle that stands on its point.
pub(super) fn triangle(x: f64, y: f64) -> String {
    format!("M{} {}h9l-4.5 8z", n(x - 4.5), n(y - 1.0))
}

/// What the picture needs explained: only what is in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Dated,
    Vague,
    Gap,
    Breach,
    Override,
    Struck,
    Annulled,
}

pub(super) fn legend(course: &Course) -> Vec<(Sign, &'static str)> {
    let any = |is: fn(&CourseEvent) -> bool| course.events.iter().any(is);
    let plain = |event: &CourseEvent| !event.is_gap && !event.is_annulled && !event.is_breach;
    let signs = [
        (
            course.events.iter().any(|event| plain(event) && is_dated(event)),
            Sign::Dated,
            "dated to a month or better",
        ),
        (
            course.events.iter().any(|event| plain(event) && !is_dated(event)),
            Sign::Vague,
            "date vague or unknown",
        ),
        (any(|event| event.is_gap), Sign::Gap, "gap: it happened, nobody has the details"),
        (any(|event| event.is_breach), Sign::Breach, "breach noted"),
        (any(|event| event.is_override && !event.is_breach), Sign::Override, "recorded against a rule"),
        (any(|event| event.is_corrected), Sign::Struck, "corrected"),
        (any(|event| event.is_annulled), Sign::Annulled, "annulled"),
    ];
    signs.into_iter().filter(|(is, ..)| *is).map(|(_, sign, words)| (sign, words)).collect()
}

pub(super) fn draw_legend(signs: &[(Sign, &str)], y: f64) -> Markup {
    let mut x = 16.0;
    html! {
        g font-size="10.5" fill=(FAINT) {
            @for (sign, words) in signs {
                @let at = x;
                @let (fill, ring) = match sign {
                    Sign::Dated => (FINAL, FINAL),
                    Sign::Vague => ("#eef3f8", "#7f93a8"),
                    Sign::Gap => ("#fdf4e3", GAP),
                    Sign::Breach | Sign::Override => ("#fbe9e7", WRONG),
                    Sign::Struck => (FINAL, FINAL),
                    Sign::Annulled => ("#ffffff", FAINT),
                };
                @if *sign == Sign::Struck { (strike(at, y, 10.0)) }
                circle cx=(n(at)) cy=(n(y)) r="6" fill=(fill) stroke=(ring) stroke-width="1.2"
                    stroke-dasharray=[(*sign == Sign::Gap).then_some("3 2")] {}
                @if *sign == Sign::Annulled { (strike(at, y, 8.0)) }
                @if *sign == Sign::Breach { path d=(triangle(at + 6.0, y - 7.0)) fill=(WRONG) {} }
                text x=(n(at + 12.0)) y=(n(y + 3.6)) { (words) }
                @let () = x += 34.0 + words.chars().count() as f64 * 5.4;
            }
        }
    }
}
