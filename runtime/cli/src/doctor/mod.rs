//! `bevel doctor`: what of this machine Bevel can use, why not the rest, and what to do about it.
//!
//! Each part looks at one thing and adds lines to the findings. Files are read below a folder that tests
//! replace; what a system does not have is left out or told, never a failure of its own.

mod board;
mod devices;
mod findings;
mod library;
mod memory;
mod model;
mod power;
mod sound;
mod system;

use std::path::Path;

use crate::args::DoctorArgs;
use crate::targets;
use findings::{Findings, Root};

/// Prints the findings; fails with the first problem.
pub fn doctor(args: &DoctorArgs) -> anyhow::Result<()> {
    // A name that is no board is told before anything is looked at.
    let target = args.target.as_deref().map(targets::find).transpose()?;
    let root = Root::default();
    let mut found = Findings::default();
    system::look(&root, &mut found);
    memory::look(&root, args.bundle.as_deref(), &mut found);
    power::look(&root, &mut found);
    let usable = library::look(&mut found);
    devices::look(&root, &mut found);
    sound::look(&root, &mut found);
    if let Some(target) = &target {
        board::look(target, &mut found);
    }
    if let Some(bundle) = &args.bundle {
        model::look(&root, bundle, usable, &mut found);
    }
    match args.json {
        true => println!("{}", serde_json::to_string(&found)?),
        false => print!("{}", found.text()),
    }
    found.verdict()
}

/// The path without links and `..`, whose file name tells the version.
fn real(path: &Path) -> String {
    path.canonicalize()
        .unwrap_or_else(|_| path.to_path_buf())
        .display()
        .to_string()
}
