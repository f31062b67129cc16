//! A definition drafted from a log: one strand whose states say what was done last.
//!
//! What directly followed what becomes the rows of the strand, so that the log itself replays without a deviation, unless
//! rare steps are left out on request. People go on from there: a draft knows what happened, not what ought to.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write;

use super::fields_seen::{
    Fields, field_names, in_a_comment, quoted, unique, words_of, write_fields, write_map,
};
use super::mapping::MAP_LANGUAGE;
use super::translate::LogProblem;
use super::xes_reader::Trace;
use super::xes_value::attribute;
use crate::case::event::engine_types;
use crate::definition::source::LANGUAGE;

/// The most activities of one log.
pub const ACTIVITIES_MAX: usize = 1_000;
/// The strand, the state before the first event, and the role that the draft has.
const STRAND: &str = "course";
const OPENED: &str = "opened";
const ROLE: &str = "participant";

/// Keys that have a place of their own in an event.
const OWN_PLACES: [&str; 5] =
    ["concept:name", "lifecycle:transition", "time:timestamp", "org:resource", "identity:id"];

/// What to call the draft, and what to leave out.
#[derive(Debug, Clone, PartialEq)]
pub struct DraftOptions {
    /// The workflow's name.
    pub name: String,
    /// The log's, for comments.
    pub source: String,
    /// A step that is a smaller share than this of what follows an activity is left out; 0 keeps all.
    pub min_share: f64,
}

/// What was drafted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The definition, YAML.
    pub definition: String,
    /// The mapping of the log onto it, YAML.
    pub mapping: String,
    /// Traces and events read.
    pub traces: usize,
    /// See `traces`.
    pub events: usize,
    /// Event types drafted.
    pub event_types: usize,
    /// Kinds of steps left out, and how often they happened.
    pub left_out: (usize, usize),
}

/// A log as it is being read.
#[derive(Debug, Default)]
pub struct Discovery {
    places: HashMap<(String, Option<String>), usize>,
    activities: Vec<Activity>,
    /// What followed what, how often; `None` is the beginning on the left and the end on the right.
    follows: BTreeMap<(Option<usize>, Option<usize>), usize>,
    case_fields: Fields,
    traces: usize,
    events: usize,
}

#[derive(Debug)]
struct Activity {
    name: String,
    lifecycle: Option<String>,
    count: usize,
    traces: usize,
    fields: Fields,
}

impl Discovery {
    /// Takes in a trace.
    ///
    /// # Errors
    /// When an event has no name, or the log has more activities than a definition could be drafted of.
    pub fn take(&mut self, trace: &Trace) -> Result<(), LogProblem> {
        self.traces += 1;
        self.case_fields.see(&trace.attributes, &OWN_PLACES);
        let mut before = None;
        let mut in_trace = HashSet::new();
        for (index, event) in trace.events.iter().enumerate() {
            let problem = |problem: String, help: &str| LogProblem {
                line: event.line,
                trace: trace.number,
                event: Some(index + 1),
                case: attribute(&trace.attributes, "concept:name").map(|name| name.value.clone()),
                problem,
                help: Some(help.to_owned()),
            };
            let Some(name) = attribute(&event.attributes, "concept:name") else {
                return Err(problem(
                    "the event has no `concept:name`".to_owned(),
                    "every event needs the attribute that says what was done",
                ));
            };
            let lifecycle = attribute(&event.attributes, "lifecycle:transition").map(|one| one.value.clone());
            let key = (name.value.clone(), lifecycle);
            let known = self.places.get(&key).copied();
            if known.is_none() && self.activities.len() >= ACTIVITIES_MAX {
                let help =
                    "a definition of so many event types helps nobody: draft it from a part of the log";
                return Err(problem(format!("the log has more than {ACTIVITIES_MAX} activities"), help));
            }
            let at = known.unwrap_or_else(|| self.add(key));
            let activity = &mut self.activities[at];
            activity.count += 1;
            activity.traces += usize::from(in_trace.insert(at));
            activity.fields.see(&event.attributes, &OWN_PLACES);
            *self.follows.entry((before, Some(at))).or_default() += 1;
            before = Some(at);
            self.events += 1;
        }
        *self.follows.entry((before, None)).or_default() += 1;
        Ok(())
    }

    fn add(&mut self, key: (String, Option<String>)) -> usize {
        let (name, lifecycle) = key.clone();
        self.activities.push(Activity { name, lifecycle, count: 0, traces: 0, fields: Fields::default() });
        self.places.insert(key, self.activities.len() - 1);
        self.activities.len() - 1
    }

