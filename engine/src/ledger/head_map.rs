//! The second tree: a verifiable map from each case to how many events it has and which is the last, so that one root speaks
//! for the ends of all cases.
//!
//! ```text
//! key       SHA-256 of the sixteen bytes of the case's id: its bits, the highest first, are the way down from the root
//! leaf      SHA-256(0x02 ‖ key ‖ events, 8 bytes, big-endian ‖ leaf hash of the last event)
//! node      SHA-256(0x03 ‖ left ‖ right)        left: the next bit of the key is 0
//! ```
//! A subtree without cases is 32 zero bytes, one with a single case is that case's leaf, so that a way is as long as keys are
//! alike, and no longer. A way is the same for everybody who asks about a key: one root can't say two things of one case.
//!
//! It is kept in pages, so that a change touches three: what stands below one byte of a key, below two, and the cases that share
//! two bytes.

use sha2::{Digest, Sha256};

use super::tree::Hash;

/// The hash of a subtree without cases.
pub const EMPTY: Hash = [0; 32];

const LEAF_PREFIX: [u8; 1] = [0x02];
const NODE_PREFIX: [u8; 1] = [0x03];

/// Bits of a key.
const KEY_BITS: usize = 256;

/// Bytes of a case on a page: key, number of events, head.
const ENTRY_BYTES: usize = 32 + 8 + 32;

/// Bytes of a subtree on a page: the byte of the key that it stands below, number of cases, hash.
const SUBTREE_BYTES: usize = 1 + 8 + 32;

/// What the map says of one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaseEnd {
    /// See [`key_of`].
    pub key: Hash,
    /// How many events it has: the version of its last.
    pub events: u64,
    /// The leaf hash of its last event.
    pub head: Hash,
}

/// A subtree: how many cases it holds, and its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subtree {
    /// Cases.
    pub cases: u64,
    /// Its hash.
    pub hash: Hash,
}

/// Where the pages of a map are kept.
pub trait Pages {
    /// Why a page can't be read.
    type Error: From<BadPage>;

    /// The page of a prefix of keys, of no byte, one or two; empty where there is none.
    ///
    /// # Errors
    /// When it can't be read.
    fn page(&self, prefix: &[u8]) -> Result<Vec<u8>, Self::Error>;

    /// Puts a page in its place.
    fn put(&mut self, prefix: &[u8], page: Vec<u8>);
}

/// A page does not hold what it should: the map has to be made anew from the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the page of the map of case ends below {prefix:?} does not fit the one above it")]
pub struct BadPage {
    /// The bytes of the key that the page stands below.
    pub prefix: Vec<u8>,
}

/// The way of a key through a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapProof {
    /// The hashes beside the way, from the root down.
    pub siblings: Vec<Hash>,
    /// The case at its end: the one asked about, another that stands there instead, or none.
    pub end: Option<CaseEnd>,
}

/// The key of a case.
#[must_use]
pub fn key_of(case_id: &[u8; 16]) -> Hash {
    Sha256::digest(case_id).into()
}

impl CaseEnd {
    /// Its leaf.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        let hash = Sha256::new().chain_update(LEAF_PREFIX).chain_update(self.key);
        hash.chain_update(self.events.to_be_bytes()).chain_update(self.head).finalize().into()
    }
}

impl MapProof {
    /// The root that this way leads to for a key, `None` where it is no way of that key.
    #[must_use]
    pub fn root(&self, key: &Hash) -> Option<Hash> {
        let depth = self.siblings.len();
        let on_the_way = |end: &CaseEnd| (0..depth).all(|at| bit(&end.key, at) == bit(key, at));
        if depth > KEY_BITS || !self.end.as_ref().is_none_or(on_the_way) {
            return None;
        }
        let end = self.end.as_ref().map_or(EMPTY, CaseEnd::leaf);
        let up = self.siblings.iter().enumerate().rev();
        Some(up.fold(end, |hash, (at, beside)| match bit(key, at) {
            false => node(&hash, beside),
            true => node(beside, &hash),
        }))
    }
}

/// What a map holds now.
///
/// # Errors
/// When a page can't be read.
pub fn whole<P: Pages>(pages: &P) -> Result<Subtree, P::Error> {
    let top = subtrees(pages, &[])?;
    Ok(gather(&top, 0, 8))
}

