//! A payload's JSON Schema (draft 2020-12). Only this file and the one that words its problems name the library that validates.
//!
//! A schema is read more strictly than the standard asks: an object is closed unless it says otherwise, a keyword that
//! does not exist is an error, nothing is fetched from elsewhere, and numbers with fractions have no type, because the
//! log holds none. `x-…` keywords are left to their readers.

use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::{Location, LocationSegment};
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value, json};

pub use super::schema_problem::SchemaProblem;
use super::schema_problem::{dotted, joined, not_a_schema, problem_of_value, unknown_field, values_help};
use crate::case::event::Payload;
use crate::case::occurred::Occurred;
use crate::spelling::nearest;

/// A compiled schema.
#[derive(Debug)]
pub struct Schema {
    /// As written, with `type: object` and `additionalProperties: false` filled in.
    pub source: Value,
    validator: Validator,
}

/// What the schema says of one field.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its type.
    pub kind: FieldKind,
    /// The values it may have, where they are listed.
    pub enumeration: Option<Vec<Value>>,
    /// Whether every valid payload has it.
    pub required: bool,
    /// The format of its text, such as `edtf`.
    pub format: Option<String>,
}

/// Types of fields that conditions can speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the meaning")]
pub enum FieldKind {
    Text,
    Integer,
    Boolean,
    List,
    Object,
    Any,
}

/// Keywords that hold one schema.
const HOLD_A_SCHEMA: [&str; 11] = [
    "items",
    "contains",
    "additionalProperties",
    "unevaluatedProperties",
    "unevaluatedItems",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
    "contentSchema",
];

/// Keywords that hold a map of schemas by name.
const HOLD_NAMED_SCHEMAS: [&str; 4] = ["properties", "patternProperties", "$defs", "dependentSchemas"];

/// Keywords that hold a list of schemas.
const HOLD_SCHEMAS: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];

/// All other keywords. `$id`, `$anchor` and their dynamic relatives are not here: a payload's schema is one short document.
const PLAIN: [&str; 32] = [
    "$schema",
    "$ref",
    "$comment",
    "type",
    "enum",
    "const",
    "multipleOf",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "maxContains",
    "minContains",
    "maxProperties",
    "minProperties",
    "required",
    "dependentRequired",
    "format",
    "contentEncoding",
    "contentMediaType",
    "title",
    "description",
    "default",
    "deprecated",
    "readOnly",
    "examples",
];

/// Keywords beside which an object is not closed by itself: they may add fields that closing would not see.
const MAY_ADD_FIELDS: [&str; 6] =
    ["additionalProperties", "unevaluatedProperties", "$ref", "allOf", "anyOf", "oneOf"];

impl Schema {
    /// Compiles a schema of a payload. `type: object` and `additionalProperties: false` are filled in where they are
    /// absent, in the payload itself and in every object below it that lists its properties.
    ///
    /// # Errors
    /// When it is not a JSON Schema of draft 2020-12, refers to another document, has a keyword or format that does not
    /// exist, allows fractions, or requires a field that it does not allow.
    pub fn compile(mut source: Value) -> Result<Self, SchemaProblem> {
        let Some(schema) = source.as_object_mut() else {
            return Err(SchemaProblem::new(
                "",
                "a payload's schema is an object with `properties` and `required`",
            ));
        };
        if schema.get("type").is_some_and(|kind| kind != "object") {
            return Err(SchemaProblem::new(
                "type",
                "a payload is an object: leave `type` out or write `type: object`",
            ));
        }
        schema.entry("type").or_insert(json!("object"));
        schema.entry("additionalProperties").or_insert(json!(false));
        close(&mut source);
        check_schema(&source, "")?;
        let validator = jsonschema::draft202012::options()
            .should_validate_formats(true)
            .should_ignore_unknown_formats(false)
            .with_format("edtf", |text: &str| Occurred::parse(text).is_ok())
            // Linear in the length of the text, whoever wrote the pattern.
            .with_pattern_options(PatternOptions::regex())
            .build(&source)
            .map_err(|error| not_a_schema(&error))?;
        Ok(Self { source, validator })
    }

