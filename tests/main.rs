//! One file per promise.

#[cfg(test)]
mod aligned;
#[cfg(test)]
mod as_is;
#[cfg(test)]
mod backup;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod breaches;
#[cfg(test)]
mod case_list;
#[cfg(test)]
mod checkpoints;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod corrections;
#[cfg(test)]
mod damaged_store;
#[cfg(test)]
mod deadlines;
#[cfg(test)]
mod desk;
#[cfg(test)]
mod documentation;
#[cfg(test)]
mod foreign_logs;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod gaps;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod late_facts;
#[cfg(test)]
mod legality;
#[cfg(test)]
mod linearizable;
#[cfg(test)]
mod long_imports;
#[cfg(test)]
mod many_clerks;
#[cfg(test)]
mod merkle_tree;
#[cfg(test)]
mod migration;
#[cfg(test)]
mod model;
#[cfg(test)]
mod office;
#[cfg(test)]
mod old_formats;
#[cfg(test)]
mod other_bodies;
#[cfg(test)]
mod outside_tools;
#[cfg(test)]
mod overrides;
#[cfg(test)]
mod pinned_definitions;
#[cfg(test)]
mod power_cut;
#[cfg(test)]
mod process_mining;
#[cfg(test)]
mod questions;
#[cfg(test)]
mod reference_case;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod repetition;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod seals;
#[cfg(test)]
mod shipped_workflows;
#[cfg(test)]
mod store_contract;
#[cfg(test)]
mod tampering;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod trial;
#[cfg(test)]
mod workflow_diff;
#[cfg(test)]
mod written_definition;
#[cfg(test)]
mod written_pages;
