//! Strands, resolved: states, beginnings, rows, overlays, and which event types each strand may refuse.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::compile::{Resolver, index};
use super::coverage;
use super::schema::{Field, FieldKind};
use super::source::{BranchSource, InitialSource, OverlaySource, RowSource, StateSource, StrandSource};
use super::subject::fields_below;
use super::syntax::{Place, Placed, Text};
use super::typing::kinds_about;
use super::{
    Branch, EventTypeId, Initial, KindId, Overlay, Ownership, Row, State, StateId, Strand, StrandId,
};

/// How large the tables of all strands may be together: rows (one for each event type and state), branches, constants.
const TABLES_MAX: usize = 200_000;

/// The rows of a strand: event type, state, branches.
type Table = HashMap<EventTypeId, BTreeMap<StateId, Vec<Branch>>>;

/// Kind and name of an overlay, and the strand that has it.
type Overlays<'s> = HashMap<(Option<KindId>, &'s str), &'s str>;

pub(super) fn state(source: &StateSource) -> State {
    State { name: source.name.value.clone(), title: source.title.clone(), is_final: source.is_final }
}

impl Resolver<'_, '_> {
    pub(super) fn resolve_strands(&mut self) {
        let mut overlays = Overlays::new();
        let mut room = TABLES_MAX;
        for strand in &self.source.strands {
            let resolved = self.strand(strand, &mut room);
            let id = StrandId(index(self.definition.strands.len()));
            self.resolve_moves(id, strand, &resolved);
            self.check_overlays(strand, resolved.per, &mut overlays);
            self.definition.strands.push(resolved);
        }
    }

