//! Deadlines, read and resolved.

use serde_json::{Map, Value};

use super::compile::{Resolver, index};
use super::condition::Condition;
use super::deadline::{Adjust, Adjustment, Deadline, Due, Missed, OnRepeat, Repeats, Start, Term, Trigger};
use super::fields::{Fields, fields};
use super::period::{Counting, Length, Unit};
use super::schema::FieldKind;
use super::source::matches;
use super::subject::fields_below;
use super::syntax::{Node, Shape, Text};
use super::typing::kinds_about;
use super::{CalendarId, EventTypeId, KindId};

/// The most deadlines of a definition, and starts of a deadline.
const DEADLINES_MAX: usize = 1_000;
const STARTS_MAX: usize = 100;

const KEYS: [&str; 13] = [
    "title",
    "per",
    "when",
    "starts",
    "on-repeat",
    "due",
    "then-every",
    "met-by",
    "void-by",
    "paused-while",
    "adjust",
    "missed",
    "basis",
];

impl Resolver<'_, '_> {
    pub(super) fn resolve_deadlines(&mut self) {
        let source = self.source;
        if let Some((name, _)) = source.deadlines.get(DEADLINES_MAX) {
            let message = format!("a definition has at most {DEADLINES_MAX} deadlines");
            self.problems.at("too-many", name, message, None);
        }
        for (name, node) in source.deadlines.iter().take(DEADLINES_MAX) {
            if self.problems.is_full() {
                return;
            }
            if let Some(deadline) = self.deadline(name, node) {
                self.definition.deadlines.push(deadline);
            }
        }
    }

    fn deadline(&mut self, name: &Text, node: &Node) -> Option<Deadline> {
        let before = self.problems.count();
        let source = fields(node, "a deadline", &KEYS, &mut self.problems);
        let per = source.text("per", &mut self.problems).filter(|per| per.value != "case");
        let per = match per {
            Some(per) => Some(self.kind(&per)?),
            None => None,
        };
        let when = self.deadline_condition("when", &source, per);
        let paused_while = self.deadline_condition("paused-while", &source, per);
        let starts = self.starts(name, &source, per);
        let (due, rolls) = self.due(&source, &starts)?;
        let deadline = Deadline {
            name: name.value.clone(),
            title: source.title(&name.value, &mut self.problems),
            per,
            when,
            on_repeat: self.on_repeat(&source),
            repeats: self.repeats(&source, &due, rolls),
            due,
            starts,
            met_by: self.triggers("met-by", &source, per),
            void_by: self.triggers("void-by", &source, per),
            paused_while,
            adjust: source.get("adjust").and_then(|node| self.adjust(node)),
            missed: self.missed(&source, per),
            basis: source.text("basis", &mut self.problems).map(|basis| basis.value),
        };
        if deadline.met_by.is_empty() && deadline.void_by.is_empty() && self.problems.count() == before {
            let message = format!("nothing meets `{}`: `met-by` names no event type", name.value);
            let help = Some("name what meets it, or under `void-by` what makes it fall away".to_owned());
            self.problems.at("missing-key", name, message, help);
        }
        (self.problems.count() == before).then_some(deadline)
    }

    fn deadline_condition(
        &mut self,
        key: &str,
        source: &Fields<'_>,
        per: Option<KindId>,
    ) -> Option<Condition> {
        let text = source.condition(key, &mut self.problems)?;
        let kinds = self.with_parents(per);
        self.condition(&text, None, &kinds, &[])
    }

    fn starts(&mut self, name: &Text, source: &Fields<'_>, per: Option<KindId>) -> Vec<Start> {
        let Some(node) = source.required("starts", &mut self.problems) else { return Vec::new() };
        let items = one_or_more(node);
        if items.len() > STARTS_MAX {
            self.problems.at("too-many", name, format!("`starts` lists more than {STARTS_MAX}"), None);
        }
        let mut starts = Vec::new();
        for item in items.iter().take(STARTS_MAX) {
            for (trigger, from) in self.trigger(item, "starts", &["on", "where", "from"], per) {
                let from = from.and_then(|field| self.date_field(trigger.on, &field));
                starts.push(Start { trigger, from });
            }
        }
        if starts.is_empty() && items.is_empty() {
            self.problems.at("missing-key", name, format!("nothing starts `{}`", name.value), None);
        }
        starts
    }

