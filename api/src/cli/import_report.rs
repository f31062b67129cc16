//! What became of an event file: told to people, written as one JSON document, and every refusal with its line in a file
//! of its own. However many cases there are, no list of them is held in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use casebook_engine::exchange::import::ImportedCase;
use casebook_engine::exchange::jsonl::LineProblem;
use serde::Serialize;
use serde_json::{Value, json};
use tempfile::SpooledTempFile;

use super::answer::Failure;
use super::output_file::{OutputFile, unwritable};
use super::page::{Page, bad, dim, good, warn};
use super::reading::count_of;
use super::refusal;

/// Cases of a file that are told one by one; of more, their number is told.
const CASES_SHOWN_MAX: u64 = 100;

/// Cases that were not recorded, told in full; the rest are counted by reason.
const FAILED_SHOWN_MAX: u64 = 20;

/// Reasons that are counted one by one.
const REASONS_MAX: usize = 200;

/// Bytes of a list that are held in memory; more go to a temporary file.
const LIST_BYTES_HELD: usize = 1 << 20;

/// A case of which nothing was recorded.
#[derive(Debug, Default, Serialize)]
pub(super) struct FailedCase {
    pub(super) file: String,
    pub(super) line: Option<usize>,
    pub(super) case: String,
    /// Type of the event concerned.
    #[serde(rename = "type")]
    pub(super) event_type: Option<String>,
    /// The rule that refuses it, `engine:…` for the engine's own; `null` where it is no rule that says no.
    pub(super) rule: Option<String>,
    pub(super) message: String,
    pub(super) help: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<Value>,
}

impl FailedCase {
    fn place(&self) -> String {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        format!("{}{line}", self.file)
    }

    /// What is counted together.
    fn reason(&self) -> (String, String) {
        let event_type = self.event_type.clone().unwrap_or_else(|| "-".to_owned());
        let reason = self.rule.clone().unwrap_or_else(|| {
            // A field's name comes first, and what was found there last: cases differ in that.
            self.message.split(": ").next().unwrap_or_default().chars().take(60).collect()
        });
        (event_type, reason)
    }
}

#[derive(Debug)]
struct Counted {
    cases: u64,
    first: String,
}

/// The refusals of all files in a file of their own: JSON Lines.
pub(super) struct RefusalFile<'a> {
    file: Option<(&'a Path, OutputFile)>,
}

impl<'a> RefusalFile<'a> {
    /// Begins the file, where one is wanted.
    pub(super) fn create(path: Option<&'a Path>) -> Result<Self, Failure> {
        let file = path.map(|path| OutputFile::create(path).map(|file| (path, file))).transpose()?;
        Ok(Self { file })
    }

    fn add(&mut self, failed: &FailedCase) -> Result<(), Failure> {
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        let written = serde_json::to_writer(&mut *file, failed).map_err(io::Error::from);
        written.and_then(|()| file.write_all(b"\n")).map_err(|error| unwritable(path, &error))
    }

    pub(super) fn add_problem(&mut self, file: &str, problem: &LineProblem) -> Result<(), Failure> {
        self.add(&FailedCase {
            file: file.to_owned(),
            line: Some(problem.line).filter(|line| *line > 0),
            case: problem.case.clone().unwrap_or_default(),
            message: problem.problem.clone(),
            help: problem.help.clone(),
            ..FailedCase::default()
        })
    }

    /// Puts the file in its place.
    pub(super) fn finish(self) -> Result<(), Failure> {
        self.file.map_or(Ok(()), |(_, file)| file.finish())
    }
}

/// A JSON list of any length.
struct List {
    written: SpooledTempFile,
    count: u64,
}

impl List {
    fn new() -> Self {
        Self { written: SpooledTempFile::new(LIST_BYTES_HELD), count: 0 }
    }

    fn push(&mut self, item: &impl Serialize) -> Result<(), Failure> {
        if self.count > 0 {
            self.written.write_all(b",\n")?;
        }
        self.count += 1;
        Ok(serde_json::to_writer(&mut self.written, item).map_err(io::Error::from)?)
    }

    fn write(mut self, page: &mut Page) -> Result<(), Failure> {
        self.written.seek(SeekFrom::Start(0))?;
        page.bytes(b"[")?;
        let mut piece = vec![0; 1 << 16];
        loop {
            let length = self.written.read(&mut piece)?;
            if length == 0 {
                return page.bytes(b"]");
            }
            page.bytes(&piece[..length])?;
        }
    }
}

