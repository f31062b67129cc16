//! A strand as a picture: SVG, Graphviz DOT and Mermaid.
//!
//! All three draw the same drawing: the events that lead from one state to another share one line, an event
//! that leads from every state (or from every state that is not final) comes from one dashed box, and an event
//! that is accepted and moves nothing is written into the state.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::placement::{Line, PlacedLine, Placement, Point, Size, place};
use super::{Branch, Definition, EventTypeId, StateId, Strand, StrandId};

/// An event that leads out of at least this many states, and out of all there are, is drawn from one dashed box.
const GATHERED_STATES_MIN: usize = 4;
/// Labels written on one line; the rest is counted, and read in the line's title.
const LABELS_SHOWN: usize = 7;
/// Letters of a label that are written; the whole of it stands in the title.
const LABEL_LETTERS: usize = 34;

const FONT: &str = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', Arial, sans-serif";
const STATE_TEXT: f64 = 13.0;
const LABEL_TEXT: f64 = 11.0;

struct Drawing {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

enum Node {
    /// Where an instance begins.
    Start,
    /// Every state, or every state that is not final.
    Gathered {
        open_only: bool,
    },
    State(StateId),
}

struct Edge {
    from: usize,
    to: usize,
    labels: Vec<String>,
}

/// The strand as a Mermaid `stateDiagram-v2`.
#[must_use]
pub fn mermaid(definition: &Definition, strand: StrandId) -> String {
    let (strand, drawing) = (&definition.strands[strand.index()], drawing(definition, strand));
    let mut text = String::from("stateDiagram-v2\n    direction TB\n");
    let name = |node: &Node| match node {
        Node::Start => "[*]".to_owned(),
        Node::Gathered { open_only: true } => "any_open_state".to_owned(),
        Node::Gathered { open_only: false } => "any_state".to_owned(),
        Node::State(state) => mermaid_id(&strand.states[state.index()].name),
    };
    for state in &strand.states {
        let _ = writeln!(text, "    state \"{}\" as {}", plain(&state.title), mermaid_id(&state.name));
    }
    for node in &drawing.nodes {
        if let Node::Gathered { .. } = node {
            let line = format!("    state \"{}\" as {}\n", node.text(strand), name(node));
            if !text.contains(&line) {
                text += &line;
            }
        }
    }
    for edge in &drawing.edges {
        let (from, to) = (name(&drawing.nodes[edge.from]), name(&drawing.nodes[edge.to]));
        let label = edge.labels.iter().map(|label| plain(label)).collect::<Vec<_>>().join("<br/>");
        let colon = if label.is_empty() { "" } else { " : " };
        let _ = writeln!(text, "    {from} --> {to}{colon}{label}");
    }
    for (at, state) in strand.states.iter().enumerate() {
        let name = mermaid_id(&state.name);
        let stays = stays(definition, strand, at);
        if !stays.is_empty() {
            let _ = writeln!(text, "    {name} --> {name} : {}", stays.join("<br/>"));
        }
        if state.is_final {
            let _ = writeln!(text, "    {name} --> [*]");
        }
    }
    text
}

/// The strand as a Graphviz digraph.
#[must_use]
pub fn dot(definition: &Definition, strand: StrandId) -> String {
    let (strand, drawing) = (&definition.strands[strand.index()], drawing(definition, strand));
    let mut text = format!("digraph \"{}\" {{\n", quoted(&strand.name));
    text += "    rankdir=TB;\n    node [shape=box, style=rounded, fontname=\"sans-serif\"];\n";
    text += "    edge [fontname=\"sans-serif\", fontsize=10];\n";
    let name = |at: usize| match &drawing.nodes[at] {
        Node::State(state) => format!("\"{}\"", quoted(&strand.states[state.index()].name)),
        _ => format!("\"({at})\""),
    };
    for (at, node) in drawing.nodes.iter().enumerate() {
        let label = quoted(&node.text(strand));
        let look = match node {
            Node::Start => ", shape=point, width=0.15".to_owned(),
            Node::Gathered { .. } => ", style=\"rounded,dashed\"".to_owned(),
            Node::State(state) if strand.states[state.index()].is_final => ", peripheries=2".to_owned(),
            Node::State(_) => String::new(),
        };
        let _ = writeln!(text, "    {} [label=\"{label}\"{look}];", name(at));
    }
    for edge in &drawing.edges {
        let labels = edge.labels.iter().map(|label| quoted(label)).collect::<Vec<_>>().join("\\n");
        let _ = writeln!(text, "    {} -> {} [label=\"{labels}\"];", name(edge.from), name(edge.to));
    }
    for (at, state) in strand.states.iter().enumerate() {
        let stays = stays(definition, strand, at).join("\\n");
        if !stays.is_empty() {
            let name = quoted(&state.name);
            let _ = writeln!(text, "    \"{name}\" -> \"{name}\" [label=\"{stays}\"];");
        }
    }
    text + "}\n"
}

/// The strand as an SVG image, the state `highlight` marked as the present one.
///
/// Colours come from the properties `--casebook-paper`, `--casebook-ink`, `--casebook-faint` and
/// `--casebook-accent` of the page it stands in; alone it is dark on white. There is no style sheet in it, and
/// every state and line has a title with the whole of its text. The same definition gives the same bytes.
#[must_use]
pub fn svg(definition: &Definition, strand: StrandId, highlight: Option<StateId>) -> String {
    let drawing = drawing(definition, strand);
    let strand = &definition.strands[strand.index()];
    let faces: Vec<Face> =
        drawing.nodes.iter().map(|node| Face::of(definition, strand, node, highlight)).collect();
    let labels: Vec<Vec<String>> = drawing.edges.iter().map(|edge| shown(&edge.labels)).collect();
    let lines: Vec<Line> = drawing
        .edges
        .iter()
        .zip(&labels)
        .map(|(edge, labels)| Line { from: edge.from, to: edge.to, label: label_size(labels) })
        .collect();
    let sizes: Vec<Size> = faces.iter().map(|face| face.size).collect();
    let mut placement = place(&sizes, &lines);
    let notes = overlay_notes(definition, strand);
    let first_note = placement.size.height + LABEL_TEXT;
    for note in &notes {
        placement.size.height += 18.0;
        placement.size.width = placement.size.width.max(text_width(note, LABEL_TEXT) + 40.0);
    }
    let mut text = opening(strand, &placement, highlight);
    for (edge, placed) in drawing.edges.iter().zip(&placement.lines) {
        let ends = (drawing.nodes[edge.from].text(strand), drawing.nodes[edge.to].text(strand));
        draw_line(&mut text, edge, (&ends.0, &ends.1), placed);
    }
    for (labels, (edge, placed)) in labels.iter().zip(drawing.edges.iter().zip(&placement.lines)) {
        if let (Some(at), Some(size)) = (placed.label, label_size(labels)) {
            draw_label(&mut text, labels, &edge.labels, at, size);
        }
    }
    for (face, at) in faces.iter().zip(&placement.boxes) {
        face.draw(&mut text, *at);
    }
    for (at, note) in notes.iter().enumerate() {
        let y = first_note + 18.0 * at as f64;
        let _ = writeln!(
            text,
            r#"<text x="20" y="{y:.1}" font-size="{LABEL_TEXT}" fill="currentColor">{}</text>"#,
            escaped(note)
        );
    }
    text + "</g>\n</g>\n</svg>\n"
}

fn drawing(definition: &Definition, id: StrandId) -> Drawing {
    let strand = &definition.strands[id.index()];
    let mut nodes = vec![Node::Start];
    nodes.extend(
        (0..strand.states.len()).filter_map(|at| u16::try_from(at).ok()).map(|at| Node::State(StateId(at))),
    );
    let mut merged: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
    for initial in &strand.initial {
        for (at, branch) in initial.branches.iter().enumerate() {
            if let Some(to) = branch.to {
                let event = initial.on.map(|event| definition.event_type(event).name.as_str());
                let labels = merged.entry((0, to.index() + 1)).or_default();
                labels.extend(event.map(|event| label(event, &initial.branches, at)));
            }
        }
    }
    for (to, (text, sources)) in moves(definition, strand) {
        let open = |state: usize| !strand.states[state].is_final;
        let others = || (0..strand.states.len()).filter(|state| *state != to);
        let all = sources.len() >= GATHERED_STATES_MIN;
        let open_only = if all && others().all(|state| sources.contains(&state)) {
            Some(false)
        } else if all && others().filter(|state| open(*state)).eq(sources.iter().copied()) {
            Some(true)
        } else {
            None
        };
        let Some(open_only) = open_only else {
            for from in sources {
                merged.entry((from + 1, to + 1)).or_default().push(text.clone());
            }
            continue;
        };
        let known = merged.keys().find(|(from, end)| {
            *end == to + 1
                && matches!(nodes[*from], Node::Gathered { open_only: known } if known == open_only)
        });
        let from = known.map_or(nodes.len(), |(from, _)| *from);
        if from == nodes.len() {
            nodes.push(Node::Gathered { open_only });
        }
        merged.entry((from, to + 1)).or_default().push(text);
    }
    let edges = merged.into_iter().map(|((from, to), labels)| Edge { from, to, labels }).collect();
    Drawing { nodes, edges }
}

/// Every label with the state it leads to and the states it leads from, in the order of the definition's events.
fn moves(definition: &Definition, strand: &Strand) -> Vec<(usize, (String, Vec<usize>))> {
    let mut found: Vec<(usize, (String, Vec<usize>))> = Vec::new();
    for (event, row) in rows(strand) {
        for (at, branch) in row.branches.iter().enumerate() {
            let Some(to) = branch.to.filter(|to| *to != row.from).map(StateId::index) else { continue };
            let text = label(&definition.event_type(event).name, &row.branches, at);
            match found.iter_mut().find(|(end, (known, _))| *end == to && *known == text) {
                Some((_, (_, sources))) => sources.push(row.from.index()),
                None => found.push((to, (text, vec![row.from.index()]))),
            }
        }
    }
    for (_, (_, sources)) in &mut found {
        sources.sort_unstable();
        sources.dedup();
    }
    found
}

/// What is accepted in a state and leaves it.
fn stays(definition: &Definition, strand: &Strand, state: usize) -> Vec<String> {
    let mut found = Vec::new();
    for (event, row) in rows(strand).filter(|(_, row)| row.from.index() == state) {
        for (at, branch) in row.branches.iter().enumerate() {
            if branch.to.is_none_or(|to| to.index() == state) {
                found.push(label(&definition.event_type(event).name, &row.branches, at));
            }
        }
    }
    found
}

fn rows(strand: &Strand) -> impl Iterator<Item = (EventTypeId, &super::Row)> {
    let mut events: Vec<_> = strand.rows.iter().collect();
    events.sort_by_key(|(event, _)| **event);
    events.into_iter().flat_map(|(event, rows)| rows.iter().map(|row| (*event, row)))
}

/// The event's name, and the values on which its branch depends.
fn label(event: &str, branches: &[Branch], at: usize) -> String {
    if branches[at].matches.is_empty() {
        return if at == 0 { event.to_owned() } else { format!("{event} (otherwise)") };
    }
    let fields = branches[at].matches.iter().map(|(field, values)| {
        let values = values.iter().map(|value| match value {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Bool(true) => field.clone(),
            serde_json::Value::Bool(false) => format!("not {field}"),
            other => format!("{field} {other}"),
        });
        values.collect::<Vec<_>>().join(", ")
    });
    format!("{event} ({})", fields.collect::<Vec<_>>().join("; "))
}

fn overlay_notes(definition: &Definition, strand: &Strand) -> Vec<String> {
    let names = |events: &[EventTypeId]| {
        events
            .iter()
            .map(|event| definition.event_type(*event).name.as_str())
            .collect::<Vec<_>>()
            .join(" or ")
    };
    let note = |overlay: &super::Overlay| {
        let (set, cleared) = (names(&overlay.set_by), names(&overlay.cleared_by));
        let cleared = if cleared.is_empty() { String::new() } else { format!(" until {cleared}") };
        format!("On top of a state: {}, from {set}{cleared}", overlay.title)
    };
    strand.overlays.iter().map(note).collect()
}

impl Node {
    fn text(&self, strand: &Strand) -> String {
        match self {
            Self::Start => "start".to_owned(),
            Self::Gathered { open_only: true } => "any open state".to_owned(),
            Self::Gathered { open_only: false } => "any state".to_owned(),
            Self::State(state) => strand.states[state.index()].title.clone(),
        }
    }
}

/// How a box looks.
struct Face {
    size: Size,
    look: Look,
    text: Vec<String>,
    note: Option<String>,
    title: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Look {
    Dot,
    Dashed,
    State { is_final: bool, present: bool },
}

impl Face {
    fn of(definition: &Definition, strand: &Strand, node: &Node, highlight: Option<StateId>) -> Self {
        let text = node.text(strand);
        let (look, note, title) = match node {
            Node::Start => {
                let start = match strand.per {
                    None => "The case is opened".to_owned(),
                    Some(kind) => format!("A {} is introduced", definition.kinds[kind.index()].name),
                };
                let size = Size { width: 14.0, height: 14.0 };
                return Self { size, look: Look::Dot, text: Vec::new(), note: None, title: start };
            }
            Node::Gathered { .. } => (Look::Dashed, None, text.clone()),
            Node::State(state) => {
                let described = &strand.states[state.index()];
                let present = highlight == Some(*state);
                let stays = stays(definition, strand, state.index());
                let mut title = format!("{} ({})", described.title, described.name);
                title += if described.is_final { ", final" } else { "" };
                title += if present { ", the present state" } else { "" };
                if !stays.is_empty() {
                    let _ = write!(title, "; accepts and stays: {}", stays.join(", "));
                }
                let note = match stays.as_slice() {
                    [] => None,
                    [one] if one.len() <= 24 => Some(format!("stays on {one}")),
                    [_] => Some("stays on 1 event".to_owned()),
                    more => Some(format!("stays on {} events", more.len())),
                };
                (Look::State { is_final: described.is_final, present }, note, title)
            }
        };
        let text = wrapped(&text, 26);
        let widest = text.iter().map(|line| text_width(line, STATE_TEXT)).fold(56.0, f64::max);
        let widest = note.iter().map(|note| text_width(note, 10.0)).fold(widest, f64::max);
        let height = 18.0 + 16.0 * text.len() as f64 + if note.is_some() { 13.0 } else { 0.0 };
        Self { size: Size { width: widest + 34.0, height }, look, text, note, title }
    }

