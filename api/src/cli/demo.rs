//! `casebook demo`: a whole investigation in a few seconds.
//!
//! The case is a published one (see `examples/reference-case`). It is recorded event by event, with its gaps; three
//! moves that the workflow does not allow are tried at the place of the story where they would be tempting; then the
//! case is looked at from other times, put right in one field, and verified.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use casebook_engine::case::event::{
    Decider, Payload, ProposedEvent, RecordedEvent, Recorder, Version, engine_types,
};
use casebook_engine::case::occurred::{Day, Occurred};
use casebook_engine::case::reading::{Cut, HistoryEntry, Recorded, StatusReading, StrandReading};
use casebook_engine::case::refusal::Refusal;
use casebook_engine::engine::{Engine, HistoryOrder, Opening, RecordError, RecordOptions};
use casebook_engine::exchange::jsonl::{self, EventLine};
use casebook_engine::machine;
use casebook_engine::store::CaseKey;
use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::answer::{Failure, Refused};
use super::page::{Page, bad, dim, strong, warn};
use super::reading::{self, Titles, count_of};
use super::{audit, definition, folder, history, refusal, status};

/// The case that is played.
const CASE_FILE: &str = include_str!("../../../examples/reference-case/2020-146999.jsonl");

/// An event that begins more strands than this says how many, not which.
const BEGINNINGS_SHOWN_MAX: usize = 3;

/// What the demo types wrong on purpose, to put it right later.
const TYPED_WRONG: (&str, &str, &str) = ("sentence", "term", "P5M");

/// `casebook demo`
#[derive(Debug, Args)]
#[command(after_help = "The demo always plays in a fresh folder of its own, keeps it, and says where it is.

Examples:
  casebook demo
  casebook demo --json | jq .refusals")]
pub(super) struct DemoArgs {}

/// A part of the story, from the event with this label on.
struct Chapter {
    from: &'static str,
    title: &'static str,
    text: &'static str,
}

const CHAPTERS: [Chapter; 6] = [
    Chapter {
        from: "opened",
        title: "Intake",
        text: "A police force refers the conduct of one of its officers. Dates are kept as precisely as the source \
               gives them, in its own words: nobody fills in the first of the month. A step that must have happened, \
               but of which nobody has the details, is a gap, and says so.",
    },
    Chapter {
        from: "started",
        title: "Investigation",
        text: "Independent investigators interview, examine and take accounts. Several strands now run in parallel, \
               each with its own state: the investigation, the subject, every witness and exhibit.",
    },
    Chapter {
        from: "report",
        title: "Report and decisions",
        text: "The investigation ends in a report, and the report in decisions.",
    },
    Chapter {
        from: "authorised",
        title: "The criminal court",
        text: "The offence is triable only on indictment: it begins before magistrates, and the Crown Court takes the \
               plea and passes sentence.",
    },
    Chapter {
        from: "special-conditions",
        title: "Discipline",
        text: "Beside the court, and independent of it, runs the disciplinary strand.",
    },
    Chapter {
        from: "learning",
        title: "Learning and publication",
        text: "What the organisation learns, and what the public is told.",
    },
];

/// A move that the workflow does not allow.
struct Attempt {
    /// Tried after the event with this label.
    after: &'static str,
    question: &'static str,
    event_type: &'static str,
    scope: &'static [(&'static str, &'static str)],
    data: &'static [(&'static str, &'static str)],
    decided_by: &'static str,
    occurred: Option<&'static str>,
    /// Whether the refusal is told in full.
    in_full: bool,
}

const ATTEMPTS: [Attempt; 3] = [
    Attempt {
        after: "appearance",
        question: "May the plea be recorded as entered, here before the magistrates?",
        event_type: "plea-entered",
        scope: &[("charge", "C1")],
        data: &[("plea", "guilty"), ("court", "Westminster Magistrates' Court")],
        decided_by: "court",
        occurred: Some("2023-07-20"),
        in_full: false,
    },
    Attempt {
        after: "indication",
        question: "He has admitted it. May the sentence be recorded at once?",
        event_type: "sentence-passed",
        scope: &[("charge", "C1")],
        data: &[("court", "Southwark Crown Court"), ("disposal", "immediate-custody"), ("term", "P6M")],
        decided_by: "court",
        occurred: Some("2023-10-04"),
        in_full: true,
    },
    Attempt {
        after: "hearing",
        question: "A hearing was held, and he had been to prison. Dismissal, surely?",
        event_type: "discipline-outcome-imposed",
        scope: &[("subject", "SUB-1")],
        data: &[("outcome", "dismissal-without-notice")],
        decided_by: "panel",
        occurred: None,
        in_full: false,
    },
];

