//! From what a caller says to an event that can be judged: names checked, references resolved, engine's fields added.

use serde_json::Value;
use uuid::Uuid;

use super::adoption::{DIGEST, VERSION, WORKFLOW, bytes_of};
use super::decide::{CaseName, Supply, Terms};
use super::effective::{effective, missing_of, target_of};
use super::event::{Decider, EventId, Payload, ProposedEvent, RecordedEvent, Scope, Version, engine_types};
use super::occurred::Occurred;
use super::state::CaseState;
use super::timeline::contradiction;
use crate::definition::engine_events::{DEFINITION_DIGEST, ORIGINALLY_RECORDED_AT};
use crate::definition::{Definition, EventType, KindId};
use crate::spelling::nearest;

/// The longest label, reference or id, characters.
const NAME_CHARS_MAX: usize = 200;

/// What is wrong with an event as given, in which field, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidEvent {
    /// Which of the events given, from 0.
    pub index: usize,
    /// The field, such as `data.plea`.
    pub field: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub help: Option<String>,
}

/// What drafting needs beside the case: time, ids, and the events of the same batch that labels may name.
pub(crate) struct Drafting<'a, 'm> {
    pub(crate) name: &'a CaseName,
    pub(crate) terms: &'a Terms,
    pub(crate) supply: &'a mut Supply<'m>,
    /// The events proposed in one list, earlier and later ones, with their labels.
    pub(crate) batch: Vec<(Option<String>, EventId)>,
}

impl Drafting<'_, '_> {
    /// The event with the fields that the engine adds, `prev` excepted.
    pub(crate) fn record(
        &mut self,
        definition: &Definition,
        version: Version,
        proposed: ProposedEvent,
        (id, cause): (EventId, Option<EventId>),
    ) -> RecordedEvent {
        RecordedEvent {
            proposed,
            case: self.name.reference.clone(),
            workflow: None,
            id,
            case_id: self.name.case_id,
            version,
            recorded_at: self.supply.now,
            definition: definition.pin(),
            prev: None,
            salt: (self.supply.new_salt)(),
            correlation_id: self.terms.correlation_id.clone(),
            causation_id: cause.map(|id| id.to_string()),
        }
    }
}

/// Why an event that reads like this is no event of the case's definition, whatever its place; `None`: it is one.
pub(crate) fn misfit(state: &CaseState, name: &str, scope: &Scope, data: &Payload) -> Option<String> {
    let reader = Reader { index: 0, state, definition: state.definition(), batch: &[] };
    let fits = reader.event_type(name).and_then(|event_type| {
        reader.scope(scope, event_type)?;
        reader.payload(data, event_type)
    });
    fits.err().map(|invalid| match invalid.field.as_str() {
        "type" => format!("there is no event type {name}"),
        field => format!("{field}: {}", invalid.problem),
    })
}

/// Reading one proposal.
struct Reader<'a> {
    index: usize,
    state: &'a CaseState,
    definition: &'a Definition,
    batch: &'a [(Option<String>, EventId)],
}

/// Makes a recorded event of a proposal.
///
/// # Errors
/// The first thing that is wrong with it.
pub(crate) fn draft(
    state: &CaseState,
    index: usize,
    proposal: &ProposedEvent,
    drafting: &mut Drafting<'_, '_>,
) -> Result<RecordedEvent, InvalidEvent> {
    let definition = state.definition();
    let reader = Reader { index, state, definition, batch: &drafting.batch };
    let mut proposed = proposal.clone();
    let event_type = reader.event_type(&proposed.event_type)?;
    reader.opening_first(&proposed.event_type)?;
    reader.is_for_people(&proposed.event_type)?;
    reader.names(&proposed)?;
    let subject = reader.subject_type(&proposed, event_type)?;
    reader.scope(&proposed.scope, subject)?;
    reader.payload(&proposed.data, event_type)?;
    if let Some((field, problem, help)) = super::adjusting::problem(definition, &proposed) {
        return Err(reader.invalid(field, problem, help));
    }
    if event_type.rationale_required
        && !drafting.terms.imported
        && proposed.rationale.as_deref().is_none_or(|text| text.trim().is_empty())
    {
        let help = "say why it was decided so with a rationale";
        return Err(reader.invalid(
            "rationale",
            "this decision needs a rationale".to_owned(),
            Some(help.into()),
        ));
    }
    if let Some(occurred) = &mut proposed.occurred {
        reader.links(&mut occurred.after, "occurred.after")?;
        reader.links(&mut occurred.before, "occurred.before")?;
    }
    reader.targets(&mut proposed)?;
    reader.adoption(&mut proposed)?;
    let id = drafting.batch[index].1;
    let adopted = proposed.data.get(DIGEST).and_then(Value::as_str);
    let under = adopted
        .filter(|_| proposed.event_type == engine_types::DEFINITION_MIGRATED)
        .and_then(|digest| state.library().by_digest(digest))
        .unwrap_or(definition);
    let event = drafting.record(under, state.version().next(), proposed, (id, None));
    let reader = Reader { index, state, definition, batch: &drafting.batch };
    reader.no_contradiction(&event)?;
    Ok(event)
}

