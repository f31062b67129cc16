//! Takes an export over into an empty store, byte for byte: the same ids, instants, chains and hashes.
//!
//! ```text
//! check      every line: canonical, follows in its case's chain, under a definition that is known     nothing written
//! append     in order of `recorded_at`; an export of everything stands in that order already
//! verify     everything that `audit verify` looks at, legality included
//! ```
//!
//! Where the order of the file is the order of the log, positions and the root of the tree are those of the old store too.
//! Nobody but the caller knows of the store until all three are done: a failure means that it is to be thrown away.
//!
//! What the chain shows is that nothing before a case's last event was changed, removed or inserted. That the last event of
//! a case is genuine, and that none followed it, only a checkpoint of the old store shows: compare the root.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::sync::{Arc, mpsc};

use crate::case::event::{CaseId, RecordedEvent, Version, engine_types};
use crate::definition::Definition;
use crate::engine::Engine;
use crate::ledger::chain::{leaf_hash, to_base64};
use crate::store::{
    Append, AppendError, Appended, EVENT_BYTES_MAX, EncodedEvent, ExpectedVersion, REFERENCE_BYTES_MAX,
    ReadError, codec,
};
use crate::verify::{Demand, Finding, Progress, verify_against};

/// Events of one case that are appended together.
const BATCH_EVENTS: usize = 500;

/// Appends that wait for the disk at a time: the store writes those that wait together with one sync.
const APPENDS_UNDER_WAY: usize = 256;

/// What was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenOver {
    /// Cases.
    pub cases: usize,
    /// Events.
    pub events: u64,
    /// Root of the tree over them, base64.
    pub root: String,
    /// The file stood in the order of `recorded_at`, and positions are its lines.
    pub in_file_order: bool,
}

