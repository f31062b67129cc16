//! The list of cases, with an index on the states of their strands.
//!
//! ```text
//! c/<reference>                        the case's summary, JSON; where that is long, its first piece
//! m/<reference>\0<number>              further pieces: a piece of full length is followed by another
//! s/<strand>=<state>\0<reference>      present where an instance of the strand is in the state
//! ```

use std::collections::BTreeSet;

use super::{ByCase, each, limit_of};
use crate::case::event::CaseId;
use crate::case::reading::CaseSummary;
use crate::case::telling;
use crate::engine::{CaseFilter, Engine};
use crate::store::{EventStore, MODEL_VALUE_BYTES_MAX, ModelWrite, ReadError, StorageError};

/// The model's name; the number changes with its shape, and an older one is left behind and rebuilt.
const MODEL: &str = "case-list-1";

/// The case list of one engine.
#[derive(Debug)]
pub(crate) struct CaseList(ByCase);

impl CaseList {
    pub(crate) fn new() -> Self {
        Self(ByCase::new(MODEL))
    }

    /// Reads the log from the model's checkpoint to its head.
    pub(crate) fn catch_up(&self, engine: &Engine) -> Result<(), ReadError> {
        self.0.catch_up(engine, |case_id, writes| summarise(engine, case_id, writes))
    }

    /// The cases that pass the filter, in order of reference.
    pub(crate) fn find(&self, engine: &Engine, filter: &CaseFilter) -> Result<Vec<CaseSummary>, ReadError> {
        let store = engine.store().as_ref();
        let limit = limit_of(filter.limit);
        let text = filter.text.as_ref().map(|text| text.to_lowercase());
        let prefix = match filter.states.first() {
            Some((strand, state)) => state_prefix(strand, state),
            None => b"c/".to_vec(),
        };
        let after = filter.after.as_ref().map(|reference| [&prefix[..], reference.as_bytes()].concat());
        let mut found = Vec::new();
        each(engine, MODEL, &prefix, after, |key, value| {
            let reference = &key[prefix.len()..];
            let first = match filter.states.is_empty() {
                true => Some(value.to_vec()),
                false => store.models().get(MODEL, &[b"c/", reference].concat())?,
            };
            if let Some(first) = first {
                let summary = read_summary(store, reference, first)?;
                found.extend(Some(summary).filter(|summary| passes(summary, filter, text.as_deref())));
            }
            Ok(found.len() < limit)
        })?;
        Ok(found)
    }

    /// Of these cases, those that pass the filter, in order of reference.
    pub(crate) fn among(
        &self,
        engine: &Engine,
        references: &BTreeSet<String>,
        filter: &CaseFilter,
    ) -> Result<Vec<CaseSummary>, ReadError> {
        let store = engine.store().as_ref();
        let limit = limit_of(filter.limit);
        let text = filter.text.as_ref().map(|text| text.to_lowercase());
        let mut found = Vec::new();
        for reference in
            references.iter().filter(|reference| filter.after.as_ref().is_none_or(|after| *reference > after))
        {
            let key = [b"c/", reference.as_bytes()].concat();
            let Some(first) = store.models().get(MODEL, &key)? else { continue };
            let summary = read_summary(store, reference.as_bytes(), first)?;
            if passes(&summary, filter, text.as_deref()) {
                found.push(summary);
                if found.len() == limit {
                    break;
                }
            }
        }
        Ok(found)
    }
}

/// Writes the case's summary and moves its index entries.
fn summarise(engine: &Engine, case_id: CaseId, writes: &mut Vec<ModelWrite>) -> Result<(), ReadError> {
    let loaded = engine.replay(case_id)?;
    let summary = telling::summary(&loaded.state);
    let key = [b"c/", summary.reference.as_bytes()].concat();
    let before = engine.store().models().get(MODEL, &key)?;
    let before =
        before.map(|first| read_summary(engine.store().as_ref(), summary.reference.as_bytes(), first));
    let before = before.transpose()?;
    let old = before.as_ref().map(index_keys).unwrap_or_default();
    let new = index_keys(&summary);
    writes.extend(old.difference(&new).map(|key| (key.clone(), None)));
    writes.extend(new.difference(&old).map(|key| (key.clone(), Some(Vec::new()))));
    let value = serde_json::to_vec(&summary).map_err(|error| broken(&error))?;
    write_pieces(key, summary.reference.as_bytes(), &value, writes);
    Ok(())
}

/// A summary grows with the entities of its case, and a value of a model has a limit.
fn write_pieces(key: Vec<u8>, reference: &[u8], value: &[u8], writes: &mut Vec<ModelWrite>) {
    let (first, mut rest) = value.split_at(value.len().min(MODEL_VALUE_BYTES_MAX));
    let mut last_length = first.len();
    writes.push((key, Some(first.to_vec())));
    for number in 1.. {
        if last_length < MODEL_VALUE_BYTES_MAX {
            return;
        }
        let (piece, after) = rest.split_at(rest.len().min(MODEL_VALUE_BYTES_MAX));
        writes.push((piece_key(reference, number), Some(piece.to_vec())));
        (last_length, rest) = (piece.len(), after);
    }
}

fn piece_key(reference: &[u8], number: u32) -> Vec<u8> {
    [b"m/", reference, format!("\0{number:06}").as_bytes()].concat()
}

fn index_keys(summary: &CaseSummary) -> BTreeSet<Vec<u8>> {
    summary
        .states
        .iter()
        .map(|(strand, state)| {
            let strand = strand.split_once('/').map_or(strand.as_str(), |(strand, _)| strand);
            [&state_prefix(strand, state)[..], summary.reference.as_bytes()].concat()
        })
        .collect()
}

fn state_prefix(strand: &str, state: &str) -> Vec<u8> {
    format!("s/{strand}={state}\0").into_bytes()
}

fn read_summary(store: &dyn EventStore, reference: &[u8], first: Vec<u8>) -> Result<CaseSummary, ReadError> {
    let mut value = first;
    let mut last_length = value.len();
    for number in 1.. {
        if last_length < MODEL_VALUE_BYTES_MAX {
            break;
        }
        let piece = store.models().get(MODEL, &piece_key(reference, number))?.unwrap_or_default();
        last_length = piece.len();
        value.extend(piece);
    }
    serde_json::from_slice(&value).map_err(|error| broken(&error))
}

fn broken(error: &serde_json::Error) -> ReadError {
    ReadError::Storage(StorageError::new("reading the case list", error.to_string()))
}

fn passes(summary: &CaseSummary, filter: &CaseFilter, text: Option<&str>) -> bool {
    let in_state = |(strand, state): &(String, String)| {
        summary.states.iter().any(|(name, known)| {
            known == state && (name == strand || name.split_once('/').is_some_and(|(name, _)| name == strand))
        })
    };
    let has_text = |text: &str| {
        summary.reference.to_lowercase().contains(text)
            || summary.title.as_ref().is_some_and(|title| title.to_lowercase().contains(text))
    };
    filter.states.iter().all(in_state) && text.is_none_or(has_text)
}