    /// The draft; `None` where the log has no event.
    #[must_use]
    pub fn draft(&self, options: &DraftOptions) -> Option<Draft> {
        if self.activities.is_empty() {
            return None;
        }
        let names = self.names();
        let kept = self.kept(options.min_share);
        let left: Vec<usize> =
            self.follows.iter().filter(|(step, _)| !kept.contains(*step)).map(|(_, count)| *count).collect();
        let fields: Vec<Vec<(String, &str)>> =
            self.activities.iter().map(|activity| field_names(&activity.fields)).collect();
        let case_fields = field_names(&self.case_fields);
        Some(Draft {
            definition: self.definition(options, &names, &kept, &fields, &case_fields),
            mapping: self.mapping(options, &names, &fields, &case_fields),
            traces: self.traces,
            events: self.events,
            event_types: self.activities.len(),
            left_out: (left.len(), left.iter().sum()),
        })
    }

    fn has_several_transitions(&self, activity: &Activity) -> bool {
        self.activities.iter().filter(|other| other.name == activity.name).count() > 1
    }

    /// A name for each activity, no two the same, none the engine's own.
    fn names(&self) -> Vec<String> {
        let mut taken: HashSet<String> = engine_types::ALL.iter().map(|name| (*name).to_owned()).collect();
        let name = |activity: &Activity| {
            let words = words_of(&activity.name, '-', "activity");
            match activity.lifecycle.as_deref().filter(|_| self.has_several_transitions(activity)) {
                Some(lifecycle) => format!("{words}-{}", words_of(lifecycle, '-', "step")),
                None => words,
            }
        };
        self.activities.iter().map(|activity| unique(&name(activity), '-', &mut taken)).collect()
    }

    /// The steps that the strand gets: those of at least this share of what follows, the most frequent one of each
    /// place, and of what was left out as much as is needed so that every place leads to an end.
    fn kept(&self, min_share: f64) -> BTreeSet<(Option<usize>, Option<usize>)> {
        let mut leaving = HashMap::<Option<usize>, (usize, usize)>::new();
        for ((from, _), count) in &self.follows {
            let (sum, most) = leaving.entry(*from).or_default();
            *sum += count;
            *most = (*most).max(*count);
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of events of one file")]
        let is_kept = |from: &Option<usize>, count: usize| {
            let (sum, most) = leaving.get(from).copied().unwrap_or_default();
            count == most || count as f64 >= min_share * sum as f64
        };
        let mut kept: BTreeSet<_> = self
            .follows
            .iter()
            .filter(|((from, _), count)| is_kept(from, **count))
            .map(|(step, _)| *step)
            .collect();
        loop {
            let reached = reached_from(None, &kept, |(from, to)| to.map(|to| (*from, Some(to))));
            let ending = ending(&kept);
            let missing = self.follows.iter().filter(|((from, to), _)| {
                reached.contains(from)
                    && !ending.contains(from)
                    && to.is_none_or(|to| ending.contains(&Some(to)))
            });
            match missing.max_by_key(|(step, count)| (**count, **step)) {
                Some((step, _)) => kept.insert(*step),
                None => {
                    kept.retain(|(from, _)| reached.contains(from));
                    return kept;
                }
            };
        }
    }

    fn definition(
        &self,
        options: &DraftOptions,
        names: &[String],
        kept: &BTreeSet<(Option<usize>, Option<usize>)>,
        fields: &[Vec<(String, &str)>],
        case_fields: &[(String, &str)],
    ) -> String {
        let mut text = format!(
            "# Drafted by `casebook workflow discover` from {}: {} traces, {} events.\n\
             # It says what happened there, not what ought to: rules, roles, entities and deadlines are for people to add.\n",
            in_a_comment(&options.source),
            self.traces,
            self.events
        );
        let _ = write!(
            text,
            "workflow: {}\nversion: 1\nlanguage: {LANGUAGE}\nroles:\n  {ROLE}: {{ title: Participant }}\nevents:\n  {}:\n    record: [{ROLE}]\n",
            options.name,
            engine_types::CASE_OPENED
        );
        write_fields(&mut text, &self.case_fields, case_fields, self.traces);
        for ((activity, name), fields) in self.activities.iter().zip(names).zip(fields) {
            let _ = write!(
                text,
                "  # {} ×, in {} of {} traces\n  {name}:\n    title: {}\n    record: [{ROLE}]\n",
                activity.count,
                activity.traces,
                self.traces,
                quoted(&self.title(activity))
            );
            write_fields(&mut text, &activity.fields, fields, activity.count);
        }
        self.write_strand(&mut text, names, kept);
        text
    }

    fn title(&self, activity: &Activity) -> String {
        match activity.lifecycle.as_deref().filter(|_| self.has_several_transitions(activity)) {
            Some(lifecycle) => format!("{} ({lifecycle})", activity.name),
            None => activity.name.clone(),
        }
    }

    fn write_strand(
        &self,
        text: &mut String,
        names: &[String],
        kept: &BTreeSet<(Option<usize>, Option<usize>)>,
    ) {
        let mut taken = HashSet::from([OPENED.to_owned()]);
        let states: Vec<String> =
            names.iter().map(|name| unique(&format!("after-{name}"), '-', &mut taken)).collect();
        let state = |place: Option<usize>| place.map_or(OPENED, |at| states[at].as_str());
        let _ = write!(text, "strands:\n  {STRAND}:\n    states:\n");
        let reached: BTreeSet<Option<usize>> = kept.iter().map(|(from, _)| *from).collect();
        for place in &reached {
            let ends = self.follows.get(&(*place, None)).copied().unwrap_or_default();
            let is_final = kept.contains(&(*place, None));
            let title = place.map(|at| {
                format!("title: {}", quoted(&format!("After {}", self.title(&self.activities[at]))))
            });
            let shape: Vec<String> =
                title.into_iter().chain(is_final.then(|| "final: true".to_owned())).collect();
            let comment =
                if is_final { format!("  # ends {ends} of {} traces", self.traces) } else { String::new() };
            let shape =
                if shape.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", shape.join(", ")) };
            let _ = writeln!(text, "      {}: {shape}{comment}", state(*place));
        }
        let _ = write!(text, "    initial: {OPENED}\n    transitions:\n");
        let mut idle = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let from: Vec<Option<usize>> =
                kept.iter().filter(|(_, to)| *to == Some(at)).map(|(from, _)| *from).collect();
            if from.is_empty() {
                idle.push(name.as_str());
                continue;
            }
            let times: usize = from.iter().filter_map(|from| self.follows.get(&(*from, Some(at)))).sum();
            let from: Vec<&str> = from.into_iter().map(state).collect();
            let _ = writeln!(
                text,
                "      # {times} ×\n      - {{ on: {name}, from: [{}], to: {} }}",
                from.join(", "),
                states[at]
            );
        }
        if !idle.is_empty() {
            let _ = write!(
                text,
                "# Rarer than what was asked for: no state refuses them, and they move nothing.\nalways-accepted: [{}]\n",
                idle.join(", ")
            );
        }
    }

