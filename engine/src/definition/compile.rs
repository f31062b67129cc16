//! From source to [`Definition`]: every name resolved, all problems at once.
//!
//! Everything is compiled in the order of canonical JSON, so that the same digest gives the same indexes.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use super::problem::{Problem, Problems};
use super::source::{EntitySource, Source, SourceFile, source};
use super::syntax::{self, Node, Text};
use super::{
    AfterClosing, Definition, EntityKind, EventTypeId, KindId, Role, RoleId, StateId, StateMapping, parts,
};

/// Compiles a definition from its files (the first is `definition.yaml` or a single file).
///
/// # Errors
/// Every problem found, in order of file and line. Warnings alone do not fail.
pub fn compile(files: &[SourceFile]) -> Result<Definition, Vec<Problem>> {
    let mut problems = Problems::new(files);
    match parts::merged(files, &mut problems) {
        Some(node) => resolved(node, problems),
        None => Err(problems.into_sorted()),
    }
}

/// Compiles the canonical JSON that a store keeps ([`Definition::canonical`]).
///
/// # Errors
/// As [`compile`].
pub fn from_canonical(canonical: &str) -> Result<Definition, Vec<Problem>> {
    let files = [SourceFile { name: "definition.json".to_owned(), text: canonical.to_owned() }];
    let mut problems = Problems::new(&files);
    match syntax::read_json(canonical, &mut problems) {
        Some(node) => resolved(node, problems),
        None => Err(problems.into_sorted()),
    }
}

fn resolved(mut node: Node, mut problems: Problems<'_>) -> Result<Definition, Vec<Problem>> {
    node.sort();
    let canonical = serde_json_canonicalizer::to_string(&node.to_json()).unwrap_or_else(|error| {
        problems.add("yaml", node.place, 1, format!("the definition has no canonical form: {error}"), None);
        String::new()
    });
    let source = source(&node, &mut problems);
    let digest = Sha256::digest(canonical.as_bytes()).into();
    let mut resolver = Resolver::new(&source, problems, canonical, digest);
    resolver.resolve_roles();
    let before = resolver.problems.count();
    resolver.resolve_kinds();
    let kinds_are_whole = resolver.problems.count() == before;
    resolver.resolve_events();
    resolver.resolve_strands();
    resolver.resolve_after_closing();
    resolver.resolve_migrations();
    // Where the kinds are broken, conditions would only repeat that in other words.
    if kinds_are_whole {
        resolver.resolve_derived();
        resolver.resolve_rules();
        resolver.resolve_deadlines();
    }
    if resolver.problems.is_empty() { Ok(resolver.definition) } else { Err(resolver.problems.into_sorted()) }
}

/// A definition on its way: names known so far, problems found so far.
pub(super) struct Resolver<'s, 'f> {
    pub(super) source: &'s Source,
    pub(super) problems: Problems<'f>,
    pub(super) definition: Definition,
    pub(super) kinds: HashMap<&'s str, KindId>,
    pub(super) roles: HashMap<&'s str, RoleId>,
    /// Event types whose schema is broken: nothing is said about their fields.
    pub(super) unreadable: HashSet<EventTypeId>,
    /// Event types whose scope names what is not there: nothing is said about what their rules may speak of.
    pub(super) unscoped: HashSet<EventTypeId>,
    /// How many comparisons of branches with payloads are left.
    pub(super) combinations: usize,
}

