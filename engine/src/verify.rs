//! Verification: everything recomputed from the stored bytes, and the first thing that is wrong named.
//!
//! No index is trusted. First the log, in order of position: positions and versions without holes, canonical bytes, every leaf
//! hash, every case's chain, one reference and one definition per case, time that never goes back; the Merkle tree, against its
//! kept tiles and against checkpoints; and the copy that ordinary reads are answered from, byte by byte against the archive. Then every case: its timeline judged under its definition.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use jiff::Timestamp;
use serde::Serialize;

use crate::case::authority::against_note;
use crate::case::effective::is_note;
use crate::case::event::{CaseId, Position, RecordedEvent, Version, engine_types};
use crate::case::footing::{accepts, fallen, reasons, takers};
use crate::case::refusal::Reason;
use crate::case::state::CaseState;
use crate::engine::Engine;
use crate::ledger::chain::{leaf_hash, to_base64};
use crate::ledger_check::TreeCheck;
use crate::own_case;
use crate::seal_check::SealCheck;
use crate::store::{LogCopy, ReadError, StoredEvent, codec};

pub use crate::ledger_check::Demand;

/// Events read and hashed at a time.
const PAGE_EVENTS: usize = 4_096;

/// Findings after which the search stops: the first is what matters, a few more show the extent.
const FINDINGS_MAX: usize = 20;

/// What verification looked at, and what it found.
#[derive(Debug, Clone, Serialize)]
pub struct Verification {
    /// Whether nothing is wrong.
    pub verified: bool,
    /// Events checked.
    pub events: u64,
    /// Cases checked, beside the log's own.
    pub cases: usize,
    /// Seals of the ends of all cases that say what was worked out again.
    pub seals_met: u64,
    /// Position of the last event.
    pub head: Position,
    /// Leaf hash of the last event, base64.
    pub last_leaf: Option<String>,
    /// Root of the Merkle tree over the events checked, base64.
    pub root: String,
    /// Different checkpoints that the log meets: those brought, and those that lie beside it.
    pub checkpoints_met: usize,
    /// What is wrong, the first first; at most 20.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check that failed: `position`, `canonical`, `leaf`, `version`, `chain`, `reference`, `definition`, `time`,
    /// `tree`, `seal`, `signature`, `checkpoint`, `copy`, `read`, `legality`.
    pub check: &'static str,
    /// The event's position.
    pub position: Position,
    /// Its case's reference, where it can be read.
    pub case: Option<String>,
    /// Its version.
    pub version: Version,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

/// How far verification is: events read, then cases judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units in all.
    pub total: u64,
}

/// One event, recomputed.
struct Recomputed {
    stored: StoredEvent,
    leaf: [u8; 32],
    event: Result<RecordedEvent, String>,
    is_canonical: bool,
}

/// What the log has said of one case so far.
struct Chain {
    version: Version,
    leaf: [u8; 32],
    reference: String,
    definition: String,
}

struct Verifier<'a> {
    engine: &'a Engine,
    chains: HashMap<CaseId, Chain>,
    latest: Timestamp,
    events: u64,
    last_leaf: Option<[u8; 32]>,
    tree: TreeCheck<'a>,
    seals: SealCheck,
    findings: Vec<Finding>,
}

/// Verifies everything that the engine's store holds. Blocking: run it away from the threads that serve others.
///
/// # Errors
/// When the disk fails in a way that says nothing about the log.
pub fn verify(engine: &Engine, progress: &(dyn Fn(Progress) + Sync)) -> Result<Verification, ReadError> {
    verify_against(engine, &[], progress)
}

