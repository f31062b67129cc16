//! `casebook record`: an event happened.

use std::path::PathBuf;
use std::sync::Arc;

use casebook_engine::case::event::{
    Asserted, Decider, Override, ProposedEvent, Recorder, Source, SourceKind, Version, engine_types,
};
use casebook_engine::case::occurred::Occurred;
use casebook_engine::case::reading::{Cut, Recorded};
use casebook_engine::definition::Definition;
use casebook_engine::engine::{Engine, HistoryOrder, RecordOptions};
use casebook_engine::store::{CaseKey, ExpectedVersion};
use clap::{Args, ValueEnum};

use super::Globals;
use super::answer::{Failure, Trouble};
use super::history::missing_types;
use super::page::{Page, dim, good, warn};
use super::payload::FieldArg;
use super::reading::{self, Titles};
use super::{folder, payload};

const EXAMPLES: &str = "Examples:
  casebook record 2020/146999 sentence-passed --scope charge=C1 --on 2023-10-04 \\
      court=\"Southwark Crown Court\" disposal=immediate-custody --decided-by court --as case-3:caseworker
  casebook record 2020/146999 subject-interviewed --scope subject=SUB-1 --on 2021-05/2022-04 --declare-gaps
  casebook record 2020/146999 charge-laid --scope charge=C1 --dry-run      ask without recording

Dates are EDTF: 2023-10-04, 2022-04, 2021, 2021-05/2022-04 (between), ../2021-05 (by), 2021-05~ (about).";

/// `casebook record`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RecordArgs {
    /// The case's reference
    #[arg(value_name = "REF")]
    reference: String,
    /// The event type, such as sentence-passed
    #[arg(value_name = "TYPE")]
    event_type: String,
    #[command(flatten)]
    said: SaidArgs,
    #[command(flatten)]
    how: HowArgs,
    /// Record it against a logical rule, on this authority
    #[arg(long = "override", value_name = "AUTHORITY", requires = "reason")]
    authority: Option<String>,
    /// Why it is recorded against the rule
    #[arg(long, value_name = "TEXT", requires = "authority")]
    reason: Option<String>,
}

/// What is said of an event.
#[derive(Debug, Args)]
pub(super) struct SaidArgs {
    /// Fields of the event: NAME=VALUE, lists as NAME=a,b, anything as NAME:='JSON'
    #[arg(value_name = "NAME=VALUE", value_parser = payload::field)]
    fields: Vec<FieldArg>,
    /// When it happened, as precisely as it is known (EDTF); left out: not known
    #[arg(long, value_name = "EDTF")]
    on: Option<String>,
    /// When it happened, in the words of the source
    #[arg(long, value_name = "WORDS")]
    on_text: Option<String>,
    /// It happened after this event of the case; may be given several times
    #[arg(long, value_name = "VERSION")]
    after: Vec<String>,
    /// It happened before this event of the case; may be given several times
    #[arg(long, value_name = "VERSION")]
    before: Vec<String>,
    /// What it is about: charge=C1; may be given several times
    #[arg(long, value_name = "KIND=ID", value_parser = payload::scope)]
    scope: Vec<(String, String)>,
    /// A JSON file with the fields of the event (- is standard input); NAME=VALUE comes on top
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,
    /// Whose decision it was
    #[arg(long, value_name = "BODY[:ROLE[:ID]]", value_parser = decider)]
    decided_by: Option<Decider>,
    /// Where it is known from: document, hearing-note, email, oral, public-page, system, inferred
    #[arg(long, value_name = "KIND[:REF]", value_parser = source)]
    source: Option<Source>,
    /// How firmly the source says so
    #[arg(long, value_enum, default_value_t = AssertedArg::Stated, value_name = "HOW")]
    asserted: AssertedArg,
    /// Why it was decided so
    #[arg(long, value_name = "TEXT")]
    rationale: Option<String>,
}

