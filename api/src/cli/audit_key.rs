//! `casebook audit key`: the key that signs checkpoints.

use clap::Subcommand;

use super::Globals;
use super::answer::Failure;
use super::audit::signer_of;
use super::folder;
use super::page::{Page, dim};

/// What to do with it.
#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a new key, announced by a note that the old key and the new one sign together
    #[command(
        after_help = "Checkpoints and proofs under the old key stay valid: the announcement leads from one key to the other. What a
stolen key may have signed is not undone by it; an earlier checkpoint that was kept elsewhere shows that."
    )]
    Rotate,
}

/// Runs the command.
pub(super) fn run(command: Option<&KeyCommand>, globals: &Globals, page: &mut Page) -> Result<(), Failure> {
    let engine = folder::existing(globals, page)?;
    let signer = signer_of(&engine)?;
    if let Some(KeyCommand::Rotate) = command {
        let rotation = signer.rotate(engine.store().as_ref())?;
        if page.is_json() {
            return page.json(&serde_json::json!({
                "vkey": rotation.to.to_string(),
                "before": rotation.from.to_string(),
                "size": rotation.size,
            }));
        }
        page.line("A new key signs from here on. Give its public half to those who check:")?;
        page.line(&rotation.to.to_string())?;
        return page
            .line(&dim(&format!("announced at position {}, in place of {}", rotation.size, rotation.from)));
    }
    let key = signer.public_key()?;
    let earlier: Vec<String> = signer
        .known_keys()?
        .into_iter()
        .filter(|known| *known != key)
        .map(|known| known.to_string())
        .collect();
    if page.is_json() {
        return page.json(&serde_json::json!({ "vkey": key.to_string(), "earlier": earlier }));
    }
    page.line(&key.to_string())?;
    earlier.iter().try_for_each(|earlier| page.line(&dim(&format!("earlier: {earlier}"))))
}
