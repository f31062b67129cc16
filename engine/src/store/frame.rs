//! The journal's bytes: groups of frames, readable without anything else of Casebook.
//!
//! ```text
//! segment   "CASEJRN1"  store id (16)  first position u64  CRC-32C u32 of these 32 bytes
//!           group, group, …
//! group     event frame, one per event; then one trailer frame
//! frame     length u32 of the body  CRC-32C u32 of the body  body
//! event     1  position u64  case id (16)  version u64  leaf hash (32)  canonical bytes: plain JSON
//! trailer   2  count u32  last position u64  CRC-32C u32 of the event frames' checksums
//!           openings u32: case id (16), reference (u16 length, UTF-8)
//!           answers u32: key (u16 length, UTF-8), request hash (32), at i64, first version u64,
//!                        last version u64, last position u64
//! ```
//! Numbers are little-endian. A group without its trailer was never acknowledged.

use std::sync::Arc;

use uuid::Uuid;

use crate::case::event::{CaseId, Position, Version};

use super::{Appended, EVENT_BYTES_MAX, Idempotency, StoredEvent};

/// Length of a segment's header, bytes.
pub(super) const HEADER_BYTES: usize = 36;
/// Length and checksum before a body.
const FRAME_HEAD_BYTES: usize = 8;
/// An event's body before its canonical bytes.
const EVENT_HEAD_BYTES: usize = 1 + 8 + 16 + 8 + 32;
/// The longest trailer: far above what the queue's limits let into one group; keeps a broken length from allocating.
const TRAILER_BYTES_MAX: usize = 32 * 1024 * 1024;

const MAGIC: &[u8; 8] = b"CASEJRN1";
const KIND_EVENT: u8 = 1;
const KIND_TRAILER: u8 = 2;

/// A case's first event brings its reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CaseOpening {
    pub(super) case_id: CaseId,
    pub(super) reference: String,
}

/// An append made under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeptAnswer {
    pub(super) idempotency: Idempotency,
    pub(super) appended: Appended,
}

/// What one write and one sync put on disk. Never empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) events: Vec<StoredEvent>,
    pub(super) openings: Vec<CaseOpening>,
    pub(super) answers: Vec<KeptAnswer>,
}

impl Group {
    pub(super) fn last(&self) -> Position {
        self.events.last().map_or_else(Position::default, |event| event.position)
    }

    /// What it takes in memory, roughly, bytes.
    pub(super) fn weight(&self) -> usize {
        self.events.iter().map(|event| event.bytes.len() + EVENT_WEIGHT).sum()
    }
}

/// What an event takes in memory beside its bytes, roughly.
pub(super) const EVENT_WEIGHT: usize = 160;

/// The header of a segment.
pub(super) fn header(store_id: Uuid, first: Position) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..24].copy_from_slice(store_id.as_bytes());
    bytes[24..32].copy_from_slice(&first.0.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..32]);
    bytes[32..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Appends a group's frames to a buffer.
pub(super) fn encode(group: &Group, out: &mut Vec<u8>) {
    let mut checksums = 0;
    for event in &group.events {
        let start = begin_frame(out);
        out.push(KIND_EVENT);
        out.extend_from_slice(&event.position.0.to_le_bytes());
        out.extend_from_slice(event.case_id.0.as_bytes());
        out.extend_from_slice(&event.version.0.to_le_bytes());
        out.extend_from_slice(&event.leaf);
        out.extend_from_slice(&event.bytes);
        let checksum = end_frame(out, start);
        checksums = crc32c::crc32c_append(checksums, &checksum.to_le_bytes());
    }
    let start = begin_frame(out);
    out.push(KIND_TRAILER);
    out.extend_from_slice(&count(group.events.len()));
    out.extend_from_slice(&group.last().0.to_le_bytes());
    out.extend_from_slice(&checksums.to_le_bytes());
    out.extend_from_slice(&count(group.openings.len()));
    for opening in &group.openings {
        out.extend_from_slice(opening.case_id.0.as_bytes());
        put_text(out, &opening.reference);
    }
    out.extend_from_slice(&count(group.answers.len()));
    for answer in &group.answers {
        put_answer(out, answer);
    }
    end_frame(out, start);
}

/// An answer as trailer and index keep it.
pub(super) fn put_answer(out: &mut Vec<u8>, answer: &KeptAnswer) {
    put_text(out, &answer.idempotency.key);
    out.extend_from_slice(&answer.idempotency.request_hash);
    out.extend_from_slice(&answer.idempotency.at_micros.to_le_bytes());
    out.extend_from_slice(&answer.appended.first_version.0.to_le_bytes());
    out.extend_from_slice(&answer.appended.last_version.0.to_le_bytes());
    out.extend_from_slice(&answer.appended.last_position.0.to_le_bytes());
}

fn count(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()
}

fn begin_frame(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEAD_BYTES]);
    start
}