impl Reader<'_> {
    fn invalid(&self, field: &str, problem: String, help: Option<String>) -> InvalidEvent {
        InvalidEvent { index: self.index, field: field.to_owned(), problem, help }
    }

    fn event_type(&self, name: &str) -> Result<&EventType, InvalidEvent> {
        if let Some(id) = self.definition.event(name) {
            return Ok(self.definition.event_type(id));
        }
        let names = self.definition.events.iter().map(|event| event.name.as_str());
        let help = match nearest(name, names) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("`casebook workflow show {}` lists the types", self.definition.name),
        };
        Err(self.invalid("type", format!("{} has no event type {name}", self.definition.pin()), Some(help)))
    }

    fn opening_first(&self, name: &str) -> Result<(), InvalidEvent> {
        let opens = name == engine_types::CASE_OPENED;
        let is_first = self.state.version() == Version(0);
        match (opens, is_first) {
            (true, false) => Err(self.invalid("type", "the case is open already".into(), None)),
            (false, true) => Err(self.invalid(
                "type",
                format!("the first event of a case is case-opened, not {name}"),
                None,
            )),
            _ => Ok(()),
        }
    }

    /// A breach is noted by the engine alone: otherwise anybody could say that the law was broken. What would have no effect
    /// yet is not recorded as if it had one.
    fn is_for_people(&self, name: &str) -> Result<(), InvalidEvent> {
        let (problem, help) = match name {
            engine_types::BREACH_NOTED => (
                format!("{name} is a note that only the engine makes"),
                "record what happened: where it breaks a rule, the engine notes that itself",
            ),
            engine_types::PROTECTED_DATA_ERASED => (
                format!("{name} is reserved: this version of the engine does not carry it out"),
                "leave it out; the name keeps its place in the format",
            ),
            _ => return Ok(()),
        };
        Err(self.invalid("type", problem, Some(help.into())))
    }

    fn names(&self, proposed: &ProposedEvent) -> Result<(), InvalidEvent> {
        let by = &proposed.recorded_by;
        let named = [
            ("recorded_by.id", Some(&by.id)),
            ("recorded_by.role", Some(&by.role)),
            ("label", proposed.label.as_ref()),
        ];
        let scoped = proposed.scope.values().map(|id| ("scope", Some(id)));
        for (field, text) in named.into_iter().chain(scoped) {
            let Some(text) = text else { continue };
            if text.trim().is_empty() {
                return Err(self.invalid(field, "is empty".into(), None));
            }
            if text.chars().count() > NAME_CHARS_MAX {
                return Err(self.invalid(field, format!("is longer than {NAME_CHARS_MAX} characters"), None));
            }
        }
        if let Some(given) = &proposed.override_given
            && (given.authority.trim().is_empty() || given.reason.trim().is_empty())
        {
            return Err(self.invalid("override", "needs an authority and a reason".into(), None));
        }
        Ok(())
    }

    /// The type whose scope the event takes: its own, or the missing one's.
    fn subject_type<'s>(
        &'s self,
        proposed: &ProposedEvent,
        event_type: &'s EventType,
    ) -> Result<&'s EventType, InvalidEvent> {
        if proposed.event_type != engine_types::GAP_DECLARED {
            return Ok(event_type);
        }
        let missing = missing_of(&proposed.data);
        let Some((first, _)) = missing.first() else {
            let help = "name the missing event with data.missing_type, or several with data.one_of";
            return Err(self.invalid("data", "the gap names no missing event".into(), Some(help.into())));
        };
        for (name, data) in &missing {
            let missing_type = self.event_type(name)?;
            if !missing_type.may_be_gap {
                let help = "a gap is an ordinary forward step of which the details are not known";
                let problem =
                    format!("a missing {name} may not be declared as a gap: record the event itself");
                return Err(self.invalid("data.missing_type", problem, Some(help.into())));
            }
            let wrong = missing_type.schema.problems(data);
            if let Some(problem) = wrong.into_iter().find(|problem| data.contains_key(problem.field.as_str()))
            {
                let field = format!("data.missing_data.{}", problem.field);
                return Err(self.invalid(&field, problem.problem, problem.help));
            }
        }
        self.event_type(first)
    }

    fn scope(&self, scope: &Scope, event_type: &EventType) -> Result<(), InvalidEvent> {
        let kinds = || event_type.scope.iter().chain(&event_type.scope_optional);
        for name in scope.keys() {
            let Some(kind) = self.definition.kind(name) else {
                let known = self.definition.kinds.iter().map(|kind| kind.name.as_str());
                let help = nearest(name, known).map(|near| format!("did you mean {near}?"));
                return Err(self.invalid("scope", format!("there is no entity kind {name}"), help));
            };
            if !kinds().any(|own| *own == kind || self.definition.is_ancestor(kind, *own)) {
                let problem = format!("{} is not about a {name}", event_type.name);
                return Err(self.invalid("scope", problem, Some(self.scope_help(event_type))));
            }
        }
        for kind in &event_type.scope {
            let name = &self.definition.kinds[kind.index()].name;
            if !scope.contains_key(name) {
                let problem = format!("{} must say which {name} it is about", event_type.name);
                return Err(self.invalid("scope", problem, Some(self.scope_help(event_type))));
            }
        }
        Ok(())
    }

    fn scope_help(&self, event_type: &EventType) -> String {
        let name = |kind: &KindId| self.definition.kinds[kind.index()].name.as_str();
        let required: Vec<&str> = event_type.scope.iter().map(name).collect();
        let optional: Vec<&str> = event_type.scope_optional.iter().map(name).collect();
        match (required.is_empty(), optional.is_empty()) {
            (true, true) => "its scope is the case: leave scope out".to_owned(),
            (false, true) => format!("its scope is {}", required.join(", ")),
            (true, false) => format!("its scope may be {}", optional.join(", ")),
            (false, false) => {
                format!("its scope is {}, and may be {}", required.join(", "), optional.join(", "))
            }
        }
    }

    fn payload(&self, data: &Payload, event_type: &EventType) -> Result<(), InvalidEvent> {
        match event_type.payload_problems(data).into_iter().next() {
            None => Ok(()),
            Some(problem) => {
                let field = if problem.field.is_empty() {
                    "data".to_owned()
                } else {
                    format!("data.{}", problem.field)
                };
                Err(self.invalid(&field, problem.problem, problem.help))
            }
        }
    }

    /// A reference to an event: a label of this batch or of the case, a version, or an id.
    fn resolve(&self, reference: &str, field: &str) -> Result<EventId, InvalidEvent> {
        let (earlier, later) = self.batch.split_at(self.index);
        let is_meant = |(label, _): &&(Option<String>, EventId)| label.as_deref() == Some(reference);
        if let Some((_, id)) = earlier.iter().rev().find(is_meant) {
            return Ok(*id);
        }
        let labelled =
            |event: &&std::sync::Arc<RecordedEvent>| event.proposed.label.as_deref() == Some(reference);
        if let Some(event) = self.state.log().iter().rev().find(labelled) {
            return Ok(event.id);
        }
        if let Some(event) =
            reference.parse().ok().and_then(|version| self.state.at_version(Version(version)))
        {
            return Ok(event.id);
        }
        let id = reference.parse::<Uuid>().ok().map(EventId);
        if let Some(id) =
            id.filter(|id| self.state.event(*id).is_some() || self.batch.iter().any(|(_, other)| other == id))
        {
            return Ok(id);
        }
        if let Some((_, id)) = later.iter().skip(1).find(is_meant) {
            return Ok(*id);
        }
        let help = "name an event by its version, its id, or the label of another line";
        Err(self.invalid(field, format!("this case has no event {reference}"), Some(help.into())))
    }

    fn links(&self, links: &mut [String], field: &str) -> Result<(), InvalidEvent> {
        for link in links {
            *link = self.resolve(link, field)?.to_string();
        }
        Ok(())
    }

    /// What corrections and annulments name, resolved and checked.
    fn targets(&self, proposed: &mut ProposedEvent) -> Result<(), InvalidEvent> {
        let field = match proposed.event_type.as_str() {
            engine_types::EVENT_CORRECTED => "corrects",
            engine_types::EVENT_ANNULLED => "annuls",
            _ => return Ok(()),
        };
        let place = format!("data.{field}");
        let reference = proposed.data.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let id = self.resolve(&reference, &place)?;
        proposed.data.insert(field.to_owned(), Value::String(id.to_string()));
        let Some(target) = self.state.event(id) else { return Ok(()) };
        let target_type = target.proposed.event_type.as_str();
        let problem = if let Some(by) = self.state.effective().annulled.get(&id) {
            Some(format!(
                "event {} was annulled by event {by}; nothing corrects an annulled event",
                target.version
            ))
        } else if matches!(target_type, engine_types::EVENT_ANNULLED | engine_types::BREACH_NOTED) {
            Some(format!("a {target_type} stays as it is"))
        } else if target_type == engine_types::DEFINITION_MIGRATED {
            Some("the case has been under that version since; adopt a later one instead".to_owned())
        } else if field == "annuls" && target_type == engine_types::CASE_OPENED {
            Some("the opening of a case cannot be annulled".to_owned())
        } else if field == "corrects" && target_type == engine_types::EVENT_CORRECTED {
            Some("correct the event itself once more, or annul this correction".to_owned())
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(self.invalid(&place, problem, None));
        }
        if field == "corrects" {
            self.corrected_fields(target, proposed)?;
        }
        Ok(())
    }

    /// Which definition `definition-migrated` adopts: a later version of the case's own workflow that is known here, named
    /// in full from here on.
    fn adoption(&self, proposed: &mut ProposedEvent) -> Result<(), InvalidEvent> {
        if proposed.event_type != engine_types::DEFINITION_MIGRATED {
            return Ok(());
        }
        let own = self.definition;
        if proposed.override_given.is_some() {
            let problem = "no authority helps a case into a version that cannot read it".to_owned();
            let help =
                "leave the override out; a version may say what earlier states become with `migrates-from`";
            return Err(self.invalid("override", problem, Some(help.into())));
        }
        if proposed.occurred.is_some() {
            let problem = "a version is adopted when that is recorded".to_owned();
            let help = "leave the date out, or tell it in the reason";
            return Err(self.invalid("occurred", problem, Some(help.into())));
        }
        if let Some(named) =
            proposed.data.get(WORKFLOW).and_then(Value::as_str).filter(|name| *name != own.name)
        {
            let problem = format!("the case is under {}, and never comes under {named}", own.pin());
            let help =
                "a case adopts later versions of its own workflow only; open another case under the other";
            return Err(self.invalid("data.workflow", problem, Some(help.into())));
        }
        let version = proposed.data.get(VERSION).and_then(Value::as_u64).unwrap_or_default();
        let wanted = format!("{}@{version}", own.name);
        if version <= u64::from(own.version) {
            let (problem, help) = if version == u64::from(own.version) {
                (format!("the case is under {wanted} already"), "adopt a later version")
            } else {
                let problem = format!("the case is under {}, and never goes back to {wanted}", own.pin());
                (problem, "write what is wanted of the earlier version as a later one")
            };
            return Err(self.invalid("data.version", problem, Some(help.into())));
        }
        let digest = proposed.data.get(DIGEST).and_then(Value::as_str);
        let found = self.version_known(version, digest)?;
        proposed.data.insert(WORKFLOW.to_owned(), Value::String(found.name.clone()));
        proposed.data.insert(DIGEST.to_owned(), Value::String(found.digest_hex()));
        Ok(())
    }

    /// The definition of this version of the case's workflow, and of this digest where one is given.
    fn version_known(&self, version: u64, digest: Option<&str>) -> Result<&Definition, InvalidEvent> {
        let name = &self.definition.name;
        let wanted = format!("{name}@{version}");
        let known: Vec<_> = self.state.library().of_workflow(name).collect();
        let of_version: Vec<_> =
            known.iter().copied().filter(|other| u64::from(other.version) == version).collect();
        let (field, problem, help) = match (digest, of_version.as_slice()) {
            (_, []) => {
                let mut pins: Vec<String> = known.iter().map(|other| other.pin()).collect();
                pins.dedup();
                let help = format!(
                    "known here: {}; name a definition of your own with --workflow-dir PATH",
                    if pins.is_empty() { self.definition.pin() } else { pins.join(", ") }
                );
                ("data.version", format!("there is no {wanted} here"), help)
            }
            (None, [only]) => return Ok(only),
            (None, _) => {
                let problem = format!("there are several definitions that call themselves {wanted}");
                let help = "give all but one of them another version, or say which with its digest";
                ("data.version", problem, help.to_owned())
            }
            (Some(digest), several) => {
                let digest = bytes_of(digest);
                if let Some(same) = several.iter().find(|other| Some(other.digest) == digest) {
                    return Ok(same);
                }
                let known = several[0].digest_hex();
                let problem = format!("{wanted} is known here with another content, digest {known}");
                let help = "a version never changes: give the changed definition the next version";
                ("data.digest", problem, help.to_owned())
            }
        };
        Err(self.invalid(field, problem, Some(help)))
    }

    /// The event must be valid with its corrected fields, as it would have to be if it were recorded now.
    fn corrected_fields(
        &self,
        target: &RecordedEvent,
        proposed: &mut ProposedEvent,
    ) -> Result<(), InvalidEvent> {
        let target_type = self.event_type(&target.proposed.event_type)?;
        let current = self.state.effective_events().into_iter().find(|event| event.id() == target.id);
        let mut data = current.map_or_else(|| target.proposed.data.clone(), |event| event.data().clone());
        let Some(fields) = proposed.data.get_mut("fields").and_then(Value::as_object_mut) else {
            return Err(self.invalid("data.fields", "says nothing to correct".into(), None));
        };
        if fields.is_empty() {
            return Err(self.invalid("data.fields", "says nothing to correct".into(), None));
        }
        let is_gap = target.proposed.event_type == engine_types::GAP_DECLARED;
        if let Some(field) = fields.keys().find(|field| is_gap && *field != "occurred") {
            let help = "annul the gap and declare it again as it should have been";
            let problem = format!("{field} of a gap cannot be corrected, only when it happened");
            return Err(self.invalid("data.fields", problem, Some(help.into())));
        }
        for (field, value) in fields.iter_mut() {
            match field.as_str() {
                "occurred" => {
                    let mut occurred: Occurred = serde_json::from_value(value.clone())
                        .map_err(|error| self.invalid("data.fields.occurred", error.to_string(), None))?;
                    self.links(&mut occurred.after, "data.fields.occurred.after")?;
                    self.links(&mut occurred.before, "data.fields.occurred.before")?;
                    *value = serde_json::to_value(&occurred).unwrap_or(Value::Null);
                }
                "decided_by" => {
                    let decider = serde_json::from_value::<Decider>(value.clone());
                    if decider.is_err() {
                        let help = "write {\"body\": \"court\"}";
                        let problem = "does not say whose decision it was".to_owned();
                        return Err(self.invalid("data.fields.decided_by", problem, Some(help.into())));
                    }
                }
                "type"
                | "scope"
                | "recorded_by"
                | "recorded_at"
                | "case"
                | "version"
                | "id"
                | DEFINITION_DIGEST
                | ORIGINALLY_RECORDED_AT => {
                    let help = "annul the event and record it again as it should have been";
                    let problem = format!("{field} is what the event is; it cannot be corrected");
                    return Err(self.invalid("data.fields", problem, Some(help.into())));
                }
                name => {
                    let name = name.strip_prefix("data.").unwrap_or(name);
                    if value.is_null() {
                        data.remove(name);
                    } else {
                        data.insert(name.to_owned(), value.clone());
                    }
                }
            }
        }
        if is_gap {
            return Ok(());
        }
        self.payload(&data, target_type)
            .map_err(|error| InvalidEvent { field: error.field.replacen("data", "data.fields", 1), ..error })
    }

    /// Links must not run in a circle, nor against the dates.
    fn no_contradiction(&self, event: &RecordedEvent) -> Result<(), InvalidEvent> {
        let corrects_date = target_of(event, "corrects").is_some();
        let linked = event
            .proposed
            .occurred
            .as_ref()
            .is_some_and(|occurred| !occurred.after.is_empty() || !occurred.before.is_empty());
        if !linked && !corrects_date {
            return Ok(());
        }
        let mut log = self.state.log().to_vec();
        log.push(std::sync::Arc::new(event.clone()));
        let Some((first, second)) = contradiction(&effective(self.definition, &log).events) else {
            return Ok(());
        };
        let told = |id: EventId| {
            log.iter().find(|event| event.id == id).map_or_else(String::new, |event| {
                let new = if event.version > self.state.version() { " (this one)" } else { "" };
                format!("{} {}{new}", event.proposed.event_type, event.version)
            })
        };
        let problem = format!(
            "the dates and links of {} and {} contradict each other: one would have happened both before and after the other",
            told(first),
            told(second)
        );
        Err(self.invalid(
            "occurred",
            problem,
            Some("leave the link out, or correct the date that is wrong".into()),
        ))
    }
}
