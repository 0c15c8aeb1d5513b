//! Transcribes sound files: `cargo run --release --example transcribe -- RECIPE MODEL FILE…`

use std::path::Path;

use bevel::{Bundle, Options, Transcribe};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [recipe, model, files @ ..] = args.as_slice() else {
        return Err("give a recipe, the folder of its model and sound files".into());
    };
    let bundle = Bundle::load_with_recipe(Path::new(model), Path::new(recipe))?;
    let mut transcribe = Transcribe::load(&bundle, &Options::default())?;
    for file in files {
        println!("{file}");
        let seconds = transcribe.run_file_with(Path::new(file), &mut |segment| {
            println!(
                "{:8.2} {:8.2}  {}",
                segment.start, segment.end, segment.text
            );
        })?;
        let timing = transcribe.timing();
        println!("{seconds:.2} s, {timing:.0?}");
    }
    Ok(())
}
