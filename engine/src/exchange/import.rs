//! Records the lines of an event file, case by case.
//!
//! A case's lines are recorded together or not at all, and only once: each beginning of a case's lines has a key, the
//! hash of the lines chained one after the other. When a file is imported again, its longest beginning that was
//! recorded before is left alone, and what was added at its end since is recorded.
//!
//! ```text
//! line 1 ── SHA-256 ── key 1 ─┐
//! line 2 ─────────── SHA-256 ─┴─ key 2 ─┐       asked from the last key back: "was this recorded?"
//! line 3 ───────────────────── SHA-256 ─┴─ key 3
//! ```

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::jsonl::{self, CaseLines, EventLine, LineProblem};
use crate::case::event::{ProposedEvent, Version, engine_types};
use crate::case::reading::Recorded;
use crate::engine::{Engine, Opening, QueryError, RecordError, RecordOptions};
use crate::store::{BATCH_EVENTS_MAX, CaseKey, ReadError};

/// How to import.
#[derive(Debug, Clone, Copy, Default)]
pub struct ImportOptions {
    /// Declare missing steps as gaps.
    pub declare_gaps: bool,
    /// Decide, and write nothing.
    pub dry_run: bool,
}

/// What became of a case's lines.
#[derive(Debug, Clone, Serialize)]
pub struct ImportedCase {
    /// The case's reference.
    pub case: String,
    /// Lines recorded now (in a dry run: that would be).
    pub recorded: usize,
    /// Lines that an earlier import recorded.
    pub already: usize,
    /// Notes of the engine's own in the file, left out because the engine makes them again.
    pub notes_left_out: usize,
    /// The case's version now; `null` in a dry run.
    pub version: Option<Version>,
    /// Events that the engine added: gaps and breaches.
    pub added: usize,
    /// Breaches noted.
    pub breaches: usize,
    /// Gaps declared.
    pub gaps: usize,
    /// Rules that passed only because dates do not decide an order.
    pub unproven: usize,
}

/// Why a case's lines were not recorded. None of them was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A line is not an event.
    #[error(transparent)]
    Line(#[from] LineProblem),
    /// The engine did not take it.
    #[error("line {line}: {source}")]
    Record {
        /// The line concerned, as well as it can be told: the first of the case otherwise.
        line: usize,
        /// Why.
        source: RecordError,
    },
    /// The case has more lines than one append may hold.
    #[error(
        "case {case} has {lines} lines to record, and at most {BATCH_EVENTS_MAX} events are recorded together"
    )]
    TooManyLines {
        /// The case.
        case: String,
        /// How many.
        lines: usize,
    },
    /// The case is already here, and not from this file.
    #[error("case {case} is already here, and line {line} would open it again")]
    OpenedElsewhere {
        /// The case.
        case: String,
        /// The line that opens it.
        line: usize,
    },
    /// The store can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Records a case's lines: all of them, or none.
///
/// Repeating an import records nothing twice.
///
/// # Errors
/// When a line is not an event, a rule or a state refuses it, or the store fails; see [`ImportError`].
pub async fn import_case(
    engine: &Engine,
    lines: &CaseLines,
    options: ImportOptions,
) -> Result<ImportedCase, ImportError> {
    let mut parsed = Vec::with_capacity(lines.lines.len());
    for (number, text) in &lines.lines {
        // Only the file's first line may begin with a byte order mark, and that line was accepted with it.
        let line = jsonl::parse_line(text, *number == 1)
            .map_err(|problem| LineProblem { line: *number, ..problem })?;
        parsed.extend(line.map(|line| (*number, line)));
    }
    let imported = import_events(engine, &lines.case, parsed, options).await?;
    Ok(ImportedCase { notes_left_out: lines.notes_left_out, ..imported })
}

