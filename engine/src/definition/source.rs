//! The shape of a definition as people write it.
//!
//! Every name keeps its place, so that whatever is found wrong with it later points at the line.

use serde_json::Value;

use super::RuleClass;
use super::calendar::{Calendar, calendar};
use super::fields::{Fields, NAMES_MAX, condition, fields, kebab_case, list, named, names, spoken, text};
use super::problem::Problems;
use super::syntax::{Node, Place, Placed, Shape, Text};

/// One file of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its name as shown in problems.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// The language that this engine reads.
pub const LANGUAGE: &str = "casebook/1";
/// The most kinds of entity.
const KINDS_MAX: usize = 100;

/// A whole definition, parts merged.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) title: String,
    pub(crate) about: Option<String>,
    pub(crate) timezone: String,
    pub(crate) roles: Vec<RoleSource>,
    pub(crate) separate_duties: Vec<Vec<Text>>,
    pub(crate) entities: Vec<EntitySource>,
    pub(crate) events: Vec<EventSource>,
    pub(crate) strands: Vec<StrandSource>,
    pub(crate) derived: Vec<DerivedSource>,
    /// `None`: something is wrong with it, and was said.
    pub(crate) calendars: Vec<(Text, Option<Calendar>)>,
    /// As written: they are read where they are resolved.
    pub(crate) deadlines: Vec<(Text, Node)>,
    pub(crate) always_accepted: Vec<Text>,
    pub(crate) after_closing: Option<AfterClosingSource>,
    pub(crate) migrates_from: Vec<MigrationSource>,
    pub(crate) vocabulary: Vec<(String, Vec<(String, String)>)>,
}

#[derive(Debug)]
pub(crate) struct RoleSource {
    pub(crate) name: Text,
    pub(crate) title: String,
    pub(crate) may_override: bool,
}

#[derive(Debug)]
pub(crate) struct EntitySource {
    pub(crate) name: Text,
    pub(crate) title: String,
    pub(crate) plural: Text,
    pub(crate) introduced_by: Vec<Text>,
    pub(crate) parent: Option<Text>,
}

#[derive(Debug)]
pub(crate) struct EventSource {
    pub(crate) name: Text,
    pub(crate) title: String,
    pub(crate) part: Option<String>,
    pub(crate) scope: Vec<Text>,
    pub(crate) optional_scope: Vec<Text>,
    pub(crate) introduces_or_mentions: Vec<Text>,
    pub(crate) record: Vec<Text>,
    pub(crate) decide: Vec<Text>,
    pub(crate) rationale_required: bool,
    pub(crate) gap: bool,
    pub(crate) unsought: bool,
    pub(crate) amends: Vec<Text>,
    pub(crate) protect: Vec<Text>,
    pub(crate) basis: Option<String>,
    pub(crate) data: Option<Node>,
    pub(crate) rules: Vec<RuleSource>,
}

#[derive(Debug)]
pub(crate) struct RuleSource {
    pub(crate) id: Text,
    pub(crate) class: RuleClass,
    pub(crate) when: Option<Text>,
    pub(crate) require: Text,
    pub(crate) message: Text,
    pub(crate) basis: Option<String>,
    pub(crate) from: Option<Text>,
    pub(crate) until: Option<Text>,
    pub(crate) pinned_by: Option<Text>,
}

#[derive(Debug)]
pub(crate) struct StateSource {
    pub(crate) name: Text,
    pub(crate) title: String,
    pub(crate) is_final: bool,
}

#[derive(Debug)]
pub(crate) struct StrandSource {
    pub(crate) name: Text,
    pub(crate) title: String,
    pub(crate) per: Option<Text>,
    pub(crate) states: Vec<StateSource>,
    pub(crate) initial: Vec<InitialSource>,
    pub(crate) observes: Vec<Text>,
    pub(crate) transitions: Vec<RowSource>,
    pub(crate) overlays: Vec<OverlaySource>,
}

#[derive(Debug)]
pub(crate) struct InitialSource {
    pub(crate) on: Vec<Text>,
    pub(crate) branches: Vec<BranchSource>,
    pub(crate) place: Place,
}

