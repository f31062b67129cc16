//! From record order to the order in which things happened.
//!
//! Each event, in record order, is inserted before the first event that definitely happened after it; where neither
//! dates nor links decide, record order stands. The result is a linear extension of what is known: no event ever stands
//! before one that definitely preceded it. It is a pure function of the log, and for an up-to-date log an append costs O(1).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::effective::EffectiveEvent;
use super::event::EventId;
use super::occurred::{Bounds, Day};

/// An event at its place, with the days between which it happened as far as dates *and links* tell.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The event.
    pub event: Arc<EffectiveEvent>,
    /// Its own date's bounds, narrowed by the events that it is linked to.
    pub bounds: Bounds,
    /// Its index among the effective events in record order.
    record: usize,
}

/// The effective events of a case in the order in which they happened.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    places: Vec<Placed>,
    latest_start: Option<Day>,
    latest_instant: Option<jiff::Timestamp>,
    /// Events that links name and that have not been recorded yet (a gap names the event that proves it).
    awaited: HashSet<String>,
}

/// Links between the events of one timeline, by record index.
struct Links {
    later: Vec<Vec<usize>>,
    earlier: Vec<Vec<usize>>,
    dangling: HashSet<String>,
    /// Whether any event was said to have happened *before* one that was recorded earlier, or later.
    has_before: bool,
}

impl Timeline {
    /// The timeline of these events, given in record order.
    #[must_use]
    pub fn of(events: &[Arc<EffectiveEvent>]) -> Self {
        let mut timeline = Self::default();
        if !events.iter().any(|event| is_linked(event)) {
            for (record, event) in events.iter().enumerate() {
                let bounds = event.occurred().bounds();
                timeline.insert(Placed { event: Arc::clone(event), bounds, record }, None);
            }
            return timeline;
        }
        let links = Links::between(events);
        timeline.awaited.clone_from(&links.dangling);
        let bounds = links.narrow(events);
        let mut reach = Reach::new(&links);
        for (record, event) in events.iter().enumerate() {
            let linked = !links.later[record].is_empty() || !links.earlier[record].is_empty();
            let placed = Placed { event: Arc::clone(event), bounds: bounds[record], record };
            timeline.insert(placed, linked.then_some(&mut reach));
        }
        timeline
    }

    /// The events in order.
    #[must_use]
    pub fn places(&self) -> &[Placed] {
        &self.places
    }

    /// Whether the event's place is at the end, and nothing earlier depends on it.
    pub(crate) fn would_append(&self, event: &EffectiveEvent) -> bool {
        let awaited = !self.awaited.is_empty() && self.awaited.contains(&event.id().to_string());
        !is_linked(event) && !awaited && self.is_last(event, event.occurred().bounds())
    }

    /// Appends the event if its place is at the end and no earlier event's bounds depend on it; O(1).
    /// Answers false, and changes nothing, where the timeline has to be computed anew.
    pub(crate) fn try_append(&mut self, event: &Arc<EffectiveEvent>) -> bool {
        if !self.would_append(event) {
            return false;
        }
        let record = self.places.len();
        self.push(Placed { event: Arc::clone(event), bounds: event.occurred().bounds(), record });
        true
    }

    /// The timeline cut at the end of a day: what definitely came later is left out. The second list says which of the
    /// events that remain only may have happened by then.
    #[must_use]
    pub fn cut_at(&self, day: Day) -> (Self, HashSet<EventId>) {
        let mut cut = Self::default();
        let mut uncertain = HashSet::new();
        for placed in &self.places {
            if placed.bounds.earliest.is_some_and(|earliest| earliest > day) {
                continue;
            }
            if placed.bounds.latest.is_none_or(|latest| latest > day) {
                uncertain.insert(placed.event.id());
            }
            cut.push(placed.clone());
        }
        (cut, uncertain)
    }

