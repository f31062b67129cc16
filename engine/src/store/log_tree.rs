//! [`LogTree`]: the Merkle tree over a store's log as it is now, the acknowledged head included.
//!
//! The tiles that a store keeps follow behind its head. What they lack is read from the log and hashed on top, in memory:
//! never more than the store may be behind.

use std::collections::HashMap;

use crate::case::event::Position;
use crate::ledger::tree::{self, Frontier, Hash, TileId};

use super::{EventStore, ReadError};

/// Events read at a time.
const PAGE_EVENTS: usize = 4_096;

/// The tree over exactly the events up to the head at the moment when it was looked at.
pub struct LogTree<'a> {
    store: &'a dyn EventStore,
    frontier: Frontier,
    /// Tiles, and parts of tiles, that hold what the store's own tiles lack.
    fresh: HashMap<TileId, Vec<Hash>>,
}

impl<'a> LogTree<'a> {
    /// The tree as it is now.
    ///
    /// # Errors
    /// When the disk fails, an event at the end of the log is damaged, or the tree lacks hashes.
    pub fn at_head(store: &'a dyn EventStore) -> Result<Self, ReadError> {
        let head = *store.head().borrow();
        let kept = store.tree_size()?.min(head.0);
        let mut frontier = Frontier::load(kept, &mut |tile| store.tile(tile))?;
        let mut fresh = HashMap::new();
        while frontier.size() < head.0 {
            let after = Position(frontier.size());
            let wanted = usize::try_from(head.0 - after.0).unwrap_or(usize::MAX).min(PAGE_EVENTS);
            let page = store.read_log(after, wanted)?;
            if page.is_empty() {
                let position = after.next();
                return Err(super::unreadable(
                    "reading the log for the tree",
                    &format!("no event at position {position}"),
                ));
            }
            for event in page {
                frontier.push(event.leaf, &mut |tile, hashes| _ = fresh.insert(tile, hashes.to_vec()));
            }
        }
        fresh.extend(frontier.parts().map(|(tile, hashes)| (tile, hashes.to_vec())));
        Ok(Self { store, frontier, fresh })
    }

    /// How many events it covers: the position of the last.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Its root.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// The root that it had at an earlier size.
    ///
    /// # Errors
    /// When the disk fails, or the tree is smaller.
    pub fn root_at(&self, size: u64) -> Result<Hash, ReadError> {
        self.check_size(size)?;
        tree::root_at(size, &mut |tile| self.tile(tile))
    }

    /// The proof that the event at a position is in it: see [`tree::inclusion_proof`].
    ///
    /// # Errors
    /// When the disk fails, or there is no such event.
    pub fn inclusion_proof(&self, position: Position) -> Result<Vec<Hash>, ReadError> {
        tree::inclusion_proof(position.0.wrapping_sub(1), self.size(), &mut |tile| self.tile(tile))
    }

    /// The proof that what it was at an earlier size is its beginning: see [`tree::consistency_proof`].
    ///
    /// # Errors
    /// When the disk fails, or the tree is smaller.
    pub fn consistency_proof(&self, old: u64) -> Result<Vec<Hash>, ReadError> {
        self.check_size(old)?;
        tree::consistency_proof(old, self.size(), &mut |tile| self.tile(tile))
    }

    fn check_size(&self, size: u64) -> Result<(), ReadError> {
        if size <= self.size() {
            return Ok(());
        }
        let problem = format!("the log has {} events, and {size} are asked about", self.size());
        Err(super::unreadable("looking at the tree of an earlier size", &problem))
    }

    fn tile(&self, tile: TileId) -> Result<Vec<Hash>, ReadError> {
        match self.fresh.get(&tile) {
            Some(hashes) => Ok(hashes.clone()),
            None => self.store.tile(tile),
        }
    }
}
