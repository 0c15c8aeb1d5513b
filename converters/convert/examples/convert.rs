//! Converts a checkpoint without measuring: `convert CHECKPOINT OUT.bevel [QUANTIZE] [TASK]`.

use std::path::Path;

use bevel_convert::{Options, convert};

fn main() -> Result<(), Box<dyn std::error::Error>> {
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
    let report = convert(checkpoint, out, &options, None, &mut |stage| {
        eprintln!("{stage}");
    })?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
