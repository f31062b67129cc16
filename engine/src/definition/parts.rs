//! The files of a definition, merged into one.
//!
//! The cut into files is left behind: what stays of it is the `part` under which people look for an event type, which
//! every event type then carries itself.

use std::collections::HashMap;

use super::problem::{Problems, suggestion};
use super::source::{HEAD_KEYS, PART_KEYS, SourceFile};
use super::syntax::{self, Node, Place, Placed, Shape, Text};

/// Reads all files and merges them; `None` where nothing more can be said than the problems found.
pub(crate) fn merged(files: &[SourceFile], problems: &mut Problems<'_>) -> Option<Node> {
    if files.is_empty() {
        problems.add("missing-part", Place::default(), 1, "a definition has at least one file", None);
        return None;
    }
    let read = files.iter().enumerate().map(|(at, file)| syntax::read(at, &file.text, problems));
    let mut nodes: Vec<Option<Node>> = read.collect();
    let calendars = put_calendars_in(files, &mut nodes);
    let head = nodes.first_mut().and_then(Option::take);
    check_parts(files, head.as_ref(), &calendars, problems);
    let head = entries(head?, problems)?;
    let mut merged = Merged { problems, files, seen: HashMap::new(), entries: Vec::new() };
    merged.add_file(0, head);
    for (at, node) in nodes.into_iter().enumerate() {
        if let Some(entries) = node.and_then(|node| entries(node, merged.problems)) {
            merged.add_file(at, entries);
        }
    }
    let place = Place { file: 0, line: 1, column: 1 };
    Some(Placed { value: Shape::Map(merged.entries), place })
}

/// The files of calendars that these files name, as they are written under `calendars`.
///
/// Whoever reads a definition from somewhere reads them too, and gives them to [`compile`](super::compile::compile) under
/// these names. A file that cannot be read names none.
#[must_use]
pub fn calendar_files(files: &[SourceFile]) -> Vec<String> {
    let mut unheard = Problems::new(&[]);
    let mut named: Vec<String> = Vec::new();
    for node in files.iter().filter_map(|file| syntax::read(0, &file.text, &mut unheard)) {
        if let Some(Node { value: Shape::Map(entries), .. }) = node.get("calendars") {
            named.extend(entries.iter().filter_map(|(_, node)| match &node.value {
                Shape::Text(name) => Some(name.clone()),
                _ => None,
            }));
        }
    }
    named.sort();
    named.dedup();
    named
}

/// Puts the text of each calendar in the place where its file is named, so that the digest covers it. Says which files
/// were calendars.
fn put_calendars_in(files: &[SourceFile], nodes: &mut [Option<Node>]) -> Vec<bool> {
    let mut is_calendar = vec![false; files.len()];
    for at in 0..nodes.len() {
        let Some(mut node) = nodes[at].take() else { continue };
        if let Shape::Map(entries) = &mut node.value
            && let Some((_, Node { value: Shape::Map(named), .. })) =
                entries.iter_mut().find(|(key, _)| key.value == "calendars")
        {
            for (_, calendar) in named {
                let Shape::Text(name) = &calendar.value else { continue };
                let found = files.iter().position(|file| is_file(file, name)).filter(|found| *found != at);
                let Some(found) = found else { continue };
                is_calendar[found] = true;
                // A file that was not understood was said so; nothing more is to be said of the calendar.
                if let Some(read) = &nodes[found] {
                    *calendar = read.clone();
                }
            }
        }
        nodes[at] = Some(node);
    }
    for (node, is_calendar) in nodes.iter_mut().zip(&is_calendar) {
        if *is_calendar {
            *node = None;
        }
    }
    is_calendar
}

/// Whether the file is the one that a definition names so: its name ends with whole steps of the path.
fn is_file(file: &SourceFile, name: &str) -> bool {
    let before = file.name.strip_suffix(name);
    before.is_some_and(|before| before.is_empty() || before.ends_with(['/', '\\']))
}

fn entries(node: Node, problems: &mut Problems<'_>) -> Option<Vec<(Text, Node)>> {
    match node.value {
        Shape::Map(entries) => Some(entries),
        other => {
            let message = format!("a file of a definition is a map, not {}", other.in_words());
            problems.add("wrong-shape", node.place, 1, message, None);
            None
        }
    }
}

/// Whether the files given are those that the head names.
fn check_parts(files: &[SourceFile], head: Option<&Node>, calendars: &[bool], problems: &mut Problems<'_>) {
    let parts = match head.and_then(|head| head.get("parts")) {
        Some(Node { value: Shape::List(parts), .. }) => parts.as_slice(),
        Some(node) => {
            let message = format!("`parts` is a list of files, not {}", node.value.in_words());
            problems.add("wrong-shape", node.place, 1, message, None);
            return;
        }
        None => &[],
    };
    let mut named = calendars.to_vec();
    for part in parts {
        let Shape::Text(name) = &part.value else {
            problems.add("wrong-shape", part.place, 1, "a part is the name of a file", None);
            continue;
        };
        match files.iter().skip(1).position(|file| is_file(file, name)) {
            Some(at) => named[at + 1] = true,
            None => {
                let known = files.iter().skip(1).map(|file| file.name.as_str());
                let text = Placed { value: name.clone(), place: part.place };
                let message = format!("there is no file `{}`", name.escape_debug());
                problems.at("missing-part", &text, message, suggestion(name, known));
            }
        }
    }
    for (at, file) in files.iter().enumerate().skip(1).filter(|(at, _)| !named[*at]) {
        let message = format!("`parts` does not name this file, `{}`", file.name.escape_debug());
        let place = Place { file: at, line: 1, column: 1 };
        problems.add("unlisted-part", place, 1, message, Some("list it under `parts`".to_owned()));
    }
}