    fn triggers(&mut self, key: &'static str, source: &Fields<'_>, per: Option<KindId>) -> Vec<Trigger> {
        let Some(node) = source.get(key) else { return Vec::new() };
        let mut triggers = Vec::new();
        for item in one_or_more(node).iter().take(super::fields::NAMES_MAX) {
            triggers.extend(
                self.trigger(item, key, &["on", "where"], per).into_iter().map(|(trigger, _)| trigger),
            );
        }
        triggers
    }

    /// A name, or `{ on, where, from }`; `on` may list several.
    fn trigger(
        &mut self,
        node: &Node,
        key: &'static str,
        known: &[&str],
        per: Option<KindId>,
    ) -> Vec<(Trigger, Option<Text>)> {
        if let Shape::Text(name) = &node.value {
            let name = Text { value: name.clone(), place: node.place };
            let event = self.event_reaching(&name, per);
            return event.map(|on| (Trigger { on, matches: Vec::new() }, None)).into_iter().collect();
        }
        let what = match key {
            "starts" => "a start",
            "met-by" => "an entry of `met-by`",
            _ => "an entry of `void-by`",
        };
        let entry = fields(node, what, known, &mut self.problems);
        entry.required("on", &mut self.problems);
        let names = entry.names("on", &mut self.problems);
        let from = entry.text("from", &mut self.problems);
        let constants = matches(&entry, &mut self.problems);
        let mut triggers = Vec::new();
        for name in &names {
            let Some(on) = self.event_reaching(name, per) else { continue };
            let mut known = Vec::new();
            for (field, values) in &constants {
                self.check_match(on, field, values);
                known.push((field.value.clone(), values.iter().map(|value| value.value.clone()).collect()));
            }
            triggers.push((Trigger { on, matches: known }, from.clone()));
        }
        triggers
    }

    /// The event type, where it can reach the entity whose deadline this is: it is about the entity, or about one above.
    fn event_reaching(&mut self, name: &Text, per: Option<KindId>) -> Option<EventTypeId> {
        let event = self.event(name)?;
        let Some(per) = per else { return Some(event) };
        if kinds_about(&self.definition, event).contains(&per) {
            return Some(event);
        }
        let scope = &self.definition.event_type(event).scope;
        if scope.iter().all(|kind| self.definition.is_ancestor(*kind, per)) {
            return Some(event);
        }
        let kind = &self.definition.kinds[per.index()].name;
        let message = format!("`{}` is never about a `{kind}`, whose deadline this is", name.value);
        let help = Some(format!("name `{kind}` under its `scope`, or let the deadline be of another kind"));
        self.problems.at("never-about", name, message, help);
        None
    }

    /// A payload field that holds a date.
    fn date_field(&mut self, event: EventTypeId, name: &Text) -> Option<Vec<String>> {
        let field = self.payload_field(event, name)?;
        if field.1.as_deref() != Some("edtf") {
            let message =
                format!("`{}` of `{}` is no date", name.value, self.definition.event_type(event).name);
            let help = Some("its schema needs `type: string, format: edtf`".to_owned());
            self.problems.at("type-mismatch", name, message, help);
            return None;
        }
        Some(field.0)
    }

    /// A payload field, and its format.
    fn payload_field(&mut self, event: EventTypeId, name: &Text) -> Option<(Vec<String>, Option<String>)> {
        if self.unreadable.contains(&event) {
            return None;
        }
        let path: Vec<String> = name.value.split('.').map(str::to_owned).collect();
        let event = self.definition.event_type(event);
        let Some(field) =
            event.schema.field(&path).filter(|field| matches!(field.kind, FieldKind::Text | FieldKind::Any))
        else {
            let known = fields_below(&event.schema.source, &path[..path.len() - 1]);
            let message = match event.schema.field(&path) {
                Some(_) => format!("`{}` of `{}` is no text", name.value.escape_debug(), event.name),
                None => format!("`{}` has no field `{}`", event.name, name.value.escape_debug()),
            };
            let help = self.problems.suggestion(&name.value, known.iter().map(String::as_str));
            self.problems.at("unknown-name", name, message, help);
            return None;
        };
        Some((path, field.format))
    }