/// What became of one file.
pub(super) struct FileReport {
    pub(super) file: String,
    pub(super) lines: u64,
    pub(super) case_count: u64,
    pub(super) problems: Vec<LineProblem>,
    pub(super) problem_count: u64,
    pub(super) left_out: BTreeSet<&'static str>,
    /// Lines of another log's own case.
    pub(super) own_left_out: u64,
    cases: List,
    failed: List,
    failed_count: u64,
    done_count: u64,
    totals: Totals,
    reasons: BTreeMap<(String, String), Counted>,
    more_reasons: u64,
}

/// Over all cases of a file.
#[derive(Debug, Default, Serialize)]
struct Totals {
    recorded: usize,
    already: usize,
    gaps: usize,
    breaches: usize,
    unproven: usize,
    notes_left_out: usize,
}

impl FileReport {
    pub(super) fn new(file: String) -> Self {
        Self {
            file,
            lines: 0,
            case_count: 0,
            problems: Vec::new(),
            problem_count: 0,
            left_out: BTreeSet::new(),
            own_left_out: 0,
            cases: List::new(),
            failed: List::new(),
            failed_count: 0,
            done_count: 0,
            totals: Totals::default(),
            reasons: BTreeMap::new(),
            more_reasons: 0,
        }
    }

    /// A file that could not be read.
    pub(super) fn unread(file: String, problem: String) -> Self {
        let problem = LineProblem { line: 0, case: None, problem, help: None };
        Self { problems: vec![problem], problem_count: 1, ..Self::new(file) }
    }

    /// A case that is done.
    pub(super) fn add(
        &mut self,
        imported: &ImportedCase,
        dry_run: bool,
        page: &mut Page,
    ) -> Result<(), Failure> {
        self.done_count += 1;
        self.totals.recorded += imported.recorded;
        self.totals.already += imported.already;
        self.totals.gaps += imported.gaps;
        self.totals.breaches += imported.breaches;
        self.totals.unproven += imported.unproven;
        self.totals.notes_left_out += imported.notes_left_out;
        if page.is_json() {
            return self.cases.push(imported);
        }
        if self.case_count > CASES_SHOWN_MAX {
            return Ok(());
        }
        tell_case(imported, dry_run, page)
    }

    /// A case of which nothing was recorded.
    pub(super) fn add_failed(
        &mut self,
        failed: &FailedCase,
        failure: &Failure,
        refusals: &mut RefusalFile<'_>,
        page: &mut Page,
    ) -> Result<(), Failure> {
        self.failed_count += 1;
        refusals.add(failed)?;
        let reason = failed.reason();
        if self.reasons.len() < REASONS_MAX || self.reasons.contains_key(&reason) {
            let first = failed.place();
            self.reasons.entry(reason).or_insert(Counted { cases: 0, first }).cases += 1;
        } else {
            self.more_reasons += 1;
        }
        if page.is_json() {
            return self.failed.push(failed);
        }
        if self.failed_count > FAILED_SHOWN_MAX {
            return Ok(());
        }
        page.flush()?;
        tell_failed(failed, failure, page)
    }

    /// Tells what it came to.
    pub(super) fn tell(&self, dry_run: bool, keep_going: bool, page: &mut Page) -> Result<(), Failure> {
        if page.is_json() {
            return Ok(());
        }
        let would = if dry_run { "would be " } else { "" };
        let mut text = format!(
            "{}: {}, {} {would}recorded in {}",
            self.file,
            count(self.lines, "line", "lines"),
            count_of(self.totals.recorded, "event", "events"),
            count(self.done_count, "case", "cases")
        );
        if self.failed_count > 0 {
            text.push_str(&format!(", {} not", count(self.failed_count, "case", "cases")));
        }
        if self.case_count > CASES_SHOWN_MAX && self.done_count > 0 {
            text.push_str(&format!(": {}", said_of(&self.totals, dry_run)));
        }
        page.paragraph(0, &format!("{text}."))?;
        self.tell_reasons(page)?;
        let tried = self.done_count + self.failed_count;
        if self.failed_count > 0 && !keep_going && tried < self.case_count {
            let rest = count(self.case_count - tried, "case was", "cases were");
            page.paragraph(0, &format!("{rest} not tried: --keep-going goes on with the others."))?;
        }
        if !self.left_out.is_empty() {
            let fields = self.left_out.iter().copied().collect::<Vec<_>>().join(", ");
            page.paragraph(0, &dim(&format!("Left out, because this record gives its own: {fields}.")))?;
        }
        if self.own_left_out > 0 {
            let lines = count(self.own_left_out, "line", "lines");
            let text = format!(
                "Left out: {lines} of the other log's own case; this log keeps its own. --as-is takes them over."
            );
            page.paragraph(0, &dim(&text))?;
        }
        if self.totals.notes_left_out > 0 {
            let notes = count_of(self.totals.notes_left_out, "breach note", "breach notes");
            let text = format!("Left out: {notes} of the engine's own, which it makes again by itself.");
            page.paragraph(0, &dim(&text))?;
        }
        Ok(())
    }

