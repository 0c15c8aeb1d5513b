//! `bevel convert`.

use crate::args::ConvertArgs;

/// Converts.
pub fn convert(_: &ConvertArgs) -> anyhow::Result<()> {
    Ok(())
}
