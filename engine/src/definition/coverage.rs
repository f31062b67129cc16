//! Whether the branches of a row have an answer for every payload that its event type allows.

use serde_json::Value;

use super::Branch;
use super::schema::{Field, FieldKind};

/// Combinations of values that are tried in one row; beyond it a last branch without `where` is asked for.
const COMBINATIONS_MAX: usize = 4_096;
/// Comparisons of a combination with a branch, in all rows of a definition.
pub(super) const COMPARISONS_MAX: usize = 10_000_000;

/// A payload that no branch matches, in words; `None` where every payload is matched.
/// `room` is how many comparisons are left.
pub(super) fn uncovered(
    branches: &[Branch],
    field: impl Fn(&str) -> Option<Field>,
    room: &mut usize,
) -> Option<String> {
    if branches.is_empty() || branches.iter().any(|branch| branch.matches.is_empty()) {
        return None;
    }
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in branches.iter().flat_map(|branch| &branch.matches) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut possible = Vec::new();
    let mut combinations: usize = 1;
    for name in &names {
        let values = field(name).map(|field| values(&field)).unwrap_or_default();
        combinations = combinations.saturating_mul(values.len());
        possible.push(values);
    }
    let comparisons = combinations.saturating_mul(branches.len() * names.len());
    let left = room.checked_sub(comparisons).filter(|_| combinations <= COMBINATIONS_MAX);
    let Some(left) = left else {
        return Some("all combinations of values: there are too many to try".to_owned());
    };
    *room = left;
    let missing = (0..combinations).find_map(|number| {
        let chosen = combination(number, &possible);
        let is_matched = branches.iter().any(|branch| matches(branch, &names, &chosen));
        (!is_matched).then_some(chosen)
    })?;
    let words = names.iter().zip(missing).map(|(name, value)| in_words(name, value));
    Some(words.collect::<Vec<_>>().join(", "))
}

/// What a field may be, as far as branches can tell it apart.
#[derive(Debug, Clone, Copy)]
enum Possible<'v> {
    Value(&'v Value),
    Absent,
    Other,
}

enum Owned {
    Value(Value),
    Absent,
    Other,
}

fn values(field: &Field) -> Vec<Owned> {
    let listed = match (&field.enumeration, field.kind) {
        (Some(values), _) => values.iter().cloned().map(Owned::Value).collect(),
        (None, FieldKind::Boolean) => vec![Owned::Value(true.into()), Owned::Value(false.into())],
        _ => vec![Owned::Other],
    };
    listed.into_iter().chain((!field.required).then_some(Owned::Absent)).collect()
}

/// The combination of that number: the last field changes fastest.
fn combination<'v>(mut number: usize, possible: &'v [Vec<Owned>]) -> Vec<Possible<'v>> {
    let mut chosen: Vec<Possible<'v>> = possible
        .iter()
        .rev()
        .map(|values| {
            let value = &values[number % values.len()];
            number /= values.len();
            match value {
                Owned::Value(value) => Possible::Value(value),
                Owned::Absent => Possible::Absent,
                Owned::Other => Possible::Other,
            }
        })
        .collect();
    chosen.reverse();
    chosen
}

fn matches(branch: &Branch, names: &[&str], chosen: &[Possible<'_>]) -> bool {
    branch.matches.iter().all(|(name, constants)| {
        names.iter().zip(chosen).any(|(known, value)| {
            known == name && matches!(value, Possible::Value(value) if constants.contains(value))
        })
    })
}

fn in_words(name: &str, value: Possible<'_>) -> String {
    match value {
        Possible::Value(value) => {
            format!("`{name}` = `{}`", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        }
        Possible::Absent => format!("`{name}` left out"),
        Possible::Other => format!("any other `{name}`"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definition::StateId;
    use crate::definition::schema::Schema;

    #[track_caller]
    fn check(branches: &[Value], expected: Option<&str>) {
        let schema = Schema::compile(json!({
            "properties": {
                "plea": { "enum": ["guilty", "not-guilty"] },
                "court": { "enum": ["crown", "magistrates"] },
                "appeal": { "type": "boolean" },
                "words": { "type": "string" },
            },
            "required": ["plea", "appeal", "words"],
        }))
        .unwrap();
        let branch = |fields: &Value| Branch {
            matches: fields
                .as_object()
                .unwrap()
                .iter()
                .map(|(field, values)| (field.clone(), values.as_array().unwrap().clone()))
                .collect(),
            to: Some(StateId(0)),
        };
        let branches: Vec<Branch> = branches.iter().map(branch).collect();
        let found = uncovered(&branches, |field| schema.field(&[field.to_owned()]), &mut { COMPARISONS_MAX });
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn every_value_needs_a_branch() {
        check(&[json!({ "plea": ["guilty"] })], Some("`plea` = `not-guilty`"));
        check(&[json!({ "plea": ["guilty"] }), json!({ "plea": ["not-guilty"] })], None);
        check(&[json!({ "plea": ["guilty", "not-guilty"] })], None);
        check(&[json!({ "plea": ["guilty"] }), json!({})], None);
        check(&[json!({ "appeal": [true] })], Some("`appeal` = `false`"));
    }

    #[test]
    fn a_field_may_be_left_out_or_say_anything() {
        check(&[json!({ "court": ["crown", "magistrates"] })], Some("`court` left out"));
        check(&[json!({ "words": ["yes"] })], Some("any other `words`"));
    }

    #[test]
    fn combinations_are_tried_together() {
        let branches = [
            json!({ "plea": ["guilty"], "appeal": [true] }),
            json!({ "plea": ["not-guilty"] }),
            json!({ "appeal": [true] }),
        ];
        check(&branches, Some("`appeal` = `false`, `plea` = `guilty`"));
    }
}
