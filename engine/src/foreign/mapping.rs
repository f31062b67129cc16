//! What the activities and attributes of a log mean in a definition: a file that people write.
//!
//! ```yaml
//! map: casebook-map/1
//! case: { reference: concept:name, data: { title: description } }
//! recorded-by: { id: org:resource, otherwise: unknown, role: clerk }
//! activities:
//!   - { activity: Umbrella found, event: found, data: { place: { attribute: where } } }
//! ignore: [Screen refreshed]
//! unmapped: refuse
//! ```
//!
//! The file is read by [`mapping_file`](super::mapping_file).

use std::collections::HashMap;

use serde_json::Value;

use crate::case::event::engine_types;
use crate::definition::Definition;
use crate::definition::schema::{Field, Schema};

/// The language of mapping files.
pub const MAP_LANGUAGE: &str = "casebook-map/1";

/// What a log means, every name resolved.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// The time zone of dates that name no offset.
    pub zone: String,
    /// Whether the time of day is taken over, or the day alone.
    pub with_time: bool,
    /// The attribute of an event that says what was done.
    pub activity_key: String,
    /// The attribute that says how far it is done.
    pub lifecycle_key: String,
    /// The attribute that says when.
    pub time_key: String,
    /// Of the trace: the case's reference.
    pub reference_key: String,
    /// What stands before each reference.
    pub prefix: String,
    /// Payload of `case-opened`, where no activity opens the case.
    pub case_data: Vec<FieldMapping>,
    /// Who recorded an event.
    pub recorded_by: RecordedBy,
    /// One for each kind of activity.
    pub activities: Vec<ActivityMapping>,
    /// Whether an activity that is neither mapped nor ignored is left out.
    pub leaves_out_unmapped: bool,
    /// Activities are event types, and attributes have the names that an export gives them.
    pub is_by_name: bool,
    pub(super) places: HashMap<(String, Option<String>), Meaning>,
}

/// What an activity means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The entry of [`Mapping::activities`].
    Mapped(usize),
    /// Nothing that concerns the case.
    Ignored,
}

/// What an event of an activity becomes.
#[derive(Debug, Clone)]
pub struct ActivityMapping {
    /// The event type.
    pub event_type: String,
    /// The entities that it names.
    pub scope: Vec<FieldMapping>,
    /// Its payload.
    pub data: Vec<FieldMapping>,
    /// Who recorded it, where not as for all.
    pub recorded_by: Option<RecordedBy>,
    /// Whose decision it was: body, and person where one is named.
    pub decided_by: Option<(FieldMapping, Option<FieldMapping>)>,
    /// Why.
    pub rationale: Option<FieldMapping>,
    /// By whose authority a rule was set aside, and why.
    pub override_given: Option<(FieldMapping, FieldMapping)>,
}

/// Who recorded an event.
#[derive(Debug, Clone)]
pub struct RecordedBy {
    /// Where the person's id is found.
    pub id: Option<FieldMapping>,
    /// The id where none is found.
    pub otherwise: Option<String>,
    /// The role.
    pub role: FieldMapping,
}

/// A field, where its value comes from, and what is done to it.
#[derive(Debug, Clone)]
pub struct FieldMapping {
    /// The field.
    pub field: String,
    /// Where the value comes from.
    pub from: From,
    /// What is done to it.
    pub conversion: Conversion,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum From {
    /// An attribute of the event.
    Event(String),
    /// An attribute of the trace.
    Trace(String),
    /// From nowhere: it is always this.
    Constant(Value),
}

/// What is done to a value as a log writes it.
#[derive(Debug, Clone, PartialEq)]
pub enum Conversion {
    /// Nothing.
    Text,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// The day of a date.
    Day,
    /// Each value by name.
    Values(Vec<(String, Value)>),
}

impl Mapping {
    /// What an activity means; `None`: the mapping does not say. An entry for this lifecycle goes before one for any.
    #[must_use]
    pub fn meaning(&self, activity: &str, lifecycle: Option<&str>) -> Option<Meaning> {
        let exact = (activity.to_owned(), lifecycle.map(str::to_owned));
        let any = || self.places.get(&(activity.to_owned(), None));
        self.places.get(&exact).or_else(any).copied()
    }

    /// For a log whose activities are the event types of a definition, and whose attributes are named as an export of
    /// cases names them: `scope.KIND`, `data.FIELD`.
    #[must_use]
    pub fn by_name(zone: &str) -> Self {
        let fixed = |value: &str| FieldMapping {
            field: "role".to_owned(),
            from: From::Constant(Value::from(value)),
            conversion: Conversion::Text,
        };
        Self {
            zone: zone.to_owned(),
            with_time: true,
            activity_key: ACTIVITY_KEY.to_owned(),
            lifecycle_key: LIFECYCLE_KEY.to_owned(),
            time_key: TIME_KEY.to_owned(),
            reference_key: ACTIVITY_KEY.to_owned(),
            prefix: String::new(),
            case_data: Vec::new(),
            recorded_by: RecordedBy {
                id: None,
                otherwise: Some("unknown".to_owned()),
                role: fixed("unknown"),
            },
            activities: Vec::new(),
            leaves_out_unmapped: false,
            is_by_name: true,
            places: HashMap::new(),
        }
    }

    /// Whether the mapping fills this field of this event type: where it does, an absent value is absent, and not just
    /// unknown.
    #[must_use]
    pub fn fills(&self, event_type: &str, field: &str) -> bool {
        let has = |data: &[FieldMapping]| data.iter().any(|one| one.field == field);
        self.is_by_name
            || self.activities.iter().any(|entry| entry.event_type == event_type && has(&entry.data))
            || (event_type == engine_types::CASE_OPENED && has(&self.case_data))
    }
}

/// Fields that the definition requires and the mapping fills from nowhere: without them no event of the type can be
/// recorded. Event type and field.
#[must_use]
pub fn required_and_not_filled(mapping: &Mapping, definition: &Definition) -> Vec<(String, String)> {
    let opens = mapping.activities.iter().any(|entry| entry.event_type == engine_types::CASE_OPENED);
    let opening = (!opens).then_some((engine_types::CASE_OPENED, &mapping.case_data));
    let of_activities = mapping.activities.iter().map(|entry| (entry.event_type.as_str(), &entry.data));
    let mut missing = Vec::new();
    for (name, data) in of_activities.chain(opening) {
        let Some(event_type) = definition.event(name).map(|id| definition.event_type(id)) else { continue };
        for field in event_type.schema.fields() {
            let is_required = field_of(&event_type.schema, field).is_some_and(|described| described.required);
            if is_required && !data.iter().any(|one| one.field == field) {
                missing.push((name.to_owned(), field.to_owned()));
            }
        }
    }
    missing
}

pub(super) const ACTIVITY_KEY: &str = "concept:name";
pub(super) const LIFECYCLE_KEY: &str = "lifecycle:transition";
pub(super) const TIME_KEY: &str = "time:timestamp";

pub(super) fn field_of(schema: &Schema, name: &str) -> Option<Field> {
    schema.field(&[name.to_owned()])
}
