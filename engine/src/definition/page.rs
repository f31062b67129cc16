//! A definition as a page for the people who work by it: roles, events, rules in sentences with their law, strands, deadlines.

use std::fmt::Write;

use serde_json::Value;

use super::deadline::{Deadline, Missed, OnRepeat, Trigger};
use super::diagram::mermaid;
use super::fields::spoken;
use super::parts::merged;
use super::problem::Problems;
use super::source::{EventSource, RuleSource, Source, SourceFile, source};
use super::wording::{any_of, condition, failure, field, message};
use super::{
    Definition, DerivedStrand, EventType, EventTypeId, KindId, RoleId, Rule, RuleClass, Strand, StrandId,
};

/// A diagram of more lines is folded away: it fills a screen.
const DIAGRAM_LINES_OPEN_MAX: usize = 40;

/// A definition as a Markdown page, in the order of its files.
///
/// The definition has to be compiled from these files. The same files give the same page.
#[must_use]
pub fn page(definition: &Definition, files: &[SourceFile]) -> String {
    let mut problems = Problems::new(files);
    let Some(root) = merged(files, &mut problems) else { return String::new() };
    let source = source(&root, &mut problems);
    let written = serde_json::from_str(&definition.canonical).unwrap_or(Value::Null);
    let mut page = Page { definition, source: &source, written: &written, text: String::new() };
    let parts = page.parts();
    page.head(&parts);
    page.people();
    page.entities();
    for part in &parts {
        page.part(part);
    }
    page.derived();
    page.deadlines();
    page.rest();
    page.text
}

struct Page<'d> {
    definition: &'d Definition,
    source: &'d Source,
    /// As written, for what the compiled definition does not keep.
    written: &'d Value,
    text: String,
}

/// What belongs together: the events of one part, and the strands of the files that they stand in.
struct Part<'d> {
    name: String,
    events: Vec<(&'d EventType, &'d EventSource)>,
    strands: Vec<StrandId>,
}