    fn mapping(
        &self,
        options: &DraftOptions,
        names: &[String],
        fields: &[Vec<(String, &str)>],
        case_fields: &[(String, &str)],
    ) -> String {
        let mut text = format!(
            "# What the activities and attributes of {} mean in the workflow {}.\nmap: {MAP_LANGUAGE}\ncase:\n  reference: concept:name\n",
            in_a_comment(&options.source),
            options.name
        );
        write_map(&mut text, "  ", case_fields);
        let _ = write!(
            text,
            "recorded-by: {{ id: org:resource, otherwise: unknown, role: {ROLE} }}\nactivities:\n"
        );
        for ((activity, name), fields) in self.activities.iter().zip(names).zip(fields) {
            let _ = writeln!(text, "  - activity: {}", quoted(&activity.name));
            if let Some(lifecycle) =
                activity.lifecycle.as_ref().filter(|_| self.has_several_transitions(activity))
            {
                let _ = writeln!(text, "    lifecycle: {}", quoted(lifecycle));
            }
            let _ = writeln!(text, "    event: {name}");
            write_map(&mut text, "    ", fields);
        }
        text.push_str("unmapped: refuse\n");
        text
    }
}

/// Every place that can be reached from one.
fn reached_from(
    start: Option<usize>,
    kept: &BTreeSet<(Option<usize>, Option<usize>)>,
    step: impl Fn(&(Option<usize>, Option<usize>)) -> Option<(Option<usize>, Option<usize>)>,
) -> BTreeSet<Option<usize>> {
    let mut reached = BTreeSet::from([start]);
    loop {
        let further: Vec<Option<usize>> = kept
            .iter()
            .filter_map(&step)
            .filter(|(from, to)| reached.contains(from) && !reached.contains(to))
            .map(|(_, to)| to)
            .collect();
        if further.is_empty() {
            return reached;
        }
        reached.extend(further);
    }
}

/// Every place from which an end can be reached.
fn ending(kept: &BTreeSet<(Option<usize>, Option<usize>)>) -> BTreeSet<Option<usize>> {
    let mut ending: BTreeSet<Option<usize>> =
        kept.iter().filter(|(_, to)| to.is_none()).map(|(from, _)| *from).collect();
    loop {
        let further: Vec<Option<usize>> = kept
            .iter()
            .filter(|(from, to)| to.is_some() && ending.contains(to) && !ending.contains(from))
            .map(|(from, _)| *from)
            .collect();
        if further.is_empty() {
            return ending;
        }
        ending.extend(further);
    }
}
