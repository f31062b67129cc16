//! The Merkle tree covers exactly what is acknowledged, in every store, after every way of opening one.

use std::path::Path;

use casebook_engine::case::event::Position;
use casebook_engine::ledger::tree::{Hash, TILE_HASHES, TileId, check_consistency, check_inclusion};
use casebook_engine::store::{EventStore, LogTree, MemoryStore, SledOptions, SledStore};
use casebook_tests::appends::{append, whole_log};
use sha2::{Digest, Sha256};

/// The root by the words of RFC 6962, computed without the engine.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        more => {
            let (left, right) = more.split_at(more.len().next_power_of_two() / 2);
            Sha256::digest([&[1], root(left).as_slice(), root(right).as_slice()].concat()).into()
        }
    }
}

fn leaves(store: &dyn EventStore) -> Vec<Hash> {
    whole_log(store).iter().map(|event| event.leaf).collect()
}

/// The tree of a store is that of its log, and proves each event and each earlier size asked about.
#[track_caller]
fn check_tree(store: &dyn EventStore, sizes: &[u64]) {
    let leaves = leaves(store);
    let tree = LogTree::at_head(store).unwrap();
    assert_eq!(tree.size(), leaves.len() as u64);
    assert_eq!(tree.root(), root(&leaves));
    for size in sizes {
        let old = root(&leaves[..usize::try_from(*size).unwrap()]);
        assert_eq!(tree.root_at(*size).unwrap(), old);
        let path = tree.consistency_proof(*size).unwrap();
        check_consistency((*size, &old), (tree.size(), &tree.root()), &path).unwrap();
        let Some(leaf) = size.checked_sub(1) else { continue };
        let path = tree.inclusion_proof(Position(*size)).unwrap();
        let hash = &leaves[usize::try_from(leaf).unwrap()];
        check_inclusion(leaf, hash, tree.size(), &tree.root(), &path).unwrap();
    }
    assert!(tree.root_at(tree.size() + 1).is_err());
    assert!(tree.consistency_proof(tree.size() + 1).is_err());
    assert!(tree.inclusion_proof(Position(tree.size() + 1)).is_err());
    assert!(tree.inclusion_proof(Position(0)).is_err());
}

/// Every tile that the store keeps, up to the first that it does not.
fn tiles(store: &dyn EventStore) -> Vec<(u8, u64, Vec<Hash>)> {
    let mut found = Vec::new();
    for level in 0_u8..8 {
        for index in 0_u64.. {
            let hashes = store.tile(TileId { level, index }).unwrap();
            if hashes.is_empty() {
                break;
            }
            found.push((level, index, hashes));
        }
    }
    found
}

fn open(path: &Path, settle_events: usize) -> SledStore {
    SledStore::open_or_create(path, SledOptions { settle_events, ..SledOptions::default() }).unwrap()
}

#[test]
fn the_tree_covers_exactly_the_acknowledged_events() {
    let folder = tempfile::tempdir().unwrap();
    let stores: [&dyn EventStore; 4] = [
        &MemoryStore::new(),
        &open(&folder.path().join("all-in-the-tail"), 1_000_000),
        &open(&folder.path().join("behind"), 100),
        &open(&folder.path().join("at-once"), 1),
    ];
    for store in stores {
        check_tree(store, &[0]);
        for case in 0..60 {
            store.append(append(case, 0, 1 + case % 23)).unwrap();
            let head = store.head().borrow().0;
            check_tree(store, &[0, 1, head / 2, head - 1, head]);
        }
        assert!(leaves(store).len() > 2 * TILE_HASHES);
    }
}

#[test]
fn a_tree_of_two_levels_of_tiles_is_found_again_by_opening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    for round in 0..8 {
        let store = open(&path, 300);
        for case in 0..9 {
            store.append(append(round * 100 + case, 0, 1_000)).unwrap();
        }
        drop(store);
        let store = open(&path, 300);
        assert_eq!(store.recovery().rebuilt, None);
        assert_eq!(store.tree_size().unwrap(), (round + 1) * 9_000, "a clean close leaves nothing to hash");
    }
    let store = open(&path, 300);
    check_tree(&store, &[256, 65_535, 65_537]);
    assert_eq!(
        store.tile(TileId { level: 2, index: 0 }).unwrap().len(),
        1,
        "65,536 events fill a tile of tiles"
    );
}

#[test]
fn a_rebuilt_index_has_the_same_tiles() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open(&path, 77);
    for case in 0..40 {
        store.append(append(case, 0, 40)).unwrap();
    }
    drop(store);
    let before = tiles(&open(&path, 77));
    assert_eq!(before.len(), 8, "seven tiles of leaves, one above");
    std::fs::remove_dir_all(path.join("sled")).unwrap();
    let store = open(&path, 77);
    assert!(store.recovery().rebuilt.is_some());
    assert_eq!(tiles(&store), before);
}

#[test]
fn an_index_of_the_format_before_the_tree_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open(&path, 10);
    for case in 0..30 {
        store.append(append(case, 0, 20)).unwrap();
    }
    let before = leaves(&store);
    drop(store);
    let config = sled::Config::new().path(path.join("sled")).segment_size(8 * 1024 * 1024);
    let index = config.open().unwrap();
    for key in index.scan_prefix("m/").keys() {
        index.remove(key.unwrap()).unwrap();
    }
    index.insert("x/format", &[2]).unwrap();
    index.flush().unwrap();
    drop(index);
    let store = open(&path, 10);
    let reason = store.recovery().rebuilt.as_ref().unwrap().reason.clone();
    assert!(reason.contains("format 2"), "{reason}");
    assert_eq!(leaves(&store), before);
    check_tree(&store, &[1, 300, 599]);
}