    fn is_last(&self, event: &EffectiveEvent, bounds: Bounds) -> bool {
        let by_day = match (bounds.latest, self.latest_start) {
            (Some(latest), Some(start)) => latest >= start,
            _ => true,
        };
        let by_instant = match (event.occurred().instant(), self.latest_instant) {
            (Some(instant), Some(last)) => instant >= last,
            _ => true,
        };
        by_day && by_instant
    }

    fn push(&mut self, placed: Placed) {
        self.latest_start = self.latest_start.max(placed.bounds.earliest);
        self.latest_instant = self.latest_instant.max(placed.event.occurred().instant());
        self.places.push(placed);
    }

    fn insert(&mut self, placed: Placed, mut reach: Option<&mut Reach<'_>>) {
        let no_later_links = reach.as_mut().is_none_or(|reach| !reach.find_later(placed.record));
        if no_later_links && self.is_last(&placed.event, placed.bounds) {
            self.push(placed);
            return;
        }
        let is_later = |other: &Placed| {
            definitely_before(&placed, other) || reach.as_ref().is_some_and(|reach| reach.holds(other.record))
        };
        let Some(first_later) = self.places.iter().position(is_later) else {
            self.push(placed);
            return;
        };
        if let Some(reach) = &mut reach {
            reach.find_earlier(placed.record);
        }
        let is_earlier = |other: &Placed| {
            definitely_before(other, &placed) || reach.as_ref().is_some_and(|reach| reach.holds(other.record))
        };
        let tail = self.places.split_off(first_later);
        let (earlier, rest): (Vec<_>, Vec<_>) = tail.into_iter().partition(is_earlier);
        self.places.extend(earlier);
        self.push(placed);
        self.places.extend(rest);
    }
}

/// What follows from links for one event at a time, transitively.
struct Reach<'a> {
    links: &'a Links,
    /// The round in which each event was reached last.
    seen: Vec<usize>,
    round: usize,
}

impl<'a> Reach<'a> {
    fn new(links: &'a Links) -> Self {
        Self { links, seen: vec![0; links.later.len()], round: 0 }
    }

    /// Finds what links put after the event; false where that can only be events recorded after it.
    fn find_later(&mut self, event: usize) -> bool {
        let links = self.links;
        if links.has_before {
            return self.walk(&links.later, event);
        }
        self.round += 1;
        false
    }

    /// Finds what links put before the event.
    fn find_earlier(&mut self, event: usize) -> bool {
        let links = self.links;
        self.walk(&links.earlier, event)
    }

    /// Whether the last search reached the event.
    fn holds(&self, event: usize) -> bool {
        self.round > 0 && self.seen[event] == self.round
    }

    /// Answers whether an event recorded earlier was reached.
    fn walk(&mut self, edges: &[Vec<usize>], from: usize) -> bool {
        self.round += 1;
        let mut reached_earlier = false;
        let mut open = vec![from];
        while let Some(event) = open.pop() {
            for &next in &edges[event] {
                if self.seen[next] != self.round {
                    self.seen[next] = self.round;
                    reached_earlier |= next < from;
                    open.push(next);
                }
            }
        }
        reached_earlier
    }
}

fn is_linked(event: &EffectiveEvent) -> bool {
    let occurred = event.occurred();
    !occurred.after.is_empty() || !occurred.before.is_empty()
}

fn definitely_before(first: &Placed, second: &Placed) -> bool {
    match (first.bounds.latest, second.bounds.earliest) {
        (Some(latest), Some(earliest)) if latest < earliest => return true,
        (Some(latest), Some(earliest)) if latest > earliest => return false,
        _ => {}
    }
    match (first.event.occurred().instant(), second.event.occurred().instant()) {
        (Some(first), Some(second)) => first < second,
        _ => false,
    }
}