struct Merged<'p, 'f> {
    problems: &'p mut Problems<'f>,
    files: &'p [SourceFile],
    /// Key and name to where they were first seen, once over all files.
    seen: HashMap<(String, String), Place>,
    entries: Vec<(Text, Node)>,
}

impl Merged<'_, '_> {
    fn add_file(&mut self, file: usize, entries: Vec<(Text, Node)>) {
        let part = self.part_name(file, &entries);
        for (key, node) in entries {
            match key.value.as_str() {
                "part" | "parts" => {}
                "always-accepted" => self.add_list(key, node),
                name if PART_KEYS.contains(&name) => self.add_names(key, node, part.as_ref()),
                name if file > 0 => {
                    let help = if HEAD_KEYS.contains(&name) {
                        Some("only the first file has it".to_owned())
                    } else {
                        suggestion(name, PART_KEYS)
                    };
                    self.problems.at("unknown-key", &key, format!("a part has no `{name}`"), help);
                }
                _ => self.entries.push((key, node)),
            }
        }
    }

    /// What people call the part: as it says, or the stem of its file; the head has a name only where it says one.
    fn part_name(&mut self, file: usize, entries: &[(Text, Node)]) -> Option<Text> {
        let place = Place { file, line: 1, column: 1 };
        match entries.iter().find(|(key, _)| key.value == "part") {
            Some((_, Node { value: Shape::Text(name), place })) => {
                Some(Placed { value: name.clone(), place: *place })
            }
            Some((_, node)) => {
                let message = format!("`part` is a text, not {}", node.value.in_words());
                self.problems.add("wrong-shape", node.place, 1, message, None);
                None
            }
            None if file == 0 => None,
            None => {
                let name = self.files[file].name.rsplit(['/', '\\']).next().unwrap_or_default();
                let stem = name.split('.').next().unwrap_or_default();
                Some(Placed { value: stem.to_owned(), place })
            }
        }
    }

    fn add_list(&mut self, key: Text, node: Node) {
        let mut items = match node.value {
            Shape::List(items) => items,
            Shape::Null => return,
            value => vec![Placed { value, place: node.place }],
        };
        let all = self.section(key, Shape::List(Vec::new()));
        if let Shape::List(known) = all {
            known.append(&mut items);
            known.sort_by_cached_key(|item| item.to_json().to_string());
            known.dedup_by(|a, b| a.to_json() == b.to_json());
        }
    }

    fn add_names(&mut self, key: Text, node: Node, part: Option<&Text>) {
        let entries = match node.value {
            Shape::Map(entries) => entries,
            Shape::Null => return,
            // Of another shape: kept as it is, for the reader of the source to refuse.
            value => return self.entries.push((key, Placed { value, place: node.place })),
        };
        let mut kept = Vec::new();
        for (name, mut node) in entries {
            let seen = self.seen.entry((key.value.clone(), name.value.clone()));
            let first = *seen.or_insert(name.place);
            // Twice in one map was said already when that map was read.
            if first.file != name.place.file {
                let file = &self.files[first.file].name;
                let message =
                    format!("`{}` is defined twice: first in {file}, line {}", name.value, first.line);
                self.problems.at("duplicate-name", &name, message, Some("leave one of them out".to_owned()));
                continue;
            }
            if key.value == "events" {
                put_in_part(&mut node, part);
            }
            kept.push((name, node));
        }
        if let Shape::Map(known) = self.section(key, Shape::Map(Vec::new())) {
            known.append(&mut kept);
        }
    }

    /// The merged section of this name.
    fn section(&mut self, key: Text, empty: Shape) -> &mut Shape {
        let found = self.entries.iter().position(|(known, _)| known.value == key.value);
        let at = found.unwrap_or_else(|| {
            let place = key.place;
            self.entries.push((key, Placed { value: empty, place }));
            self.entries.len() - 1
        });
        &mut self.entries[at].1.value
    }
}

fn put_in_part(event: &mut Node, part: Option<&Text>) {
    let Some(part) = part else { return };
    if matches!(event.value, Shape::Null) {
        event.value = Shape::Map(Vec::new());
    }
    if let Shape::Map(entries) = &mut event.value
        && !entries.iter().any(|(key, _)| key.value == "part")
    {
        let key = Placed { value: "part".to_owned(), place: part.place };
        entries.push((key, Placed { value: Shape::Text(part.value.clone()), place: part.place }));
    }
}
