//! The pieces of a definition, read out of its tree: maps with known keys, names, texts, lists.
//!
//! What does not fit is said at its place, and reading goes on: one mistake hides no other.

use super::problem::Problems;
use super::syntax::{Node, Place, Placed, Shape, Text};

/// The most names in one list: beyond it nobody could review a definition.
pub(crate) const NAMES_MAX: usize = 5_000;

/// A map with the keys that it may have.
pub(crate) struct Fields<'n> {
    what: &'static str,
    pub(crate) place: Place,
    entries: &'n [(Text, Node)],
}

#[cfg(test)]
thread_local! {
    /// Every map that was read on this thread: what it is called, and the keys it may have, sorted.
    pub(crate) static ASKED: std::cell::RefCell<std::collections::BTreeSet<(String, Vec<String>)>> =
        const { std::cell::RefCell::new(std::collections::BTreeSet::new()) };
}

pub(crate) fn fields<'n>(
    node: &'n Node,
    what: &'static str,
    known: &[&str],
    problems: &mut Problems<'_>,
) -> Fields<'n> {
    #[cfg(test)]
    ASKED.with_borrow_mut(|asked| {
        let mut keys: Vec<String> = known.iter().map(|key| (*key).to_owned()).collect();
        keys.sort();
        asked.insert((what.to_owned(), keys));
    });
    let entries: &[(Text, Node)] = match &node.value {
        Shape::Map(entries) => entries,
        Shape::Null => &[],
        other => {
            problems.add(
                "wrong-shape",
                node.place,
                1,
                format!("{what} is a map, not {}", other.in_words()),
                None,
            );
            &[]
        }
    };
    for (key, value) in entries {
        if known.contains(&key.value.as_str()) {
            continue;
        }
        let help = match value.value {
            Shape::Null if key.value.contains(' ') => {
                Some("a text with a comma in it needs quotes".to_owned())
            }
            _ => problems.suggestion(&key.value, known.iter().copied()),
        };
        problems.at("unknown-key", key, format!("{what} has no `{}`", key.value), help);
    }
    Fields { what, place: node.place, entries }
}

impl<'n> Fields<'n> {
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(name, _)| name.value == key).map(|(_, node)| node)
    }

    pub(crate) fn required(&self, key: &str, problems: &mut Problems<'_>) -> Option<&'n Node> {
        let found = self.get(key);
        if found.is_none() {
            problems.add("missing-key", self.place, 1, format!("{} needs `{key}`", self.what), None);
        }
        found
    }

    pub(crate) fn text(&self, key: &str, problems: &mut Problems<'_>) -> Option<Text> {
        self.get(key).and_then(|node| text(node, key, problems))
    }

    pub(crate) fn required_text(&self, key: &str, problems: &mut Problems<'_>) -> Option<Text> {
        self.required(key, problems).and_then(|node| text(node, key, problems))
    }

    pub(crate) fn condition(&self, key: &str, problems: &mut Problems<'_>) -> Option<Text> {
        self.get(key).and_then(|node| condition(node, key, problems))
    }

    /// One name or a list of names.
    pub(crate) fn names(&self, key: &str, problems: &mut Problems<'_>) -> Vec<Text> {
        self.get(key).map(|node| names(node, key, problems)).unwrap_or_default()
    }

    pub(crate) fn flag(&self, key: &str, problems: &mut Problems<'_>) -> bool {
        match self.get(key) {
            None => false,
            Some(Node { value: Shape::Boolean(value), .. }) => *value,
            Some(node) => {
                let message = format!("`{key}` is true or false, not {}", node.value.in_words());
                problems.add("wrong-shape", node.place, 1, message, None);
                false
            }
        }
    }

    pub(crate) fn title(&self, name: &str, problems: &mut Problems<'_>) -> String {
        self.text("title", problems).map_or_else(|| spoken(name), |title| title.value)
    }

    /// A map from names to whatever they name.
    pub(crate) fn named(&self, key: &str, problems: &mut Problems<'_>) -> &'n [(Text, Node)] {
        let Some(node) = self.get(key) else { return &[] };
        named(node, key, problems)
    }
}

pub(crate) fn named<'n>(node: &'n Node, key: &str, problems: &mut Problems<'_>) -> &'n [(Text, Node)] {
    match &node.value {
        Shape::Map(entries) => {
            if entries.len() > NAMES_MAX {
                problems.add("too-many", node.place, 1, format!("`{key}` names more than {NAMES_MAX}"), None);
                return &[];
            }
            entries.iter().for_each(|(name, _)| kebab_case(name, problems));
            entries
        }
        Shape::Null => &[],
        other => {
            let message = format!("`{key}` is a map from names, not {}", other.in_words());
            problems.add("wrong-shape", node.place, 1, message, None);
            &[]
        }
    }
}

pub(crate) fn kebab_case(name: &Text, problems: &mut Problems<'_>) {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !name.value.split('-').all(is_word) || name.value.starts_with(|c: char| c.is_ascii_digit()) {
        let help = Some("names are lower-case words joined by hyphens, such as `sentence-passed`".to_owned());
        problems.at("bad-name", name, format!("`{}` is not a name", name.value.escape_debug()), help);
    }
}

/// A name as a sentence begins: `sentence-passed` is "Sentence passed".
pub(crate) fn spoken(name: &str) -> String {
    let words = name.replace('-', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

pub(crate) fn text(node: &Node, key: &str, problems: &mut Problems<'_>) -> Option<Text> {
    if let Shape::Text(value) = &node.value {
        return Some(Placed { value: value.clone(), place: node.place });
    }
    let help =
        matches!(node.value, Shape::Boolean(_) | Shape::Number(_)).then(|| "put it in quotes".to_owned());
    let message = format!("`{key}` is a text, not {}", node.value.in_words());
    problems.add("wrong-shape", node.place, 1, message, help);
    None
}

/// A condition: a text, or true or false as YAML reads them.
pub(crate) fn condition(node: &Node, key: &str, problems: &mut Problems<'_>) -> Option<Text> {
    match &node.value {
        Shape::Boolean(value) => Some(Placed { value: value.to_string(), place: node.place }),
        _ => text(node, key, problems),
    }
}

pub(crate) fn names(node: &Node, key: &str, problems: &mut Problems<'_>) -> Vec<Text> {
    match &node.value {
        Shape::List(items) if items.len() <= NAMES_MAX => {
            items.iter().filter_map(|item| text(item, key, problems)).collect()
        }
        Shape::List(_) => {
            problems.add("too-many", node.place, 1, format!("`{key}` lists more than {NAMES_MAX}"), None);
            Vec::new()
        }
        Shape::Text(_) => text(node, key, problems).into_iter().collect(),
        other => {
            let message = format!("`{key}` is a name or a list of names, not {}", other.in_words());
            problems.add("wrong-shape", node.place, 1, message, None);
            Vec::new()
        }
    }
}

pub(crate) fn list<'n>(node: &'n Node, key: &str, problems: &mut Problems<'_>) -> &'n [Node] {
    match &node.value {
        Shape::List(items) => items,
        Shape::Null => &[],
        other => {
            problems.add(
                "wrong-shape",
                node.place,
                1,
                format!("`{key}` is a list, not {}", other.in_words()),
                None,
            );
            &[]
        }
    }
}
