//! Where a failure becomes a sentence, a hint and an exit code.

use std::io::{self, Write};
use std::sync::Arc;

use casebook_engine::case::event::Version;
use casebook_engine::case::refusal::Refusal;
use casebook_engine::definition::Definition;
use casebook_engine::engine::{QueryError, RecordError};
use casebook_engine::signer::SignError;
use casebook_engine::store::{AppendError, ExpectedVersion, ReadError, StorageError};
use serde::Serialize;

use super::page::{Page, WIDTH, bad, dim, wrapped};
use super::refusal;

/// The exit code of a failure that nobody foresaw.
pub(super) const UNEXPECTED: u8 = 1;

const BUG: &str =
    "This is a fault of Casebook itself. What was answered as recorded is recorded; nothing else was.";

/// What to do where the operating system does not let this user.
pub(super) const NOT_ALLOWED: &str =
    "this user needs the right to read and write the folder of the cases and what is in it";

/// What went wrong, in words for the person at the keyboard.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Trouble {
    /// What is wrong.
    pub(super) message: String,
    /// Where: a file and line, or a folder.
    pub(super) place: Option<String>,
    /// What to do.
    pub(super) help: Option<String>,
}

/// Why a command did not do what it was asked. One variant for each exit code.
#[derive(Debug)]
pub(super) enum Failure {
    /// 1: nobody foresaw it.
    Unexpected(Trouble),
    /// 2: the words on the command line, or what was handed in, are wrong.
    Input(Trouble),
    /// 3: a rule or a state said no.
    Refused(Box<Refused>),
    /// 4: the case is not at the expected version.
    Conflict(Trouble),
    /// 5: there is no such thing.
    NotFound(Trouble),
    /// 6: the operating system does not let this user.
    NotAllowed(Trouble),
    /// 7: the disk or the store failed.
    Storage(Trouble),
    /// 8: the log was altered or damaged. The page says how.
    Integrity,
    /// 9: a check said no. The page says why.
    CheckFailed,
    /// Told on the page already; only the exit code is left to give.
    Told(Box<Failure>),
    /// The page could not be written.
    Output(io::Error),
}

/// A refusal, and what is needed to tell it.
#[derive(Debug)]
pub(super) struct Refused {
    /// The case's reference.
    pub(super) reference: String,
    /// The refusal.
    pub(super) refusal: Refusal,
    /// The definition it was judged by, for titles.
    pub(super) definition: Option<Arc<Definition>>,
    /// Of a gap refused: the types that it says are missing; empty for any other event.
    pub(super) missing: Vec<String>,
}

impl Trouble {
    /// What is wrong.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None, help: None }
    }

    /// Where.
    pub(super) fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// What to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Failure {
    /// A failure that nobody foresaw.
    pub(super) fn unexpected(message: impl Into<String>) -> Self {
        Self::Unexpected(Trouble::new(message).help(BUG))
    }

    /// Bad input.
    pub(super) fn input(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Input(Trouble::new(message).help(help))
    }

    /// From an engine that did not record.
    pub(super) fn of_record(
        error: RecordError,
        reference: &str,
        definition: Option<Arc<Definition>>,
    ) -> Self {
        match error {
            RecordError::Refused(refusal) => {
                let reference = reference.to_owned();
                Self::Refused(Box::new(Refused {
                    reference,
                    refusal: *refusal,
                    definition,
                    missing: Vec::new(),
                }))
            }
            RecordError::Invalid(invalid) => {
                let trouble = Trouble::new(format!("{}: {}", invalid.field, invalid.problem));
                Self::Input(Trouble { help: invalid.help, ..trouble })
            }
            RecordError::Conflict { actual } => Self::Conflict(conflict(
                &format!("the case is at version {actual}, not where you expected it"),
                actual,
            )),
            RecordError::NoSuchCase { reference } => Self::NotFound(no_such_case(&reference)),
            RecordError::ReferenceTaken { reference } => Self::Conflict(taken(&reference)),
            RecordError::NoSuchWorkflow { workflow, known } => {
                Self::NotFound(Trouble::new(format!("there is no workflow {workflow}")).help(format!(
                    "known here: {}. A definition of your own is named by its file or folder",
                    known.join(", ")
                )))
            }
            RecordError::WorkflowChanged { pin } => {
                Self::Conflict(Trouble::new(format!("{pin} is in use with another content")).help(
                    "a version that a case uses never changes: give the changed definition a new version",
                ))
            }
            RecordError::KeyReused { key } => AppendError::KeyReused { key }.into(),
            RecordError::Read(error) => error.into(),
            RecordError::Append(error) => error.into(),
            other => Self::unexpected(other.to_string()),
        }
    }

    /// From a store that failed: it may be that the operating system does not let this user.
    pub(super) fn of_storage(source: &StorageError, trouble: Trouble) -> Self {
        if source.kind != io::ErrorKind::PermissionDenied {
            return Self::Storage(trouble);
        }
        Self::NotAllowed(trouble.help(NOT_ALLOWED))
    }

    /// The same, where what was to be recorded is a gap: the types that it says are missing.
    pub(super) fn about_missing(mut self, missing: Vec<String>) -> Self {
        if let Self::Refused(refused) = &mut self {
            refused.missing = missing;
        }
        self
    }

    /// The exit code. Every code of the program is given here.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Unexpected(_) => UNEXPECTED,
            Self::Input(_) => 2,
            Self::Refused(_) => 3,
            Self::Conflict(_) => 4,
            Self::NotFound(_) => 5,
            Self::NotAllowed(_) => 6,
            Self::Storage(_) => 7,
            Self::Integrity => 8,
            Self::CheckFailed => 9,
            Self::Told(told) => told.code(),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Output(_) => UNEXPECTED,
        }
    }

    /// The kind of failure as machines read it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Unexpected(_) | Self::Output(_) => "unexpected",
            Self::Input(_) => "input",
            Self::Refused(_) => "refused",
            Self::Conflict(_) => "conflict",
            Self::NotFound(_) => "not-found",
            Self::NotAllowed(_) => "not-allowed",
            Self::Storage(_) => "storage",
            Self::Integrity => "integrity",
            Self::CheckFailed => "check-failed",
            Self::Told(told) => told.kind(),
        }
    }

    /// What went wrong in one sentence, for a list of failures.
    pub(super) fn sentence(&self) -> String {
        match self {
            Self::Unexpected(trouble)
            | Self::Input(trouble)
            | Self::Conflict(trouble)
            | Self::NotFound(trouble)
            | Self::NotAllowed(trouble)
            | Self::Storage(trouble) => trouble.message.clone(),
            Self::Refused(refused) => {
                let first = refused.refusal.reasons.first().map_or("", |reason| reason.message.as_str());
                format!("{} was refused: {first}", refused.refusal.event_type)
            }
            Self::Integrity => "the log is damaged".to_owned(),
            Self::CheckFailed => "the check said no".to_owned(),
            Self::Told(told) => told.sentence(),
            Self::Output(error) => format!("the answer could not be written: {error}"),
        }
    }
}

