//! How a sequence of events is best explained by a strand: the cheapest way through both at once.
//!
//! A strand is a finite automaton, so the optimal alignment of a sequence is a shortest path through the pairs of a place in
//! the sequence and a state: found by Dijkstra's algorithm, exact.
//!
//! ```text
//! (i, s) ──0──► (i+1, t)   the event happened, and may          synchronous
//! (i, s) ──1──► (i+1, s)   the event happened, and may not      in the log alone
//! (i, s) ──1──► (i,   t)   an event is missing                  in the definition alone
//! ```
//!
//! A branch that depends on a field which the log does not carry may be taken either way. Among the cheapest explanations
//! one with the fewest such steps is chosen, and of those one that leaves most of what happened standing.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use serde_json::Value;

use crate::definition::automaton::{Standing, Variant, advance, variants};
use crate::definition::{Definition, EventTypeId, Introduction, StateId, StrandId};

/// The most pairs of place and state that one alignment may look at.
pub const PAIRS_MAX: usize = 2_000_000;

/// What is known of a field on which a branch depends.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// The log does not carry it.
    Unknown,
    /// The value, or that there is none.
    Value(Option<Value>),
}

/// One step of an explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// The event of this place happened and was allowed.
    Both {
        /// The place in the sequence, from 0.
        at: usize,
        /// Where the strand stood, and where it went.
        from: Place,
        /// See `from`.
        to: Place,
        /// Whether the log says enough to know where it went.
        is_known: bool,
    },
    /// The event of this place happened, and the strand did not allow it.
    InLogAlone {
        /// The place in the sequence.
        at: usize,
        /// Where the strand stood.
        from: Place,
    },
    /// An event that should have happened before this place of the sequence.
    Missing {
        /// The place before which it is missing; the length of the sequence: at its end.
        before: usize,
        /// The event type, and the values that lead there.
        event: EventTypeId,
        /// Values on which it depends, as `field=value`.
        with: Vec<String>,
        /// Where the strand stood, and where it went.
        from: Place,
        /// See `from`.
        to: Place,
    },
}

/// Where a strand stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Its entity is not there, or its case not open.
    Absent,
    /// It has not begun.
    Waiting,
    /// In a state.
    In(StateId),
}

/// The best explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alignment {
    /// Steps in the log alone or in the definition alone.
    pub cost: u32,
    /// Steps of which the log does not say where they led.
    pub unknown: u32,
    /// The steps.
    pub moves: Vec<Move>,
}

/// A strand, ready to be aligned with.
#[derive(Debug)]
pub struct StrandNet<'d> {
    definition: &'d Definition,
    strand: StrandId,
    alphabet: Vec<Variant>,
    /// Whether the alphabet has every combination of values.
    is_complete: bool,
    /// By place: variant and place reached, each place once.
    steps: Vec<Vec<(usize, usize)>>,
    symbols: Vec<Symbol>,
    known: HashMap<String, u32>,
    /// Whether a course of the strand can end at all.
    can_end: bool,
}

/// An event type with what is known of its values, as the strand sees it.
#[derive(Debug)]
struct Symbol {
    /// By place: the places reached, and whether it is sure that there is no other answer.
    reached: Vec<(Vec<usize>, bool)>,
}

impl<'d> StrandNet<'d> {
    /// Of this strand.
    #[must_use]
    pub fn new(definition: &'d Definition, strand: StrandId) -> Self {
        let (mut alphabet, is_complete) = variants(&[(definition, strand)]);
        // Of equally short explanations, the one whose missing steps people would call missing.
        alphabet.sort_by_key(|variant| {
            let event = definition.event(&variant.event).map(|id| definition.event_type(id));
            event.map(|event| (!event.may_be_gap, event.is_unsought))
        });
        let places = definition.strands[strand.index()].states.len() + 2;
        let mut net = Self {
            definition,
            strand,
            alphabet,
            is_complete,
            steps: Vec::new(),
            symbols: Vec::new(),
            known: HashMap::new(),
            can_end: true,
        };
        net.steps = (0..places).map(|from| net.steps_from(from)).collect();
        net.can_end = net.reaches_an_end();
        net
    }

