//! Scenarios: given what has happened, when this is recorded, then that is the answer. Text files beside a definition.
//!
//! ```text
//! scenario: a sentence without a conviction is refused
//! given     subject-identified subject=SUB-1
//! and       charge-authorised subject=SUB-1 charge=C1 offence="misconduct in public office"
//! when      sentence-passed charge=C1 court="Southwark Crown Court" occurred=2023-10-04
//! then      refused by sentence-needs-conviction
//! and       path includes plea-entered or verdict-returned
//! ```
//!
//! [`parse`] knows the grammar alone; names are looked up when a scenario is [`run`].

use std::fmt;

use super::problem::{Problem, Severity, snippet};
pub use super::rehearsal::{Failure, ScenarioOutcome, run};
use super::source::SourceFile;
use crate::case::day::Day;
use crate::case::refusal::Step;

/// One scenario as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// What it says, in words.
    pub title: String,
    /// The file it stands in.
    pub file: String,
    /// Line of the title, from 1.
    pub line: usize,
    /// What has happened before, in order.
    pub given: Vec<ScenarioEvent>,
    /// What is then proposed; `None` where the scenario asks about the given events alone.
    pub when: Option<ScenarioEvent>,
    /// What must be so afterwards.
    pub then: Vec<Expectation>,
}

/// An event as a scenario writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioEvent {
    /// Line, from 1.
    pub line: usize,
    /// The event type's name.
    pub event_type: String,
    /// `key=value`, in order.
    pub fields: Vec<(String, FieldText)>,
    /// Words without a value: `declare-gaps`, `imported`.
    pub flags: Vec<String>,
}

/// The right side of `key=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldText {
    /// Without quotation marks: a number or truth value where the field is one.
    Bare(String),
    /// In quotation marks: always text.
    Quoted(String),
    /// `[a, b]`.
    List(Vec<String>),
}

/// One thing that must be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// Line, from 1.
    pub line: usize,
    /// As written.
    pub text: String,
    /// What it asks.
    pub expected: Expected,
}

/// What an expectation asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// The event was accepted.
    Accepted,
    /// It was refused, and this rule is among the reasons; `None`: for whatever reason.
    Refused(Option<String>),
    /// It was no valid event: a field that does not exist, a value that no schema allows, a missing rationale.
    Invalid,
    /// The refusal, or what is said of an invalid event, has this text in one of its reasons.
    Reason(String),
    /// A strand or derived strand, of an entity or of the case, is in a state.
    State {
        /// The strand.
        strand: String,
        /// Whose it is; `None` is the case.
        of: Option<String>,
        /// The state.
        state: String,
    },
    /// A breach of this rule was noted.
    Breach(String),
    /// No breach was noted.
    NoBreach,
    /// A gap for this event type was declared.
    Gap(String),
    /// The shortest path has one of these.
    PathIncludes(Vec<String>),
    /// The shortest path is exactly this.
    PathIs(Vec<String>),
    /// An event of this type would be accepted next.
    Accepts(String),
    /// The rule passed only because dates do not decide an order.
    Unproven(String),
    /// What can be said of a deadline.
    Deadline(DeadlineExpectation),
}

/// What must be so of a deadline on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadlineExpectation {
    /// The deadline.
    pub deadline: String,
    /// Whose it is; `None` is the case.
    pub of: Option<String>,
    /// The answer: met, missed, running, paused, indeterminate, void.
    pub answer: String,
    /// The day, or the earliest and the latest, on which it is due.
    pub due: Option<(Day, Day)>,
    /// The day of the question; `None`: the last day on which anything happened.
    pub on: Option<Day>,
}

impl DeadlineExpectation {
    /// As it is written in a scenario.
    #[must_use]
    pub fn text(&self) -> String {
        let of = self.of.as_ref().map(|of| format!(" of {of}")).unwrap_or_default();
        let due = match self.due {
            Some((first, last)) if first == last => format!(" due {first}"),
            Some((first, last)) => format!(" due {first}..{last}"),
            None => String::new(),
        };
        let on = self.on.map(|on| format!(" on {on}")).unwrap_or_default();
        format!("deadline {}{of} is {}{due}{on}", self.deadline, self.answer)
    }
}

