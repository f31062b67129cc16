//! Where a case stands at one point of its timeline: a fold over effective events that cannot fail.
//!
//! No rule is evaluated here. An event moves the strands of the entities that it names, and of their parents; a
//! strand without a row for the event stays where it is.

use std::sync::Arc;

use super::effective::EffectiveEvent;
use super::event::{Payload, RecordedEvent, Scope, Version};
use crate::definition::condition::{Cause, EntityId, EventFacts};
use crate::definition::engine_events::ORIGINALLY_RECORDED_AT;
use crate::definition::{
    Branch, Definition, DerivedId, EventTypeId, Introduction, KindId, OverlayId, Ownership, StateId,
    StateMapping, Strand, StrandId,
};

/// Every strand's state, every entity, and what has happened, at one point of a timeline.
///
/// Cheap to clone: entities are shared until they change.
#[derive(Debug, Clone)]
pub struct Status {
    entities: Vec<Arc<Entity>>,
    people: Arc<Vec<(Arc<str>, Arc<str>)>>,
    /// Who corrected or annulled, in which role, and at which version: notes have no place on the timeline.
    noted_by: Arc<[Noted]>,
}

/// Version, recorder and role of a correction or an annulment.
type Noted = (Version, Arc<str>, Arc<str>);

/// An entity of a case; the first is the case itself.
#[derive(Debug, Clone)]
pub struct Entity {
    /// Its kind; `None` for the case.
    pub kind: Option<KindId>,
    /// Its id as people write it.
    pub id: Arc<str>,
    /// The entity that it belongs to.
    pub parent: Option<EntityId>,
    /// The event that introduced it.
    pub introduced_by: Version,
    /// As introduced and since amended.
    pub data: Payload,
    /// Why a field may be absent from `data`.
    pub absent: Option<Cause>,
    /// Its strands.
    pub strands: Vec<StrandState>,
    happened: Vec<(EventTypeId, Happened)>,
}

/// Where one strand of one entity stands.
#[derive(Debug, Clone)]
pub struct StrandState {
    /// The strand.
    pub strand: StrandId,
    /// Its state; `None` before it has started.
    pub state: Option<StateId>,
    /// The event that brought it there.
    pub since: Version,
    /// Overlays that are set, one bit each.
    pub overlays: u32,
}

#[derive(Debug, Clone)]
struct Happened {
    count: u64,
    last: Arc<EffectiveEvent>,
}

/// What an event did to one strand of one entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moved {
    /// A branch was taken, from a state or into the strand; it may lead to where the strand was.
    Along { strand: StrandId, from: Option<StateId>, branch: usize },
    /// An overlay was set that was not, or cleared that was set.
    Overlay { strand: StrandId, overlay: OverlayId, set: bool },
}

/// Why a scope does not fit the entities of the case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ScopeProblem {
    /// An entity that nothing introduced.
    Unknown { kind: KindId, id: String },
    /// The entity belongs to another parent than the one named.
    OtherParent { kind: KindId, id: String, parent: String, named: String },
    /// An event that introduces an entity names one that exists.
    Exists { kind: KindId, id: String, introduced_by: Version },
    /// A new entity needs its parent named.
    NoParent { kind: KindId, id: String, parent: KindId },
}

impl Status {
    /// Before the first event: the case alone.
    #[must_use]
    pub fn before_opening(definition: &Definition) -> Self {
        let case = Entity {
            kind: None,
            id: Arc::from("case"),
            parent: None,
            introduced_by: Version(0),
            data: Payload::new(),
            absent: None,
            strands: starting_strands(definition, None, Version(0)),
            happened: Vec::new(),
        };
        Self { entities: vec![Arc::new(case)], people: Arc::default(), noted_by: Arc::default() }
    }

    /// The entities, the case first, then in order of introduction.
    pub fn entities(&self) -> impl Iterator<Item = (EntityId, &Entity)> {
        self.entities
            .iter()
            .enumerate()
            .map(|(index, entity)| (EntityId(u32::try_from(index).unwrap_or(u32::MAX)), entity.as_ref()))
    }