fn end_frame(out: &mut [u8], start: usize) -> u32 {
    let body = start + FRAME_HEAD_BYTES;
    let length = count(out.len() - body);
    let checksum = crc32c::crc32c(&out[body..]);
    out[start..start + 4].copy_from_slice(&length);
    out[start + 4..body].copy_from_slice(&checksum.to_le_bytes());
    checksum
}

/// Text of at most 65,535 bytes; longer is refused long before.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&text.as_bytes()[..usize::from(length)]);
}

/// A frame as read.
#[derive(Debug)]
pub(super) enum Frame {
    /// One event, and its frame's checksum.
    Event(StoredEvent, u32),
    /// The end of a group.
    Trailer(Trailer),
}

/// The end of a group.
#[derive(Debug)]
pub(super) struct Trailer {
    pub(super) events: u64,
    pub(super) last: Position,
    pub(super) checksums: u32,
    pub(super) openings: Vec<CaseOpening>,
    pub(super) answers: Vec<KeptAnswer>,
}

/// How long the body of the frame that starts here is, if its head can be one.
pub(super) fn body_length(head: [u8; FRAME_HEAD_BYTES]) -> Option<usize> {
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    (length > 0 && length <= TRAILER_BYTES_MAX.max(EVENT_HEAD_BYTES + EVENT_BYTES_MAX)).then_some(length)
}

/// Whether a body that begins so is a trailer.
pub(super) fn is_trailer(body: &[u8]) -> bool {
    body.first() == Some(&KIND_TRAILER)
}

/// Length of a frame's head, bytes.
pub(super) const fn head_bytes() -> usize {
    FRAME_HEAD_BYTES
}

/// Reads the body of a frame, its checksum first.
pub(super) fn parse(head: [u8; FRAME_HEAD_BYTES], body: &[u8]) -> Result<Frame, String> {
    let checksum = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    if crc32c::crc32c(body) != checksum {
        return Err("the checksum of a frame does not fit its bytes".to_owned());
    }
    let mut fields = Fields(body);
    match fields.byte() {
        Some(KIND_EVENT) => fields.event().map(|event| Frame::Event(event, checksum)),
        Some(KIND_TRAILER) => fields.trailer().map(Frame::Trailer),
        _ => None,
    }
    .ok_or_else(|| "a frame has a valid checksum and an unknown shape".to_owned())
}