    fn reaches_an_end(&self) -> bool {
        let (mut open, mut seen) = (vec![0], vec![false; self.steps.len()]);
        while let Some(at) = open.pop() {
            if self.may_end(at, true) {
                return true;
            }
            let further = self.steps[at].iter().filter(|(_, to)| !std::mem::replace(&mut seen[*to], true));
            open.extend(further.map(|(_, to)| *to));
        }
        false
    }

    fn steps_from(&self, from: usize) -> Vec<(usize, usize)> {
        let mut steps: Vec<(usize, usize)> = Vec::new();
        for (index, variant) in self.alphabet.iter().enumerate() {
            let Some(to) = self.advance(from, variant).filter(|to| *to != from) else { continue };
            if !steps.iter().any(|(_, known)| *known == to) {
                steps.push((index, to));
            }
        }
        steps
    }

    fn advance(&self, from: usize, variant: &Variant) -> Option<usize> {
        let standing = standing(from);
        if let Some(to) = advance(self.definition, self.strand, standing, variant) {
            return Some(index_of(to));
        }
        // What introduces an entity or names one that is there already is no second introduction.
        let strand = &self.definition.strands[self.strand.index()];
        let event = self.definition.event(&variant.event)?;
        let may_mention = strand.per.is_some_and(|kind| {
            self.definition.event_type(event).introduction_of(kind) == Introduction::IfNew
        });
        let is_mentioned = self.definition.event_type(event).moves.iter().any(|(own, _)| *own == self.strand);
        (may_mention && !is_mentioned && standing != Standing::Absent).then_some(from)
    }

    /// The fields of an event type on which a branch of this strand depends.
    pub fn fields(&self, event: EventTypeId) -> Vec<String> {
        let name = &self.definition.event_type(event).name;
        let first = self.alphabet.iter().find(|variant| variant.event == *name);
        first
            .map(|variant| variant.values.iter().map(|(field, _)| field.clone()).collect())
            .unwrap_or_default()
    }

    /// The symbol of an event of this type. `value` is asked for each field of [`Self::fields`].
    pub fn symbol(&mut self, event: EventTypeId, mut value: impl FnMut(&str) -> Known) -> u32 {
        let values: Vec<(String, Known)> = self
            .fields(event)
            .into_iter()
            .map(|field| {
                let known = value(&field);
                (field, known)
            })
            .collect();
        let key = format!("{} {values:?}", event.0);
        if let Some(symbol) = self.known.get(&key) {
            return *symbol;
        }
        let candidates = self.candidates(event, &values);
        let reached = (0..self.steps.len()).map(|from| self.reached(from, &candidates)).collect();
        let symbol = u32::try_from(self.symbols.len()).unwrap_or(u32::MAX);
        self.symbols.push(Symbol { reached });
        self.known.insert(key, symbol);
        symbol
    }

    /// What the event can be, as far as its values are known.
    fn candidates(&self, event: EventTypeId, values: &[(String, Known)]) -> Vec<Variant> {
        let name = &self.definition.event_type(event).name;
        let same = |variant: &&Variant| variant.event == *name;
        let mut candidates: Vec<Variant> = Vec::new();
        for variant in self.alphabet.iter().filter(same) {
            let mut variant = variant.clone();
            for ((_, own), (_, known)) in variant.values.iter_mut().zip(values) {
                if let Known::Value(value) = known {
                    own.clone_from(value);
                }
            }
            if !candidates.contains(&variant) {
                candidates.push(variant);
            }
        }
        if candidates.is_empty() {
            candidates.push(Variant { event: name.clone(), values: Vec::new() });
        }
        candidates
    }

    fn reached(&self, from: usize, candidates: &[Variant]) -> (Vec<usize>, bool) {
        let answers: Vec<Option<usize>> =
            candidates.iter().map(|variant| self.advance(from, variant)).collect();
        let mut reached: Vec<usize> = answers.iter().copied().flatten().collect();
        reached.sort_unstable();
        reached.dedup();
        let is_sure = self.is_complete && answers.windows(2).all(|pair| pair[0] == pair[1]);
        (reached, is_sure)
    }

