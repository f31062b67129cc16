//! Mapping files, read against a definition: every name is checked, and all problems are said at once.

use std::collections::HashMap;

use serde_json::Value;

use super::mapping::{
    ACTIVITY_KEY, ActivityMapping, Conversion, FieldMapping, From, LIFECYCLE_KEY, MAP_LANGUAGE, Mapping,
    Meaning, RecordedBy, TIME_KEY, field_of,
};
use crate::case::event::engine_types;
use crate::definition::fields::{Fields, fields, list, names, text};
use crate::definition::problem::{Problem, Problems};
use crate::definition::schema::{Field, FieldKind};
use crate::definition::source::SourceFile;
use crate::definition::syntax::{self, Node, Shape, Text};
use crate::definition::{Definition, EventType};

/// Reads a mapping file against a definition.
///
/// # Errors
/// Every problem of the file, in order of its lines.
pub fn read_mapping(file: &SourceFile, definition: &Definition) -> Result<Mapping, Vec<Problem>> {
    let files = std::slice::from_ref(file);
    let mut problems = Problems::new(files);
    let node = syntax::read(0, &file.text, &mut problems);
    if let Some(node) = node.as_ref().filter(|node| !matches!(node.value, Shape::Map(_))) {
        let message = format!("a mapping is a map, not {}", node.value.in_words());
        problems.add(
            "wrong-shape",
            node.place,
            1,
            message,
            Some(format!("it begins with `map: {MAP_LANGUAGE}`")),
        );
        return Err(problems.into_sorted());
    }
    let mapping = node.map(|node| Reading { definition, problems: &mut problems }.mapping(&node));
    match mapping {
        Some(mapping) if problems.is_empty() => Ok(mapping),
        _ => Err(problems.into_sorted()),
    }
}

/// The keys of a mapping file.
pub(crate) const MAP_KEYS: [&str; 11] = [
    "map",
    "timezone",
    "dates",
    "activity",
    "lifecycle",
    "time",
    "case",
    "recorded-by",
    "activities",
    "ignore",
    "unmapped",
];
pub(crate) const CASE_KEYS: [&str; 3] = ["reference", "prefix", "data"];
pub(crate) const RECORDED_BY_KEYS: [&str; 3] = ["id", "otherwise", "role"];
pub(crate) const ACTIVITY_KEYS: [&str; 9] =
    ["activity", "lifecycle", "event", "scope", "data", "recorded-by", "decided-by", "rationale", "override"];
pub(crate) const VALUE_KEYS: [&str; 5] = ["attribute", "trace", "value", "as", "values"];

/// What a plain text stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plain {
    Attribute,
    Constant,
}

struct Reading<'d, 'p, 'f> {
    definition: &'d Definition,
    problems: &'p mut Problems<'f>,
}