impl Links {
    fn between(events: &[Arc<EffectiveEvent>]) -> Self {
        let names = |event: &EffectiveEvent| std::iter::once(event.id()).chain(event.closed_gap());
        let index: HashMap<EventId, usize> = events
            .iter()
            .enumerate()
            .flat_map(|(index, event)| names(event).map(move |id| (id, index)))
            .collect();
        let mut links = Self {
            later: vec![Vec::new(); events.len()],
            earlier: vec![Vec::new(); events.len()],
            dangling: HashSet::new(),
            has_before: false,
        };
        let find = |id: &String| id.parse().ok().and_then(|id| index.get(&EventId(id)).copied());
        for (record, event) in events.iter().enumerate() {
            for id in &event.occurred().after {
                match find(id) {
                    Some(other) => links.join(other, record),
                    None => _ = links.dangling.insert(id.clone()),
                }
            }
            for id in &event.occurred().before {
                links.has_before = true;
                match find(id) {
                    Some(other) => links.join(record, other),
                    None => _ = links.dangling.insert(id.clone()),
                }
            }
        }
        links
    }

    fn join(&mut self, earlier: usize, later: usize) {
        self.later[earlier].push(later);
        self.earlier[later].push(earlier);
    }

    /// Bounds narrowed along the links: nothing starts before what it follows, nor ends after what it precedes.
    fn narrow(&self, events: &[Arc<EffectiveEvent>]) -> Vec<Bounds> {
        let mut bounds: Vec<Bounds> = events.iter().map(|event| event.occurred().bounds()).collect();
        let order = self.topological();
        for &event in &order {
            for &later in &self.later[event] {
                bounds[later].earliest = bounds[later].earliest.max(bounds[event].earliest);
            }
        }
        for &event in order.iter().rev() {
            for &earlier in &self.earlier[event] {
                bounds[earlier].latest = match (bounds[earlier].latest, bounds[event].latest) {
                    (Some(own), Some(limit)) => Some(own.min(limit)),
                    (own, limit) => own.or(limit),
                };
            }
        }
        bounds
    }

    /// Events so that each stands after those that it follows; events on a cycle (refused on recording) are left out.
    fn topological(&self) -> Vec<usize> {
        let mut waiting: Vec<usize> = self.earlier.iter().map(Vec::len).collect();
        let mut ready: Vec<usize> = (0..waiting.len()).filter(|event| waiting[*event] == 0).collect();
        let mut order = Vec::with_capacity(waiting.len());
        while let Some(event) = ready.pop() {
            order.push(event);
            for &later in &self.later[event] {
                waiting[later] -= 1;
                if waiting[later] == 0 {
                    ready.push(later);
                }
            }
        }
        order
    }
}