    /// Overlays of one kind share their names: a condition asks for them by name alone.
    fn check_overlays<'s>(&mut self, strand: &'s StrandSource, per: Option<KindId>, seen: &mut Overlays<'s>) {
        for overlay in &strand.overlays {
            let name = &overlay.name;
            let earlier = seen.insert((per, &name.value), &strand.name.value);
            // Twice in one strand was said already when its file was read.
            if let Some(other) = earlier.filter(|other| *other != strand.name.value) {
                let message = format!("`{}` is already an overlay of `{other}`", name.value);
                self.problems.at(
                    "duplicate-name",
                    name,
                    message,
                    Some("give one of them another name".to_owned()),
                );
            }
        }
    }

    fn strand(&mut self, strand: &StrandSource, room: &mut usize) -> Strand {
        let states: HashMap<&str, StateId> = strand
            .states
            .iter()
            .enumerate()
            .map(|(at, s)| (s.name.value.as_str(), StateId(index(at))))
            .collect();
        let per = strand.per.as_ref().and_then(|per| self.kind(per));
        let name = strand.name.value.as_str();
        let mut rows = Table::new();
        for row in &strand.transitions {
            self.add_rows(row, strand, &states, &mut rows, room);
        }
        let rows = rows.into_iter().map(|(event, rows)| {
            (event, rows.into_iter().map(|(from, branches)| Row { from, branches }).collect())
        });
        let mut initial: Vec<Initial> = Vec::new();
        for entry in &strand.initial {
            self.add_initial(entry, strand, &states, &mut initial);
        }
        Strand {
            name: name.to_owned(),
            title: strand.title.clone(),
            per,
            states: strand.states.iter().map(state).collect(),
            initial,
            rows: rows.collect(),
            overlays: strand.overlays.iter().map(|overlay| self.overlay(overlay, per)).collect(),
        }
    }

    fn add_rows(
        &mut self,
        row: &RowSource,
        strand: &StrandSource,
        states: &HashMap<&str, StateId>,
        rows: &mut Table,
        room: &mut usize,
    ) {
        let from = self.from(row, strand, states);
        let constants = row.branches.iter().flat_map(|branch| &branch.matches);
        let size = 1 + row.branches.len() + constants.map(|(_, values)| 1 + values.len()).sum::<usize>();
        for name in &row.on {
            if self.problems.is_full() {
                return;
            }
            let Some(event) = self.event(name) else {
                self.plain_branches(&row.branches, strand, states);
                continue;
            };
            let branches = self.branches(event, &row.branches, row.place, strand, states);
            for (state, place) in &from {
                let Some(left) = room.checked_sub(size) else {
                    let message =
                        format!("the tables of the strands hold more than {TABLES_MAX} rows and branches");
                    return self.problems.add("too-many", row.place, 1, message, None);
                };
                *room = left;
                let known = rows.entry(event).or_default();
                if known.contains_key(state) {
                    if self.problems.is_full() {
                        return;
                    }
                    let state = &strand.states[state.index()].name.value;
                    let message = format!("`{}` has two rows in the state `{state}`", name.value);
                    let help =
                        Some("leave the state out of one of them, or join them with `choose`".to_owned());
                    self.problems.add("ambiguous-transition", *place, 1, message, help);
                } else {
                    known.insert(*state, branches.clone());
                }
            }
        }
    }

    /// The states that a row applies in: `any` is every state, `any-open` every one that is not final.
    fn from(
        &mut self,
        row: &RowSource,
        strand: &StrandSource,
        states: &HashMap<&str, StateId>,
    ) -> Vec<(StateId, Place)> {
        let mut from = Vec::new();
        for name in &row.from {
            let is_word = matches!(name.value.as_str(), "any" | "any-open")
                && !states.contains_key(name.value.as_str());
            if is_word {
                let open_only = name.value == "any-open";
                let fitting =
                    strand.states.iter().enumerate().filter(|(_, state)| !open_only || !state.is_final);
                from.extend(fitting.map(|(at, _)| (StateId(index(at)), name.place)));
            } else if let Some(state) = self.state(name, &strand.name.value, states) {
                from.push((state, name.place));
            }
        }
        from
    }

    fn add_initial(
        &mut self,
        entry: &InitialSource,
        strand: &StrandSource,
        states: &HashMap<&str, StateId>,
        initial: &mut Vec<Initial>,
    ) {
        let events: Vec<Option<EventTypeId>> = if entry.on.is_empty() {
            vec![None]
        } else {
            entry.on.iter().filter_map(|name| self.event(name)).map(Some).collect()
        };
        for on in events {
            if initial.iter().any(|known| known.on == on) {
                let what =
                    on.map_or("the beginning", |event| self.definition.events[event.index()].name.as_str());
                let message = format!("`initial` has two entries for `{what}`");
                self.problems.add("ambiguous-transition", entry.place, 1, message, None);
                continue;
            }
            let branches = match on {
                Some(event) => self.branches(event, &entry.branches, entry.place, strand, states),
                None => self.plain_branches(&entry.branches, strand, states),
            };
            initial.push(Initial { on, branches });
        }
    }

    fn plain_branches(
        &mut self,
        branches: &[BranchSource],
        strand: &StrandSource,
        states: &HashMap<&str, StateId>,
    ) -> Vec<Branch> {
        let to = branches.iter().filter_map(|branch| branch.to.as_ref());
        let to: Vec<Option<StateId>> = to.map(|to| self.state(to, &strand.name.value, states)).collect();
        to.into_iter().map(|to| Branch { matches: Vec::new(), to }).collect()
    }

    fn branches(
        &mut self,
        event: EventTypeId,
        branches: &[BranchSource],
        place: Place,
        strand: &StrandSource,
        states: &HashMap<&str, StateId>,
    ) -> Vec<Branch> {
        let before = self.problems.count();
        let mut resolved = Vec::new();
        for branch in branches {
            let to = branch.to.as_ref().and_then(|to| self.state(to, &strand.name.value, states));
            let matches = branch.matches.iter().map(|(field, values)| {
                self.check_match(event, field, values);
                (field.value.clone(), values.iter().map(|value| value.value.clone()).collect())
            });
            resolved.push(Branch { matches: matches.collect(), to });
        }
        if self.problems.count() == before && !self.unreadable.contains(&event) {
            self.check_coverage(event, &resolved, place);
        }
        resolved
    }

    /// Whether the payload has the field, and the field can have these values.
    pub(super) fn check_match(&mut self, event: EventTypeId, name: &Text, values: &[Placed<Value>]) {
        if self.unreadable.contains(&event) {
            return;
        }
        let event = &self.definition.events[event.index()];
        let Some(field) = event.schema.field(std::slice::from_ref(&name.value)) else {
            let message = format!("`{}` has no field `{}`", event.name, name.value.escape_debug());
            let help = self
                .problems
                .suggestion(&name.value, fields_below(&event.schema.source, &[]).iter().map(String::as_str));
            return self.problems.at("unknown-name", name, message, help);
        };
        for value in values {
            let text = value.value.as_str().map_or_else(|| value.value.to_string(), str::to_owned);
            let width = text.chars().count();
            if let Some(known) = &field.enumeration {
                if !known.contains(&value.value) {
                    let message = format!("`{}` never has the value `{}`", name.value, text.escape_debug());
                    let help = self.problems.suggestion(&text, known.iter().filter_map(Value::as_str));
                    self.problems.add("not-in-enumeration", value.place, width, message, help);
                }
            } else if !fits(&field, &value.value) {
                let message = format!("`{}` is of another type than `{}`", name.value, text.escape_debug());
                self.problems.add("type-mismatch", value.place, width, message, None);
            }
        }
    }

    fn check_coverage(&mut self, event: EventTypeId, branches: &[Branch], place: Place) {
        let event = &self.definition.events[event.index()];
        let field = |name: &str| event.schema.field(&[name.to_owned()]);
        let Some(missing) = coverage::uncovered(branches, field, &mut self.combinations) else { return };
        let message = format!("`{}` has no branch for {missing}", event.name);
        let help = Some("add a branch for it, or a last one without `where`".to_owned());
        self.problems.add("uncovered-value", place, 1, message, help);
    }

    fn overlay(&mut self, overlay: &OverlaySource, per: Option<KindId>) -> Overlay {
        let set_by = self.events_named(&overlay.set_by);
        let cleared_by = self.events_named(&overlay.cleared_by);
        for name in overlay.set_by.iter().chain(&overlay.cleared_by) {
            self.must_be_about(name, per);
        }
        Overlay { name: overlay.name.value.clone(), title: overlay.title.clone(), set_by, cleared_by }
    }

    /// A strand of a charge can only follow events that name a charge.
    fn must_be_about(&mut self, name: &Text, per: Option<KindId>) {
        let (Some(kind), Some(event)) = (per, self.definition.event(&name.value)) else { return };
        if kinds_about(&self.definition, event).contains(&kind) {
            return;
        }
        let kind = &self.definition.kinds[kind.index()].name;
        let message = format!("`{}` is never about a `{kind}`, whose strand this is", name.value);
        self.problems.at("never-about", name, message, Some(format!("name `{kind}` under its `scope`")));
    }

    /// Says to each event type that this strand mentions whether the strand may refuse it.
    fn resolve_moves(&mut self, id: StrandId, source: &StrandSource, strand: &Strand) {
        let on_rows = source.transitions.iter().flat_map(|row| &row.on);
        let mentioned: Vec<&Text> =
            on_rows.chain(source.initial.iter().flat_map(|entry| &entry.on)).collect();
        let names: HashSet<&str> = mentioned.iter().map(|name| name.value.as_str()).collect();
        let observed: HashSet<EventTypeId> = self.events_named(&source.observes).into_iter().collect();
        for name in &source.observes {
            if self.definition.event(&name.value).is_some() && !names.contains(name.value.as_str()) {
                let message = format!("`{}` is observed, but no row says what follows from it", name.value);
                self.problems.at("observes-nothing", name, message, None);
            }
        }
        let mut told = HashSet::new();
        for name in mentioned {
            let Some(event) = self.definition.event(&name.value) else { continue };
            if !told.insert(event) {
                continue;
            }
            let ownership = if observed.contains(&event) { Ownership::Observes } else { Ownership::Owns };
            // What a strand observes may happen above it: a subject's death reaches that subject's charges.
            if ownership == Ownership::Owns {
                self.must_be_about(name, strand.per);
            }
            self.definition.events[event.index()].moves.push((id, ownership));
        }
    }
}

fn fits(field: &Field, value: &Value) -> bool {
    match field.kind {
        FieldKind::Text => value.is_string(),
        FieldKind::Integer => value.is_i64() || value.is_u64(),
        FieldKind::Boolean => value.is_boolean(),
        FieldKind::List | FieldKind::Object => false,
        FieldKind::Any => true,
    }
}
