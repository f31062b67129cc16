//! Histories in and out: event files ([`jsonl`], of any length: [`indexed_file`]) with the procedure
//! that records them ([`import`], many cases at a time: [`import_window`]) and the one that takes
//! them over byte for byte ([`as_is`]), tables ([`csv`]), events for brokers ([`cloud_events`]), and logs for process
//! mining ([`xes`], [`ocel`]), which both write what [`told`] tells.

pub mod as_is;
pub mod cloud_events;
pub mod csv;
pub mod import;
pub mod import_window;
pub mod indexed_file;
pub mod jsonl;
mod line_sort;
pub mod ocel;
pub mod told;
pub mod xes;

/// The name that JSON has for a value of an enumeration.
fn serialised_name(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
