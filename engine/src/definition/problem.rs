//! What is wrong with a definition: found all at once, each with its place.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;

use super::source::SourceFile;
use super::syntax::{Place, Text};
use crate::spelling::nearest;

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name. What compiling finds:
    ///
    /// | of files and shapes | of names | of strands | of conditions and messages |
    /// |---|---|---|---|
    /// | `yaml` | `unknown-name` | `not-a-state` | `bad-condition` |
    /// | `missing-part` | `unknown-role` | `ambiguous-transition` | `bad-message` |
    /// | `unlisted-part` | `duplicate-name` | `uncovered-value` | `type-mismatch` |
    /// | `unknown-language` | `bad-name` | `observes-nothing` | `not-in-enumeration` |
    /// | `unknown-key` | `parent-cycle` | `never-about` | `optional-without-has` |
    /// | `missing-key` | `nothing-introduces` | | `derived-cycle` |
    /// | `wrong-shape` | `bad-schema` | | |
    /// | `too-many` | | | |
    pub code: &'static str,
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// The line with a mark under the place, ready to print.
    pub snippet: String,
    /// The shortest sequence of events that shows it, playable as a scenario.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub witness: Vec<crate::case::refusal::Step>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the meaning")]
pub enum Severity {
    Error,
    Warning,
    /// The search stopped at its limit: neither found nor excluded.
    NotProved,
}

/// Problems beyond this number are not listed.
pub const PROBLEMS_MAX: usize = 100;

/// Problems as they are found.
pub(crate) struct Problems<'f> {
    files: &'f [SourceFile],
    found: Vec<Problem>,
}

impl<'f> Problems<'f> {
    pub(crate) fn new(files: &'f [SourceFile]) -> Self {
        Self { files, found: Vec::new() }
    }

    pub(crate) fn add(
        &mut self,
        code: &'static str,
        place: Place,
        width: usize,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        if self.is_full() {
            return;
        }
        let (name, text) =
            self.files.get(place.file).map_or(("", ""), |file| (file.name.as_str(), file.text.as_str()));
        let (line, column) = (place.line.max(1), place.column.max(1));
        let message = message.into();
        let shown = (line, column, width);
        let snippet = snippet(Severity::Error, code, &message, help.as_deref(), (name, text), shown);
        self.found.push(Problem {
            severity: Severity::Error,
            code,
            file: name.to_owned(),
            line,
            column,
            message,
            help,
            snippet,
            witness: Vec::new(),
        });
    }

    /// At a text: the mark is as wide as the text.
    pub(crate) fn at(
        &mut self,
        code: &'static str,
        text: &Text,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.add(code, text.place, text.value.chars().count(), message, help);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// [`suggestion`], where a problem would still be listed.
    pub(crate) fn suggestion<'n>(
        &self,
        name: &str,
        known: impl IntoIterator<Item = &'n str>,
    ) -> Option<String> {
        if self.is_full() { None } else { suggestion(name, known) }
    }

    pub(crate) fn count(&self) -> usize {
        self.found.len()
    }

    /// Nothing more is listed: what looks for more may stop.
    pub(crate) fn is_full(&self) -> bool {
        self.found.len() >= PROBLEMS_MAX
    }

    /// All of them, by file, line and column.
    pub(crate) fn into_sorted(mut self) -> Vec<Problem> {
        let order = |name: &str| self.files.iter().position(|file| file.name == name);
        self.found.sort_by_cached_key(|p| (order(&p.file), p.line, p.column, p.code, p.message.clone()));
        self.found.dedup();
        self.found
    }

    /// The place of a byte of a text, as far as the file shows the text letter by letter; otherwise where the text begins.
    pub(crate) fn place_within(&self, text: &Text, offset: usize) -> Place {
        let wanted = text.value.get(..offset).unwrap_or_default();
        let file = self.files.get(text.place.file).map_or("", |file| file.text.as_str());
        walk(file, text.place, wanted).unwrap_or(text.place)
    }
}

