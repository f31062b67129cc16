//! Tampering: a store is changed by every means that somebody with the disk has, and each is found. Which check finds it is
//! written in the table of `docs/audit.md`, and compared with it here.
//!
//! The journal is written by this file from the description in `docs/storage.md`, so that nothing is found only because the
//! forger's tools were bad: checksums, leaf hashes and chains are right wherever the row says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use casebook_engine::case::event::{CaseId, Position, RecordedEvent, Version};
use casebook_engine::engine::{Engine, Opening, RecordOptions};
use casebook_engine::own_case::CASE_ID;
use casebook_engine::signer::{Signer, believed};
use casebook_engine::store::codec::{decode, encode};
use casebook_engine::store::{CaseKey, LogCopy, OpenError, SledOptions, SledStore};
use casebook_engine::verify::{Demand, verify_against};
use casebook_tests::appends::leaf;
use casebook_tests::folders::copy;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::desk;

/// What is recorded: nine events of three cases, then the auditor's checkpoint, before which the ledger records two of its own, then
/// two more.
const RECORDED: [(&str, &str); 11] = [
    ("R/1", "case-opened on=2020-01-01 title=One"),
    ("R/2", "case-opened on=2020-01-01 title=Two"),
    ("R/1", "note-made text=first"),
    ("R/2", "note-made text=other"),
    ("R/3", "case-opened on=2020-01-01 title=Six"),
    ("R/1", "note-made text=third"),
    ("R/2", "person-named person=P1 name=P1 on=2020-02-01"),
    ("R/3", "note-made text=seven"),
    ("R/1", "note-made text=after"),
    ("R/2", "note-made text=later"),
    ("R/3", "note-made text=still"),
];
const BEFORE_CHECKPOINT: usize = 9;
/// The seal stands last in what the checkpoint covers.
const IN_CHECKPOINT: usize = 11;
const SEAL: usize = 10;

/// A store and what an auditor keeps of it elsewhere.
struct Scene {
    folder: tempfile::TempDir,
    store_id: Uuid,
    checkpoint: String,
}

/// An event in the forger's hands.
#[derive(Clone)]
struct Forged {
    case_id: CaseId,
    version: u64,
    leaf: [u8; 32],
    bytes: Vec<u8>,
}

fn open(path: &Path) -> Result<Engine, OpenError> {
    let store =
        SledStore::open_or_create(path, SledOptions { read_damaged: true, ..SledOptions::default() })?;
    if let Some(damage) = store.recovery().damage.clone() {
        return Err(OpenError::Damaged { damage, index_has: None });
    }
    let signer = Signer::new(store.path(), store.store_id());
    let engine = Engine::open(Arc::new(store), vec![desk::small()]).unwrap();
    engine.sign_with(signer);
    Ok(engine)
}

fn scene() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(&folder.path().join("store")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut checkpoint = String::new();
    for (number, (reference, line)) in RECORDED.into_iter().enumerate() {
        let event = desk::event(&desk::small(), line);
        let options = RecordOptions::default();
        if line.starts_with("case-opened") {
            let workflow = "small-inquiry".to_owned();
            let opening = Opening { reference: reference.into(), workflow, event, then: Vec::new() };
            runtime.block_on(engine.open_case(opening, options)).unwrap();
        } else {
            let case = CaseKey::Reference(reference.into());
            runtime.block_on(engine.record(&case, vec![event], options)).unwrap();
        }
        if number + 1 == BEFORE_CHECKPOINT {
            let signed = engine.sealer().unwrap().checkpoint().unwrap();
            assert_eq!(signed.checkpoint.size, IN_CHECKPOINT as u64);
            checkpoint = signed.note.to_string();
        }
    }
    let origin = engine.signer().unwrap().origin().to_owned();
    let store_id = origin.trim_start_matches("casebook/").parse().unwrap();
    Scene { folder, store_id, checkpoint }
}