fn conflict(message: &str, actual: Version) -> Trouble {
    Trouble::new(message).help(format!(
        "look at `casebook history REF` to see what is recorded, then repeat with --expect {actual}"
    ))
}

fn taken(reference: &str) -> Trouble {
    Trouble::new(format!("the reference {reference} is taken: the case is open already"))
        .help(format!("see it with: casebook status {reference}"))
}

fn no_such_case(reference: &str) -> Trouble {
    Trouble::new(format!("there is no case {reference}"))
        .help("`casebook cases` lists the cases that there are; references are written exactly")
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::NoSuchCase { reference } => Self::NotFound(no_such_case(&reference)),
            QueryError::Unknown { problem } => Self::NotFound(Trouble::new(problem)),
            QueryError::Read(error) => error.into(),
            other => Self::unexpected(other.to_string()),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged { .. } => Self::Storage(
                Trouble::new(error.to_string()).help("`casebook audit verify` says how far the damage goes"),
            ),
            ReadError::Storage(source) => {
                Self::of_storage(&source, Trouble::new(format!("reading failed: {source}")))
            }
            other => Self::Storage(Trouble::new(other.to_string())),
        }
    }
}

impl From<SignError> for Failure {
    fn from(error: SignError) -> Self {
        let help = match &error {
            SignError::Read(_) => None,
            SignError::Storage(_) => Some("nothing was signed; see to the reason, then try again"),
            SignError::Shorter { .. } | SignError::Rewritten { .. } => {
                Some("`casebook audit verify` says what is wrong; put the store back from a backup")
            }
            _ => Some(
                "nothing was signed; what lies in `keys` in the folder of the cases belongs to it, and is not to be edited",
            ),
        };
        match error {
            SignError::Read(error) => error.into(),
            other => {
                let trouble = Trouble { help: help.map(str::to_owned), ..Trouble::new(other.to_string()) };
                match &other {
                    SignError::Storage(source) => Self::of_storage(source, trouble),
                    _ => Self::Storage(trouble),
                }
            }
        }
    }
}