/// Records the events of one case, each with the place that errors name (the line of a file), in the order given: all of
/// them, or none. Every form of import ends here.
///
/// Repeating it records nothing twice; what was added at the end since is recorded.
///
/// # Errors
/// When a rule or a state refuses an event, an event is of another case, or the store fails; see [`ImportError`].
pub async fn import_events(
    engine: &Engine,
    case: &str,
    mut events: Vec<(usize, EventLine)>,
    options: ImportOptions,
) -> Result<ImportedCase, ImportError> {
    if let Some((line, other)) = events.iter().find(|(_, line)| line.case != case) {
        let problem = format!("it is an event of case {}, among those of {case}", other.case);
        return Err(LineProblem { line: *line, case: Some(other.case.clone()), problem, help: None }.into());
    }
    let keys = chain(&events);
    let already = recorded_before(engine, case, &keys).await?;
    let mut imported = ImportedCase {
        case: case.to_owned(),
        recorded: events.len() - already,
        already,
        notes_left_out: 0,
        version: None,
        added: 0,
        breaches: 0,
        gaps: 0,
        unproven: 0,
    };
    resolve_exported_ids(&mut events);
    let rest = events.split_off(already);
    let Some(key) = keys.last().filter(|_| !rest.is_empty()) else { return Ok(imported) };
    if rest.len() > BATCH_EVENTS_MAX {
        return Err(ImportError::TooManyLines { case: case.to_owned(), lines: rest.len() });
    }
    let recording = RecordOptions {
        declare_gaps: options.declare_gaps,
        dry_run: options.dry_run,
        imported: true,
        idempotency_key: Some(key.clone()),
        ..RecordOptions::default()
    };
    let recorded = record(engine, case, rest, recording).await?;
    imported.version = (!options.dry_run).then_some(recorded.version);
    imported.added = recorded.events.len().saturating_sub(imported.recorded);
    imported.breaches = recorded.breaches.len();
    imported.gaps = recorded.gaps.len();
    imported.unproven = recorded.unproven.len();
    Ok(imported)
}

async fn record(
    engine: &Engine,
    case: &str,
    lines: Vec<(usize, EventLine)>,
    options: RecordOptions,
) -> Result<Recorded, ImportError> {
    let numbers: Vec<usize> = lines.iter().map(|(number, _)| *number).collect();
    let first = numbers.first().copied().unwrap_or_default();
    let opens = lines.first().is_some_and(|(_, line)| line.event.event_type == engine_types::CASE_OPENED);
    let workflow = lines.first().and_then(|(_, line)| line.workflow.clone());
    let events: Vec<ProposedEvent> = lines.into_iter().map(|(_, line)| line.event).collect();
    let answer = if opens {
        let Some(workflow) = workflow else {
            return Err(ImportError::Line(LineProblem {
                line: first,
                case: Some(case.to_owned()),
                problem: "`workflow` is missing: a case is opened under a definition".to_owned(),
                help: Some("write \"workflow\":\"police-conduct\", or NAME@VERSION".to_owned()),
            }));
        };
        open(engine, case, workflow, events, options).await
    } else {
        engine.record(&CaseKey::Reference(case.to_owned()), events, options).await
    };
    answer.map_err(|error| match error {
        RecordError::ReferenceTaken { .. } => {
            ImportError::OpenedElsewhere { case: case.to_owned(), line: first }
        }
        error => ImportError::Record { line: line_of(&error, &numbers).unwrap_or(first), source: error },
    })
}

fn line_of(error: &RecordError, numbers: &[usize]) -> Option<usize> {
    let index = match error {
        RecordError::Refused(refusal) => refusal.index?,
        RecordError::Invalid(invalid) => invalid.index,
        _ => return None,
    };
    numbers.get(index).copied()
}

/// Opens a case with what follows, in one batch.
async fn open(
    engine: &Engine,
    case: &str,
    workflow: String,
    mut events: Vec<ProposedEvent>,
    options: RecordOptions,
) -> Result<Recorded, RecordError> {
    let event = events.remove(0);
    let opening = Opening { reference: case.to_owned(), workflow, event, then: events };
    engine.open_case(opening, options).await
}

/// The key of each beginning of the lines.
fn chain(lines: &[(usize, EventLine)]) -> Vec<String> {
    let mut hash = [0; 32];
    lines
        .iter()
        .map(|(_, line)| {
            let mut hasher = Sha256::new();
            hasher.update(hash);
            hasher.update(said(line));
            hash = hasher.finalize().into();
            let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("import:{hex}")
        })
        .collect()
}

/// What a line says, in canonical form and without what an export adds: the same history has the same keys however
/// its file was written.
fn said(line: &EventLine) -> Vec<u8> {
    let said = serde_json::json!({ "case": line.case, "workflow": line.workflow, "event": line.event });
    // A line that was parsed strictly holds nothing that has no canonical form.
    serde_json_canonicalizer::to_vec(&said).unwrap_or_else(|_| said.to_string().into_bytes())
}

/// How many lines from the beginning were recorded by an earlier import.
async fn recorded_before(engine: &Engine, case: &str, keys: &[String]) -> Result<usize, ImportError> {
    let Some((last, earlier)) = keys.split_last() else { return Ok(0) };
    if is_answered(engine, last).await? {
        return Ok(keys.len());
    }
    if !exists(engine, case).await? {
        return Ok(0);
    }
    for (index, key) in earlier.iter().enumerate().rev() {
        if is_answered(engine, key).await? {
            return Ok(index + 1);
        }
    }
    Ok(0)
}

