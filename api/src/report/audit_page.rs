//! The audit report of a case as a page: what the chain says, what is remarkable, and the whole of it.

use casebook_engine::case::deadline::Answer;
use casebook_engine::case::event::{Version, engine_types};
use casebook_engine::case::reading::{Change, EntityReading, EventMention};
use maud::{Markup, html};

use super::account::{Account, Counts};
use super::page::{
    change_words, checkpoint_line, date_words, day_words, document, due_words, event_table, figure, head,
    lag_words, link, title,
};
use crate::narrative::{target_of, titled_payload_words};
use crate::words::{
    capitalised, count_of, fields_words_by, gap_words, ground_gone_words, scope_words, spoken, unstopped,
};

/// What the log does not hold, so that nobody takes silence for an answer.
pub(super) const NOT_COVERED: [&str; 4] = [
    "Whether what was recorded is true, and whether everything that happened was recorded.",
    "Attempts that were refused: a refusal records nothing, and no log keeps it.",
    "Who read the case, searched for it or took a copy.",
    "What was cut off after the last checkpoint that somebody keeps elsewhere.",
];

/// Changes that are told before the rest is only counted.
const CHANGES_TOLD: usize = 12;

/// The audit report as a page that needs nothing else. The same account gives the same bytes.
#[must_use]
pub fn audit_page(account: &Account) -> String {
    let status = &account.status;
    let facts = [
        ("Workflow", status.workflow.clone()),
        (
            "Events",
            format!(
                "{}, the last at position {} of the log",
                count_of(account.entries.len(), "event", "events"),
                status.position
            ),
        ),
        ("Deadlines as of", day_words(account.day)),
        ("Case id", status.case_id.to_string()),
    ];
    let body = html! {
        (head(account, "Audit report", &facts))
        main {
            (verdict(account))
            (brief(&account.counts()))
            section id="picture" { h2 { "The case at a glance" } (figure(account)) }
            (standing(account))
            (overrides(account))
            (breaches(account))
            (gaps(account))
            (corrections(account))
            (late(account))
            (deadlines(account))
            (people(account))
            (known_when(account))
            section id="events" {
                h2 { "Everything that was recorded" }
                p { "In the order in which it happened, as far as dates and links tell; numbered in the order in which it was recorded. "
                    "What corrects or notes something stands after it." }
                (event_table(account, true))
            }
            (proof(account))
        }
    };
    document(account, "Audit report", &body)
}

fn verdict(account: &Account) -> Markup {
    let Some(found) = &account.verification else {
        return html! { div class="verdict bad" { strong { "Not verified." } p { "Nobody asked for verification." } } };
    };
    let events = count_of(usize::try_from(found.events).unwrap_or(usize::MAX), "event", "events");
    html! {
        @if found.verified {
            div class="verdict" role="status" {
                strong { "Verified: nothing was changed." }
                p {
                    (events) " in " (count_of(found.cases, "case", "cases")) " were read from the stored bytes: every hash and chain computed again, every case judged anew under its workflow."
                    @if found.checkpoints_met > 0 { " The log meets " (count_of(found.checkpoints_met, "earlier checkpoint", "earlier checkpoints")) " kept beside it." }
                }
            }
        } @else {
            div class="verdict bad" role="alert" {
                strong { "Not verified: the log is not what it should be." }
                @if let Some(damage) = &account.damage { p { "The journal is damaged: " (damage) "." } }
                @for finding in &found.findings {
                    p {
                        (finding.check) " at position " (finding.position)
                        @if let Some(case) = &finding.case { ", case " (case) ", version " (finding.version) }
                        ". Expected: " (finding.expected) ". Found: " (finding.found) "."
                    }
                }
            }
        }
    }
}

