//! `casebook next`: what may happen next; and whether one event may, and if not, why.

use std::collections::BTreeMap;

use casebook_engine::case::event::Scope;
use casebook_engine::case::reading::{NextReading, NotNow, Possible};
use clap::Args;

use super::Globals;
use super::answer::{Failure, Refused};
use super::page::{Page, dim, good, strong, warn};
use super::reading::{self, Titles, scope_words, unstopped};
use super::{folder, payload, refusal};

const EXAMPLES: &str = "Examples:
  casebook next 2020/146999                          everything that may be recorded now
  casebook next 2020/146999 --refused                and everything that may not, with the first reason
  casebook next 2020/146999 sentence-passed          may it, and if not, why, and how would it become lawful
  casebook next 2020/146999 sentence-passed --scope charge=C1

With a TYPE the exit code is 0 if it may be recorded, and 3 if not.";

/// `casebook next`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct NextArgs {
    /// The case's reference
    #[arg(value_name = "REF")]
    reference: String,
    /// The event type that is asked about
    #[arg(value_name = "TYPE")]
    event_type: Option<String>,
    /// What it would be about: charge=C1; left out: every entity there is
    #[arg(long, value_name = "KIND=ID", value_parser = payload::scope, requires = "event_type")]
    scope: Vec<(String, String)>,
    /// Show what would be refused too
    #[arg(long, conflicts_with = "event_type")]
    refused: bool,
}

/// Runs the command.
pub(super) async fn run(args: NextArgs, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let engine = folder::existing(globals, page)?;
    let case = folder::key(&args.reference);
    let definition = folder::definition_of(&engine, &case).await?;
    let Some(event_type) = &args.event_type else {
        let next = engine.next(&case).await?;
        return if page.is_json() {
            page.json(&next)
        } else {
            tell(&next, args.refused, &args.reference, &Titles::of(definition), page)
        };
    };
    let scope: Scope = args.scope.iter().cloned().collect();
    match Box::pin(engine.may(&case, event_type, &scope)).await? {
        Ok(possible) if page.is_json() => page.json(&possible),
        Ok(possible) => {
            let titles = Titles::of(definition);
            page.line(&format!("{} {} may be recorded now.", good("Yes."), titles.event(event_type)))?;
            possible.iter().try_for_each(|one| tell_possible(one, &titles, page))
        }
        Err(refusal) => {
            let refused =
                Refused { reference: args.reference, refusal: *refusal, definition, missing: Vec::new() };
            if page.is_json() {
                page.json(&refused.refusal)?;
            } else {
                refusal::tell(&refused, page)?;
            }
            Err(Failure::Told(Box::new(Failure::Refused(Box::new(refused)))))
        }
    }
}

fn tell(
    next: &NextReading,
    with_refused: bool,
    reference: &str,
    titles: &Titles,
    page: &mut Page,
) -> Result<(), Failure> {
    page.line(&strong(&format!("Case {reference}: what may be recorded now")))?;
    let mut parts = BTreeMap::<&str, Vec<&Possible>>::new();
    for possible in &next.may {
        parts.entry(&possible.part).or_default().push(possible);
    }
    for (part, possible) in parts {
        page.heading(&if part.is_empty() { "In any part".to_owned() } else { reading::capitalised(part) })?;
        for one in possible {
            tell_possible(one, titles, page)?;
        }
    }
    if with_refused {
        page.heading("What would be refused")?;
        next.may_not.iter().try_for_each(|one| tell_not_now(one, page))
    } else if next.may_not.is_empty() {
        Ok(())
    } else {
        page.gap()?;
        let count = reading::count_of(next.may_not.len(), "event would be", "events would be");
        page.paragraph(
            0,
            &dim(&format!(
                "{count} refused. `casebook next {reference} --refused` says why; with a TYPE it says all."
            )),
        )
    }
}

fn tell_possible(possible: &Possible, titles: &Titles, page: &mut Page) -> Result<(), Failure> {
    let about = match scope_words(&possible.scope) {
        words if words.is_empty() => String::new(),
        words => format!(", {words}"),
    };
    let name = dim(&format!("({})", possible.event_type));
    let by = match possible.record.as_slice() {
        [] => String::new(),
        roles => dim(&format!(" by {}", roles.join(", "))),
    };
    page.item(2, "•", &format!("{}{about} {name}{by}", possible.title))?;
    for change in &possible.leads_to {
        page.item(4, "→", &reading::change_words(change, titles))?;
    }
    for rule in &possible.would_breach {
        page.item(4, &warn("would breach:"), rule)?;
    }
    Ok(())
}

fn tell_not_now(not_now: &NotNow, page: &mut Page) -> Result<(), Failure> {
    let about = match scope_words(&not_now.scope) {
        words if words.is_empty() => String::new(),
        words => format!(", {words}"),
    };
    let name = dim(&format!("({})", not_now.event_type));
    page.item(2, "•", &format!("{}{about} {name}: {}.", not_now.title, unstopped(&not_now.why)))
}