    /// One entity.
    #[must_use]
    pub fn entity(&self, id: EntityId) -> &Entity {
        &self.entities[id.0 as usize]
    }

    /// The entity of this kind and id.
    #[must_use]
    pub fn find(&self, kind: KindId, id: &str) -> Option<EntityId> {
        self.entities()
            .find(|(_, entity)| entity.kind == Some(kind) && *entity.id == *id)
            .map(|(entity, _)| entity)
    }

    /// The entity's children of a kind; for the case, all entities of the kind.
    #[must_use]
    pub fn children(&self, of: EntityId, kind: KindId) -> Vec<EntityId> {
        self.entities()
            .filter(|(_, entity)| {
                entity.kind == Some(kind) && (of == EntityId::CASE || entity.parent == Some(of))
            })
            .map(|(entity, _)| entity)
            .collect()
    }

    /// The entities that the scope names, with their parents, the case first. What does not exist is left out.
    #[must_use]
    pub fn closure(&self, definition: &Definition, scope: &Scope) -> Vec<EntityId> {
        let mut closure = vec![EntityId::CASE];
        for (kind, id) in scope {
            let mut next = definition.kind(kind).and_then(|kind| self.find(kind, id));
            while let Some(entity) = next {
                if !closure.contains(&entity) {
                    closure.push(entity);
                }
                next = self.entity(entity).parent;
            }
        }
        closure
    }

