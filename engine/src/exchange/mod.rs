//! Histories in and out: event files ([`jsonl`]) with the procedure that records them ([`import`]), and tables ([`csv`]).

pub mod csv;
pub mod import;
pub mod jsonl;