impl Scenario {
    /// The scenario that plays these steps: the last is proposed, the others are given. It expects nothing yet.
    #[must_use]
    pub fn playing(title: &str, steps: &[Step]) -> Self {
        let event = |step: &Step| {
            let scope = step.scope.iter().map(|(kind, id)| (kind.clone(), FieldText::Quoted(id.clone())));
            let with = step.with.iter().filter_map(|field| field.split_once('='));
            let with = with.map(|(field, value)| (field.to_owned(), field_text(value)));
            let (event_type, fields) = (step.event_type.clone(), scope.chain(with).collect());
            ScenarioEvent { line: 0, event_type, fields, flags: Vec::new() }
        };
        let mut given: Vec<ScenarioEvent> = steps.iter().map(event).collect();
        let when = given.pop();
        Self { title: title.to_owned(), file: String::new(), line: 0, given, when, then: Vec::new() }
    }
}

/// A value as a step writes it: a list stands in brackets.
fn field_text(value: &str) -> FieldText {
    match value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some("") => FieldText::List(Vec::new()),
        Some(inner) => FieldText::List(inner.split(", ").map(str::to_owned).collect()),
        None => FieldText::Bare(value.to_owned()),
    }
}

/// In the form that [`parse`] reads.
impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "scenario: {}", self.title)?;
        for (at, event) in self.given.iter().enumerate() {
            writeln!(f, "{:<10}{event}", if at == 0 { "given" } else { "and" })?;
        }
        if let Some(event) = &self.when {
            writeln!(f, "{:<10}{event}", "when")?;
        }
        for (at, expectation) in self.then.iter().enumerate() {
            writeln!(f, "{:<10}{}", if at == 0 { "then" } else { "and" }, expectation.text)?;
        }
        Ok(())
    }
}

impl fmt::Display for ScenarioEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.event_type)?;
        for (key, value) in &self.fields {
            match value {
                FieldText::List(values) => write!(f, " {key}=[{}]", values.join(", "))?,
                FieldText::Bare(text) | FieldText::Quoted(text) if is_plain(text) => {
                    write!(f, " {key}={text}")?;
                }
                FieldText::Bare(text) | FieldText::Quoted(text) => {
                    write!(f, " {key}=\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))?;
                }
            }
        }
        self.flags.iter().try_for_each(|flag| write!(f, " {flag}"))
    }
}

/// Whether a value needs no quotation marks.
fn is_plain(text: &str) -> bool {
    let is_special = |letter: char| letter.is_whitespace() || matches!(letter, ',' | '"' | '#' | '[' | '\\');
    !text.is_empty() && !text.contains(is_special)
}

const KEYWORDS: [&str; 4] = ["given", "and", "when", "then"];
const FLAGS: [&str; 2] = ["declare-gaps", "imported"];

#[derive(Clone, Copy, PartialEq)]
enum Section {
    Title,
    Given,
    When,
    Then,
}

/// Reads the scenarios of a file.
///
/// # Errors
/// Every line that is not understood, with its place.
pub fn parse(file: &SourceFile) -> Result<Vec<Scenario>, Vec<Problem>> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    let mut problems = Vec::new();
    let mut section = Section::Title;
    for (index, text) in file.text.lines().enumerate() {
        let line = Line { file: &file.name, number: index + 1, text };
        let written = text.trim();
        if written.is_empty() || written.starts_with('#') {
            continue;
        }
        if let Some(title) = written.strip_prefix("scenario:") {
            if let Some(open) = scenarios.last() {
                problems.extend(unfinished(open, section, file));
            }
            if title.trim().is_empty() {
                problems.push(line.problem(0, "a scenario needs a title", "write what must be so, in words"));
            }
            scenarios.push(line.scenario(title.trim()));
            section = Section::Title;
            continue;
        }
        let Some(scenario) = scenarios.last_mut() else {
            problems.push(line.problem(
                0,
                "this stands before the first scenario",
                "begin with `scenario: title`",
            ));
            continue;
        };
        if let Err(problem) = line.read_into(scenario, &mut section) {
            problems.push(*problem);
        }
    }
    if let Some(open) = scenarios.last() {
        problems.extend(unfinished(open, section, file));
    }
    if problems.is_empty() { Ok(scenarios) } else { Err(problems) }
}

