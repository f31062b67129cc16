//! YAML and JSON to a tree in which everything knows its place.
//!
//! The tree is read before any shape is asked of it, so that one broken line hides no other. Anchors, aliases, merge
//! keys and tags are refused: what a reviewer reads is what is there. Budgets keep hostile input short.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::{Spanned, budget, options};

use super::problem::Problems;

/// The largest file that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The deepest nesting that is read.
pub const DEPTH_MAX: usize = 48;
/// The most nodes in one file.
pub const NODES_MAX: usize = 200_000;
/// Where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Place {
    pub(crate) file: usize,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// Something and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

/// A text or name and where it stands.
pub(crate) type Text = Placed<String>;

/// A piece of a file.
pub(crate) type Node = Placed<Shape>;

/// What a piece of a file is.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Null,
    Boolean(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Text, Node)>),
}

impl Shape {
    pub(crate) fn in_words(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Boolean(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl Node {
    /// As JSON.
    pub(crate) fn to_json(&self) -> Value {
        match &self.value {
            Shape::Null => Value::Null,
            Shape::Boolean(value) => Value::Bool(*value),
            Shape::Number(value) => Value::Number(value.clone()),
            Shape::Text(value) => Value::String(value.clone()),
            Shape::List(items) => items.iter().map(Self::to_json).collect(),
            Shape::Map(entries) => {
                Value::Object(entries.iter().map(|(key, node)| (key.value.clone(), node.to_json())).collect())
            }
        }
    }

    /// Every map in the order of its keys, as canonical JSON has them: the order in which a definition is compiled,
    /// so that the same digest means the same order of everything.
    pub(crate) fn sort(&mut self) {
        match &mut self.value {
            Shape::List(items) => items.iter_mut().for_each(Self::sort),
            Shape::Map(entries) => {
                entries.sort_by(|(a, _), (b, _)| a.value.encode_utf16().cmp(b.value.encode_utf16()));
                entries.iter_mut().for_each(|(_, node)| node.sort());
            }
            _ => {}
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Shape::Map(entries) = &self.value else { return None };
        entries.iter().find(|(name, _)| name.value == key).map(|(_, node)| node)
    }

    /// Says of everything in it in which file it stands.
    fn put_in_file(&mut self, file: usize) {
        self.place.file = file;
        match &mut self.value {
            Shape::List(items) => items.iter_mut().for_each(|item| item.put_in_file(file)),
            Shape::Map(entries) => {
                for (key, node) in entries {
                    key.place.file = file;
                    node.put_in_file(file);
                }
            }
            _ => {}
        }
    }
}

fn placed<T>(spanned: Spanned<T>) -> Placed<T> {
    let at = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).max(1);
    let place =
        Place { file: 0, line: at(spanned.referenced.line()), column: at(spanned.referenced.column()) };
    Placed { value: spanned.value, place }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::<Shape>::deserialize(deserializer).map(placed)
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Shape, E> {
        Ok(Shape::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Shape, E> {
        Ok(Shape::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Shape, E> {
        Ok(Shape::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Shape, E> {
        Number::from_f64(value).map(Shape::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Shape, E> {
        Ok(Shape::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Shape, E> {
        Ok(Shape::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Shape::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Shape, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            map.push((placed(key), entries.next_value()?));
        }
        Ok(Shape::Map(map))
    }
}

/// Reads one file of YAML or JSON.
pub(crate) fn read(file: usize, text: &str, problems: &mut Problems<'_>) -> Option<Node> {
    let start = Place { file, line: 1, column: 1 };
    if text.len() > FILE_BYTES_MAX {
        let help = Some("cut the definition into parts".to_owned());
        problems.add("yaml", start, 1, format!("the file is larger than {FILE_BYTES_MAX} bytes"), help);
        return None;
    }
    match serde_saphyr::from_str_with_options::<Node>(text, strict()) {
        Ok(mut node) => {
            node.put_in_file(file);
            let lines: Vec<&str> = text.lines().collect();
            refuse_tags(&node, &lines, problems);
            refuse_duplicates(&node, problems);
            Some(node)
        }
        Err(error) => {
            let at = |number: u64| usize::try_from(number).unwrap_or(1).max(1);
            let place = error.location().map_or(start, |location| Place {
                file,
                line: at(location.line()),
                column: at(location.column()),
            });
            let message = error.without_snippet().to_string();
            let (message, help) = in_our_words(&message);
            problems.add("yaml", place, 1, message, help);
            None
        }
    }
}

/// Reads canonical JSON. Places are not kept: it stands in one line, and what is stored was compiled before.
pub(crate) fn read_json(text: &str, problems: &mut Problems<'_>) -> Option<Node> {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => Some(from_json(value)),
        Err(error) => {
            let place = Place { file: 0, line: error.line().max(1), column: error.column().max(1) };
            problems.add("yaml", place, 1, format!("this is not JSON: {error}"), None);
            None
        }
    }
}

fn from_json(value: Value) -> Node {
    let place = Place { file: 0, line: 1, column: 1 };
    let value = match value {
        Value::Null => Shape::Null,
        Value::Bool(value) => Shape::Boolean(value),
        Value::Number(value) => Shape::Number(value),
        Value::String(value) => Shape::Text(value),
        Value::Array(items) => Shape::List(items.into_iter().map(from_json).collect()),
        Value::Object(entries) => Shape::Map(
            entries
                .into_iter()
                .map(|(key, value)| (Placed { value: key, place }, from_json(value)))
                .collect(),
        ),
    };
    Placed { value, place }
}

fn strict() -> serde_saphyr::Options {
    options! {
        budget: budget! {
            max_events: 4 * NODES_MAX,
            max_nodes: NODES_MAX,
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_documents: 1,
            max_anchors: 0,
            max_aliases: 0,
            max_merge_keys: 0,
            max_total_scalar_bytes: FILE_BYTES_MAX,
        },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
        merge_keys: serde_saphyr::MergeKeyPolicy::Error,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        reject_tagged_field_names: true,
        with_snippet: false,
    }
}

/// What the reader's message means for a definition, and what to do.
fn in_our_words(message: &str) -> (String, Option<String>) {
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    let is = |what: &str| message.contains(what);
    let (said, help) = if is("Anchors") || is("Aliases") {
        ("anchors and aliases are not allowed: what a reviewer reads is what is there", "write it out")
    } else if is("merge key") {
        ("merge keys are not allowed: what a reviewer reads is what is there", "write it out")
    } else if is("Documents") {
        ("a file holds one document", "cut the definition into parts, one file each")
    } else if is("recursion limit") || is("Depth") {
        return (format!("nested deeper than {DEPTH_MAX} levels"), None);
    } else if is("budget breached") {
        ("the file is too large to be a definition", "cut the definition into parts")
    } else if is("tag") {
        return (message.to_owned(), Some("leave the tag out: quote what is a text".to_owned()));
    } else if is("into string") || is("expected string") {
        ("a key must be a text", "put it in quotes")
    } else {
        return (message.to_owned(), None);
    };
    (said.to_owned(), Some(help.to_owned()))
}

/// The reader drops the tags that it knows (`!!str`) without a word: they stand right before what they are about.
fn refuse_tags(node: &Node, lines: &[&str], problems: &mut Problems<'_>) {
    refuse_tag(node.place, tag_before(node.place, lines).or_else(|| tag_above(node.place, lines)), problems);
    match &node.value {
        Shape::List(items) => items.iter().for_each(|item| refuse_tags(item, lines, problems)),
        Shape::Map(entries) => {
            // A map stands where its first key does.
            for (key, node_below) in entries {
                if key.place != node.place {
                    refuse_tag(key.place, tag_before(key.place, lines), problems);
                }
                refuse_tags(node_below, lines, problems);
            }
        }
        _ => {}
    }
}

fn refuse_tag(place: Place, tag: Option<&str>, problems: &mut Problems<'_>) {
    if let Some(tag) = tag {
        let help = Some("leave the tag out: quote what is a text".to_owned());
        problems.add("yaml", place, 1, format!("the tag `{tag}` is not allowed"), help);
    }
}

/// The text before a place in its line.
fn before<'t>(place: Place, lines: &[&'t str]) -> &'t str {
    let line = lines.get(place.line - 1).copied().unwrap_or_default();
    let start = line.char_indices().nth(place.column - 1).map_or(line.len(), |(byte, _)| byte);
    line[..start].trim_end()
}

fn tag_before<'t>(place: Place, lines: &[&'t str]) -> Option<&'t str> {
    last_tag(before(place, lines))
}

/// A tag of a block that begins in the line below it.
fn tag_above<'t>(place: Place, lines: &[&'t str]) -> Option<&'t str> {
    if place.line < 2 || !before(place, lines).is_empty() {
        return None;
    }
    let above = lines.get(place.line - 2)?;
    last_tag(above.split(" #").next()?.trim_end())
}

fn last_tag(text: &str) -> Option<&str> {
    let token = text.rsplit([' ', '\t', ',', '[', ']', '{', '}']).next()?;
    token.starts_with('!').then_some(token)
}

fn refuse_duplicates(node: &Node, problems: &mut Problems<'_>) {
    match &node.value {
        Shape::List(items) => items.iter().for_each(|item| refuse_duplicates(item, problems)),
        Shape::Map(entries) => {
            let mut first = std::collections::HashMap::new();
            for (key, value) in entries {
                if let Some(line) = first.insert(key.value.as_str(), key.place.line) {
                    let message = format!("`{}` stands here twice: first in line {line}", key.value);
                    problems.at("duplicate-name", key, message, Some("leave one of them out".to_owned()));
                }
                refuse_duplicates(value, problems);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::problem::Problem;
    use crate::definition::source::SourceFile;

    fn problems(text: &str) -> Vec<Problem> {
        let files = [SourceFile { name: "x.yaml".to_owned(), text: text.to_owned() }];
        let mut problems = Problems::new(&files);
        read(0, text, &mut problems);
        problems.into_sorted()
    }

    #[track_caller]
    fn check(text: &str, line: usize, column: usize, words: &str) {
        let problems = problems(text);
        let [problem] = problems.as_slice() else { panic!("{problems:?}") };
        assert_eq!(
            (problem.code, problem.line, problem.column),
            ("yaml", line, column),
            "{}",
            problem.snippet
        );
        assert!(problem.message.contains(words), "{}", problem.message);
    }

    #[track_caller]
    fn check_json(text: &str, expected: &Value) {
        let mut problems = Problems::new(&[]);
        let node = read(0, text, &mut problems).unwrap();
        assert_eq!(&node.to_json(), expected);
        assert!(problems.is_empty());
    }

    #[test]
    fn yaml_is_read_without_surprises() {
        let expected = serde_json::json!({ "on": "yes", "off": "no", "day": "2025-05-28", "n": 12, "b": true, "z": null,
            "zero": "007", "under": "1_000", "text": "a b\n", "list": ["x", { "y": 1 }] });
        let text = "on: yes\noff: no\nday: 2025-05-28\nn: 12\nb: true\nz:\nzero: 007\nunder: 1_000\ntext: >\n  a\n  b\nlist: [x, {y: 1}]\n";
        check_json(text, &expected);
        check_json(r#"{"a": "\ud83d\ude00", "b": [1, -2]}"#, &serde_json::json!({ "a": "😀", "b": [1, -2] }));
    }

    #[test]
    fn broken_yaml_is_one_problem_with_its_place() {
        check("a: b: c", 1, 5, "mapping values");
        check("a: 1\nb: [", 2, 4, "unclosed");
        check("? [a]\n: b\n", 1, 3, "key must be a text");
        check("null: 1\n", 1, 1, "key must be a text");
        check("a: 1\n---\nb: 2\n", 2, 1, "one document");
        check("a: .inf\n", 1, 4, ".inf");
    }

    #[test]
    fn anchors_aliases_merges_and_tags_are_refused() {
        check("a: &a [x]\nb: *a\n", 1, 7, "anchors");
        check("<<: {a: b}\n", 1, 1, "merge keys");
        check("a: !foo bar\n", 1, 9, "!foo");
        check("a: !!str 5\n", 1, 10, "!!str");
        check("a: !!map {b: c}\n", 1, 10, "!!map");
        check("a: !!seq\n  - b\n", 2, 3, "!!seq");
        check("a: [!!int 5]\n", 1, 11, "!!int");
        check("c: d\n!!str a: b\n", 2, 7, "tag");
        check("!!str a: b\n", 1, 7, "tag");
        check_json(
            "a: b !c # !d\ne: 'x !'\nf:  # why !\n  - g\n",
            &serde_json::json!({ "a": "b !c", "e": "x !", "f": ["g"] }),
        );
    }

    #[test]
    fn hostile_files_end_quickly_with_a_problem() {
        let bomb = "a: &a [x,x]\n".to_owned() + &"b: [*a,*a,*a,*a]\n".repeat(1000);
        let indented: String = (0..2_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        for text in [
            "[".repeat(1_000_000),
            "{a: ".repeat(250_000),
            "- ".repeat(500_000),
            "[,".repeat(500_000),
            "\"".repeat(1_000_000) + "\\",
            "!".repeat(1_000_000),
            "&a ".repeat(300_000),
            "? ".repeat(500_000),
            "a: b\n".repeat(900_000),
            "- a\n".repeat(900_000),
            " ".repeat(FILE_BYTES_MAX + 1),
            bomb,
            indented,
        ] {
            assert!(!problems(&text).is_empty(), "{}", &text[..20]);
        }
    }

    #[test]
    fn a_key_twice_is_pointed_at() {
        let problems = problems("a: 1\nb: {c: 1, c: 2}\na: 2\n");
        let found: Vec<_> = problems.iter().map(|p| (p.code, p.line, p.column)).collect();
        assert_eq!(found, [("duplicate-name", 2, 11), ("duplicate-name", 3, 1)]);
    }

    #[test]
    fn a_byte_of_a_text_has_a_place() {
        let text = "a: it's\nb: 'it''s x'\nc: \"a\\\"b x\"\nd: |\n  one x\n  two\ne: a &&\n  b c\n";
        let files = [SourceFile { name: "x.yaml".to_owned(), text: text.to_owned() }];
        let mut problems = Problems::new(&files);
        let node = read(0, text, &mut problems).unwrap();
        let place = |key: &str, offset: usize| {
            let node = node.get(key).unwrap();
            let Shape::Text(value) = &node.value else { panic!("{key}") };
            let place = problems.place_within(&Placed { value: value.clone(), place: node.place }, offset);
            (place.line, place.column)
        };
        assert_eq!(place("a", 3), (1, 7));
        assert_eq!(place("b", 5), (2, 11));
        assert_eq!(place("c", 4), (3, 10));
        assert_eq!(place("d", 4), (5, 7));
        assert_eq!(place("d", 7), (6, 4), "over the end of a line");
        assert_eq!(place("e", 5), (8, 3));
    }
}