    /// The schema that accepts only an empty payload.
    #[must_use]
    pub fn empty() -> Self {
        Self::compile(json!({})).unwrap_or_else(|problem| unreachable!("the empty schema is one: {problem}"))
    }

    /// Everything that is wrong with the payload; empty: valid.
    #[must_use]
    pub fn problems(&self, payload: &Payload) -> Vec<SchemaProblem> {
        let value = Value::Object(payload.clone());
        if self.validator.is_valid(&value) {
            return Vec::new();
        }
        self.validator.iter_errors(&value).flat_map(|error| self.problems_of(&value, &error)).collect()
    }

    /// A field by dotted path.
    #[must_use]
    pub fn field(&self, path: &[String]) -> Option<Field> {
        let mut here = self.source.as_object()?;
        let mut required = true;
        for name in path {
            required &= listed(here, "required", name);
            here = self.resolved(here.get("properties")?.get(name)?)?;
        }
        let enumeration = match (here.get("enum"), here.get("const")) {
            (Some(Value::Array(values)), _) => Some(values.clone()),
            (_, Some(value)) => Some(vec![value.clone()]),
            _ => None,
        };
        let kind = if path.is_empty() { FieldKind::Object } else { kind_of(here, enumeration.as_deref()) };
        let format = here.get("format").and_then(Value::as_str).map(str::to_owned);
        Some(Field { kind, enumeration, required, format })
    }

    /// The names of the payload's own fields, sorted.
    #[must_use]
    pub fn fields(&self) -> Vec<&str> {
        property_names(self.source.as_object())
    }

    /// The schema that local references lead to.
    fn resolved<'a>(&'a self, schema: &'a Value) -> Option<&'a Map<String, Value>> {
        let mut here = schema;
        // A chain longer than this leads in a circle.
        for _ in 0..16 {
            match here.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#')) {
                Some(pointer) => here = self.source.pointer(pointer)?,
                None => return here.as_object(),
            }
        }
        None
    }

    /// The fields known at a place of the payload.
    fn known_at(&self, place: &Location) -> Vec<&str> {
        let mut here = self.source.as_object();
        for segment in place.segments() {
            let below = match (&segment, here) {
                (LocationSegment::Property(name), Some(schema)) => {
                    schema.get("properties").and_then(|properties| properties.get(name.as_ref()))
                }
                (LocationSegment::Index(_), Some(schema)) => schema.get("items"),
                (_, None) => None,
            };
            here = below.and_then(|schema| self.resolved(schema));
        }
        property_names(here)
    }

    fn problems_of(&self, payload: &Value, error: &ValidationError<'_>) -> Vec<SchemaProblem> {
        let field = dotted(error.instance_path());
        match error.kind() {
            ValidationErrorKind::Required { property } => {
                let missing = joined(&field, property.as_str().unwrap_or_default());
                let path: Vec<String> = missing.split('.').map(str::to_owned).collect();
                let help = self.field(&path).and_then(|field| values_help(&field));
                vec![SchemaProblem::new(&missing, format!("`{missing}` is missing")).with_help(help)]
            }
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                let known = self.known_at(error.instance_path());
                unexpected.iter().map(|name| unknown_field(&field, name, &known)).collect()
            }
            // How the library puts it where an object lists no properties at all.
            ValidationErrorKind::FalseSchema
                if error.schema_path().as_str().ends_with("/additionalProperties") =>
            {
                let object = payload.pointer(error.instance_path().as_str()).and_then(Value::as_object);
                let names = object.map(Map::keys).into_iter().flatten();
                names.map(|name| unknown_field(&field, name, &[])).collect()
            }
            _ => vec![problem_of_value(error, &field)],
        }
    }
}