#[derive(Debug)]
pub(crate) struct RowSource {
    pub(crate) on: Vec<Text>,
    pub(crate) from: Vec<Text>,
    pub(crate) branches: Vec<BranchSource>,
    pub(crate) place: Place,
}

#[derive(Debug)]
pub(crate) struct BranchSource {
    pub(crate) matches: Vec<(Text, Vec<Placed<Value>>)>,
    pub(crate) to: Option<Text>,
}

#[derive(Debug)]
pub(crate) struct OverlaySource {
    pub(crate) name: Text,
    pub(crate) title: String,
    pub(crate) set_by: Vec<Text>,
    pub(crate) cleared_by: Vec<Text>,
}

#[derive(Debug)]
pub(crate) struct DerivedSource {
    pub(crate) name: Text,
    pub(crate) title: String,
    pub(crate) per: Option<Text>,
    pub(crate) states: Vec<(StateSource, Text)>,
}

#[derive(Debug)]
pub(crate) struct AfterClosingSource {
    pub(crate) strand: Text,
    pub(crate) state: Text,
    pub(crate) accept: Vec<Text>,
}

/// An earlier version and what its states become.
#[derive(Debug)]
pub(crate) struct MigrationSource {
    pub(crate) version: u32,
    /// Strand, then earlier state and the state that it becomes.
    pub(crate) strands: Vec<(Text, Vec<(Text, Text)>)>,
}

/// Keys of the head, beside those of [`PART_KEYS`].
pub(crate) const HEAD_KEYS: [&str; 11] = [
    "workflow",
    "version",
    "language",
    "title",
    "about",
    "timezone",
    "separate-duties",
    "parts",
    "after-closing",
    "migrates-from",
    "vocabulary",
];
/// Keys that every file may have, and that are merged.
pub(crate) const PART_KEYS: [&str; 9] = [
    "part",
    "roles",
    "calendars",
    "entities",
    "events",
    "strands",
    "derived",
    "deadlines",
    "always-accepted",
];

/// Reads the merged definition.
pub(crate) fn source(node: &Node, problems: &mut Problems<'_>) -> Source {
    let known: Vec<&str> = HEAD_KEYS.iter().chain(&PART_KEYS).copied().collect();
    let head = fields(node, "a definition", &known, problems);
    let name = head.required_text("workflow", problems);
    if let Some(name) = &name {
        kebab_case(name, problems);
    }
    let name = name.map_or_else(String::new, |name| name.value);
    language(&head, problems);
    let version = version(&head, problems);
    Source {
        version,
        migrates_from: migrations(&head, version, problems),
        title: head.title(&name, problems),
        about: head.text("about", problems).map(|about| about.value),
        timezone: timezone(&head, problems),
        roles: head.named("roles", problems).iter().map(|entry| role(entry, problems)).collect(),
        separate_duties: head.get("separate-duties").map_or_else(Vec::new, |node| {
            let sets = list(node, "separate-duties", problems);
            sets.iter().map(|set| names(set, "separate-duties", problems)).collect()
        }),
        entities: entities(&head, problems),
        events: head.named("events", problems).iter().map(|entry| event(entry, problems)).collect(),
        strands: head.named("strands", problems).iter().map(|entry| strand(entry, problems)).collect(),
        derived: head.named("derived", problems).iter().map(|entry| derived(entry, problems)).collect(),
        calendars: calendars(&head, problems),
        deadlines: head.named("deadlines", problems).to_vec(),
        always_accepted: head.names("always-accepted", problems),
        after_closing: head.get("after-closing").and_then(|node| after_closing(node, problems)),
        vocabulary: vocabulary(&head, problems),
        name,
    }
}

fn language(head: &Fields<'_>, problems: &mut Problems<'_>) {
    if let Some(language) = head.required_text("language", problems).filter(|text| text.value != LANGUAGE) {
        let message = format!("this engine does not read the language `{}`", language.value);
        problems.at("unknown-language", &language, message, Some(format!("write `language: {LANGUAGE}`")));
    }
}

fn version(head: &Fields<'_>, problems: &mut Problems<'_>) -> u32 {
    let Some(node) = head.required("version", problems) else { return 0 };
    let version = match &node.value {
        Shape::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        _ => None,
    };
    version.filter(|version| *version > 0).unwrap_or_else(|| {
        problems.add("wrong-shape", node.place, 1, "`version` is a whole number from 1", None);
        0
    })
}