impl Scene {
    /// Forges a copy of the store and says what finds that: without the auditor's checkpoint, and with it.
    fn found(&self, forge: impl Fn(&Self, &Path)) -> (String, String) {
        let mut found = ["", "brought"].map(|demand| {
            let copied = tempfile::tempdir().unwrap();
            let path = copied.path().join("store");
            copy(&self.folder.path().join("store"), &path).unwrap();
            forge(self, &path);
            self.look(&path, demand == "brought")
        });
        (std::mem::take(&mut found[0]), std::mem::take(&mut found[1]))
    }

    fn look(&self, path: &Path, with_checkpoint: bool) -> String {
        let Ok(engine) = open(path) else { return "opening".to_owned() };
        let mut demands = Vec::new();
        if with_checkpoint {
            // What `casebook audit verify --checkpoint` does: the key has to be one of this log.
            match believed(&self.checkpoint, &engine.signer().unwrap().known_keys().unwrap()) {
                Ok(checkpoint) => demands.push(Demand { from: "kept elsewhere".into(), checkpoint }),
                Err(_) => return "signature".to_owned(),
            }
        }
        let verified = verify_against(&engine, &demands, &|_| {}).unwrap();
        assert_eq!(verified.verified, verified.findings.is_empty());
        verified.findings.first().map_or_else(|| "nothing".to_owned(), |first| first.check.to_owned())
    }

    fn events(&self) -> Vec<Forged> {
        let copied = tempfile::tempdir().unwrap();
        copy(&self.folder.path().join("store"), &copied.path().join("store")).unwrap();
        let engine = open(&copied.path().join("store")).unwrap();
        let log = engine.store().raw_log(LogCopy::Archive, Position(0), 100).unwrap();
        let forged = log.into_iter().map(|event| Forged {
            case_id: event.case_id,
            version: event.version.0,
            leaf: event.leaf,
            bytes: event.bytes.to_vec(),
        });
        forged.collect()
    }

    /// Writes the journal anew from these events, in the groups in which the store had written it.
    fn write_journal(&self, path: &Path, events: &[Forged]) {
        let numbered: Vec<(u64, Forged)> = (1..).zip(events.iter().cloned()).collect();
        self.write_journal_at(path, &numbered);
    }

    fn write_journal_at(&self, path: &Path, events: &[(u64, Forged)]) {
        let mut segment = b"CASEJRN1".to_vec();
        segment.extend(self.store_id.as_bytes());
        segment.extend(1_u64.to_le_bytes());
        segment.extend(crc32c::crc32c(&segment).to_le_bytes());
        // One group each, but the ledger's opening and its first seal, which the store was given together.
        let are_together = |one: &(u64, Forged), other: &(u64, Forged)| {
            one.1.case_id == CASE_ID
                && other.1.case_id == CASE_ID
                && (one.1.version, other.1.version) == (1, 2)
        };
        for group in events.chunk_by(are_together) {
            let mut checksums = Vec::new();
            let mut openings = Vec::new();
            for (position, event) in group {
                let mut body = vec![1];
                body.extend(position.to_le_bytes());
                body.extend(event.case_id.0.as_bytes());
                body.extend(event.version.to_le_bytes());
                body.extend(event.leaf);
                body.extend(&event.bytes);
                checksums.extend(frame(&mut segment, &body).to_le_bytes());
                if event.version == 1 {
                    let reference = decode(&event.bytes).unwrap().case;
                    openings.extend(event.case_id.0.as_bytes());
                    openings.extend(u16::try_from(reference.len()).unwrap().to_le_bytes());
                    openings.extend(reference.as_bytes());
                }
            }
            let mut trailer = vec![2];
            trailer.extend(u32::try_from(group.len()).unwrap().to_le_bytes());
            trailer.extend(group[group.len() - 1].0.to_le_bytes());
            trailer.extend(crc32c::crc32c(&checksums).to_le_bytes());
            trailer.extend(u32::from(!openings.is_empty()).to_le_bytes());
            trailer.extend(openings);
            trailer.extend(0_u32.to_le_bytes());
            frame(&mut segment, &trailer);
        }
        fs::write(journal(path), segment).unwrap();
    }

