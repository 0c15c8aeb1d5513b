//! A picture to labels: `cargo run --example classify -- BUNDLE PICTURE`.

use bevel::vision::{ImageView, load_image};
use bevel::{Classify, Options, Pipeline};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [_, bundle, picture] = &std::env::args().collect::<Vec<_>>()[..] else {
        return Err("usage: classify BUNDLE PICTURE".into());
    };
    let mut classify = Pipeline::<Classify>::open(bundle.as_ref(), &Options::default())?;
    let image = load_image(picture.as_ref())?;
    let view = ImageView::from_rgb(image.as_raw(), image.width(), image.height())?;
    for found in &classify.run(&[view])?[0].labels {
        println!("{:.2} {}", found.score, found.label);
    }
    Ok(())
}