    /// The cheapest explanation of a sequence of symbols; `None` where it is longer than [`PAIRS_MAX`] allows.
    /// `to_an_end` asks that a strand which has begun, and has final states, ends in one.
    #[must_use]
    pub fn align(&self, symbols: &[u32], to_an_end: bool) -> Option<Alignment> {
        let width = self.steps.len();
        let pairs = (symbols.len() + 1).checked_mul(width).filter(|pairs| *pairs <= PAIRS_MAX)?;
        let mut best = vec![u64::MAX; pairs];
        let mut came: Vec<(u32, Step)> = vec![(0, Step::Start); pairs];
        let mut open = BinaryHeap::new();
        best[0] = 0;
        open.push(Reverse((0_u64, symbols.len(), 0_usize)));
        while let Some(Reverse((cost, left, place))) = open.pop() {
            let at = symbols.len() - left;
            let pair = at * width + place;
            if cost > best[pair] {
                continue;
            }
            if left == 0 && self.may_end(place, to_an_end) {
                return Some(self.told(symbols.len(), pair, &came, cost));
            }
            let mut reach = |to_at: usize, to: usize, more: u64, step: Step| {
                let (next, cost) = (to_at * width + to, cost + more);
                if cost < best[next] {
                    best[next] = cost;
                    came[next] = (u32::try_from(pair).unwrap_or(u32::MAX), step);
                    open.push(Reverse((cost, symbols.len() - to_at, to)));
                }
            };
            if let Some(symbol) = symbols.get(at) {
                let (reached, is_sure) = &self.symbols[*symbol as usize].reached[place];
                for to in reached {
                    reach(at + 1, *to, if *is_sure { 0 } else { UNKNOWN }, Step::Both(*is_sure));
                }
                reach(at + 1, place, DEVIATION + IN_LOG_ALONE, Step::Log);
            }
            for (variant, to) in &self.steps[place] {
                reach(at, *to, DEVIATION, Step::Missing(u32::try_from(*variant).unwrap_or(u32::MAX)));
            }
        }
        None
    }

    fn may_end(&self, place: usize, to_an_end: bool) -> bool {
        let states = &self.definition.strands[self.strand.index()].states;
        match standing(place) {
            _ if !to_an_end || !self.can_end => true,
            Standing::Absent => false,
            Standing::Waiting => true,
            Standing::In(state) => {
                states[state.index()].is_final || !states.iter().any(|state| state.is_final)
            }
        }
    }

    fn told(&self, length: usize, last: usize, came: &[(u32, Step)], cost: u64) -> Alignment {
        let width = self.steps.len();
        let mut moves = Vec::with_capacity(length);
        let mut pair = last;
        loop {
            let (before, step) = came[pair];
            let before = before as usize;
            let (at, from, to) = (before / width, place(before % width), place(pair % width));
            moves.push(match step {
                Step::Start => break,
                Step::Both(is_known) => Move::Both { at, from, to, is_known },
                Step::Log => Move::InLogAlone { at, from },
                Step::Missing(variant) => {
                    let variant = &self.alphabet[variant as usize];
                    let event = self.definition.event(&variant.event).unwrap_or(EventTypeId(0));
                    let with = variant.step(&crate::case::event::Scope::new()).with;
                    Move::Missing { before: at, event, with, from, to }
                }
            });
            pair = before;
        }
        moves.reverse();
        Alignment {
            cost: u32::try_from(cost / DEVIATION).unwrap_or(u32::MAX),
            unknown: u32::try_from(cost % DEVIATION / UNKNOWN).unwrap_or(u32::MAX),
            moves,
        }
    }

    /// The event types that may follow at a place, in the order of the definition.
    #[must_use]
    pub fn accepts(&self, from: Place) -> Vec<EventTypeId> {
        let from = match from {
            Place::Absent => 0,
            Place::Waiting => 1,
            Place::In(state) => state.index() + 2,
        };
        let allowed = self.alphabet.iter().filter(|variant| self.advance(from, variant).is_some());
        let mut events: Vec<EventTypeId> =
            allowed.filter_map(|variant| self.definition.event(&variant.event)).collect();
        events.sort_unstable();
        events.dedup();
        events
    }
}