/// Walks through a text as it is written in a file: through quotes, doubled and escaped ones, and over the ends of lines
/// where the text has a space or a line's end.
fn walk(file: &str, start: Place, text: &str) -> Option<Place> {
    let mut lines = file.lines().skip(start.line - 1);
    let mut letters = lines.next()?.chars().skip(start.column - 1).peekable();
    let quote = letters.next_if(|c| matches!(c, '\'' | '"'));
    let (mut line, mut column) = (start.line, start.column + usize::from(quote.is_some()));
    for wanted in text.chars() {
        let rest_is_space = letters.clone().all(char::is_whitespace);
        if rest_is_space && matches!(wanted, ' ' | '\n') {
            let next = lines.next()?;
            let indent = next.chars().take_while(|c| c.is_whitespace()).count();
            letters = next.chars().skip(indent).peekable();
            (line, column) = (line + 1, indent + 1);
            continue;
        }
        let letter = letters.next()?;
        column += 1;
        let doubled = quote == Some('\'') && letter == '\'' && letters.next_if_eq(&'\'').is_some();
        let escaped = quote == Some('"') && letter == '\\' && letters.next_if_eq(&wanted).is_some();
        column += usize::from(doubled || escaped);
        if letter != wanted && !escaped {
            return None;
        }
    }
    Some(Place { line, column, ..start })
}

/// Names listed in full where none of them is near.
const NAMES_LISTED_MAX: usize = 8;
/// "Did you mean …?", or the names there are where they are few.
pub(crate) fn suggestion<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<String> {
    let mut known: Vec<&str> = known.into_iter().collect();
    known.sort_unstable();
    known.dedup();
    match nearest(name, known.iter().copied()) {
        Some(candidate) => Some(format!("did you mean `{candidate}`?")),
        None if known.is_empty() || known.len() > NAMES_LISTED_MAX => None,
        None => {
            let listed: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
            Some(format!("known: {}", listed.join(", ")))
        }
    }
}

/// Characters of a long line that are shown around the place.
const SNIPPET_WIDTH: usize = 160;

/// The line with a mark under the place.
pub(super) fn snippet(
    severity: Severity,
    code: &'static str,
    title: &str,
    help: Option<&str>,
    (file, text): (&str, &str),
    (line, column, width): (usize, usize, usize),
) -> String {
    let source = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let first = column.saturating_sub(1).saturating_sub(SNIPPET_WIDTH / 2);
    let is_cut = source.chars().count() > SNIPPET_WIDTH;
    let first = if is_cut { first } else { 0 };
    let shown: String = source.chars().skip(first).take(SNIPPET_WIDTH).map(printable).collect();
    let place = |at: usize| shown.char_indices().nth(at).map_or(shown.len(), |(byte, _)| byte);
    let start = column.saturating_sub(1).saturating_sub(first);
    let (start, end) = (place(start), place(start.saturating_add(width.max(1))));
    let level = match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning | Severity::NotProved => Level::WARNING,
    };
    let marked = Snippet::source(shown.as_str())
        .line_start(line.max(1))
        .path(file)
        .annotation(AnnotationKind::Primary.span(start..end));
    let mut group = level.primary_title(title).id(code).element(marked);
    if let Some(help) = help {
        group = group.element(Level::HELP.message(help));
    }
    Renderer::plain().render(&[group])
}

fn printable(c: char) -> char {
    if c.is_control() && c != '\t' { ' ' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, known: &[&str], expected: Option<&str>) {
        assert_eq!(suggestion(name, known.iter().copied()).as_deref(), expected);
    }

    #[test]
    fn a_near_name_is_suggested_and_few_names_are_listed() {
        check("chrage", &["subject", "charge"], Some("did you mean `charge`?"));
        check("laid", &["sent", "laid-out", "in-trial"], Some("known: `in-trial`, `laid-out`, `sent`"));
        check("x", &[], None);
        check("nothing-like-it", &["a", "b", "c", "d", "e", "f", "g", "h", "i"], None);
        check("", &["a"], Some("known: `a`"));
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let line = format!("{}here{}", "a ".repeat(300), " b".repeat(300));
        let shown = snippet(Severity::Error, "yaml", "no", None, ("x.yaml", &line), (1, 601, 4));
        assert!(shown.lines().all(|line| line.len() < 220), "{shown}");
        assert!(shown.contains("here") && shown.contains("^^^^"), "{shown}");
    }

    #[test]
    fn a_place_outside_the_file_is_no_reason_to_stop() {
        let shown = snippet(Severity::Warning, "yaml", "no", Some("do"), ("x.yaml", "a"), (7, 9, 3));
        assert!(shown.contains("warning[yaml]: no"), "{shown}");
    }
}