/// How far it is: the step, lines or events done, and of how many (0 where that is not known).
pub type Step<'a> = &'a (dyn Fn(&'static str, u64, u64) + Sync);

/// Why an export was not taken over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AsIsError {
    /// The store has events.
    #[error("the store holds {events} events already")]
    NotEmpty {
        /// How many.
        events: u64,
    },
    /// A line is not what was recorded, or does not follow from those before it.
    #[error("line {line}: {problem}")]
    Line {
        /// The line, from 1; 0 where it is the file as a whole.
        line: usize,
        /// What is wrong.
        problem: String,
        /// What to do.
        help: &'static str,
    },
    /// A case is under a definition that is not known here.
    #[error("line {line}: case {case} is under {pin}, and no definition with that content is known here")]
    UnknownDefinition {
        /// The line.
        line: usize,
        /// The case.
        case: String,
        /// `name@version`.
        pin: String,
        /// A definition of that name and version is known, with another content.
        is_changed: bool,
    },
    /// Every line follows, and all the same the whole is not as a log has to be.
    #[error("line {line}: {}: expected {}, found {}", finding.check, finding.expected, finding.found)]
    Unsound {
        /// The line; 0 where none is concerned.
        line: usize,
        /// The first thing that is wrong.
        finding: Box<Finding>,
    },
    /// The file can't be read.
    #[error(transparent)]
    File(#[from] io::Error),
    /// The store did not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The store can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A file whose lines all follow.
#[derive(Debug, Default)]
pub struct Checked {
    /// Its lines in the order of the log that they make.
    lines: Vec<Line>,
    chains: HashMap<CaseId, Chain>,
    references: HashMap<String, CaseId>,
    definitions: BTreeMap<String, Arc<Definition>>,
    in_file_order: bool,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    recorded_at_micros: i64,
    offset: u64,
    number: usize,
}

/// What is known of a case after its last line.
#[derive(Debug)]
struct Chain {
    version: Version,
    leaf: [u8; 32],
    line: usize,
    reference: String,
    definition: String,
    recorded_at_micros: i64,
}

const NOT_AN_EXPORT: &str = "--as-is takes what `casebook export jsonl` wrote, untouched; without it, event files in any form \
                             are recorded anew";
const ASK_FOR_ANOTHER: &str =
    "export the cases again where they come from, each of them whole, and compare the files";

impl Checked {
    /// Reads a file to its end and checks every line. Holds a few words of each line, and the head of each case.
    ///
    /// # Errors
    /// [`AsIsError::Line`] and [`AsIsError::UnknownDefinition`] for the first line that is wrong; when reading fails.
    pub fn of(mut reader: impl BufRead, engine: &Engine, step: Step<'_>) -> Result<Self, AsIsError> {
        let mut checked = Self { in_file_order: true, ..Self::default() };
        let (mut offset, mut number) = (0, 0);
        let mut text = Vec::new();
        loop {
            text.clear();
            let length = reader.by_ref().take(EVENT_BYTES_MAX as u64 + 2).read_until(b'\n', &mut text)?;
            if length == 0 {
                break;
            }
            number += 1;
            let bytes = text.strip_suffix(b"\n").unwrap_or(&text);
            let event = read_line(bytes, number)?;
            checked.add(&event, bytes, Line { recorded_at_micros: 0, offset, number }, engine)?;
            offset += length as u64;
            if number % 1_000 == 0 {
                step("checking", number as u64, 0);
            }
        }
        if checked.lines.is_empty() {
            return Err(AsIsError::Line {
                line: 0,
                problem: "the file holds no event".to_owned(),
                help: "an export that failed leaves such a file; export again",
            });
        }
        if !checked.in_file_order {
            // Stable: the lines of a case keep their order.
            checked.lines.sort_by_key(|line| line.recorded_at_micros);
        }
        Ok(checked)
    }

    /// How many lines there are.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.lines.len()
    }

    /// How many cases.
    #[must_use]
    pub fn cases(&self) -> usize {
        self.chains.len()
    }

    fn add(
        &mut self,
        event: &RecordedEvent,
        bytes: &[u8],
        line: Line,
        engine: &Engine,
    ) -> Result<(), AsIsError> {
        let number = line.number;
        let wrong = |problem: String, help| Err(AsIsError::Line { line: number, problem, help });
        let recorded_at_micros = event.recorded_at.as_microsecond();
        if let Err(problem) = self.follows(event, recorded_at_micros) {
            return wrong(problem, ASK_FOR_ANOTHER);
        }
        let chain = self.chains.get(&event.case_id);
        let puts_under = chain.is_none() || event.proposed.event_type == engine_types::DEFINITION_MIGRATED;
        if puts_under {
            let known = engine.definition_of(event).filter(|known| known.pin() == event.definition);
            let Some(known) = known else {
                let is_changed = engine.definitions().iter().any(|known| known.pin() == event.definition);
                let (case, pin) = (event.case.clone(), event.definition.clone());
                return Err(AsIsError::UnknownDefinition { line: number, case, pin, is_changed });
            };
            self.definitions.entry(known.digest_hex()).or_insert(known);
        } else if let Some(chain) = chain.filter(|chain| chain.definition != event.definition) {
            let problem =
                format!("the case is under {}, and this event under {}", chain.definition, event.definition);
            return wrong(problem, ASK_FOR_ANOTHER);
        }
        if self.lines.last().is_some_and(|last| last.recorded_at_micros > recorded_at_micros) {
            self.in_file_order = false;
        }
        self.lines.push(Line { recorded_at_micros, ..line });
        self.references.entry(event.case.clone()).or_insert(event.case_id);
        let chain = Chain {
            version: event.version,
            leaf: leaf_hash(bytes),
            line: number,
            reference: event.case.clone(),
            definition: event.definition.clone(),
            recorded_at_micros,
        };
        self.chains.insert(event.case_id, chain);
        Ok(())
    }

    /// Whether the event follows in its case.
    fn follows(&self, event: &RecordedEvent, recorded_at_micros: i64) -> Result<(), String> {
        let (case, version) = (&event.case, event.version);
        let Some(chain) = self.chains.get(&event.case_id) else {
            return if version != Version(1) {
                Err(format!("case {case} begins with version {version}: its first events are missing"))
            } else if event.prev.is_some() || event.proposed.event_type != engine_types::CASE_OPENED {
                Err(format!("case {case} does not begin with its opening"))
            } else if self.references.contains_key(case) {
                Err(format!("the reference {case} belongs to another case of the file"))
            } else if case.is_empty() || case.len() > REFERENCE_BYTES_MAX {
                Err(format!("a reference has 1 to {REFERENCE_BYTES_MAX} bytes"))
            } else {
                Ok(())
            };
        };
        let before = chain.line;
        if version != chain.version.next() {
            return Err(format!(
                "case {case} goes on with version {version}, and line {before} is version {}: lines are missing, twice \
                 there, or out of order",
                chain.version
            ));
        }
        let leaf = to_base64(&chain.leaf);
        if event.prev.as_ref() != Some(&leaf) {
            return Err(format!(
                "version {version} of case {case} follows an event with the hash {}, and line {before} hashes to {leaf}: \
                 one of the two lines was changed",
                event.prev.as_deref().unwrap_or("none")
            ));
        }
        if *case != chain.reference {
            return Err(format!("the case is {} on line {before}, and {case} here", chain.reference));
        }
        if recorded_at_micros < chain.recorded_at_micros {
            return Err(format!("it was recorded before line {before}, which precedes it"));
        }
        Ok(())
    }
}

/// One line as it was recorded.
fn read_line(bytes: &[u8], number: usize) -> Result<RecordedEvent, AsIsError> {
    let wrong = |problem: String| AsIsError::Line { line: number, problem, help: NOT_AN_EXPORT };
    if bytes.len() > EVENT_BYTES_MAX {
        return Err(wrong(format!("the line is longer than {EVENT_BYTES_MAX} bytes, and no event is")));
    }
    if bytes.trim_ascii().is_empty() {
        return Err(wrong("the line is empty".to_owned()));
    }
    let unread = |problem: String| {
        let problem = problem.strip_prefix("line 1, ").unwrap_or(&problem).to_owned();
        wrong(format!("this is no recorded event: {problem}"))
    };
    let event = codec::parse_strict(bytes)
        .and_then(|_| codec::decode(bytes))
        .map_err(|error| unread(error.to_string()))?;
    if !codec::is_as_written(&event, bytes) {
        return Err(wrong("the bytes are not in the canonical form in which events are recorded".to_owned()));
    }
    Ok(event)
}

/// Takes a file over into the engine's store, which has to be empty, and lets it meet these checkpoints of the old store,
/// whose signatures the caller has checked. Blocking.
///
/// # Errors
/// See [`AsIsError`]; the store may hold a part of the file then, and is to be thrown away.
pub fn take_over<F: Read + Seek>(
    engine: &Engine,
    file: F,
    checkpoints: &[Demand],
    step: Step<'_>,
) -> Result<TakenOver, AsIsError> {
    let head = *engine.store().head().borrow();
    if head.0 > 0 {
        return Err(AsIsError::NotEmpty { events: head.0 });
    }
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(0))?;
    let checked = Checked::of(&mut reader, engine, step)?;
    for (digest, definition) in &checked.definitions {
        engine.store().keep_definition(digest, &definition.canonical)?;
    }
    append_all(engine, &checked, &mut reader, step)?;
    let progress = |at: Progress| step("verifying", at.done, at.total);
    let verified = verify_against(engine, checkpoints, &progress)?;
    if let Some(finding) = verified.findings.into_iter().next() {
        let place = usize::try_from(finding.position.0).unwrap_or_default().checked_sub(1);
        let line = place.and_then(|place| checked.lines.get(place)).map_or(0, |line| line.number);
        return Err(AsIsError::Unsound { line, finding: Box::new(finding) });
    }
    Ok(TakenOver {
        cases: checked.chains.len(),
        events: verified.events,
        root: verified.root,
        in_file_order: checked.in_file_order,
    })
}

/// Appends under way, and their answers.
struct UnderWay {
    sender: mpsc::Sender<Result<Appended, AppendError>>,
    answers: mpsc::Receiver<Result<Appended, AppendError>>,
    waiting: usize,
}

impl UnderWay {
    fn wait_until(&mut self, waiting_max: usize) -> Result<(), AsIsError> {
        while self.waiting > waiting_max {
            // The sender above lives as long as this: an answer comes, or the store has said why not.
            let answer = self.answers.recv().map_err(io::Error::other)?;
            self.waiting -= 1;
            answer?;
        }
        Ok(())
    }

    fn submit(&mut self, engine: &Engine, append: Append) -> Result<(), AsIsError> {
        self.wait_until(APPENDS_UNDER_WAY - 1)?;
        let sender = self.sender.clone();
        // The receiver may be gone after a failure; what is stored then is thrown away.
        engine.store().submit(append, Box::new(move |answer| drop(sender.send(answer))));
        self.waiting += 1;
        Ok(())
    }
}

fn append_all(
    engine: &Engine,
    checked: &Checked,
    reader: &mut (impl BufRead + Seek),
    step: Step<'_>,
) -> Result<(), AsIsError> {
    let (sender, answers) = mpsc::channel();
    let mut under_way = UnderWay { sender, answers, waiting: 0 };
    let total = checked.lines.len() as u64;
    let mut batch: Option<Append> = None;
    let mut place = None;
    let mut text = Vec::new();
    for (line, done) in checked.lines.iter().zip(0..) {
        if place != Some(line.offset) {
            reader.seek(SeekFrom::Start(line.offset))?;
        }
        text.clear();
        let length = reader.by_ref().take(EVENT_BYTES_MAX as u64 + 2).read_until(b'\n', &mut text)?;
        place = Some(line.offset + length as u64);
        let bytes = text.strip_suffix(b"\n").unwrap_or(&text);
        let event = read_line(bytes, line.number)?;
        let full =
            batch.take_if(|batch| batch.case_id != event.case_id || batch.events.len() >= BATCH_EVENTS);
        if let Some(full) = full {
            under_way.submit(engine, full)?;
            step("writing", done, total);
        }
        let batch = batch.get_or_insert_with(|| Append {
            case_id: event.case_id,
            reference: event.case.clone(),
            expected: match event.version {
                Version(1) => ExpectedVersion::NoCase,
                version => ExpectedVersion::Exactly(Version(version.0.saturating_sub(1))),
            },
            events: Vec::new(),
            idempotency: None,
        });
        batch.events.push(EncodedEvent {
            case_id: event.case_id,
            version: event.version,
            bytes: Arc::from(bytes),
            leaf: leaf_hash(bytes),
        });
    }
    if let Some(last) = batch {
        under_way.submit(engine, last)?;
    }
    under_way.wait_until(0)
}