/// Takes fields off the front of bytes; `None` where they are too short.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn case_id(&mut self) -> Option<CaseId> {
        self.array().map(|bytes| CaseId(Uuid::from_bytes(bytes)))
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let length = self.u16()?;
        String::from_utf8(self.take(usize::from(length))?.to_vec()).ok()
    }

    pub(super) fn answer(&mut self) -> Option<KeptAnswer> {
        Some(KeptAnswer {
            idempotency: Idempotency {
                key: self.text()?,
                request_hash: self.array()?,
                at_micros: self.array().map(i64::from_le_bytes)?,
            },
            appended: Appended {
                first_version: Version(self.u64()?),
                last_version: Version(self.u64()?),
                last_position: Position(self.u64()?),
                replayed: false,
            },
        })
    }

    fn event(&mut self) -> Option<StoredEvent> {
        Some(StoredEvent {
            position: Position(self.u64()?),
            case_id: self.case_id()?,
            version: Version(self.u64()?),
            leaf: self.array()?,
            bytes: Arc::from(std::mem::take(&mut self.0)),
        })
    }

    fn trailer(&mut self) -> Option<Trailer> {
        let events = u64::from(self.u32()?);
        let last = Position(self.u64()?);
        let checksums = self.u32()?;
        let mut openings = Vec::new();
        for _ in 0..self.u32()? {
            openings.push(CaseOpening { case_id: self.case_id()?, reference: self.text()? });
        }
        let mut answers = Vec::new();
        for _ in 0..self.u32()? {
            answers.push(self.answer()?);
        }
        (self.0.is_empty() && events > 0).then_some(Trailer { events, last, checksums, openings, answers })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::leaf_hash;

    fn stored(position: u64, case: u128, bytes: Vec<u8>) -> StoredEvent {
        StoredEvent {
            position: Position(position),
            version: Version(position),
            case_id: CaseId(Uuid::from_u128(case)),
            leaf: leaf_hash(&bytes),
            bytes: Arc::from(bytes),
        }
    }

    fn groups() -> impl Strategy<Value = Group> {
        let events = prop::collection::vec((any::<u128>(), prop::collection::vec(any::<u8>(), 1..300)), 1..6);
        let answers =
            prop::collection::vec(("[a-zé]{1,20}", any::<[u8; 32]>(), any::<i64>(), any::<u64>()), 0..4);
        let openings = prop::collection::vec((any::<u128>(), "\\PC{1,30}"), 0..4);
        (events, openings, answers, 1..1_000_000_u64).prop_map(|(events, openings, answers, first)| Group {
            events: (first..).zip(events).map(|(at, (case, bytes))| stored(at, case, bytes)).collect(),
            openings: openings
                .into_iter()
                .map(|(case, reference)| CaseOpening { case_id: CaseId(Uuid::from_u128(case)), reference })
                .collect(),
            answers: answers
                .into_iter()
                .map(|(key, request_hash, at_micros, number)| KeptAnswer {
                    idempotency: Idempotency { key, request_hash, at_micros },
                    appended: Appended {
                        first_version: Version(number),
                        last_version: Version(number),
                        last_position: Position(number),
                        replayed: false,
                    },
                })
                .collect(),
        })
    }

    /// Reads frames until they end or one is broken; says how many were read and whether the bytes ended there.
    fn frames(mut bytes: &[u8]) -> (Vec<Frame>, bool) {
        let mut frames = Vec::new();
        while let Some((head, rest)) = bytes.split_first_chunk::<FRAME_HEAD_BYTES>() {
            let Some(body) = body_length(*head).and_then(|length| rest.get(..length)) else { break };
            let Ok(frame) = parse(*head, body) else { break };
            frames.push(frame);
            bytes = &rest[body.len()..];
        }
        (frames, bytes.is_empty())
    }

    proptest! {
        #[test]
        fn a_group_is_read_as_it_was_written(group in groups()) {
            let mut bytes = Vec::new();
            encode(&group, &mut bytes);
            let (mut frames, ended) = frames(&bytes);
            prop_assert!(ended);
            let Some(Frame::Trailer(trailer)) = frames.pop() else { panic!("a group ends with its trailer") };
            prop_assert_eq!(trailer.events, group.events.len() as u64);
            prop_assert_eq!(trailer.last, group.last());
            prop_assert_eq!(trailer.openings, group.openings);
            prop_assert_eq!(trailer.answers, group.answers);
            let mut checksums = 0;
            for (frame, wanted) in frames.into_iter().zip(&group.events) {
                let Frame::Event(event, checksum) = frame else { panic!("events stand before the trailer") };
                checksums = crc32c::crc32c_append(checksums, &checksum.to_le_bytes());
                prop_assert_eq!((event.position, event.version, event.case_id), (wanted.position, wanted.version, wanted.case_id));
                prop_assert_eq!((event.leaf, event.bytes), (wanted.leaf, Arc::clone(&wanted.bytes)));
            }
            prop_assert_eq!(trailer.checksums, checksums);
        }

        #[test]
        fn a_flipped_bit_breaks_a_frame(group in groups(), place in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let mut bytes = Vec::new();
            encode(&group, &mut bytes);
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            let (frames, ended) = frames(&bytes);
            prop_assert!(!ended);
            prop_assert!(frames.len() <= group.events.len());
        }

        #[test]
        fn a_cut_group_has_no_trailer(group in groups(), place in any::<prop::sample::Index>()) {
            let mut bytes = Vec::new();
            encode(&group, &mut bytes);
            bytes.truncate(place.index(bytes.len()));
            let has_trailer = frames(&bytes).0.iter().any(|frame| matches!(frame, Frame::Trailer(_)));
            prop_assert!(!has_trailer);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            frames(&bytes);
            let mut head = [0; FRAME_HEAD_BYTES];
            head[4..].copy_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
            let _ = parse(head, &bytes);
        }
    }

    #[test]
    fn the_leaf_hash_is_that_of_rfc_6962() {
        // SHA-256 of 0x00 alone: the leaf hash of an empty entry, as published with RFC 6962 test data.
        let hex: String = leaf_hash(b"").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    }
}
