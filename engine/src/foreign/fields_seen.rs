//! What a log was seen to say of its events, field by field, and the names and lines that a draft makes of it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write;

use unicode_normalization::UnicodeNormalization;

use super::xes_value::{Attribute, AttributeKind, boolean, integer, log_date};

/// The most fields that one event type gets.
pub const FIELDS_MAX: usize = 200;
/// Values that a comment shows of a field, and the longest of them, characters.
const VALUES_SHOWN_MAX: usize = 6;
const VALUE_CHARS_MAX: usize = 30;
const NAME_CHARS_MAX: usize = 60;

/// The attributes of one kind of event.
#[derive(Debug, Default)]
pub(super) struct Fields {
    by_key: BTreeMap<String, FieldSeen>,
    is_cut: bool,
}

#[derive(Debug, Default)]
struct FieldSeen {
    kinds: BTreeSet<AttributeKind>,
    count: usize,
    values: BTreeSet<String>,
    has_more_values: bool,
    /// Whether each value is one.
    no_integer: bool,
    no_boolean: bool,
    no_day: bool,
}

impl Fields {
    pub(super) fn see(&mut self, attributes: &[Attribute], own_places: &[&str]) {
        for one in attributes.iter().filter(|one| !own_places.contains(&one.key.as_str())) {
            if !self.by_key.contains_key(&one.key) && self.by_key.len() >= FIELDS_MAX {
                self.is_cut = true;
                continue;
            }
            self.by_key.entry(one.key.clone()).or_default().see(one);
        }
    }
}

impl FieldSeen {
    fn see(&mut self, one: &Attribute) {
        self.kinds.insert(one.kind);
        self.count += 1;
        self.no_integer |= one.kind != AttributeKind::Integer || integer(&one.value).is_err();
        self.no_boolean |= one.kind != AttributeKind::Boolean || boolean(&one.value).is_err();
        let is_day = |written: &str| {
            log_date(written).is_ok_and(|date| {
                date.time
                    .is_none_or(|(clock, _)| clock.bytes().all(|byte| matches!(byte, b'0' | b':' | b'.')))
            })
        };
        self.no_day |= one.kind != AttributeKind::Date || !is_day(&one.value);
        if self.values.len() < VALUES_SHOWN_MAX || self.values.contains(&one.value) {
            let is_short = one.value.chars().count() <= VALUE_CHARS_MAX;
            self.has_more_values |= !is_short;
            if is_short {
                self.values.insert(one.value.clone());
            }
        } else {
            self.has_more_values = true;
        }
    }

    /// The field's schema. Fractions stay texts, dates with a time of day too: nothing of them is lost.
    fn schema(&self) -> &'static str {
        if !self.no_integer {
            "{ type: integer }"
        } else if !self.no_boolean {
            "{ type: boolean }"
        } else if !self.no_day {
            "{ type: string, format: edtf }"
        } else {
            "{ type: string }"
        }
    }

    fn comment(&self, key: &str, of: usize) -> String {
        let kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.name()).collect();
        let mut comment =
            format!("{}: {}, in {} of {of}", in_a_comment(key), kinds.join(" or "), self.count.min(of));
        if !self.has_more_values && !self.values.is_empty() {
            let values: Vec<String> = self.values.iter().map(|value| in_a_comment(value)).collect();
            let _ = write!(comment, "; only {}", values.join(", "));
        }
        comment
    }
}

/// A name of words of ASCII letters and digits, beginning with a letter.
pub(super) fn words_of(text: &str, joint: char, otherwise: &str) -> String {
    let mut words = String::new();
    for letter in text.nfkd().filter(|letter| !unicode_normalization::char::is_combining_mark(*letter)) {
        if letter.is_ascii_alphanumeric() {
            words.push(letter.to_ascii_lowercase());
        } else if !words.is_empty() && !words.ends_with(joint) {
            words.push(joint);
        }
        if words.len() >= NAME_CHARS_MAX {
            break;
        }
    }
    let words = words.trim_end_matches(joint);
    match words.chars().next() {
        None => otherwise.to_owned(),
        Some(first) if first.is_ascii_digit() => format!("{otherwise}{joint}{words}"),
        Some(_) => words.to_owned(),
    }
}

