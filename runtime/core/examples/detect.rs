//! A picture to boxes: `cargo run --example detect -- BUNDLE PICTURE`.

use bevel::vision::{ImageView, load_image};
use bevel::{Detect, Options, Pipeline};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [_, bundle, picture] = &std::env::args().collect::<Vec<_>>()[..] else {
        return Err("usage: detect BUNDLE PICTURE".into());
    };
    let mut detect = Pipeline::<Detect>::open(bundle.as_ref(), &Options::default())?;
    let image = load_image(picture.as_ref())?;
    let view = ImageView::from_rgb(image.as_raw(), image.width(), image.height())?;
    for found in &detect.run(&[view])?[0].boxes {
        println!("{:.2} {} {:?}", found.score, found.label, found.xyxy);
    }
    Ok(())
}
