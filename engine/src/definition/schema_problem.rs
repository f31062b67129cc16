//! What is wrong with a payload, or with its schema, in plain words.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::{Location, LocationSegment};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::schema::Field;
use crate::case::occurred::Occurred;
use crate::spelling::nearest;

/// Values listed in a sentence; more are counted.
const LISTED_MAX: usize = 12;

/// Letters of a text value quoted in a sentence.
const QUOTED_MAX: usize = 60;

/// What a payload breaks, or what is wrong in a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}{}", .help.as_ref().map(|help| format!(" — {help}")).unwrap_or_default())]
pub struct SchemaProblem {
    /// The field, dotted, such as `charges[0].plea`; in a schema, the place in it. Empty for the whole.
    pub field: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub help: Option<String>,
}

impl SchemaProblem {
    pub(super) fn new(field: &str, problem: impl Into<String>) -> Self {
        Self { field: field.to_owned(), problem: problem.into(), help: None }
    }

    pub(super) fn with_help(self, help: Option<String>) -> Self {
        Self { help, ..self }
    }
}

/// A problem with one value, whatever keyword found it.
pub(super) fn problem_of_value(error: &ValidationError<'_>, field: &str) -> SchemaProblem {
    let value = error.instance();
    let named = if field.is_empty() { "the payload".to_owned() } else { format!("`{field}`") };
    let found = quoted(value);
    let (says, help) = match error.kind() {
        ValidationErrorKind::Enum { options } => {
            let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
            (format!("must be one of {}; it is {found}", list_of(options)), nearest_value(value, options))
        }
        ValidationErrorKind::Constant { expected_value } => {
            (format!("must be {}; it is {found}", plain(expected_value)), None)
        }
        ValidationErrorKind::Type { kind } => (format!("must be {}; it is {found}", type_words(kind)), None),
        ValidationErrorKind::Format { format } => return not_in_format(&named, field, format, value),
        ValidationErrorKind::Pattern { pattern } => (format!("must match `{pattern}`; it is {found}"), None),
        ValidationErrorKind::MinLength { limit } => {
            (format!("must have at least {limit} characters; it is {found}"), None)
        }
        ValidationErrorKind::MaxLength { limit } => (format!("must have at most {limit} characters"), None),
        ValidationErrorKind::MinItems { limit } => (format!("must have at least {limit} items"), None),
        ValidationErrorKind::MaxItems { limit } => (format!("must have at most {limit} items"), None),
        ValidationErrorKind::MinProperties { limit } => (format!("must have at least {limit} fields"), None),
        ValidationErrorKind::MaxProperties { limit } => (format!("must have at most {limit} fields"), None),
        ValidationErrorKind::UniqueItems => ("has the same item twice".to_owned(), None),
        ValidationErrorKind::Minimum { limit } => (format!("must be at least {limit}; it is {found}"), None),
        ValidationErrorKind::Maximum { limit } => (format!("must be at most {limit}; it is {found}"), None),
        ValidationErrorKind::ExclusiveMinimum { limit } => {
            (format!("must be more than {limit}; it is {found}"), None)
        }
        ValidationErrorKind::ExclusiveMaximum { limit } => {
            (format!("must be less than {limit}; it is {found}"), None)
        }
        ValidationErrorKind::FalseSchema => ("is not allowed here".to_owned(), None),
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            ("has none of the forms that the schema allows".to_owned(), closest_form(context, field))
        }
        _ => (format!("breaks `{}`: {}", error.kind().keyword(), error.masked_with("it")), None),
    };
    SchemaProblem::new(field, format!("{named} {says}")).with_help(help)
}

fn not_in_format(named: &str, field: &str, format: &str, value: &Value) -> SchemaProblem {
    let problem = match (format, value.as_str().map(Occurred::parse)) {
        ("edtf", Some(Err(error))) => format!("{named}: {error}"),
        ("date", _) => format!("{named} must be a day such as 2023-10-04; it is {}", quoted(value)),
        _ => format!("{named} must be in the format {format}; it is {}", quoted(value)),
    };
    SchemaProblem::new(field, problem)
}