    /// The journal is written anew, and what the store keeps beside it for speed is taken away: it is made again.
    fn rewrite(&self, path: &Path, events: &[Forged]) {
        self.write_journal(path, events);
        fs::remove_dir_all(path.join("sled")).unwrap();
    }
}

fn frame(segment: &mut Vec<u8>, body: &[u8]) -> u32 {
    let checksum = crc32c::crc32c(body);
    segment.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
    segment.extend(checksum.to_le_bytes());
    segment.extend(body);
    checksum
}

fn journal(path: &Path) -> PathBuf {
    path.join("journal/00000000000000000001.log")
}

fn edit(forged: &mut Forged, change: impl Fn(&mut RecordedEvent)) {
    let mut event = decode(&forged.bytes).unwrap();
    change(&mut event);
    forged.bytes = encode(&event).unwrap();
    forged.leaf = leaf(&forged.bytes);
    forged.version = event.version.0;
}

/// Gives a note another text of the same length.
fn say(forged: &mut Forged, text: &str) {
    edit(forged, |event| {
        assert!(event.proposed.data.insert("text".into(), text.into()).is_some());
    });
}

/// Makes versions and chains right again: what whoever rewrites everything does.
fn rechain(events: &mut [Forged]) {
    let mut last = std::collections::HashMap::new();
    for forged in events {
        let (version, prev) =
            last.get(&forged.case_id).map_or((0, None), |(version, leaf)| (*version, Some(*leaf)));
        edit(forged, |event| {
            event.version = Version(version + 1);
            event.prev = prev.map(|leaf: [u8; 32]| STANDARD.encode(leaf));
        });
        last.insert(forged.case_id, (forged.version, forged.leaf));
    }
}

/// The root of the map of case ends by its description, from a list of (key, leaf) and the depth.
fn map_root(ends: &[([u8; 32], [u8; 32])], depth: usize) -> [u8; 32] {
    match ends {
        [] => [0; 32],
        [(_, leaf)] => *leaf,
        _ => {
            let is_right = |key: &[u8; 32]| key[depth / 8] >> (7 - depth % 8) & 1 == 1;
            let (right, left): (Vec<_>, Vec<_>) = ends.iter().partition(|(key, _)| is_right(key));
            let below = [map_root(&left, depth + 1), map_root(&right, depth + 1)].concat();
            Sha256::digest([&[3], below.as_slice()].concat()).into()
        }
    }
}

/// Makes seals, versions and chains right again.
fn reseal(events: &mut [Forged]) {
    for at in 0..events.len() {
        rechain(events);
        if decode(&events[at].bytes).unwrap().proposed.event_type != "heads-sealed" {
            continue;
        }
        let last: std::collections::HashMap<CaseId, &Forged> =
            events[..at - 1].iter().map(|event| (event.case_id, event)).collect();
        let ends = last.iter().map(|(case_id, event)| {
            let key: [u8; 32] = Sha256::digest(case_id.0.as_bytes()).into();
            let version = event.version.to_be_bytes();
            (key, Sha256::digest([&[2], key.as_slice(), &version, &event.leaf].concat()).into())
        });
        let ends: Vec<_> = ends.collect();
        let (size, cases, root) = (at - 1, ends.len(), STANDARD.encode(map_root(&ends, 0)));
        edit(&mut events[at], |event| {
            event.proposed.data.insert("size".into(), size.into());
            event.proposed.data.insert("cases".into(), cases.into());
            event.proposed.data.insert("root".into(), root.clone().into());
        });
    }
    rechain(events);
}

/// Whoever has the disk has the key: what lies beside the log is made to fit it again.
fn sign_again(path: &Path) {
    fs::remove_dir_all(path.join("checkpoints")).unwrap();
    fs::remove_file(path.join("keys/last-signed")).unwrap();
    let engine = open(path).unwrap();
    engine.signer().unwrap().sign(engine.store().as_ref()).unwrap();
}