/// A scenario that expects nothing cannot fail, and so says nothing.
fn unfinished(scenario: &Scenario, section: Section, file: &SourceFile) -> Option<Problem> {
    let text = file.text.lines().nth(scenario.line - 1).unwrap_or_default();
    let line = Line { file: &file.name, number: scenario.line, text };
    (section != Section::Then).then(|| {
        line.problem(0, "this scenario expects nothing", "add a `then` line, such as `then accepted`")
    })
}

struct Line<'a> {
    file: &'a str,
    number: usize,
    text: &'a str,
}

impl Line<'_> {
    fn scenario(&self, title: &str) -> Scenario {
        Scenario {
            title: title.to_owned(),
            file: self.file.to_owned(),
            line: self.number,
            given: Vec::new(),
            when: None,
            then: Vec::new(),
        }
    }

    fn read_into(&self, scenario: &mut Scenario, section: &mut Section) -> Result<(), Box<Problem>> {
        let indent = self.text.len() - self.text.trim_start().len();
        let written = &self.text[indent..];
        let keyword = written.split_whitespace().next().unwrap_or_default();
        let next = match (keyword, *section) {
            ("given", Section::Title | Section::Given) => Section::Given,
            ("when", Section::Title | Section::Given) => Section::When,
            ("then", Section::Given | Section::When) => Section::Then,
            ("and", Section::Given | Section::Then) => *section,
            ("and", Section::When) => {
                return Err(Box::new(self.problem(
                    indent,
                    "`when` takes one event",
                    "put what comes before under `given`",
                )));
            }
            (known, _) if KEYWORDS.contains(&known) => {
                let text = format!("`{known}` cannot stand here");
                return Err(Box::new(self.problem(
                    indent,
                    &text,
                    "the order is scenario, given, when, then",
                )));
            }
            (other, _) => {
                let text = format!("a line begins with given, and, when or then, not with `{other}`");
                return Err(Box::new(self.problem(
                    indent,
                    &text,
                    "to continue a line, begin the next with `and`",
                )));
            }
        };
        *section = next;
        let items = self.items(indent + keyword.len())?;
        match next {
            Section::Given => {
                for item in items {
                    scenario.given.push(self.event(item)?);
                }
            }
            Section::When => {
                let [item]: [Vec<Word>; 1] = items.try_into().map_err(|_| {
                    Box::new(self.problem(indent, "`when` takes one event", "leave the others out"))
                })?;
                scenario.when = Some(self.event(item)?);
            }
            Section::Then | Section::Title => self.expectations(items, scenario)?,
        }
        Ok(())
    }

    /// The rest of the line, cut at its commas and each piece into words.
    fn items(&self, start: usize) -> Result<Vec<Vec<Word>>, Box<Problem>> {
        let mut items = vec![Vec::new()];
        let mut at = start;
        while let Some(letter) = self.text[at..].chars().next() {
            if letter.is_whitespace() {
                at += letter.len_utf8();
            } else if letter == ',' {
                items.push(Vec::new());
                at += 1;
            } else if letter == '#' {
                break;
            } else {
                let (word, end) = self.word(at)?;
                if let Some(item) = items.last_mut() {
                    item.push(word);
                }
                at = end;
            }
        }
        if items.iter().any(Vec::is_empty) {
            return Err(Box::new(self.problem(
                start,
                "something is missing here",
                "write an event or an expectation",
            )));
        }
        Ok(items)
    }

    /// `word`, `key=value`, `key="quoted value"` or `key=[a, b]`, and where it ends.
    fn word(&self, start: usize) -> Result<(Word, usize), Box<Problem>> {
        let rest = &self.text[start..];
        let end = rest.find(|letter: char| letter.is_whitespace() || letter == ',' || letter == '=');
        let end = end.unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        if !rest[end..].starts_with('=') {
            return Ok((Word { at: start, name, value: None }, start + end));
        }
        if name.is_empty() {
            return Err(Box::new(self.problem(start, "`=` without a key before it", "write key=value")));
        }
        let value = &rest[end + 1..];
        let (value, length) = if let Some(quoted) = value.strip_prefix('"') {
            let Some((text, length)) = quoted_text(quoted) else {
                return Err(Box::new(self.problem(
                    start,
                    "the quotation mark is not closed",
                    "close it with \"",
                )));
            };
            (FieldText::Quoted(text), length + 1)
        } else if let Some(list) = value.strip_prefix('[') {
            let Some((inner, _)) = list.split_once(']') else {
                return Err(Box::new(self.problem(start, "the list is not closed", "close it with ]")));
            };
            let parts = inner.split(',').map(|part| part.trim().trim_matches('"').to_owned());
            (FieldText::List(parts.filter(|part| !part.is_empty()).collect()), inner.len() + 2)
        } else {
            let length =
                value.find(|letter: char| letter.is_whitespace() || letter == ',').unwrap_or(value.len());
            (FieldText::Bare(value[..length].to_owned()), length)
        };
        if value == FieldText::Bare(String::new()) {
            return Err(Box::new(self.problem(
                start,
                "nothing stands after `=`",
                "write key=value, or key=\"\"",
            )));
        }
        Ok((Word { at: start, name, value: Some(value) }, start + end + 1 + length))
    }

    fn event(&self, words: Vec<Word>) -> Result<ScenarioEvent, Box<Problem>> {
        let mut words = words.into_iter();
        let mut event = ScenarioEvent {
            line: self.number,
            event_type: String::new(),
            fields: Vec::new(),
            flags: Vec::new(),
        };
        match words.next() {
            Some(Word { name, value: None, .. }) => event.event_type = name,
            word => {
                let at = word.map_or(0, |word| word.at);
                return Err(Box::new(self.problem(
                    at,
                    "an event begins with its type",
                    "write type key=value …",
                )));
            }
        }
        for word in words {
            match word.value {
                Some(_) if event.fields.iter().any(|(key, _)| *key == word.name) => {
                    let text = format!("`{}` is given twice", word.name);
                    return Err(Box::new(self.problem(word.at, &text, "keep one of them")));
                }
                Some(value) => event.fields.push((word.name, value)),
                None if FLAGS.contains(&word.name.as_str()) => event.flags.push(word.name),
                None => {
                    let text = format!("`{}` has no value", word.name);
                    let help = "write key=value; a value with spaces goes into quotation marks, events are separated by commas";
                    return Err(Box::new(self.problem(word.at, &text, help)));
                }
            }
        }
        Ok(event)
    }

    fn expectations(&self, items: Vec<Vec<Word>>, scenario: &mut Scenario) -> Result<(), Box<Problem>> {
        for words in items {
            let names: Vec<&str> = words.iter().map(|word| word.name.as_str()).collect();
            let text = names.join(" ");
            let continues = scenario.then.last_mut().filter(|last| last.line == self.number);
            if let ([one], Some(Expectation { text: whole, expected: Expected::PathIs(path), .. })) =
                (names.as_slice(), continues)
                && !["accepted", "refused"].contains(one)
            {
                path.push((*one).to_owned());
                *whole = format!("{whole}, {one}");
                continue;
            }
            if let [Word { name, value: Some(FieldText::Quoted(said)), .. }] = words.as_slice()
                && name == "reason"
            {
                let (text, expected) = (format!("reason=\"{said}\""), Expected::Reason(said.clone()));
                scenario.then.push(Expectation { line: self.number, text, expected });
                continue;
            }
            let Some(expected) = expected(&names) else {
                let at = words.first().map_or(0, |word| word.at);
                let help = "known: accepted, invalid, refused by RULE, reason=\"TEXT\", STRAND [of ENTITY] is STATE, breach RULE, no breach, gap TYPE, \
                            path includes TYPE [or TYPE], path is TYPE, TYPE, accepts TYPE, unproven RULE, \
                            deadline NAME [of ENTITY] is ANSWER [due DAY[..DAY]] [on DAY]";
                return Err(Box::new(self.problem(at, &format!("`{text}` is no expectation"), help)));
            };
            scenario.then.push(Expectation { line: self.number, text, expected });
        }
        Ok(())
    }

    fn problem(&self, at: usize, message: &str, help: &str) -> Problem {
        let column = self.text[..at.min(self.text.len())].chars().count() + 1;
        let (severity, code) = (Severity::Error, "scenario-syntax");
        let text = format!("{}{}", "\n".repeat(self.number - 1), self.text);
        let place = (self.number, column, 1);
        Problem {
            severity,
            code,
            file: self.file.to_owned(),
            line: self.number,
            column,
            message: message.to_owned(),
            help: Some(help.to_owned()),
            snippet: snippet(severity, code, message, Some(help), (self.file, &text), place),
            witness: Vec::new(),
        }
    }
}