/// The name, or with the first number behind it that makes it one of its own.
pub(super) fn unique(name: &str, joint: char, taken: &mut HashSet<String>) -> String {
    let mut own = name.to_owned();
    let mut number = 2;
    while !taken.insert(own.clone()) {
        own = format!("{name}{joint}{number}");
        number += 1;
    }
    own
}

/// A field for each attribute: its name, and the attribute's key.
pub(super) fn field_names(fields: &Fields) -> Vec<(String, &str)> {
    let mut taken = HashSet::from(["originally_recorded_at".to_owned()]);
    fields
        .by_key
        .keys()
        .map(|key| (unique(&words_of(key, '_', "field"), '_', &mut taken), key.as_str()))
        .collect()
}

pub(super) fn write_fields(text: &mut String, fields: &Fields, names: &[(String, &str)], of: usize) {
    if names.is_empty() {
        return;
    }
    text.push_str("    data:\n      properties:\n");
    for (name, key) in names {
        if let Some(seen) = fields.by_key.get(*key) {
            let _ = writeln!(text, "        {name}: {}  # {}", seen.schema(), seen.comment(key, of));
        }
    }
    if fields.is_cut {
        let _ = writeln!(text, "        # more than {FIELDS_MAX} attributes: the others are left out");
    }
}

pub(super) fn write_map(text: &mut String, indent: &str, names: &[(String, &str)]) {
    if names.is_empty() {
        return;
    }
    let _ = writeln!(text, "{indent}data:");
    for (name, key) in names {
        let _ = writeln!(text, "{indent}  {name}: {}", quoted(key));
    }
}

/// A text as YAML and JSON both read it.
pub(super) fn quoted(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    // What JSON lets stand and YAML does not.
    let is_plain =
        |letter: &char| !letter.is_control() && !matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}');
    quoted
        .chars()
        .map(
            |letter| {
                if is_plain(&letter) { letter.to_string() } else { format!("\\u{:04x}", u32::from(letter)) }
            },
        )
        .collect()
}

/// A text that ends no comment.
pub(super) fn in_a_comment(text: &str) -> String {
    let short: String = text.chars().take(NAME_CHARS_MAX).collect();
    short
        .chars()
        .map(|letter| {
            if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}') {
                ' '
            } else {
                letter
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_and_never_fall_together() {
        assert_eq!(words_of("A_SUBMITTED", '-', "activity"), "a-submitted");
        assert_eq!(words_of("  Prüfung: 2. Stufe! ", '-', "activity"), "prufung-2-stufe");
        assert_eq!(words_of("2nd", '_', "field"), "field_2nd");
        assert_eq!(words_of("检查", '-', "activity"), "activity");
        let mut taken = HashSet::from(["a".to_owned(), "a-2".to_owned()]);
        assert_eq!(
            (unique("a", '-', &mut taken), unique("a", '-', &mut taken)),
            ("a-3".to_owned(), "a-4".to_owned())
        );
    }

    #[test]
    fn what_yaml_would_not_read_is_escaped() {
        assert_eq!(quoted("a \"b\"\n\u{85}\u{2028}é"), r#""a \"b\"\n\u0085\u2028é""#);
        assert_eq!(in_a_comment("a\nb\u{2028}c"), "a b c");
    }

    #[test]
    fn a_field_is_what_every_value_of_it_is() {
        let seen = |values: &[(AttributeKind, &str)]| {
            let mut seen = FieldSeen::default();
            for (kind, value) in values {
                seen.see(&Attribute { key: "k".into(), kind: *kind, value: (*value).to_owned() });
            }
            seen.schema()
        };
        assert_eq!(
            seen(&[(AttributeKind::Integer, "1"), (AttributeKind::Integer, "2")]),
            "{ type: integer }"
        );
        assert_eq!(seen(&[(AttributeKind::Integer, "1"), (AttributeKind::Text, "2")]), "{ type: string }");
        assert_eq!(seen(&[(AttributeKind::Float, "1.0")]), "{ type: string }");
        let (day, time) = (
            (AttributeKind::Date, "2024-03-05T00:00:00.000+00:00"),
            (AttributeKind::Date, "2024-03-05T10:00:00"),
        );
        assert_eq!(
            (seen(&[day]), seen(&[day, time])),
            ("{ type: string, format: edtf }", "{ type: string }")
        );
    }
}