/// Whether the links of these events contradict each other or a date: the events of one contradiction, if any.
#[must_use]
pub fn contradiction(events: &[Arc<EffectiveEvent>]) -> Option<(EventId, EventId)> {
    if !events.iter().any(|event| is_linked(event)) {
        return None;
    }
    let links = Links::between(events);
    let order = links.topological();
    if order.len() < events.len() {
        let sorted: HashSet<usize> = order.into_iter().collect();
        let on_cycle = (0..events.len()).rev().find(|event| !sorted.contains(event))?;
        let neighbour = links.later[on_cycle].iter().find(|event| !sorted.contains(event))?;
        return Some((events[on_cycle].id(), events[*neighbour].id()));
    }
    let bounds = links.narrow(events);
    for (record, event) in events.iter().enumerate() {
        if let (Some(earliest), Some(latest)) = (bounds[record].earliest, bounds[record].latest)
            && earliest > latest
        {
            let other = links.earlier[record].iter().chain(&links.later[record]).next().copied();
            return Some((event.id(), events[other.unwrap_or(record)].id()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::case::event::{ProposedEvent, RecordedEvent, Recorder, Version};
    use crate::case::occurred::Occurred;
    use crate::definition::EventTypeId;

    /// An event of version `number` that happened on `date` (empty: unknown), after and before other versions.
    fn event(number: u64, date: &str, after: &[u64], before: &[u64]) -> Arc<EffectiveEvent> {
        let id = |number: u64| uuid::Uuid::from_u128(u128::from(number));
        let mut occurred =
            if date.is_empty() { Occurred::unknown() } else { Occurred::parse(date).expect("a date") };
        occurred.after = after.iter().map(|number| id(*number).to_string()).collect();
        occurred.before = before.iter().map(|number| id(*number).to_string()).collect();
        let recorder = Recorder { id: "officer-1".into(), role: "caseworker".into() };
        let proposed =
            ProposedEvent { occurred: Some(occurred), ..ProposedEvent::new("note-made", recorder) };
        let recorded =
            RecordedEvent { id: EventId(id(number)), ..RecordedEvent::imagined(proposed, Version(number)) };
        Arc::new(EffectiveEvent::plain(EventTypeId(0), Arc::new(recorded)))
    }

    fn versions(timeline: &Timeline) -> Vec<u64> {
        timeline.places().iter().map(|placed| placed.event.version().0).collect()
    }

    #[track_caller]
    fn check(events: &[Arc<EffectiveEvent>], expected: &[u64]) {
        assert_eq!(versions(&Timeline::of(events)), expected);
    }

    #[test]
    fn an_up_to_date_record_keeps_its_order() {
        check(
            &[event(1, "2023-01", &[], &[]), event(2, "2023-02", &[], &[]), event(3, "", &[], &[])],
            &[1, 2, 3],
        );
    }

    #[test]
    fn a_late_fact_stands_before_what_definitely_came_later() {
        check(
            &[event(1, "2023-01", &[], &[]), event(2, "2023-05", &[], &[]), event(3, "2023-03-04", &[], &[])],
            &[1, 3, 2],
        );
    }

    #[test]
    fn an_event_of_unknown_date_does_not_hold_back_a_late_fact() {
        check(
            &[event(1, "2023-05", &[], &[]), event(2, "", &[], &[]), event(3, "2023-03", &[], &[])],
            &[3, 1, 2],
        );
    }

    #[test]
    fn an_order_that_the_dates_leave_open_is_record_order() {
        check(
            &[
                event(1, "2023", &[], &[]),
                event(2, "2023-05", &[], &[]),
                event(3, "2023-01/2023-06", &[], &[]),
            ],
            &[1, 2, 3],
        );
    }

    #[test]
    fn a_link_decides_what_dates_cannot() {
        check(&[event(1, "", &[], &[]), event(2, "", &[], &[]), event(3, "", &[], &[1])], &[3, 1, 2]);
    }

    #[test]
    fn a_link_brings_along_what_it_follows() {
        check(
            &[event(1, "2023-10", &[], &[]), event(2, "", &[], &[]), event(3, "2022", &[2], &[])],
            &[2, 3, 1],
        );
    }

    #[test]
    fn an_instant_decides_within_a_day() {
        let at = |number, time: &str| {
            let first = event(number, "2023-05-05", &[], &[]);
            let mut recorded = first.recorded.as_ref().clone();
            let occurred =
                recorded.proposed.occurred.take().expect("a date").with_time(time).expect("a time");
            recorded.proposed.occurred = Some(occurred);
            Arc::new(EffectiveEvent::plain(EventTypeId(0), Arc::new(recorded)))
        };
        check(&[at(1, "14:00Z"), at(2, "09:30Z")], &[2, 1]);
    }

    #[test]
    fn a_cut_leaves_out_what_definitely_came_later_and_marks_what_only_may_have_happened() {
        let events = [
            event(1, "2023-01-05", &[], &[]),
            event(2, "", &[1], &[]),
            event(3, "2023-03", &[], &[]),
            event(4, "2023-06", &[], &[]),
            event(5, "", &[4], &[]),
        ];
        let (cut, uncertain) = Timeline::of(&events).cut_at(Day::parse("2023-03-15").expect("a day"));
        assert_eq!(versions(&cut), [1, 2, 3]);
        let mut marked: Vec<u128> = uncertain.iter().map(|id| id.0.as_u128()).collect();
        marked.sort_unstable();
        assert_eq!(marked, [2, 3]);
    }

    #[test]
    fn a_circle_of_links_is_a_contradiction() {
        let events = [event(1, "", &[], &[]), event(2, "", &[1], &[]), event(3, "", &[2], &[1])];
        assert!(contradiction(&events).is_some());
    }

    #[test]
    fn a_link_against_the_dates_is_a_contradiction() {
        assert!(contradiction(&[event(1, "2023-05", &[], &[]), event(2, "2022", &[1], &[])]).is_some());
        assert!(contradiction(&[event(1, "2022", &[], &[]), event(2, "2023-05", &[1], &[])]).is_none());
    }

    fn any_date() -> impl Strategy<Value = String> {
        prop_oneof![
            Just(String::new()),
            (1u8..=12).prop_map(|month| format!("2023-{month:02}")),
            (1u8..=12, 1u8..=28).prop_map(|(month, day)| format!("2023-{month:02}-{day:02}")),
            (1u8..=6, 6u8..=12).prop_map(|(from, to)| format!("2023-{from:02}/2023-{to:02}")),
        ]
    }

    proptest! {
        #[test]
        fn any_order_of_recording_distinct_days_gives_one_timeline(order in Just((1u64..=20).collect::<Vec<_>>()).prop_shuffle()) {
            let events: Vec<_> =
                order.iter().map(|day| event(*day, &format!("2023-05-{day:02}"), &[], &[])).collect();
            prop_assert_eq!(versions(&Timeline::of(&events)), (1..=20).collect::<Vec<_>>());
        }

        #[test]
        fn no_event_stands_before_one_that_definitely_preceded_it(
            dates in proptest::collection::vec(any_date(), 1..20),
            links in proptest::collection::vec((0usize..20, 0usize..20, any::<bool>()), 0..8),
        ) {
            let mut events: Vec<_> = Vec::new();
            for (index, date) in dates.iter().enumerate() {
                let own = links.iter().filter(|(of, to, _)| *of == index && *to < index);
                let (before, after): (Vec<_>, Vec<_>) = own.partition(|(_, _, before)| *before);
                let numbers = |list: Vec<&(usize, usize, bool)>| -> Vec<u64> {
                    list.iter().map(|(_, to, _)| *to as u64 + 1).collect()
                };
                events.push(event(index as u64 + 1, date, &numbers(after), &numbers(before)));
                if contradiction(&events).is_some() {
                    let last = events.pop().expect("just pushed");
                    events.push(event(last.version().0, date, &[], &[]));
                }
            }
            let timeline = Timeline::of(&events);
            prop_assert_eq!(timeline.places().len(), events.len());
            for (index, later) in timeline.places().iter().enumerate() {
                for earlier in &timeline.places()[..index] {
                    prop_assert!(!definitely_before(later, earlier));
                    let named = later.event.id().to_string();
                    prop_assert!(!earlier.event.occurred().after.contains(&named));
                    prop_assert!(!later.event.occurred().before.contains(&earlier.event.id().to_string()));
                }
            }
        }

        #[test]
        fn appending_one_by_one_gives_the_same_timeline_as_computing_it_whole(
            dates in proptest::collection::vec(any_date(), 1..20),
        ) {
            let events: Vec<_> =
                dates.iter().enumerate().map(|(index, date)| event(index as u64 + 1, date, &[], &[])).collect();
            let mut grown = Timeline::default();
            for (index, event) in events.iter().enumerate() {
                if !grown.try_append(event) {
                    grown = Timeline::of(&events[..=index]);
                }
            }
            prop_assert_eq!(versions(&grown), versions(&Timeline::of(&events)));
        }
    }
}