/// The index of a list's next entry. Lists are far shorter than that: the source has a limit for each.
pub(super) fn index(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

impl<'s, 'f> Resolver<'s, 'f> {
    fn new(source: &'s Source, problems: Problems<'f>, canonical: String, digest: [u8; 32]) -> Self {
        let labels = source.vocabulary.iter();
        let definition = Definition {
            name: source.name.clone(),
            version: source.version,
            title: source.title.clone(),
            digest,
            about: source.about.clone(),
            timezone: source.timezone.clone(),
            roles: Vec::new(),
            separate_duties: Vec::new(),
            kinds: Vec::new(),
            events: Vec::new(),
            strands: Vec::new(),
            derived: Vec::new(),
            calendars: source.calendars.iter().filter_map(|(_, calendar)| calendar.clone()).collect(),
            deadlines: Vec::new(),
            after_closing: None,
            migrates_from: Vec::new(),
            vocabulary: labels.map(|(l, labels)| (l.clone(), labels.iter().cloned().collect())).collect(),
            canonical,
            event_index: HashMap::new(),
            distinctions: OnceLock::new(),
        };
        Self {
            source,
            problems,
            definition,
            kinds: HashMap::new(),
            roles: HashMap::new(),
            unreadable: HashSet::new(),
            unscoped: HashSet::new(),
            combinations: super::coverage::COMPARISONS_MAX,
        }
    }

    fn unknown<'n>(&mut self, what: &str, name: &Text, known: impl IntoIterator<Item = &'n str>) {
        let help = self.problems.suggestion(&name.value, known);
        let message = format!("`{}` is no {what} of this definition", name.value.escape_debug());
        self.problems.at(if what == "role" { "unknown-role" } else { "unknown-name" }, name, message, help);
    }

    pub(super) fn kind(&mut self, name: &Text) -> Option<KindId> {
        let found = self.kinds.get(name.value.as_str()).copied();
        if found.is_none() {
            self.unknown("entity", name, self.source.entities.iter().map(|kind| kind.name.value.as_str()));
        }
        found
    }

    pub(super) fn role(&mut self, name: &Text) -> Option<RoleId> {
        let found = self.roles.get(name.value.as_str()).copied();
        if found.is_none() {
            self.unknown("role", name, self.source.roles.iter().map(|role| role.name.value.as_str()));
        }
        found
    }

    pub(super) fn event(&mut self, name: &Text) -> Option<EventTypeId> {
        let found = self.definition.event(&name.value);
        if found.is_none() && !self.problems.is_full() {
            let names: Vec<String> = self.definition.events.iter().map(|event| event.name.clone()).collect();
            self.unknown("event type", name, names.iter().map(String::as_str));
        }
        found
    }

    pub(super) fn events_named(&mut self, names: &[Text]) -> Vec<EventTypeId> {
        names.iter().filter_map(|name| self.event(name)).collect()
    }

    fn resolve_roles(&mut self) {
        for (at, role) in self.source.roles.iter().enumerate() {
            self.roles.insert(role.name.value.as_str(), RoleId(index(at)));
            self.definition.roles.push(Role {
                name: role.name.value.clone(),
                title: role.title.clone(),
                may_override: role.may_override,
            });
        }
        for set in &self.source.separate_duties {
            let roles: Vec<RoleId> = set.iter().filter_map(|name| self.role(name)).collect();
            self.definition.separate_duties.push(roles);
        }
    }

    /// Kinds, a parent before its children, otherwise in the order of their names.
    fn resolve_kinds(&mut self) {
        let source = self.source;
        let known: HashSet<&str> = source.entities.iter().map(|kind| kind.name.value.as_str()).collect();
        let parent_of =
            |kind: &'s EntitySource| kind.parent.as_ref().filter(|p| known.contains(p.value.as_str()));
        for parent in source.entities.iter().filter_map(|kind| kind.parent.as_ref()) {
            if !known.contains(parent.value.as_str()) {
                self.unknown("entity", parent, known.iter().copied());
            }
        }
        let mut children: HashMap<&str, Vec<&EntitySource>> = HashMap::new();
        let mut next: Vec<&EntitySource> = Vec::new();
        for kind in source.entities.iter().rev() {
            match parent_of(kind) {
                Some(parent) => children.entry(parent.value.as_str()).or_default().push(kind),
                None => next.push(kind),
            }
        }
        while let Some(kind) = next.pop() {
            next.extend(children.remove(kind.name.value.as_str()).unwrap_or_default());
            self.add_kind(kind);
        }
        let by_name: HashMap<&str, &'s EntitySource> =
            source.entities.iter().map(|kind| (kind.name.value.as_str(), kind)).collect();
        for kind in &source.entities {
            if self.kinds.contains_key(kind.name.value.as_str()) {
                continue;
            }
            if is_own_ancestor(kind, &by_name) {
                let message = format!("`{}` is, by its parents, its own ancestor", kind.name.value);
                let place = kind.parent.as_ref().unwrap_or(&kind.name);
                self.problems.at("parent-cycle", place, message, Some("leave one `parent` out".to_owned()));
            }
            self.add_kind(kind);
        }
        self.check_plurals();
    }

    fn add_kind(&mut self, kind: &'s EntitySource) {
        let parent = kind.parent.as_ref().and_then(|parent| self.kinds.get(parent.value.as_str()).copied());
        self.kinds.insert(kind.name.value.as_str(), KindId(index(self.definition.kinds.len())));
        self.definition.kinds.push(EntityKind {
            name: kind.name.value.clone(),
            plural: kind.plural.value.clone(),
            title: kind.title.clone(),
            introduced_by: Vec::new(),
            parent,
        });
    }

    fn check_plurals(&mut self) {
        let mut seen: HashMap<&str, &Text> = HashMap::new();
        for kind in &self.source.entities {
            if let Some(other) = seen.insert(&kind.plural.value, &kind.name) {
                let message = format!("`{}` is already the plural of `{}`", kind.plural.value, other.value);
                let help = Some("give one of them another `plural`".to_owned());
                self.problems.at("duplicate-name", &kind.plural, message, help);
            }
        }
    }

    fn resolve_after_closing(&mut self) {
        let Some(after) = &self.source.after_closing else { return };
        let accept = self.events_named(&after.accept);
        let strands = &self.definition.strands;
        let Some(strand) = self.definition.strand(&after.strand.value) else {
            let known: Vec<String> = strands.iter().map(|strand| strand.name.clone()).collect();
            return self.unknown("strand", &after.strand, known.iter().map(String::as_str));
        };
        let machine = &self.definition.strands[strand.index()];
        if machine.per.is_some() {
            let message = format!("`{}` is not a strand of the case", after.strand.value);
            return self.problems.at("wrong-shape", &after.strand, message, None);
        }
        let Some(state) = machine.state(&after.state.value) else {
            let message = format!("`{}` is no state of `{}`", after.state.value.escape_debug(), machine.name);
            let help = self
                .problems
                .suggestion(&after.state.value, machine.states.iter().map(|state| state.name.as_str()));
            return self.problems.at("not-a-state", &after.state, message, help);
        };
        self.definition.after_closing = Some(AfterClosing { strand, state, accept });
    }

    /// The earlier version's names cannot be checked without it; this one's can.
    fn resolve_migrations(&mut self) {
        for migration in &self.source.migrates_from {
            let mut strands = Vec::new();
            for (name, states) in &migration.strands {
                let Some(strand) = self.definition.strand(&name.value) else {
                    let known: Vec<String> =
                        self.definition.strands.iter().map(|strand| strand.name.clone()).collect();
                    self.unknown("strand", name, known.iter().map(String::as_str));
                    continue;
                };
                let known: Vec<String> = self.definition.strands[strand.index()]
                    .states
                    .iter()
                    .map(|state| state.name.clone())
                    .collect();
                let ids = (0..).map(StateId);
                let known: HashMap<&str, StateId> = known.iter().map(String::as_str).zip(ids).collect();
                let mapped = states.iter().filter_map(|(earlier, becomes)| {
                    Some((earlier.value.clone(), self.state(becomes, &name.value, &known)?))
                });
                strands.push((strand, mapped.collect()));
            }
            self.definition.migrates_from.push(StateMapping { version: migration.version, strands });
        }
    }

    /// The state of this name, of `states` of the strand `strand`.
    pub(super) fn state(
        &mut self,
        name: &Text,
        strand: &str,
        states: &HashMap<&str, StateId>,
    ) -> Option<StateId> {
        let found = states.get(name.value.as_str()).copied();
        if found.is_none() {
            let message = format!("`{}` is no state of `{strand}`", name.value.escape_debug());
            let help = self.problems.suggestion(&name.value, states.keys().copied());
            self.problems.at("not-a-state", name, message, help);
        }
        found
    }
}