/// As [`verify`], and the log has to meet these checkpoints too, whose signatures the caller has checked.
///
/// # Errors
/// As [`verify`].
pub fn verify_against(
    engine: &Engine,
    checkpoints: &[Demand],
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Verification, ReadError> {
    let mut verifier = Verifier {
        engine,
        chains: HashMap::new(),
        latest: Timestamp::MIN,
        events: 0,
        last_leaf: None,
        tree: TreeCheck::begin(engine.store().as_ref(), engine.signer(), checkpoints),
        seals: SealCheck::begin(engine.store().as_ref()),
        findings: Vec::new(),
    };
    let head = *engine.store().head().borrow();
    verifier.read_log(head, progress)?;
    let tree = verifier.tree.finish();
    verifier.findings.extend(tree.findings);
    if verifier.findings.is_empty() {
        verifier.compare_copies(head)?;
    }
    if verifier.findings.is_empty() {
        verifier.judge_cases(progress);
    }
    Ok(Verification {
        verified: verifier.findings.is_empty(),
        events: verifier.events,
        cases: verifier.chains.keys().filter(|case| **case != own_case::CASE_ID).count(),
        seals_met: verifier.seals.seals(),
        head,
        last_leaf: verifier.last_leaf.as_ref().map(to_base64),
        root: to_base64(&tree.root),
        checkpoints_met: tree.checkpoints_met,
        findings: verifier.findings,
    })
}

impl Verifier<'_> {
    fn read_log(&mut self, head: Position, progress: &(dyn Fn(Progress) + Sync)) -> Result<(), ReadError> {
        let store = self.engine.store();
        let mut after = Position(0);
        while after < head && self.findings.len() < FINDINGS_MAX {
            let page = match store.raw_log(LogCopy::Archive, after, PAGE_EVENTS) {
                Ok(page) => page,
                Err(ReadError::Damaged { position, version, problem, .. }) => {
                    self.find("read", position, None, version, "an event that can be read", problem);
                    self.tree.leave_the_end_open();
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            if page.is_empty() {
                let next = after.next();
                self.find(
                    "position",
                    next,
                    None,
                    Version(0),
                    &format!("events up to {head}"),
                    "the log ends here".into(),
                );
                return Ok(());
            }
            for recomputed in recompute(&page) {
                let expected = after.next();
                after = recomputed.stored.position;
                if after != expected {
                    let version = recomputed.stored.version;
                    self.find("position", after, None, version, &expected.to_string(), after.to_string());
                    return Ok(());
                }
                self.check(&recomputed);
            }
            progress(Progress { done: after.0, total: head.0 });
        }
        Ok(())
    }

    fn check(&mut self, recomputed: &Recomputed) {
        let Recomputed { stored, leaf, .. } = recomputed;
        self.events += 1;
        self.last_leaf = Some(*leaf);
        self.tree.push(*leaf);
        let event = match &recomputed.event {
            Ok(event) => event,
            Err(problem) => {
                let problem = problem.clone();
                self.find("canonical", stored.position, None, stored.version, "an event", problem);
                return;
            }
        };
        let case = Some(event.case.clone());
        let mut wrong = |check, expected: &str, found: String| {
            self.findings.push(Finding {
                check,
                position: stored.position,
                case: case.clone(),
                version: stored.version,
                expected: expected.to_owned(),
                found,
            });
        };
        if !recomputed.is_canonical {
            wrong("canonical", "canonical bytes (RFC 8785)", "other bytes".into());
        }
        if *leaf != stored.leaf {
            wrong("leaf", &to_base64(&stored.leaf), to_base64(leaf));
        }
        if event.version != stored.version || event.case_id != stored.case_id {
            let expected = format!("case {} version {}", stored.case_id, stored.version);
            wrong("version", &expected, format!("case {} version {}", event.case_id, event.version));
        }
        if event.recorded_at < self.latest {
            wrong("time", &format!("{} or later", self.latest), event.recorded_at.to_string());
        }
        self.latest = self.latest.max(event.recorded_at);
        if let Some((expected, found)) = self.seals.push(stored.position.0, event, *leaf) {
            self.find("seal", stored.position, Some(event.case.clone()), stored.version, &expected, found);
        }
        self.check_chain(stored, event, *leaf);
    }

    fn check_chain(&mut self, stored: &StoredEvent, event: &RecordedEvent, leaf: [u8; 32]) {
        let (before, reference, definition) = match self.chains.get(&event.case_id) {
            Some(chain) => (chain.version, chain.reference.clone(), chain.definition.clone()),
            None => (Version(0), event.case.clone(), event.definition.clone()),
        };
        let previous = self.chains.get(&event.case_id).map(|chain| to_base64(&chain.leaf));
        let told = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".into());
        let mut wrong: Vec<(&'static str, String, String)> = Vec::new();
        if event.version != before.next() {
            wrong.push(("version", before.next().to_string(), event.version.to_string()));
        }
        if event.prev != previous {
            wrong.push(("chain", told(&previous), told(&event.prev)));
        }
        let is_own = event.case_id == own_case::CASE_ID;
        if is_own != event.case.starts_with(own_case::RESERVED)
            || is_own && event.definition != own_case::definition().pin()
        {
            let expected =
                format!("references that begin with {} for the log's own case alone", own_case::RESERVED);
            wrong.push(("reference", expected, format!("{} under {}", event.case, event.definition)));
        }
        if event.case != reference {
            wrong.push(("reference", reference.clone(), event.case.clone()));
        }
        if before == Version(0) {
            let opens = event.proposed.event_type == engine_types::CASE_OPENED;
            if !opens || self.engine.definition_of(event).is_none_or(|known| known.pin() != event.definition)
            {
                let found = format!("{} under {}", event.proposed.event_type, event.definition);
                wrong.push(("definition", "case-opened under a definition that is kept".into(), found));
            }
        } else if event.proposed.event_type == engine_types::DEFINITION_MIGRATED {
            let adopted = self.engine.definition_of(event).filter(|known| known.pin() == event.definition);
            if adopted.is_none_or(|adopted| !follows(&adopted.name, adopted.version, &definition)) {
                let expected = format!("a later version of {definition}, kept under its digest");
                wrong.push(("definition", expected, event.definition.clone()));
            }
        } else if event.definition != definition {
            wrong.push(("definition", definition.clone(), event.definition.clone()));
        }
        for (check, expected, found) in wrong {
            self.find(check, stored.position, Some(event.case.clone()), stored.version, &expected, found);
        }
        let is_adoption = event.proposed.event_type == engine_types::DEFINITION_MIGRATED;
        let definition = if is_adoption { event.definition.clone() } else { definition };
        let chain = Chain { version: event.version, leaf, reference, definition };
        self.chains.insert(event.case_id, chain);
    }

    /// The copy that ordinary reads are answered from holds the same bytes, as far as it has come.
    fn compare_copies(&mut self, head: Position) -> Result<(), ReadError> {
        let store = self.engine.store();
        let mut after = Position(0);
        while after < head {
            let working = match store.raw_log(LogCopy::Working, after, PAGE_EVENTS) {
                Ok(page) => page,
                Err(error) => {
                    self.find(
                        "copy",
                        after.next(),
                        None,
                        Version(0),
                        "events that can be read",
                        error.to_string(),
                    );
                    return Ok(());
                }
            };
            let archive = store.raw_log(LogCopy::Archive, after, working.len().max(1))?;
            for (held, kept) in working.iter().zip(&archive) {
                if held.position != kept.position || held.bytes != kept.bytes || held.leaf != kept.leaf {
                    let found = format!("other bytes at position {}", held.position);
                    self.find(
                        "copy",
                        kept.position,
                        None,
                        kept.version,
                        "the same bytes as in the journal",
                        found,
                    );
                    return Ok(());
                }
            }
            match working.last() {
                Some(last) => after = last.position,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn judge_cases(&mut self, progress: &(dyn Fn(Progress) + Sync)) {
        let mut cases: Vec<CaseId> = self.chains.keys().copied().collect();
        cases.sort_unstable();
        let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
        let engine = self.engine;
        let total = cases.len() as u64;
        let judged: Vec<Finding> = thread::scope(|scope| {
            let work = || {
                let mut findings = Vec::new();
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    findings.extend(judge_case(engine, *case));
                    progress(Progress { done: done.fetch_add(1, Ordering::Relaxed) + 1, total });
                }
                findings
            };
            let workers: Vec<_> = (0..cores()).map(|_| scope.spawn(work)).collect();
            // A judge that fell over has found nothing: that is no verdict.
            let joined =
                workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
            joined.flatten().collect()
        });
        self.findings.extend(judged);
        self.findings.sort_by_key(|finding| (finding.position, finding.version));
        self.findings.truncate(FINDINGS_MAX);
    }

    fn find(
        &mut self,
        check: &'static str,
        position: Position,
        case: Option<String>,
        version: Version,
        expected: &str,
        found: String,
    ) {
        let finding = Finding { check, position, case, version, expected: expected.to_owned(), found };
        self.findings.push(finding);
    }
}

/// What is illegal in a case although nobody with authority accepted it.
fn judge_case(engine: &Engine, case_id: CaseId) -> Vec<Finding> {
    let state = match engine.replay(case_id) {
        Ok(loaded) => loaded.state,
        Err(error) => {
            return vec![Finding {
                check: "read",
                position: Position(0),
                case: Some(case_id.to_string()),
                version: Version(0),
                expected: "a case that can be replayed".into(),
                found: error.to_string(),
            }];
        }
    };
    unexcused(&state)
        .into_iter()
        .map(|(event, reasons)| Finding {
            check: "legality",
            position: state.position_of(event.version).unwrap_or_default(),
            case: Some(event.case.clone()),
            version: event.version,
            expected: format!("{} to be legal at its place in the timeline", event.proposed.event_type),
            found: reasons.join("; "),
        })
        .collect()
}

/// Events that may not stand at their place, and whose loss no override accepts; corrections and annulments against a rule.
fn unexcused(state: &CaseState) -> Vec<(&RecordedEvent, Vec<String>)> {
    let mut found = unaccepted(state);
    found.extend(notes_against_a_rule(state));
    found
}

/// Events that may not stand at their place, and whose loss no override accepts; those before a mapping of states by the
/// definition of then.
fn unaccepted(state: &CaseState) -> Vec<(&RecordedEvent, Vec<String>)> {
    let definition = state.definition();
    let log = || state.log().iter().map(AsRef::as_ref);
    let words = |reasons: Vec<Reason>| reasons.into_iter().map(|reason| reason.message).collect();
    let mut found = state.earlier().map(|earlier| unaccepted(&earlier.case)).unwrap_or_default();
    let fallen = fallen(state);
    if !fallen.is_empty() {
        let ids = fallen.iter().map(|(event, _)| event.id()).collect();
        let takers = takers(&state.untold(), log(), &ids);
        for (event, judgement) in &fallen {
            let is_accepted =
                takers.get(&event.id()).is_some_and(|taker| accepts(definition, event.id(), taker, log()));
            let recorded = log().find(|other| other.id == event.id());
            if let Some(recorded) = recorded.filter(|_| !is_accepted) {
                found.push((recorded, words(reasons(state, event, judgement))));
            }
        }
    }
    found
}

/// Corrections, annulments and adoptions that their recorder was not to make, as the case stood when they were recorded.
fn notes_against_a_rule(state: &CaseState) -> Vec<(&RecordedEvent, Vec<String>)> {
    let mut found = Vec::new();
    // A breach is the engine's own note, and has no recorder to ask.
    let is_note = |name: &str| is_note(name) && name != engine_types::BREACH_NOTED;
    if !state.log().iter().any(|event| is_note(&event.proposed.event_type)) {
        return found;
    }
    let mut known = state.untold();
    for event in state.log() {
        if is_note(&event.proposed.event_type) {
            let against = against_note(known.definition(), known.status(), event);
            if !against.is_empty() {
                found.push((event.as_ref(), against.into_iter().map(|reason| reason.message).collect()));
            }
        }
        known.evolve(event.as_ref().clone(), Position(0));
    }
    found
}

/// Whether a version of a workflow comes after the one that a pin names.
fn follows(name: &str, version: u32, pin: &str) -> bool {
    pin.split_once('@').is_some_and(|(before, number)| {
        before == name && number.parse::<u32>().is_ok_and(|number| number < version)
    })
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

/// Decodes and hashes a page on all cores, in order.
fn recompute(page: &[StoredEvent]) -> Vec<Recomputed> {
    let share = page.len().div_ceil(cores()).max(1);
    let shares: Vec<Vec<Recomputed>> = thread::scope(|scope| {
        let workers: Vec<_> = page
            .chunks(share)
            .map(|events| scope.spawn(move || events.iter().map(recompute_one).collect()))
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_default()).collect()
    });
    shares.into_iter().flatten().collect()
}

fn recompute_one(stored: &StoredEvent) -> Recomputed {
    let event = codec::decode(&stored.bytes).map_err(|error| error.to_string());
    Recomputed {
        leaf: leaf_hash(&stored.bytes),
        is_canonical: event.as_ref().is_ok_and(|event| codec::is_as_written(event, &stored.bytes)),
        event,
        stored: stored.clone(),
    }
}
