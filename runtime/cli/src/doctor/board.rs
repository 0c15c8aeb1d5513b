//! This machine beside the profile of a board.

use bevel::system;
use bevel_manifest::{ErrorKind, Target};

use super::findings::Findings;

/// A line for everything that the board has and this machine has not.
pub fn look(target: &Target, found: &mut Findings) {
    let mismatches = system::mismatches(target);
    found.fact("target", &target.name);
    found.fact("mismatches", &mismatches);
    if mismatches.is_empty() {
        found.ok("target", format!("{}: nothing is missing", target.board));
    }
    for what in mismatches {
        found.problem("target", ErrorKind::Device, what);
        found.advise(format!(
            "what was made for {} may fail or be slow here; deploy for another target",
            target.name
        ));
    }
    let cap = target.memory_cap_mib;
    if let Some(has) = system::memory_mib().filter(|has| *has < cap) {
        found.warning(
            "memory cap",
            format!("{cap} MiB for {}, of {has} MiB here", target.board),
            "it does not protect this machine; set a lower one with --memory-cap, for a deployment with \
             BEVEL_MEMORY_CAP",
        );
    }
}
