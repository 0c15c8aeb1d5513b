//! The `bevel` command line. `main` maps every failure to the exit code of its kind.
//!
//! A device build leaves out what it does not need. Where the rest asks for it nevertheless, a module in
//! `absent/` stands in, which holds nothing and refuses everything.

mod args;
mod bench;
#[cfg(feature = "convert")]
mod catalog;
mod choose;
#[cfg(feature = "convert")]
mod convert;
#[cfg(feature = "convert")]
mod deploy;
mod disk;
mod doctor;
#[cfg(feature = "vision")]
mod draw;
#[cfg(feature = "convert")]
mod eval;
mod failure;
#[cfg(feature = "convert")]
mod fetch;
mod format;
#[cfg_attr(not(feature = "speech"), path = "absent/hear.rs")]
mod hear;
mod info;
mod inputs;
#[cfg(feature = "convert")]
mod judge;
#[cfg(feature = "listen")]
mod listen;
#[cfg(feature = "convert")]
mod models;
mod notes;
mod open;
#[cfg_attr(not(feature = "vision"), path = "absent/picture.rs")]
mod picture;
mod placement;
mod run;
mod sample;
mod show;
mod targets;
mod verify;
mod warm;
mod whole;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    match bevel::cpu::missing() {
        None => program(),
        Some(feature) => failure::refuse(feature),
    }
}

// Apart from `main`, where instructions that the processor lacks may stand anywhere.
#[inline(never)]
fn program() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are answers; anything else is bad input.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

fn run(args: Args) -> anyhow::Result<()> {
    tracing::subscriber::set_global_default(notes::Notes::default())?;
    match args.command {
        #[cfg(feature = "convert")]
        Command::Convert(args) => convert::convert(&args),
        Command::Run(args) => run::run(&args),
        #[cfg(feature = "listen")]
        Command::Listen(args) => listen::listen(&args),
        Command::Bench(args) => bench::bench(&args),
        #[cfg(feature = "convert")]
        Command::Eval(args) => eval::eval(&args),
        Command::Info(args) => info::info(&args),
        Command::Warm(args) => warm::warm(&args),
        Command::Verify(args) => verify::verify(&args),
        #[cfg(feature = "convert")]
        Command::Deploy(args) => deploy::deploy(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        #[cfg(feature = "convert")]
        Command::Models(args) => models::models(&args),
    }
}
