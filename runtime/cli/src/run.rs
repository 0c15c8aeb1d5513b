//! `bevel run`.

use std::collections::HashSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use bevel::{Answer, AnyPipeline, Progress, Timing};
use bevel_manifest::ErrorKind;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::args::RunArgs;
use crate::failure::{self, fail};
use crate::format::{Format, Forms, Live};
use crate::hear::{self, Form};
use crate::inputs::{self, Item, Kind, Source};
use crate::show::Show;
use crate::{open, picture, whole};

/// Texts are answered in groups: large enough for batches of like length, small enough that memory
/// does not grow with the file.
const GROUP: usize = 256;

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    input: &'a str,
    task: &'static str,
    #[serde(flatten)]
    answer: &'a Answer,
    ms: &'a Ms,
}

/// Milliseconds per stage.
#[derive(Serialize)]
struct Ms {
    prepare: f64,
    run: f64,
    decode: f64,
}

impl Ms {
    /// A batch's time, split evenly over its items.
    fn per_item(timing: Timing, items: usize) -> Self {
        let ms = |d: std::time::Duration| d.as_secs_f64() * 1e3 / items.max(1) as f64;
        Self {
            prepare: ms(timing.prepare),
            run: ms(timing.run),
            decode: ms(timing.decode),
        }
    }
}

/// Answers for every input in order. An input that fails is told on standard error and the others
/// go on; the exit code is that of the first failure.
pub fn run(args: &RunArgs) -> anyhow::Result<()> {
    let (bundle, pipeline) = open::pipeline(&args.model)?;
    let kind = Kind::of(&bundle)?;
    let sources = inputs::sources(kind, &args.inputs)?;
    let forms = Forms::of(args, pipeline.task(), sources.len())?;
    hear::check(args, &sources)?;
    if let Some(folder) = &args.output {
        use bevel::TaskName::{Detect, Obb, Pose, Segment, Tensors, Transcribe};
        let task = pipeline.task();
        if !matches!(task, Detect | Segment | Pose | Obb | Tensors | Transcribe) {
            let what = format!(
                "--output draws what is found in pictures and keeps tensors and transcripts, \
                 `{task}` has none; use --json"
            );
            return Err(fail(ErrorKind::Input, what));
        }
        std::fs::create_dir_all(folder).map_err(|e| {
            fail(
                ErrorKind::Input,
                format!("cannot make {}: {e}", folder.display()),
            )
        })?;
    }
    let mut job = Job {
        bar: progress(args, &forms, kind, sources.len()),
        pipeline,
        args,
        forms,
        place: (0, sources.len()),
        group: Vec::new(),
        show: Show::default(),
        first_failure: None,
        failures: 0,
        written: sources.iter().flat_map(Source::files).collect(),
    };
    for source in &sources {
        job.place.0 += 1;
        // What takes long is shown as soon as it is known.
        let one_by_one = !matches!(kind, Kind::Text | Kind::Question)
            || job.pipeline.task() == bevel::TaskName::Generate;
        let read = inputs::read(kind, source, &mut |name, item| {
            match item {
                Ok(item) => job.group.push((name, item)),
                Err(error) => job.failed(error),
            }
            if one_by_one || job.group.len() == GROUP {
                job.flush()
            } else {
                Ok(())
            }
        });
        if let Err(error) = read {
            if failure::is_closed(&error) {
                return Err(error);
            }
            job.flush()?;
            job.failed(error);
        }
        job.bar.inc(1);
    }
    job.flush()?;
    job.bar.finish_and_clear();
    match job.pipeline.progress() {
        None => (),
        Some(Progress::Ready(took)) => {
            let seconds = took.as_secs_f64();
            failure::note(&format!(
                "what --warm builds was ready after {seconds:.1} s"
            ));
        }
        Some(Progress::Failed(error)) => failure::note(&format!("the CPU answered: {error}")),
        Some(_) => failure::note("the CPU answered: what --warm builds was not ready in time"),
    }
    match job.first_failure {
        None => Ok(()),
        // Already printed where it happened: only the kind is left to tell.
        Some(kind) if job.failures > 1 => {
            Err(fail(kind, format!("{} inputs failed", job.failures)))
        }
        Some(kind) => Err(failure::told(kind)),
    }
}

struct Job<'a> {
    pipeline: Box<dyn AnyPipeline>,
    args: &'a RunArgs,
    forms: Forms,
    /// Which source of how many.
    place: (usize, usize),
    group: Vec<(String, Item)>,
    show: Show,
    first_failure: Option<ErrorKind>,
    failures: usize,
    /// Inputs and what was written, so that nothing takes the place of another.
    written: HashSet<PathBuf>,
    bar: ProgressBar,
}

