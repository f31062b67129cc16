//! What proves that a log was not changed: hashes of events, each named by the next of its case; a tree over all of them;
//! signed checkpoints of the tree.

pub mod chain;
pub mod checkpoint;
pub mod head_map;
pub mod heads_proof;
pub mod key;
pub mod note;
pub mod proof;
pub mod seal;
pub mod tree;