    /// When it is due, and whether it rolls.
    fn due(&mut self, source: &Fields<'_>, starts: &[Start]) -> Option<(Due, bool)> {
        let node = source.required("due", &mut self.problems)?;
        let known = ["length", "length-from", "window", "at", "counting", "calendar"];
        let due = fields(node, "`due`", &known, &mut self.problems);
        let ways: Vec<&str> = ["length", "length-from", "window", "at"]
            .into_iter()
            .filter(|key| due.get(key).is_some())
            .collect();
        let (counting, rolls) = self.counting(&due)?;
        if let [_, second, ..] = ways.as_slice() {
            let place = due.get(second).map_or(node.place, |node| node.place);
            let message = format!("`due` has `{}` or `{second}`, not both", ways[0]);
            self.problems.add("wrong-shape", place, 1, message, None);
            return None;
        }
        if ways.is_empty() && counting != Counting::FollowingDay {
            let help = Some("write `length: 10 working-days`, `window: { … }` or `at: FIELD`".to_owned());
            self.problems.add("missing-key", node.place, 1, "`due` says no length, window or day", help);
            return None;
        }
        if counting == Counting::FollowingDay && !ways.is_empty() {
            let message = "`following-day` is the end of the next day: it has no length of its own";
            self.problems.add(
                "wrong-shape",
                node.place,
                1,
                message,
                Some("leave one of them out".to_owned()),
            );
            return None;
        }
        if let Some(at) = due.text("at", &mut self.problems) {
            return self.due_at(&due, &at, starts).map(|due| (due, false));
        }
        if counting == Counting::BackFrom && starts.iter().any(|start| start.from.is_none()) {
            let message =
                "`back-from` counts back from a date in the starting event: every start needs `from`";
            self.problems.add("missing-key", node.place, 1, message, None);
        }
        let window = due.get("window").map(|node| self.window(node));
        let term = self.term(&due, starts);
        let edges = window.unwrap_or_default();
        let units = [edges.0, edges.1].into_iter().flatten().chain(match &term {
            Some(Term::Fixed(length)) => Some(*length),
            _ => None,
        });
        let needs = counting == Counting::FirstWorkingDayAfter
            || units.into_iter().any(|length| length.unit == Unit::WorkingDays);
        let calendar = self.calendar(&due, needs)?;
        let due = match (window, term, counting) {
            (Some((no_earlier_than, no_later_than)), ..) => {
                Due::Window { no_earlier_than, no_later_than, counting, calendar }
            }
            (None, Some(term), _) => Due::Period { term, counting, calendar },
            (None, None, Counting::FollowingDay) => {
                let term = Term::Fixed(Length { count: 1, unit: Unit::Days });
                Due::Period { term, counting, calendar }
            }
            (None, None, _) => return None,
        };
        Some((due, rolls))
    }

    fn due_at(&mut self, due: &Fields<'_>, at: &Text, starts: &[Start]) -> Option<Due> {
        for key in ["counting", "calendar"] {
            if let Some(node) = due.get(key) {
                let message = format!("`at` names the day itself: there is nothing for `{key}` to count");
                self.problems.add("wrong-shape", node.place, 1, message, None);
            }
        }
        let paths: Vec<_> = starts.iter().map(|start| self.date_field(start.trigger.on, at)).collect();
        paths.into_iter().next().flatten().map(Due::At)
    }

    fn counting(&mut self, due: &Fields<'_>) -> Option<(Counting, bool)> {
        let Some(name) = due.text("counting", &mut self.problems) else {
            return Some((Counting::DayAfter, false));
        };
        Some(match name.value.as_str() {
            "day-after" => (Counting::DayAfter, false),
            "first-working-day-after" => (Counting::FirstWorkingDayAfter, false),
            "including-that-day" => (Counting::IncludingThatDay, false),
            "following-day" => (Counting::FollowingDay, false),
            "rolling" => (Counting::DayAfter, true),
            "back-from" => (Counting::BackFrom, false),
            other => {
                let help = self.problems.suggestion(other, Counting::NAMES);
                let help = help.or_else(|| Some(format!("known: {}", Counting::NAMES.join(", "))));
                let message = format!("`{}` is no way of counting", other.escape_debug());
                self.problems.at("unknown-name", &name, message, help);
                return None;
            }
        })
    }

    fn length(&mut self, text: &Text) -> Option<Length> {
        let length = Length::parse(&text.value);
        if length.is_none() {
            let message = format!("`{}` is no length of time", text.value.escape_debug());
            let help =
                "write a number and days, working-days, weeks, months or years, such as `10 working-days`";
            self.problems.at("wrong-shape", text, message, Some(help.to_owned()));
        }
        length
    }

