//! Two sentences to vectors: `cargo run --example embed -- BUNDLE TEXT TEXT`.

use bevel::{Embed, Options, Pipeline};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [_, bundle, a, b] = &std::env::args().collect::<Vec<_>>()[..] else {
        return Err("usage: embed BUNDLE TEXT TEXT".into());
    };
    let mut embed = Pipeline::<Embed>::open(bundle.as_ref(), &Options::default())?;
    let vectors = embed.run(&[a.as_str(), b.as_str()])?;
    let pairs = vectors[0].embedding.iter().zip(&vectors[1].embedding);
    println!("cosine {:.3}", pairs.map(|(a, b)| a * b).sum::<f32>());
    Ok(())
}