/// Enters what cases have become; of each case the last that is said. The keys may stand in any order.
///
/// # Errors
/// When a page can't be read, or does not fit the one above it: nothing was put then.
pub fn update<P: Pages>(pages: &mut P, mut changes: Vec<CaseEnd>) -> Result<Subtree, P::Error> {
    changes.sort_by_key(|change| change.key);
    let mut fresh: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut top = subtrees(pages, &[])?;
    for below_one in changes.chunk_by(|a, b| a.key[0] == b.key[0]) {
        let first = [below_one[0].key[0]];
        let mut middle = subtrees(pages, &first)?;
        check(&top, &first, gather(&middle, 8, 16))?;
        for below_two in below_one.chunk_by(|a, b| a.key[1] == b.key[1]) {
            let prefix = [first[0], below_two[0].key[1]];
            let mut cases = cases(pages, &prefix)?;
            check(&middle, &prefix, gather(&leaves(&cases), 16, KEY_BITS))?;
            for change in below_two {
                match cases.binary_search_by_key(&change.key, |case| case.key) {
                    Ok(at) => cases[at] = *change,
                    Err(at) => cases.insert(at, *change),
                }
            }
            set(&mut middle, &prefix, gather(&leaves(&cases), 16, KEY_BITS));
            fresh.push((prefix.to_vec(), write_cases(&cases)));
        }
        set(&mut top, &first, gather(&middle, 8, 16));
        fresh.push((first.to_vec(), write_subtrees(&middle, 1)));
    }
    if !fresh.is_empty() {
        fresh.push((Vec::new(), write_subtrees(&top, 0)));
    }
    for (prefix, page) in fresh {
        pages.put(&prefix, page);
    }
    Ok(gather(&top, 0, 8))
}

/// The way of a key.
///
/// # Errors
/// When a page can't be read.
pub fn prove<P: Pages>(pages: &P, key: &Hash) -> Result<MapProof, P::Error> {
    let cases = cases(pages, &key[..2])?;
    let levels =
        [(subtrees(pages, &[])?, 0, 8), (subtrees(pages, &key[..1])?, 8, 16), (leaves(&cases), 16, KEY_BITS)];
    let mut siblings = Vec::new();
    for (nodes, from, to) in &levels {
        let mut own = nodes.as_slice();
        for depth in *from..*to {
            if cases_of(own) <= 1 {
                break;
            }
            let (left, right) = own.split_at(own.partition_point(|(key, _)| !bit(key, depth)));
            let beside;
            (own, beside) = if bit(key, depth) { (right, left) } else { (left, right) };
            siblings.push(gather(beside, depth + 1, *to).hash);
        }
        if cases_of(own) <= 1 {
            let end = match own.first() {
                Some((near, _)) => the_only_case(pages, &near[..*to / 8 % 32], near)?,
                None => None,
            };
            return Ok(MapProof { siblings, end });
        }
    }
    let end = cases.iter().find(|case| case.key == *key).copied();
    Ok(MapProof { siblings, end })
}

/// The case of a subtree that has one, found below the bytes that are known of its key.
fn the_only_case<P: Pages>(pages: &P, prefix: &[u8], near: &Hash) -> Result<Option<CaseEnd>, P::Error> {
    match prefix.len() {
        1 => match subtrees(pages, prefix)?.first() {
            Some((key, _)) => the_only_case(pages, &key[..2], key),
            None => Ok(None),
        },
        2 => Ok(cases(pages, prefix)?.first().copied()),
        // The whole key is known.
        _ => Ok(cases(pages, &near[..2])?.into_iter().find(|case| case.key == *near)),
    }
}

/// A node of a level: the bits of the key down to it, zeroes behind them, and what stands there.
type Placed = (Hash, Subtree);

fn bit(key: &Hash, at: usize) -> bool {
    key[at / 8] & (0x80 >> (at % 8)) != 0
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update(NODE_PREFIX).chain_update(left).chain_update(right).finalize().into()
}

fn cases_of(nodes: &[Placed]) -> u64 {
    nodes.iter().map(|(_, subtree)| subtree.cases).sum()
}

/// The subtree over nodes that stand `to` bits deep, in order of their keys, seen from `depth` bits.
fn gather(nodes: &[Placed], depth: usize, to: usize) -> Subtree {
    match nodes {
        [] => Subtree { cases: 0, hash: EMPTY },
        [(_, only)] if only.cases == 1 || depth == to => *only,
        _ => {
            let (left, right) = nodes.split_at(nodes.partition_point(|(key, _)| !bit(key, depth)));
            let (left, right) = (gather(left, depth + 1, to), gather(right, depth + 1, to));
            Subtree { cases: left.cases + right.cases, hash: node(&left.hash, &right.hash) }
        }
    }
}