    fn term(&mut self, due: &Fields<'_>, starts: &[Start]) -> Option<Term> {
        if let Some(length) = due.text("length", &mut self.problems) {
            return self.length(&length).map(Term::Fixed);
        }
        let field = due.text("length-from", &mut self.problems)?;
        let paths: Vec<_> = starts.iter().map(|start| self.payload_field(start.trigger.on, &field)).collect();
        paths.into_iter().next().flatten().map(|(path, _)| Term::Field(path))
    }

    fn window(&mut self, node: &Node) -> (Option<Length>, Option<Length>) {
        let window = fields(node, "`window`", &["no-earlier-than", "no-later-than"], &mut self.problems);
        let no_earlier = window.text("no-earlier-than", &mut self.problems);
        let no_later = window.text("no-later-than", &mut self.problems);
        if no_earlier.is_none() && no_later.is_none() {
            let message = "`window` needs `no-earlier-than`, `no-later-than` or both";
            self.problems.add("missing-key", node.place, 1, message, None);
        }
        let edge = |text: Option<Text>, this: &mut Self| text.and_then(|text| this.length(&text));
        let edges = (edge(no_earlier, self), edge(no_later.clone(), self));
        if let ((Some(first), Some(last)), Some(text)) = (edges, &no_later)
            && first.unit == last.unit
            && first.count > last.count
        {
            let message = "the window closes before it opens: `no-later-than` is the longer one";
            self.problems.at("wrong-shape", text, message, None);
        }
        edges
    }

    /// The calendar named, or the only one there is where one is needed; the outer `None` is an error.
    #[expect(clippy::option_option, reason = "no calendar and an error are different answers")]
    fn calendar(&mut self, due: &Fields<'_>, needed: bool) -> Option<Option<CalendarId>> {
        let source = self.source;
        let names: Vec<&str> = source.calendars.iter().map(|(name, _)| name.value.as_str()).collect();
        if let Some(name) = due.text("calendar", &mut self.problems) {
            let found = names.iter().position(|known| *known == name.value);
            if found.is_none() {
                let help = self.problems.suggestion(&name.value, names.iter().copied());
                let help = help.or_else(|| Some("list it under `calendars`".to_owned()));
                let message = format!("`{}` is no calendar of this definition", name.value.escape_debug());
                self.problems.at("unknown-name", &name, message, help);
            }
            return found.map(|at| Some(CalendarId(index(at))));
        }
        match (needed, names.len()) {
            (false, _) => Some(None),
            (true, 1) => Some(Some(CalendarId(0))),
            (true, count) => {
                let message = "working days are counted, and `due` names no calendar";
                let help = match count {
                    0 => "list one under `calendars`".to_owned(),
                    _ => format!("write `calendar:` with one of {}", names.join(", ")),
                };
                self.problems.add("missing-key", due.place, 1, message, Some(help));
                None
            }
        }
    }

    fn on_repeat(&mut self, source: &Fields<'_>) -> OnRepeat {
        let Some(name) = source.text("on-repeat", &mut self.problems) else { return OnRepeat::Keep };
        match name.value.as_str() {
            "keep" => OnRepeat::Keep,
            "restart" => OnRepeat::Restart,
            "once" => OnRepeat::Once,
            other => {
                let message = format!("`on-repeat` is keep, restart or once, not `{}`", other.escape_debug());
                let help = self.problems.suggestion(other, ["keep", "restart", "once"]);
                self.problems.at("unknown-name", &name, message, help);
                OnRepeat::Keep
            }
        }
    }

    fn repeats(&mut self, source: &Fields<'_>, due: &Due, rolls: bool) -> Option<Repeats> {
        let every = source.text("then-every", &mut self.problems);
        let length = every.as_ref().and_then(|every| self.length(every));
        let own = match due {
            Due::Period { term: Term::Fixed(length), .. } => Some(*length),
            _ => None,
        };
        if let Some(every) = every {
            let length = length?;
            if length.unit == Unit::WorkingDays && due_calendar(due).is_none() {
                let message = "working days are counted, and `due` names no calendar";
                self.problems.at("missing-key", &every, message, None);
            }
            if !matches!(due, Due::Period { .. }) {
                let message = "only a deadline with a length goes on with `then-every`";
                self.problems.at("wrong-shape", &every, message, None);
            }
            return Some(if rolls { Repeats::FromMeeting(length) } else { Repeats::FromEnd(length) });
        }
        if rolls && own.is_none() {
            let message = "`rolling` needs `length`, or `then-every` for the length of the later rounds";
            self.problems.add("missing-key", source.place, 1, message, None);
        }
        own.filter(|_| rolls).map(Repeats::FromMeeting)
    }

