//! Converts a checkpoint without measuring: `convert CHECKPOINT OUT.bevel [QUANTIZE] [TASK]`.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use bevel_convert::{Options, convert};

fn main() -> ExitCode {
    let Err(error) = run() else {
        return ExitCode::SUCCESS;
    };
    // One line: the error and what caused it.
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    eprintln!("error: {line}");
    match error.downcast_ref::<bevel_convert::Error>() {
        Some(error) => error.kind().exit_code().into(),
        None => ExitCode::FAILURE,
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [checkpoint, out, rest @ ..] = arguments.as_slice() else {
        return Err("usage: convert CHECKPOINT OUT.bevel [QUANTIZE] [TASK]".into());
    };
    let mut options = Options::default();
    if let Some(quantize) = rest.first() {
        options.quantize = quantize.parse()?;
    }
    if let Some(task) = rest.get(1) {
        options.task = Some(task.parse()?);
    }
    let (checkpoint, out) = (Path::new(checkpoint), Path::new(out));
    let report = convert(checkpoint, out, &options, None, &mut |at| {
        eprintln!("{} {}", at.stage, at.what);
    })?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
