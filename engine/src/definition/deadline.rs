//! Deadlines: what has to happen by when, once something has happened.
//!
//! A deadline belongs to the case or to each entity of a kind. A start opens a *round*; what meets it or makes it fall away
//! ends the round. When rounds are due, and whether they were met, follows from the timeline: nothing about a deadline is
//! stored but what people record.

use serde_json::{Map, Value};

use super::condition::Condition;
use super::period::{Counting, Length};
use super::{CalendarId, DeadlineId, Definition, EventTypeId, KindId, RoleId};

/// A duty that something happen by a certain time.
#[derive(Debug)]
pub struct Deadline {
    /// Its name.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// One for each entity of this kind; `None`: one for the case.
    pub per: Option<KindId>,
    /// The duty exists only while this holds; always where absent.
    pub when: Option<Condition>,
    /// What starts it.
    pub starts: Vec<Start>,
    /// What a further start does.
    pub on_repeat: OnRepeat,
    /// When it is due.
    pub due: Due,
    /// How it goes on once a round has ended.
    pub repeats: Option<Repeats>,
    /// What meets it.
    pub met_by: Vec<Trigger>,
    /// What makes it fall away.
    pub void_by: Vec<Trigger>,
    /// Time during which this holds is left out of account.
    pub paused_while: Option<Condition>,
    /// Who may adjust it, and how; `None`: nobody.
    pub adjust: Option<Adjust>,
    /// What follows once it is missed.
    pub missed: Missed,
    /// The law or policy it comes from.
    pub basis: Option<String>,
}

/// An event that a deadline waits for: a type, and values that its payload must have.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// The event type.
    pub on: EventTypeId,
    /// Field, and the constants one of which it must equal; all must match. Empty always matches.
    pub matches: Vec<(String, Vec<Value>)>,
}

/// An event that starts a deadline.
#[derive(Debug, Clone)]
pub struct Start {
    /// The event.
    pub trigger: Trigger,
    /// The date in its payload from which the period is counted; `None`: the day on which the event occurred.
    pub from: Option<Vec<String>>,
}

/// What a further start does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRepeat {
    /// While a round is running, nothing; after it, another round begins.
    Keep,
    /// The running round starts over; after it, another round begins.
    Restart,
    /// Nothing, ever: the first start counts.
    Once,
}

/// When a deadline is due. Ends are the midnight that ends the day, in the definition's time zone.
#[derive(Debug, Clone)]
pub enum Due {
    /// A period, counted from the start.
    Period {
        /// How long.
        term: Term,
        /// How its days are counted.
        counting: Counting,
        /// The calendar of working days, where one is needed.
        calendar: Option<CalendarId>,
    },
    /// Not before the one and not after the other, both counted from the start; at least one is there.
    Window {
        /// The first day on which it may happen.
        no_earlier_than: Option<Length>,
        /// The last one.
        no_later_than: Option<Length>,
        /// How their days are counted.
        counting: Counting,
        /// The calendar of working days, where one is needed.
        calendar: Option<CalendarId>,
    },
    /// The day stands in this field of the starting event's payload.
    At(Vec<String>),
}

/// How long a period is.
#[derive(Debug, Clone)]
pub enum Term {
    /// As the definition says.
    Fixed(Length),
    /// As this field of the starting event's payload says.
    Field(Vec<String>),
}

/// How a deadline goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// What meets a round starts the next one, of this length, on its own day.
    FromMeeting(Length),
    /// The end of each round is where the next begins, met or not, of this length.
    FromEnd(Length),
}

/// Who may adjust a deadline, and how.
#[derive(Debug, Clone)]
pub struct Adjust {
    /// The roles.
    pub by: Vec<RoleId>,
    /// The ways.
    pub kinds: Vec<Adjustment>,
}

/// A way to adjust a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adjustment {
    /// It is due later.
    Extended,
    /// It is due sooner.
    Reduced,
    /// A span of days does not count.
    LeftOut,
    /// The period starts over.
    Restarted,
}