/// What stands between the value and the form that it breaks least.
fn closest_form(forms: &[Vec<ValidationError<'static>>], field: &str) -> Option<String> {
    let closest = forms.iter().filter(|errors| !errors.is_empty()).min_by_key(|errors| errors.len())?;
    let problems: Vec<String> = closest
        .iter()
        .map(|error| match error.kind() {
            ValidationErrorKind::Required { property } => {
                format!("`{}` is missing", joined(field, property.as_str().unwrap_or_default()))
            }
            _ => problem_of_value(error, &dotted(error.instance_path())).problem,
        })
        .collect();
    Some(format!("in the closest form {}", problems.join(", ")))
}

/// A field that the schema does not have.
pub(super) fn unknown_field(parent: &str, name: &str, known: &[&str]) -> SchemaProblem {
    let field = joined(parent, name);
    let whole = if parent.is_empty() { "this event".to_owned() } else { format!("`{parent}`") };
    let list =
        if known.is_empty() { "it has none".to_owned() } else { format!("known: {}", known.join(", ")) };
    let problem = format!("`{field}` is not a field of {whole}; {list}");
    let help = nearest(name, known.iter().copied()).map(|meant| format!("did you mean `{meant}`?"));
    SchemaProblem::new(&field, problem).with_help(help)
}

/// What a missing field may be.
pub(super) fn values_help(field: &Field) -> Option<String> {
    field.enumeration.as_deref().map(|values| format!("one of {}", list_of(values)))
}

/// Why the library refused a schema.
pub(super) fn not_a_schema(error: &ValidationError<'_>) -> SchemaProblem {
    let place = dotted(error.instance_path());
    let keyword = place.rsplit('.').next().unwrap_or_default();
    let problem = match (error.kind(), keyword) {
        (ValidationErrorKind::Referencing(_), _) => format!("a `$ref` leads nowhere: {error}"),
        (_, "format") => {
            format!("{} is not a format: use edtf for dates, or date, uri, uuid", quoted(error.instance()))
        }
        _ => error.to_string(),
    };
    SchemaProblem::new(&place, problem)
}

fn nearest_value(value: &Value, options: &[Value]) -> Option<String> {
    let names: Vec<&str> = options.iter().filter_map(Value::as_str).collect();
    nearest(value.as_str()?, names).map(|meant| format!("did you mean `{meant}`?"))
}

fn list_of(values: &[Value]) -> String {
    let mut listed: Vec<String> = values.iter().take(LISTED_MAX).map(plain).collect();
    if values.len() > LISTED_MAX {
        listed.push(format!("and {} more", values.len() - LISTED_MAX));
    }
    listed.join(", ")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The value as a sentence quotes it: short values in full, others by their kind.
fn quoted(value: &Value) -> String {
    match value {
        Value::String(text) if text.chars().count() > QUOTED_MAX => {
            format!("`{}…`", text.chars().take(QUOTED_MAX).collect::<String>())
        }
        Value::String(text) => format!("`{text}`"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn type_words(kind: &TypeKind) -> String {
    let words = |kind: JsonType| match kind {
        JsonType::Array => "a list",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "an object",
        JsonType::String => "text",
    };
    match kind {
        TypeKind::Single(kind) => words(*kind).to_owned(),
        TypeKind::Multiple(kinds) => {
            let null = kinds.iter().filter(|kind| *kind == JsonType::Null);
            let others = kinds.iter().filter(|kind| *kind != JsonType::Null);
            others.chain(null).map(words).collect::<Vec<_>>().join(" or ")
        }
    }
}

/// A place in a document as people write it: `charges[0].plea`.
pub(super) fn dotted(place: &Location) -> String {
    place.segments().fold(String::new(), |path, segment| match segment {
        LocationSegment::Property(name) => joined(&path, &name),
        LocationSegment::Index(index) => format!("{path}[{index}]"),
    })
}

/// A path and one name more.
pub(super) fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
