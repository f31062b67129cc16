//! The part of verification that looks at the tree: recomputed from the stored bytes, compared with the tiles that the store
//! keeps, and held against checkpoints.

use crate::case::event::{Position, Version};
use crate::ledger::chain::to_base64;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::tree::{Frontier, Hash, TILE_HASHES, TileId};
use crate::signer::Signer;
use crate::store::EventStore;
use crate::verify::Finding;

/// A checkpoint that the log has to meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// Where it comes from: a file's name.
    pub from: String,
    /// What the log was.
    pub checkpoint: Checkpoint,
}

/// The tree in the making, leaf by leaf, and what was found wrong.
pub(crate) struct TreeCheck<'a> {
    store: &'a dyn EventStore,
    frontier: Frontier,
    /// How many leaves the kept tiles covered when verification began.
    kept: u64,
    /// The smallest last.
    demands: Vec<Demand>,
    met: Option<u64>,
    demands_met: usize,
    findings: Vec<Finding>,
}

/// What the tree came to.
pub(crate) struct TreeVerdict {
    pub(crate) root: Hash,
    pub(crate) checkpoints_met: usize,
    pub(crate) findings: Vec<Finding>,
}

impl<'a> TreeCheck<'a> {
    /// Begins with the checkpoints that somebody brought and those that lie beside the log.
    pub(crate) fn begin(store: &'a dyn EventStore, signer: Option<&Signer>, brought: &[Demand]) -> Self {
        let mut check = Self {
            store,
            frontier: Frontier::default(),
            kept: 0,
            demands: brought.to_vec(),
            met: None,
            demands_met: 0,
            findings: Vec::new(),
        };
        match store.tree_size() {
            Ok(size) => check.kept = size,
            Err(error) => check.find("tree", 0, "a tree that can be read".to_owned(), error.to_string()),
        }
        if let Some(signer) = signer {
            check.demand_kept(signer);
        }
        let origin = signer.map(Signer::origin);
        for demand in check.demands.clone() {
            if origin.is_some_and(|origin| origin != demand.checkpoint.origin) {
                let expected = format!("the log {} ({})", demand.checkpoint.origin, demand.from);
                check.find("checkpoint", 0, expected, origin.unwrap_or_default().to_owned());
            }
        }
        check.demands.sort_by_key(|demand| std::cmp::Reverse(demand.checkpoint.size));
        check.meet_demands();
        check
    }

    fn demand_kept(&mut self, signer: &Signer) {
        let kept = match signer.kept() {
            Ok(kept) => kept,
            Err(error) => {
                return self.find("signature", 0, "keys that can be read".to_owned(), error.to_string());
            }
        };
        for file in kept {
            match file.checkpoint {
                Ok(checkpoint) if self.demands.iter().any(|demand| demand.checkpoint == checkpoint) => {}
                Ok(checkpoint) => self.demands.push(Demand { from: file.name, checkpoint }),
                Err(error) => {
                    let expected = format!("a checkpoint signed by a key of this log ({})", file.name);
                    self.find("signature", 0, expected, error.to_string());
                }
            }
        }
    }

    /// Adds the leaf of the next event.
    pub(crate) fn push(&mut self, leaf: Hash) {
        let mut filled: Vec<(TileId, Vec<Hash>)> = Vec::new();
        self.frontier.push(leaf, &mut |tile, hashes| filled.push((tile, hashes.to_vec())));
        for (tile, hashes) in filled {
            self.compare(tile, &hashes);
        }
        self.meet_demands();
    }

    /// Reading ended before the log did: nothing is said of checkpoints that lie further on.
    pub(crate) fn leave_the_end_open(&mut self) {
        self.demands.clear();
    }

    /// Looks at what is left when the log ends.
    pub(crate) fn finish(&mut self) -> TreeVerdict {
        let parts: Vec<_> = self.frontier.parts().map(|(tile, hashes)| (tile, hashes.to_vec())).collect();
        for (tile, hashes) in parts {
            self.compare(tile, &hashes);
        }
        let size = self.frontier.size();
        while let Some(demand) = self.demands.pop() {
            let expected = format!("at least {} events ({})", demand.checkpoint.size, demand.from);
            let found = format!("{size} events: the end of the log was cut off");
            self.find("checkpoint", size + 1, expected, found);
        }
        let findings = std::mem::take(&mut self.findings);
        TreeVerdict { root: self.frontier.root(), checkpoints_met: self.demands_met, findings }
    }

    /// The kept tile has the hashes that it should have by now, and each is that of the bytes.
    fn compare(&mut self, tile: TileId, hashes: &[Hash]) {
        let leaves_each = 1_u64 << (8 * u32::from(tile.level));
        let first = tile.index * TILE_HASHES as u64;
        let should_have = (self.kept / leaves_each).saturating_sub(first).min(hashes.len() as u64);
        let kept = match self.store.tile(tile) {
            Ok(kept) => kept,
            Err(error) => {
                let position = first * leaves_each + 1;
                return self.find("tree", position, "a tile that can be read".to_owned(), error.to_string());
            }
        };
        let differs = kept.iter().zip(hashes).position(|(kept, computed)| kept != computed);
        let lacks = ((kept.len() as u64) < should_have).then_some(kept.len());
        let Some(at) = differs.or(lacks) else { return };
        let position = (first + at as u64) * leaves_each + 1;
        let place = format!("level {}, tile {}, hash {at}", tile.level, tile.index);
        let expected = format!("{} ({place})", hashes.get(at).map(to_base64).unwrap_or_default());
        self.find("tree", position, expected, kept.get(at).map_or_else(|| "no hash".to_owned(), to_base64));
    }

    fn meet_demands(&mut self) {
        while let Some(demand) = self.demands.pop_if(|demand| demand.checkpoint.size == self.frontier.size())
        {
            let root = self.frontier.root();
            if root == demand.checkpoint.root {
                self.met = Some(demand.checkpoint.size);
                self.demands_met += 1;
                continue;
            }
            let since = self.met.unwrap_or_default() + 1;
            let size = demand.checkpoint.size;
            let expected =
                format!("the root {} of {size} events ({})", to_base64(&demand.checkpoint.root), demand.from);
            let found = format!(
                "the root {}: something from position {since} to {size} was changed, removed or put in since",
                to_base64(&root)
            );
            self.find("checkpoint", size, expected, found);
        }
    }

    fn find(&mut self, check: &'static str, position: u64, expected: String, found: String) {
        let (position, version) = (Position(position), Version(0));
        self.findings.push(Finding { check, position, case: None, version, expected, found });
    }
}
