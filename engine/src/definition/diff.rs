//! Two versions of a definition compared: what has changed, and which sequences of events it makes lawful or unlawful.
//!
//! Names are compared by name. A strand's sequences are compared by walking its two automata side by side,
//! breadth-first, so that each difference comes with a shortest sequence that shows it. Rules are no part of a strand's
//! sequences: what every change comes to under rules and deadlines is [`super::behaviour`].

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::automaton::{Standing, Variant, advance, owner, variants};
use super::behaviour::{Finding, NotShown, follow};
use super::deadline::{Deadline, Missed, Trigger};
use super::{
    Branch, Definition, EventType, MessagePiece, Row, Rule, RuleClass, State, StateId, Strand, StrandId,
};
use crate::case::candidate::spoken;
use crate::case::refusal::Step;

/// What is different between two versions.
#[derive(Debug, Clone, Serialize)]
pub struct WorkflowDiff {
    /// The earlier one, `name@version`.
    pub from: String,
    /// The later one.
    pub to: String,
    /// Roles.
    pub roles: Changes,
    /// Kinds of entity.
    pub entities: Changes,
    /// Event types.
    pub events: Changes,
    /// Rules, by id.
    pub rules: Changes,
    /// Deadlines.
    pub deadlines: Changes,
    /// Strands and derived strands as such.
    pub strands: Changes,
    /// What holds for the whole case: closing, and duties that are kept apart.
    pub terms: Changes,
    /// Strands of both versions that differ, rules left aside.
    pub sequences: Vec<StrandDiff>,
    /// What the versions do differently, rules and deadlines included: each change with a shortest history that shows it.
    pub behaviour: Vec<Finding>,
    /// Changes of which no such history was found.
    pub not_shown: Vec<NotShown>,
}

/// The name of what a closed case accepts, among the [`WorkflowDiff::terms`].
pub(crate) const AFTER_CLOSING: &str = "after-closing";

/// What was added, removed and changed, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Only in the later version.
    pub added: Vec<String>,
    /// Only in the earlier version.
    pub removed: Vec<String>,
    /// In both, and different.
    pub changed: Vec<Changed>,
}

/// Something that both versions have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Its name.
    pub name: String,
    /// What is different, in words.
    pub what: Vec<String>,
}

/// How a strand differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StrandDiff {
    /// Its name.
    pub strand: String,
    /// Its states.
    pub states: Changes,
    /// Its rows, by event type: from which states, and to which.
    pub rows: Changes,
    /// Sequences lawful before and not now: for each event type the shortest.
    pub no_longer_lawful: Vec<Difference>,
    /// Sequences lawful now and not before: for each event type the shortest.
    pub newly_lawful: Vec<Difference>,
    /// Sequences lawful in both that now lead to another state: for each event type the shortest.
    pub leads_elsewhere: Vec<Difference>,
    /// Whether an event has so many combinations of values that not all were walked.
    pub not_proved: bool,
}

/// A sequence that the two versions answer differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The last event of the sequence: what is answered differently.
    pub event: String,
    /// The sequence, that event included, from the opening of the case (left out where it says nothing).
    pub witness: Vec<Step>,
    /// Where it led before; absent where it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Where it leads now; absent where it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
}

impl WorkflowDiff {
    /// Whether the versions are the same in everything that is compared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        [&self.roles, &self.entities, &self.events, &self.rules, &self.deadlines, &self.strands, &self.terms]
            .iter()
            .all(|part| part.is_empty())
            && self.sequences.is_empty()
            && self.behaviour.is_empty()
    }
}