/// Fills in what makes objects closed, where they list their properties and nothing beside could add any.
fn close(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    if schema.contains_key("properties")
        && !MAY_ADD_FIELDS.iter().any(|keyword| schema.contains_key(*keyword))
    {
        schema.entry("type").or_insert(json!("object"));
        schema.insert("additionalProperties".to_owned(), json!(false));
    }
    for (keyword, below) in schema {
        match (keyword.as_str(), below) {
            ("properties" | "$defs", Value::Object(named)) => named.values_mut().for_each(close),
            ("prefixItems", Value::Array(list)) => list.iter_mut().for_each(close),
            ("items", below) => close(below),
            _ => {}
        }
    }
}

/// What the standard allows and a payload's schema does not.
fn check_schema(schema: &Value, place: &str) -> Result<(), SchemaProblem> {
    let Some(fields) = schema.as_object() else {
        return Ok(());
    };
    check_required(fields, place)?;
    for (keyword, below) in fields {
        let here = joined(place, keyword);
        check_keyword(keyword, below, &here)?;
        match below {
            _ if HOLD_A_SCHEMA.contains(&keyword.as_str()) => check_schema(below, &here)?,
            Value::Object(named) if HOLD_NAMED_SCHEMAS.contains(&keyword.as_str()) => {
                for (name, schema) in named {
                    check_schema(schema, &joined(&here, name))?;
                }
            }
            Value::Array(list) if HOLD_SCHEMAS.contains(&keyword.as_str()) => {
                for (index, schema) in list.iter().enumerate() {
                    check_schema(schema, &format!("{here}[{index}]"))?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_keyword(keyword: &str, value: &Value, place: &str) -> Result<(), SchemaProblem> {
    let refuse = |problem: String, help: &str| {
        Err(SchemaProblem::new(place, problem).with_help(Some(help.to_owned())))
    };
    match (keyword, value) {
        ("$ref", Value::String(to)) if !to.starts_with('#') => refuse(
            format!("`{to}` is in another document, and nothing is fetched"),
            "copy what you need into `$defs` and refer to `#/$defs/…`",
        ),
        ("$schema", Value::String(draft)) if !draft.ends_with("//json-schema.org/draft/2020-12/schema") => {
            refuse(
                format!("`{draft}` is another draft"),
                "schemas here are of draft 2020-12; leave `$schema` out",
            )
        }
        ("type", kinds)
            if *kinds == "number" || kinds.as_array().is_some_and(|list| list.contains(&json!("number"))) =>
        {
            refuse(
                "the log holds no numbers with fractions".to_owned(),
                "write `type: integer` and count in the smallest unit (pence), or `type: string`",
            )
        }
        (_, Value::Number(number)) if number.is_f64() => {
            refuse(format!("{number} has a fraction, and the log holds none"), "write a whole number")
        }
        _ if keyword.starts_with("x-") || is_keyword(keyword) => Ok(()),
        _ => {
            let all = [&HOLD_A_SCHEMA[..], &HOLD_NAMED_SCHEMAS, &HOLD_SCHEMAS, &PLAIN].concat();
            let help = match nearest(keyword, all) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "fields stand under `properties`; a keyword of your own starts with `x-`".to_owned(),
            };
            refuse(format!("`{keyword}` is not a keyword of schemas here"), &help)
        }
    }
}

fn is_keyword(keyword: &str) -> bool {
    [&HOLD_A_SCHEMA[..], &HOLD_NAMED_SCHEMAS, &HOLD_SCHEMAS, &PLAIN]
        .iter()
        .any(|list| list.contains(&keyword))
}

/// A closed object that requires a field which it does not list accepts nothing.
fn check_required(schema: &Map<String, Value>, place: &str) -> Result<(), SchemaProblem> {
    let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
    let (true, Some(Value::Array(required))) =
        (closed && !schema.contains_key("patternProperties"), schema.get("required"))
    else {
        return Ok(());
    };
    let known = property_names(Some(schema));
    match required.iter().filter_map(Value::as_str).find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => {
            let problem = format!("`{name}` is required, and `properties` does not have it");
            let help = nearest(name, known.iter().copied()).map(|meant| format!("did you mean `{meant}`?"));
            Err(SchemaProblem::new(&joined(place, "required"), problem).with_help(help))
        }
    }
}

fn property_names(schema: Option<&Map<String, Value>>) -> Vec<&str> {
    let properties = schema.and_then(|schema| schema.get("properties")).and_then(Value::as_object);
    properties.map(|named| named.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn listed(schema: &Map<String, Value>, keyword: &str, name: &str) -> bool {
    schema.get(keyword).and_then(Value::as_array).is_some_and(|list| list.iter().any(|item| item == name))
}

fn kind_of(schema: &Map<String, Value>, enumeration: Option<&[Value]>) -> FieldKind {
    let one = |name: &str| match name {
        "string" => FieldKind::Text,
        "integer" => FieldKind::Integer,
        "boolean" => FieldKind::Boolean,
        "array" => FieldKind::List,
        "object" => FieldKind::Object,
        _ => FieldKind::Any,
    };
    let all_same = |kinds: Vec<FieldKind>| match kinds.split_first() {
        Some((first, rest)) if rest.iter().all(|kind| kind == first) => *first,
        _ => FieldKind::Any,
    };
    match (schema.get("type"), enumeration) {
        (Some(Value::String(name)), _) => one(name),
        (Some(Value::Array(names)), _) => {
            all_same(names.iter().filter_map(Value::as_str).filter(|name| *name != "null").map(one).collect())
        }
        (_, Some(values)) => all_same(
            values.iter().filter(|value| !value.is_null()).map(|value| one(type_of(value))).collect(),
        ),
        _ => FieldKind::Any,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sentence() -> Schema {
        Schema::compile(json!({
            "properties": {
                "court": {"type": "string", "minLength": 1, "maxLength": 100},
                "plea": {"enum": ["guilty", "not-guilty"]},
                "months": {"type": ["integer", "null"], "minimum": 1, "maximum": 1200},
                "suspended": {"type": "boolean"},
                "heard": {"type": "string", "format": "edtf"},
                "notified": {"type": "string", "format": "date"},
                "reference": {"type": "string", "pattern": "^[A-Z]{2}\\d+$"},
                "counts": {
                    "type": "array",
                    "uniqueItems": true,
                    "items": {
                        "properties": {"name": {"type": "string"}, "kind": {"const": "either-way"}},
                        "required": ["name"]
                    }
                },
                "judge": {"$ref": "#/$defs/person"}
            },
            "required": ["court", "judge"],
            "$defs": {"person": {"properties": {"title": {"type": "string"}, "name": {}}, "required": ["title"]}}
        }))
        .unwrap()
    }

    fn valid() -> Value {
        json!({"court": "Crown Court", "judge": {"title": "Recorder"}})
    }

    #[track_caller]
    fn check_problems(change: Value, expected: &[(&str, &str)]) {
        let mut payload = valid().as_object().unwrap().clone();
        payload.extend(change.as_object().unwrap().clone());
        let found: Vec<(String, String)> = sentence()
            .problems(&payload)
            .into_iter()
            .map(|problem| (problem.field.clone(), problem.to_string()))
            .collect();
        let expected: Vec<(String, String)> =
            expected.iter().map(|(field, says)| ((*field).to_owned(), (*says).to_owned())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_valid_payload_has_no_problems() {
        check_problems(json!({}), &[]);
        check_problems(
            json!({
                "plea": "guilty", "months": null, "suspended": false, "heard": "2021-05~", "notified": "2023-10-04",
                "reference": "AB12", "counts": [{"name": "one", "kind": "either-way"}]
            }),
            &[],
        );
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_told_in_plain_words() {
        check_problems(
            json!({"plea": "gulity"}),
            &[("plea", "`plea` must be one of guilty, not-guilty; it is `gulity` — did you mean `guilty`?")],
        );
        check_problems(
            json!({"months": "6"}),
            &[("months", "`months` must be a whole number or null; it is `6`")],
        );
        check_problems(json!({"months": 0}), &[("months", "`months` must be at least 1; it is 0")]);
        check_problems(
            json!({"suspended": []}),
            &[("suspended", "`suspended` must be true or false; it is a list")],
        );
        check_problems(
            json!({"court": ""}),
            &[("court", "`court` must have at least 1 characters; it is ``")],
        );
        check_problems(
            json!({"heard": "July 2023"}),
            &[(
                "heard",
                "`heard`: `July 2023` is not a date in EDTF: write 2023-07 and put the words into `text`",
            )],
        );
        check_problems(
            json!({"notified": "2023-13-01"}),
            &[("notified", "`notified` must be a day such as 2023-10-04; it is `2023-13-01`")],
        );
        check_problems(
            json!({"reference": "12"}),
            &[("reference", "`reference` must match `^[A-Z]{2}\\d+$`; it is `12`")],
        );
    }

    #[test]
    fn fields_that_are_missing_or_unknown_are_named_with_their_place() {
        let known = "counts, court, heard, judge, months, notified, plea, reference, suspended";
        check_problems(
            json!({"jugde": 1}),
            &[(
                "jugde",
                &format!("`jugde` is not a field of this event; known: {known} — did you mean `judge`?"),
            )],
        );
        check_problems(
            json!({"judge": {"nam": "x"}}),
            &[
                (
                    "judge.nam",
                    "`judge.nam` is not a field of `judge`; known: name, title — did you mean `name`?",
                ),
                ("judge.title", "`judge.title` is missing"),
            ],
        );
        check_problems(
            json!({"counts": [{"name": "one"}, {"kind": "other"}]}),
            &[
                ("counts[1].kind", "`counts[1].kind` must be either-way; it is `other`"),
                ("counts[1].name", "`counts[1].name` is missing"),
            ],
        );
        let missing = sentence().problems(&Payload::new());
        assert_eq!(
            missing.iter().map(|problem| problem.problem.as_str()).collect::<Vec<_>>(),
            ["`court` is missing", "`judge` is missing"]
        );
    }

    #[test]
    fn the_empty_schema_accepts_only_an_empty_payload() {
        let schema = Schema::empty();
        assert!(schema.problems(&Payload::new()).is_empty());
        let payload = json!({"a": 1}).as_object().unwrap().clone();
        let problems = schema.problems(&payload);
        assert_eq!(problems[0].to_string(), "`a` is not a field of this event; it has none");
        assert!(schema.fields().is_empty());
    }

    #[test]
    fn a_choice_of_forms_names_what_the_closest_lacks() {
        let schema = Schema::compile(json!({
            "properties": {"term": {"oneOf": [
                {"type": "object", "properties": {"months": {"type": "integer"}}, "required": ["months"]},
                {"const": "life"}
            ]}}
        }))
        .unwrap();
        let payload = json!({"term": {}}).as_object().unwrap().clone();
        assert_eq!(
            schema.problems(&payload)[0].to_string(),
            "`term` has none of the forms that the schema allows — in the closest form `term.months` is missing"
        );
    }

    #[track_caller]
    fn check_field(path: &str, expected: Option<(FieldKind, Option<Value>, bool)>) {
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        let found = sentence()
            .field(&path)
            .map(|field| (field.kind, field.enumeration.map(Value::from), field.required));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_field_is_found_by_its_path_with_type_values_and_need() {
        check_field("court", Some((FieldKind::Text, None, true)));
        check_field("plea", Some((FieldKind::Text, Some(json!(["guilty", "not-guilty"])), false)));
        check_field("months", Some((FieldKind::Integer, None, false)));
        check_field("suspended", Some((FieldKind::Boolean, None, false)));
        check_field("counts", Some((FieldKind::List, None, false)));
        check_field("judge", Some((FieldKind::Object, None, true)));
        check_field("judge.title", Some((FieldKind::Text, None, true)));
        check_field("judge.name", Some((FieldKind::Any, None, false)));
        check_field("judge.age", None);
        check_field("counts.name", None);
        assert_eq!(sentence().field(&[]).unwrap().kind, FieldKind::Object);
        assert_eq!(
            sentence().fields(),
            ["counts", "court", "heard", "judge", "months", "notified", "plea", "reference", "suspended"]
        );
    }

    #[test]
    fn a_reference_in_a_circle_ends() {
        let schema =
            json!({"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}});
        if let Ok(schema) = Schema::compile(schema) {
            assert_eq!(schema.field(&["a".to_owned()]), None);
        }
    }

    #[test]
    fn objects_that_list_their_properties_are_closed() {
        let source = sentence().source;
        assert_eq!(source["type"], "object");
        assert_eq!(source["additionalProperties"], false);
        assert_eq!(source["$defs"]["person"]["additionalProperties"], false);
        assert_eq!(source["properties"]["counts"]["items"]["type"], "object");
        let open = Schema::compile(json!({"additionalProperties": true})).unwrap();
        assert!(open.problems(valid().as_object().unwrap()).is_empty());
    }

    #[track_caller]
    fn check_refused(schema: Value, field: &str, says: &str) {
        let problem = Schema::compile(schema).unwrap_err();
        assert_eq!(problem.field, field);
        assert!(problem.to_string().contains(says), "{problem}");
    }

    #[test]
    fn a_schema_that_could_not_be_kept_is_refused() {
        let with = |field: Value| json!({"properties": {"a": field}});
        check_refused(json!([]), "", "an object with `properties`");
        check_refused(json!({"type": "string"}), "type", "a payload is an object");
        check_refused(with(json!({"type": "number"})), "properties.a.type", "pence");
        check_refused(with(json!({"type": ["number", "null"]})), "properties.a.type", "`type: integer`");
        check_refused(with(json!({"items": {"type": "number"}})), "properties.a.items.type", "fractions");
        check_refused(
            with(json!({"anyOf": [{"minimum": 1.5}]})),
            "properties.a.anyOf[0].minimum",
            "whole number",
        );
        check_refused(
            with(json!({"$ref": "https://example.org/a"})),
            "properties.a.$ref",
            "nothing is fetched",
        );
        check_refused(with(json!({"$ref": "#/$defs/b"})), "", "leads nowhere");
        check_refused(json!({"$schema": "http://json-schema.org/draft-07/schema#"}), "$schema", "2020-12");
        check_refused(with(json!({"maxLenght": 3})), "properties.a.maxLenght", "did you mean `maxLength`?");
        check_refused(json!({"judge": {"type": "string"}}), "judge", "fields stand under `properties`");
        check_refused(with(json!({"type": "text"})), "properties.a.type", "text");
        check_refused(
            with(json!({"type": "string", "format": "edft"})),
            "properties.a.format",
            "`edft` is not a format",
        );
        check_refused(with(json!({"pattern": "("})), "properties.a.pattern", "(");
        check_refused(
            json!({"properties": {"court": {}}, "required": ["cuort"]}),
            "required",
            "did you mean `court`?",
        );
        assert!(Schema::compile(with(json!({"x-label": "A", "enum": ["x", "maxLenght"]}))).is_ok());
    }

    proptest! {
        #[test]
        fn no_schema_or_payload_makes_it_panic(
            schema in crate::store::json::tests::document(),
            payload in crate::store::json::tests::document(),
        ) {
            let _ = Schema::compile(json!({"properties": {"a": schema.clone()}}));
            let _ = Schema::compile(schema);
            if let Value::Object(fields) = payload {
                prop_assert_eq!(Schema::empty().problems(&fields).len(), fields.len());
            }
        }
    }
}
