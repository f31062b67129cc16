//! The Merkle tree over all events, in order of position: RFC 6962, section 2.1, cut into tiles as C2SP tlog-tiles does.
//!
//! ```text
//! level 1   tile (1,0): H H H …                      each hash of a level is the root of a full tile of the level below
//!                       │ │
//! level 0   tile (0,0): 256 leaves   (0,1): 256 leaves   (0,2): 17 leaves, a part so far
//! ```
//! The event at position p is the leaf p − 1. A tile never changes once it is full, so that the past is never hashed again:
//! what grows is the [`Frontier`], the last tile of each level.

use sha2::{Digest, Sha256};

/// A hash of the tree.
pub type Hash = [u8; 32];

/// How many hashes a full tile has: the leaves of a tree of height 8.
pub const TILE_HASHES: usize = 256;

/// A level of tiles is so many levels of the tree.
const TILE_HEIGHT: u32 = 8;

/// Stands before two hashes that are hashed together, so that no node can pass for an event.
const NODE_PREFIX: [u8; 1] = [0x01];

/// The hash of two nodes side by side.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update(NODE_PREFIX).chain_update(left).chain_update(right).finalize().into()
}

/// The root of a tree without leaves: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The place of a tile: its level, and its number in that level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// 0: its hashes are leaves. At most 7.
    pub level: u8,
    /// From 0.
    pub index: u64,
}

/// A tile that should be there is not, or has too few hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tile {} of level {} has fewer hashes than the tree has grown to", tile.index, tile.level)]
pub struct MissingHashes {
    /// The tile.
    pub tile: TileId,
}

/// The right edge of a tree: the last tile of each level, never more than 255 hashes each. All that growing needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    edges: Vec<Vec<Hash>>,
}

impl Frontier {
    /// The edge of a tree of this size, from its tiles. A tile may have more hashes than the tree had at that size.
    ///
    /// # Errors
    /// When a tile can't be read, or has too few hashes.
    pub fn load<E: From<MissingHashes>>(
        size: u64,
        read: &mut dyn FnMut(TileId) -> Result<Vec<Hash>, E>,
    ) -> Result<Self, E> {
        let mut edges = Vec::new();
        for level in 0_u8..8 {
            let at_level = size >> (TILE_HEIGHT * u32::from(level));
            if at_level == 0 {
                break;
            }
            let (index, count) = split(at_level);
            let tile = TileId { level, index };
            let mut hashes = if count == 0 { Vec::new() } else { read(tile)? };
            if hashes.len() < count {
                return Err(MissingHashes { tile }.into());
            }
            hashes.truncate(count);
            edges.push(hashes);
        }
        Ok(Self { size, edges })
    }

    /// How many leaves the tree has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf. Every tile that it fills is handed out, whole, and forgotten.
    pub fn push(&mut self, leaf: Hash, filled: &mut dyn FnMut(TileId, &[Hash])) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0_u8.. {
            let at = usize::from(level);
            if at == self.edges.len() {
                self.edges.push(Vec::with_capacity(TILE_HASHES));
            }
            let edge = &mut self.edges[at];
            edge.push(hash);
            if edge.len() < TILE_HASHES {
                return;
            }
            let index = (self.size >> (TILE_HEIGHT * (u32::from(level) + 1))) - 1;
            filled(TileId { level, index }, edge);
            hash = perfect_root(edge);
            edge.clear();
        }
    }

    /// The tiles that are not full yet, those of the leaves first.
    pub fn parts(&self) -> impl Iterator<Item = (TileId, &[Hash])> {
        let started = (0_u8..).zip(&self.edges).filter(|(_, edge)| !edge.is_empty());
        started.map(|(level, edge)| {
            let index = self.size >> (TILE_HEIGHT * (u32::from(level) + 1));
            (TileId { level, index }, edge.as_slice())
        })
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut root = None;
        for edge in &self.edges {
            // An edge of 13 hashes is perfect trees of 8, 4 and 1; the smallest is the outermost right.
            let mut rest = edge.as_slice();
            while !rest.is_empty() {
                let (before, last) = rest.split_at(rest.len() & (rest.len() - 1));
                let left = perfect_root(last);
                root = Some(root.map_or(left, |right| node_hash(&left, &right)));
                rest = before;
            }
        }
        root.unwrap_or_else(empty_root)
    }
}