fn leaves(cases: &[CaseEnd]) -> Vec<Placed> {
    cases.iter().map(|case| (case.key, Subtree { cases: 1, hash: case.leaf() })).collect()
}

fn padded(prefix: &[u8]) -> Hash {
    let mut key = EMPTY;
    key[..prefix.len()].copy_from_slice(prefix);
    key
}

fn set(nodes: &mut Vec<Placed>, prefix: &[u8], subtree: Subtree) {
    let key = padded(prefix);
    match nodes.binary_search_by_key(&key, |(key, _)| *key) {
        Ok(at) => nodes[at].1 = subtree,
        Err(at) => nodes.insert(at, (key, subtree)),
    }
}

/// A page is what the one above it says of it.
fn check(above: &[Placed], prefix: &[u8], found: Subtree) -> Result<(), BadPage> {
    let key = padded(prefix);
    let said = above.binary_search_by_key(&key, |(key, _)| *key).map(|at| above[at].1);
    if said.unwrap_or(Subtree { cases: 0, hash: EMPTY }) == found {
        return Ok(());
    }
    Err(BadPage { prefix: prefix.to_vec() })
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn hash(bytes: &[u8]) -> Hash {
    padded(&bytes[..32])
}

fn subtrees<P: Pages>(pages: &P, prefix: &[u8]) -> Result<Vec<Placed>, P::Error> {
    let page = pages.page(prefix)?;
    if page.len() % SUBTREE_BYTES != 0 {
        return Err(BadPage { prefix: prefix.to_vec() }.into());
    }
    let read = page.chunks_exact(SUBTREE_BYTES).map(|entry| {
        let key = padded(&[prefix, &entry[..1]].concat());
        (key, Subtree { cases: number(&entry[1..9]), hash: hash(&entry[9..]) })
    });
    Ok(read.collect())
}

fn write_subtrees(nodes: &[Placed], depth: usize) -> Vec<u8> {
    let entry =
        |(key, subtree): &Placed| [&key[depth..=depth], &subtree.cases.to_be_bytes(), &subtree.hash].concat();
    nodes.iter().flat_map(entry).collect()
}

fn cases<P: Pages>(pages: &P, prefix: &[u8]) -> Result<Vec<CaseEnd>, P::Error> {
    let page = pages.page(prefix)?;
    if page.len() % ENTRY_BYTES != 0 {
        return Err(BadPage { prefix: prefix.to_vec() }.into());
    }
    let read = page.chunks_exact(ENTRY_BYTES).map(|entry| CaseEnd {
        key: hash(entry),
        events: number(&entry[32..40]),
        head: hash(&entry[40..]),
    });
    Ok(read.collect())
}

fn write_cases(cases: &[CaseEnd]) -> Vec<u8> {
    let entry = |case: &CaseEnd| [&case.key[..], &case.events.to_be_bytes(), &case.head].concat();
    cases.iter().flat_map(entry).collect()
}

/// A map in memory.
#[derive(Debug, Clone, Default)]
pub struct MapInMemory(std::collections::HashMap<Vec<u8>, Vec<u8>>);

impl Pages for MapInMemory {
    type Error = BadPage;

    fn page(&self, prefix: &[u8]) -> Result<Vec<u8>, BadPage> {
        Ok(self.0.get(prefix).cloned().unwrap_or_default())
    }

    fn put(&mut self, prefix: &[u8], page: Vec<u8>) {
        self.0.insert(prefix.to_vec(), page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn end(case: u8, events: u64) -> CaseEnd {
        CaseEnd { key: key_of(&[case; 16]), events, head: [case ^ 0x5a; 32] }
    }

    /// The root by the definition, with no pages and no counting.
    fn by_definition(cases: &[CaseEnd], depth: usize) -> Hash {
        match cases {
            [] => EMPTY,
            [only] => only.leaf(),
            _ => {
                let (right, left): (Vec<CaseEnd>, Vec<CaseEnd>) =
                    cases.iter().partition(|case| bit(&case.key, depth));
                node(&by_definition(&left, depth + 1), &by_definition(&right, depth + 1))
            }
        }
    }

    #[test]
    fn a_map_of_no_case_and_of_one_is_what_the_description_says() {
        let mut map = MapInMemory::default();
        assert_eq!(whole(&map).unwrap(), Subtree { cases: 0, hash: EMPTY });
        let way = prove(&map, &end(1, 1).key).unwrap();
        assert_eq!(way, MapProof { siblings: Vec::new(), end: None });
        assert_eq!(way.root(&end(1, 1).key), Some(EMPTY));
        update(&mut map, vec![end(1, 7)]).unwrap();
        let mut bytes = vec![2];
        bytes.extend(Sha256::digest([1; 16]));
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 7]);
        bytes.extend([0x5b; 32]);
        assert_eq!(whole(&map).unwrap(), Subtree { cases: 1, hash: Sha256::digest(bytes).into() });
    }

    /// Keys that are alike for a long way, which those of real cases never are.
    fn near(last: u8, events: u64) -> CaseEnd {
        let mut key = [0x77; 32];
        key[31] = last;
        CaseEnd { key, events, head: [9; 32] }
    }

    fn any_end() -> impl Strategy<Value = CaseEnd> {
        prop_oneof![
            (any::<u8>(), 1_u64..5).prop_map(|(case, events)| end(case, events)),
            (any::<u8>(), 1_u64..5).prop_map(|(last, events)| near(last, events)),
            (any::<u8>(), any::<u8>()).prop_map(|(second, last)| {
                let mut key = [0x77; 32];
                (key[1], key[31]) = (second, last);
                CaseEnd { key, events: 1, head: [8; 32] }
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_root_and_every_way_are_those_of_the_definition_however_the_map_grew(
            batches in prop::collection::vec(prop::collection::vec(any_end(), 0..40), 1..6),
            strangers in prop::collection::vec(any_end(), 0..20),
        ) {
            let mut map = MapInMemory::default();
            let mut held = std::collections::BTreeMap::new();
            for batch in batches {
                held.extend(batch.iter().map(|case| (case.key, *case)));
                let grown = update(&mut map, batch).unwrap();
                let cases: Vec<CaseEnd> = held.values().copied().collect();
                prop_assert_eq!(grown, Subtree { cases: cases.len() as u64, hash: by_definition(&cases, 0) });
                prop_assert_eq!(whole(&map).unwrap(), grown);
            }
            let root = whole(&map).unwrap().hash;
            for asked in held.values().copied().chain(strangers) {
                let way = prove(&map, &asked.key).unwrap();
                prop_assert_eq!(way.root(&asked.key), Some(root));
                let found = way.end.filter(|end| end.key == asked.key);
                prop_assert_eq!(found, held.get(&asked.key).copied());
                // Another number of events, or one hash of the way, leads to another root.
                if let Some(end) = way.end {
                    let more = CaseEnd { events: end.events + 1, ..end };
                    let forged = MapProof { end: Some(more), ..way.clone() };
                    prop_assert_ne!(forged.root(&asked.key), Some(root));
                    let forged = MapProof { end: None, ..way.clone() };
                    prop_assert_ne!(forged.root(&asked.key), Some(root));
                }
                for at in [0, way.siblings.len() / 2, way.siblings.len().wrapping_sub(1)] {
                    let mut forged = way.clone();
                    let Some(beside) = forged.siblings.get_mut(at) else { continue };
                    beside[5] ^= 1;
                    prop_assert_ne!(forged.root(&asked.key), Some(root));
                }
            }
        }
    }

    #[test]
    fn a_page_that_was_changed_is_noticed_before_anything_is_built_on_it() {
        let mut map = MapInMemory::default();
        update(&mut map, (0..=255).map(|case| end(case, 3)).collect()).unwrap();
        let key = end(17, 3).key;
        for prefix in [&key[..1], &key[..2]] {
            let mut damaged = map.clone();
            let mut page = damaged.page(prefix).unwrap();
            page[33] ^= 1;
            damaged.put(prefix, page);
            assert_eq!(update(&mut damaged, vec![end(17, 4)]), Err(BadPage { prefix: prefix.to_vec() }));
        }
        let mut short = map.clone();
        short.put(&key[..2], vec![0; 5]);
        assert!(prove(&short, &key).is_err());
    }

    #[test]
    fn a_way_of_another_key_is_no_way() {
        let mut map = MapInMemory::default();
        update(&mut map, (0..50).map(|case| end(case, 3)).collect()).unwrap();
        let way = prove(&map, &end(17, 3).key).unwrap();
        assert_eq!(way.root(&end(18, 3).key), None);
        let long = MapProof { siblings: vec![EMPTY; 257], end: None };
        assert_eq!(long.root(&EMPTY), None);
    }
}
