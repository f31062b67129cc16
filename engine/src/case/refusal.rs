//! The answer to an event that may not be recorded: what stood in the way, and what would make it legal.

use serde::Serialize;

use super::event::{Scope, Version};
use crate::definition::RuleClass;
use crate::definition::condition::FailedPart;

/// Why an event was not recorded, in full. Nothing was recorded.
#[derive(Debug, Clone, Serialize)]
pub struct Refusal {
    /// Always true: what tells a refusal from an answer of success in JSON.
    pub refused: bool,
    /// The event type proposed.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The scope proposed, parents filled in.
    #[serde(skip_serializing_if = "Scope::is_empty")]
    pub scope: Scope,
    /// Its place in the list proposed, from 0; absent for a single event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// Every reason, not the first alone.
    pub reasons: Vec<Reason>,
    /// What the strands concerned would accept now.
    pub accepts_now: Vec<String>,
    /// The shortest sequence of events after which the proposal would be accepted; `None` where there is none,
    /// or where the search gave up (then `path_note` says which).
    pub path: Option<Vec<String>>,
    /// The same with scope and the values that matter, to be read or played.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub path_steps: Vec<Step>,
    /// Why there is no path, or what is not certain of it, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_note: Option<String>,
    /// The missing events that could be declared as gaps.
    pub gaps: Vec<String>,
    /// Where in the timeline it would be lawful: after this version and before that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lawful_between: Option<(Option<Version>, Option<Version>)>,
    /// Later events that were legal before and would lose their footing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub loses_footing: Vec<LosesFooting>,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Step {
    /// Event type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// What it would be about.
    #[serde(skip_serializing_if = "Scope::is_empty")]
    pub scope: Scope,
    /// The field values that matter, as `name=value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<String>,
}

/// One reason of a refusal.
#[derive(Debug, Clone, Serialize)]
pub struct Reason {
    /// The rule's id; `engine:…` for what holds in every definition (`engine:no-transition`, `engine:role`, …).
    pub rule: String,
    /// What kind of rule it is.
    pub class: RuleClass,
    /// What people read.
    pub message: String,
    /// The law or policy.
    pub basis: Option<String>,
    /// The parts that failed, with the facts they looked at.
    pub failed: Vec<FailedPart>,
    /// The strand that stood in the way.
    pub strand: Option<String>,
    /// Whose strand it is.
    pub entity: Option<String>,
    /// The state it is in.
    pub state: Option<String>,
}

/// An event that would be legal no longer.
#[derive(Debug, Clone, Serialize)]
pub struct LosesFooting {
    /// Its version.
    pub version: Version,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Why.
    pub reasons: Vec<Reason>,
}