    fn adjust(&mut self, node: &Node) -> Option<Adjust> {
        let adjust = fields(node, "`adjust`", &["by", "kinds"], &mut self.problems);
        adjust.required("by", &mut self.problems);
        adjust.required("kinds", &mut self.problems);
        let by = adjust.names("by", &mut self.problems);
        let by = by.iter().filter_map(|role| self.role(role)).collect();
        let mut kinds = Vec::new();
        for name in adjust.names("kinds", &mut self.problems) {
            match Adjustment::named(&name.value) {
                Some(kind) => kinds.push(kind),
                None => {
                    let known = Adjustment::NAMES.map(|(name, _)| name);
                    let help = self.problems.suggestion(&name.value, known);
                    let help = help.or_else(|| Some(format!("known: {}", known.join(", "))));
                    let message = format!("`{}` is no way to adjust a deadline", name.value.escape_debug());
                    self.problems.at("unknown-name", &name, message, help);
                }
            }
        }
        Some(Adjust { by, kinds })
    }

    /// `breach`, `notice`, or `{ event, data }`.
    fn missed(&mut self, source: &Fields<'_>, per: Option<KindId>) -> Missed {
        let Some(node) = source.get("missed") else { return Missed::Notice };
        if let Shape::Text(name) = &node.value {
            match name.as_str() {
                "breach" => return Missed::Breach,
                "notice" => return Missed::Notice,
                other => {
                    let message = format!("`{}` is nothing that follows", other.escape_debug());
                    let help = Some("write `notice`, `breach` or `{ event: TYPE }`".to_owned());
                    self.problems.add(
                        "unknown-name",
                        node.place,
                        other.chars().count().max(1),
                        message,
                        help,
                    );
                    return Missed::Notice;
                }
            }
        }
        let missed = fields(node, "`missed`", &["event", "data"], &mut self.problems);
        let Some(name) = missed.required_text("event", &mut self.problems) else { return Missed::Notice };
        let data = match missed.get("data").map(Node::to_json) {
            Some(Value::Object(data)) => data,
            Some(_) => {
                self.problems.at("wrong-shape", &name, "`data` is a map from fields to values", None);
                Map::new()
            }
            None => Map::new(),
        };
        let Some(event) = self.event(&name) else { return Missed::Notice };
        self.check_follow_up(&name, event, per, &data);
        Missed::Event { event, data }
    }

    /// The event that a miss records must need nothing that the deadline does not know.
    fn check_follow_up(
        &mut self,
        name: &Text,
        event: EventTypeId,
        per: Option<KindId>,
        data: &Map<String, Value>,
    ) {
        let known = self.with_parents(per);
        let event_type = self.definition.event_type(event);
        if let Some(kind) = event_type.scope.iter().find(|kind| !known.contains(kind)) {
            let kind = &self.definition.kinds[kind.index()].name;
            let message = format!("`{}` needs a `{kind}`, and the deadline has none", name.value);
            return self.problems.at("never-about", name, message, Some(format!("write `per: {kind}`")));
        }
        if self.unreadable.contains(&event) {
            return;
        }
        if let Some(problem) = event_type.payload_problems(data).into_iter().next() {
            let help = Some("give the fields that it needs under `data`".to_owned());
            self.problems.at("bad-schema", name, format!("`{}`: {}", name.value, problem.problem), help);
        }
    }
}

fn due_calendar(due: &Due) -> Option<CalendarId> {
    match due {
        Due::Period { calendar, .. } | Due::Window { calendar, .. } => *calendar,
        Due::At(_) => None,
    }
}