fn timezone(head: &Fields<'_>, problems: &mut Problems<'_>) -> String {
    let Some(zone) = head.text("timezone", problems) else { return "UTC".to_owned() };
    if jiff::tz::TimeZone::get(&zone.value).is_err() {
        let help = Some("write an IANA name such as Europe/London".to_owned());
        problems.at("unknown-name", &zone, format!("`{}` is no time zone", zone.value.escape_debug()), help);
    }
    zone.value
}

fn calendars(head: &Fields<'_>, problems: &mut Problems<'_>) -> Vec<(Text, Option<Calendar>)> {
    let named = head.named("calendars", problems);
    named.iter().take(KINDS_MAX).map(|(name, node)| (name.clone(), calendar(name, node, problems))).collect()
}

fn role((name, node): &(Text, Node), problems: &mut Problems<'_>) -> RoleSource {
    let role = fields(node, "a role", &["title", "may-override"], problems);
    RoleSource {
        name: name.clone(),
        title: role.title(&name.value, problems),
        may_override: role.flag("may-override", problems),
    }
}

fn entities(head: &Fields<'_>, problems: &mut Problems<'_>) -> Vec<EntitySource> {
    let entities = head.named("entities", problems);
    if let Some((name, _)) = entities.get(KINDS_MAX) {
        problems.at("too-many", name, format!("a definition has at most {KINDS_MAX} kinds of entity"), None);
    }
    entities.iter().take(KINDS_MAX).map(|entry| entity(entry, problems)).collect()
}

fn entity((name, node): &(Text, Node), problems: &mut Problems<'_>) -> EntitySource {
    if matches!(name.value.as_str(), "case" | "event") {
        let message = format!("`{}` has a meaning of its own in conditions", name.value);
        problems.at("bad-name", name, message, Some("give the kind another name".to_owned()));
    }
    let entity = fields(node, "an entity", &["title", "plural", "introduced-by", "parent"], problems);
    let plural = entity.text("plural", problems);
    if let Some(plural) = &plural {
        kebab_case(plural, problems);
    }
    EntitySource {
        title: entity.title(&name.value, problems),
        plural: plural.unwrap_or_else(|| Placed { value: format!("{}s", name.value), place: name.place }),
        introduced_by: entity.names("introduced-by", problems),
        parent: entity.text("parent", problems),
        name: name.clone(),
    }
}

const EVENT_KEYS: [&str; 15] = [
    "title",
    "part",
    "scope",
    "optional-scope",
    "introduces-or-mentions",
    "record",
    "decide",
    "rationale",
    "gap",
    "unsought",
    "amends",
    "protect",
    "basis",
    "data",
    "rules",
];

fn event((name, node): &(Text, Node), problems: &mut Problems<'_>) -> EventSource {
    let event = fields(node, "an event type", &EVENT_KEYS, problems);
    let rationale = event.text("rationale", problems);
    if let Some(other) =
        rationale.as_ref().filter(|text| !matches!(text.value.as_str(), "required" | "optional"))
    {
        let message = format!("`rationale` is `required` or `optional`, not `{}`", other.value);
        problems.at("wrong-shape", other, message, None);
    }
    let rules = event.get("rules").map_or(&[] as &[Node], |node| list(node, "rules", problems));
    let data = event.get("data");
    if let Some(data) = data.filter(|data| !matches!(data.value, Shape::Map(_) | Shape::Null)) {
        problems.add("bad-schema", data.place, 1, "`data` is a JSON Schema: a map", None);
    }
    EventSource {
        title: event.title(&name.value, problems),
        part: event.text("part", problems).map(|part| part.value),
        scope: event.names("scope", problems),
        optional_scope: event.names("optional-scope", problems),
        introduces_or_mentions: event.names("introduces-or-mentions", problems),
        record: event.names("record", problems),
        decide: event.names("decide", problems),
        rationale_required: rationale.is_some_and(|text| text.value == "required"),
        gap: event.flag("gap", problems),
        unsought: event.flag("unsought", problems),
        amends: event.names("amends", problems),
        protect: event.names("protect", problems),
        basis: event.text("basis", problems).map(|basis| basis.value),
        data: data.filter(|data| matches!(data.value, Shape::Map(_))).cloned(),
        rules: rules.iter().filter_map(|node| rule(node, problems)).collect(),
        name: name.clone(),
    }
}