/// What follows once a deadline is missed.
#[derive(Debug, Clone)]
pub enum Missed {
    /// It is shown.
    Notice,
    /// A breach is noted.
    Breach,
    /// This event is recorded when the miss is noted.
    Event {
        /// Its type.
        event: EventTypeId,
        /// Its payload.
        data: Map<String, Value>,
    },
}

impl Adjustment {
    /// Every way, as definitions and events write it.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("extended", Self::Extended),
        ("reduced", Self::Reduced),
        ("left-out", Self::LeftOut),
        ("restarted", Self::Restarted),
    ];

    /// The way of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, adjustment)| *adjustment)
    }

    /// As definitions and events write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Extended => "extended",
            Self::Reduced => "reduced",
            Self::LeftOut => "left-out",
            Self::Restarted => "restarted",
        }
    }
}

impl Trigger {
    /// Whether an event of this type and payload is meant. What a gap leaves open is not taken for a match.
    #[must_use]
    pub fn matches(&self, event: EventTypeId, data: &Map<String, Value>) -> bool {
        self.on == event
            && self
                .matches
                .iter()
                .all(|(field, values)| data.get(field).is_some_and(|value| values.contains(value)))
    }
}

impl Deadline {
    /// Every event type that it mentions outside its conditions: starts, meets, makes void, follows.
    pub fn events(&self) -> impl Iterator<Item = EventTypeId> + '_ {
        let starts = self.starts.iter().map(|start| start.trigger.on);
        let follows = match &self.missed {
            Missed::Event { event, .. } => Some(*event),
            Missed::Notice | Missed::Breach => None,
        };
        starts.chain(self.met_by.iter().chain(&self.void_by).map(|trigger| trigger.on)).chain(follows)
    }

    /// The calendar that it counts with.
    #[must_use]
    pub fn calendar(&self) -> Option<CalendarId> {
        match &self.due {
            Due::Period { calendar, .. } | Due::Window { calendar, .. } => *calendar,
            Due::At(_) => None,
        }
    }

    /// How its days are counted; `None` where the day itself stands in an event.
    #[must_use]
    pub fn counting(&self) -> Option<Counting> {
        match &self.due {
            Due::Period { counting, .. } | Due::Window { counting, .. } => Some(*counting),
            Due::At(_) => None,
        }
    }

    /// When it is due, in words: `10 working days from the first working day after; then every month`.
    #[must_use]
    pub fn due_in_words(&self) -> String {
        let repeats = self.repeats_in_words().map(|repeats| format!("; {repeats}")).unwrap_or_default();
        self.first_due_in_words() + &repeats
    }

    /// How it goes on after its first round: `then every month`.
    #[must_use]
    pub fn repeats_in_words(&self) -> Option<String> {
        self.repeats.map(|repeats| match repeats {
            Repeats::FromMeeting(length) => format!("then {length} from each time it was met"),
            Repeats::FromEnd(length) => format!("then every {length}"),
        })
    }

    /// When its first round is due: `10 working days from the first working day after`.
    #[must_use]
    pub fn first_due_in_words(&self) -> String {
        match &self.due {
            Due::At(field) => format!("on the day in {}", field.join(".")),
            Due::Period { counting: counting @ Counting::FollowingDay, .. } => counting.in_words().to_owned(),
            Due::Period { term: Term::Fixed(length), counting, .. } => {
                format!("{length} {}", counting.in_words())
            }
            Due::Period { term: Term::Field(field), counting, .. } => {
                format!("as long as {} says, {}", field.join("."), counting.in_words())
            }
            Due::Window { no_earlier_than, no_later_than, counting, .. } => {
                let edges = [("no earlier than", no_earlier_than), ("no later than", no_later_than)];
                let edges =
                    edges.iter().filter_map(|(words, length)| Some(format!("{words} {}", length.as_ref()?)));
                format!("{} {}", edges.collect::<Vec<_>>().join(" and "), counting.in_words())
            }
        }
    }
}

impl Definition {
    /// The deadline of this name.
    #[must_use]
    pub fn deadline(&self, name: &str) -> Option<DeadlineId> {
        let names = self.deadlines.iter().map(|deadline| deadline.name.as_str());
        super::position_of(names, name).map(DeadlineId)
    }
}