impl Changes {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Compares two versions of a definition: as they are written, and in what they do.
#[must_use]
pub fn compare(old: &Arc<Definition>, new: &Arc<Definition>) -> WorkflowDiff {
    let mut written = compare_written(old, new);
    if old.digest != new.digest {
        follow(old, new, &mut written);
    }
    written
}

fn compare_written(old: &Definition, new: &Definition) -> WorkflowDiff {
    let pair = (old, new);
    let named = |definition: &Definition| -> Vec<(String, String)> {
        let strands = definition.strands.iter().map(|strand| {
            let per = strand.per.map_or("case", |kind| definition.kinds[kind.index()].name.as_str());
            (strand.name.clone(), format!("per {per}"))
        });
        let derived = definition.derived.iter().map(|strand| {
            let lines = strand.states.iter().zip(&strand.conditions);
            let lines: Vec<String> =
                lines.map(|(state, condition)| format!("{}: {}", state.name, condition.source)).collect();
            (strand.name.clone(), lines.join("; "))
        });
        strands.chain(derived).collect()
    };
    let (old_strands, new_strands) = (named(old), named(new));
    let sequences = new.strands.iter().enumerate().filter_map(|(at, strand)| {
        let id = StrandId(u16::try_from(at).ok()?);
        compare_strand(pair, old.strand(&strand.name)?, id)
    });
    WorkflowDiff {
        from: old.pin(),
        to: new.pin(),
        roles: changes(
            &old.roles,
            &new.roles,
            |role| &role.name,
            |a, b| differing(&[("may override", a.may_override.to_string(), b.may_override.to_string())]),
        ),
        entities: changes(
            &old.kinds,
            &new.kinds,
            |kind| &kind.name,
            |a, b| {
                let parent = |definition: &Definition, kind: &super::EntityKind| {
                    kind.parent
                        .map_or_else(|| "none".to_owned(), |id| definition.kinds[id.index()].name.clone())
                };
                let by = |definition: &Definition, kind: &super::EntityKind| {
                    events(definition, &kind.introduced_by)
                };
                differing(&[
                    ("parent", parent(old, a), parent(new, b)),
                    ("introduced by", by(old, a), by(new, b)),
                ])
            },
        ),
        events: changes(&old.events, &new.events, |event| &event.name, |a, b| event_changes(pair, a, b)),
        rules: changes(&rules(old), &rules(new), |(_, rule)| &rule.id, |a, b| rule_changes(pair, *a, *b)),
        deadlines: changes(
            &old.deadlines,
            &new.deadlines,
            |deadline| &deadline.name,
            |a, b| deadline_changes(pair, a, b),
        ),
        strands: changes(
            &old_strands,
            &new_strands,
            |(name, _)| name,
            |a, b| differing(&[("is", a.1.clone(), b.1.clone())]),
        ),
        terms: changes(
            &terms(old),
            &terms(new),
            |(name, _)| name,
            |a, b| differing(&[("is", a.1.clone(), b.1.clone())]),
        ),
        sequences: sequences.collect(),
        behaviour: Vec::new(),
        not_shown: Vec::new(),
    }
}

fn terms(definition: &Definition) -> Vec<(String, String)> {
    let role = |id: &super::RoleId| definition.roles[id.index()].name.as_str();
    let duties =
        definition.separate_duties.iter().map(|set| set.iter().map(role).collect::<Vec<_>>().join(" / "));
    let duties = duties.collect::<Vec<_>>().join(", ");
    let closing = definition.after_closing.as_ref().map(|closing| {
        let strand = &definition.strands[closing.strand.index()];
        let state = &strand.states[closing.state.index()].name;
        format!("{} {state} accepts {}", strand.name, events(definition, &closing.accept))
    });
    let closing = closing.map(|closing| (AFTER_CLOSING.to_owned(), closing));
    let duties = (!duties.is_empty()).then(|| ("separate-duties".to_owned(), duties));
    closing.into_iter().chain(duties).collect()
}

fn deadline_changes((old, new): (&Definition, &Definition), a: &Deadline, b: &Deadline) -> Vec<String> {
    let told = |definition: &Definition, deadline: &Deadline| {
        let named = |triggers: &[Trigger]| {
            let one = |trigger: &Trigger| {
                let name = &definition.event_type(trigger.on).name;
                let values = trigger.matches.iter().map(|(field, values)| format!(" {field} in {values:?}"));
                format!("{name}{}", values.collect::<String>())
            };
            triggers.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        let starts: Vec<Trigger> = deadline.starts.iter().map(|start| start.trigger.clone()).collect();
        let from: Vec<String> =
            deadline.starts.iter().flat_map(|start| start.from.iter().flatten().cloned()).collect();
        let condition = |condition: &Option<super::condition::Condition>| {
            condition.as_ref().map_or_else(|| "none".to_owned(), |condition| condition.source.clone())
        };
        let calendar = deadline.calendar().and_then(|id| definition.calendars.get(id.index()));
        let adjust = deadline.adjust.as_ref().map_or_else(
            || "nobody".to_owned(),
            |adjust| {
                let by = adjust.by.iter().map(|role| definition.roles[role.index()].name.as_str());
                let kinds = adjust.kinds.iter().map(|kind| kind.name());
                format!("{}: {}", by.collect::<Vec<_>>().join(", "), kinds.collect::<Vec<_>>().join(", "))
            },
        );
        let missed = match &deadline.missed {
            Missed::Notice => "notice".to_owned(),
            Missed::Breach => "breach".to_owned(),
            Missed::Event { event, .. } => definition.event_type(*event).name.clone(),
        };
        [
            (
                "per",
                deadline.per.map_or("case", |kind| definition.kinds[kind.index()].name.as_str()).to_owned(),
            ),
            ("when", condition(&deadline.when)),
            ("starts", named(&starts)),
            ("from", from.join(".")),
            ("due", deadline.due_in_words()),
            ("calendar", calendar.map_or_else(|| "none".to_owned(), super::calendar::Calendar::pin)),
            ("met by", named(&deadline.met_by)),
            ("void by", named(&deadline.void_by)),
            ("paused while", condition(&deadline.paused_while)),
            ("adjusted by", adjust),
            ("missed", missed),
        ]
    };
    let (before, after) = (told(old, a), told(new, b));
    let pairs: Vec<(&str, String, String)> =
        before.into_iter().zip(after).map(|((what, before), (_, after))| (what, before, after)).collect();
    differing(&pairs)
}

fn changes<T>(
    old: &[T],
    new: &[T],
    name: impl Fn(&T) -> &String,
    what: impl Fn(&T, &T) -> Vec<String>,
) -> Changes {
    let find = |list: &[T], wanted: &str| list.iter().position(|item| name(item) == wanted);
    let only = |list: &[T], other: &[T]| {
        list.iter().map(&name).filter(|wanted| find(other, wanted).is_none()).cloned().collect()
    };
    let changed = new.iter().filter_map(|item| {
        let what = what(&old[find(old, name(item))?], item);
        (!what.is_empty()).then(|| Changed { name: name(item).clone(), what })
    });
    Changes { added: only(new, old), removed: only(old, new), changed: changed.collect() }
}

fn differing(parts: &[(&str, String, String)]) -> Vec<String> {
    let shown = |text: &String| if text.is_empty() { "nothing".to_owned() } else { text.clone() };
    parts
        .iter()
        .filter(|(_, before, now)| before != now)
        .map(|(part, before, now)| format!("{part}: was {}, is {}", shown(before), shown(now)))
        .collect()
}

fn events(definition: &Definition, events: &[super::EventTypeId]) -> String {
    let names: Vec<&str> = events.iter().map(|event| definition.event_type(*event).name.as_str()).collect();
    names.join(", ")
}

fn event_changes((old, new): (&Definition, &Definition), a: &EventType, b: &EventType) -> Vec<String> {
    let kinds = |definition: &Definition, kinds: &[super::KindId]| {
        kinds.iter().map(|kind| definition.kinds[kind.index()].name.clone()).collect::<Vec<_>>().join(", ")
    };
    let roles = |definition: &Definition, event: &EventType| {
        let roles: Vec<&str> =
            event.record.iter().map(|role| definition.roles[role.index()].name.as_str()).collect();
        if roles.is_empty() { "any role".to_owned() } else { roles.join(", ") }
    };
    let mut what = differing(&[
        ("title", a.title.clone(), b.title.clone()),
        ("scope", kinds(old, &a.scope), kinds(new, &b.scope)),
        ("optional scope", kinds(old, &a.scope_optional), kinds(new, &b.scope_optional)),
        ("recorded by", roles(old, a), roles(new, b)),
        ("decided by", a.decide.join(", "), b.decide.join(", ")),
        ("rationale required", a.rationale_required.to_string(), b.rationale_required.to_string()),
        ("may be a gap", a.may_be_gap.to_string(), b.may_be_gap.to_string()),
        ("unsought", a.is_unsought.to_string(), b.is_unsought.to_string()),
        ("accepted in any state", a.always_accepted.to_string(), b.always_accepted.to_string()),
        ("introduces", kinds(old, &a.introduces), kinds(new, &b.introduces)),
        ("amends", kinds(old, &a.amends), kinds(new, &b.amends)),
        ("protected", a.protect.join(", "), b.protect.join(", ")),
    ]);
    let fields = |event: &EventType| -> Vec<(String, String)> {
        let required = event.schema.source["required"].as_array().cloned().unwrap_or_default();
        let properties = event.schema.source["properties"].as_object().cloned().unwrap_or_default();
        let described = properties.into_iter().map(|(name, schema)| {
            let needed = if required.contains(&name.clone().into()) { "required" } else { "optional" };
            (name, format!("{needed} {schema}"))
        });
        described.collect()
    };
    let fields = changes(
        &fields(a),
        &fields(b),
        |(name, _)| name,
        |a, b| differing(&[("", a.1.clone(), b.1.clone())]),
    );
    what.extend(fields.added.iter().map(|name| format!("field {name} added")));
    what.extend(fields.removed.iter().map(|name| format!("field {name} removed")));
    for field in fields.changed {
        what.extend(field.what.iter().map(|what| format!("field {}{what}", field.name)));
    }
    what
}

fn rules(definition: &Definition) -> Vec<(&EventType, &Rule)> {
    definition.events.iter().flat_map(|event| event.rules.iter().map(move |rule| (event, rule))).collect()
}

fn rule_changes(
    (old, new): (&Definition, &Definition),
    (old_event, a): (&EventType, &Rule),
    (new_event, b): (&EventType, &Rule),
) -> Vec<String> {
    let class = |rule: &Rule| {
        match rule.class {
            RuleClass::Logical => "logical",
            RuleClass::Authority => "authority",
            RuleClass::Compliance => "compliance",
            RuleClass::Gap => "gap",
        }
        .to_owned()
    };
    let when = |rule: &Rule| rule.when.as_ref().map(|when| when.source.clone()).unwrap_or_default();
    let message = |rule: &Rule| -> String {
        let text = |piece: &MessagePiece| match piece {
            MessagePiece::Text(text) => text.clone(),
            MessagePiece::Value(_) => "{…}".to_owned(),
        };
        rule.message.pieces.iter().map(text).collect()
    };
    let dated = |definition: &Definition, rule: &Rule| {
        rule.dated.as_ref().map_or_else(String::new, |law| {
            let day = |day: Option<crate::case::occurred::Day>| {
                let date = day.and_then(|day| {
                    jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(day.0)).ok()
                });
                date.map_or_else(|| "open".to_owned(), |date| date.to_string())
            };
            let pin = &definition.event_type(law.pinned_by).name;
            format!("{} to {} by {pin}", day(law.from), day(law.until))
        })
    };
    differing(&[
        ("event", old_event.name.clone(), new_event.name.clone()),
        ("class", class(a), class(b)),
        ("asked when", when(a), when(b)),
        ("requires", a.require.source.clone(), b.require.source.clone()),
        ("in force", dated(old, a), dated(new, b)),
        ("basis", a.basis.clone().unwrap_or_default(), b.basis.clone().unwrap_or_default()),
        ("message", message(a), message(b)),
    ])
}

fn compare_strand(pair: (&Definition, &Definition), old: StrandId, new: StrandId) -> Option<StrandDiff> {
    let (before, now) = (&pair.0.strands[old.index()], &pair.1.strands[new.index()]);
    let states = changes(
        &before.states,
        &now.states,
        |state: &State| &state.name,
        |a, b| {
            differing(&[
                ("title", a.title.clone(), b.title.clone()),
                ("final", a.is_final.to_string(), b.is_final.to_string()),
            ])
        },
    );
    let mut found = StrandDiff {
        strand: now.name.clone(),
        states,
        rows: row_changes(pair, before, now),
        no_longer_lawful: Vec::new(),
        newly_lawful: Vec::new(),
        leads_elsewhere: Vec::new(),
        not_proved: false,
    };
    walk_together(pair, (old, new), &mut found);
    let same = found.states.is_empty()
        && found.rows.is_empty()
        && found.no_longer_lawful.is_empty()
        && found.newly_lawful.is_empty()
        && found.leads_elsewhere.is_empty();
    (!same).then_some(found)
}

/// An event's rows in a strand as they are written: from which state, and to which.
struct Rows {
    event: String,
    leads: BTreeMap<String, String>,
}

fn rows(definition: &Definition, strand: &Strand) -> Vec<Rows> {
    let state = |id: StateId| strand.states[id.index()].name.as_str();
    let lead = |branch: &Branch| {
        let to = branch.to.map_or("where it is", state);
        let value = |values: &[Value]| values.iter().map(spoken).collect::<Vec<_>>().join(" or ");
        let fields = branch.matches.iter().map(|(field, values)| format!("{field} is {}", value(values)));
        let fields = fields.collect::<Vec<_>>().join(", ");
        if fields.is_empty() { to.to_owned() } else { format!("{to} where {fields}") }
    };
    let leads = |row: &Row| row.branches.iter().map(lead).collect::<Vec<_>>().join(", else ");
    let all = strand.rows.iter().map(|(event, rows)| Rows {
        event: definition.event_type(*event).name.clone(),
        leads: rows.iter().map(|row| (state(row.from).to_owned(), leads(row))).collect(),
    });
    let mut all: Vec<Rows> = all.collect();
    all.sort_by(|one, other| one.event.cmp(&other.event));
    all
}

fn row_changes(pair: (&Definition, &Definition), before: &Strand, now: &Strand) -> Changes {
    let from = |rows: &Rows| rows.leads.keys().cloned().collect::<Vec<_>>().join(", ");
    let what = |a: &Rows, b: &Rows| {
        let mut what = differing(&[("from", from(a), from(b))]);
        for (from, leads) in &a.leads {
            let now = b.leads.get(from).unwrap_or(leads).clone();
            what.extend(differing(&[(&format!("from {from} to"), leads.clone(), now)]));
        }
        what
    };
    changes(&rows(pair.0, before), &rows(pair.1, now), |rows| &rows.event, what)
}

type Pair = (Standing, Standing);

/// Breadth-first over the pairs of states that one sequence reaches. There are at most as many pairs as the
/// product of the two strands' states, so the walk ends.
fn walk_together(pair: (&Definition, &Definition), ids: (StrandId, StrandId), found: &mut StrandDiff) {
    let (alphabet, complete) = variants(&[(pair.0, ids.0), (pair.1, ids.1)]);
    found.not_proved = !complete;
    let begin = (Standing::Absent, Standing::Absent);
    let mut came: HashMap<Pair, Option<(Pair, usize)>> = HashMap::from([(begin, None)]);
    let mut queue = VecDeque::from([begin]);
    while let Some(at) = queue.pop_front() {
        for (index, variant) in alphabet.iter().enumerate() {
            let before = advance(pair.0, ids.0, at.0, variant);
            let now = advance(pair.1, ids.1, at.1, variant);
            let names = (before.map(|at| name(pair.0, ids.0, at)), now.map(|at| name(pair.1, ids.1, at)));
            let list = match (before, now) {
                (None, None) => continue,
                (Some(_), None) => &mut found.no_longer_lawful,
                (None, Some(_)) => &mut found.newly_lawful,
                (Some(before), Some(now)) => {
                    if let std::collections::hash_map::Entry::Vacant(entry) = came.entry((before, now)) {
                        entry.insert(Some((at, index)));
                        queue.push_back((before, now));
                    }
                    if names.0 == names.1 || name(pair.0, ids.0, at.0) != name(pair.1, ids.1, at.1) {
                        continue;
                    }
                    &mut found.leads_elsewhere
                }
            };
            if list.iter().all(|known| known.event != variant.event) {
                let in_old = before.is_some();
                let (definition, strand) = if in_old { (pair.0, ids.0) } else { (pair.1, ids.1) };
                let witness = witness((definition, strand), &alphabet, &came, at, index);
                list.push(Difference {
                    event: variant.event.clone(),
                    witness,
                    before: names.0,
                    now: names.1,
                });
            }
        }
    }
}

fn name(definition: &Definition, strand: StrandId, at: Standing) -> String {
    match at {
        Standing::Absent => "absent".to_owned(),
        Standing::Waiting => "not started".to_owned(),
        Standing::In(state) => definition.strands[strand.index()].states[state.index()].name.clone(),
    }
}

fn witness(
    (definition, strand): (&Definition, StrandId),
    alphabet: &[Variant],
    came: &HashMap<Pair, Option<(Pair, usize)>>,
    end: Pair,
    last: usize,
) -> Vec<Step> {
    let (scope, mut steps) = owner(definition, &definition.strands[strand.index()]);
    let mut way = vec![last];
    let mut at = end;
    while let Some(Some((before, index))) = came.get(&at) {
        way.push(*index);
        at = *before;
    }
    steps.extend(way.iter().rev().map(|index| alphabet[*index].step(&scope)));
    steps.retain(|step| {
        step.event_type != crate::case::event::engine_types::CASE_OPENED || !step.with.is_empty()
    });
    steps
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::definition::compile::compile;
    use crate::definition::scenario::{Expectation, Expected, Scenario, run};
    use crate::definition::source::SourceFile;

    const BEFORE: &str = "\
workflow: small
version: 1
language: casebook/1
title: Small
timezone: Europe/London
roles:
  clerk: { title: Clerk }
entities:
  subject: { title: Subject, introduced-by: subject-identified }
  charge: { title: Charge, introduced-by: charge-authorised, parent: subject }
events:
  subject-identified: { title: Subject identified, scope: [subject] }
  charge-authorised: { title: Charge authorised, scope: [charge] }
  charge-laid: { title: Charge laid, scope: [charge] }
  plea-entered:
    title: Plea entered
    scope: [charge]
    data: { properties: { plea: { enum: [guilty, not-guilty] } }, required: [plea] }
    rules:
      - { id: after-charge, class: compliance, require: \"charge.happened('charge-laid')\", message: no charge }
  sentence-passed: { title: Sentence passed, scope: [charge] }
strands:
  charge:
    title: Charge
    per: charge
    states:
      authorised: {}
      laid: {}
      convicted: {}
      acquitted: { final: true }
      sentenced: { final: true }
    initial: authorised
    transitions:
      - { on: charge-laid, from: authorised, to: laid }
      - on: plea-entered
        from: laid
        choose: [ { where: { plea: guilty }, to: convicted }, { to: acquitted } ]
      - { on: sentence-passed, from: convicted, to: sentenced }
";

    fn compiled(text: &str) -> Arc<Definition> {
        let file = SourceFile { name: "small.yaml".to_owned(), text: text.to_owned() };
        Arc::new(compile(&[file]).unwrap_or_else(|problems| panic!("{problems:#?}")))
    }

    fn changed(from: &str, to: &str) -> String {
        assert!(BEFORE.contains(from), "{from}");
        BEFORE.replacen("version: 1", "version: 2", 1).replacen(from, to, 1)
    }

    fn compared(now: &str) -> WorkflowDiff {
        compare(&compiled(BEFORE), &compiled(now))
    }

    /// The witness is accepted as a whole by one version; in the other its last event is refused.
    #[track_caller]
    fn check_witness(difference: &Difference, accepting: &str, refusing: &str) {
        let mut scenario = Scenario::playing(&difference.event, &difference.witness);
        for (text, expected) in [(accepting, Expected::Accepted), (refusing, Expected::Refused(None))] {
            scenario.then = vec![Expectation { line: 0, text: String::new(), expected }];
            let outcome = run(&compiled(text), &scenario);
            assert!(outcome.holds(), "{scenario}{outcome:#?}");
        }
    }

    #[test]
    fn a_changed_row_is_told_as_it_is_written() {
        let rows = |now: &str| compared(now).sequences.into_iter().next().map(|strand| strand.rows);
        let from =
            rows(&changed("from: convicted, to: sentenced", "from: [acquitted, convicted], to: sentenced"));
        let what = |changes: Option<Changes>| changes.map(|changes| changes.changed[0].what.clone());
        assert_eq!(what(from), Some(vec!["from: was convicted, is acquitted, convicted".to_owned()]));
        let to = rows(&changed("from: authorised, to: laid", "from: authorised, to: convicted"));
        assert_eq!(what(to), Some(vec!["from authorised to: was laid, is convicted".to_owned()]));
        let gone = rows(&changed("      - { on: sentence-passed, from: convicted, to: sentenced }\n", ""));
        assert_eq!(gone.map(|changes| changes.removed), Some(vec!["sentence-passed".to_owned()]));
    }

    fn types(difference: &Difference) -> Vec<&str> {
        difference.witness.iter().map(|step| step.event_type.as_str()).collect()
    }

    #[test]
    fn a_version_is_the_same_as_itself() {
        assert!(compared(BEFORE).is_empty());
    }

    #[test]
    fn a_row_taken_away_makes_a_sequence_unlawful() {
        let now = changed(
            "      - { on: sentence-passed, from: convicted, to: sentenced }\n",
            "      - { on: sentence-passed, from: acquitted, to: sentenced }\n",
        );
        let diff = compared(&now);
        let [strand] = diff.sequences.as_slice() else { panic!("{diff:#?}") };
        assert_eq!((diff.from.as_str(), diff.to.as_str()), ("small@1", "small@2"));
        let [gone] = strand.no_longer_lawful.as_slice() else { panic!("{strand:#?}") };
        assert_eq!(
            types(gone),
            ["subject-identified", "charge-authorised", "charge-laid", "plea-entered", "sentence-passed"]
        );
        assert_eq!(gone.witness[3].with, ["plea=guilty"]);
        assert_eq!((gone.before.as_deref(), gone.now.as_deref()), (Some("sentenced"), None));
        check_witness(gone, BEFORE, &now);
        let [new] = strand.newly_lawful.as_slice() else { panic!("{strand:#?}") };
        assert_eq!(new.witness[3].with, ["plea=not-guilty"]);
        check_witness(new, &now, BEFORE);
    }

    #[test]
    fn a_shorter_way_is_found_first() {
        let now = changed("from: laid\n", "from: [authorised, laid]\n");
        let diff = compared(&now);
        let new = &diff.sequences[0].newly_lawful;
        assert_eq!(new.len(), 1, "{new:#?}");
        assert_eq!(types(&new[0]), ["subject-identified", "charge-authorised", "plea-entered"]);
        check_witness(&new[0], &now, BEFORE);
    }

    #[test]
    fn a_branch_that_leads_elsewhere_is_told() {
        let now =
            changed("{ where: { plea: guilty }, to: convicted }, { to: acquitted }", "{ to: convicted }");
        let diff = compared(&now);
        let [elsewhere] = diff.sequences[0].leads_elsewhere.as_slice() else { panic!("{diff:#?}") };
        assert_eq!(
            elsewhere.witness.last().map(|step| step.with.clone()),
            Some(vec!["plea=not-guilty".to_owned()])
        );
        assert_eq!(
            (elsewhere.before.as_deref(), elsewhere.now.as_deref()),
            (Some("acquitted"), Some("convicted"))
        );
    }

    #[test]
    fn a_value_added_to_a_field_is_newly_lawful() {
        let now = changed("enum: [guilty, not-guilty]", "enum: [guilty, not-guilty, no-plea]");
        let diff = compared(&now);
        let [new] = diff.sequences[0].newly_lawful.as_slice() else { panic!("{diff:#?}") };
        assert_eq!(new.witness.last().map(|step| step.with.clone()), Some(vec!["plea=no-plea".to_owned()]));
        assert_eq!(diff.events.changed.len(), 1);
        assert_eq!(diff.events.changed[0].name, "plea-entered");
    }

    #[test]
    fn roles_states_and_rules_are_compared_by_name() {
        let now = changed(
            "  clerk: { title: Clerk }",
            "  clerk: { title: Clerk, may-override: true }\n  usher: { title: Usher }",
        )
        .replace("acquitted: { final: true }", "acquitted: {}")
        .replace("class: compliance", "class: logical");
        let diff = compared(&now);
        assert_eq!(diff.roles.added, ["usher"]);
        assert_eq!(diff.roles.changed[0].what, ["may override: was false, is true"]);
        assert_eq!(diff.rules.changed[0].what, ["class: was compliance, is logical"]);
        let states = &diff.sequences[0].states;
        assert_eq!(states.changed[0].what, ["final: was true, is false"]);
        assert!(diff.sequences[0].no_longer_lawful.is_empty());
        assert!(!diff.is_empty());
    }
}