    /// Counts who recorded these corrections and annulments among those who have acted.
    pub(crate) fn count_notes<'e>(&mut self, notes: impl Iterator<Item = &'e RecordedEvent>) {
        let acted = notes.map(|note| {
            let by = &note.proposed.recorded_by;
            (note.version, Arc::from(by.id.as_str()), Arc::from(by.role.as_str()))
        });
        self.noted_by = acted.collect();
    }

    /// The roles in which a person has acted: in events before this point of the timeline, and in corrections and
    /// annulments recorded before this version.
    pub(crate) fn roles_of<'s>(&'s self, person: &'s str, version: Version) -> impl Iterator<Item = &'s str> {
        let of_events = self.people.iter().map(|(id, role)| (id, role));
        let earlier = self.noted_by.iter().filter(move |(noted, _, _)| *noted < version);
        let all = of_events.chain(earlier.map(|(_, id, role)| (id, role)));
        all.filter(move |(id, _)| ***id == *person).map(|(_, role)| &**role)
    }

    /// The last event of a type about an entity, and how many there were.
    pub(crate) fn happened(
        &self,
        entity: EntityId,
        event: EventTypeId,
    ) -> Option<(u64, &Arc<EffectiveEvent>)> {
        let happened = &self.entity(entity).happened;
        let index = happened.binary_search_by_key(&event, |(event, _)| *event).ok()?;
        Some((happened[index].1.count, &happened[index].1.last))
    }

    /// The state of an entity's strand.
    #[must_use]
    pub fn strand(&self, entity: EntityId, strand: StrandId) -> Option<&StrandState> {
        self.entity(entity).strands.iter().find(|state| state.strand == strand)
    }

    /// The state of an entity's derived strand: the first condition that definitely holds.
    #[must_use]
    pub fn derived(&self, definition: &Definition, entity: EntityId, strand: DerivedId) -> Option<StateId> {
        let scene = Scene { definition, status: self, closure: self.with_parents(entity), event: None };
        definition.derived[strand.index()]
            .conditions
            .iter()
            .position(|condition| condition.evaluate(&scene) == crate::definition::condition::Truth::True)
            .and_then(|index| u16::try_from(index).ok())
            .map(StateId)
    }

    /// The entities of a kind that an event of this scope reaches: those that it names, itself or through one below; or, where
    /// it names none of the kind, those below the ones that it names.
    pub(crate) fn reached(
        &self,
        definition: &Definition,
        scope: &Scope,
        kind: Option<KindId>,
    ) -> Vec<EntityId> {
        let Some(kind) = kind else { return vec![EntityId::CASE] };
        let named = self.closure(definition, scope);
        let is_of_kind = |entity: &EntityId| self.entity(*entity).kind == Some(kind);
        let direct: Vec<EntityId> = named.iter().copied().filter(is_of_kind).collect();
        if !direct.is_empty() {
            return direct;
        }
        let all = self.entities().filter(|(_, entity)| entity.kind == Some(kind));
        all.filter(|(_, entity)| self.is_below(entity, &named, scope)).map(|(id, _)| id).collect()
    }

    /// The status as conditions about an entity see it, without an event.
    pub(crate) fn scene_of<'a>(&'a self, definition: &'a Definition, entity: EntityId) -> Scene<'a> {
        Scene { definition, status: self, closure: self.with_parents(entity), event: None }
    }

    fn with_parents(&self, entity: EntityId) -> Vec<EntityId> {
        let mut closure = vec![EntityId::CASE];
        let mut next = Some(entity).filter(|entity| *entity != EntityId::CASE);
        while let Some(entity) = next {
            closure.push(entity);
            next = self.entity(entity).parent;
        }
        closure
    }

    /// Introduces the entities that the event brings, and checks that its scope fits those there are.
    pub(crate) fn introduce(
        &mut self,
        definition: &Definition,
        event_type: EventTypeId,
        scope: &Scope,
        data: (&Payload, Option<Cause>),
        version: Version,
    ) -> Vec<ScopeProblem> {
        let mut problems = Vec::new();
        for (index, kind) in definition.kinds.iter().enumerate() {
            let Some(id) = scope.get(&kind.name) else { continue };
            let kind_id = KindId(u16::try_from(index).unwrap_or(u16::MAX));
            let introduces = definition.event_type(event_type).introduction_of(kind_id);
            let named = kind
                .parent
                .and_then(|parent| scope.get(&definition.kinds[parent.index()].name).map(|id| (parent, id)));
            match (self.find(kind_id, id), introduces) {
                (Some(entity), Introduction::Always) => problems.push(ScopeProblem::Exists {
                    kind: kind_id,
                    id: id.clone(),
                    introduced_by: self.entity(entity).introduced_by,
                }),
                (Some(entity), _) => {
                    if let (Some((_, named)), Some(parent)) = (named, self.entity(entity).parent)
                        && *self.entity(parent).id != **named
                    {
                        problems.push(ScopeProblem::OtherParent {
                            kind: kind_id,
                            id: id.clone(),
                            parent: self.entity(parent).id.to_string(),
                            named: named.clone(),
                        });
                    }
                }
                (None, Introduction::Never) => {
                    problems.push(ScopeProblem::Unknown { kind: kind_id, id: id.clone() });
                }
                (None, _) => {
                    let parent = match (kind.parent, named) {
                        (None, _) => None,
                        (Some(parent), Some((_, named))) => self.find(parent, named),
                        (Some(parent), None) => self.only(parent),
                    };
                    if let (Some(wanted), None) = (kind.parent, parent) {
                        let problem =
                            ScopeProblem::NoParent { kind: kind_id, id: id.clone(), parent: wanted };
                        problems.push(problem);
                    }
                    self.entities.push(Arc::new(Entity {
                        kind: Some(kind_id),
                        id: Arc::from(id.as_str()),
                        parent,
                        introduced_by: version,
                        data: of_the_entity(data.0).collect(),
                        absent: data.1,
                        strands: starting_strands(definition, Some(kind_id), version),
                        happened: Vec::new(),
                    }));
                }
            }
        }
        problems
    }

    fn only(&self, kind: KindId) -> Option<EntityId> {
        let mut all = self.entities().filter(|(_, entity)| entity.kind == Some(kind));
        let first = all.next();
        first.filter(|_| all.next().is_none()).map(|(entity, _)| entity)
    }

    /// The status after the event. Total: what does not fit is left where it is.
    pub fn step(&mut self, definition: &Definition, event: &Arc<EffectiveEvent>) {
        #[cfg(test)]
        work::STEPS.set(work::STEPS.get() + 1);
        self.step_telling(definition, event, &mut |_| {});
    }

    /// As [`Self::step`], and tells what moved.
    pub(crate) fn step_telling(
        &mut self,
        definition: &Definition,
        event: &Arc<EffectiveEvent>,
        tell: &mut impl FnMut(Moved),
    ) {
        let facts = event.facts();
        self.introduce(
            definition,
            event.event_type,
            event.scope(),
            (facts.data, facts.absent),
            event.version(),
        );
        let event_type = definition.event_type(event.event_type);
        for entity in self.closure(definition, event.scope()) {
            let Some(shared) = self.entities.get_mut(entity.0 as usize) else { continue };
            let entity = Arc::make_mut(shared);
            for state in &mut entity.strands {
                move_strand(&definition.strands[state.strand.index()], state, event, tell);
            }
            if entity.kind.is_some_and(|kind| event_type.amends.contains(&kind)) {
                entity.data.extend(of_the_entity(facts.data));
            }
            entity.note(event.event_type, event);
            for other in event.other_types() {
                entity.note(*other, event);
            }
        }
        self.step_below(definition, event, tell);
        let recorder = &event.recorded.proposed.recorded_by;
        let is_known = |(id, role): &(Arc<str>, Arc<str>)| **id == *recorder.id && **role == *recorder.role;
        if !self.people.iter().any(is_known) {
            let person = (Arc::from(recorder.id.as_str()), Arc::from(recorder.role.as_str()));
            Arc::make_mut(&mut self.people).push(person);
        }
    }
}

