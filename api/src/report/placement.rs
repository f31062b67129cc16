//! Where on a picture the days of a case are, and between them its events.
//!
//! Time runs from left to right, but not evenly: a day on which much happened gets the room that its labels need. Days and
//! events are variables, each condition has the form "at least so far right of that one", and the least solution is found
//! by relaxation, as longest paths are. What is vague then takes its share of the room between its earliest and its latest
//! place.

use casebook_engine::case::occurred::Bounds;

/// Room after the last known day: what is final stays.
const AFTERWARDS: f64 = 28.0;
/// How much of the width is given to time itself, before labels ask for room.
const TIME_SHARE: f64 = 0.5;
/// Of the known span, how much is drawn before it where something may have happened earlier.
const EARLIER_SHARE: f64 = 0.04;
/// What is known to a month counts as dated.
pub(super) const DATED_DAYS: i32 = 31;

/// An event of a lane, and how much room the state that it begins wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) event: usize,
    pub(super) room: f64,
}

/// The places of days and events.
#[derive(Debug, Clone)]
pub(super) struct Placement {
    days: Vec<i32>,
    places: Vec<f64>,
    /// The nominal place of every event.
    pub(super) events: Vec<f64>,
    /// Between which places each event may have happened.
    pub(super) spans: Vec<(f64, f64)>,
    /// Where the picture ends.
    pub(super) end: f64,
}

struct Condition {
    from: usize,
    to: usize,
    least: f64,
}

/// Places events within `width`, or more where the labels need more. `chains`: the lanes, each in order.
pub(super) fn place(bounds: &[Bounds], chains: &[Vec<Link>], width: f64) -> Placement {
    let days = key_days(bounds);
    let index_of = |day: i32| days.binary_search(&day).unwrap_or(0);
    let last = days.len() - 1;
    let span_of = |bounds: &Bounds| {
        let from = bounds.earliest.map_or(0, |day| index_of(day.0));
        let until = bounds.latest.map_or(last, |day| index_of(day.0.saturating_add(1)));
        (from, until.max(from))
    };
    let spans: Vec<(usize, usize)> = bounds.iter().map(span_of).collect();
    let (event_at, end) = (days.len(), days.len() + bounds.len());
    let per_day = width * TIME_SHARE / f64::from(days[last] - days[0]).max(1.0);
    let mut conditions = vec![Condition { from: last, to: end, least: AFTERWARDS }];
    for (index, pair) in days.windows(2).enumerate() {
        let least = (f64::from(pair[1] - pair[0]) * per_day).max(2.0);
        conditions.push(Condition { from: index, to: index + 1, least });
    }
    for (event, (from, until)) in spans.iter().enumerate() {
        conditions.push(Condition { from: *from, to: event_at + event, least: 0.0 });
        conditions.push(Condition { from: event_at + event, to: *until, least: 0.0 });
    }
    for chain in chains {
        for (index, link) in chain.iter().enumerate() {
            let to = chain.get(index + 1).map_or(end, |next| event_at + next.event);
            conditions.push(Condition { from: event_at + link.event, to, least: link.room });
        }
    }
    let anchors = anchors(bounds, &spans, chains);
    let anchored = anchors.map(|event| Condition { from: event_at + event, to: spans[event].0, least: 0.0 });
    let free = conditions.len();
    conditions.extend(anchored);
    // Dates that contradict each other have no solution: then without the anchors, and at last without the lanes' wishes.
    let least = least_solution(end + 1, &conditions)
        .or_else(|| least_solution(end + 1, &conditions[..free]))
        .or_else(|| least_solution(end + 1, &conditions[..days.len()]))
        .unwrap_or_else(|| vec![0.0; end + 1]);
    let scale = (width / least[end]).max(1.0);
    let places: Vec<f64> = least[..days.len()].iter().map(|place| place * scale).collect();
    let end = least[end] * scale;
    let spans: Vec<(f64, f64)> = spans.iter().map(|(from, until)| (places[*from], places[*until])).collect();
    let events = shared_out(&spans, chains, end);
    Placement { days, places, events, spans, end }
}

impl Placement {
    /// The place at which a day begins.
    pub(super) fn day(&self, day: i32) -> f64 {
        let after = self.days.partition_point(|known| *known <= day);
        if after == 0 {
            return self.places[0];
        }
        let (Some(next), from) = (self.days.get(after), after - 1) else {
            return self.places[self.places.len() - 1];
        };
        let share = f64::from(day - self.days[from]) / f64::from(next - self.days[from]);
        self.places[from] + share * (self.places[after] - self.places[from])
    }

    /// The first day drawn, and the day after the last.
    pub(super) fn days(&self) -> (i32, i32) {
        (self.days[0], self.days[self.days.len() - 1])
    }
}

/// The days at which anything begins or ends to be possible, and where the picture begins and ends.
fn key_days(bounds: &[Bounds]) -> Vec<i32> {
    let starts = bounds.iter().filter_map(|bounds| bounds.earliest).map(|day| day.0);
    let ends = bounds.iter().filter_map(|bounds| bounds.latest).map(|day| day.0.saturating_add(1));
    let mut days: Vec<i32> = starts.chain(ends).collect();
    days.sort_unstable();
    days.dedup();
    let (first, last) = (days.first().copied().unwrap_or(0), days.last().copied().unwrap_or(0));
    if bounds.iter().any(|bounds| bounds.earliest.is_none()) {
        let share = (f64::from(last.saturating_sub(first)) * EARLIER_SHARE).ceil();
        #[expect(clippy::cast_possible_truncation, reason = "a share of a number of days")]
        let before = (share as i32).max(1);
        days.insert(0, first.saturating_sub(before));
    }
    if days.len() < 2 || bounds.iter().any(|bounds| bounds.latest.is_none()) {
        days.push(last.saturating_add(1));
    }
    days.dedup();
    days
}