/// How to record.
#[derive(Debug, Args)]
pub(super) struct HowArgs {
    /// Record only if the case is at this version (or: none, exists)
    #[arg(long, value_name = "VERSION", value_parser = expected)]
    expect: Option<ExpectedVersion>,
    /// Where earlier steps are missing and must have happened, record them as gaps
    #[arg(long)]
    declare_gaps: bool,
    /// Say what would happen, and record nothing
    #[arg(long)]
    dry_run: bool,
    /// Repeating the command with the same key records once
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum AssertedArg {
    /// The source says so
    Stated,
    /// It follows from what the source says
    Inferred,
    /// The law implies it
    ImpliedByLaw,
}

/// Runs the command.
pub(super) async fn run(args: RecordArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let recorder = folder::acting(globals)?;
    let engine = folder::existing(globals, page)?;
    let case = folder::key(&args.reference);
    let definition = folder::definition_of(&engine, &case).await?;
    let mut event = said(&args.said, &args.event_type, recorder, definition.as_deref())?;
    link(&mut event, &args.said, &engine, &case).await?;
    event.override_given =
        args.authority.zip(args.reason).map(|(authority, reason)| Override { authority, reason });
    let missing =
        if event.event_type == engine_types::GAP_DECLARED { missing_types(&event) } else { Vec::new() };
    let recorded = engine.record(&case, vec![event], args.how.options()).await.map_err(|error| {
        Failure::of_record(error, &args.reference, definition.clone()).about_missing(missing)
    })?;
    tell(&recorded, &args.reference, definition, page)
}

impl HowArgs {
    /// Whether nothing is to be recorded.
    pub(super) const fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// For the engine.
    pub(super) fn options(&self) -> RecordOptions {
        RecordOptions {
            expected: self.expect,
            declare_gaps: self.declare_gaps,
            dry_run: self.dry_run,
            idempotency_key: self.idempotency_key.clone(),
            ..RecordOptions::default()
        }
    }
}

/// The event that the arguments speak of, its links left out.
pub(super) fn said(
    args: &SaidArgs,
    event_type: &str,
    recorder: Recorder,
    definition: Option<&Definition>,
) -> Result<ProposedEvent, Failure> {
    let known = definition.and_then(|definition| Some(definition.event_type(definition.event(event_type)?)));
    let mut event = ProposedEvent::new(event_type, recorder);
    event.data = payload::payload(args.payload.as_deref(), &args.fields, definition, known)?;
    event.scope = args.scope.iter().cloned().collect();
    event.occurred = occurred(args.on.as_deref(), args.on_text.as_deref())?;
    event.decided_by.clone_from(&args.decided_by);
    event.source.clone_from(&args.source);
    event.rationale.clone_from(&args.rationale);
    event.asserted = match args.asserted {
        AssertedArg::Stated => Asserted::Stated,
        AssertedArg::Inferred => Asserted::Inferred,
        AssertedArg::ImpliedByLaw => Asserted::ImpliedByLaw,
    };
    Ok(event)
}

/// The date that `--on` and `--on-text` speak of.
pub(super) fn occurred(on: Option<&str>, words: Option<&str>) -> Result<Option<Occurred>, Failure> {
    let dated = on.map(|edtf| {
        Occurred::parse(edtf).map_err(|error| {
            Failure::Input(Trouble::new(error.to_string()).at("--on").help(
                "2023-10-04, 2022-04, 2021, 2021-05/2022-04 (between), ../2021-05 (by), 2021-05~ (about); the \
                 source's own words go into --on-text",
            ))
        })
    });
    let dated = dated.transpose()?;
    Ok(match words {
        Some(words) => Some(dated.unwrap_or_default().with_text(words)),
        None => dated,
    })
}

/// Turns versions in `--after` and `--before` into the events' ids.
async fn link(
    event: &mut ProposedEvent,
    args: &SaidArgs,
    engine: &Engine,
    case: &CaseKey,
) -> Result<(), Failure> {
    if args.after.is_empty() && args.before.is_empty() {
        return Ok(());
    }
    let history = engine.history(case, Cut::default(), HistoryOrder::Recorded).await?;
    let id_of = |named: &String| match named.parse::<u64>() {
        Err(_) => Ok(named.clone()),
        Ok(version) => history
            .iter()
            .find(|entry| entry.event.version == Version(version))
            .map(|entry| entry.event.id.to_string())
            .ok_or_else(|| no_such_version(version, history.len())),
    };
    let occurred = event.occurred.get_or_insert_with(Occurred::unknown);
    occurred.after = args.after.iter().map(id_of).collect::<Result<_, _>>()?;
    occurred.before = args.before.iter().map(id_of).collect::<Result<_, _>>()?;
    Ok(())
}

/// The case has no such event.
pub(super) fn no_such_version(version: u64, last: usize) -> Failure {
    Failure::NotFound(
        Trouble::new(format!("the case has no event {version}"))
            .help(format!("its events are numbered 1 to {last}; `casebook history REF` lists them")),
    )
}

/// Tells what was recorded.
pub(super) fn tell(
    recorded: &Recorded,
    reference: &str,
    definition: Option<Arc<Definition>>,
    page: &mut Page,
) -> Result<(), Failure> {
    if page.is_json() {
        return page.json(recorded);
    }
    let titles = Titles::of(definition);
    let done = match (recorded.recorded, recorded.repeated) {
        (_, true) => good("Recorded before."),
        (true, false) => good("Recorded."),
        (false, false) => good("Would be recorded."),
    };
    let known = recorded.events.iter().rfind(|event| event.id == recorded.id);
    let what = known.map_or_else(String::new, |event| {
        let said = &event.proposed;
        let scope = reading::scope_words(&said.scope);
        let about = if scope.is_empty() { scope } else { format!(", {scope}") };
        let when = said.occurred.as_ref().map(Occurred::words).unwrap_or_default();
        let when = if when.is_empty() { String::new() } else { format!(", {when}") };
        format!(" {}{about}{when}.", titles.event(&said.event_type))
    });
    page.paragraph(0, &format!("{done}{what} Case {reference} is at version {}.", recorded.version))?;
    reading::tell_changes(&recorded.changed, 2, &titles, page)?;
    reading::tell_gaps(&recorded.gaps, 2, &titles, page)?;
    reading::tell_breaches(&recorded.breaches, 2, page)?;
    for rule in &recorded.unproven {
        let text = format!("{rule}: passes, but the dates known do not prove the order");
        page.item(2, &warn("unproven:"), &text)?;
    }
    if !recorded.recorded && !recorded.repeated {
        page.line(&dim("  Nothing was recorded: this was a dry run."))?;
    }
    Ok(())
}

fn expected(text: &str) -> Result<ExpectedVersion, String> {
    match text {
        "none" => Ok(ExpectedVersion::NoCase),
        "exists" => Ok(ExpectedVersion::Exists),
        version => version
            .parse()
            .map(|version| ExpectedVersion::Exactly(Version(version)))
            .map_err(|_| format!("`{text}` is no version; write a number, none or exists")),
    }
}

fn decider(text: &str) -> Result<Decider, String> {
    let mut parts = text.splitn(3, ':');
    let body = parts.next().unwrap_or_default();
    if body.is_empty() {
        return Err("name the body that decided: BODY, BODY:ROLE or BODY:ROLE:ID".to_owned());
    }
    let mut named = || parts.next().filter(|part| !part.is_empty()).map(str::to_owned);
    Ok(Decider { body: body.to_owned(), role: named(), id: named() })
}

fn source(text: &str) -> Result<Source, String> {
    let (kind, reference) = match text.split_once(':') {
        Some((kind, reference)) => (kind, Some(reference.to_owned())),
        None => (text, None),
    };
    let kind: SourceKind = serde_json::from_value(serde_json::Value::String(kind.to_owned())).map_err(|_| {
        format!("`{kind}` is no kind of source; write document, hearing-note, email, oral, public-page, system or inferred")
    })?;
    Ok(Source { kind, reference })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_kind_and_a_reference() {
        let source = source("public-page:https://example.org/a").unwrap();
        assert_eq!(source.kind, SourceKind::PublicPage);
        assert_eq!(source.reference.as_deref(), Some("https://example.org/a"));
    }

    #[test]
    fn an_unknown_source_says_which_there_are() {
        assert!(super::source("rumour").unwrap_err().contains("hearing-note"));
    }

    #[test]
    fn a_decider_is_a_body_a_role_and_a_person() {
        let decider = decider("court:judge").unwrap();
        assert_eq!(
            (decider.body.as_str(), decider.role.as_deref(), decider.id),
            ("court", Some("judge"), None)
        );
    }

    #[test]
    fn an_expected_version_is_a_number_or_a_word() {
        assert_eq!(expected("none"), Ok(ExpectedVersion::NoCase));
        assert_eq!(expected("7"), Ok(ExpectedVersion::Exactly(Version(7))));
        assert!(expected("last").is_err());
    }
}