/// A count of hashes at a level as the number of its last tile and how many hashes that has.
fn split(at_level: u64) -> (u64, usize) {
    let count = at_level % TILE_HASHES as u64;
    (at_level >> TILE_HEIGHT, usize::try_from(count).unwrap_or_default())
}

/// The root over a power of two of hashes.
fn perfect_root(hashes: &[Hash]) -> Hash {
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        level = level.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    level.first().copied().unwrap_or_else(empty_root)
}

/// Reads the tree's tiles, full ones and parts; a tile may have more hashes than the tree had at the size asked about.
pub type ReadTile<'a, E> = dyn FnMut(TileId) -> Result<Vec<Hash>, E> + 'a;

/// The root over the leaves from `start` to `end` (exclusive), which is a node of some tree: `start` is a multiple of the
/// power of two at or above their count.
fn range_root<E: From<MissingHashes>>(start: u64, end: u64, read: &mut ReadTile<'_, E>) -> Result<Hash, E> {
    let count = end - start;
    if count.is_power_of_two() {
        return subtree_root(count.trailing_zeros(), start / count, read);
    }
    let middle = start + left_of(count);
    let (left, right) = (range_root(start, middle, read)?, range_root(middle, end, read)?);
    Ok(node_hash(&left, &right))
}

/// The largest power of two below a count of at least 2: how many leaves stand left of the root.
fn left_of(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// The root of the perfect subtree of 2^height leaves with this number.
fn subtree_root<E: From<MissingHashes>>(
    height: u32,
    number: u64,
    read: &mut ReadTile<'_, E>,
) -> Result<Hash, E> {
    let within = height % TILE_HEIGHT;
    let (index, start) = split(number << within);
    let tile = TileId { level: u8::try_from(height / TILE_HEIGHT).unwrap_or(u8::MAX), index };
    let hashes = read(tile)?;
    let wanted = hashes.get(start..start + (1 << within)).ok_or(MissingHashes { tile })?;
    Ok(perfect_root(wanted))
}

/// The root of the tree when it had this size.
///
/// # Errors
/// When a tile can't be read, or has too few hashes: the tree was never that large.
pub fn root_at<E: From<MissingHashes>>(size: u64, read: &mut ReadTile<'_, E>) -> Result<Hash, E> {
    if size == 0 { Ok(empty_root()) } else { range_root(0, size, read) }
}

/// The proof that a leaf is in the tree of this size (RFC 6962, section 2.1.1): hashes from the leaf up.
///
/// # Errors
/// When a tile can't be read, or has too few hashes; when the tree of this size has no such leaf.
pub fn inclusion_proof<E: From<MissingHashes>>(
    leaf: u64,
    size: u64,
    read: &mut ReadTile<'_, E>,
) -> Result<Vec<Hash>, E> {
    if leaf >= size {
        return Err(MissingHashes { tile: TileId { level: 0, index: split(leaf).0 } }.into());
    }
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while end - start > 1 {
        let middle = start + left_of(end - start);
        if leaf < middle {
            path.push(range_root(middle, end, read)?);
            end = middle;
        } else {
            path.push(range_root(start, middle, read)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof that the tree of size `old` is the beginning of that of size `new` (RFC 6962, section 2.1.2).
///
/// # Errors
/// When a tile can't be read, or has too few hashes; when `old` is the larger one.
pub fn consistency_proof<E: From<MissingHashes>>(
    old: u64,
    new: u64,
    read: &mut ReadTile<'_, E>,
) -> Result<Vec<Hash>, E> {
    if old > new {
        return Err(MissingHashes { tile: TileId { level: 0, index: split(old).0 } }.into());
    }
    if old == 0 {
        return Ok(Vec::new());
    }
    let (mut start, mut end) = (0, new);
    let mut path = Vec::new();
    while old != end {
        let middle = start + left_of(end - start);
        if old <= middle {
            path.push(range_root(middle, end, read)?);
            end = middle;
        } else {
            path.push(range_root(start, middle, read)?);
            start = middle;
        }
    }
    // The root of the old tree needs no proof to whoever has it: it is the node itself where nothing stands left of it.
    if start > 0 {
        path.push(range_root(start, end, read)?);
    }
    path.reverse();
    Ok(path)
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotProven {
    /// The numbers can't be right whatever the hashes are.
    #[error("a tree of {size} events has no event {position}")]
    NoSuchLeaf {
        /// The event's position.
        position: u64,
        /// The tree's size.
        size: u64,
    },
    /// There are more or fewer hashes than a tree of this size needs.
    #[error("it has {hashes} hashes, which is not the number that these sizes need")]
    Length {
        /// How many there are.
        hashes: usize,
    },
    /// The hashes lead to another root.
    #[error("its hashes lead to the root {found}, not {expected}")]
    Root {
        /// The root it should be, base64.
        expected: String,
        /// The root that the hashes lead to, base64.
        found: String,
    },
}

/// Checks that a leaf is in the tree of this size and root (RFC 9162, section 2.1.3.2).
///
/// # Errors
/// When it is not proven.
pub fn check_inclusion(
    leaf: u64,
    leaf_hash: &Hash,
    size: u64,
    root: &Hash,
    path: &[Hash],
) -> Result<(), NotProven> {
    if leaf >= size {
        return Err(NotProven::NoSuchLeaf { position: leaf.saturating_add(1), size });
    }
    let length = NotProven::Length { hashes: path.len() };
    let (mut node, mut last) = (leaf, size - 1);
    let mut hash = *leaf_hash;
    for other in path {
        if last == 0 {
            return Err(length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(other, &hash);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, other);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last == 0 { same_root(root, &hash) } else { Err(length) }
}

/// Checks that the tree of size and root `old` is the beginning of that of size and root `new` (RFC 9162, section 2.1.4.2).
///
/// # Errors
/// When it is not proven.
pub fn check_consistency(old: (u64, &Hash), new: (u64, &Hash), path: &[Hash]) -> Result<(), NotProven> {
    let length = NotProven::Length { hashes: path.len() };
    if old.0 > new.0 {
        return Err(NotProven::NoSuchLeaf { position: old.0, size: new.0 });
    }
    if old.0 == 0 || old.0 == new.0 {
        let known = if old.0 == 0 { &empty_root() } else { new.1 };
        return if path.is_empty() { same_root(known, old.1) } else { Err(length) };
    }
    let (mut node, mut last) = (old.0 - 1, new.0 - 1);
    while node & 1 == 1 {
        (node, last) = (node >> 1, last >> 1);
    }
    let (seed, rest) = if old.0.is_power_of_two() {
        (*old.1, path)
    } else {
        let (seed, rest) = path.split_first().ok_or_else(|| length.clone())?;
        (*seed, rest)
    };
    let (mut old_hash, mut new_hash) = (seed, seed);
    for other in rest {
        if last == 0 {
            return Err(length);
        }
        if node & 1 == 1 || node == last {
            (old_hash, new_hash) = (node_hash(other, &old_hash), node_hash(other, &new_hash));
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            new_hash = node_hash(&new_hash, other);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(length);
    }
    same_root(old.1, &old_hash)?;
    same_root(new.1, &new_hash)
}

fn same_root(expected: &Hash, found: &Hash) -> Result<(), NotProven> {
    use super::chain::to_base64;
    if expected == found {
        return Ok(());
    }
    Err(NotProven::Root { expected: to_base64(expected), found: to_base64(found) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;

    use super::super::chain::leaf_hash;
    use super::*;

    /// The definition of RFC 6962, word for word.
    fn oracle(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => *leaf,
            more => {
                let left = more.len().next_power_of_two() / 2;
                node_hash(&oracle(&more[..left]), &oracle(&more[left..]))
            }
        }
    }

    fn oracle_path(leaf: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() <= 1 {
            return Vec::new();
        }
        let left = leaves.len().next_power_of_two() / 2;
        let (mut path, other) = if leaf < left {
            (oracle_path(leaf, &leaves[..left]), oracle(&leaves[left..]))
        } else {
            (oracle_path(leaf - left, &leaves[left..]), oracle(&leaves[..left]))
        };
        path.push(other);
        path
    }

    fn entry(number: u64) -> Vec<u8> {
        format!("event {number}").into_bytes()
    }

    fn leaves(size: u64) -> Vec<Hash> {
        (0..size).map(|number| leaf_hash(&entry(number))).collect()
    }

    /// A tree as a store keeps it.
    #[derive(Default)]
    struct Kept {
        frontier: Frontier,
        tiles: BTreeMap<TileId, Vec<Hash>>,
    }

    impl Kept {
        fn of(size: u64) -> Self {
            let mut kept = Self::default();
            leaves(size).into_iter().for_each(|leaf| kept.push(leaf));
            kept.keep_parts();
            kept
        }

        fn push(&mut self, leaf: Hash) {
            self.frontier.push(leaf, &mut |tile, hashes| _ = self.tiles.insert(tile, hashes.to_vec()));
        }

        fn keep_parts(&mut self) {
            self.tiles.extend(self.frontier.parts().map(|(tile, hashes)| (tile, hashes.to_vec())));
        }

        fn read(&self) -> impl FnMut(TileId) -> Result<Vec<Hash>, MissingHashes> {
            |tile| self.tiles.get(&tile).cloned().ok_or(MissingHashes { tile })
        }
    }

    /// Sizes at which tiles and levels begin and end.
    fn sizes() -> impl Strategy<Value = u64> {
        prop_oneof![0..40_u64, 250..260_u64, 505..520_u64, 0..900_u64]
    }

    #[test]
    fn the_root_is_that_of_the_definition_at_every_size_up_to_six_hundred() {
        let all = leaves(600);
        let mut kept = Kept::default();
        assert_eq!(kept.frontier.root(), oracle(&[]));
        for (before, leaf) in all.iter().enumerate() {
            kept.push(*leaf);
            assert_eq!(kept.frontier.root(), oracle(&all[..=before]), "{before}");
            kept.keep_parts();
            assert_eq!(root_at(before as u64 + 1, &mut kept.read()), Ok(kept.frontier.root()));
        }
    }

    #[test]
    fn the_frontier_stays_small() {
        let mut frontier = Frontier::default();
        for number in 0..70_000_u64 {
            frontier.push(leaf_hash(&number.to_le_bytes()), &mut |_, hashes| assert_eq!(hashes.len(), 256));
            assert!(frontier.parts().all(|(_, hashes)| hashes.len() < TILE_HASHES));
        }
        assert_eq!(frontier.edges.len(), 3);
    }

    #[test]
    fn what_is_not_in_the_tree_is_not_proven() {
        let kept = Kept::of(300);
        assert!(inclusion_proof(300, 300, &mut kept.read()).is_err());
        assert!(inclusion_proof(0, 301, &mut kept.read()).is_err());
        assert!(consistency_proof(301, 300, &mut kept.read()).is_err());
        assert!(root_at(301, &mut kept.read()).is_err());
        assert!(Frontier::load(512, &mut kept.read()).is_err());
        let root = kept.frontier.root();
        assert!(matches!(
            check_inclusion(300, &root, 300, &root, &[]),
            Err(NotProven::NoSuchLeaf { position: 301, .. })
        ));
        assert!(check_consistency((301, &root), (300, &root), &[]).is_err());
        assert!(check_consistency((0, &root), (300, &root), &[]).is_err());
        assert_eq!(check_consistency((0, &empty_root()), (300, &root), &[]), Ok(()));
        assert_eq!(check_consistency((300, &root), (300, &root), &[]), Ok(()));
        assert!(check_consistency((300, &empty_root()), (300, &root), &[]).is_err());
        assert!(check_consistency((7, &root), (300, &root), &[]).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_frontier_is_loaded_from_the_tiles_of_any_later_tree(size in sizes(), more in 0..600_u64) {
            let (kept, before) = (Kept::of(size + more), Kept::of(size));
            prop_assert_eq!(Frontier::load(size, &mut kept.read()), Ok(before.frontier));
        }

        #[test]
        fn every_proof_is_that_of_the_definition_and_holds(size in sizes(), leaf in any::<prop::sample::Index>(), old in any::<prop::sample::Index>()) {
            let size = size.max(1);
            let (kept, all) = (Kept::of(size), leaves(size));
            let root = kept.frontier.root();
            let at = leaf.index(all.len());
            let path = inclusion_proof(at as u64, size, &mut kept.read()).unwrap();
            prop_assert_eq!(&path, &oracle_path(at, &all));
            prop_assert_eq!(check_inclusion(at as u64, &all[at], size, &root, &path), Ok(()));
            let old = old.index(all.len() + 1);
            let old_root = oracle(&all[..old]);
            let path = consistency_proof(old as u64, size, &mut kept.read()).unwrap();
            prop_assert_eq!(check_consistency((old as u64, &old_root), (size, &root), &path), Ok(()));
        }

        #[test]
        fn a_proof_with_anything_changed_does_not_hold(size in 2..600_u64, leaf in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(), bit in 0..256_usize) {
            let (kept, all) = (Kept::of(size), leaves(size));
            let root = kept.frontier.root();
            let at = leaf.index(all.len());
            let path = inclusion_proof(at as u64, size, &mut kept.read()).unwrap();
            let check = |leaf: usize, hash: &Hash, size: u64, path: &[Hash]| check_inclusion(leaf as u64, hash, size, &root, path);
            let mut flipped = path.clone();
            flipped[place.index(path.len())][bit / 8] ^= 1 << (bit % 8);
            prop_assert!(check(at, &all[at], size, &flipped).is_err());
            prop_assert!(check(at, &all[at], size, &path[1..]).is_err());
            prop_assert!(check(at, &all[at], size, &[path.as_slice(), &[root]].concat()).is_err());
            let other = (at + 1) % all.len();
            prop_assert!(check(at, &all[other], size, &path).is_err());
            prop_assert!(check(other, &all[at], size, &path).is_err());
            let old = at.max(1);
            let old_root = oracle(&all[..old]);
            let consistent = consistency_proof(old as u64, size, &mut kept.read()).unwrap();
            let mut flipped = consistent.clone();
            flipped[place.index(consistent.len())][bit / 8] ^= 1 << (bit % 8);
            prop_assert!(check_consistency((old as u64, &old_root), (size, &root), &flipped).is_err());
            prop_assert!(check_consistency((old as u64, &oracle(&all[1..=old])), (size, &root), &consistent).is_err());
        }

        #[test]
        fn another_implementation_agrees(size in 1..700_u64, leaf in any::<prop::sample::Index>(), old in any::<prop::sample::Index>()) {
            let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
            (0..size).for_each(|number| theirs.push(entry(number)));
            let kept = Kept::of(size);
            let root = kept.frontier.root();
            prop_assert_eq!(theirs.root().as_bytes().to_vec(), root.to_vec());
            let at = leaf.index(usize::try_from(size).unwrap());
            let path = inclusion_proof(at as u64, size, &mut kept.read()).unwrap();
            prop_assert_eq!(theirs.prove_inclusion(at).as_bytes().to_vec(), path.concat());
            let old = old.index(usize::try_from(size).unwrap()) + 1;
            let path = consistency_proof(old as u64, size, &mut kept.read()).unwrap();
            let additions = usize::try_from(size).unwrap() - old;
            if additions > 0 {
                prop_assert_eq!(theirs.prove_consistency(additions).as_bytes().to_vec(), path.concat());
            }
        }
    }
}