    fn tell_reasons(&self, page: &mut Page) -> Result<(), Failure> {
        if self.failed_count <= FAILED_SHOWN_MAX {
            return Ok(());
        }
        page.heading("Not recorded, by reason")?;
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by_key(|(_, counted)| std::cmp::Reverse(counted.cases));
        let rows = reasons.into_iter().map(|((event_type, reason), counted)| {
            vec![counted.cases.to_string(), event_type.clone(), reason.clone(), counted.first.clone()]
        });
        page.table(&["cases", "event", "rule or field", "first at"], rows.collect())?;
        if self.more_reasons > 0 {
            page.line(&format!("and {} more, for other reasons", self.more_reasons))?;
        }
        page.paragraph(
            0,
            &format!(
                "The first {FAILED_SHOWN_MAX} are told above; --report FILE writes all of them, one a line."
            ),
        )
    }

    /// Writes it as a part of the JSON document.
    pub(super) fn write(self, page: &mut Page) -> Result<(), Failure> {
        let reasons: Vec<Value> = self
            .reasons
            .iter()
            .map(|((event_type, reason), counted)| {
                json!({"type": event_type, "reason": reason, "cases": counted.cases, "first": counted.first})
            })
            .collect();
        let head = json!({
            "file": self.file,
            "lines": self.lines,
            "case_count": self.case_count,
            "problems": self.problems,
            "problem_count": self.problem_count,
            "left_out_fields": self.left_out,
            "own_left_out": self.own_left_out,
            "failed_count": self.failed_count,
            "failed_by_reason": reasons,
            "totals": self.totals,
        });
        let head = head.to_string();
        page.bytes(head.strip_suffix('}').unwrap_or(&head).as_bytes())?;
        page.bytes(b",\n\"cases\":")?;
        self.cases.write(page)?;
        page.bytes(b",\n\"failed\":")?;
        self.failed.write(page)?;
        page.bytes(b"}")
    }
}

/// Tells a case that is done.
pub(super) fn tell_case(imported: &ImportedCase, dry_run: bool, page: &mut Page) -> Result<(), Failure> {
    if page.is_json() {
        return Ok(());
    }
    let totals = Totals {
        recorded: imported.recorded,
        already: imported.already,
        gaps: imported.gaps,
        breaches: imported.breaches,
        unproven: imported.unproven,
        notes_left_out: 0,
    };
    let text = said_of(&totals, dry_run);
    let version = imported.version.map(|version| format!("; version {version}")).unwrap_or_default();
    page.item(0, &good("✓"), &format!("{}: {text}{version}", imported.case))
}

fn count(number: u64, one: &str, many: &str) -> String {
    count_of(usize::try_from(number).unwrap_or(usize::MAX), one, many)
}

fn said_of(totals: &Totals, dry_run: bool) -> String {
    let recorded = count_of(totals.recorded, "event", "events");
    let mut text = match (totals.recorded, dry_run) {
        (0, _) => "nothing new".to_owned(),
        (_, true) => format!("{recorded} would be recorded"),
        (_, false) => format!("{recorded} recorded"),
    };
    if totals.already > 0 {
        text.push_str(&format!(", {} recorded by an earlier import", totals.already));
    }
    if totals.gaps > 0 {
        text.push_str(&format!(", {}", warn(&count_of(totals.gaps, "gap declared", "gaps declared"))));
    }
    if totals.breaches > 0 {
        text.push_str(&format!(", {}", warn(&count_of(totals.breaches, "breach noted", "breaches noted"))));
    }
    if totals.unproven > 0 {
        let rules = count_of(totals.unproven, "rule", "rules");
        text.push_str(&format!(", {rules} unproven because dates are vague"));
    }
    text
}

fn tell_failed(failed: &FailedCase, failure: &Failure, page: &Page) -> Result<(), Failure> {
    let mut stderr = page.stderr();
    let place = failed.place();
    if let Failure::Refused(refused) = failure {
        stderr.line(&format!("{} {place}", dim("at")))?;
        refusal::tell(refused, &mut stderr)?;
        stderr.gap()?;
    } else {
        let names_case = failed.message.contains(&failed.case);
        let case = if names_case { String::new() } else { format!("case {}: ", failed.case) };
        stderr.item(0, &bad("error:"), &format!("{case}{}", failed.message))?;
        stderr.line(&format!("  {} {place}", dim("at")))?;
        if let Some(help) = &failed.help {
            stderr.item(2, "help:", help)?;
        }
    }
    stderr.flush()
}
