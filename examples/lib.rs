//! Examples of Casebook, one topic a file. Each begins with the command that runs it.
//!
//! | file | topic |
//! |---|---|
//! | `first_case.rs` | open a case, record events, read a refusal, ask where the case stands |
//! | `own_workflow.rs` | a workflow of your own field, written in place |
//! | `follow_the_log.rs` | react to events after they are on disk |
//! | `correct_a_mistake.rs` | put a record right without touching it |
//! | `reference_case.rs` | import a published investigation and compare its status with what was expected |

use std::error::Error;

/// What an example answers: done, or whatever stopped it.
pub type Outcome = Result<(), Box<dyn Error + Send + Sync>>;
