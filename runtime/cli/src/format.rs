//! Which form an answer takes on standard output, and which files it is kept in.

use std::str::FromStr;

use bevel::TaskName;
use bevel_manifest::ErrorKind;

use crate::args::RunArgs;
use crate::failure::fail;
use crate::hear::{FORMATS, Form};

/// What `--format` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The object of `--json`.
    Json,
    /// A transcript as such a file.
    Transcript(Form),
}

impl Format {
    pub fn ending(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Transcript(format) => format.ending(),
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            _ => text
                .parse()
                .map(Self::Transcript)
                .map_err(|_| format!("expected {FORMATS}")),
        }
    }
}

/// How segments of a transcript are shown as they are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Live {
    /// Only the whole answer is shown.
    Off,
    /// With name and times, for people.
    Table,
    /// One line of text each.
    Text,
}

/// What a run writes.
#[derive(Debug, PartialEq)]
pub struct Forms {
    /// On standard output; for people where there is none.
    pub stdout: Option<Format>,
    /// Files of transcripts in the folder of `--output`.
    pub files: Vec<Format>,
}

impl Forms {
    /// What the arguments ask for.
    ///
    /// # Errors
    /// Of kind `Input` where they do not go together, or with the task or the number of inputs.
    pub fn of(args: &RunArgs, task: TaskName, inputs: usize) -> anyhow::Result<Self> {
        let wrong = |what: String| fail(ErrorKind::Input, what);
        let json = args.json.then_some(Format::Json);
        let mut files = args.format.clone();
        files.dedup();
        if task != TaskName::Transcribe {
            let text = Format::Transcript(Form::Text);
            let stdout = match files.as_slice() {
                [] => json,
                [Format::Json] => Some(Format::Json),
                [format] if *format == text && json.is_none() => None,
                [format] if *format == text => {
                    return Err(wrong("--json and --format text contradict".into()));
                }
                _ => {
                    return Err(wrong(format!(
                        "--format srt, vtt and tsv write transcripts, `{task}` has none; use text or \
                         json"
                    )));
                }
            };
            return Ok(Self {
                stdout,
                files: Vec::new(),
            });
        }
        if args.output.is_some() {
            if files.is_empty() {
                files.push(Format::Transcript(Form::Text));
            }
            return Ok(Self {
                stdout: json,
                files,
            });
        }
        let stdout = match files.as_slice() {
            [] => json,
            [format] if json.is_none_or(|json| json == *format) => Some(*format),
            [format] => {
                let what = "write one of them to files with --output DIR";
                let ending = format.ending();
                return Err(wrong(format!(
                    "--json and --format {ending} contradict; {what}"
                )));
            }
            _ => {
                return Err(wrong(
                    "several formats need --output DIR for their files".into(),
                ));
            }
        };
        let one_file = |format: &Format| match format {
            Format::Transcript(format) => *format != Form::Text,
            Format::Json => false,
        };
        if let Some(format) = stdout.filter(one_file).filter(|_| inputs > 1) {
            return Err(wrong(format!(
                "{inputs} inputs make as many {} files; give --output DIR for them",
                format.ending()
            )));
        }
        Ok(Self {
            stdout,
            files: Vec::new(),
        })
    }
}
