//! Fields of an event as they are typed on a command line: `court="Southwark Crown Court" term:='{"months":6}'`.

use std::path::Path;

use casebook_engine::case::event::Payload;
use casebook_engine::definition::schema::{FieldKind, Schema};
use casebook_engine::definition::{Definition, EventType};
use casebook_engine::store::codec;
use serde_json::Value;

use super::answer::{Failure, Trouble};
use super::definition::unreadable;

/// One field as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldArg {
    /// The field, dotted.
    path: String,
    /// Its value as typed.
    value: String,
    /// Whether the value is JSON.
    is_json: bool,
}

/// Reads `k=v` or `k:=json`.
pub(super) fn field(text: &str) -> Result<FieldArg, String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!("`{text}` is no field; write NAME=VALUE, or NAME:='JSON'"));
    };
    let (name, is_json) = match name.strip_suffix(':') {
        Some(name) => (name, true),
        None => (name, false),
    };
    if name.is_empty() || name.split('.').any(str::is_empty) {
        return Err(format!("`{text}` has no field name; write NAME=VALUE"));
    }
    Ok(FieldArg { path: name.to_owned(), value: value.to_owned(), is_json })
}

/// Reads `KIND=ID` of `--scope`.
pub(super) fn scope(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((kind, id)) if !kind.is_empty() && !id.is_empty() => Ok((kind.to_owned(), id.to_owned())),
        _ => Err(format!("`{text}` is no entity; write KIND=ID, for example charge=C1")),
    }
}

/// The payload: the fields of a file, if one is given, and the typed fields over them.
pub(super) fn payload(
    file: Option<&Path>,
    fields: &[FieldArg],
    definition: Option<&Definition>,
    event_type: Option<&EventType>,
) -> Result<Payload, Failure> {
    let mut payload = match file {
        Some(file) => from_file(file)?,
        None => Payload::new(),
    };
    for field in fields {
        let value = value_of(field, definition, event_type)?;
        set(&mut payload, &field.path, value)?;
    }
    Ok(payload)
}

fn from_file(path: &Path) -> Result<Payload, Failure> {
    let bytes = if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes).map_err(|error| {
            Failure::input(format!("standard input could not be read: {error}"), "try again")
        })?;
        bytes
    } else {
        std::fs::read(path).map_err(|error| unreadable(path, &error))?
    };
    match codec::parse_strict(&bytes) {
        Ok(Value::Object(payload)) => Ok(payload),
        Ok(_) => Err(Failure::Input(
            Trouble::new("the fields of an event are a JSON object")
                .at(path.display().to_string())
                .help("write {\"court\":\"…\"}"),
        )),
        Err(error) => Err(Failure::Input(Trouble::new(error.to_string()).at(path.display().to_string()))),
    }
}

fn value_of(
    field: &FieldArg,
    definition: Option<&Definition>,
    event_type: Option<&EventType>,
) -> Result<Value, Failure> {
    if field.is_json {
        return codec::parse_strict(field.value.as_bytes()).map_err(|error| {
            Failure::input(
                format!("{}: {error}", field.path),
                "quote the JSON for the shell: NAME:='[\"a\",\"b\"]'",
            )
        });
    }
    let Some(event_type) = event_type else { return Ok(Value::String(field.value.clone())) };
    let path: Vec<String> = field.path.split('.').map(str::to_owned).collect();
    let Some(known) = event_type.schema.field(&path) else {
        if definition.is_some_and(|definition| definition.kind(&field.path).is_some()) {
            return Err(Failure::input(
                format!("{} is what the event is about, not one of its fields", field.path),
                format!("write --scope {}={}", field.path, field.value),
            ));
        }
        // The engine refuses a field that the schema does not have, and says which there are.
        return Ok(Value::String(field.value.clone()));
    };
    typed(&field.path, &field.value, known.kind, &event_type.schema)
}

fn typed(path: &str, value: &str, kind: FieldKind, schema: &Schema) -> Result<Value, Failure> {
    match kind {
        FieldKind::Text | FieldKind::Any => Ok(Value::String(value.to_owned())),
        FieldKind::Integer => value.parse::<i64>().map(Value::from).map_err(|_| {
            Failure::input(format!("{path} is a whole number, `{value}` is none"), format!("write {path}=6"))
        }),
        FieldKind::Boolean => match value {
            "true" | "yes" => Ok(Value::Bool(true)),
            "false" | "no" => Ok(Value::Bool(false)),
            _ => Err(Failure::input(
                format!("{path} is true or false, `{value}` is neither"),
                format!("write {path}=true or {path}=false"),
            )),
        },
        FieldKind::List => {
            let items_are_integers = schema.source["properties"][path]["items"]["type"] == "integer";
            let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
            let items = items.map(|item| match item.parse::<i64>() {
                Ok(number) if items_are_integers => Value::from(number),
                _ => Value::String(item.to_owned()),
            });
            Ok(Value::Array(items.collect()))
        }
        FieldKind::Object => Err(Failure::input(
            format!("{path} has fields of its own"),
            format!("write them as {path}.NAME=VALUE, or the whole as {path}:='{{…}}'"),
        )),
    }
}

fn set(payload: &mut Payload, path: &str, value: Value) -> Result<(), Failure> {
    let Some((name, rest)) = path.split_once('.') else {
        payload.insert(path.to_owned(), value);
        return Ok(());
    };
    match payload.entry(name).or_insert_with(|| Value::Object(Payload::new())) {
        Value::Object(inner) => set(inner, rest, value),
        _ => Err(Failure::input(
            format!("{name} is given both as a value and with fields of its own"),
            "give it one way only",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fields: &[&str], expected: Value) {
        let fields: Vec<FieldArg> = fields.iter().map(|text| field(text).unwrap()).collect();
        assert_eq!(Value::Object(payload(None, &fields, None, None).unwrap()), expected);
    }

    #[test]
    fn a_field_without_a_schema_is_text() {
        check(&["term=6"], serde_json::json!({"term": "6"}));
    }

    #[test]
    fn a_value_may_hold_equals_signs() {
        check(&["note=a=b"], serde_json::json!({"note": "a=b"}));
    }

    #[test]
    fn a_dotted_name_sets_a_field_within_a_field() {
        check(
            &["address.town=Margate", "address.no=1"],
            serde_json::json!({"address": {"town": "Margate", "no": "1"}}),
        );
    }

    #[test]
    fn a_word_without_an_equals_sign_is_refused() {
        assert!(field("guilty").is_err());
    }
}