impl Status {
    /// Strands that observe the event and belong to entities below those that it names follow it too: a death ends what
    /// runs against the person.
    fn step_below(
        &mut self,
        definition: &Definition,
        event: &Arc<EffectiveEvent>,
        tell: &mut impl FnMut(Moved),
    ) {
        let moves = &definition.event_type(event.event_type).moves;
        let observed = moves.iter().filter(|(_, ownership)| *ownership == Ownership::Observes);
        let mut kinds: Vec<KindId> =
            observed.filter_map(|(strand, _)| definition.strands[strand.index()].per).collect();
        if kinds.is_empty() {
            return;
        }
        let named = self.closure(definition, event.scope());
        // Where the event says which of them it is about, it is not about the others.
        kinds.retain(|kind| !named.iter().any(|named| self.entity(*named).kind == Some(*kind)));
        for index in 1..self.entities.len() {
            let entity = &self.entities[index];
            let is_below = entity.kind.is_some_and(|kind| kinds.contains(&kind))
                && self.is_below(entity, &named, event.scope());
            if is_below {
                for state in &mut Arc::make_mut(&mut self.entities[index]).strands {
                    if moves.contains(&(state.strand, Ownership::Observes)) {
                        move_strand(&definition.strands[state.strand.index()], state, event, tell);
                    }
                }
            }
        }
    }

    /// Whether the entity descends from one that the scope names itself; everything is below the case.
    fn is_below(&self, entity: &Entity, named: &[EntityId], scope: &Scope) -> bool {
        if scope.is_empty() {
            return true;
        }
        let mut next = entity.parent;
        while let Some(parent) = next {
            let parent_entity = self.entity(parent);
            if named.contains(&parent) && scope.values().any(|id| **id == *parent_entity.id) {
                return true;
            }
            next = parent_entity.parent;
        }
        false
    }
}

/// What a status holds and another version of the definition has no place for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stranded {
    /// A state that the version neither has nor maps.
    State { strand: StrandId, entity: Option<Arc<str>>, state: StateId },
    /// An entity of a kind that the version does not have.
    Entity { kind: KindId, id: Arc<str> },
}