impl From<AppendError> for Failure {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Conflict { expected, actual } => {
                let message = match expected {
                    ExpectedVersion::NoCase => format!("the case is there already, at version {actual}"),
                    ExpectedVersion::Exists => "the case is not there yet".to_owned(),
                    ExpectedVersion::Exactly(expected) => {
                        format!("the case is at version {actual}, not at {expected}")
                    }
                    ExpectedVersion::Any => format!("the case moved on to version {actual}"),
                };
                Self::Conflict(conflict(&message, actual))
            }
            AppendError::ReferenceTaken { reference } => Self::Conflict(taken(&reference)),
            AppendError::KeyReused { key } => Self::Conflict(
                Trouble::new(format!("the idempotency key {key} was used for another request"))
                    .help("use a new key for a new request"),
            ),
            AppendError::Invalid { problem } => Self::Input(Trouble::new(problem)),
            AppendError::Overloaded { .. } => Self::Storage(
                Trouble::new(error.to_string()).help("nothing was recorded; try again in a moment"),
            ),
            AppendError::ReadOnly { reason } => Self::Storage(
                Trouble::new(format!("nothing can be recorded: {reason}"))
                    .help("what is recorded can still be read; see to the reason, then try again"),
            ),
            AppendError::Storage(source) => Self::of_storage(
                &source,
                Trouble::new(format!("writing failed: {source}"))
                    .help("look with `casebook history REF` whether the event is there before repeating it"),
            ),
            other => Self::Storage(Trouble::new(other.to_string())),
        }
    }
}

#[derive(Serialize)]
struct ErrorDocument<'a> {
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    kind: &'a str,
    message: &'a str,
    help: Option<&'a str>,
    #[serde(rename = "where")]
    place: Option<&'a str>,
}

/// Tells a failure and gives the exit code. Whatever can't be told any more (a closed pipe) is left untold.
pub(super) fn tell(failure: Failure, page: &mut Page) -> u8 {
    let code = failure.code();
    let kind = failure.kind();
    let json = page.is_json();
    // What the command had to say stands before what went wrong; what can't be written is what went wrong.
    let flushed = match &failure {
        Failure::Output(_) => Ok(()),
        _ => page.flush(),
    };
    let told = flushed.and_then(|()| match failure {
        Failure::Unexpected(trouble)
        | Failure::Input(trouble)
        | Failure::Conflict(trouble)
        | Failure::NotFound(trouble)
        | Failure::NotAllowed(trouble)
        | Failure::Storage(trouble) => tell_trouble(kind, &trouble, page),
        Failure::Refused(refused) if json => page.json(&refused.refusal),
        Failure::Refused(refused) => {
            let mut stderr = page.stderr();
            refusal::tell(&refused, &mut stderr)?;
            stderr.flush()
        }
        Failure::Output(error) if code == 0 => Err(Failure::Output(error)),
        Failure::Output(error) => {
            let trouble = Trouble::new(format!("the answer could not be written: {error}"));
            tell_trouble(kind, &trouble, &mut page.stderr())
        }
        Failure::Integrity | Failure::CheckFailed | Failure::Told(_) => Ok(()),
    });
    match told.and_then(|()| page.flush()) {
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe && code == UNEXPECTED => 0,
        _ => code,
    }
}

fn tell_trouble(kind: &str, trouble: &Trouble, page: &mut Page) -> Result<(), Failure> {
    if page.is_json() {
        let error = ErrorBody {
            kind,
            message: &trouble.message,
            help: trouble.help.as_deref(),
            place: trouble.place.as_deref(),
        };
        return page.json(&ErrorDocument { error });
    }
    let mut stderr = page.stderr();
    stderr.item(0, &bad("error:"), &trouble.message)?;
    if let Some(place) = &trouble.place {
        stderr.line(&format!("{} {place}", dim("where:")))?;
    }
    if let Some(help) = &trouble.help {
        stderr.item(0, "help:", help)?;
    }
    stderr.flush()
}

/// Tells what is wrong with the words on the command line, or prints the help that was asked for.
pub(super) fn usage(error: &clap::Error, json: bool) -> u8 {
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    if json && code != 0 {
        let text = error.render().to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let document = ErrorDocument {
            error: ErrorBody {
                kind: "usage",
                message,
                help: Some("`casebook COMMAND --help` shows how the command is written"),
                place: None,
            },
        };
        let mut stdout = io::stdout();
        let written = serde_json::to_writer_pretty(&mut stdout, &document).map_err(io::Error::from);
        // There is nobody left to tell when standard output is closed.
        let _ = written.and_then(|()| writeln!(stdout));
    } else if code == 0 {
        let _ = error.print();
    } else {
        // What is wrong with the words is not broken into lines by clap, as its help is.
        let text = error.render().ansi().to_string();
        let mut stderr = anstream::AutoStream::auto(io::stderr()).lock();
        for line in text.trim_end().lines() {
            let words = line.trim_start_matches(' ');
            let indent = line.len() - words.len();
            let mut lines = wrapped(words, usize::from(WIDTH).saturating_sub(indent)).into_iter();
            // Who has closed standard error is not told.
            let _ = lines.try_for_each(|line| writeln!(stderr, "{:indent$}{line}", ""));
        }
    }
    code
}

/// A panic is a fault of ours: the person at the keyboard gets a sentence, not a stack.
pub(super) fn calm_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!(" ({}:{})", place.file(), place.line()));
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied().map(str::to_owned);
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        let what = text.map(|text| format!(": {text}")).unwrap_or_default();
        let _ = writeln!(
            io::stderr(),
            "error: an unexpected failure{what}{}\nhelp: {BUG}",
            place.unwrap_or_default()
        );
    }));
}