/// Dated events at which their day or month begins, so that time before it is stretched and not the day itself. Not those
/// that follow, in a lane, on something of the same time: these need room after it.
fn anchors<'a>(
    bounds: &'a [Bounds],
    spans: &'a [(usize, usize)],
    chains: &[Vec<Link>],
) -> impl Iterator<Item = usize> + 'a {
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); bounds.len()];
    for pair in chains.iter().flat_map(|chain| chain.windows(2)) {
        before[pair[1].event].push(pair[0].event);
    }
    // The latest beginning of anything that comes before, and of the event itself.
    let mut reached: Vec<usize> = Vec::with_capacity(bounds.len());
    let mut anchored = vec![false; bounds.len()];
    for (event, bounds) in bounds.iter().enumerate() {
        let earlier = before[event].iter().filter_map(|other| reached.get(*other)).max().copied();
        let length = bounds.earliest.zip(bounds.latest).map(|(from, until)| until.0.saturating_sub(from.0));
        let from = spans[event].0;
        anchored[event] = length.is_some_and(|days| days < DATED_DAYS) && earlier.is_none_or(|at| at < from);
        reached.push(earlier.map_or(from, |at| at.max(from)));
    }
    (0..bounds.len()).filter(move |event| anchored[*event])
}

/// The least value of every variable under the conditions; `None` where they contradict each other.
fn least_solution(variables: usize, conditions: &[Condition]) -> Option<Vec<f64>> {
    let mut least = vec![0.0_f64; variables];
    for _ in 0..=variables {
        let mut is_settled = true;
        for condition in conditions {
            let wanted = least[condition.from] + condition.least;
            if wanted > least[condition.to] + 1e-9 {
                least[condition.to] = wanted;
                is_settled = false;
            }
        }
        if is_settled {
            return Some(least);
        }
    }
    None
}

/// Gives every event its share of the room between its earliest and its latest place. The shares grow along the timeline,
/// which keeps the room that every lane asked for.
fn shared_out(spans: &[(f64, f64)], chains: &[Vec<Link>], end: f64) -> Vec<f64> {
    let mut earliest: Vec<f64> = spans.iter().map(|span| span.0).collect();
    let mut latest: Vec<f64> = spans.iter().map(|span| span.1).collect();
    for _ in 0..spans.len() {
        let before = (earliest.clone(), latest.clone());
        for chain in chains {
            for pair in chain.windows(2) {
                let (first, second) = (pair[0], pair[1]);
                earliest[second.event] = earliest[second.event].max(earliest[first.event] + first.room);
                latest[first.event] = latest[first.event].min(latest[second.event] - first.room);
            }
            if let Some(link) = chain.last() {
                latest[link.event] = latest[link.event].min(end - link.room);
            }
        }
        if before == (earliest.clone(), latest.clone()) {
            break;
        }
    }
    let count = spans.len() as f64;
    let share = |index: usize| (index as f64 + 1.0) / (count + 1.0);
    (0..spans.len())
        .map(|event| {
            let room = (latest[event] - earliest[event]).max(0.0);
            earliest[event] + share(event) * room
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use casebook_engine::case::occurred::Day;

    use super::*;

    fn bounds(earliest: Option<i32>, latest: Option<i32>) -> Bounds {
        Bounds { earliest: earliest.map(Day), latest: latest.map(Day) }
    }

    fn chain(events: &[usize], room: f64) -> Vec<Link> {
        events.iter().map(|event| Link { event: *event, room }).collect()
    }

    #[test]
    fn every_state_of_a_lane_gets_the_room_it_asked_for_even_on_one_day() {
        let all = [bounds(Some(10), Some(10)), bounds(Some(10), Some(10)), bounds(Some(900), Some(900))];
        let placed = place(&all, &[chain(&[0, 1, 2], 80.0)], 400.0);
        assert!(placed.events[1] - placed.events[0] >= 79.9);
        assert!(placed.events[2] - placed.events[1] >= 79.9);
        assert!(placed.end - placed.events[2] >= 79.9);
    }

    #[test]
    fn an_event_stands_between_the_days_that_it_may_have_happened_on() {
        let all = [bounds(None, Some(50)), bounds(Some(20), Some(80)), bounds(Some(60), None)];
        let placed = place(&all, &[], 500.0);
        for (place, span) in placed.events.iter().zip(&placed.spans) {
            assert!(span.0 <= *place && *place <= span.1, "{place} is not within {span:?}");
        }
        assert!(placed.day(20) < placed.day(50));
    }

    #[test]
    fn without_any_date_there_is_a_picture_all_the_same() {
        let placed = place(&[Bounds::OPEN, Bounds::OPEN], &[chain(&[0, 1], 60.0)], 300.0);
        assert!(placed.events[1] - placed.events[0] >= 59.9 && placed.end >= 300.0);
        assert!(place(&[], &[], 300.0).end >= 300.0);
    }

    #[test]
    fn a_day_before_which_much_happened_is_not_stretched_itself() {
        let all = [
            bounds(Some(0), Some(0)),
            bounds(Some(1), Some(3)),
            bounds(Some(3), Some(3)),
            bounds(Some(500), None),
        ];
        let placed = place(&all, &[chain(&[0, 1, 2], 90.0)], 400.0);
        assert!(placed.day(4) - placed.day(3) < 20.0, "{placed:?}");
    }

    #[test]
    fn dates_that_contradict_each_other_end_too() {
        let all = [bounds(Some(90), Some(90)), bounds(Some(10), Some(10))];
        assert!(place(&all, &[chain(&[0, 1], 60.0)], 300.0).end < 1_000.0);
    }
}
