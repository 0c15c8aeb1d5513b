//! `bevel listen`: speech to text while it is spoken.

mod feed;
#[cfg(feature = "microphone")]
mod kept;
#[cfg(feature = "microphone")]
pub mod microphone;
mod screen;
mod show;
mod srt;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bevel::speech::{Event, Live, LiveOptions, LiveOutput, Pcm, Sound};
use bevel_manifest::ErrorKind;

use crate::args::ListenArgs;
use crate::failure::fail;
use crate::listen::feed::Feed;
use crate::listen::show::Show;
use crate::listen::srt::Srt;
use crate::open;

/// How often the screen is drawn and the microphone looked after.
const TICK: Duration = Duration::from_millis(100);

/// Where sound comes from while it is listened to.
trait Source {
    /// Looks after it; `false` when there is no more sound.
    fn watch(&mut self, output: &mut LiveOutput, show: &mut Show) -> anyhow::Result<bool>;
}

/// Listens until Ctrl-C, the end of the input or the end of the time. What was said until then is
/// written down in any case.
pub fn listen(args: &ListenArgs) -> anyhow::Result<()> {
    #[cfg(feature = "microphone")]
    if args.list_devices {
        return microphone::list();
    }
    let model = &args.model;
    if model.bundle.as_os_str() == "-" {
        return Err(fail(
            ErrorKind::Input,
            "no BUNDLE; see `bevel listen --help`",
        ));
    }
    let mut options = LiveOptions::default();
    options.threshold = args.vad;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        // A second time it is meant: the model may be slow.
        if stopped.swap(true, Relaxed) {
            std::process::exit(130);
        }
    })?;
    let srt = args.srt.as_deref().map(Srt::create).transpose()?;
    let mut show = Show::new(args.json, srt);
    let mut start = |rate: u32| -> anyhow::Result<Live> {
        options.sample_rate_hz = rate;
        let bundle = open::bundle(&model.bundle, model.recipe.as_deref())?;
        open::runtime(&model.limits)?;
        Ok(Live::load(&bundle, &open::options(model), &options)?)
    };
    let (mut source, mut output): (Box<dyn Source>, LiveOutput) = match &args.input {
        Some(input) => {
            // Before the first bytes are waited for: a pipe may stay empty for long.
            show.note(&listening(args));
            let sound = sound(input, args.pcm)?;
            let recorded = input.as_os_str() != "-";
            let (input, output) = start(sound.sample_rate_hz())?.split();
            (Box::new(Feed::start(sound, recorded, input)?), output)
        }
        None => {
            let opened = microphone_source(args, &mut start)?;
            show.note(&listening(args));
            opened
        }
    };
    let end = args
        .seconds
        .map(|s| Instant::now() + Duration::from_secs_f64(s));
    let mut drawn = Instant::now();
    let mut more = true;
    while more && !stop.load(Relaxed) && end.is_none_or(|end| Instant::now() < end) {
        if let Some(event) = output.poll_timeout(TICK) {
            show.event(&event)?;
        }
        if drawn.elapsed() >= TICK {
            drawn = Instant::now();
            more = source.watch(&mut output, &mut show)?;
            show.tick(output.level_db())?;
        }
    }
    drop(source);
    for event in output.finish() {
        show.event(&event)?;
    }
    show.end()
}

fn listening(args: &ListenArgs) -> String {
    let place = match &args.input {
        Some(input) if input.as_os_str() == "-" => "standard input".into(),
        Some(input) => input.display().to_string(),
        None => "the microphone".into(),
    };
    format!("listening to {place}; Ctrl-C ends")
}

/// A file, or standard input: a recording, or samples as `pcm` describes them.
fn sound(input: &Path, pcm: Option<Pcm>) -> anyhow::Result<Sound> {
    let name = input.display().to_string();
    Ok(match pcm {
        _ if input.as_os_str() == "-" => {
            let pcm = pcm.unwrap_or_default();
            Sound::from_reader("standard input", std::io::stdin(), Some(pcm))?
        }
        None => Sound::open(input)?,
        Some(_) => {
            let file = File::open(input).map_err(|source| bevel::Error::InputFile {
                path: input.to_path_buf(),
                source,
            })?;
            Sound::from_reader(&name, file, pcm)?
        }
    })
}

#[cfg(feature = "microphone")]
fn microphone_source(
    args: &ListenArgs,
    start: &mut dyn FnMut(u32) -> anyhow::Result<Live>,
) -> anyhow::Result<(Box<dyn Source>, LiveOutput)> {
    use crate::listen::kept::{Kept, Microphone as _};
    let mut microphone = microphone::Card::new(args.device_name.clone());
    // One that is not there at the start is an error; later it is waited for.
    let found = microphone.find()?;
    let (input, output) = start(found.sample_rate_hz)?.split();
    Ok((Box::new(Kept::start(microphone, input)?), output))
}

#[cfg(not(feature = "microphone"))]
fn microphone_source(
    _: &ListenArgs,
    _: &mut dyn FnMut(u32) -> anyhow::Result<Live>,
) -> anyhow::Result<(Box<dyn Source>, LiveOutput)> {
    let what = "this build has no microphone (feature `microphone`); pipe sound into --input -, as in \
                `arecord -q -f S16_LE -r 16000 -c 1 | bevel listen BUNDLE --input -`";
    Err(fail(ErrorKind::Unsupported, what))
}

/// The event as a line of JSON.
fn json(event: &Event) -> anyhow::Result<String> {
    Ok(serde_json::to_string(event)? + "\n")
}