fn index(path: &Path, change: impl Fn(&sled::Db)) {
    let config = sled::Config::new().path(path.join("sled")).segment_size(8 * 1024 * 1024);
    let db = config.open().unwrap();
    change(&db);
    db.flush().unwrap();
}

type Forge = Box<dyn Fn(&Scene, &Path)>;

fn forging(change: impl Fn(&mut Vec<Forged>) + 'static, write: fn(&Scene, &Path, &[Forged])) -> Forge {
    Box::new(move |scene, path| {
        let mut events = scene.events();
        change(&mut events);
        write(scene, path, &events);
    })
}

/// Every means, in the order of the table.
#[expect(clippy::too_many_lines, reason = "one list")]
fn means() -> Vec<(&'static str, Forge)> {
    let third_case = |events: &mut Vec<Forged>| {
        let case = events[4].case_id;
        events.retain(|event| event.case_id != case);
    };
    vec![
        ("nothing is changed", Box::new(|_: &Scene, _: &Path| {}) as Forge),
        (
            "a byte of an event in the journal is changed",
            Box::new(|_: &Scene, path: &Path| {
                let mut bytes = fs::read(journal(path)).unwrap();
                let at = bytes.windows(5).position(|window| window == b"first").unwrap();
                bytes[at] ^= 1;
                fs::write(journal(path), bytes).unwrap();
            }),
        ),
        (
            "the same, its checksum made right",
            forging(
                |events| {
                    let leaf = events[2].leaf;
                    say(&mut events[2], "First");
                    events[2].leaf = leaf;
                },
                Scene::write_journal,
            ),
        ),
        (
            "the same, its leaf hash made right too",
            forging(|events| say(&mut events[2], "First"), Scene::write_journal),
        ),
        (
            "the last event of a case is changed, checksum and leaf hash right",
            forging(|events| say(&mut events[12], "Still"), Scene::write_journal),
        ),
        (
            "two events of one case change places",
            forging(
                |events| {
                    events.swap(2, 5);
                    let (one, other) = (events[2].version, events[5].version);
                    (events[2].version, events[5].version) = (other, one);
                },
                Scene::write_journal,
            ),
        ),
        ("two events of two cases change places", forging(|events| events.swap(2, 3), Scene::write_journal)),
        (
            "an event is removed",
            Box::new(|scene: &Scene, path: &Path| {
                let mut events: Vec<(u64, Forged)> = (1..).zip(scene.events()).collect();
                events.remove(5);
                scene.write_journal_at(path, &events);
            }),
        ),
        (
            "the same, later positions renumbered, the index taken away",
            forging(|events| drop(events.remove(5)), Scene::rewrite),
        ),
        (
            "an event gets another version",
            forging(|events| edit(&mut events[5], |event| event.version = Version(7)), Scene::write_journal),
        ),
        (
            "an event is put in, later versions, chain and hashes made right",
            forging(
                |events| {
                    let mut new = events[5].clone();
                    say(&mut new, "never");
                    events.insert(6, new);
                    rechain(events);
                },
                Scene::rewrite,
            ),
        ),
        ("the end of the log is cut off", forging(|events| events.truncate(8), Scene::write_journal)),
        ("the same, the index taken away", forging(|events| events.truncate(8), Scene::rewrite)),
        (
            "a whole case is dropped, everything else but the seal made right",
            forging(third_case, Scene::rewrite),
        ),
        (
            "the same, the seal made right too",
            forging(
                move |events| {
                    third_case(events);
                    reseal(events);
                },
                Scene::rewrite,
            ),
        ),
        (
            "the end of a case is cut off, everything else but the seal made right",
            forging(
                |events| {
                    events.remove(5);
                    rechain(events);
                },
                Scene::rewrite,
            ),
        ),
        (
            "a seal says another root, its hash made right",
            forging(
                |events| {
                    edit(&mut events[SEAL], |event| {
                        drop(event.proposed.data.insert("root".into(), STANDARD.encode([7; 32]).into()));
                    });
                },
                Scene::rewrite,
            ),
        ),
        (
            "a seal is removed, the index taken away",
            forging(|events| drop(events.remove(SEAL)), Scene::rewrite),
        ),
        (
            "an event is changed and everything after it made right",
            forging(
                |events| {
                    say(&mut events[2], "First");
                    reseal(events);
                },
                Scene::rewrite,
            ),
        ),
        (
            "the same, and the checkpoints beside the log signed anew with the stolen key",
            forging(
                |events| {
                    say(&mut events[2], "First");
                    reseal(events);
                },
                |scene, path, events| {
                    scene.rewrite(path, events);
                    sign_again(path);
                },
            ),
        ),
        (
            "the same, under a new key",
            forging(
                |events| {
                    say(&mut events[2], "First");
                    reseal(events);
                },
                |scene, path, events| {
                    scene.rewrite(path, events);
                    fs::remove_dir_all(path.join("keys")).unwrap();
                    fs::remove_dir_all(path.join("checkpoints")).unwrap();
                    let engine = open(path).unwrap();
                    engine.signer().unwrap().sign(engine.store().as_ref()).unwrap();
                },
            ),
        ),
        (
            "the end that no checkpoint covers is cut off, the index taken away",
            forging(|events| events.truncate(IN_CHECKPOINT), Scene::rewrite),
        ),
        (
            "an event in the index is changed",
            Box::new(|_: &Scene, path: &Path| {
                index(path, |db| {
                    let (key, run) = db.scan_prefix("l/").next().unwrap().unwrap();
                    let mut plain = lz4_flex::block::decompress_size_prepended(&run).unwrap();
                    let at = plain.windows(5).position(|window| window == b"first").unwrap();
                    plain[at] ^= 0x20;
                    db.insert(key, lz4_flex::block::compress_prepend_size(&plain)).unwrap();
                });
            }),
        ),
        (
            "a hash in a tile is changed",
            Box::new(|_: &Scene, path: &Path| {
                index(path, |db| {
                    let (key, tile) = db.scan_prefix("m/").next().unwrap().unwrap();
                    let mut hashes = tile.to_vec();
                    hashes[100] ^= 1;
                    db.insert(key, hashes).unwrap();
                });
            }),
        ),
        (
            "a checkpoint beside the log is changed",
            Box::new(|_: &Scene, path: &Path| {
                let file = path.join(format!("checkpoints/{IN_CHECKPOINT:020}"));
                let text = fs::read_to_string(&file).unwrap();
                fs::write(file, text.replacen("\n11\n", "\n10\n", 1)).unwrap();
            }),
        ),
        (
            "the key is taken away",
            Box::new(|_: &Scene, path: &Path| fs::remove_file(path.join("keys/signing-key")).unwrap()),
        ),
    ]
}

#[test]
fn every_tampering_is_found_by_the_check_that_the_documentation_names() {
    let scene = scene();
    let mut rows = Vec::new();
    for (what, forge) in means() {
        let (without, with) = scene.found(forge);
        rows.push(format!("| {what} | {without} | {with} |"));
    }
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/audit.md")).unwrap();
    let missing: Vec<&String> = rows.iter().filter(|row| !page.contains(row.as_str())).collect();
    assert!(missing.is_empty(), "docs/audit.md has another table than this:\n{}", rows.join("\n"));
    let found = |row: &&String| row.contains("| nothing |") || row.ends_with("nothing |");
    // What no check finds is what the page must say in words: an untouched store, a rewriting with the key where no checkpoint
    // was kept elsewhere, and an end that no checkpoint covers.
    assert_eq!(rows.iter().filter(found).count(), 4, "{}", rows.join("\n"));
}