impl Status {
    /// The same facts in the terms of another version: states as mapped, or by the same name, and what has no place there.
    ///
    /// Total: a state without a place is left out, as is an entity with everything below it.
    pub(crate) fn carried_over(
        &self,
        old: &Definition,
        new: &Definition,
        mapping: Option<&StateMapping>,
    ) -> (Self, Vec<Stranded>) {
        let mut stranded = Vec::new();
        let mut places: Vec<Option<EntityId>> = Vec::new();
        let mut entities: Vec<Arc<Entity>> = Vec::new();
        for entity in &self.entities {
            let kind = entity.kind.map(|kind| new.kind(&old.kinds[kind.index()].name));
            let parent = entity.parent.map(|parent| places[parent.0 as usize]);
            if kind == Some(None) || parent == Some(None) {
                let named = entity.kind.map(|kind| Stranded::Entity { kind, id: Arc::clone(&entity.id) });
                stranded.extend(named);
                places.push(None);
                continue;
            }
            let kind = kind.flatten();
            let mut strands = starting_strands(new, kind, entity.introduced_by);
            for at in &entity.strands {
                carry_strand((old, new), mapping, entity, at, &mut strands, &mut stranded);
            }
            places.push(Some(EntityId(u32::try_from(entities.len()).unwrap_or(u32::MAX))));
            entities.push(Arc::new(Entity {
                kind,
                parent: parent.flatten(),
                strands,
                happened: carried_events(old, new, &entity.happened),
                ..entity.as_ref().clone()
            }));
        }
        let (people, noted_by) = (Arc::clone(&self.people), Arc::clone(&self.noted_by));
        (Self { entities, people, noted_by }, stranded)
    }
}

/// Moves one strand's state to where it belongs under another version; a strand that the version dropped is left behind.
fn carry_strand(
    (old, new): (&Definition, &Definition),
    mapping: Option<&StateMapping>,
    entity: &Entity,
    at: &StrandState,
    strands: &mut [StrandState],
    stranded: &mut Vec<Stranded>,
) {
    let machine = &old.strands[at.strand.index()];
    let Some(place) = strands.iter_mut().find(|place| new.strands[place.strand.index()].name == machine.name)
    else {
        return;
    };
    let target = &new.strands[place.strand.index()];
    place.since = at.since;
    place.state = at.state.and_then(|state| {
        let name = &machine.states[state.index()].name;
        let mapped = mapping.and_then(|mapping| mapping.state(place.strand, name));
        let found = mapped.or_else(|| target.state(name));
        if found.is_none() {
            let entity = entity.kind.map(|_| Arc::clone(&entity.id));
            stranded.push(Stranded::State { strand: at.strand, entity, state });
        }
        found
    });
    for (index, overlay) in machine.overlays.iter().enumerate() {
        if at.overlays & (1 << index) != 0
            && let Some(kept) = target.overlays.iter().position(|other| other.name == overlay.name)
        {
            place.overlays |= 1 << kept;
        }
    }
}

/// What has happened, by the event types of another version; types that it does not have are left out.
fn carried_events(
    old: &Definition,
    new: &Definition,
    happened: &[(EventTypeId, Happened)],
) -> Vec<(EventTypeId, Happened)> {
    let mut carried: Vec<(EventTypeId, Happened)> = happened
        .iter()
        .filter_map(|(event, happened)| {
            let event_type = new.event(&old.event_type(*event).name)?;
            let last = Arc::new(EffectiveEvent { event_type, ..happened.last.as_ref().clone() });
            Some((event_type, Happened { count: happened.count, last }))
        })
        .collect();
    carried.sort_by_key(|(event, _)| *event);
    carried
}

impl Entity {
    /// What has happened to it, by type: how often, and the last.
    pub(crate) fn happened(&self) -> impl Iterator<Item = (EventTypeId, u64, &Arc<EffectiveEvent>)> {
        self.happened.iter().map(|(event, happened)| (*event, happened.count, &happened.last))
    }

    fn note(&mut self, event_type: EventTypeId, event: &Arc<EffectiveEvent>) {
        match self.happened.binary_search_by_key(&event_type, |(event, _)| *event) {
            Ok(index) => {
                self.happened[index].1.count += 1;
                self.happened[index].1.last = Arc::clone(event);
            }
            Err(index) => {
                self.happened.insert(index, (event_type, Happened { count: 1, last: Arc::clone(event) }));
            }
        }
    }
}

/// The fields of a payload that tell of the entity: not when another system recorded the event.
fn of_the_entity(data: &Payload) -> impl Iterator<Item = (String, serde_json::Value)> + '_ {
    data.iter()
        .filter(|(field, _)| *field != ORIGINALLY_RECORDED_AT)
        .map(|(field, value)| (field.clone(), value.clone()))
}