    fn draw(&self, out: &mut String, at: Point) {
        let _ = writeln!(out, "<g><title>{}</title>", escaped(&self.title));
        let (width, height) = (self.size.width, self.size.height);
        let (left, top) = (at.x - width / 2.0, at.y - height / 2.0);
        let frame = |out: &mut String, inset: f64, attributes: &str| {
            let _ = writeln!(
                out,
                r#"<rect x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}" rx="{:.1}" {attributes}/>"#,
                left + inset,
                top + inset,
                width - 2.0 * inset,
                height - 2.0 * inset,
                8.0 - inset,
            );
        };
        match self.look {
            Look::Dot => {
                let _ =
                    writeln!(out, r#"<circle cx="{:.1}" cy="{:.1}" r="6" fill="currentColor"/>"#, at.x, at.y);
            }
            Look::Dashed => {
                frame(out, 0.0, r#"stroke="currentColor" stroke-dasharray="5 4" stroke-opacity="0.7""#);
            }
            Look::State { is_final, present } => {
                frame(out, 0.0, r#"stroke="currentColor""#);
                frame(out, 0.0, r#"fill="currentColor" fill-opacity="0.05""#);
                if is_final {
                    frame(out, 3.5, r#"fill="none" stroke="currentColor""#);
                }
                if present {
                    let _ = writeln!(out, "<g color=\"{ACCENT_ALONE}\"><g color=\"{ACCENT}\">");
                    frame(out, -1.5, r#"fill="none" stroke="currentColor" stroke-width="3""#);
                    frame(out, 0.0, r#"fill="currentColor" fill-opacity="0.2""#);
                    out.push_str("</g></g>\n");
                }
            }
        }
        let lines = self.text.len() as f64;
        let block = 16.0 * lines + if self.note.is_some() { 13.0 } else { 0.0 };
        let mut y = at.y - block / 2.0 + 12.5;
        let weight = if self.look == Look::Dashed { "400" } else { "600" };
        for line in &self.text {
            write_text(out, Point { x: at.x, y }, STATE_TEXT, weight, line);
            y += 16.0;
        }
        if let Some(note) = &self.note {
            write_text(out, Point { x: at.x, y: y - 2.0 }, 10.0, "400", note);
        }
        out.push_str("</g>\n");
    }
}

const ACCENT: &str = "var(--casebook-accent, #1d70b8)";
const ACCENT_ALONE: &str = "#1d70b8";

/// The outer `color` and `fill` are for renderers that do not know `var()`: they pass over the inner ones.
fn opening(strand: &Strand, placement: &Placement, highlight: Option<StateId>) -> String {
    let (width, height) = (placement.size.width.ceil(), placement.size.height.ceil());
    let mut name = format!("State diagram: {}", strand.title);
    if let Some(state) = highlight {
        let _ = write!(name, ". Present state: {}", strand.states[state.index()].title);
    }
    let name = escaped(&name);
    let mut text = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{name}" font-family="{FONT}" color="#1d2733" fill="#ffffff">
<title>{name}</title>
"##
    );
    text += "<g color=\"var(--casebook-ink, #1d2733)\" fill=\"var(--casebook-paper, #ffffff)\">\n";
    let _ = writeln!(text, r#"<rect width="{width}" height="{height}" rx="8"/>"#);
    text += "<g stroke-linejoin=\"round\">\n";
    text
}

fn draw_line(out: &mut String, edge: &Edge, ends: (&str, &str), placed: &PlacedLine) {
    let title = if edge.labels.is_empty() {
        format!("{} to {}", ends.0, ends.1)
    } else {
        format!("{} to {}: {}", ends.0, ends.1, edge.labels.join(", "))
    };
    let [start, .., last] = placed.points.as_slice() else { return };
    let downwards = placed.points[placed.points.len() - 3].y < last.y;
    let away = if downwards { -1.0 } else { 1.0 };
    let mut path = format!("M{:.1} {:.1}", start.x, start.y);
    let mut at = *start;
    for (index, point) in placed.points.iter().enumerate().skip(1) {
        let point = if index + 2 >= placed.points.len() {
            Point { x: point.x, y: last.y + away * 6.0 }
        } else {
            *point
        };
        if index % 2 == 1 || (point.x - at.x).abs() < 0.05 {
            let _ = write!(path, "L{:.1} {:.1}", point.x, point.y);
        } else {
            let middle = f64::midpoint(at.y, point.y);
            let _ = write!(
                path,
                "C{:.1} {middle:.1} {:.1} {middle:.1} {:.1} {:.1}",
                at.x, point.x, point.x, point.y
            );
        }
        at = point;
    }
    let _ = writeln!(
        out,
        r#"<g stroke="currentColor" stroke-opacity="0.65"><title>{}</title><path d="{path}" fill="none" stroke-width="1.2"/>"#,
        escaped(&title)
    );
    let _ = writeln!(
        out,
        r#"<path d="M{:.1} {:.1}l-4 {:.1}h8z" fill="currentColor" stroke="none"/></g>"#,
        last.x,
        last.y,
        away * 8.0
    );
}

fn draw_label(out: &mut String, shown: &[String], whole: &[String], at: Point, size: Size) {
    let _ = writeln!(
        out,
        r#"<g><title>{}</title><rect x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}" rx="3"/>"#,
        escaped(&whole.join(", ")),
        at.x - size.width / 2.0,
        at.y - size.height / 2.0,
        size.width,
        size.height
    );
    for (index, line) in shown.iter().enumerate() {
        let y = at.y - size.height / 2.0 + 12.0 + 14.0 * index as f64;
        write_text(out, Point { x: at.x, y }, LABEL_TEXT, "400", line);
    }
    out.push_str("</g>\n");
}

fn write_text(out: &mut String, at: Point, size: f64, weight: &str, text: &str) {
    let _ = writeln!(
        out,
        r#"<text x="{:.1}" y="{:.1}" font-size="{size}" font-weight="{weight}" text-anchor="middle" fill="currentColor">{}</text>"#,
        at.x,
        at.y,
        escaped(text)
    );
}

/// The labels that are written: a long one on two lines, a very long one cut.
fn shown(labels: &[String]) -> Vec<String> {
    let cut = |text: &str| {
        if text.chars().count() <= LABEL_LETTERS {
            return text.to_owned();
        }
        let kept: String = text.chars().take(LABEL_LETTERS - 1).collect();
        format!("{}…", kept.trim_end_matches([' ', ',', '(', ';']))
    };
    let lines = |label: &String| match label.split_once(" (") {
        Some((event, values)) if label.chars().count() > LABEL_LETTERS => {
            vec![event.to_owned(), cut(&format!("({values}"))]
        }
        _ => vec![cut(label)],
    };
    if labels.len() <= LABELS_SHOWN {
        return labels.iter().flat_map(lines).collect();
    }
    let mut shown: Vec<String> = labels.iter().take(LABELS_SHOWN - 1).flat_map(lines).collect();
    shown.push(format!("and {} more", labels.len() + 1 - LABELS_SHOWN));
    shown
}

fn label_size(shown: &[String]) -> Option<Size> {
    let widest = shown.iter().map(|label| text_width(label, LABEL_TEXT)).reduce(f64::max)?;
    Some(Size { width: widest + 8.0, height: 14.0 * shown.len() as f64 + 3.0 })
}

/// How wide a text is in a usual sans-serif face, rather too wide than too narrow.
fn text_width(text: &str, size: f64) -> f64 {
    let em: f64 = text
        .chars()
        .map(|letter| match letter {
            'i' | 'j' | 'l' | '\'' | '.' | ',' | ';' | ':' | '|' | 'I' => 0.29,
            'f' | 't' | 'r' | ' ' | '(' | ')' | '-' | '/' => 0.37,
            'm' | 'w' | 'M' | 'W' | '…' => 0.89,
            'A'..='Z' => 0.71,
            _ => 0.58,
        })
        .sum();
    em * size * 1.03
}

fn wrapped(text: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= letters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Mermaid ends a statement at a semicolon and a title at a quotation mark.
fn plain(text: &str) -> String {
    text.replace(';', ",").replace('"', "'").replace([':', '\n'], " ")
}

/// Mermaid reads a hyphen as the beginning of an arrow, and some words as its own.
fn mermaid_id(name: &str) -> String {
    let id = name.replace('-', "_");
    if ["state", "end", "note", "direction", "class", "style", "as", "default"].contains(&id.as_str()) {
        format!("{id}_")
    } else {
        id
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Write as _;

    use super::*;
    use crate::definition::compile::compile;
    use crate::definition::source::SourceFile;

    /// A definition of one strand. States are words, final ones with a star; the first is the initial one.
    /// A row is `event from,from -> to`, or `event?field=value,value from -> to`; `any` and `any-open` stand for
    /// several states, and `-` on the right for staying.
    fn definition(states: &str, rows: &str) -> Definition {
        let mut yaml = String::from("workflow: drawn\nversion: 1\nlanguage: casebook/1\ntitle: Drawn\n");
        yaml += "timezone: Europe/London\nroles: { clerk: { title: Clerk } }\nevents:\n";
        let mut events: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut lines: Vec<(&str, &str, Vec<String>)> = Vec::new();
        for line in rows.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (left, to) = line.split_once(" -> ").unwrap();
            let (event, from) = left.split_once(' ').unwrap();
            let (event, test) =
                event.split_once('?').map_or((event, None), |(event, test)| (event, Some(test)));
            let to = if to == "-" { String::new() } else { format!("to: {to}") };
            let branch =
                test.map(|test| test.split_once('=').unwrap()).map_or(to.clone(), |(field, values)| {
                    events.entry(event).or_default().extend(values.split(',').map(str::to_owned));
                    format!("where: {{ {field}: [{values}] }}, {to}")
                });
            events.entry(event).or_default();
            match lines.iter_mut().find(|(known, sources, _)| *known == event && *sources == from) {
                Some((_, _, branches)) => branches.push(branch),
                None => lines.push((event, from, vec![branch])),
            }
        }
        for (event, values) in &events {
            let field = rows.split_once(&format!("{event}?")).and_then(|(_, rest)| rest.split_once('='));
            let data = field.map_or(String::new(), |(field, _)| {
                format!(
                    "data: {{ properties: {{ {field}: {{ enum: [{}] }} }}, required: [{field}] }}",
                    values.join(", ")
                )
            });
            let _ = writeln!(yaml, "  {event}: {{ title: {event}, {data} }}");
        }
        yaml += "strands:\n  drawn:\n    title: Drawn\n    states:\n";
        for name in states.split_whitespace() {
            let is_final = if name.ends_with('*') { "final: true" } else { "" };
            let _ = writeln!(yaml, "      {}: {{ {is_final} }}", name.trim_end_matches('*'));
        }
        let _ = writeln!(yaml, "    initial: {}", states.split_whitespace().next().unwrap());
        yaml += "    transitions:\n";
        for (event, from, branches) in lines {
            let from = if from.starts_with("any") { from.to_owned() } else { format!("[{from}]") };
            let what = match branches.as_slice() {
                [one] if !one.contains("where") => one.clone(),
                several => format!(
                    "choose: [{}]",
                    several.iter().map(|one| format!("{{ {one} }}")).collect::<Vec<_>>().join(", ")
                ),
            };
            let _ = writeln!(yaml, "      - {{ on: {event}, from: {from}, {what} }}");
        }
        let file = SourceFile { name: "drawn.yaml".to_owned(), text: yaml };
        compile(std::slice::from_ref(&file)).unwrap_or_else(|problems| panic!("{problems:#?}\n{}", file.text))
    }

    fn report() -> Definition {
        definition(
            "assessing under-investigation reported decided appealed closed*",
            "investigation-started assessing -> under-investigation
             no-investigation-decided assessing -> decided
             report-submitted under-investigation -> reported
             report-returned reported -> under-investigation
             decision-made?finding=case-to-answer,no-case-to-answer reported -> decided
             decision-made?finding=further-work reported -> under-investigation
             appeal-lodged decided -> appealed
             appeal-determined appealed -> decided
             statement-added under-investigation,reported -> -
             evidence-logged under-investigation -> -
             case-closed decided -> closed
             case-reopened closed -> assessing",
        )
    }

    fn charge() -> Definition {
        definition(
            "authorised laid before-magistrates sent awaiting-trial in-trial jury-deliberating convicted-awaiting-sentence \
             sentenced* acquitted* discontinued* stayed withdrawn* hung-jury retrial-ordered appeal-allowed* \
             sentence-deferred unfit-to-plead hospital-order* abated* lying-on-file*",
            "charge-laid authorised -> laid
             first-appearance-held laid -> before-magistrates
             case-sent-to-crown-court before-magistrates -> sent
             plea-entered?plea=guilty,guilty-to-alternative before-magistrates,sent -> convicted-awaiting-sentence
             plea-entered?plea=not-guilty,no-plea before-magistrates,sent -> awaiting-trial
             plea-entered?plea=guilty,guilty-to-alternative awaiting-trial,in-trial -> convicted-awaiting-sentence
             plea-entered?plea=not-guilty,no-plea awaiting-trial,in-trial -> -
             trial-started awaiting-trial,retrial-ordered -> in-trial
             jury-retired in-trial -> jury-deliberating
             verdict-returned?verdict=guilty jury-deliberating,in-trial -> convicted-awaiting-sentence
             verdict-returned?verdict=not-guilty jury-deliberating,in-trial -> acquitted
             jury-discharged in-trial,jury-deliberating -> hung-jury
             retrial-ordered hung-jury -> retrial-ordered
             no-evidence-offered hung-jury,awaiting-trial,sent -> acquitted
             sentence-deferred convicted-awaiting-sentence -> sentence-deferred
             sentence-passed convicted-awaiting-sentence,sentence-deferred -> sentenced
             conviction-quashed sentenced -> appeal-allowed
             retrial-ordered sentenced -> retrial-ordered
             charge-discontinued authorised,laid,before-magistrates,sent -> discontinued
             charge-withdrawn laid,before-magistrates -> withdrawn
             proceedings-stayed sent,awaiting-trial,in-trial -> stayed
             stay-lifted stayed -> awaiting-trial
             found-unfit-to-plead sent,awaiting-trial,in-trial -> unfit-to-plead
             hospital-order-made unfit-to-plead,convicted-awaiting-sentence -> hospital-order
             fitness-regained unfit-to-plead -> awaiting-trial
             charge-left-on-file convicted-awaiting-sentence,awaiting-trial -> lying-on-file
             leave-to-proceed-given lying-on-file -> awaiting-trial
             subject-died any-open -> abated
             hearing-adjourned any-open -> -
             bail-varied any-open -> -",
        )
    }

    /// Reads the tags of an XML text: none left open, none closed that was not opened, attributes quoted.
    #[track_caller]
    fn check_well_formed(xml: &str) {
        let mut open = Vec::new();
        for piece in xml.split('<').skip(1) {
            let (tag, text) = piece.split_once('>').expect("a tag ends");
            assert!(!text.contains('&') || text.contains(';'), "bare ampersand in {text}");
            assert_eq!(tag.matches('"').count() % 2, 0, "quotation marks in <{tag}>");
            let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "</{name}>");
            } else if !tag.ends_with('/') {
                open.push(name);
            }
        }
        assert_eq!(open, Vec::<&str>::new());
    }

    #[track_caller]
    fn check_contains(text: &str, wanted: &[&str]) {
        for part in wanted {
            assert!(text.contains(part), "`{part}` is not in\n{text}");
        }
    }

    #[test]
    fn an_image_is_well_formed_and_the_same_every_time() {
        for definition in [report(), charge()] {
            let image = svg(&definition, StrandId(0), Some(StateId(1)));
            check_well_formed(&image);
            assert_eq!(image, svg(&definition, StrandId(0), Some(StateId(1))));
        }
    }

    #[test]
    fn an_image_names_itself_and_every_state() {
        let definition = charge();
        let image = svg(&definition, StrandId(0), definition.strands[0].state("sent"));
        check_contains(&image, &[r#"role="img" aria-label="State diagram: Drawn. Present state: Sent""#]);
        for state in &definition.strands[0].states {
            check_contains(&image, &[&format!("({})", state.name)]);
        }
        check_contains(&image, &["sentenced), final</title>", "sent), the present state; accepts and stays"]);
    }

    #[test]
    fn an_image_has_no_style_sheet_and_loads_nothing() {
        let image = svg(&charge(), StrandId(0), None);
        for absent in ["<style", "style=", "href", "<script"] {
            assert!(!image.contains(absent), "{absent}");
        }
    }

    #[test]
    fn names_that_xml_would_misread_are_escaped() {
        let mut definition = report();
        definition.strands[0].states[0].title = "A < B & \"C\"".to_owned();
        let image = svg(&definition, StrandId(0), None);
        check_well_formed(&image);
        check_contains(&image, &["A &lt; B &amp; &quot;C&quot;"]);
    }

    #[test]
    fn events_between_the_same_states_share_a_line() {
        let text = mermaid(&report(), StrandId(0));
        check_contains(
            &text,
            &[
                "    state \"Under investigation\" as under_investigation\n",
                "    [*] --> assessing\n",
                "    reported --> under_investigation : decision-made (further-work)<br/>report-returned\n",
                "    reported --> reported : statement-added\n",
                "    closed --> [*]\n",
            ],
        );
        assert_eq!(text.matches("reported --> under_investigation").count(), 1);
    }

    #[test]
    fn an_event_out_of_every_open_state_is_drawn_once() {
        let text = dot(&charge(), StrandId(0));
        assert_eq!(text.matches("subject-died").count(), 1);
        check_contains(
            &text,
            &[
                "[label=\"any open state\", style=\"rounded,dashed\"]",
                "\"abated\" [label=\"Abated\", peripheries=2]",
            ],
        );
    }

    #[test]
    fn a_state_named_like_a_word_of_mermaid_is_renamed() {
        let text = mermaid(&definition("end note", "gone end -> note"), StrandId(0));
        check_contains(&text, &["end_ --> note_ : gone"]);
    }
}