const RULE_KEYS: [&str; 9] =
    ["id", "class", "when", "require", "message", "basis", "from", "until", "pinned-by"];

fn rule(node: &Node, problems: &mut Problems<'_>) -> Option<RuleSource> {
    let rule = fields(node, "a rule", &RULE_KEYS, problems);
    let id = rule.required_text("id", problems);
    if let Some(id) = &id {
        kebab_case(id, problems);
    }
    let class = rule.required_text("class", problems).and_then(|class| rule_class(&class, problems));
    let require = rule.required("require", problems).and_then(|node| condition(node, "require", problems));
    let message = rule.required_text("message", problems);
    let when = rule.condition("when", problems);
    let basis = rule.text("basis", problems).map(|basis| basis.value);
    let (from, until) = (rule.text("from", problems), rule.text("until", problems));
    let pinned_by = rule.text("pinned-by", problems);
    Some(RuleSource {
        id: id?,
        class: class?,
        when,
        require: require?,
        message: message?,
        basis,
        from,
        until,
        pinned_by,
    })
}

fn rule_class(class: &Text, problems: &mut Problems<'_>) -> Option<RuleClass> {
    match class.value.as_str() {
        "logical" => Some(RuleClass::Logical),
        "authority" => Some(RuleClass::Authority),
        "compliance" => Some(RuleClass::Compliance),
        "gap" => Some(RuleClass::Gap),
        other => {
            let help = problems.suggestion(other, ["logical", "authority", "compliance", "gap"]);
            problems.at("unknown-name", class, format!("`{other}` is no class of rules"), help);
            None
        }
    }
}

const STRAND_KEYS: [&str; 7] = ["title", "per", "states", "initial", "observes", "transitions", "overlays"];

fn strand((name, node): &(Text, Node), problems: &mut Problems<'_>) -> StrandSource {
    let strand = fields(node, "a strand", &STRAND_KEYS, problems);
    let states = strand.named("states", problems);
    if states.is_empty() {
        problems.at("missing-key", name, "a strand needs `states`", None);
    }
    let rows = strand.get("transitions").map_or(&[] as &[Node], |node| list(node, "transitions", problems));
    let initial = strand.required("initial", problems);
    StrandSource {
        title: strand.title(&name.value, problems),
        per: per(&strand, problems),
        states: states.iter().map(|(name, node)| state(name, node, &["title", "final"], problems)).collect(),
        initial: initial.map(|node| initials(node, problems)).unwrap_or_default(),
        observes: strand.names("observes", problems),
        transitions: rows.iter().map(|node| row(node, problems)).collect(),
        overlays: strand.named("overlays", problems).iter().map(|entry| overlay(entry, problems)).collect(),
        name: name.clone(),
    }
}

/// Whose strand it is; `None` for the case.
fn per(strand: &Fields<'_>, problems: &mut Problems<'_>) -> Option<Text> {
    strand.text("per", problems).filter(|per| per.value != "case")
}

fn state(name: &Text, node: &Node, known: &[&str], problems: &mut Problems<'_>) -> StateSource {
    let state = fields(node, "a state", known, problems);
    StateSource {
        name: name.clone(),
        title: state.title(&name.value, problems),
        is_final: state.flag("final", problems),
    }
}

fn initials(node: &Node, problems: &mut Problems<'_>) -> Vec<InitialSource> {
    let place = node.place;
    match &node.value {
        Shape::Text(_) => {
            let to = text(node, "initial", problems);
            vec![InitialSource {
                on: Vec::new(),
                branches: vec![BranchSource { matches: Vec::new(), to }],
                place,
            }]
        }
        Shape::List(entries) => entries
            .iter()
            .flat_map(|entry| match entry.value {
                Shape::List(_) => {
                    problems.add("wrong-shape", entry.place, 1, "an entry of `initial` is a map", None);
                    Vec::new()
                }
                _ => initials(entry, problems),
            })
            .collect(),
        _ => {
            let entry = fields(node, "an entry of `initial`", &["on", "to", "choose"], problems);
            entry.required("on", problems);
            let on = entry.names("on", problems);
            let branches = branches(&entry, problems);
            if branches.iter().any(|branch| branch.to.is_none()) {
                let message = "a strand starts in a state: every branch of `initial` needs `to`";
                problems.add("missing-key", place, 1, message, None);
            }
            vec![InitialSource { on, branches, place }]
        }
    }
}