fn starting_strands(definition: &Definition, kind: Option<KindId>, since: Version) -> Vec<StrandState> {
    definition
        .strands
        .iter()
        .enumerate()
        .filter(|(_, strand)| strand.per == kind)
        .map(|(index, strand)| StrandState {
            strand: StrandId(u16::try_from(index).unwrap_or(u16::MAX)),
            state: strand
                .initial
                .iter()
                .find(|initial| initial.on.is_none())
                .and_then(|initial| initial.branches.first()?.to),
            since,
            overlays: 0,
        })
        .collect()
}

/// The branches that apply to an event in a strand's state: a row, or the way in.
pub(crate) fn branches_for(strand: &Strand, state: Option<StateId>, event: EventTypeId) -> Option<&[Branch]> {
    match state {
        Some(state) => strand.row(event, state).map(|row| row.branches.as_slice()),
        None => strand
            .initial
            .iter()
            .find(|initial| initial.on == Some(event))
            .map(|initial| initial.branches.as_slice()),
    }
}

fn move_strand(strand: &Strand, at: &mut StrandState, event: &EffectiveEvent, tell: &mut impl FnMut(Moved)) {
    if let Some(branches) = branches_for(strand, at.state, event.event_type)
        && let Some(index) =
            branches.iter().position(|branch| branch.matches(|field| event.data().get(field)))
    {
        tell(Moved::Along { strand: at.strand, from: at.state, branch: index });
        if let Some(to) = branches[index].to
            && at.state != Some(to)
        {
            at.state = Some(to);
            at.since = event.version();
        }
    }
    for (index, overlay) in strand.overlays.iter().enumerate() {
        let before = at.overlays;
        if overlay.set_by.contains(&event.event_type) {
            at.overlays |= 1 << index;
        }
        if overlay.cleared_by.contains(&event.event_type) {
            at.overlays &= !(1 << index);
        }
        if at.overlays != before {
            let overlay = OverlayId(u16::try_from(index).unwrap_or(u16::MAX));
            tell(Moved::Overlay { strand: at.strand, overlay, set: at.overlays > before });
        }
    }
}

/// A status as the conditions of one event see it.
pub(crate) struct Scene<'a> {
    pub(crate) definition: &'a Definition,
    pub(crate) status: &'a Status,
    pub(crate) closure: Vec<EntityId>,
    pub(crate) event: Option<EventFacts<'a>>,
}

impl crate::definition::condition::Facts for Scene<'_> {
    fn in_scope(&self, kind: KindId) -> Option<EntityId> {
        self.closure.iter().copied().find(|entity| self.status.entity(*entity).kind == Some(kind))
    }

    fn children(&self, of: EntityId, kind: KindId) -> Vec<EntityId> {
        self.status.children(of, kind)
    }

    fn id(&self, entity: EntityId) -> &str {
        &self.status.entity(entity).id
    }

    fn entity_data(&self, entity: EntityId) -> (&Payload, Option<Cause>) {
        let entity = self.status.entity(entity);
        (&entity.data, entity.absent)
    }

    fn state(&self, entity: EntityId, strand: StrandId) -> Option<StateId> {
        self.status.strand(entity, strand)?.state
    }

    fn derived(&self, entity: EntityId, strand: DerivedId) -> Option<StateId> {
        self.status.derived(self.definition, entity, strand)
    }

    fn overlay(&self, entity: EntityId, strand: StrandId, overlay: OverlayId) -> bool {
        self.status.strand(entity, strand).is_some_and(|state| state.overlays & (1 << overlay.0) != 0)
    }

    fn count(&self, entity: EntityId, event: EventTypeId) -> u64 {
        self.status.happened(entity, event).map_or(0, |(count, _)| count)
    }

    fn last(&self, entity: EntityId, event: EventTypeId) -> Option<EventFacts<'_>> {
        self.status.happened(entity, event).map(|(_, last)| last.facts())
    }

    fn event(&self) -> Option<EventFacts<'_>> {
        self.event
    }
}

/// What was done, counted for tests that hold that it does not grow with the case.
#[cfg(test)]
pub(crate) mod work {
    use std::cell::Cell;

    thread_local! {
        /// Events that a status was moved by.
        pub(crate) static STEPS: Cell<usize> = const { Cell::new(0) };
    }
}