fn one_or_more(node: &Node) -> &[Node] {
    match &node.value {
        Shape::List(items) => items,
        Shape::Null => &[],
        _ => std::slice::from_ref(node),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::compile::compile;
    use super::super::compile::tests::compiled;
    use super::super::source::SourceFile;
    use super::*;

    /// A small definition with every construct of deadlines in it.
    pub(crate) const SAMPLE: &str = r#"
workflow: timed
version: 1
language: casebook/1
timezone: Europe/London
calendars:
  office:
    version: "7"
    covered: { from: 2020-01-01, until: 2024-01-01 }
    weekend: [saturday, sunday]
    holidays: { 2021-12-27: Christmas Day, 2021-12-28: Boxing Day }
roles:
  clerk: {}
  chair: { may-override: true }
entities:
  person: { introduced-by: person-named }
  claim: { introduced-by: claim-made, parent: person }
events:
  person-named: { scope: person }
  claim-made: { scope: claim }
  notice-served:
    scope: person
    data:
      properties:
        served_on: { type: string, format: edtf }
        manner: { enum: [post, hand] }
        answer_within: { type: string }
        meeting_on: { type: string, format: edtf }
        copies: { type: integer }
      required: [manner]
  answer-received: { scope: person, data: { properties: { is_full: { type: boolean } } } }
  update-given: { scope: person }
  rest-agreed: { scope: person, data: { properties: { extent: { enum: [full, none, not-stated] } }, required: [extent] } }
  person-died: { scope: person }
  meeting-held: { scope: person }
  clock-stopped: {}
  clock-started: {}
  report-issued: {}
  inquiry-ended: {}
  claim-decided: { scope: claim }
  right-lost: { scope: person, data: { properties: { ground: { enum: [time] } }, required: [ground] } }
strands:
  clock:
    states: { running: {}, stopped: {} }
    initial: running
    transitions:
      - { on: clock-stopped, from: running, to: stopped }
      - { on: clock-started, from: stopped, to: running }
deadlines:
  answer:
    title: Answer to the notice
    per: person
    when: person.happened('person-named')
    starts: { on: notice-served, where: { manner: [hand, post] }, from: served_on }
    on-repeat: restart
    due: { length: 10 working-days, counting: first-working-day-after, calendar: office }
    met-by: [{ on: answer-received, where: { is_full: true } }]
    void-by: person-died
    paused-while: case.state('clock') == 'stopped'
    adjust: { by: chair, kinds: [extended, reduced, left-out, restarted] }
    missed: breach
    basis: Rule 4
  meeting:
    per: person
    starts: notice-served
    due: { window: { no-earlier-than: 10 working-days, no-later-than: 15 working-days }, calendar: office }
    met-by: meeting-held
    adjust: { by: chair, kinds: reduced }
  notice-of-meeting:
    per: person
    starts: { on: notice-served, from: meeting_on }
    due: { length: 5 working-days, counting: back-from }
    met-by: update-given
  meeting-day:
    per: person
    starts: notice-served
    due: { at: meeting_on }
    met-by: meeting-held
    missed: { event: right-lost, data: { ground: time } }
  answer-within:
    per: person
    starts: notice-served
    due: { length-from: answer_within }
    met-by: answer-received
  update:
    per: person
    starts: person-named
    on-repeat: once
    due: { length: 4 weeks, counting: rolling }
    met-by: update-given
    void-by: person-died
  referral:
    starts: case-opened
    due: { counting: following-day }
    met-by: report-issued
  report:
    starts: case-opened
    due: { length: 12 months, counting: including-that-day }
    then-every: 6 months
    met-by: [report-issued, inquiry-ended]
    void-by: inquiry-ended
    missed: breach
  decision:
    per: claim
    starts: claim-made
    due: { length: 28 days }
    met-by: claim-decided
    void-by: person-died
  stock-taking:
    when: case.state('clock') == 'running'
    starts: case-opened
    due: { length: 4 weeks }
    then-every: 4 weeks
    met-by: report-issued
  rota:
    when: case.state('clock') == 'running'
    starts: [case-opened, clock-started]
    due: { length: 4 weeks }
    then-every: 4 weeks
    met-by: report-issued
  rest:
    per: person
    starts: notice-served
    due: { length: 4 weeks }
    met-by: meeting-held
    paused-while: person.happened('rest-agreed') && person.last('rest-agreed').data.extent == 'full'
"#;

    #[test]
    fn every_construct_is_resolved() {
        let definition = compiled(SAMPLE);
        let deadline = |name: &str| &definition.deadlines[definition.deadline(name).unwrap().index()];
        let answer = deadline("answer");
        assert_eq!(answer.due_in_words(), "10 working days from the first working day after");
        assert_eq!((answer.on_repeat, answer.title.as_str()), (OnRepeat::Restart, "Answer to the notice"));
        assert_eq!(answer.starts[0].from.as_deref(), Some(&["served_on".to_owned()][..]));
        assert_eq!(answer.starts[0].trigger.matches[0].1.len(), 2);
        assert_eq!(answer.adjust.as_ref().unwrap().kinds.len(), 4);
        assert!(answer.when.is_some() && answer.paused_while.is_some());
        let words = |name: &str| deadline(name).due_in_words();
        assert_eq!(
            words("meeting"),
            "no earlier than 10 working days and no later than 15 working days from the day after"
        );
        assert_eq!(words("notice-of-meeting"), "5 working days back from the day");
        assert_eq!(deadline("notice-of-meeting").calendar(), Some(CalendarId(0)), "the only one");
        assert_eq!(words("meeting-day"), "on the day in meeting_on");
        assert_eq!(words("answer-within"), "as long as answer_within says, from the day after");
        assert_eq!(words("update"), "4 weeks from the day after; then 4 weeks from each time it was met");
        assert_eq!(words("referral"), "to the end of the next day after");
        assert_eq!(words("report"), "12 months beginning with the day itself; then every 6 months");
        assert_eq!(definition.calendars[0].pin(), "office 7");
    }

    #[track_caller]
    fn check(from: &str, to: &str, code: &str, help: &str) {
        assert!(SAMPLE.contains(from), "{from}");
        let file = SourceFile { name: "d.yaml".to_owned(), text: SAMPLE.replacen(from, to, 1) };
        let problems = compile(&[file]).err().unwrap_or_default();
        let shown: Vec<String> = problems.iter().map(|problem| problem.snippet.clone()).collect();
        let most = if code == "unknown-key" { 2 } else { 1 };
        assert!((1..=most).contains(&problems.len()), "{from} -> {to}:\n{}", shown.join("\n"));
        let found = problems.iter().find(|problem| problem.code == code);
        assert!(found.is_some_and(|found| found.snippet.contains(help)), "{from} -> {to}:\n{}", shown[0]);
    }

    #[test]
    fn every_mistake_is_said_once_and_at_its_place() {
        check("starts: person-named", "starts: person-namd", "unknown-name", "`person-named`");
        check("per: claim\n", "per: clam\n", "unknown-name", "`claim`");
        check(
            "calendar: office }\n    met-by: [{",
            "calendar: offce }\n    met-by: [{",
            "unknown-name",
            "`office`",
        );
        check("manner: [hand, post]", "manner: [hnd]", "not-in-enumeration", "`hand`");
        check("where: { is_full: true }", "where: { isfull: true }", "unknown-name", "`is_full`");
        check("from: served_on", "from: servd_on", "unknown-name", "`served_on`");
        check("from: served_on", "from: manner", "type-mismatch", "format: edtf");
        check("from: served_on", "from: copies", "unknown-name", "is no text");
        check("at: meeting_on", "at: manner", "type-mismatch", "format: edtf");
        check(
            "at: meeting_on",
            "at: meeting_on, counting: day-after",
            "wrong-shape",
            "nothing for `counting`",
        );
        check("length-from: answer_within", "length-from: answer", "unknown-name", "`answer_within`");
        check(
            "case.state('clock') == 'stopped'",
            "case.state('clock') == 'stoped'",
            "not-a-state",
            "`stopped`",
        );
        check("person.happened('person-named')", "person.happened('x')", "unknown-name", "");
        check(
            "adjust: { by: chair, kinds: [ext",
            "adjust: { by: char, kinds: [ext",
            "unknown-role",
            "`chair`",
        );
        check("[extended, reduced", "[extendet, reduced", "unknown-name", "`extended`");
        check("kinds: reduced }", "kinds: }", "wrong-shape", "");
        check("length: 10 working-days", "length: ten days", "wrong-shape", "10 working-days");
        check("length: 28 days", "length: 28 days, at: meeting_on", "wrong-shape", "not both");
        check("counting: rolling", "counting: roling", "unknown-name", "`rolling`");
        check(
            "counting: following-day",
            "counting: following-day, length: 1 day",
            "wrong-shape",
            "leave one",
        );
        check("due: { counting: following-day }", "due: {}", "missing-key", "length");
        check("    due: { counting: following-day }\n", "", "missing-key", "needs `due`");
        check("no-earlier-than: 10", "no-earlier-than: 20", "wrong-shape", "closes before it opens");
        check(
            "{ window: { no-earlier-than: 10 working-days, no-later-than: 15 working-days }",
            "{ window: {}",
            "missing-key",
            "or both",
        );
    }

    #[test]
    fn every_mistake_in_what_follows_is_said_once() {
        check("missed: breach\n    basis", "missed: breech\n    basis", "unknown-name", "`notice`");
        check("data: { ground: time }", "data: { ground: place }", "bad-schema", "must be one of");
        check(
            "{ event: right-lost, data: { ground: time } }",
            "{ event: right-lost }",
            "bad-schema",
            "is missing",
        );
        check(
            "{ event: right-lost, data: { ground: time } }",
            "{ event: claim-decided }",
            "never-about",
            "per: claim",
        );
        check("on-repeat: once", "on-repeat: never", "unknown-name", "keep, restart or once");
        check("then-every: 6 months", "then-every: often", "wrong-shape", "");
        check("then-every: 6 months", "then-every: 6 working-days", "missing-key", "no calendar");
        check(
            "starts: { on: notice-served, from: meeting_on }",
            "starts: notice-served",
            "missing-key",
            "`from`",
        );
        check("met-by: report-issued\n", "met-bye: report-issued\n", "unknown-key", "`met-by`");
        check("    met-by: report-issued\n", "", "missing-key", "nothing meets `referral`");
        check(
            "starts: { on: notice-served, from: meeting_on }",
            "starts: []",
            "missing-key",
            "nothing starts",
        );
    }

    #[test]
    fn an_event_about_something_else_can_start_nothing() {
        let wrong = SAMPLE.replace(
            "decision:\n    per: claim\n    starts: claim-made",
            "other:\n    per: person\n    starts: other-done\n    due: { length: 1 day }\n    met-by: answer-received\n  decision:\n    per: claim\n    starts: claim-made",
        );
        let wrong = wrong
            .replace("entities:\n", "entities:\n  thing: { introduced-by: other-done }\n")
            .replace("events:\n", "events:\n  other-done: { scope: thing }\n");
        let problems = compile(&[SourceFile { name: "d.yaml".to_owned(), text: wrong }]).err().unwrap();
        assert_eq!(problems[0].code, "never-about", "{}", problems[0].snippet);
    }

    #[test]
    fn a_calendar_is_checked() {
        check("    version: \"7\"\n", "", "missing-key", "needs `version`");
        check("from: 2020-01-01, until", "from: 2020-01-41, until", "wrong-shape", "does not exist");
        check("until: 2024-01-01", "until: 2019-01-01", "wrong-shape", "later than `from`");
        check("until: 2024-01-01", "until: 2520-01-01", "too-many", "400 years");
        check("2021-12-27: Christmas", "2025-12-27: Christmas", "wrong-shape", "outside");
        check("2021-12-27: Christmas Day", "soon: Christmas Day", "wrong-shape", "not a day");
        check("weekend: [saturday", "weekend: [satrday", "unknown-name", "`saturday`");
        check("covered: {", "coverd: {", "unknown-key", "`covered`");
    }

    #[test]
    fn a_calendar_in_its_own_file_is_the_same_definition() {
        let (before, rest) = SAMPLE.split_once("  office:\n").unwrap();
        let (calendar, after) = rest.split_once("roles:").unwrap();
        let head = format!("{before}  office: calendars/office.yaml\nroles:{after}");
        let file = |name: &str, text: &str| SourceFile { name: name.to_owned(), text: text.to_owned() };
        let files = [file("x/definition.yaml", &head), file("x/calendars/office.yaml", calendar)];
        assert_eq!(super::super::parts::calendar_files(&files[..1]), ["calendars/office.yaml"]);
        let apart = compile(&files).unwrap();
        assert_eq!(apart.digest, compiled(SAMPLE).digest);
        let again = super::super::compile::from_canonical(&apart.canonical).unwrap();
        assert_eq!(format!("{:?}", again.deadlines), format!("{:?}", apart.deadlines));
        let problems = compile(&files[..1]).err().unwrap();
        assert_eq!((problems.len(), problems[0].code, problems[0].line), (1, "missing-part", 7));
        let wrong = [file("definition.yaml", &head), file("calendars/office.yaml", "covered: x")];
        let problems = compile(&wrong).err().unwrap();
        assert!(problems.iter().all(|problem| problem.file == "calendars/office.yaml"), "{problems:?}");
    }
}
