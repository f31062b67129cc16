//! The engine: loads a case, decides, appends, and answers questions about cases.
//!
//! ```text
//! record   case_cache or read_case -> decide (pure) -> encode, chain -> store.append -> evolve the cached state
//! query    case_cache or read_case -> telling (pure)
//! ```

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::case::adoption::adopted_by;
use crate::case::candidate::is_to_come;
use crate::case::deadline::Answer;
use crate::case::deadline_reading::{DeadlineReading, deadlines, falling_due};
use crate::case::decide::{CaseName, Decision, NotDecided, Supply, Terms, decide, decide_missed};
use crate::case::effective::target_of;
use crate::case::event::{
    CaseId, Payload, Position, ProposedEvent, RecordedEvent, Recorder, Scope, Version, engine_types,
};
use crate::case::occurred::Day;
use crate::case::reading::{
    CaseSummary, Cut, DiffReading, HistoryEntry, NextReading, Possible, Recorded, StatusReading,
};
use crate::case::refusal::Refusal;
use crate::case::state::CaseState;
use crate::case::{adoption, asking, telling};
use crate::case_cache::{CaseCache, Loaded, Slot};
use crate::closing_checkpoints::{Closed, ClosingCheckpoints, closes};
use crate::definition::Definition;
use crate::definition::engine_events::DEFINITION_DIGEST;
use crate::definitions::{Definitions, NotUsable};
use crate::ledger::chain::leaf_hash;
use crate::machine;
use crate::own_case;
use crate::projection::case_list::CaseList;
use crate::projection::deadlines::{CaseDeadline, DeadlineFilter, DeadlineList};
use crate::sealer::Sealer;
use crate::signer::Signer;
use crate::spelling::nearest;
use crate::stamping::{Stamped, Stamping};
use crate::store::{
    AppendError, Appended, CaseHead, CaseKey, EventStore, ExpectedVersion, Idempotency, ReadError,
    StorageError, StoredEvent, decode, writer_gone,
};
use crate::subscription::Subscription;

pub use crate::case::draft::InvalidEvent;

/// How often an event is decided anew because another process was faster.
const ATTEMPTS_MAX: usize = 32;

/// Events read from the store at a time.
pub(crate) const PAGE_EVENTS: usize = 1_000;

/// Cases kept in memory unless [`Engine::open_with`] says otherwise.
pub const CACHED_CASES_DEFAULT: usize = 4_096;

/// The longest reference, characters.
pub const REFERENCE_CHARS_MAX: usize = 200;

/// Cases in one store, under the definitions it knows. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn EventStore>,
    definitions: Definitions,
    cache: CaseCache,
    case_list: CaseList,
    deadline_list: DeadlineList,
    stamping: Arc<Stamping>,
    opening: Mutex<()>,
    signing: OnceLock<Signing>,
}

/// Who seals and signs, and the thread that does when a case closes.
struct Signing {
    sealer: Arc<Sealer>,
    closing: ClosingCheckpoints,
}

/// How to record.
#[derive(Debug, Clone, Default)]
pub struct RecordOptions {
    /// What the case's version must be.
    pub expected: Option<ExpectedVersion>,
    /// Declare missing steps as gaps in the same batch.
    pub declare_gaps: bool,
    /// Decide, and write nothing.
    pub dry_run: bool,
    /// The record is another system's or a published text's: a step that it leaves out is no breach.
    pub imported: bool,
    /// Makes a repetition harmless.
    pub idempotency_key: Option<String>,
    /// What it belongs to in the caller's system.
    pub correlation_id: Option<String>,
}

/// A case to be opened.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The human reference, unique, at most [`REFERENCE_CHARS_MAX`] characters.
    pub reference: String,
    /// `name` (the newest version known) or `name@version`.
    pub workflow: String,
    /// The `case-opened` event; its type is set by the engine.
    pub event: ProposedEvent,
    /// Events to be recorded with it in the same batch.
    pub then: Vec<ProposedEvent>,
}

/// Why something was not recorded. Nothing of it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A rule or a state said no.
    #[error("refused")]
    Refused(Box<Refusal>),
    /// The event itself is not valid (unknown type, scope, payload, date, reference to an event …).
    #[error(transparent)]
    Invalid(#[from] InvalidEvent),
    /// The case is not at the expected version.
    #[error("the case is at version {actual}, not as expected")]
    Conflict {
        /// Where it is (0: no such case).
        actual: Version,
    },
    /// There is no such case.
    #[error("there is no case {reference}")]
    NoSuchCase {
        /// The reference asked for.
        reference: String,
    },
    /// Another case has the reference.
    #[error("the reference {reference} is taken")]
    ReferenceTaken {
        /// The reference.
        reference: String,
    },
    /// No definition of this name and version is known.
    #[error("there is no workflow {workflow}")]
    NoSuchWorkflow {
        /// What was asked for.
        workflow: String,
        /// What is known.
        known: Vec<String>,
    },
    /// Cases use this name and version with another content.
    #[error("{pin} is in use with another content: a version that a case uses never changes")]
    WorkflowChanged {
        /// `name@version`.
        pin: String,
    },
    /// The idempotency key was used for another request.
    #[error("the idempotency key {key} was used for another request")]
    KeyReused {
        /// The key.
        key: String,
    },
    /// The case's log can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store did not take it.
    #[error(transparent)]
    Append(AppendError),
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// There is no such case.
    #[error("there is no case {reference}")]
    NoSuchCase {
        /// The reference asked for.
        reference: String,
    },
    /// The question names something that the definition does not have.
    #[error("{problem}")]
    Unknown {
        /// What, with a suggestion.
        problem: String,
    },
    /// The log can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A point of a case, for `diff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// After this version.
    Version(Version),
    /// As known at this instant.
    KnownAt(Timestamp),
    /// As at this date.
    At(Day),
}