/// What the demo did, for machines.
#[derive(Debug, Serialize)]
struct Played {
    folder: PathBuf,
    case: String,
    events: usize,
    gaps: usize,
    breaches: usize,
    refusals: Vec<Refusal>,
    status: StatusReading,
}

/// Runs the command.
pub(super) async fn run(_args: DemoArgs, page: &mut Page) -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("casebook-demo-{}", machine::new_id().simple()));
    if page.is_json() {
        let played = Box::pin(play(&folder, &mut Page::nowhere())).await?;
        return page.json(&played);
    }
    Box::pin(play(&folder, page)).await.map(|_| ())
}

async fn play(folder: &Path, page: &mut Page) -> Result<Played, Failure> {
    let engine = folder::open_or_create(folder, definition::all(&[], page)?, page)?;
    let lines = lines()?;
    let mut story = Story::new(engine, &lines)?;
    story.tell_title(page)?;
    let mut refusals = Vec::new();
    let mut was_refused = false;
    for line in &lines {
        let label = line.event.label.as_deref().unwrap_or_default();
        match CHAPTERS.iter().find(|chapter| chapter.from == label) {
            Some(chapter) => tell_chapter(chapter.title, chapter.text, page)?,
            None if was_refused => page.gap()?,
            None => {}
        }
        was_refused = false;
        let recorded = Box::pin(story.record(line)).await?;
        story.tell_event(line, &recorded, page)?;
        for attempt in ATTEMPTS.iter().filter(|attempt| attempt.after == label) {
            refusals.push(Box::pin(story.attempt(attempt, page)).await?);
            was_refused = true;
        }
    }
    Box::pin(story.look_back(page)).await?;
    Box::pin(story.put_right(page)).await?;
    story.verify(page).await?;
    let status = story.status(Cut::default()).await?;
    story.tell_end(folder, &status, page)?;
    Ok(Played {
        folder: folder.to_owned(),
        case: story.reference.clone(),
        events: usize::try_from(status.version.0).unwrap_or(usize::MAX),
        gaps: status.gaps.len(),
        breaches: status.breaches.len(),
        refusals,
        status,
    })
}

/// The events of the case file.
fn lines() -> Result<Vec<EventLine>, Failure> {
    let mut lines = Vec::new();
    for (index, text) in CASE_FILE.lines().enumerate() {
        let line = jsonl::parse_line(text.as_bytes(), index == 0).map_err(|problem| {
            Failure::unexpected(format!("line {} of the demo's case: {problem}", index + 1))
        })?;
        lines.extend(line);
    }
    Ok(lines)
}

fn tell_chapter(title: &str, text: &str, page: &mut Page) -> Result<(), Failure> {
    page.rule(title)?;
    page.paragraph(2, &dim_each(text))?;
    page.gap()
}

/// Dims a paragraph word by word, so that a line break does not end it.
fn dim_each(text: &str) -> String {
    text.split(' ').map(dim).collect::<Vec<_>>().join(" ")
}

struct Story {
    engine: Engine,
    case: CaseKey,
    reference: String,
    titles: Titles,
    /// The version of every event so far, by id and by label.
    versions: HashMap<String, Version>,
}

impl Story {
    fn new(engine: Engine, lines: &[EventLine]) -> Result<Self, Failure> {
        let opening = lines.first().ok_or_else(|| Failure::unexpected("the demo's case is empty"))?;
        let workflow = opening.workflow.clone().unwrap_or_default();
        let titles = Titles::of(definition::newest(engine.definitions(), &workflow));
        let reference = opening.case.clone();
        Ok(Self {
            engine,
            case: CaseKey::Reference(reference.clone()),
            reference,
            titles,
            versions: HashMap::new(),
        })
    }

    fn tell_title(&self, page: &mut Page) -> Result<(), Failure> {
        page.line(&strong("Casebook: one investigation, from referral to publication"))?;
        page.gap()?;
        page.paragraph(
            0,
            &format!(
                "Case {}, as the Independent Office for Police Conduct published it. Every event below is recorded \
                 now, checked against the workflow, and written to disk before the next one. Each line: the \
                 version in the case, what happened, when, and in the words of the source; below it, what changed.",
                self.reference
            ),
        )
    }