impl<'d> Page<'d> {
    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn parts(&self) -> Vec<Part<'d>> {
        let mut parts: Vec<Part<'d>> = Vec::new();
        let mut file_parts: Vec<(usize, String)> = Vec::new();
        for written in &self.source.events {
            let Some(id) = self.definition.event(&written.name.value) else { continue };
            let event = self.definition.event_type(id);
            file_parts.push((written.name.place.file, event.part.clone()));
            part_named(&mut parts, &event.part).events.push((event, written));
        }
        for written in &self.source.strands {
            let Some(id) = self.definition.strand(&written.name.value) else { continue };
            let file = written.name.place.file;
            let part = file_parts.iter().find(|(known, _)| *known == file).or(file_parts.first());
            let part = part.map_or("strands", |(_, part)| part.as_str());
            part_named(&mut parts, part).strands.push(id);
        }
        parts
    }

    fn head(&mut self, parts: &[Part<'_>]) {
        let definition = self.definition;
        let _ = writeln!(self.text, "# {}\n", definition.title);
        if let Some(about) = &definition.about {
            let _ = writeln!(self.text, "{about}\n");
        }
        let rules: usize = self.source.events.iter().map(|event| event.rules.len()).sum();
        let counts = [
            (self.source.events.len(), "event types"),
            (definition.strands.len(), "strands"),
            (definition.strands.iter().map(|strand| strand.states.len()).sum(), "states"),
            (rules, "rules"),
            (definition.deadlines.len(), "deadlines"),
        ];
        let counts: Vec<String> = counts.iter().map(|(count, what)| format!("{count} {what}")).collect();
        let _ = writeln!(
            self.text,
            "`{}`: {}. Days end at midnight in {}.\n\n\
             This page is written by `casebook workflow page {}` from the definition; a test holds that it is up to date. \
             Where a rule says *refused*, the event is not recorded; where it says *breach*, the event is recorded and the \
             breach is noted, because it did happen.\n",
            definition.pin(),
            counts.join(", "),
            definition.timezone,
            definition.name
        );
        let links: Vec<String> = parts
            .iter()
            .map(|part| format!("[{}](#{})", spoken(&part.name), anchor(&spoken(&part.name))))
            .collect();
        let deadlines = if definition.deadlines.is_empty() { "" } else { " · [Deadlines](#deadlines)" };
        let _ = writeln!(self.text, "{}{deadlines}", links.join(" · "));
    }

    fn people(&mut self) {
        self.line("\n## Who acts\n");
        for role in &self.definition.roles {
            let may = if role.may_override {
                "; may record against a logical rule, with an authority and a reason"
            } else {
                ""
            };
            let _ = writeln!(self.text, "- **{}** (`{}`){may}", role.title, role.name);
        }
        if self.definition.separate_duties.is_empty() {
            return;
        }
        self.line("\nIn one case, one person acts in only one of these roles:\n");
        for set in &self.definition.separate_duties {
            let titles = self.role_titles(set);
            let _ = writeln!(self.text, "- {}", any_of(&titles));
        }
    }

    fn entities(&mut self) {
        if self.definition.kinds.is_empty() {
            return;
        }
        self.line("\n## Of what a case has several\n");
        for kind in &self.definition.kinds {
            let of = kind.parent.map_or_else(String::new, |parent| {
                format!(", of a {}", self.definition.kinds[parent.index()].title.to_lowercase())
            });
            let events = self.titles(&kind.introduced_by);
            let _ = writeln!(
                self.text,
                "- **{}** (`{}`){of}: begins with {}",
                kind.title,
                kind.name,
                any_of(&events)
            );
        }
    }

    fn part(&mut self, part: &Part<'_>) {
        let _ = writeln!(self.text, "\n## {}", spoken(&part.name));
        for strand in &part.strands {
            self.strand(*strand);
        }
        for (event, written) in &part.events {
            self.event(event, written);
        }
    }

    fn strand(&mut self, id: StrandId) {
        let strand: &Strand = &self.definition.strands[id.index()];
        let of = self.whose(strand.per);
        let _ = writeln!(self.text, "\n### Strand: {} (of {of})\n", strand.title);
        let names: Vec<&str> = self
            .source
            .strands
            .iter()
            .filter(|written| written.name.value == strand.name)
            .flat_map(|written| &written.states)
            .map(|state| state.name.value.as_str())
            .collect();
        let states = names.iter().filter_map(|name| strand.state(name)).map(|id| &strand.states[id.index()]);
        let states: Vec<String> = states
            .map(|state| format!("{}{}", state.title, if state.is_final { " (final)" } else { "" }))
            .collect();
        let _ = writeln!(self.text, "States: {}.", states.join(" · "));
        for overlay in &strand.overlays {
            let (set, cleared) = (self.titles(&overlay.set_by), self.titles(&overlay.cleared_by));
            let cleared =
                if cleared.is_empty() { String::new() } else { format!(", until {}", any_of(&cleared)) };
            let _ = writeln!(
                self.text,
                "\nOn top of the state, *{}*: from {}{cleared}.",
                overlay.title,
                any_of(&set)
            );
        }
        let drawing = mermaid(self.definition, id);
        let drawing = format!("```mermaid\n{}\n```", drawing.trim_end());
        if drawing.lines().count() > DIAGRAM_LINES_OPEN_MAX {
            let _ = writeln!(self.text, "\n<details><summary>Diagram</summary>\n\n{drawing}\n\n</details>");
        } else {
            let _ = writeln!(self.text, "\n{drawing}");
        }
    }

    fn event(&mut self, event: &EventType, written: &EventSource) {
        let _ = writeln!(self.text, "\n### {} (`{}`)\n", event.title, event.name);
        let mut facts = Vec::new();
        if !event.scope.is_empty() {
            facts.push(format!("About a {}.", any_of_all(&self.kind_names(&event.scope))));
        }
        if !event.scope_optional.is_empty() {
            facts.push(format!("May name a {}.", any_of(&self.kind_names(&event.scope_optional))));
        }
        let roles = self.role_titles(&event.record);
        facts.push(if roles.is_empty() {
            "Recorded by any role.".to_owned()
        } else {
            format!("Recorded by: {}.", any_of(&roles))
        });
        if !event.decide.is_empty() {
            let bodies: Vec<String> = event.decide.iter().map(|body| body.replace('-', " ")).collect();
            facts.push(format!("Decided by: {}.", any_of(&bodies)));
        }
        let flags = [
            (event.rationale_required, "A rationale is required."),
            (event.always_accepted, "Accepted in any state."),
            (event.may_be_gap, "A missing one may be declared as a gap."),
        ];
        facts.extend(flags.iter().filter(|(holds, _)| *holds).map(|(_, words)| (*words).to_owned()));
        if let Some(basis) = self.written["events"][&event.name]["basis"].as_str() {
            facts.push(format!("Law: {}.", basis.trim_end_matches('.')));
        }
        let facts = facts.join(" ");
        self.line(&facts);
        self.fields(event);
        let rules: Vec<String> = written
            .rules
            .iter()
            .filter_map(|source| Some((event.rules.iter().find(|rule| rule.id == source.id.value)?, source)))
            .map(|(rule, source)| self.rule(rule, source))
            .collect();
        if !rules.is_empty() {
            self.line("");
            rules.iter().for_each(|rule| self.line(rule));
        }
    }

    fn fields(&mut self, event: &EventType) {
        let schema = &event.schema.source;
        let Some(fields) = schema.get("properties").and_then(Value::as_object).filter(|all| !all.is_empty())
        else {
            return;
        };
        let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, inner)| {
                let mark = if required.iter().any(|one| one == name) { "**" } else { "" };
                format!("{mark}{}{mark} ({})", name.replace('_', " "), escaped(&field(inner)))
            })
            .collect();
        let _ = writeln!(self.text, "\nSays (bold: must be said): {}.", fields.join("; "));
    }

    fn rule(&self, rule: &Rule, source: &RuleSource) -> String {
        let when = rule
            .when
            .as_ref()
            .map_or_else(String::new, |when| format!("Where {}: ", condition(self.definition, when)));
        let consequence = match rule.class {
            RuleClass::Logical => "refused",
            RuleClass::Authority => "refused, and no override helps,",
            RuleClass::Compliance => "a breach",
            RuleClass::Gap => "refused until the missing step is declared,",
        };
        let demand = match failure(self.definition, &rule.require).as_str() {
            "unless never" => consequence.trim_end_matches(',').to_owned(),
            failure => format!("{consequence} {failure}"),
        };
        let mut words = format!("{when}{demand}.");
        if let Some(first) = words.get(..1).map(str::to_uppercase) {
            words.replace_range(..1, &first);
        }
        let mut text = format!(
            "- {} *{}.*",
            escaped(&words),
            escaped(message(&source.message.value).trim_end_matches('.'))
        );
        if let Some(dated) = &rule.dated {
            let from = dated.from.map_or_else(String::new, |day| format!(" from {day}"));
            let until = dated.until.map_or_else(String::new, |day| format!(" until {day}"));
            let pin = &self.definition.event_type(dated.pinned_by).title;
            let _ = write!(text, " In force{from}{until}, by the date of “{pin}”.");
        }
        if let Some(basis) = &rule.basis {
            let _ = write!(text, " Law: {}.", escaped(basis.trim_end_matches('.')));
        }
        let _ = write!(text, " (`{}`)", rule.id);
        text
    }

    fn derived(&mut self) {
        if self.definition.derived.is_empty() {
            return;
        }
        self.line("\n## Worked out from the rest\n");
        self.line("The first line that holds is the state.");
        let ids = self
            .source
            .derived
            .iter()
            .filter_map(|strand| self.definition.derived_strand(&strand.name.value));
        for id in ids.collect::<Vec<_>>() {
            let strand: &DerivedStrand = &self.definition.derived[id.index()];
            let of = self.whose(strand.per);
            let _ = writeln!(self.text, "\n### {} of {of}\n", strand.title);
            for (state, holds) in strand.states.iter().zip(&strand.conditions) {
                let words = match condition(self.definition, holds).as_str() {
                    "always" => "otherwise".to_owned(),
                    words => words.to_owned(),
                };
                let _ = writeln!(self.text, "1. **{}**: {}", state.title, escaped(&words));
            }
        }
    }

    fn deadlines(&mut self) {
        if self.definition.deadlines.is_empty() {
            return;
        }
        self.line("\n## Deadlines\n");
        self.line("A missed deadline never stops an event.\n");
        for deadline in &self.definition.deadlines {
            let text = self.deadline(deadline);
            self.line(&text);
        }
    }

    fn deadline(&self, deadline: &Deadline) -> String {
        let starts: Vec<String> = deadline
            .starts
            .iter()
            .map(|start| {
                let from = start.from.as_ref().map_or_else(String::new, |field| {
                    format!(" (counted from its {})", field.join(" ").replace('_', " "))
                });
                format!("{}{from}", self.trigger(&start.trigger))
            })
            .collect();
        let triggers = |triggers: &[Trigger]| {
            any_of(&triggers.iter().map(|trigger| self.trigger(trigger)).collect::<Vec<_>>())
        };
        let mut text = format!(
            "- **{}** of {}: {} {}{}.",
            deadline.title,
            self.whose(deadline.per),
            deadline.first_due_in_words(),
            any_of(&starts),
            deadline.repeats_in_words().map(|repeats| format!("; {repeats}")).unwrap_or_default()
        );
        let more = [
            (
                "Only while",
                deadline.when.as_ref().map(|when| condition(self.definition, when)).unwrap_or_default(),
            ),
            ("Met by", triggers(&deadline.met_by)),
            ("Falls away with", triggers(&deadline.void_by)),
            (
                "Paused while",
                deadline
                    .paused_while
                    .as_ref()
                    .map(|when| condition(self.definition, when))
                    .unwrap_or_default(),
            ),
            (
                "Working days of",
                deadline
                    .calendar()
                    .map(|id| self.definition.calendars[id.index()].title.clone())
                    .unwrap_or_default(),
            ),
            (
                "Adjusted by",
                deadline
                    .adjust
                    .as_ref()
                    .map(|adjust| {
                        let kinds: Vec<String> =
                            adjust.kinds.iter().map(|kind| kind.name().replace('-', " ")).collect();
                        format!("{} ({})", any_of(&self.role_titles(&adjust.by)), kinds.join(", "))
                    })
                    .unwrap_or_default(),
            ),
        ];
        for (words, value) in more.iter().filter(|(_, value)| !value.is_empty()) {
            let _ = write!(text, " {words} {value}.");
        }
        text.push_str(&self.what_follows(deadline));
        if let Some(basis) = &deadline.basis {
            let _ = write!(text, " Law: {}.", escaped(basis.trim_end_matches('.')));
        }
        let _ = write!(text, " (`{}`)", deadline.name);
        text
    }

    /// What a further start does, and what follows a miss.
    fn what_follows(&self, deadline: &Deadline) -> String {
        let repeat = match deadline.on_repeat {
            OnRepeat::Keep => "",
            OnRepeat::Restart => " A further start starts it over.",
            OnRepeat::Once => " Only the first start counts.",
        };
        let missed = match &deadline.missed {
            Missed::Notice => "it is shown".to_owned(),
            Missed::Breach => "a breach is noted".to_owned(),
            Missed::Event { event, .. } => {
                format!("“{}” is recorded", self.definition.event_type(*event).title)
            }
        };
        format!("{repeat} Missed: {missed}.")
    }

    fn trigger(&self, trigger: &Trigger) -> String {
        let title = &self.definition.event_type(trigger.on).title;
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let matches: Vec<String> = trigger
            .matches
            .iter()
            .map(|(field, values)| {
                let values: Vec<String> = values.iter().map(text).collect();
                format!("{} {}", field.replace('_', " "), any_of(&values))
            })
            .collect();
        if matches.is_empty() {
            format!("“{title}”")
        } else {
            format!("“{title}” ({})", matches.join(", "))
        }
    }

    fn rest(&mut self) {
        let Some(closing) = &self.definition.after_closing else { return };
        let strand = &self.definition.strands[closing.strand.index()];
        let state = &strand.states[closing.state.index()].title;
        let _ = writeln!(self.text, "\n## After closing\n");
        let titles = self.titles(&closing.accept);
        let accepted = if titles.is_empty() { "nothing else".to_owned() } else { any_of(&titles) };
        let _ = writeln!(
            self.text,
            "Once “{}” of the case is “{state}”, this is still accepted, beside what is accepted in any state and what opens the \
             case again: {accepted}.",
            strand.title
        );
    }

    fn titles(&self, events: &[EventTypeId]) -> Vec<String> {
        events.iter().map(|id| format!("“{}”", self.definition.event_type(*id).title)).collect()
    }

    fn role_titles(&self, roles: &[RoleId]) -> Vec<String> {
        roles.iter().map(|role| self.definition.roles[role.index()].title.clone()).collect()
    }

    fn kind_names(&self, kinds: &[KindId]) -> Vec<String> {
        kinds.iter().map(|kind| self.definition.kinds[kind.index()].title.to_lowercase()).collect()
    }

    fn whose(&self, per: Option<KindId>) -> String {
        per.map_or_else(
            || "the case".to_owned(),
            |kind| format!("each {}", self.definition.kinds[kind.index()].title.to_lowercase()),
        )
    }
}

fn part_named<'p, 'd>(parts: &'p mut Vec<Part<'d>>, name: &str) -> &'p mut Part<'d> {
    let at = parts.iter().position(|part| part.name == name).unwrap_or_else(|| {
        parts.push(Part { name: name.to_owned(), events: Vec::new(), strands: Vec::new() });
        parts.len() - 1
    });
    &mut parts[at]
}

fn any_of_all(names: &[String]) -> String {
    names.join(" and a ")
}

/// The anchor that code hosts give a heading.
fn anchor(heading: &str) -> String {
    heading.to_lowercase().replace(' ', "-")
}

/// Text in which nothing is taken for markup.
fn escaped(text: &str) -> String {
    text.replace('<', "&lt;").replace('*', "\\*")
}