/// Which cases to list.
#[derive(Debug, Clone, Default)]
pub struct CaseFilter {
    /// Strand and state; all must hold for at least one instance.
    pub states: Vec<(String, String)>,
    /// Text in reference or title, case-insensitive.
    pub text: Option<String>,
    /// At most this many; 0 means the default of 100.
    pub limit: usize,
    /// Cases after this reference.
    pub after: Option<String>,
}

/// In which order a history is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HistoryOrder {
    /// As recorded.
    #[default]
    Recorded,
    /// As it happened; events that are no part of the timeline follow at the end.
    Timeline,
}

/// What was stored under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Version of the last event of the batch.
    pub version: Version,
    /// Its position.
    pub position: Position,
}

impl Engine {
    /// An engine over a store, with these definitions and those that the store keeps.
    ///
    /// # Errors
    /// When the store can't be read, or keeps a definition that no longer compiles.
    pub fn open(store: Arc<dyn EventStore>, definitions: Vec<Definition>) -> Result<Self, ReadError> {
        Self::open_with(store, definitions, CACHED_CASES_DEFAULT)
    }

    /// As [`Engine::open`], keeping at most so many cases in memory.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn open_with(
        store: Arc<dyn EventStore>,
        definitions: Vec<Definition>,
        cached_cases_max: usize,
    ) -> Result<Self, ReadError> {
        let definitions = Definitions::load(store.as_ref(), definitions)?;
        let stamping = Arc::new(Stamping::over(Arc::clone(&store))?);
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                definitions,
                cache: CaseCache::new(cached_cases_max.max(1)),
                case_list: CaseList::new(),
                deadline_list: DeadlineList::new(),
                stamping,
                opening: Mutex::new(()),
                signing: OnceLock::new(),
            }),
        })
    }

    /// Lets the engine sign a checkpoint whenever a case closes, behind the answer. The first signer stays.
    pub fn sign_with(&self, signer: Signer) {
        self.inner.signing.get_or_init(|| {
            let sealer = Arc::new(Sealer::new(Arc::clone(&self.inner.stamping), signer));
            let closing = ClosingCheckpoints::start(Arc::clone(&sealer));
            Signing { sealer, closing }
        });
    }

    /// Who signs checkpoints of this log; `None` where nobody was named.
    #[must_use]
    pub fn signer(&self) -> Option<&Signer> {
        self.sealer().map(Sealer::signer)
    }

    /// Who seals the ends of all cases before a checkpoint is signed; `None` where nobody signs.
    #[must_use]
    pub fn sealer(&self) -> Option<&Sealer> {
        self.inner.signing.get().map(|signing| signing.sealer.as_ref())
    }

    /// The definitions known, by name, newest version last.
    #[must_use]
    pub fn definitions(&self) -> Vec<Arc<Definition>> {
        self.inner.definitions.all()
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.inner.store
    }

    /// Opens a case: its first events are on disk when this returns.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub async fn open_case(&self, opening: Opening, options: RecordOptions) -> Result<Recorded, RecordError> {
        let asked = idempotency(&options, || {
            json!([opening.reference, opening.workflow, opening.event, opening.then])
        });
        if let Some(answer) = self.repeated(asked.as_ref()).await? {
            return Ok(answer);
        }
        check_reference(&opening.reference)?;
        let definition =
            self.inner.definitions.for_new_case(&opening.workflow).map_err(|problem| match problem {
                NotUsable::Unknown(known) => {
                    RecordError::NoSuchWorkflow { workflow: opening.workflow.clone(), known }
                }
                NotUsable::Changed { pin } => RecordError::WorkflowChanged { pin },
            })?;
        if self.head(&CaseKey::Reference(opening.reference.clone())).await?.is_some() {
            let reference = opening.reference;
            return self.repeated(asked.as_ref()).await?.ok_or(RecordError::ReferenceTaken { reference });
        }
        let mut event = opening.event;
        engine_types::CASE_OPENED.clone_into(&mut event.event_type);
        event.data.insert("definition_digest".into(), Value::String(definition.digest_hex()));
        let proposals: Vec<ProposedEvent> = std::iter::once(event).chain(opening.then).collect();
        let name = CaseName { reference: opening.reference, case_id: CaseId(machine::new_id()) };
        let slot = self.inner.cache.slot(name.case_id);
        self.check_adoptions(&definition.name, &proposals)?;
        let library = self.inner.definitions.library(&definition.name);
        let state = Arc::new(CaseState::before_opening(Arc::clone(&definition)).knowing(library));
        let mut decision = self.decide(&state, &name, &proposals, &options)?;
        if let Some(first) = decision.events.first_mut() {
            first.workflow = Some(definition.pin());
        }
        if options.dry_run {
            return Ok(would_be(&state, decision));
        }
        let mut used = vec![definition];
        used.extend(self.adopted_in(&decision));
        self.keep(used).await?;
        let before = Loaded { state, leaf: None };
        slot.put(before.clone());
        let imported = options.imported;
        let expected = ExpectedVersion::NoCase;
        let batch = Batch { name, decision, expected, idempotency: asked.clone(), imported };
        let failed = match self.append(&slot, before, batch).await {
            Ok(recorded) if recorded.repeated => {
                return Ok(self.repeated(asked.as_ref()).await?.unwrap_or(recorded));
            }
            Ok(recorded) => return Ok(recorded),
            Err(AppendError::ReferenceTaken { reference }) => RecordError::ReferenceTaken { reference },
            Err(AppendError::Conflict { actual, .. }) => RecordError::Conflict { actual },
            Err(AppendError::KeyReused { key }) => return Err(RecordError::KeyReused { key }),
            Err(other) => return Err(RecordError::Append(other)),
        };
        // Somebody was faster: perhaps with the same request.
        self.repeated(asked.as_ref()).await?.ok_or(failed)
    }

    /// Records one event or an atomic list: all of it is on disk when this returns, or none of it was recorded.
    ///
    /// An event is decided anew, a bounded number of times, where another process was faster, unless a version was expected.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub async fn record(
        &self,
        case: &CaseKey,
        events: Vec<ProposedEvent>,
        options: RecordOptions,
    ) -> Result<Recorded, RecordError> {
        let asked = idempotency(&options, || json!([case_text(case), events]));
        if let Some(answer) = self.repeated(asked.as_ref()).await? {
            return Ok(answer);
        }
        for attempt in 1.. {
            let case_id = self.case_id(case).await?;
            let slot = self.inner.cache.slot(case_id);
            let _turn = slot.turn.lock().await;
            // The same request may have been recorded while this one waited for its turn.
            if let Some(answer) = self.repeated(asked.as_ref()).await? {
                return Ok(answer);
            }
            let mut before = match slot.loaded() {
                Some(loaded) if attempt == 1 => loaded,
                _ => self.load(&slot, case_id).await?,
            };
            if events.iter().any(|event| event.event_type == engine_types::DEFINITION_MIGRATED) {
                before = self.informed(before, &events)?;
                slot.put(before.clone());
            }
            check_expected(options.expected, before.state.version())?;
            let name = CaseName { reference: reference_of(&before.state), case_id };
            let decision = self.decide(&before.state, &name, &events, &options)?;
            if options.dry_run {
                return Ok(would_be(&before.state, decision));
            }
            let adopted = self.adopted_in(&decision);
            if !adopted.is_empty() {
                self.keep(adopted).await?;
            }
            let expected = ExpectedVersion::Exactly(before.state.version());
            let imported = options.imported;
            let batch = Batch { name, decision, expected, idempotency: asked.clone(), imported };
            match self.append(&slot, before, batch).await {
                Ok(recorded) if recorded.repeated => {
                    return Ok(self.repeated(asked.as_ref()).await?.unwrap_or(recorded));
                }
                Ok(recorded) => return Ok(recorded),
                Err(AppendError::Conflict { .. }) if options.expected.is_none() && attempt < ATTEMPTS_MAX => {
                }
                Err(AppendError::Conflict { actual, .. }) => return Err(RecordError::Conflict { actual }),
                Err(AppendError::KeyReused { key }) => return Err(RecordError::KeyReused { key }),
                Err(other) => return Err(RecordError::Append(other)),
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Corrects fields of an event (`occurred`, `decided_by`, or payload fields) by version.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub async fn correct(
        &self,
        case: &CaseKey,
        version: Version,
        fields: Payload,
        reason: &str,
        by: Recorder,
        options: RecordOptions,
    ) -> Result<Recorded, RecordError> {
        let mut event = ProposedEvent::new(engine_types::EVENT_CORRECTED, by);
        event.data.insert("corrects".into(), Value::String(version.to_string()));
        event.data.insert("fields".into(), Value::Object(fields));
        event.data.insert("reason".into(), Value::String(reason.to_owned()));
        self.record(case, vec![event], options).await
    }

    /// Annuls an event by version.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub async fn annul(
        &self,
        case: &CaseKey,
        version: Version,
        reason: &str,
        by: Recorder,
        options: RecordOptions,
    ) -> Result<Recorded, RecordError> {
        let mut event = ProposedEvent::new(engine_types::EVENT_ANNULLED, by);
        event.data.insert("annuls".into(), Value::String(version.to_string()));
        event.data.insert("reason".into(), Value::String(reason.to_owned()));
        self.record(case, vec![event], options).await
    }

    /// What was stored under an idempotency key, if anything.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn answered(&self, key: &str) -> Result<Option<Answered>, ReadError> {
        let (store, key) = (Arc::clone(&self.inner.store), key.to_owned());
        let answer = blocking(move || store.answer_to(&key)).await?;
        Ok(answer.map(|(_, appended)| Answered {
            version: appended.last_version,
            position: appended.last_position,
        }))
    }

    /// The case itself, as the pure functions see it.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn case(&self, case: &CaseKey) -> Result<Arc<CaseState>, QueryError> {
        let head = self.head(case).await?;
        let head = head.ok_or_else(|| QueryError::NoSuchCase { reference: case_text(case) })?;
        let slot = self.inner.cache.slot(head.case_id);
        match slot.loaded() {
            Some(loaded) if loaded.state.version() >= head.version => Ok(loaded.state),
            _ => Ok(self.load(&slot, head.case_id).await?.state),
        }
    }

    /// Status: now, as known at, as at.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn status(&self, case: &CaseKey, cut: Cut) -> Result<StatusReading, QueryError> {
        let state = self.case(case).await?;
        let opening = state.log().first();
        let too_early = opening.filter(|opening| {
            cut.known_at.is_some_and(|instant| instant < opening.recorded_at)
                || cut.version == Some(Version(0))
        });
        if let Some(opening) = too_early {
            let problem = format!(
                "case {} was not in the record then: its first event was recorded at {}",
                opening.case, opening.recorded_at
            );
            return Err(QueryError::Unknown { problem });
        }
        let mut status = telling::status(&state, cut);
        let known_at =
            cut.version.and_then(|version| state.at_version(version)).map(|event| event.recorded_at);
        let today = cut.at.unwrap_or_else(|| today(state.definition(), cut.known_at.or(known_at)));
        status.deadlines = deadlines(&telling::cut(&state, cut).0, today);
        Ok(status)
    }

    /// What of a case falls due within so many days of today, today included.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn falling_due(&self, case: &CaseKey, days: u32) -> Result<Vec<DeadlineReading>, QueryError> {
        let state = self.case(case).await?;
        Ok(falling_due(&state, today(state.definition(), None), days))
    }

    /// Notes what the case's deadlines show to be missed by now, and nobody has noted: a breach, or the event that the
    /// definition names. `None`: there is nothing to note. Repeated, it notes nothing twice.
    ///
    /// # Errors
    /// See [`RecordError`]; refused where the definition does not accept the event that it names.
    pub async fn note_missed(
        &self,
        case: &CaseKey,
        by: Recorder,
        options: RecordOptions,
    ) -> Result<Option<Recorded>, RecordError> {
        let case_id = self.case_id(case).await?;
        let slot = self.inner.cache.slot(case_id);
        let _turn = slot.turn.lock().await;
        let before = self.load(&slot, case_id).await?;
        check_expected(options.expected, before.state.version())?;
        let definition = before.state.definition();
        if definition.role(&by.role).is_none() {
            let problem = format!("{} has no role {}", definition.pin(), by.role);
            let help = definition.roles.iter().map(|role| role.name.as_str()).collect::<Vec<_>>().join(", ");
            let help = Some(format!("known: {help}"));
            return Err(RecordError::Invalid(InvalidEvent {
                index: 0,
                field: "recorded_by.role".into(),
                problem,
                help,
            }));
        }
        let name = CaseName { reference: reference_of(&before.state), case_id };
        let today = today(definition, None);
        let mut supply = Supply {
            now: self.recorded_at(&before.state),
            new_id: &mut machine::new_id,
            new_salt: &mut machine::salt_base64,
        };
        let decided = decide_missed(&before.state, &name, today, &by, &mut supply);
        let decision = match decided {
            Ok(Some(decision)) => decision,
            Ok(None) => return Ok(None),
            Err(NotDecided::Refused(refusal)) => return Err(RecordError::Refused(refusal)),
            Err(NotDecided::Invalid(invalid)) => return Err(RecordError::Invalid(invalid)),
        };
        if options.dry_run {
            return Ok(Some(would_be(&before.state, decision)));
        }
        let expected = ExpectedVersion::Exactly(before.state.version());
        let batch = Batch { name, decision, expected, idempotency: None, imported: false };
        match self.append(&slot, before, batch).await {
            Ok(recorded) => Ok(Some(recorded)),
            Err(AppendError::Conflict { actual, .. }) => Err(RecordError::Conflict { actual }),
            Err(other) => Err(RecordError::Append(other)),
        }
    }

    /// The events.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn history(
        &self,
        case: &CaseKey,
        cut: Cut,
        order: HistoryOrder,
    ) -> Result<Vec<HistoryEntry>, QueryError> {
        let state = self.case(case).await?;
        let case_id = state.log().first().map(|event| event.case_id);
        let positions = match case_id {
            Some(case_id) => self.read_all(case_id).await?.iter().map(|stored| stored.position).collect(),
            None => Vec::new(),
        };
        let mut entries = telling::history(&state, cut, &positions);
        if order == HistoryOrder::Timeline {
            entries.sort_by_key(|entry| entry.timeline.unwrap_or(usize::MAX));
        }
        Ok(entries)
    }

    /// What may happen next.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn next(&self, case: &CaseKey) -> Result<NextReading, QueryError> {
        let state = self.case(case).await?;
        Ok(asking::next(&state))
    }

    /// May this event happen now, for some way of filling it in? Scope kinds left out are tried with every entity there is.
    ///
    /// # Errors
    /// See [`QueryError`]; a refusal is an answer, not an error.
    pub async fn may(
        &self,
        case: &CaseKey,
        event_type: &str,
        scope: &Scope,
    ) -> Result<Result<Vec<Possible>, Box<Refusal>>, QueryError> {
        let state = self.case(case).await?;
        let definition = state.definition();
        let Some(event) = definition.event(event_type) else {
            let names = definition.events.iter().map(|event| event.name.as_str());
            let near = nearest(event_type, names);
            let help = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            let problem = format!("{} has no event type {event_type}{help}", definition.pin());
            return Err(QueryError::Unknown { problem });
        };
        if let Some(unknown) = scope.keys().find(|kind| definition.kind(kind).is_none()) {
            let kinds = definition.kinds.iter().map(|kind| kind.name.as_str());
            let help =
                nearest(unknown, kinds).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            let problem = format!("{} has no entity kind {unknown}{help}", definition.pin());
            return Err(QueryError::Unknown { problem });
        }
        Ok(asking::may(&state, event, scope))
    }

    /// What changed between two points.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn diff(&self, case: &CaseKey, from: Point, to: Point) -> Result<DiffReading, QueryError> {
        let state = self.case(case).await?;
        let at = |point: Point| {
            let cut = match point {
                Point::Version(version) => Cut { version: Some(version), ..Cut::default() },
                Point::KnownAt(instant) => Cut { known_at: Some(instant), ..Cut::default() },
                Point::At(day) => Cut { at: Some(day), ..Cut::default() },
            };
            telling::cut(&state, cut).0
        };
        Ok(telling::diff(&at(from), &at(to)))
    }

    /// Deadlines of all cases that somebody may still have to do something about, in the order in which they are due, as
    /// they stand at this moment. The list is brought up to the head of the log first.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn deadlines(&self, filter: DeadlineFilter) -> Result<Vec<CaseDeadline>, QueryError> {
        self.deadlines_at(filter, machine::now()).await
    }

    /// [`deadlines`](Self::deadlines) as they stand at an instant, by what the record says now.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn deadlines_at(
        &self,
        filter: DeadlineFilter,
        at: Timestamp,
    ) -> Result<Vec<CaseDeadline>, QueryError> {
        let engine = self.clone();
        let found = blocking(move || {
            engine.inner.deadline_list.catch_up(&engine)?;
            let zones: HashMap<String, Day> = engine
                .definitions()
                .iter()
                .map(|definition| (definition.pin(), today(definition, Some(at))))
                .collect();
            // No zone is further ahead than fourteen hours.
            let ahead = at.checked_add(jiff::SignedDuration::from_hours(14)).unwrap_or(at);
            let latest = Day(i32::try_from(ahead.as_second().div_euclid(86_400)).unwrap_or(i32::MAX));
            let day = |workflow: &str| zones.get(workflow).copied().unwrap_or(latest);
            engine.inner.deadline_list.find(&engine, &filter, &day, latest)
        });
        Ok(found.await?)
    }

    /// Cases that have missed a deadline for certain, whether or not anybody can still do something about it: what
    /// [`note_missed`](Self::note_missed) is for.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn cases_to_note(&self) -> Result<BTreeSet<String>, QueryError> {
        let overdue = DeadlineFilter { overdue: true, within: None, limit: usize::MAX };
        let found = self.deadlines(overdue).await?.into_iter();
        let missed = found.filter(|deadline| deadline.answer == Answer::Missed);
        let mut references: BTreeSet<String> = missed.map(|deadline| deadline.reference).collect();
        let engine = self.clone();
        references.extend(blocking(move || DeadlineList::missed_for_good(&engine)).await?);
        Ok(references)
    }

    /// Cases with a deadline that is missed, or may be, and that pass the filter, in order of reference.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn overdue_cases(&self, filter: CaseFilter) -> Result<Vec<CaseSummary>, QueryError> {
        let overdue = DeadlineFilter { overdue: true, within: None, limit: usize::MAX };
        let late = self.deadlines(overdue).await?.into_iter();
        let references: BTreeSet<String> = late.map(|deadline| deadline.reference).collect();
        let engine = self.clone();
        let found = blocking(move || {
            engine.inner.case_list.catch_up(&engine)?;
            engine.inner.case_list.among(&engine, &references, &filter)
        });
        Ok(found.await?)
    }

    /// Cases, in order of reference. The list is brought up to the head of the log first.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn cases(&self, filter: CaseFilter) -> Result<Vec<CaseSummary>, QueryError> {
        let engine = self.clone();
        Ok(blocking(move || {
            engine.inner.case_list.catch_up(&engine)?;
            engine.inner.case_list.find(&engine, &filter)
        })
        .await?)
    }

    /// The log after a position: catches up, then follows.
    #[must_use]
    pub fn subscribe(&self, after: Position) -> Subscription {
        Subscription::new(Arc::clone(&self.inner.store), after)
    }

    async fn head(&self, case: &CaseKey) -> Result<Option<CaseHead>, ReadError> {
        let (store, case) = (Arc::clone(&self.inner.store), case.clone());
        blocking(move || store.head_of(&case)).await
    }

    /// The case that is to be recorded in.
    async fn case_id(&self, case: &CaseKey) -> Result<CaseId, RecordError> {
        if own_case::is_named(case) {
            return Err(RecordError::Invalid(reserved()));
        }
        let known = match case {
            CaseKey::Id(id) => Some(*id).filter(|id| self.inner.cache.slot(*id).loaded().is_some()),
            CaseKey::Reference(reference) => self.inner.cache.case_of(reference),
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let head = self.head(case).await?;
        let head = head.ok_or_else(|| RecordError::NoSuchCase { reference: case_text(case) })?;
        self.inner.cache.remember(&head.reference, head.case_id);
        Ok(head.case_id)
    }

    async fn read_all(&self, case_id: CaseId) -> Result<Vec<StoredEvent>, ReadError> {
        let store = Arc::clone(&self.inner.store);
        blocking(move || read_case(store.as_ref(), case_id)).await
    }

    /// The case read from the log, and kept in memory.
    async fn load(&self, slot: &Slot, case_id: CaseId) -> Result<Loaded, ReadError> {
        let engine = self.clone();
        let loaded = blocking(move || engine.replay(case_id)).await?;
        slot.put(loaded.clone());
        Ok(loaded)
    }

    /// The case read from the log.
    pub(crate) fn replay(&self, case_id: CaseId) -> Result<Loaded, ReadError> {
        let stored = read_case(self.inner.store.as_ref(), case_id)?;
        let mut events = Vec::with_capacity(stored.len());
        for event in &stored {
            events.push((event.position, decode(event)?));
        }
        let Some((position, first)) = events.first() else {
            return Err(unreadable(format!("case {case_id}"), "it has no events".into()));
        };
        let definition = self.definition_of(first).ok_or_else(|| {
            let problem = format!("its definition {} is not known", first.definition);
            unreadable(format!("case {case_id} at position {position}"), problem)
        })?;
        let unknown = events.iter().find_map(|(position, event)| {
            let digest = adopted_by(event)?;
            self.inner.definitions.by_digest(digest).is_none().then_some((*position, event))
        });
        if let Some((position, event)) = unknown {
            let problem = format!("the definition {} that it adopted is not known", event.definition);
            return Err(unreadable(format!("case {case_id} at position {position}"), problem));
        }
        let leaf = stored.last().map(|event| event.leaf);
        let library = self.inner.definitions.library(&definition.name);
        Ok(Loaded { state: Arc::new(CaseState::replay_with(definition, library, events)), leaf })
    }

    /// The definition that an event puts its case under: the one it is opened under, or one that it adopts.
    pub(crate) fn definition_of(&self, event: &RecordedEvent) -> Option<Arc<Definition>> {
        let opened = || event.proposed.data.get(DEFINITION_DIGEST)?.as_str();
        let digest = adopted_by(event).or_else(opened)?;
        self.inner.definitions.by_digest(digest)
    }

    /// The case, told which definitions there are now, so that an event may adopt one.
    fn informed(&self, before: Loaded, events: &[ProposedEvent]) -> Result<Loaded, RecordError> {
        let workflow = before.state.definition().name.clone();
        self.check_adoptions(&workflow, events)?;
        let state = before.state.as_ref().clone().knowing(self.inner.definitions.library(&workflow));
        Ok(Loaded { state: Arc::new(state), leaf: before.leaf })
    }

    /// A version named without its digest has to be one definition: not one that cases use and another of a file.
    fn check_adoptions(&self, workflow: &str, events: &[ProposedEvent]) -> Result<(), RecordError> {
        let adoptions = events.iter().filter(|event| {
            event.event_type == engine_types::DEFINITION_MIGRATED
                && !event.data.contains_key(adoption::DIGEST)
        });
        for event in adoptions {
            let Some(version) = event.data.get(adoption::VERSION) else { continue };
            if let Err(NotUsable::Changed { pin }) =
                self.inner.definitions.for_new_case(&format!("{workflow}@{version}"))
            {
                return Err(RecordError::WorkflowChanged { pin });
            }
        }
        Ok(())
    }

    /// The definitions that a decision adopts.
    fn adopted_in(&self, decision: &Decision) -> Vec<Arc<Definition>> {
        let digests = decision.events.iter().filter_map(adopted_by);
        digests.filter_map(|digest| self.inner.definitions.by_digest(digest)).collect()
    }

    /// Has the store keep definitions before the first event under them is stored.
    async fn keep(&self, definitions: Vec<Arc<Definition>>) -> Result<(), ReadError> {
        let engine = self.clone();
        blocking(move || {
            let _one_at_a_time = engine.inner.opening.lock().unwrap_or_else(PoisonError::into_inner);
            let store = engine.store().as_ref();
            definitions.iter().try_for_each(|definition| engine.inner.definitions.keep(store, definition))
        })
        .await
    }

    fn decide(
        &self,
        before: &CaseState,
        name: &CaseName,
        events: &[ProposedEvent],
        options: &RecordOptions,
    ) -> Result<Decision, RecordError> {
        check_entity_names(events)?;
        let terms = Terms {
            declare_gaps: options.declare_gaps,
            imported: options.imported,
            correlation_id: options.correlation_id.clone(),
        };
        let mut supply = Supply {
            now: self.recorded_at(before),
            new_id: &mut machine::new_id,
            new_salt: &mut machine::salt_base64,
        };
        decide(before, name, events, &terms, &mut supply).map_err(|problem| match problem {
            NotDecided::Refused(refusal) => RecordError::Refused(refusal),
            NotDecided::Invalid(invalid) => RecordError::Invalid(invalid),
        })
    }

    /// See [`Stamping::recorded_at`].
    fn recorded_at(&self, case: &CaseState) -> Timestamp {
        self.inner.stamping.recorded_at(case.log().last().map(|event| event.recorded_at))
    }

    /// Stores a batch, and brings the case in memory after it. Takes the case by value: nobody else holding it, it evolves
    /// in place.
    async fn append(&self, slot: &Slot, before: Loaded, mut batch: Batch) -> Result<Recorded, AppendError> {
        let Submitted { answer, leaf } = self.stamp_and_submit(&before, &mut batch)?;
        let appended = answer.await.unwrap_or_else(|_| Err(writer_gone()));
        let appended = match appended {
            Ok(appended) => appended,
            Err(error) => {
                if matches!(error, AppendError::Conflict { .. } | AppendError::Storage(_)) {
                    slot.forget();
                }
                return Err(error);
            }
        };
        let (version, status) = (before.state.version(), before.state.status().clone());
        let under = Arc::clone(before.state.definition());
        let fallback = appended.replayed.then(|| Arc::clone(&before.state));
        drop(before);
        let first =
            Position((appended.last_position.0 + 1).saturating_sub(batch.decision.events.len() as u64));
        let after = match fallback {
            Some(state) => Some(state),
            None => slot.evolve(version, &batch.decision.events, first, leaf),
        };
        let changed = match &after {
            Some(after) => telling::changes((&under, &status), (after.definition(), after.status())),
            None => Vec::new(),
        };
        if let (Some(after), Some(signing)) = (&after, self.inner.signing.get())
            && closes(after.definition(), &changed)
        {
            signing.closing.case_closed(if batch.imported { Closed::InImport } else { Closed::Now });
        }
        Ok(told(batch.decision, after.as_deref(), changed, Some(&appended)))
    }

    fn stamp_and_submit(&self, before: &Loaded, batch: &mut Batch) -> Result<Submitted, AppendError> {
        let (sender, receiver) = oneshot::channel();
        let stamped = Stamped {
            case_id: batch.name.case_id,
            reference: &batch.name.reference,
            expected: batch.expected,
            idempotency: batch.idempotency.take(),
            leaf: before.leaf,
            not_before: before.state.log().last().map(|event| event.recorded_at),
        };
        let events = &mut batch.decision.events;
        // Whoever gave up waiting needs no answer: what is stored is stored.
        let answer = Box::new(move |answer| drop(sender.send(answer)));
        let leaf = self.inner.stamping.submit(stamped, events, answer)?;
        Ok(Submitted { answer: receiver, leaf })
    }

    /// The answer given before to the same request, if its key was used.
    async fn repeated(&self, asked: Option<&Idempotency>) -> Result<Option<Recorded>, RecordError> {
        let Some(asked) = asked else { return Ok(None) };
        let store = Arc::clone(&self.inner.store);
        let key = asked.key.clone();
        let Some((known, appended)) = blocking(move || store.answer_to(&key)).await? else { return Ok(None) };
        if known.request_hash != asked.request_hash {
            return Err(RecordError::KeyReused { key: asked.key.clone() });
        }
        let first = appended.first_version.0;
        let store = Arc::clone(&self.inner.store);
        let count = appended.last_version.0 + 1 - first;
        let start = Position(appended.last_position.0 - count);
        let size = usize::try_from(count).unwrap_or(usize::MAX);
        let stored = blocking(move || store.read_log(start, size)).await?;
        let mut events = Vec::with_capacity(stored.len());
        for event in &stored {
            events.push(decode(event)?);
        }
        let Some(case_id) = events.first().map(|event| event.case_id) else { return Ok(None) };
        let whole = self.case(&CaseKey::Id(case_id)).await.map_err(|error| match error {
            QueryError::Read(read) => RecordError::Read(read),
            _ => RecordError::NoSuchCase { reference: case_id.to_string() },
        })?;
        let before = whole.known_when(|event| event.version.0 < first);
        let after = whole.known_when(|event| event.version <= appended.last_version);
        let changed =
            telling::changes((before.definition(), before.status()), (after.definition(), after.status()));
        let last_proposed =
            events.iter().rev().find(|event| event.causation_id.is_none()).map(|event| event.id);
        let last_proposed = last_proposed.unwrap_or(events[0].id);
        let decision = Decision { last_proposed, events, unproven: after.unproven(Version(first)) };
        let appended = Appended { replayed: true, ..appended };
        Ok(Some(told(decision, Some(&after), changed, Some(&appended))))
    }
}