impl Job<'_> {
    fn failed(&mut self, error: anyhow::Error) {
        self.first_failure.get_or_insert(failure::kind(&error));
        self.failures += 1;
        self.bar.suspend(|| failure::print(&error));
    }

    /// Answers for what has been gathered.
    fn flush(&mut self) -> anyhow::Result<()> {
        let group = std::mem::take(&mut self.group);
        if group.is_empty() {
            return Ok(());
        }
        let answers = match group.as_slice() {
            [(name, item @ (Item::Sound(_) | Item::StdinSound))] => {
                let (args, live) = (self.args, self.live(item));
                let pipeline = self.pipeline.as_mut();
                let heard = hear::hear(pipeline, args, (name, item), self.place, live);
                heard.map(|heard| vec![heard])
            }
            group => {
                let samples = group.iter().map(|(_, i)| i.sample());
                let samples = samples.collect::<anyhow::Result<Vec<_>>>();
                samples.and_then(|samples| Ok(self.pipeline.run(&samples)?))
            }
        };
        match answers {
            Ok(answers) => {
                let timing = self.pipeline.timing();
                for ((name, item), answer) in group.iter().zip(answers) {
                    let answer = self.keep(name, item, answer)?;
                    let ms = Ms::per_item(timing, group.len());
                    self.write_files(name, &answer, &ms)?;
                    if self.live(item) == Live::Off {
                        self.write(name, &answer, &ms)?;
                    }
                }
                Ok(())
            }
            // One bad item must not take its neighbours with it.
            Err(_) if group.len() > 1 => {
                for (name, item) in group {
                    self.group.push((name, item));
                    self.flush()?;
                }
                Ok(())
            }
            Err(error) if failure::is_closed(&error) => Err(error),
            Err(error) => {
                self.failed(error);
                Ok(())
            }
        }
    }

    /// Segments are shown as they are found where somebody waits for them: at a terminal, or behind a
    /// stream that may never end.
    fn live(&self, item: &Item) -> Live {
        let stdin = matches!(item, Item::StdinSound);
        let sound = stdin || matches!(item, Item::Sound(_));
        let waits = stdin || std::io::stdout().is_terminal();
        match self.forms.stdout {
            None if sound && waits => Live::Table,
            Some(Format::Transcript(Form::Text)) if sound && waits => Live::Text,
            _ => Live::Off,
        }
    }

    /// Writes what `--output` asks for: tensors, or the picture with what was found.
    fn keep(&mut self, name: &str, item: &Item, mut answer: Answer) -> anyhow::Result<Answer> {
        let args = self.args;
        let Some(folder) = &args.output else {
            return Ok(answer);
        };
        if let Answer::Tensors(found) = &answer {
            let path = self.free(folder, name, "safetensors");
            let bytes = bevel::tensors::to_safetensors(&found.outputs)?;
            whole::write(&path, &bytes)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        if let Item::Image(image) = item {
            let mut free = |ending: &str| self.free(folder, name, ending);
            picture::keep(image, name, &mut answer, &mut free)?;
        }
        Ok(answer)
    }

    /// Writes a transcript as the files that `--output` and `--format` ask for.
    fn write_files(&mut self, name: &str, answer: &Answer, ms: &Ms) -> anyhow::Result<()> {
        let Some(folder) = &self.args.output else {
            return Ok(());
        };
        for format in self.forms.files.clone() {
            let path = self.free(folder, name, format.ending());
            let text = self.text(name, answer, ms, format)?;
            whole::write(&path, text.as_bytes()).with_context(|| {
                fail(ErrorKind::Input, format!("cannot write {}", path.display()))
            })?;
        }
        Ok(())
    }

    fn text(&self, name: &str, answer: &Answer, ms: &Ms, format: Format) -> anyhow::Result<String> {
        let task = self.pipeline.task().name();
        if let Format::Transcript(form) = format
            && let Some(text) = hear::written(answer, form)?
        {
            return Ok(text);
        }
        let line = Line {
            input: name,
            task,
            answer,
            ms,
        };
        Ok(serde_json::to_string(&line)? + "\n")
    }

    fn write(&mut self, name: &str, answer: &Answer, ms: &Ms) -> anyhow::Result<()> {
        let text = match self.forms.stdout {
            Some(format) => self.text(name, answer, ms, format)?,
            None => self.show.answer(name, answer),
        };
        self.bar
            .suspend(|| std::io::stdout().lock().write_all(text.as_bytes()))?;
        Ok(())
    }

    /// The input's own name, where it is a file's, with another ending and a number where there is
    /// such a file among inputs and results.
    fn free(&mut self, folder: &Path, name: &str, ending: &str) -> PathBuf {
        let name = Path::new(name);
        let file = name.file_stem().filter(|_| name.is_file());
        let stem = file.map_or("input".into(), |stem| stem.to_string_lossy().into_owned());
        let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let mut number = 1;
        let mut file = format!("{stem}.{ending}");
        while !self.written.insert(real.join(&file)) {
            number += 1;
            file = format!("{stem}-{number}.{ending}");
        }
        folder.join(file)
    }
}

/// A bar for a person who waits for many inputs; nothing for pipes and single inputs.
fn progress(args: &RunArgs, forms: &Forms, kind: Kind, sources: usize) -> ProgressBar {
    let shown = forms.stdout.is_none() && args.output.is_none();
    // Sound has bars of its own.
    if sources < 4 || !std::io::stderr().is_terminal() || shown || kind == Kind::Sound {
        return ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    }
    let bar = ProgressBar::new(sources as u64);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {per_sec} {eta}") {
        bar.set_style(style);
    }
    bar
}