fn brief(counts: &Counts) -> Markup {
    let cells = [
        ("#overrides", counts.overrides, "recorded against a rule", "wrong"),
        ("#breaches", counts.breaches, "breaches noted", "wrong"),
        ("#deadlines", counts.deadlines_missed, "deadlines missed", "wrong"),
        ("#deadlines", counts.deadlines_undecided, "deadlines undecided", "open"),
        ("#deadlines", counts.deadlines_ran_out, "deadlines ran out", "calm"),
        ("#gaps", counts.open_gaps, "open gaps", "open"),
        ("#corrections", counts.corrections, "corrections", "open"),
        ("#corrections", counts.annulments, "annulments", "open"),
        ("#late", counts.late, "recorded late", "open"),
        ("#events", counts.events, "events in all", "calm"),
    ];
    html! {
        ul class="brief" {
            @for (to, count, words, class) in cells {
                li class=[Some(class).filter(|_| count > 0 && class != "calm")] { a href=(to) { b { (count) } (words) } }
            }
        }
    }
}

fn standing(account: &Account) -> Markup {
    let status = &account.status;
    let owners = std::iter::once(None).chain(status.entities.iter().map(Some));
    html! {
        section id="standing" {
            h2 { "Where it stands" }
            @if !status.consistent {
                p { span class="tag wrong" { "inconsistent" } "A correction was accepted that took the ground from these events:" }
                (mentions(account, &status.inconsistent))
            }
            table {
                thead { tr { th scope="col" { "Strand" } th scope="col" { "State" } th scope="col" { "Since" } } }
                tbody {
                    @for owner in owners { (standing_of(account, owner)) }
                }
            }
            @if !status.entities.is_empty() {
                h3 { "Who and what it is about" }
                table {
                    thead { tr { th scope="col" { "Name here" } th scope="col" { "Kind" } th scope="col" { "Known" } } }
                    tbody {
                        @for entity in &status.entities {
                            tr {
                                th scope="row" { (entity.id) }
                                td { (entity.kind) @if let Some(parent) = &entity.parent { " of " (parent) } }
                                td { (fields_words_by(&entity.data, |field, value| account.titles.entity_value(&entity.kind, field, value))) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// An owner, and under it the strands that have a state.
fn standing_of(account: &Account, owner: Option<&EntityReading>) -> Markup {
    let status = &account.status;
    let id = owner.map(|entity| entity.id.as_str());
    let words =
        owner.map_or("The case".to_owned(), |entity| capitalised(&format!("{} {}", entity.kind, entity.id)));
    let strands: Vec<_> = status
        .strands
        .iter()
        .filter(|strand| strand.entity.as_deref() == id && strand.state.is_some())
        .collect();
    let derived: Vec<_> = status
        .derived
        .iter()
        .filter(|strand| strand.entity.as_deref() == id && strand.state.is_some())
        .collect();
    html! {
        @if !strands.is_empty() || !derived.is_empty() {
            tr class="owner" { th scope="rowgroup" colspan="3" { (words) } }
        }
        @for strand in strands {
            tr {
                td class="strand" { (account.titles.strand(&strand.strand)) }
                td {
                    (strand.title)
                    @if strand.is_final { " " span class="about" { "(nothing more is expected)" } }
                    @for overlay in &strand.overlays { div { "+ " (spoken(overlay)) } }
                }
                td class="since" { @if let Some(since) = &strand.since { (since_words(account, since)) } }
            }
        }
        @for strand in derived {
            tr {
                td class="strand" { (account.titles.strand(&strand.strand)) }
                td { (strand.title) }
                td class="since about" { "worked out from the others" }
            }
        }
    }
}

fn since_words(account: &Account, since: &EventMention) -> Markup {
    let when = account
        .event(since.version)
        .map_or_else(|| since.occurred.clone(), |event| date_words(&event.occurred));
    html! { (when) " " span class="about" { "(no. " (link(since.version)) ")" } }
}

fn mentions(account: &Account, mentions: &[EventMention]) -> Markup {
    html! {
        ul {
            @for mention in mentions {
                li {
                    "No. " (link(mention.version)) ", " (event_words(account, mention.version))
                    @if let Some(note) = &mention.note { ". " span class="prose" { (note) } }
                }
            }
        }
    }
}

/// `Sentence passed, charge C1, 4 October 2023`.
fn event_words(account: &Account, version: Version) -> String {
    let Some(entry) = account.entry(version) else { return "an event that is not in this record".to_owned() };
    let about = scope_words(&entry.event.proposed.scope);
    let about = if about.is_empty() { about } else { format!(", {about}") };
    let when = account.event(version).map(|event| format!(", {}", date_words(&event.occurred)));
    format!("{}{about}{}", title(account, entry), when.unwrap_or_default())
}

fn nothing(words: &str) -> Markup {
    html! { p class="none" { (words) } }
}

fn overrides(account: &Account) -> Markup {
    html! {
        section id="overrides" {
            h2 { "Recorded against a rule" }
            @if account.status.overrides.is_empty() { (nothing("Nothing was recorded against a rule.")) }
            @else {
                p { "A rule said no, and somebody with authority had it recorded all the same." }
                (mentions(account, &account.status.overrides))
            }
        }
    }
}

fn breaches(account: &Account) -> Markup {
    html! {
        section id="breaches" {
            h2 { "Breaches" }
            @if account.status.breaches.is_empty() { (nothing("No breach was noted.")) }
            @else {
                p { "The law or a policy required something else, and it happened all the same." }
                table {
                    thead { tr { th scope="col" class="number" { "No." } th scope="col" { "What was not kept" } th scope="col" { "By which event" } th scope="col" { "Law or policy" } } }
                    tbody {
                        @for breach in &account.status.breaches {
                            tr {
                                td class="number" { (link(breach.version)) }
                                td {
                                    (unstopped(&breach.message)) ". " span class="about" { (breach.rule) }
                                    @if breach.ground_gone { div { span class="tag calm" { (ground_gone_words(breach.ground_taken_by.as_ref())) } } }
                                }
                                td data-label="By" { @if breach.event.0 > 0 { "No. " (link(breach.event)) ", " (event_words(account, breach.event)) } }
                                td data-label="Basis" { @if let Some(basis) = &breach.basis { (basis) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn gaps(account: &Account) -> Markup {
    html! {
        section id="gaps" {
            h2 { "Gaps" }
            @if account.status.gaps.is_empty() { (nothing("No step is missing as far as the workflow can tell.")) }
            @else {
                p { "Steps that must have happened, and of which nobody has the details. A gap says how it is known; it says nothing more." }
                table {
                    thead { tr { th scope="col" class="number" { "No." } th scope="col" { "Missing step" } th scope="col" { "How it is known" } th scope="col" { "Between" } } }
                    tbody {
                        @for gap in &account.status.gaps {
                            tr {
                                td class="number" { (link(gap.version)) }
                                td {
                                    (gap_words(&gap.missing, &account.titles))
                                    @if !gap.scope.is_empty() { span class="about" { ", " (scope_words(&gap.scope)) } }
                                    @if let Some(by) = gap.closed_by { div { span class="tag good" { "closed by " (by) } } }
                                    @if gap.ground_gone { div { span class="tag wrong" { "the event that proved it was annulled" } } }
                                }
                                td { (gap.why_known) }
                                td data-label="When" { @if let Some(event) = account.event(gap.version) { (date_words(&event.occurred)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn corrections(account: &Account) -> Markup {
    let is_change = |name: &str| matches!(name, engine_types::EVENT_CORRECTED | engine_types::EVENT_ANNULLED);
    let changed: Vec<_> =
        account.entries.iter().filter(|entry| is_change(&entry.event.proposed.event_type)).collect();
    html! {
        section id="corrections" {
            h2 { "Corrections and annulments" }
            @if changed.is_empty() { (nothing("Nothing was corrected or annulled.")) }
            @else {
                p { "The first record stays; what was changed is struck through in the list of events." }
                table {
                    thead { tr { th scope="col" class="number" { "No." } th scope="col" { "What was changed, and why" } th scope="col" { "What followed" } th scope="col" { "By, on" } } }
                    tbody {
                        @for entry in changed {
                            @let said = &entry.event.proposed;
                            @let target = target_of(said).and_then(|id| account.entries.iter().find(|other| other.event.id == id));
                            tr {
                                td class="number" { (link(entry.event.version)) }
                                td {
                                    div class="prose" { (titled_payload_words(said, &account.entries, &account.titles)) }
                                    @if let Some(target) = target { div class="by" { "No. " (link(target.event.version)) ": " (event_words(account, target.event.version)) } }
                                }
                                td { (changes(account, &entry.changed, "No state changed.")) }
                                td data-label="By" { (super::account::recorder(said)) div class="by" { (entry.event.recorded_at.strftime("%Y-%m-%d %H:%M UTC")) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn changes(account: &Account, changes: &[Change], none: &str) -> Markup {
    html! {
        @if changes.is_empty() { span class="about" { (none) } }
        @for change in changes.iter().take(CHANGES_TOLD) { div { (change_words(account, change)) } }
        @if changes.len() > CHANGES_TOLD { div class="about" { "and " (changes.len() - CHANGES_TOLD) " more" } }
    }
}

/// How long after what happened it was recorded.
fn lag_summary(account: &Account) -> Option<String> {
    let mut lags: Vec<(i32, Version)> = account
        .entries
        .iter()
        .filter_map(|entry| Some((account.lag_days(entry)?, entry.event.version)))
        .collect();
    lags.sort_unstable();
    let (longest, version) = lags.last()?;
    Some(format!(
        "{} at least a day after the last day on which it can have happened: half of these within {}, the longest, no. \
         {version}, {} later.",
        capitalised(&count_of(lags.len(), "event was recorded", "events were recorded")),
        lag_words(lags[lags.len() / 2].0).replace("over ", "about "),
        lag_words(*longest)
    ))
}

fn late(account: &Account) -> Markup {
    html! {
        section id="late" {
            h2 { "Recorded late" }
            @if let Some(words) = lag_summary(account) { p { (words) } }
            @if account.late.is_empty() { (nothing("No fact came into the record after one that happened later, as far as dates tell.")) }
            @else {
                p { "These facts came into the record after facts that happened later. Until then the record said something else of the day on which they happened." }
                table {
                    thead { tr { th scope="col" class="number" { "No." } th scope="col" { "What happened" } th scope="col" { "Recorded" } th scope="col" { "What it changed of that day" } } }
                    tbody {
                        @for fact in &account.late {
                            @let entry = account.entry(fact.version);
                            tr {
                                td class="number" { (link(fact.version)) }
                                td { (event_words(account, fact.version)) }
                                td data-label="Recorded" {
                                    @if let Some(entry) = entry {
                                        (entry.event.recorded_at.strftime("%Y-%m-%d"))
                                        @if let Some(days) = account.lag_days(entry) { div class="by" { (lag_words(days)) " later" } }
                                    }
                                }
                                td { (changes(account, &fact.changed, "Nothing.")) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn deadlines(account: &Account) -> Markup {
    let deadlines = account.deadlines();
    html! {
        section id="deadlines" {
            h2 { "Deadlines" }
            @if deadlines.is_empty() { (nothing("No deadline has started.")) }
            @else {
                p { "As of " (day_words(account.day)) ". Undecided: what is known does not tell. Ran out: the time has passed, and the record holds nothing that used it; that nothing happened is not recorded." }
                table {
                    thead { tr { th scope="col" { "Deadline" } th scope="col" { "Answer" } th scope="col" { "Due" } th scope="col" { "Started and met by" } } }
                    tbody {
                        @for deadline in deadlines {
                            @let (class, answer) = answer_words(deadline.answer, deadline.ran_out);
                            tr {
                                th scope="row" {
                                    (deadline.title) @if let Some(entity) = &deadline.entity { span class="about" { ", " (entity) } }
                                    @if deadline.round > 1 { span class="about" { ", round " (deadline.round) } }
                                    div class="by" { (deadline.counted) @if let Some(basis) = &deadline.basis { ". " (basis) } }
                                }
                                td { span class={ "tag " (class) } { (answer) } @if let Some(why) = &deadline.why { div class="by" { (why) } } }
                                td data-label="Due" { (due_words(&deadline.due)) }
                                td {
                                    div { "Started by no. " (link(deadline.started_by.version)) }
                                    @if let Some(met) = &deadline.met_by { div { "Met by no. " (link(met.version)) } }
                                    @if let Some(void) = &deadline.void_by { div { "Ended by no. " (link(void.version)) } }
                                    @if !deadline.adjusted_by.is_empty() { div { "Adjusted by no. " @for by in &deadline.adjusted_by { (link(*by)) " " } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

const fn answer_words(answer: Answer, has_run_out: bool) -> (&'static str, &'static str) {
    match answer {
        Answer::Met => ("good", "met"),
        Answer::Missed if has_run_out => ("calm", "ran out"),
        Answer::Missed => ("wrong", "missed"),
        Answer::Running => ("calm", "running"),
        Answer::Paused => ("calm", "paused"),
        Answer::Indeterminate => ("gap", "undecided"),
        Answer::Void => ("calm", "fell away"),
    }
}

fn people(account: &Account) -> Markup {
    let deciders = account.deciders();
    html! {
        section id="people" {
            h2 { "Who decided, and who recorded" }
            @if deciders.is_empty() { (nothing("The record names nobody who decided.")) }
            @else {
                table {
                    thead { tr { th scope="col" { "Decided" } th scope="col" { "Which events" } } }
                    tbody {
                        @for (decider, versions) in &deciders {
                            tr { th scope="row" { (decider) } td { @for (index, version) in versions.iter().enumerate() { @if index > 0 { ", " } (link(*version)) } } }
                        }
                    }
                }
            }
            table {
                thead { tr { th scope="col" { "Recorded" } th scope="col" { "How many" } } }
                tbody { @for (recorder, count) in account.recorders() { tr { th scope="row" { (recorder) } td { (count_of(count, "event", "events")) } } } }
            }
        }
    }
}

fn known_when(account: &Account) -> Markup {
    html! {
        section id="known" {
            h2 { "What was known when" }
            p { "Each day on which something was recorded, and what the record said differently at its end. A day that is not here added nothing." }
            table {
                thead { tr { th scope="col" { "Recorded on" } th scope="col" { "Events" } th scope="col" { "By" } th scope="col" { "What the record then said differently" } } }
                tbody {
                    @for (index, on) in account.recorded.iter().enumerate() {
                        tr {
                            th scope="row" { (crate::words::in_words(&on.day)) }
                            td data-label="Events" { (link(on.first)) @if on.first != on.last { " to " (link(on.last)) } }
                            td data-label="By" { @for (by, _) in &on.by { div { (by) } } }
                            td {
                                @if index == 0 { span class="about" { "The record began." } }
                                @else { (changes(account, &on.changed, "No state changed.")) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn proof(account: &Account) -> Markup {
    html! {
        section id="proof" {
            h2 { "How this can be checked" }
            @if let Some(checkpoint) = &account.checkpoint {
                p { "This checkpoint was signed for this report. It covers every event above. Keep it: whatever is changed, removed or put in later, "
                    code { "casebook audit verify --checkpoint FILE" } " finds it." }
                pre { (checkpoint.note) }
                p { "The public key that signed it, to be compared with the one that the owner of the log publishes:" }
                pre { (checkpoint.vkey) }
                @if let Some(sealed) = &account.sealed {
                    p { "The case is whole: by the seal of " (sealed.recorded_at) " (position " (sealed.position) "), it had exactly "
                        (count_of(usize::try_from(sealed.events).unwrap_or(usize::MAX), "event", "events")) " when the log had " (sealed.size)
                        ". This is proved with " code { "casebook audit proof " (account.status.reference) " --heads" } "." }
                }
                p { "One event is proved with " code { "casebook audit proof " (account.status.reference) " NUMBER" } ", and that file is checked without the log." }
            } @else { (nothing(&format!("{}.", checkpoint_line(account)))) }
            h3 { "What this report does not say" }
            ul { @for line in NOT_COVERED { li { (line) } } }
        }
    }
}