/// The day it is, or was at an instant, where the definition's days end.
pub(crate) fn today(definition: &Definition, at: Option<Timestamp>) -> Day {
    definition.day_of(at.unwrap_or_else(machine::now))
}

/// A decision on its way to the store.
struct Batch {
    name: CaseName,
    decision: Decision,
    expected: ExpectedVersion,
    idempotency: Option<Idempotency>,
    imported: bool,
}

/// A batch in the store's queue.
struct Submitted {
    answer: oneshot::Receiver<Result<Appended, AppendError>>,
    /// Leaf hash of its last event.
    leaf: Option<[u8; 32]>,
}

/// What a decision would do.
fn would_be(before: &CaseState, decision: Decision) -> Recorded {
    let mut after = before.clone();
    for event in &decision.events {
        after.evolve(event.clone(), before.position());
    }
    let changed =
        telling::changes((before.definition(), before.status()), (after.definition(), after.status()));
    told(decision, Some(&after), changed, None)
}

/// What a decision did, or would do, as people read it.
fn told(
    decision: Decision,
    after: Option<&CaseState>,
    changed: Vec<crate::case::reading::Change>,
    appended: Option<&Appended>,
) -> Recorded {
    let last = decision.events.last();
    let of_type =
        |name: &'static str| decision.events.iter().filter(move |event| event.proposed.event_type == name);
    Recorded {
        recorded: appended.is_some(),
        version: last.map_or(Version(0), |event| event.version),
        position: appended
            .map(|appended| appended.last_position)
            .or(after.map(CaseState::position))
            .unwrap_or_default(),
        id: decision.last_proposed,
        case_id: last.map_or(CaseId(uuid::Uuid::nil()), |event| event.case_id),
        changed,
        breaches: after.map_or_else(Vec::new, |after| {
            let notes = of_type(engine_types::BREACH_NOTED).filter(|note| target_of(note, "event").is_some());
            notes.map(|note| telling::breach(after, note)).collect()
        }),
        gaps: of_type(engine_types::GAP_DECLARED).map(|event| telling::gap(event, None)).collect(),
        unproven: decision.unproven,
        repeated: appended.is_some_and(|appended| appended.replayed),
        events: decision.events,
    }
}