fn row(node: &Node, problems: &mut Problems<'_>) -> RowSource {
    let row = fields(node, "a transition", &["on", "from", "to", "choose"], problems);
    row.required("on", problems);
    row.required("from", problems);
    RowSource {
        on: row.names("on", problems),
        from: row.names("from", problems),
        branches: branches(&row, problems),
        place: node.place,
    }
}

/// `to`, or `choose`, or neither (the strand stays).
fn branches(row: &Fields<'_>, problems: &mut Problems<'_>) -> Vec<BranchSource> {
    let to = row.text("to", problems);
    let Some(choose) = row.get("choose") else { return vec![BranchSource { matches: Vec::new(), to }] };
    if let Some(to) = &to {
        problems.at("wrong-shape", to, "there is `to` or `choose`, not both", None);
    }
    let branches = list(choose, "choose", problems);
    if branches.is_empty() {
        problems.add("wrong-shape", choose.place, 1, "`choose` lists at least one branch", None);
    }
    branches.iter().map(|node| branch(node, problems)).collect()
}

fn branch(node: &Node, problems: &mut Problems<'_>) -> BranchSource {
    let branch = fields(node, "a branch", &["where", "to"], problems);
    BranchSource { matches: matches(&branch, problems), to: branch.text("to", problems) }
}

/// What `where` says: fields, and the constants one of which each must equal.
pub(super) fn matches(entry: &Fields<'_>, problems: &mut Problems<'_>) -> Vec<(Text, Vec<Placed<Value>>)> {
    let matches = match entry.get("where") {
        Some(Node { value: Shape::Map(entries), .. }) => entries.as_slice(),
        Some(node) => {
            let message = format!("`where` is a map from fields to constants, not {}", node.value.in_words());
            problems.add("wrong-shape", node.place, 1, message, None);
            &[]
        }
        None => &[],
    };
    matches.iter().map(|(field, node)| (field.clone(), constants(node, problems))).collect()
}