struct Word {
    at: usize,
    name: String,
    value: Option<FieldText>,
}

/// The text up to the closing quotation mark, and how many bytes that took. `\"` and `\\` stand for themselves.
fn quoted_text(rest: &str) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut letters = rest.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((text, at + 1)),
            '\\' => text.push(letters.next()?.1),
            other => text.push(other),
        }
    }
    None
}

/// `deadline NAME [of ENTITY] is ANSWER [due DAY[..DAY]] [on DAY]`, without its first word.
fn deadline_expected(words: &[&str]) -> Option<Expected> {
    let (deadline, rest) = words.split_first()?;
    let (of, rest) = match rest {
        ["of", entity, rest @ ..] => (Some((*entity).to_owned()), rest),
        rest => (None, rest),
    };
    let ["is", answer, rest @ ..] = rest else { return None };
    let (due, rest) = match rest {
        ["due", days, rest @ ..] => {
            let (first, last) = days.split_once("..").unwrap_or((days, days));
            (Some((Day::parse(first).ok()?, Day::parse(last).ok()?)), rest)
        }
        rest => (None, rest),
    };
    let on = match rest {
        ["on", day] => Some(Day::parse(day).ok()?),
        [] => None,
        _ => return None,
    };
    let (deadline, answer) = ((*deadline).to_owned(), (*answer).to_owned());
    Some(Expected::Deadline(DeadlineExpectation { deadline, of, answer, due, on }))
}