/// One deviation weighs more than any number of steps that are not known, and one of those more than any number of
/// explanations that strike out what happened: below [`PAIRS_MAX`] no count reaches the next weight.
const DEVIATION: u64 = 1 << 40;
const UNKNOWN: u64 = 1 << 20;
const IN_LOG_ALONE: u64 = 1;

#[derive(Debug, Clone, Copy)]
enum Step {
    Start,
    Both(bool),
    Log,
    Missing(u32),
}

fn standing(index: usize) -> Standing {
    match index {
        0 => Standing::Absent,
        1 => Standing::Waiting,
        state => Standing::In(StateId(u16::try_from(state - 2).unwrap_or(u16::MAX))),
    }
}

fn index_of(standing: Standing) -> usize {
    match standing {
        Standing::Absent => 0,
        Standing::Waiting => 1,
        Standing::In(state) => state.index() + 2,
    }
}

fn place(index: usize) -> Place {
    match standing(index) {
        Standing::Absent => Place::Absent,
        Standing::Waiting => Place::Waiting,
        Standing::In(state) => Place::In(state),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::compile::compile;
    use crate::definition::source::SourceFile;

    const DEFINITION: &str = "
      { workflow: w, version: 1, language: casebook/1, roles: { r: }, events: { a: , b: { data: { properties: { f: { enum: [x, y] } }, required: [f] } }, c: , d: },
        strands: { s: { states: { one: , two: , three: , over: { final: true } }, initial: one, transitions: [
          { on: a, from: one, to: two },
          { on: b, from: two, choose: [ { where: { f: x }, to: three }, { to: one } ] },
          { on: c, from: [one, three], to: over } ] } } }";

    /// Events as `a`, `b=x` (with the field), `b?` (the log does not carry it).
    #[track_caller]
    fn check(events: &[&str], to_an_end: bool, cost: u32, unknown: u32) {
        let files = [SourceFile { name: "w.yaml".to_owned(), text: DEFINITION.to_owned() }];
        let definition = compile(&files).expect("it compiles");
        let mut net = StrandNet::new(&definition, StrandId(0));
        let symbols: Vec<u32> = std::iter::once(&"case-opened")
            .chain(events)
            .map(|event| {
                let name = event.trim_end_matches('?').split('=').next().unwrap();
                let id = definition.event(name).unwrap();
                let value = event.split_once('=').map(|(_, value)| Value::from(value));
                let is_unknown = event.ends_with('?');
                net.symbol(id, |_| if is_unknown { Known::Unknown } else { Known::Value(value.clone()) })
            })
            .collect();
        let alignment = net.align(&symbols, to_an_end).expect("it is short");
        assert_eq!((alignment.cost, alignment.unknown), (cost, unknown), "{events:?}: {alignment:#?}");
        let deviating = alignment.moves.iter().filter(|step| !matches!(step, Move::Both { .. }));
        assert_eq!(deviating.count(), cost as usize, "{events:?}");
    }

    #[test]
    fn the_cheapest_explanation_is_found() {
        check(&["a", "b=x", "c"], true, 0, 0);
        check(&["a", "b=y", "c"], true, 0, 0);
        check(&[], false, 0, 0);
        check(&[], true, 1, 0);
        check(&["a", "a"], false, 1, 0);
        check(&["b=x"], false, 1, 0);
        check(&["a", "c"], false, 1, 0);
        check(&["a", "b=x", "b=y", "c"], true, 1, 0);
        check(&["c", "a", "b=x", "c"], true, 1, 0);
        check(&["a", "b=z"], false, 1, 0);
    }

    #[test]
    fn what_the_log_does_not_carry_costs_less_than_any_deviation() {
        check(&["a", "b?", "c"], true, 0, 1);
        check(&["a", "b?", "a", "b?"], false, 0, 2);
        check(&["b?"], false, 1, 0);
    }
}