fn constants(node: &Node, problems: &mut Problems<'_>) -> Vec<Placed<Value>> {
    let items = match &node.value {
        Shape::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut constant = |item: &Node| match item.value {
        Shape::List(_) | Shape::Map(_) | Shape::Null => {
            let message = format!("`where` compares with constants, not with {}", item.value.in_words());
            problems.add("wrong-shape", item.place, 1, message, None);
            None
        }
        _ => Some(Placed { value: item.to_json(), place: item.place }),
    };
    items.iter().filter_map(&mut constant).collect()
}

fn overlay((name, node): &(Text, Node), problems: &mut Problems<'_>) -> OverlaySource {
    let overlay = fields(node, "an overlay", &["title", "set-by", "cleared-by"], problems);
    overlay.required("set-by", problems);
    OverlaySource {
        name: name.clone(),
        title: overlay.title(&name.value, problems),
        set_by: overlay.names("set-by", problems),
        cleared_by: overlay.names("cleared-by", problems),
    }
}

fn derived((name, node): &(Text, Node), problems: &mut Problems<'_>) -> DerivedSource {
    let strand = fields(node, "a derived strand", &["title", "per", "states"], problems);
    let states =
        strand.required("states", problems).map_or(&[] as &[Node], |node| list(node, "states", problems));
    if states.len() > NAMES_MAX {
        problems.at("too-many", name, format!("`states` lists more than {NAMES_MAX}"), None);
    }
    let states = states.iter().take(NAMES_MAX).filter_map(|node| derived_state(node, problems)).collect();
    DerivedSource {
        title: strand.title(&name.value, problems),
        per: per(&strand, problems),
        states,
        name: name.clone(),
    }
}

/// `state: condition` or `state: { title, final, when }`.
fn derived_state(node: &Node, problems: &mut Problems<'_>) -> Option<(StateSource, Text)> {
    let Shape::Map(entries) = &node.value else {
        let message =
            format!("a derived state is written `state: condition`, not as {}", node.value.in_words());
        problems.add("wrong-shape", node.place, 1, message, None);
        return None;
    };
    let [(name, node)] = entries.as_slice() else {
        problems.add("wrong-shape", node.place, 1, "a derived state is one name and its condition", None);
        return None;
    };
    kebab_case(name, problems);
    if matches!(node.value, Shape::Map(_)) {
        let source = state(name, node, &["title", "final", "when"], problems);
        let entry = fields(node, "a derived state", &["title", "final", "when"], &mut Problems::new(&[]));
        let when = entry.required("when", problems).and_then(|node| condition(node, "when", problems))?;
        return Some((source, when));
    }
    let when = condition(node, "when", problems)?;
    Some((StateSource { name: name.clone(), title: spoken(&name.value), is_final: false }, when))
}

fn after_closing(node: &Node, problems: &mut Problems<'_>) -> Option<AfterClosingSource> {
    let after = fields(node, "`after-closing`", &["state", "accept"], problems);
    let accept = after.names("accept", problems);
    let state = after.required("state", problems)?;
    match &state.value {
        Shape::Map(entries) if entries.len() == 1 => {
            let (strand, state) = entries.first()?;
            Some(AfterClosingSource {
                strand: strand.clone(),
                state: text(state, "state", problems)?,
                accept,
            })
        }
        _ => {
            let help = Some("write `state: { case: closed }`".to_owned());
            problems.add(
                "wrong-shape",
                state.place,
                1,
                "`state` names one strand and its closed state",
                help,
            );
            None
        }
    }
}

/// `migrates-from: { "1": { strands: { charge: { old-state: new-state } } } }`
fn migrations(head: &Fields<'_>, version: u32, problems: &mut Problems<'_>) -> Vec<MigrationSource> {
    let entries = match head.get("migrates-from") {
        None | Some(Node { value: Shape::Null, .. }) => return Vec::new(),
        Some(Node { value: Shape::Map(entries), .. }) => entries,
        Some(node) => {
            let message = "`migrates-from` is a map from earlier versions to what their states become";
            problems.add("wrong-shape", node.place, 1, message, None);
            return Vec::new();
        }
    };
    let mut migrations = Vec::new();
    for (name, node) in entries {
        let earlier =
            name.value.parse().ok().filter(|number: &u32| *number > 0 && number.to_string() == name.value);
        let Some(earlier) = earlier.filter(|earlier| version == 0 || *earlier < version) else {
            let message =
                format!("`{}` is no earlier version: this is version {version}", name.value.escape_debug());
            problems.at(
                "wrong-shape",
                name,
                message,
                Some("write a version below it, such as \"1\"".to_owned()),
            );
            continue;
        };
        let migration = fields(node, "a migration", &["strands"], problems);
        let strands = migration.named("strands", problems).iter().map(|(strand, node)| {
            let states = named(node, "strands", problems)
                .iter()
                .filter_map(|(from, to)| Some((from.clone(), text(to, &from.value, problems)?)));
            (strand.clone(), states.collect())
        });
        migrations.push(MigrationSource { version: earlier, strands: strands.collect() });
    }
    migrations
}

fn vocabulary(head: &Fields<'_>, problems: &mut Problems<'_>) -> Vec<(String, Vec<(String, String)>)> {
    let languages = match head.get("vocabulary") {
        Some(Node { value: Shape::Map(entries), .. }) => entries.as_slice(),
        Some(node) => {
            let message = "`vocabulary` is a map from languages to labels";
            problems.add("wrong-shape", node.place, 1, message, None);
            &[]
        }
        None => &[],
    };
    let mut vocabulary = Vec::new();
    for (language, node) in languages {
        let labels = match &node.value {
            Shape::Map(entries) => entries.as_slice(),
            _ => {
                problems.at("wrong-shape", language, "a language has a map from names to labels", None);
                &[]
            }
        };
        let labels = labels
            .iter()
            .filter_map(|(name, node)| Some((name.value.clone(), text(node, &name.value, problems)?.value)));
        vocabulary.push((language.value.clone(), labels.collect()));
    }
    vocabulary
}