async fn is_answered(engine: &Engine, key: &str) -> Result<bool, ReadError> {
    Ok(engine.answered(key).await?.is_some())
}

async fn exists(engine: &Engine, case: &str) -> Result<bool, ReadError> {
    match engine.case(&CaseKey::Reference(case.to_owned())).await {
        Ok(_) => Ok(true),
        Err(QueryError::Read(error)) => Err(error),
        Err(_) => Ok(false),
    }
}

/// In an export, events refer to each other by the ids they had there; here they get new ones. An event that another
/// line of the case refers to by such an id, an earlier or a later one, is referred to by its label instead, and is
/// given its old id as label where it has none that tells it from the others.
fn resolve_exported_ids(lines: &mut [(usize, EventLine)]) {
    let mentioned: HashSet<String> =
        lines.iter().flat_map(|(_, line)| mentions(&line.event)).map(str::to_owned).collect();
    let mut uses = HashMap::<String, usize>::new();
    for label in lines.iter().filter_map(|(_, line)| line.event.label.clone()) {
        *uses.entry(label).or_default() += 1;
    }
    let mut labels = HashMap::<String, String>::new();
    for (_, line) in lines.iter_mut() {
        let Some(id) = line.exported_id.clone().filter(|id| mentioned.contains(id)) else { continue };
        let own = line.event.label.take().filter(|label| uses.get(label) == Some(&1));
        let label = line.event.label.insert(own.unwrap_or_else(|| id.clone())).clone();
        if label != id {
            labels.insert(id, label);
        }
    }
    if !labels.is_empty() {
        for (_, line) in lines {
            rename_mentions(&mut line.event, &labels);
        }
    }
}

/// The fields of the engine's own events that name another event.
const MENTIONING_FIELDS: [&str; 2] = ["corrects", "annuls"];

fn mentions(event: &ProposedEvent) -> Vec<&str> {
    let links = event.occurred.iter().flat_map(|occurred| occurred.after.iter().chain(&occurred.before));
    let fields = MENTIONING_FIELDS.iter().filter_map(|name| event.data.get(*name).and_then(Value::as_str));
    links.map(String::as_str).chain(fields).collect()
}