impl Reading<'_, '_, '_> {
    fn mapping(&mut self, node: &Node) -> Mapping {
        let head = fields(node, "a mapping", &MAP_KEYS, self.problems);
        self.language(&head);
        let key = |name: &str, default: &str, problems: &mut Problems<'_>| {
            head.text(name, problems).map_or_else(|| default.to_owned(), |text| text.value)
        };
        let activity_key = key("activity", ACTIVITY_KEY, self.problems);
        let lifecycle_key = key("lifecycle", LIFECYCLE_KEY, self.problems);
        let time_key = key("time", TIME_KEY, self.problems);
        let with_time = self.one_of(&head, "dates", ["instant", "day"]) == 0;
        let leaves_out_unmapped = self.one_of(&head, "unmapped", ["refuse", "leave-out"]) == 1;
        let (reference_key, prefix, case_data) = self.case(&head);
        let recorded_by = match head.required("recorded-by", self.problems) {
            Some(node) => self.recorded_by(node),
            None => Mapping::by_name("UTC").recorded_by,
        };
        let mut places = HashMap::new();
        let mut activities = Vec::new();
        if let Some(node) = head.required("activities", self.problems) {
            for entry in list(node, "activities", self.problems) {
                self.activity(entry, &mut activities, &mut places);
            }
        }
        for entry in head.get("ignore").map_or(&[][..], |node| list(node, "ignore", self.problems)) {
            self.ignored(entry, &mut places);
        }
        Mapping {
            zone: self.zone(&head),
            with_time,
            activity_key,
            lifecycle_key,
            time_key,
            reference_key,
            prefix,
            case_data,
            recorded_by,
            activities,
            leaves_out_unmapped,
            is_by_name: false,
            places,
        }
    }

    fn language(&mut self, head: &Fields<'_>) {
        let language = head.required_text("map", self.problems);
        if let Some(language) = language.filter(|text| text.value != MAP_LANGUAGE) {
            let message = format!("`{}` is no language of mappings", language.value.escape_debug());
            self.problems.at(
                "unknown-language",
                &language,
                message,
                Some(format!("write `map: {MAP_LANGUAGE}`")),
            );
        }
    }

    fn zone(&mut self, head: &Fields<'_>) -> String {
        let Some(zone) = head.text("timezone", self.problems) else {
            return self.definition.timezone.clone();
        };
        if jiff::tz::TimeZone::get(&zone.value).is_err() {
            let message = format!("`{}` is no time zone", zone.value.escape_debug());
            self.problems.at(
                "unknown-name",
                &zone,
                message,
                Some("write an IANA name such as Europe/London".to_owned()),
            );
        }
        zone.value
    }

    /// Which of two words stands there; the first is the default.
    fn one_of(&mut self, head: &Fields<'_>, key: &str, words: [&str; 2]) -> usize {
        let Some(word) = head.text(key, self.problems) else { return 0 };
        words.iter().position(|known| *known == word.value).unwrap_or_else(|| {
            let message =
                format!("`{key}` is `{}` or `{}`, not `{}`", words[0], words[1], word.value.escape_debug());
            self.problems.at("wrong-shape", &word, message, None);
            0
        })
    }

    fn case(&mut self, head: &Fields<'_>) -> (String, String, Vec<FieldMapping>) {
        let Some(node) = head.get("case") else {
            return (ACTIVITY_KEY.to_owned(), String::new(), Vec::new());
        };
        let case = fields(node, "`case`", &CASE_KEYS, self.problems);
        let reference = case.text("reference", self.problems);
        let prefix = case.text("prefix", self.problems).map(|text| text.value).unwrap_or_default();
        let opened =
            self.definition.event(engine_types::CASE_OPENED).map(|id| self.definition.event_type(id));
        let mut data = match (case.get("data"), opened) {
            (Some(node), Some(opened)) => self.payload(node, opened),
            _ => Vec::new(),
        };
        // Of a case, a plain text names an attribute of the trace: there is no event yet.
        for field in &mut data {
            if let From::Event(key) = &field.from {
                field.from = From::Trace(key.clone());
            }
        }
        (reference.map_or_else(|| ACTIVITY_KEY.to_owned(), |text| text.value), prefix, data)
    }

    fn recorded_by(&mut self, node: &Node) -> RecordedBy {
        let by = fields(node, "`recorded-by`", &RECORDED_BY_KEYS, self.problems);
        let id = by.get("id").and_then(|node| self.value("id", node, Plain::Attribute, None));
        let otherwise = by.text("otherwise", self.problems).map(|text| text.value);
        if id.is_none() && otherwise.is_none() {
            let help = "name the attribute under `id`, or one id for all under `otherwise`";
            self.problems.add(
                "missing-key",
                node.place,
                1,
                "`recorded-by` needs `id` or `otherwise`",
                Some(help.to_owned()),
            );
        }
        let role = by.required("role", self.problems).and_then(|node| {
            let role = self.value("role", node, Plain::Constant, None);
            for (name, place) in constants(role.as_ref(), node) {
                if self.definition.role(&name).is_none() {
                    let known = self.definition.roles.iter().map(|role| role.name.as_str());
                    let help = self.problems.suggestion(&name, known);
                    let message = format!("the definition has no role `{}`", name.escape_debug());
                    self.problems.at("unknown-role", &place, message, help);
                }
            }
            role
        });
        RecordedBy { id, otherwise, role: role.unwrap_or_else(|| Mapping::by_name("UTC").recorded_by.role) }
    }

    fn activity(
        &mut self,
        node: &Node,
        activities: &mut Vec<ActivityMapping>,
        places: &mut HashMap<(String, Option<String>), Meaning>,
    ) {
        let entry = fields(node, "an activity", &ACTIVITY_KEYS, self.problems);
        let meaning = Meaning::Mapped(activities.len());
        self.names_of(&entry, meaning, places);
        let Some(name) = entry.required_text("event", self.problems) else { return };
        let Some(event_type) = self.definition.event(&name.value).map(|id| self.definition.event_type(id))
        else {
            let known = self.definition.events.iter().map(|event| event.name.as_str());
            let help = self.problems.suggestion(&name.value, known);
            let message = format!("the definition has no event type `{}`", name.value.escape_debug());
            self.problems.at("unknown-name", &name, message, help);
            return;
        };
        activities.push(ActivityMapping {
            scope: self.scope(&entry, event_type, &name),
            data: entry.get("data").map(|node| self.payload(node, event_type)).unwrap_or_default(),
            recorded_by: entry.get("recorded-by").map(|node| self.recorded_by(node)),
            decided_by: self.decided_by(&entry, event_type),
            rationale: entry
                .get("rationale")
                .and_then(|node| self.value("rationale", node, Plain::Attribute, None)),
            override_given: self.override_given(&entry),
            event_type: name.value,
        });
    }

    /// Puts every activity that an entry names, with each lifecycle that it names, in its place.
    fn names_of(
        &mut self,
        entry: &Fields<'_>,
        meaning: Meaning,
        places: &mut HashMap<(String, Option<String>), Meaning>,
    ) {
        let Some(node) = entry.required("activity", self.problems) else { return };
        let lifecycles = entry.names("lifecycle", self.problems);
        for name in names(node, "activity", self.problems) {
            let of: Vec<Option<String>> = match lifecycles.as_slice() {
                [] => vec![None],
                some => some.iter().map(|one| Some(one.value.clone())).collect(),
            };
            for lifecycle in of {
                self.put(&name, lifecycle, meaning, places);
            }
        }
    }

    fn put(
        &mut self,
        name: &Text,
        lifecycle: Option<String>,
        meaning: Meaning,
        places: &mut HashMap<(String, Option<String>), Meaning>,
    ) {
        if places.insert((name.value.clone(), lifecycle), meaning).is_some() {
            let message = format!("the activity `{}` stands here twice", name.value.escape_debug());
            let help = "keep one entry, or tell them apart by `lifecycle`";
            self.problems.at("duplicate-name", name, message, Some(help.to_owned()));
        }
    }

    fn ignored(&mut self, node: &Node, places: &mut HashMap<(String, Option<String>), Meaning>) {
        if matches!(node.value, Shape::Map(_)) {
            let entry = fields(node, "an ignored activity", &["activity", "lifecycle"], self.problems);
            self.names_of(&entry, Meaning::Ignored, places);
        } else if let Some(name) = text(node, "ignore", self.problems) {
            self.put(&name, None, Meaning::Ignored, places);
        }
    }

    fn scope(&mut self, entry: &Fields<'_>, event_type: &EventType, name: &Text) -> Vec<FieldMapping> {
        let known: Vec<&str> = self.definition.kinds.iter().map(|kind| kind.name.as_str()).collect();
        let mut scope = Vec::new();
        if let Some(node) = entry.get("scope") {
            fields(node, "`scope`", &known, self.problems);
            for (kind, node) in entries_of(node) {
                if known.contains(&kind.value.as_str()) {
                    scope.extend(self.value(&kind.value, node, Plain::Attribute, None));
                }
            }
        }
        for kind in &event_type.scope {
            let kind = &self.definition.kinds[kind.index()];
            if !scope.iter().any(|one: &FieldMapping| one.field == kind.name) {
                let message = format!(
                    "`{}` names a {}, and the mapping does not say which",
                    event_type.name, kind.name
                );
                let help = format!("write `scope: {{ {}: ATTRIBUTE }}`", kind.name);
                self.problems.at("missing-key", name, message, Some(help));
            }
        }
        scope
    }

    fn payload(&mut self, node: &Node, event_type: &EventType) -> Vec<FieldMapping> {
        let known = event_type.schema.fields();
        fields(node, "`data`", &known, self.problems);
        let mut data = Vec::new();
        for (name, node) in entries_of(node) {
            let Some(field) = field_of(&event_type.schema, &name.value) else { continue };
            data.extend(self.value(&name.value, node, Plain::Attribute, Some(&field)));
        }
        data
    }

    fn decided_by(
        &mut self,
        entry: &Fields<'_>,
        event_type: &EventType,
    ) -> Option<(FieldMapping, Option<FieldMapping>)> {
        let node = entry.get("decided-by")?;
        let by = fields(node, "`decided-by`", &["body", "id"], self.problems);
        let body_node = by.required("body", self.problems)?;
        let body = self.value("body", body_node, Plain::Constant, None)?;
        for (name, place) in constants(Some(&body), body_node) {
            if !event_type.decide.contains(&name) {
                let help = self.problems.suggestion(&name, event_type.decide.iter().map(String::as_str));
                let message = format!("`{}` is no decision of `{}`", event_type.name, name.escape_debug());
                self.problems.at("unknown-name", &place, message, help);
            }
        }
        let id = by.get("id").and_then(|node| self.value("id", node, Plain::Attribute, None));
        Some((body, id))
    }

    fn override_given(&mut self, entry: &Fields<'_>) -> Option<(FieldMapping, FieldMapping)> {
        let node = entry.get("override")?;
        let given = fields(node, "`override`", &["authority", "reason"], self.problems);
        let mut value = |key: &str| {
            let node = given.required(key, self.problems)?;
            self.value(key, node, Plain::Attribute, None)
        };
        Some((value("authority")?, value("reason")?))
    }

    /// Where a value comes from: a key, or a map that says more.
    fn value(
        &mut self,
        field: &str,
        node: &Node,
        plain: Plain,
        into: Option<&Field>,
    ) -> Option<FieldMapping> {
        let mapping = |from, conversion| Some(FieldMapping { field: field.to_owned(), from, conversion });
        if !matches!(node.value, Shape::Map(_)) {
            let key = text(node, field, self.problems)?;
            return match plain {
                Plain::Attribute => mapping(From::Event(key.value), by_kind(into)),
                Plain::Constant => mapping(From::Constant(Value::String(key.value)), Conversion::Text),
            };
        }
        let map = fields(node, "a value", &VALUE_KEYS, self.problems);
        let event = map.text("attribute", self.problems);
        let trace = map.text("trace", self.problems);
        let constant = map.get("value");
        let from = match (event, trace, constant) {
            (Some(key), None, None) => From::Event(key.value),
            (None, Some(key), None) => From::Trace(key.value),
            (None, None, Some(node)) => {
                let constant = node.to_json();
                self.fits(node, &constant, into);
                return mapping(From::Constant(constant), Conversion::Text);
            }
            _ => {
                let message = "a value comes from one of `attribute`, `trace` and `value`";
                self.problems.add("wrong-shape", node.place, 1, message, None);
                return None;
            }
        };
        let conversion = self.conversion(&map, into);
        mapping(from, conversion)
    }

    fn conversion(&mut self, map: &Fields<'_>, into: Option<&Field>) -> Conversion {
        if let Some(node) = map.get("values") {
            let entries = entries_of(node).to_vec();
            if entries.is_empty() {
                self.problems.add(
                    "wrong-shape",
                    node.place,
                    1,
                    "`values` is a map from the log's values to those of the definition",
                    None,
                );
            }
            let converted = entries.iter().map(|(written, node)| {
                let value = node.to_json();
                self.fits(node, &value, into);
                (written.value.clone(), value)
            });
            return Conversion::Values(converted.collect());
        }
        let Some(word) = map.text("as", self.problems) else { return by_kind(into) };
        let conversion = match word.value.as_str() {
            "text" => Conversion::Text,
            "integer" => Conversion::Integer,
            "boolean" => Conversion::Boolean,
            "day" => Conversion::Day,
            other => {
                let help = self.problems.suggestion(other, ["text", "integer", "boolean", "day"]);
                let message = format!(
                    "a value is read as text, integer, boolean or day, not `{}`",
                    other.escape_debug()
                );
                self.problems.at("wrong-shape", &word, message, help);
                return by_kind(into);
            }
        };
        let is_mismatch = into.is_some_and(|field| match field.kind {
            FieldKind::Integer | FieldKind::Boolean => conversion != by_kind(into),
            FieldKind::Text => matches!(conversion, Conversion::Integer | Conversion::Boolean),
            FieldKind::List | FieldKind::Object | FieldKind::Any => false,
        });
        if is_mismatch {
            let message = format!("the field is no {} in the definition", word.value);
            self.problems.at(
                "type-mismatch",
                &word,
                message,
                Some("leave `as` out: the definition says what it is".to_owned()),
            );
        }
        conversion
    }

    /// Whether the definition's field can have this value.
    fn fits(&mut self, node: &Node, value: &Value, into: Option<&Field>) {
        let Some(listed) = into.and_then(|field| field.enumeration.as_ref()) else { return };
        if !listed.contains(value) {
            let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let help = self.problems.suggestion(&shown, listed.iter().filter_map(Value::as_str));
            let message = format!("`{}` is none of the field's values", shown.escape_debug());
            self.problems.add("not-in-enumeration", node.place, shown.chars().count(), message, help);
        }
    }
}

fn entries_of(node: &Node) -> &[(Text, Node)] {
    match &node.value {
        Shape::Map(entries) => entries,
        _ => &[],
    }
}

/// The constants that a value may be, each with the place to point at.
fn constants(value: Option<&FieldMapping>, node: &Node) -> Vec<(String, Text)> {
    let Some(value) = value else { return Vec::new() };
    let all: Vec<&Value> = match (&value.from, &value.conversion) {
        (From::Constant(constant), _) => vec![constant],
        (_, Conversion::Values(values)) => values.iter().map(|(_, value)| value).collect(),
        _ => Vec::new(),
    };
    let place = |name: &str| Text { value: name.to_owned(), place: node.place };
    all.into_iter().filter_map(Value::as_str).map(|name| (name.to_owned(), place(name))).collect()
}

/// What the definition's field asks for.
fn by_kind(into: Option<&Field>) -> Conversion {
    match into {
        Some(Field { kind: FieldKind::Integer, .. }) => Conversion::Integer,
        Some(Field { kind: FieldKind::Boolean, .. }) => Conversion::Boolean,
        Some(Field { format: Some(format), .. }) if format == "edtf" || format == "date" => Conversion::Day,
        _ => Conversion::Text,
    }
}