    /// Records one line of the case. History is being told, so a step that the source leaves out is no breach.
    async fn record(&mut self, line: &EventLine) -> Result<Recorded, Failure> {
        let options = RecordOptions { imported: true, ..RecordOptions::default() };
        let mut event = line.event.clone();
        let (label, field, wrong) = TYPED_WRONG;
        if event.label.as_deref() == Some(label) {
            event.data.insert(field.to_owned(), json!(wrong));
        }
        let recorded = if event.event_type == engine_types::CASE_OPENED {
            let workflow = line.workflow.clone().unwrap_or_default();
            let opening = Opening { reference: self.reference.clone(), workflow, event, then: Vec::new() };
            self.engine.open_case(opening, options).await
        } else {
            self.engine.record(&self.case, vec![event], options).await
        };
        let recorded = recorded.map_err(|error| self.failure(error))?;
        for event in &recorded.events {
            self.versions.insert(event.id.to_string(), event.version);
            self.versions.extend(event.proposed.label.clone().map(|label| (label, event.version)));
        }
        Ok(recorded)
    }

    fn failure(&self, error: RecordError) -> Failure {
        Failure::of_record(error, &self.reference, self.definition())
    }

    fn definition(&self) -> Option<Arc<casebook_engine::definition::Definition>> {
        self.titles.shared()
    }

    async fn status(&self, cut: Cut) -> Result<StatusReading, Failure> {
        Ok(self.engine.status(&self.case, cut).await?)
    }

    fn tell_event(&self, line: &EventLine, recorded: &Recorded, page: &mut Page) -> Result<(), Failure> {
        let Some(event) = recorded.events.iter().find(|event| event.id == recorded.id) else { return Ok(()) };
        let mark = format!("{:>3} ", event.version.to_string());
        if line.event.event_type == engine_types::GAP_DECLARED {
            self.tell_gap(&mark, event, page)?;
        } else {
            let about = match scope_ids(event) {
                ids if ids.is_empty() => String::new(),
                ids => format!(" {}", dim(&ids)),
            };
            let title = self.titles.event(&line.event.event_type);
            let when = when_words(event.proposed.occurred.as_ref(), &self.versions);
            page.item(0, &mark, &format!("{}{about}  {when}", strong(&title)))?;
        }
        let begun = recorded.changed.iter().filter(|change| change.from.is_none()).count();
        let is_crowd = begun > BEGINNINGS_SHOWN_MAX;
        if is_crowd {
            page.item(6, &dim("→"), &format!("{begun} strands begin, each with its own state"))?;
        }
        for change in recorded.changed.iter().filter(|change| !is_crowd || change.from.is_some()) {
            page.item(6, &dim("→"), &reading::change_words(change, &self.titles))?;
        }
        reading::tell_breaches(&recorded.breaches, 6, page)
    }

    fn tell_gap(&self, mark: &str, event: &RecordedEvent, page: &mut Page) -> Result<(), Failure> {
        let data = &event.proposed.data;
        let missing = data.get("missing_type").and_then(Value::as_str).unwrap_or_default();
        let why = data.get("why_known").and_then(Value::as_str).unwrap_or_default();
        let title = warn(&format!("Gap: {}", self.titles.event(missing)));
        let about = match scope_ids(event) {
            ids if ids.is_empty() => String::new(),
            ids => format!(" {}", dim(&ids)),
        };
        page.item(0, mark, &format!("{title}{about}  {}", dim_each(why)))
    }