fn expected(words: &[&str]) -> Option<Expected> {
    let owned = |word: &&str| (*word).to_owned();
    Some(match words {
        ["accepted"] => Expected::Accepted,
        ["refused"] => Expected::Refused(None),
        ["invalid"] => Expected::Invalid,
        ["refused", "by", rule] => Expected::Refused(Some(owned(rule))),
        ["no", "breach"] => Expected::NoBreach,
        ["breach", rule] => Expected::Breach(owned(rule)),
        ["gap", event] => Expected::Gap(owned(event)),
        ["unproven", rule] => Expected::Unproven(owned(rule)),
        ["deadline", rest @ ..] if rest.len() >= 3 && rest.contains(&"is") => return deadline_expected(rest),
        ["accepts", event] => Expected::Accepts(owned(event)),
        ["path", "is", event] => Expected::PathIs(vec![owned(event)]),
        ["path", "includes", events @ ..] if events.len() % 2 == 1 => {
            if events.iter().skip(1).step_by(2).any(|word| *word != "or") {
                return None;
            }
            Expected::PathIncludes(events.iter().step_by(2).map(owned).collect())
        }
        [strand, "is", state] => Expected::State { strand: owned(strand), of: None, state: owned(state) },
        [strand, "of", entity, "is", state] => {
            Expected::State { strand: owned(strand), of: Some(owned(entity)), state: owned(state) }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> SourceFile {
        SourceFile { name: "scenarios/criminal.txt".to_owned(), text: text.to_owned() }
    }

    #[track_caller]
    fn check_problem(text: &str, line: usize, column: usize, message: &str) {
        let problems = parse(&file(text)).expect_err("a problem");
        let [problem] = problems.as_slice() else { panic!("{problems:?}") };
        assert_eq!((problem.line, problem.column, problem.message.as_str()), (line, column, message));
        assert_eq!(problem.file, "scenarios/criminal.txt");
    }

    #[track_caller]
    fn check_expected(then: &str, wanted: &[Expected]) {
        let text = format!("scenario: s\ngiven a\nthen {then}\n");
        let scenarios = parse(&file(&text)).expect("a scenario");
        let found: Vec<&Expected> =
            scenarios[0].then.iter().map(|expectation| &expectation.expected).collect();
        assert_eq!(found, wanted.iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_scenario_is_read_section_by_section() {
        let text = "# about sentences\n\nscenario: a sentence without a conviction is refused\n\
                    given     case-opened, subject-identified subject=SUB-1\n\
                    and       charge-authorised charge=C1 offence=\"misconduct, in \\\"office\\\"\" tags=[a, b]\n\
                    when      sentence-passed charge=C1 months=6 declare-gaps   # asks for gaps\n\
                    then      refused by sentence-needs-conviction\n\
                    and       path includes plea-entered or verdict-returned\n\n\
                    scenario: another\nwhen a\nthen accepted\n";
        let scenarios = parse(&file(text)).expect("two scenarios");
        assert_eq!(scenarios.len(), 2);
        let first = &scenarios[0];
        assert_eq!((first.title.as_str(), first.line), ("a sentence without a conviction is refused", 3));
        let types: Vec<&str> = first.given.iter().map(|event| event.event_type.as_str()).collect();
        assert_eq!(types, ["case-opened", "subject-identified", "charge-authorised"]);
        assert_eq!(
            first.given[2].fields,
            [
                ("charge".to_owned(), FieldText::Bare("C1".to_owned())),
                ("offence".to_owned(), FieldText::Quoted("misconduct, in \"office\"".to_owned())),
                ("tags".to_owned(), FieldText::List(vec!["a".to_owned(), "b".to_owned()])),
            ]
        );
        let when = first.when.as_ref().expect("a when");
        assert_eq!((when.line, when.flags.as_slice()), (6, ["declare-gaps".to_owned()].as_slice()));
        assert_eq!(first.then.len(), 2);
        assert_eq!(scenarios[1].line, 10);
    }

    #[test]
    fn expectations_are_told_apart() {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        check_expected(
            "accepted, disciplinary of SUB-1 is heard",
            &[
                Expected::Accepted,
                Expected::State {
                    strand: "disciplinary".to_owned(),
                    of: Some("SUB-1".to_owned()),
                    state: "heard".to_owned(),
                },
            ],
        );
        check_expected(
            "refused by r-1, path is a, b, c, no breach",
            &[
                Expected::Refused(Some("r-1".to_owned())),
                Expected::PathIs(owned(&["a", "b", "c"])),
                Expected::NoBreach,
            ],
        );
        check_expected("path includes a or b or c", &[Expected::PathIncludes(owned(&["a", "b", "c"]))]);
        check_expected(
            "breach r, gap g, accepts e, unproven u, deadline d of S-1 is missed due 2021-05-24..2021-06-01 on 2021-06-02",
            &[
                Expected::Breach("r".to_owned()),
                Expected::Gap("g".to_owned()),
                Expected::Accepts("e".to_owned()),
                Expected::Unproven("u".to_owned()),
                Expected::Deadline(DeadlineExpectation {
                    deadline: "d".to_owned(),
                    of: Some("S-1".to_owned()),
                    answer: "missed".to_owned(),
                    due: Some((Day::parse("2021-05-24").unwrap(), Day::parse("2021-06-01").unwrap())),
                    on: Some(Day::parse("2021-06-02").unwrap()),
                }),
            ],
        );
    }

    #[test]
    fn a_line_that_is_not_understood_is_shown_with_its_place() {
        check_problem("given a\n", 1, 1, "this stands before the first scenario");
        check_problem("scenario: s\nwhen a\nand b\nthen accepted\n", 3, 1, "`when` takes one event");
        check_problem("scenario: s\nwhen a, b\nthen accepted\n", 2, 1, "`when` takes one event");
        check_problem(
            "scenario: s\n  perhaps a\nwhen a\nthen accepted\n",
            2,
            3,
            "a line begins with given, and, when or then, not with `perhaps`",
        );
        check_problem("scenario: s\nwhen a x\nthen accepted\n", 2, 8, "`x` has no value");
        check_problem("scenario: s\nwhen a x=\"y\nthen accepted\n", 2, 8, "the quotation mark is not closed");
        check_problem("scenario: s\nwhen a x=[y\nthen accepted\n", 2, 8, "the list is not closed");
        check_problem("scenario: s\nwhen a x=\nthen accepted\n", 2, 8, "nothing stands after `=`");
        check_problem("scenario: s\nwhen a x=1 x=2\nthen accepted\n", 2, 12, "`x` is given twice");
        check_problem("scenario: s\nwhen a\nthen perhaps so\n", 3, 6, "`perhaps so` is no expectation");
        check_problem("scenario: s\nwhen a\nthen accepted,\n", 3, 5, "something is missing here");
        check_problem("scenario: s\nwhen a\n", 1, 1, "this scenario expects nothing");
        check_problem("scenario: s\nwhen a\nthen accepted\nwhen b\n", 4, 1, "`when` cannot stand here");
    }

    #[test]
    fn a_scenario_is_written_as_it_is_read() {
        let text = "scenario: a sentence\n\
                    given     case-opened\n\
                    and       charge-authorised charge=C1 offence=\"misconduct, in \\\"office\\\"\" tags=[a, b]\n\
                    when      sentence-passed charge=C1 note=\"\" imported\n\
                    then      refused by r\n\
                    and       path is a, b\n";
        let scenarios = parse(&file(text)).expect("a scenario");
        assert_eq!(scenarios[0].to_string(), text);
    }

    #[test]
    fn steps_are_played_in_their_order() {
        let step = |name: &str, with: &[&str]| Step {
            event_type: name.to_owned(),
            scope: [("charge".to_owned(), "new charge".to_owned())].into(),
            with: with.iter().map(|field| (*field).to_owned()).collect(),
        };
        let scenario =
            Scenario::playing("way", &[step("charge-laid", &[]), step("plea-entered", &["plea=guilty"])]);
        assert_eq!(
            scenario.to_string(),
            "scenario: way\ngiven     charge-laid charge=\"new charge\"\n\
             when      plea-entered charge=\"new charge\" plea=guilty\n"
        );
    }

    #[test]
    fn a_problem_shows_its_line_with_a_mark() {
        let problems = parse(&file("scenario: s\nwhen a é x\nthen accepted\n")).expect_err("a problem");
        let snippet = &problems[0].snippet;
        assert!(snippet.contains("scenarios/criminal.txt:2:8"), "{snippet}");
        assert!(snippet.contains("when a é x"), "{snippet}");
    }
}
