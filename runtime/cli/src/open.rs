//! From what stands on the command line to an open model.

use std::path::Path;

use bevel::{AnyPipeline, Bundle, Options, Pool, Runtime, RuntimeOptions};
use bevel_manifest::ErrorKind;

use crate::args::{LimitArgs, ModelArgs};
use crate::failure::fail;

/// The bundle that an argument names: a directory, a plain model with its recipe, or a catalogue
/// name.
pub fn bundle(path: &Path, recipe: Option<&Path>) -> anyhow::Result<Bundle> {
    if let Some(recipe) = recipe {
        if !path.exists() {
            return Err(fail(
                ErrorKind::Model,
                format!("{} does not exist", path.display()),
            ));
        }
        return Ok(Bundle::load_with_recipe(path, recipe)?);
    }
    if path.exists() {
        return Ok(Bundle::load(path)?);
    }
    #[cfg(feature = "convert")]
    if let Some(found) = crate::catalog::pulled(path)? {
        return Ok(Bundle::load(&found)?);
    }
    Err(fail(
        ErrorKind::Model,
        format!(
            "{} does not exist, and is not a catalogue name; see `bevel models list`",
            path.display()
        ),
    ))
}

/// Starts ONNX Runtime within the limits that were asked for.
pub fn runtime(limits: &LimitArgs) -> anyhow::Result<&'static Runtime> {
    // One model runs here at a time, so its threads may wait for each other actively.
    let mut options = RuntimeOptions::default().with_pool(Pool::PerGraph);
    options.threads = limits.threads.map(usize::from);
    options.cores = limits.cores.as_deref().map(<[usize]>::to_vec);
    options.nice = limits.nice;
    let bytes = |cap: bytesize::ByteSize| usize::try_from(cap.as_u64()).unwrap_or(usize::MAX);
    options.memory_cap_bytes = limits.memory_cap.map(bytes);
    // Everything that this program does it does for the model.
    options.confine_this_thread()?;
    // Threads that are made from here on are confined with this one.
    (options.cores, options.nice) = (None, None);
    Ok(Runtime::start(&options)?)
}

/// Opens the model with the pipeline of its task.
pub fn pipeline(args: &ModelArgs) -> anyhow::Result<(Bundle, Box<dyn AnyPipeline>)> {
    let bundle = bundle(&args.bundle, args.recipe.as_deref())?;
    // Before a library is loaded for nothing.
    bevel::supports(bundle.manifest())?;
    runtime(&args.limits)?;
    let pipeline = bevel::open(&bundle, &options(args))?;
    Ok((bundle, pipeline))
}

/// What the command line says about how a model runs.
pub fn options(args: &ModelArgs) -> Options {
    let mut options = Options::default();
    options.devices = args.device.clone();
    options.warm = args.warm;
    options.variant = args.variant.clone();
    options.min_score = args.min_score;
    options.iou = args.iou;
    options.max_boxes = args.max_boxes;
    options.top_k = args.top_k;
    options.max_tokens = args.max_tokens;
    #[cfg(feature = "speech")]
    speech(args, &mut options);
    options
}

#[cfg(feature = "speech")]
fn speech(args: &ModelArgs, options: &mut Options) {
    use crate::args::Times;
    use bevel::speech::Timestamps;

    options.language = args.language.clone();
    let (speech, said) = (&mut options.speech, &args.speech);
    speech.timestamps = match said.timestamps {
        Times::Pauses => Timestamps::Pauses,
        Times::Segments => Timestamps::Segments,
        Times::Words => Timestamps::Words,
    };
    speech.translate = said.translate;
    speech.prompt = said.prompt.clone();
    speech.hot_words = said.hot_word.clone();
    speech.full_window = said.full_window;
    speech.batch = said.pieces.map(usize::from);
    speech.beams = said.beams.map(usize::from);
    speech.language_model = said.language_model.clone();
}