fn rename_mentions(event: &mut ProposedEvent, labels: &HashMap<String, String>) {
    if let Some(occurred) = &mut event.occurred {
        for link in occurred.after.iter_mut().chain(&mut occurred.before) {
            if let Some(label) = labels.get(link.as_str()) {
                link.clone_from(label);
            }
        }
    }
    for name in MENTIONING_FIELDS {
        if let Some(Value::String(link)) = event.data.get_mut(name)
            && let Some(label) = labels.get(link.as_str())
        {
            link.clone_from(label);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::case::reading::{Cut, HistoryEntry};
    use crate::definition::compile::compile;
    use crate::engine::HistoryOrder;
    use crate::store::{MemoryStore, codec};
    use crate::workflows;

    const CASE_FILE: &str = include_str!("../../../examples/reference-case/2020-146999.jsonl");

    fn engine() -> Engine {
        let files = workflows::shipped("police-conduct").expect("it ships");
        let definition = compile(&files).expect("it compiles");
        Engine::open(Arc::new(MemoryStore::new()), vec![definition]).expect("an empty store opens")
    }

    #[track_caller]
    fn lines_of(text: &str) -> CaseLines {
        let mut file = jsonl::read_file(text.as_bytes()).expect("it can be read");
        assert_eq!(file.problems, []);
        file.cases.remove(0)
    }

    async fn import(engine: &Engine, text: &str) -> Result<ImportedCase, ImportError> {
        import_case(engine, &lines_of(text), ImportOptions::default()).await
    }

    fn first_lines(count: usize) -> String {
        CASE_FILE.lines().take(count).map(|line| format!("{line}\n")).collect()
    }

    fn export_of(history: &[HistoryEntry]) -> String {
        let mut export = String::new();
        for entry in history {
            let bytes = codec::encode(&entry.event).expect("it is an event");
            export.push_str(std::str::from_utf8(&bytes).expect("it is UTF-8"));
            export.push('\n');
        }
        export
    }

    #[tokio::test]
    async fn a_file_imported_again_records_nothing() {
        let engine = engine();
        let first = import(&engine, CASE_FILE).await.expect("it is lawful");
        let again = import(&engine, CASE_FILE).await.expect("it is known");
        assert_eq!((again.recorded, again.already), (0, first.recorded));
    }

    #[tokio::test]
    async fn of_a_file_that_has_grown_only_the_new_lines_are_recorded() {
        let engine = engine();
        import(&engine, &first_lines(20)).await.expect("it is lawful");
        let grown = import(&engine, &first_lines(25)).await.expect("it is lawful");
        assert_eq!((grown.recorded, grown.already), (5, 20));
        let again = import(&engine, &first_lines(25)).await.expect("it is known");
        assert_eq!((again.recorded, again.already), (0, 25));
    }

    #[tokio::test]
    async fn how_a_line_is_written_does_not_matter() {
        let engine = engine();
        let lines = first_lines(3);
        import(&engine, &lines).await.expect("it is lawful");
        let spaced = lines.replace("\"case\": ", "  \"case\":   ").replace('\n', "\r\n");
        assert_eq!(import(&engine, &spaced).await.expect("it is known").recorded, 0);
    }

    #[tokio::test]
    async fn another_file_does_not_open_a_case_again() {
        let engine = engine();
        import(&engine, &first_lines(3)).await.expect("it is lawful");
        let other = first_lines(3).replace("intake-1", "intake-2");
        let error = import(&engine, &other).await.expect_err("the case is open");
        assert!(matches!(error, ImportError::OpenedElsewhere { line: 1, .. }), "{error}");
    }

    #[tokio::test]
    async fn a_refused_line_is_named_and_nothing_of_its_case_is_recorded() {
        let engine = engine();
        let mut lines: Vec<&str> = CASE_FILE.lines().collect();
        let sentence = lines.iter().position(|line| line.contains("sentence-passed")).expect("there is one");
        lines.remove(sentence - 1);
        let error = import(&engine, &lines.join("\n")).await.expect_err("there is no conviction");
        let ImportError::Record { line, source: RecordError::Refused(_) } = error else { panic!("{error}") };
        assert_eq!(line, sentence);
        let case = CaseKey::Reference("2020/146999".to_owned());
        assert!(matches!(engine.status(&case, Cut::default()).await, Err(QueryError::NoSuchCase { .. })));
    }

    #[tokio::test]
    async fn an_export_with_a_correction_is_read_back() {
        let (old, new) = (engine(), engine());
        import(&old, &first_lines(5)).await.expect("it is lawful");
        let case = CaseKey::Reference("2020/146999".to_owned());
        let fields = [("place".to_owned(), Value::String("Margate".to_owned()))].into_iter().collect();
        let by =
            crate::case::event::Recorder { id: "caseworker-1".to_owned(), role: "caseworker".to_owned() };
        old.correct(&case, Version(5), fields, "as the source has it", by, RecordOptions::default())
            .await
            .expect("it may be corrected");
        let history = old.history(&case, Cut::default(), HistoryOrder::Recorded).await.expect("it is there");
        let export = export_of(&history);
        import(&new, &export).await.expect("it is lawful");
        let read = new.history(&case, Cut::default(), HistoryOrder::Recorded).await.expect("it is there");
        assert_eq!(read[4].corrected_by, [Version(6)]);
    }

    #[tokio::test]
    async fn an_export_with_gaps_that_the_engine_declared_is_read_back() {
        let (old, new) = (engine(), engine());
        let is_real = |line: &&str| !line.contains("\"gap-declared\"");
        let lines: Vec<&str> = CASE_FILE.lines().filter(is_real).take(19).collect();
        let options = ImportOptions { declare_gaps: true, ..ImportOptions::default() };
        let imported =
            import_case(&old, &lines_of(&lines.join("\n")), options).await.expect("gaps are declared");
        assert!(imported.gaps > 0);
        let case = CaseKey::Reference("2020/146999".to_owned());
        let history = old.history(&case, Cut::default(), HistoryOrder::Recorded).await.expect("it is there");
        let read = import(&new, &export_of(&history)).await.expect("its own export is lawful");
        assert_eq!((read.recorded, read.added), (history.len(), 0));
        let (was, is) = (old.status(&case, Cut::default()).await, new.status(&case, Cut::default()).await);
        let (was, is) = (was.expect("it is there"), is.expect("it is there"));
        assert_eq!(format!("{:?}", is.strands), format!("{:?}", was.strands));
        assert_eq!(format!("{:?}", is.derived), format!("{:?}", was.derived));
    }
}