fn is_own_ancestor(kind: &EntitySource, by_name: &HashMap<&str, &EntitySource>) -> bool {
    let mut at = kind;
    for _ in 0..by_name.len() {
        let Some(parent) = at.parent.as_ref().and_then(|parent| by_name.get(parent.value.as_str())) else {
            return false;
        };
        if parent.name.value == kind.name.value {
            return true;
        }
        at = parent;
    }
    false
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::case::event::engine_types;
    use crate::definition::schema::Schema;
    use crate::definition::{EventType, Ownership, Strand, engine_events};

    /// A small whole definition, with every construct of the language in it.
    pub(crate) const SAMPLE: &str = r#"
workflow: sample
version: 1
language: casebook/1
title: A sample
timezone: Europe/London
roles:
  caseworker: {}
  decision-maker: { title: Decision maker, may-override: true }
separate-duties:
  - [caseworker, decision-maker]
entities:
  subject: { introduced-by: subject-identified }
  charge: { introduced-by: charge-authorised, parent: subject }
events:
  case-opened:
    record: caseworker
    data: { properties: { title: { type: string } } }
  subject-identified:
    scope: [subject]
    data: { properties: { rank: { enum: [constable, sergeant, not-stated] }, address: { type: string } } }
    protect: [address]
  charge-authorised:
    scope: charge
    introduces-or-mentions: [charge]
    data: { properties: { offence: { type: string } }, required: [offence] }
  charge-amended:
    scope: [charge]
    amends: [charge]
    data: { properties: { offence: { type: string }, note: { type: string } } }
  plea-entered:
    scope: [subject, charge]
    gap: true
    data:
      properties:
        plea: { enum: [guilty, not-guilty] }
        words: { type: string }
        counts: { type: integer }
        heard: { type: array, items: { type: string } }
      required: [plea]
  sentence-passed:
    scope: [charge]
    record: [caseworker]
    decide: [court]
    rationale: required
    data: { properties: { disposal: { enum: [custody, fine] }, months: { type: integer } }, required: [disposal] }
    rules:
      - id: sentence-needs-conviction
        class: logical
        when: event.data.disposal == 'custody'
        require: charge.state('charge') == 'convicted' && charge.happened('plea-entered')
        message: "{charge.id} of {subject.id} is {charge.state('charge')}"
        basis: Sentencing Act 2020
      - id: sentence-comes-later
        class: compliance
        require: definitely_before(charge.last('plea-entered').occurred, event.occurred)
        message: "the sentence came first"
        from: 2020-12-01
        pinned-by: sentence-passed
  subject-died: { scope: [subject] }
  appeal-lodged: { scope: [charge] }
  appeal-determined: { scope: [charge] }
  case-closed: {}
  note-made: {}
strands:
  case:
    states: { open: {}, closed: { final: true } }
    initial: open
    transitions:
      - { on: case-closed, from: open, to: closed }
  charge:
    per: charge
    states: { authorised: {}, convicted: { title: "Convicted, awaiting sentence" }, sent: {}, sentenced: { final: true } }
    initial: { on: charge-authorised, to: authorised }
    observes: [subject-died]
    transitions:
      - { on: charge-authorised, from: any }
      - on: plea-entered
        from: [authorised, sent]
        choose:
          - { where: { plea: [guilty] }, to: convicted }
          - { to: sent }
      - { on: sentence-passed, from: any-open, to: sentenced }
      - { on: subject-died, from: any-open, to: sentenced }
    overlays:
      appeal-pending: { set-by: appeal-lodged, cleared-by: [appeal-determined] }
derived:
  criminal:
    per: subject
    states:
      - before-court: subject.charges.exists(c, c.state('charge') in ['authorised', 'sent'])
      - sentenced: { title: Sentenced, final: true, when: "subject.charges.exists(c, c.state('charge') == 'sentenced')" }
      - not-engaged: true
  all-done:
    states:
      - done: case.subjects.all(s, s.state('criminal') == 'sentenced')
      - not-done: true
always-accepted: [note-made]
after-closing: { state: { case: closed }, accept: [appeal-determined] }
vocabulary: { cy: { charge: Cyhuddiad } }
"#;

    pub(crate) fn sample() -> Definition {
        compiled(SAMPLE)
    }

    #[track_caller]
    pub(crate) fn compiled(text: &str) -> Definition {
        compile(&[file("definition.yaml", text)]).unwrap_or_else(|problems| panic!("{}", shown(&problems)))
    }

    fn file(name: &str, text: &str) -> SourceFile {
        SourceFile { name: name.to_owned(), text: text.to_owned() }
    }

    fn shown(problems: &[Problem]) -> String {
        problems.iter().map(|problem| format!("{}\n", problem.snippet)).collect()
    }

    fn event<'d>(definition: &'d Definition, name: &str) -> &'d EventType {
        definition.event_type(definition.event(name).unwrap())
    }

    fn strand<'d>(definition: &'d Definition, name: &str) -> &'d Strand {
        &definition.strands[definition.strand(name).unwrap().index()]
    }

    #[test]
    fn a_whole_definition_is_resolved() {
        let definition = sample();
        assert_eq!(definition.pin(), "sample@1");
        assert_eq!(definition.roles[1].title, "Decision maker");
        assert!(definition.roles[1].may_override);
        assert_eq!(definition.separate_duties, [vec![RoleId(0), RoleId(1)]]);
        let (subject, charge) = (definition.kind("subject").unwrap(), definition.kind("charge").unwrap());
        assert!(subject < charge, "a parent stands before its children");
        assert_eq!(definition.kinds[charge.index()].plural, "charges");
        let plea = event(&definition, "plea-entered");
        assert_eq!((plea.title.as_str(), plea.part.as_str()), ("Plea entered", "sample"));
        assert_eq!(plea.scope, [charge], "the parent comes along");
        assert!(plea.may_be_gap);
        assert_eq!(event(&definition, "charge-authorised").introduces, [charge]);
        assert_eq!(event(&definition, "charge-authorised").introduces_or_mentions, [charge]);
        assert!(event(&definition, "note-made").always_accepted);
        assert!(event(&definition, "sentence-passed").rationale_required);
        let closing = definition.after_closing.as_ref().unwrap();
        assert_eq!(definition.strands[closing.strand.index()].name, "case");
        assert_eq!(definition.vocabulary["cy"]["charge"], "Cyhuddiad");
        assert_eq!(definition.derived[0].name, "criminal", "what is read stands before what reads it");
    }

    #[test]
    fn rows_are_spread_over_the_states_they_name() {
        let definition = sample();
        let charge = strand(&definition, "charge");
        let rows = |name: &str| {
            let rows = charge.rows.get(&definition.event(name).unwrap());
            rows.map_or(0, Vec::len)
        };
        assert_eq!(rows("charge-authorised"), 4);
        assert_eq!(rows("sentence-passed"), 3, "every state that is not final");
        assert_eq!(rows("plea-entered"), 2);
        let moves =
            |name: &str| event(&definition, name).moves.iter().map(|(_, owns)| *owns).collect::<Vec<_>>();
        assert_eq!(moves("sentence-passed"), [Ownership::Owns]);
        assert_eq!(moves("subject-died"), [Ownership::Observes]);
        assert_eq!(moves("appeal-lodged"), []);
        assert_eq!(charge.initial[0].on, definition.event("charge-authorised"));
        assert_eq!(strand(&definition, "case").initial[0].on, None);
    }

    #[test]
    fn the_engines_event_types_always_exist() {
        let definition = sample();
        for name in engine_types::ALL {
            let event = event(&definition, name);
            assert_eq!(event.always_accepted, name != engine_types::CASE_OPENED, "{name}");
            assert!(
                engine_events::schema(name).is_none_or(|schema| Schema::compile(schema).is_ok()),
                "{name}"
            );
        }
        let gap = event(&definition, "gap-declared");
        let payload = |value: serde_json::Value| value.as_object().unwrap().clone();
        let good = payload(
            serde_json::json!({ "missing_type": "plea-entered", "why_known": "a sentence followed" }),
        );
        assert_eq!(gap.payload_problems(&good), []);
        let bad = payload(serde_json::json!({ "why_known": "a sentence followed" }));
        assert_ne!(gap.payload_problems(&bad), []);
    }

    #[test]
    fn what_the_engine_adds_to_a_payload_is_set_aside() {
        let definition = sample();
        let payload = |value: serde_json::Value| value.as_object().unwrap().clone();
        let opened = payload(serde_json::json!({
            "title": "A case", "definition_digest": "00", "originally_recorded_at": "2020-01-01T00:00:00Z"
        }));
        assert_eq!(event(&definition, "case-opened").payload_problems(&opened), []);
        let closed = payload(serde_json::json!({ "definition_digest": "00" }));
        assert_ne!(event(&definition, "case-closed").payload_problems(&closed), []);
        let closed = payload(serde_json::json!({ "originally_recorded_at": 5 }));
        assert_eq!(event(&definition, "case-closed").payload_problems(&closed).len(), 1);
    }

    #[test]
    fn formatting_comments_and_order_do_not_change_the_digest() {
        let definition = sample();
        let again = from_canonical(&definition.canonical).unwrap();
        assert_eq!((again.digest, &again.canonical), (definition.digest, &definition.canonical));
        assert_eq!(format!("{:?}", again.events), format!("{:?}", definition.events));
        assert_eq!(format!("{:?}", again.derived), format!("{:?}", definition.derived));
        for (again, strand) in again.strands.iter().zip(&definition.strands) {
            let rows = |strand: &Strand| {
                format!("{:?}", strand.rows.iter().collect::<std::collections::BTreeMap<_, _>>())
            };
            assert_eq!(rows(again), rows(strand));
            assert_eq!(format!("{:?}", again.initial), format!("{:?}", strand.initial));
        }
        let pretty = serde_json::to_string_pretty(
            &serde_json::from_str::<serde_json::Value>(&definition.canonical).unwrap(),
        );
        assert_eq!(compiled(&pretty.unwrap()).digest, definition.digest, "JSON is accepted too");
        let moved = SAMPLE
            .replace("title: A sample\n", "# a comment\n\n")
            .replace("vocabulary:", "title: \"A sample\"\nvocabulary:");
        assert_eq!(compiled(&moved).digest, definition.digest);
        let other = SAMPLE.replace("title: A sample", "title: Another sample");
        assert_ne!(compiled(&other).digest, definition.digest);
    }

    const HEAD: &str = "workflow: w\nversion: 1\nlanguage: casebook/1\n";

    #[test]
    fn the_cut_into_files_does_not_change_the_digest() {
        let whole = format!(
            "{HEAD}events:\n  a-done: {{ part: first }}\n  b-done: {{ part: second }}\nalways-accepted: [a-done, b-done]\n"
        );
        let cut = [
            file("dir/definition.yaml", &format!("{HEAD}parts: [first.yaml, other.yaml]\n")),
            file("dir/other.yaml", "part: second\nevents: { b-done: }\nalways-accepted: b-done\n"),
            file("dir/first.yaml", "events: { a-done: {} }\nalways-accepted: [a-done]\n"),
        ];
        let cut = compile(&cut).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
        assert_eq!(compiled(&whole).digest, cut.digest);
        assert_eq!(event(&cut, "b-done").part, "second");
    }

    #[track_caller]
    fn check_parts(files: &[(&str, &str)], expected: &[(&str, &str, usize, usize)]) {
        let files: Vec<SourceFile> = files.iter().map(|(name, text)| file(name, text)).collect();
        let problems = compile(&files).err().unwrap_or_default();
        let found: Vec<_> = problems.iter().map(|p| (p.code, p.file.as_str(), p.line, p.column)).collect();
        assert_eq!(found, expected, "\n{}", shown(&problems));
    }

    #[test]
    fn parts_are_checked_against_the_files_given() {
        let head = format!("{HEAD}parts: [a.yaml]\n");
        check_parts(&[("d.yaml", &head)], &[("missing-part", "d.yaml", 4, 9)]);
        check_parts(&[("d.yaml", HEAD), ("a.yaml", "{}")], &[("unlisted-part", "a.yaml", 1, 1)]);
        check_parts(&[("d.yaml", &head), ("a.yaml", "title: x")], &[("unknown-key", "a.yaml", 1, 1)]);
        let twice = format!("{head}roles: {{ r: }}\n");
        check_parts(
            &[("d.yaml", &twice), ("a.yaml", "roles: { r: }")],
            &[("duplicate-name", "a.yaml", 1, 10)],
        );
        check_parts(&[], &[("missing-part", "", 1, 1)]);
    }

    /// The sample with a piece replaced: exactly one problem, at that place.
    #[track_caller]
    fn check(from: &str, to: &str, code: &str, at: &str, help: &str) {
        assert!(SAMPLE.contains(from), "the sample has no `{from}`");
        let text = SAMPLE.replacen(from, to, 1);
        let problems = compile(&[file("definition.yaml", &text)]).err().unwrap_or_default();
        let found: Vec<&str> = problems.iter().map(|problem| problem.code).collect();
        assert_eq!(found, [code], "\n{}", shown(&problems));
        let problem = &problems[0];
        let line = text.lines().nth(problem.line - 1).unwrap_or_default();
        let rest: String = line.chars().skip(problem.column - 1).collect();
        assert!(rest.starts_with(at), "points at `{rest}`\n{}", problem.snippet);
        assert!(problem.help.as_deref().unwrap_or_default().contains(help), "{:?}", problem.help);
        assert!(problem.snippet.contains(&format!("error[{code}]")), "{}", problem.snippet);
    }

    #[test]
    fn names_that_do_not_exist_are_pointed_at() {
        check("parent: subject", "parent: subjet", "unknown-name", "subjet", "`subject`");
        check("on: case-closed", "on: case-close", "unknown-name", "case-close,", "`case-closed`");
        check("record: [caseworker]", "record: [casworker]", "unknown-role", "casworker", "`caseworker`");
        check("to: closed", "to: clsed", "not-a-state", "clsed", "`closed`");
        check("case: closed }, accept", "case: open-ed }, accept", "not-a-state", "open-ed", "`open`");
        check("{ case: closed }, accept", "{ cas: closed }, accept", "unknown-name", "cas", "`case`");
        check("protect: [address]", "protect: [adress]", "unknown-name", "adress", "`address`");
        check("class: logical", "class: logic", "unknown-name", "logic", "`logical`");
        check("Europe/London", "Europe/Londn", "unknown-name", "Europe/Londn", "IANA");
        check(
            "accept: [appeal-determined]",
            "accept: [appeal-decided]",
            "unknown-name",
            "appeal-decided",
            "",
        );
        check(
            "pinned-by: sentence-passed",
            "pinned-by: sentence-pased",
            "unknown-name",
            "sentence-pased",
            "",
        );
        check(
            "set-by: appeal-lodged",
            "set-by: appeal-loged",
            "unknown-name",
            "appeal-loged",
            "`appeal-lodged`",
        );
        check("where: { plea:", "where: { please:", "unknown-name", "please", "`plea`");
    }

    #[test]
    fn shapes_that_do_not_fit_are_pointed_at() {
        check("record: caseworker", "recrd: caseworker", "unknown-key", "recrd", "`record`");
        check(
            "title: \"Convicted, awaiting sentence\"",
            "title: Convicted, awaiting sentence",
            "unknown-key",
            "awaiting",
            "quotes",
        );
        check(
            "        message: \"the sentence came first\"\n",
            "",
            "missing-key",
            "id: sentence-comes-later",
            "",
        );
        check("version: 1", "version: one", "wrong-shape", "one", "");
        check("casebook/1", "casebook/2", "unknown-language", "casebook/2", "casebook/1");
        check("  note-made: {}", "  Note_made: {}\n  note-made:", "bad-name", "Note_made", "hyphens");
        check("title: A sample", "title: 2020", "wrong-shape", "2020", "quotes");
        check("rationale: required", "rationale: needed", "wrong-shape", "needed", "");
        check("    initial: open\n", "", "missing-key", "states: { open", "");
        check("from: 2020-12-01", "from: 2020-12-32", "wrong-shape", "2020-12-32", "");
        check("        pinned-by: sentence-passed\n", "", "missing-key", "2020-12-01", "event type");
        check(
            "  charge: { intro",
            "  case: { introduced-by: case-opened }\n  charge: { intro",
            "bad-name",
            "case",
            "",
        );
    }

    #[test]
    fn names_defined_twice_are_pointed_at() {
        check("  note-made: {}", "  note-made: {}\n  note-made: {}", "duplicate-name", "note-made", "");
        let second = "  second: { states: { a: }, initial: a, overlays: { held: { set-by: note-made } } }";
        let first = "    overlays: { held: { set-by: note-made } }\n    states: { open";
        check(
            "strands:\n  case:\n    states: { open",
            &format!("strands:\n{second}\n  case:\n{first}"),
            "duplicate-name",
            "held",
            "another name",
        );
        check(
            "id: sentence-comes-later",
            "id: sentence-needs-conviction",
            "duplicate-name",
            "sentence-needs",
            "",
        );
        check(
            "  charge: { introduced",
            "  charge: { plural: subjects, introduced",
            "duplicate-name",
            "su",
            "plural",
        );
        check(
            "  criminal:\n    per: subject\n    states:",
            "  criminal:\n    per: subject\n    states:\n      - sentenced: false",
            "duplicate-name",
            "sentenced: {",
            "",
        );
    }

    #[test]
    fn rows_that_leave_a_choice_or_a_gap_are_pointed_at() {
        check(
            "{ on: charge-authorised, from: any }",
            "{ on: charge-authorised, from: any }\n      - { on: [charge-authorised], from: [sent] }",
            "ambiguous-transition",
            "sent]",
            "choose",
        );
        check("          - { to: sent }\n", "", "uncovered-value", "on: plea-entered", "without `where`");
        check("plea: [guilty] }", "plea: [guity] }", "not-in-enumeration", "guity", "`guilty`");
        check("where: { plea: [guilty]", "where: { counts: [many]", "type-mismatch", "many", "");
        check(
            "observes: [subject-died]",
            "observes: [subject-died, note-made]",
            "observes-nothing",
            "note-made",
            "",
        );
        check("observes: [subject-died]", "observes: []", "never-about", "subject-died,", "scope");
    }

    #[test]
    fn entities_that_cannot_be_are_pointed_at() {
        check(
            "subject: { introduced-by: subject-identified }",
            "subject: {}",
            "nothing-introduces",
            "subject",
            "introduced-by",
        );
        check(
            "subject: { introduced-by: subject-identified }",
            "subject: { introduced-by: subject-identified, parent: subject }",
            "parent-cycle",
            "subject }",
            "",
        );
        check("  note-made: {}", "  note-made: { amends: [charge] }", "never-about", "charge", "scope");
    }

    #[test]
    fn schemas_that_are_none_are_pointed_at() {
        check(
            "data: { properties: { title: { type: string } } }",
            "data: { propertis: {} }",
            "bad-schema",
            "{ propertis",
            "",
        );
        check("  note-made: {}", "  note-made: {}\n  breach-noted: { data: {} }", "bad-schema", "{} }", "");
    }

    #[test]
    fn too_many_kinds_are_refused() {
        let kinds: String =
            (0..102).map(|at| format!("  k{at}: {{ introduced-by: case-opened }}\n")).collect();
        let text = format!("{HEAD}entities:\n{kinds}");
        let problems = compile(&[file("d.yaml", &text)]).err().unwrap_or_default();
        let found: Vec<_> = problems.iter().map(|problem| (problem.code, problem.line)).collect();
        assert_eq!(found, [("too-many", 103)]);
    }

    #[test]
    fn strands_that_are_computed_from_themselves_are_pointed_at() {
        let own = "- not-engaged: subject.state('criminal') == 'sentenced'";
        check("- not-engaged: true", own, "derived-cycle", "criminal", "");
    }

    #[test]
    fn conditions_are_checked_at_their_place() {
        let rule = "charge.state('charge') == 'convicted' && charge.happened('plea-entered')";
        let check_rule = |to: &str, code: &str, at: &str, help: &str| check(rule, to, code, at, help);
        check_rule("charge.state('charge') == 'convict'", "not-a-state", "'convict'", "`convicted`");
        check_rule("charge.state('charg') == 'convicted'", "unknown-name", "'charg'", "`charge`");
        check_rule("charge.state('case') == 'open'", "unknown-name", "'case'", "");
        check_rule("event.data.disposal == 'fines'", "not-in-enumeration", "'fines'", "`fine`");
        check_rule("event.data.disposl == 'fine'", "unknown-name", "disposl", "`disposal`");
        check_rule("event.data.months > 3", "optional-without-has", "event.data.months", "has");
        check_rule("event.data.disposal == 3", "type-mismatch", "event.data", "");
        check_rule("charge.happened('plea-enterd')", "unknown-name", "'plea-enterd'", "`plea-entered`");
        check_rule("charge.happened('subject-died')", "never-about", "'subject-died'", "subject");
        check_rule("event.recorded_by.role == 'casworker'", "unknown-role", "'casworker'", "`caseworker`");
        check_rule("event.decided_by.body == 'cort'", "not-in-enumeration", "'cort'", "`court`");
        check_rule("charge.overlay('appeal')", "unknown-name", "'appeal'", "");
        check_rule("charge.size() == 1", "bad-condition", "size", "");
        check_rule("event.data.months + 1 == 3", "bad-condition", "+", "");
        check_rule("charge.id", "type-mismatch", "charge.id", "compare");
        check_rule("charge.id == 'it' 's'", "bad-condition", "'s'", "");
        check("{charge.id} of", "{charge.ids} of", "unknown-name", "ids", "`id`");
        check(
            "{charge.id} of {subject.id} is {charge.state('charge')}",
            "{charge.id",
            "bad-message",
            "{charge.id",
            "}",
        );
        check("{subject.id} is", "{subject.id is", "bad-condition", "is {", "");
        check_rule("event.data.disposal == null", "type-mismatch", "event.data", "has");
        check_rule(
            "(('sent' in [charge.state('charge')]))",
            "type-mismatch",
            "charge.state",
            "list of names",
        );
        check_rule("charge.id == 'C1'\n          && charge.happened('pleas')", "unknown-name", "'pleas'", "");
        check("{subject.id}", "{subject.charges}", "type-mismatch", "subject.charges", "exists");
    }

    #[test]
    fn all_problems_are_found_at_once() {
        let text = SAMPLE
            .replace("on: case-closed", "on: case-close")
            .replace("to: closed", "to: clsed")
            .replace("charge.happened('plea-entered')", "charge.happened('pleas')");
        let problems = compile(&[file("definition.yaml", &text)]).err().unwrap_or_default();
        let found: Vec<&str> = problems.iter().map(|problem| problem.code).collect();
        assert_eq!(found, ["unknown-name", "unknown-name", "not-a-state"], "{}", shown(&problems));
        assert!(problems.is_sorted_by_key(|problem| problem.line));
    }

    #[test]
    fn a_snippet_shows_the_line_and_the_help() {
        let text = SAMPLE.replace("to: closed", "to: clsed");
        let problems = compile(&[file("definition.yaml", &text)]).err().unwrap_or_default();
        let expected = "error[not-a-state]: `clsed` is no state of `case`
  --> definition.yaml:70:44
   |
70 |       - { on: case-closed, from: open, to: clsed }
   |                                            ^^^^^
   |
   = help: did you mean `closed`?";
        assert_eq!(problems[0].snippet, expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_is_written_is_answered(text in "\\PC{0,200}") {
            let _ = compile(&[file("x.yaml", &text)]);
            let _ = from_canonical(&text);
        }

        #[test]
        fn whatever_looks_like_a_rule_is_answered(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "event", ".", "data", "charge", "subject", "charges", "exists", "all", "(", ")", "c", ",", "==",
                    "<", "!", "'convicted'", "&&", "||", "has", "size", "last", "'plea-entered'", "state", "'charge'",
                    "plea", "[", "]", "in", "date", "'2020-01-01'", "1", "null", "id", "occurred", "é", "'",
                ]),
                0..30,
            )
        ) {
            let rule = pieces.concat().replace('\'', "''");
            let text = SAMPLE.replace("charge.state('charge') == 'convicted' && charge.happened('plea-entered')", &format!("'{rule}'"));
            let _ = compile(&[file("x.yaml", &text)]);
        }

        #[test]
        fn a_sample_with_a_hole_is_answered(at in 0..SAMPLE.len(), length in 0usize..40, put in "[ a-z{}:,\\[\\]'\"\n#&*!|>.-]{0,6}") {
            let mut text = SAMPLE.to_owned();
            let end = (at + length).min(text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(end) {
                text.replace_range(at..end, &put);
            }
            let _ = compile(&[file("x.yaml", &text)]);
        }
    }

    #[test]
    fn hostile_definitions_end_quickly_with_a_problem() {
        let events: String = (0..1000).map(|at| format!("  e{at}: {{}}\n")).collect();
        let states: String = (0..1000).map(|at| format!("s{at}: {{}}, ")).collect();
        let machine = |rows: &str| {
            let states = format!("states: {{ {states} }}\n    initial: s0\n    transitions:\n{rows}");
            format!("{HEAD}events:\n{events}strands:\n  s:\n    {states}")
        };
        let unknown =
            (0..2000).map(|at| format!("      - {{ on: x{at}, from: [y{at}, z{at}], to: q{at} }}\n"));
        let rows: String = (0..1000).map(|at| format!("      - {{ on: e{at}, from: any }}\n")).collect();
        let rules = |require: &str| {
            let rule = |at: usize| {
                format!("      - {{ id: r{at}, class: logical, message: m, require: \"{require}\" }}\n")
            };
            let rules: String = (0..500).map(rule).collect();
            format!("{HEAD}events:\n  f:\n    rules:\n{rules}")
        };
        for text in [
            machine(&"      - { on: e1, from: any }\n".repeat(500)),
            machine(&unknown.collect::<String>()),
            machine(&rows),
            rules(&"event.data.f == 3 && ".repeat(300)),
            rules(&"case.a.exists(x, ".repeat(400)),
        ] {
            assert!(compile(&[file("x.yaml", &text)]).is_err(), "{}", text.len());
        }
    }
}