/// The reference that a case was opened under.
fn reference_of(state: &CaseState) -> String {
    state.log().first().map(|event| event.case.clone()).unwrap_or_default()
}

/// All events of a case, page by page.
pub(crate) fn read_case(store: &dyn EventStore, case_id: CaseId) -> Result<Vec<StoredEvent>, ReadError> {
    let mut events: Vec<StoredEvent> = Vec::new();
    loop {
        let after = events.last().map_or(Version(0), |event| event.version);
        let page = store.read_case(case_id, after, PAGE_EVENTS)?;
        let is_last = page.len() < PAGE_EVENTS;
        events.extend(page);
        if is_last {
            return Ok(events);
        }
    }
}

/// What begins like the log's own case is nobody's to open or record in.
fn reserved() -> InvalidEvent {
    InvalidEvent {
        index: 0,
        field: "case".into(),
        problem: format!("references that begin with {} are the log's own", own_case::RESERVED),
        help: Some("give the case a reference such as 2020/146999".into()),
    }
}

fn check_reference(reference: &str) -> Result<(), InvalidEvent> {
    if reference.starts_with(own_case::RESERVED) {
        return Err(reserved());
    }
    let problem = if reference.trim().is_empty() {
        "is empty".to_owned()
    } else if reference.chars().count() > REFERENCE_CHARS_MAX {
        format!("is longer than {REFERENCE_CHARS_MAX} characters")
    } else if reference.chars().any(char::is_control) || reference.trim() != reference {
        "has control characters, or space at its ends".to_owned()
    } else {
        return Ok(());
    };
    Err(InvalidEvent {
        index: 0,
        field: "case".into(),
        problem,
        help: Some("give the case a reference such as 2020/146999".into()),
    })
}

