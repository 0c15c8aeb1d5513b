//! A recording to text: `cargo run --example transcribe -- BUNDLE RECORDING`.

use bevel::{Options, Transcribe};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [_, bundle, recording] = &std::env::args().collect::<Vec<_>>()[..] else {
        return Err("usage: transcribe BUNDLE RECORDING".into());
    };
    let mut transcribe = Transcribe::open(bundle.as_ref(), &Options::default())?;
    println!("{}", transcribe.run_file(recording.as_ref())?.text);
    Ok(())
}