    async fn attempt(&self, attempt: &Attempt, page: &mut Page) -> Result<Refusal, Failure> {
        let mut event = ProposedEvent::new(attempt.event_type, trying());
        event.scope = attempt.scope.iter().map(|(kind, id)| ((*kind).to_owned(), (*id).to_owned())).collect();
        event.data = attempt.data.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        event.decided_by = Some(Decider { body: attempt.decided_by.to_owned(), role: None, id: None });
        event.occurred = attempt.occurred.and_then(|edtf| Occurred::parse(edtf).ok());
        let answer = self.engine.record(&self.case, vec![event], RecordOptions::default()).await;
        let refusal = match answer {
            Err(RecordError::Refused(refusal)) => *refusal,
            Err(error) => return Err(self.failure(error)),
            Ok(_) => {
                let message = format!("{} should have been refused, and was recorded", attempt.event_type);
                return Err(Failure::unexpected(message));
            }
        };
        page.gap()?;
        page.set_margin(&format!("    {} ", bad("│")));
        page.paragraph(0, &strong(attempt.question))?;
        page.gap()?;
        let definition = self.definition();
        let refused = Refused { reference: self.reference.clone(), refusal, definition, missing: Vec::new() };
        if attempt.in_full {
            refusal::tell(&refused, page)?;
        } else {
            refusal::tell_briefly(&refused, page)?;
        }
        page.set_margin("");
        Ok(refused.refusal)
    }

    async fn look_back(&self, page: &mut Page) -> Result<(), Failure> {
        tell_chapter(
            "Looking back",
            "Two different questions. Where did things stand in the world on a day, as we know it now? And what did \
             the record say at a moment, whatever happened since?",
            page,
        )?;
        let now = self.status(Cut::default()).await?;
        let june = self.status(at("2022-06-30")?).await?;
        let august = self.status(at("2023-08-01")?).await?;
        let mut rows = Vec::new();
        for strand in now.strands.iter().filter(|strand| strand.state.is_some()) {
            let cells = [&june, &august, &now].map(|status| self.state_words(strand, status));
            if cells[0] != cells[2] || cells[1] != cells[2] {
                let whose = strand.entity.clone().unwrap_or_else(|| "case".to_owned());
                let name = format!("{whose}, {}", self.titles.strand(&strand.strand));
                rows.push([name].into_iter().chain(cells).collect());
            }
        }
        page.line(&strong("  What was different in the world, as we know it now"))?;
        page.gap()?;
        page.table(&["", "30 June 2022", "1 August 2023", "now"], rows)?;
        page.gap()?;
        page.paragraph(
            2,
            &dim_each(
                "(?) marks a state that rests on an event which may have happened only later: the source gives no \
                 date, or only a latest one. Strands that read the same on all three days are left out.",
            ),
        )?;
        page.gap()?;
        self.tell_known(&now, page).await
    }

    /// A strand's state in a status, in words.
    fn state_words(&self, strand: &StrandReading, status: &StatusReading) -> String {
        let found =
            status.strands.iter().find(|one| one.strand == strand.strand && one.entity == strand.entity);
        match found.and_then(|found| Some((found, found.state.as_deref()?))) {
            None => "–".to_owned(),
            Some((found, state)) => {
                let words = self.titles.state(&strand.strand, state);
                if status::is_uncertain(found, status) { format!("{words} {}", status::MAYBE) } else { words }
            }
        }
    }

    async fn tell_known(&self, now: &StatusReading, page: &mut Page) -> Result<(), Failure> {
        let history = self.history().await?;
        let Some(concluded) = labelled(&history, "concluded") else { return Ok(()) };
        let version = concluded.event.version;
        let known = self.status(Cut { version: Some(version), ..Cut::default() }).await?;
        page.line(&strong(&format!("  What the record said when event {version} had just been recorded")))?;
        page.gap()?;
        let mut rows = Vec::new();
        for strand in now.strands.iter().filter(|strand| strand.state.is_some()) {
            let cells = [&known, now].map(|status| self.state_words(strand, status));
            if cells[0] != cells[1] {
                let whose = strand.entity.clone().unwrap_or_else(|| "case".to_owned());
                let name = format!("{whose}, {}", self.titles.strand(&strand.strand));
                rows.push([name].into_iter().chain(cells).collect());
            }
        }
        page.table(&["", "as known then", "now"], rows)?;
        page.gap()?;
        page.paragraph(
            2,
            &dim_each(
                "Everything in this demo was recorded today, so in June 2022 nothing was known: --known-at \
                 2022-06-30 says so. In a case that is kept as it happens, the two answers differ by what came to \
                 light later.",
            ),
        )
    }

    async fn history(&self) -> Result<Vec<HistoryEntry>, Failure> {
        Ok(self.engine.history(&self.case, Cut::default(), HistoryOrder::Recorded).await?)
    }