/// What stands for an entity to come in answers cannot be the id of a real one.
fn check_entity_names(events: &[ProposedEvent]) -> Result<(), InvalidEvent> {
    for (index, event) in events.iter().enumerate() {
        if let Some(id) = event.scope.values().find(|id| is_to_come(id)) {
            return Err(InvalidEvent {
                index,
                field: "scope".into(),
                problem: format!("“{id}” is how an entity that is yet to come is shown"),
                help: Some("give it an id of its own, such as C1".into()),
            });
        }
    }
    Ok(())
}

fn check_expected(expected: Option<ExpectedVersion>, actual: Version) -> Result<(), RecordError> {
    match expected {
        Some(ExpectedVersion::Exactly(version)) if version != actual => Err(RecordError::Conflict { actual }),
        Some(ExpectedVersion::NoCase) => Err(RecordError::Conflict { actual }),
        _ => Ok(()),
    }
}

fn idempotency(options: &RecordOptions, request: impl FnOnce() -> Value) -> Option<Idempotency> {
    let key = options.idempotency_key.clone().filter(|_| !options.dry_run)?;
    let text = request().to_string();
    Some(Idempotency {
        key,
        request_hash: leaf_hash(text.as_bytes()),
        at_micros: machine::now().as_microsecond(),
    })
}

fn case_text(case: &CaseKey) -> String {
    match case {
        CaseKey::Reference(reference) => reference.clone(),
        CaseKey::Id(id) => id.to_string(),
    }
}

fn unreadable(what: String, problem: String) -> ReadError {
    ReadError::Storage(StorageError::new(format!("reading {what}"), problem))
}

/// Runs what may wait for the disk away from the threads that serve others.
async fn blocking<T, E, F>(work: F) -> Result<T, E>
where
    F: FnOnce() -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}