    async fn put_right(&self, page: &mut Page) -> Result<(), Failure> {
        tell_chapter(
            "Putting right",
            "The sentence was typed as five months; the source says six. The event is not edited: a correction is \
             recorded, and both values stay visible.",
            page,
        )?;
        let history = self.history().await?;
        let (label, field, _) = TYPED_WRONG;
        let Some(wrong) = labelled(&history, label) else { return Ok(()) };
        let right = lines()?.into_iter().find(|line| line.event.label.as_deref() == Some(label));
        let value = right.and_then(|line| line.event.data.get(field).cloned()).unwrap_or_default();
        let fields = Payload::from_iter([(field.to_owned(), value)]);
        let version = wrong.event.version;
        let reason = "the source says six months";
        let by = trying();
        let corrected =
            self.engine.correct(&self.case, version, fields, reason, by, RecordOptions::default()).await;
        corrected.map_err(|error| self.failure(error))?;
        let history = self.history().await?;
        if let Some(entry) = labelled(&history, label) {
            history::tell_entry(entry, &history, &self.titles, page)?;
        }
        Ok(())
    }

    async fn verify(&self, page: &mut Page) -> Result<(), Failure> {
        tell_chapter(
            "The chain",
            "Every event carries the hash of the one before it. Changing, removing or inserting one anywhere would \
             show.",
            page,
        )?;
        let verification = audit::recompute(&self.engine, page).await?;
        page.set_margin("  ");
        audit::tell(&verification, page)?;
        page.set_margin("");
        Ok(())
    }

    fn tell_end(&self, folder: &Path, status: &StatusReading, page: &mut Page) -> Result<(), Failure> {
        page.rule("Try it yourself")?;
        let breaches = count_of(status.breaches.len(), "breach", "breaches");
        page.paragraph(
            2,
            &format!(
                "The case stands at version {}: {}, {breaches}. It is kept in this folder:",
                status.version,
                count_of(status.gaps.len(), "gap", "gaps")
            ),
        )?;
        page.gap()?;
        let reference = &self.reference;
        page.line(&format!("  export CASEBOOK_DATA={}", folder.display()))?;
        page.gap()?;
        for (command, says) in [
            (format!("casebook status {reference}"), "where it stands now"),
            (format!("casebook status {reference} --at 2023-08-01"), "where it stood on 1 August 2023"),
            (format!("casebook history {reference} --order timeline"), "what happened, in that order"),
            (format!("casebook replay {reference} --step"), "watch it evolve"),
            (
                format!("casebook diff {reference} --from 2022-06-30 --to 2023-12-31"),
                "what changed in between",
            ),
            (format!("casebook next {reference}"), "what may be recorded now"),
            (format!("casebook next {reference} verdict-returned"), "may it, and if not, why?"),
            ("casebook audit verify".to_owned(), "check the chain again"),
            ("casebook audit checkpoint".to_owned(), "sign it: kept elsewhere, it shows later changes"),
        ] {
            page.line(&format!("  {command:<66}{}", dim(says)))?;
        }
        Ok(())
    }
}

/// The reading of the world at the end of a day.
fn at(date: &str) -> Result<Cut, Failure> {
    let day = Day::parse(date).map_err(|error| Failure::unexpected(error.to_string()))?;
    Ok(Cut { at: Some(day), ..Cut::default() })
}

/// Who tries things in the demo.
fn trying() -> Recorder {
    Recorder { id: "caseworker-1".to_owned(), role: "caseworker".to_owned() }
}

/// When, in words, and in the words of the source beside it.
fn when_words(occurred: Option<&Occurred>, versions: &HashMap<String, Version>) -> String {
    let Some(occurred) = occurred else { return dim("date unknown") };
    let after = occurred.after.first().and_then(|event| versions.get(event));
    let date = match (occurred.edtf(), after) {
        (Some(_), _) => occurred.words(),
        (None, Some(version)) => format!("date unknown, after event {version}"),
        (None, None) => "date unknown".to_owned(),
    };
    match &occurred.text {
        Some(text) if text.contains(&date) => dim_each(&format!("“{text}”")),
        Some(text) => format!("{date} {}", dim_each(&format!("“{text}”"))),
        None => date,
    }
}

fn scope_ids(event: &RecordedEvent) -> String {
    event.proposed.scope.values().cloned().collect::<Vec<_>>().join(" ")
}

fn labelled<'h>(history: &'h [HistoryEntry], label: &str) -> Option<&'h HistoryEntry> {
    history.iter().find(|entry| entry.event.proposed.label.as_deref() == Some(label))
}
