//! Silero voice activity detection (snakers4/silero-vad 5 and 6, 16 kHz).
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | `input` | W×576 | f32 | windows of 64 samples before and 512 new ones, in −1 ..= 1 |
//! | `h`, `c` | 1×1×128 | f32 | state, zeros at the start |
//! | `speech_probs` | W | f32 | probability of speech per window |
//! | `hn`, `cn` | 1×1×128 | f32 | the next state |
//!
//! The graph everybody has, `silero_vad.onnx`, takes one window at a time: `input` 1×576, `state`
//! 2×1×128, `sr` → `output` 1×1, `stateN`. Which of the two it is, its inputs tell.

use ort::session::SessionInputValue;
use ort::value::TensorRef;

use crate::bundle::ModelFile;
use crate::error::{Error, Result, internal};
use crate::pipeline::Options;
use crate::session::Session;
use crate::speech::SAMPLE_RATE_HZ;

/// Samples of one window.
pub(super) const WINDOW: usize = 512;
/// Samples before a window that the graph sees with it. Without them it answers ~0 for any speech.
const CONTEXT: usize = 64;
const ROW: usize = CONTEXT + WINDOW;
/// Values of `h` and of `c`.
const STATE: usize = 128;

/// A detector and its state in one stream.
pub(super) struct Vad {
    session: Session,
    kind: Kind,
    /// `h`, then `c`.
    state: Vec<f32>,
    context: Vec<f32>,
    /// Samples that do not fill a window yet.
    rest: Vec<f32>,
    rows: Vec<f32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `silero_vad_16k_sequence.onnx`: many windows a run.
    Sequence,
    /// `silero_vad.onnx`: one window a run; with or without the rate as an input.
    Single { rate: bool },
}

impl Vad {
    /// Loads the graph. It always runs on the CPU, in one thread: a window is 60 µs of work there, less
    /// than it takes to reach another device or thread.
    ///
    /// # Errors
    /// Those of [`Session::load`]; [`Error::Model`] when it is no Silero detector.
    pub(super) fn load(file: &ModelFile, options: &Options) -> Result<Self> {
        let session = Session::load_small(file, options)?;
        let kind = if ["input", "h", "c"].iter().all(|n| session.has_input(n)) {
            Kind::Sequence
        } else if ["input", "state"].iter().all(|n| session.has_input(n)) {
            Kind::Single {
                rate: session.has_input("sr"),
            }
        } else {
            let names: Vec<_> = session.inputs().iter().map(|i| i.name.as_str()).collect();
            let what = format!(
                "not a Silero detector: inputs are {}, expected input, h, c or input, state, sr",
                names.join(", ")
            );
            return Err(Error::model(file.path(), what));
        };
        Ok(Self {
            session,
            kind,
            state: vec![0.0; 2 * STATE],
            context: vec![0.0; CONTEXT],
            rest: Vec::with_capacity(WINDOW),
            rows: Vec::new(),
        })
    }

    /// Back to the start of a stream.
    pub(super) fn reset(&mut self) {
        self.state.fill(0.0);
        self.context.fill(0.0);
        self.rest.clear();
    }

    /// Takes samples and appends one probability per window that is full.
    ///
    /// # Errors
    /// [`Error::Run`] when ONNX Runtime fails.
    pub(super) fn push(&mut self, mut samples: &[f32], out: &mut Vec<f32>) -> Result<()> {
        self.rows.clear();
        while self.rest.len() + samples.len() >= WINDOW {
            let count = WINDOW - self.rest.len();
            self.rest.extend_from_slice(&samples[..count]);
            samples = &samples[count..];
            self.row();
        }
        self.rest.extend_from_slice(samples);
        self.run(out)
    }

    /// Appends the probability of the last, unfilled window, if there is one.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub(super) fn finish(&mut self, out: &mut Vec<f32>) -> Result<()> {
        self.rows.clear();
        if !self.rest.is_empty() {
            self.rest.resize(WINDOW, 0.0);
            self.row();
        }
        self.run(out)?;
        self.reset();
        Ok(())
    }

    /// Makes a row of the full window in `rest`.
    fn row(&mut self) {
        self.rows.extend_from_slice(&self.context);
        self.rows.extend_from_slice(&self.rest);
        self.context.copy_from_slice(&self.rest[WINDOW - CONTEXT..]);
        self.rest.clear();
    }

    fn run(&mut self, out: &mut Vec<f32>) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let rows_a_run = match self.kind {
            Kind::Sequence => self.rows.len(),
            Kind::Single { .. } => ROW,
        };
        for rows in self.rows.chunks(rows_a_run) {
            run_rows(&mut self.session, self.kind, rows, &mut self.state, out)?;
        }
        Ok(())
    }
}

fn run_rows(
    session: &mut Session,
    kind: Kind,
    rows: &[f32],
    state: &mut [f32],
    out: &mut Vec<f32>,
) -> Result<()> {
    let path = session.path().to_path_buf();
    let bad = |what: String| Error::model(&path, what);
    let count = rows.len() / ROW;
    let rate = [i64::from(SAMPLE_RATE_HZ)];
    let inputs = || -> ort::Result<Vec<(&str, SessionInputValue<'_>)>> {
        let rows = TensorRef::from_array_view(([count, ROW], rows))?;
        let mut inputs = vec![("input", rows.into())];
        match kind {
            Kind::Sequence => {
                let (h, c) = state.split_at(STATE);
                let shape = [1, 1, STATE];
                inputs.push(("h", TensorRef::from_array_view((shape, h))?.into()));
                inputs.push(("c", TensorRef::from_array_view((shape, c))?.into()));
            }
            Kind::Single { rate: with_rate } => {
                let state = TensorRef::from_array_view(([2, 1, STATE], &*state))?;
                inputs.push(("state", state.into()));
                if with_rate {
                    let shape: [usize; 0] = [];
                    let rate = TensorRef::from_array_view((shape, rate.as_slice()))?;
                    inputs.push(("sr", rate.into()));
                }
            }
        }
        Ok(inputs)
    };
    let inputs = inputs().map_err(internal)?;
    let outputs = session.run(inputs)?;
    let read = |name: &str, expected: usize| -> Result<&[f32]> {
        let value = outputs
            .get(name)
            .ok_or_else(|| bad(format!("has no output `{name}`")))?;
        match value.try_extract_tensor::<f32>() {
            Ok((_, values)) if values.len() == expected => Ok(values),
            _ => Err(bad(format!(
                "output `{name}` is {}, expected {expected} values of float32",
                value.dtype()
            ))),
        }
    };
    match kind {
        Kind::Sequence => {
            out.extend_from_slice(read("speech_probs", count)?);
            let (h, c) = (read("hn", STATE)?, read("cn", STATE)?);
            state[..STATE].copy_from_slice(h);
            state[STATE..].copy_from_slice(c);
        }
        Kind::Single { .. } => {
            out.extend_from_slice(read("output", count)?);
            state.copy_from_slice(read("stateN", 2 * STATE)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use bevel_tests::{needs, pulled};

    /// A graph in `models/.cache`; said aloud where it is missing.
    fn graph(name: &str) -> Option<PathBuf> {
        pulled("moonshine-tiny").map(|folder| folder.join(name))
    }

    /// A voiced sound that starts and stops.
    fn sound() -> Vec<f32> {
        let at = |i: u32| {
            let t = i as f32 / 16_000.0;
            let voice: f32 = (1..20)
                .map(|k| (880.0 * k as f32 * t).sin() / k as f32)
                .sum();
            0.2 * voice * (6.0 * t).sin().max(0.0)
        };
        (0..40_000).map(at).collect()
    }

    fn probabilities(vad: &mut Vad, sound: &[f32], block: usize) -> Vec<f32> {
        let mut out = Vec::new();
        for chunk in sound.chunks(block) {
            vad.push(chunk, &mut out).unwrap();
        }
        vad.finish(&mut out).unwrap();
        out
    }

    fn load(path: &Path) -> Vad {
        Vad::load(&path.into(), &Options::default()).unwrap()
    }

    #[test]
    fn chunked_is_whole() {
        let path = needs!(graph("silero_vad_16k_sequence.onnx"));
        let mut vad = load(&path);
        let sound = sound();
        let whole = probabilities(&mut vad, &sound, sound.len());
        assert_eq!(whole.len(), sound.len().div_ceil(WINDOW));
        for block in [1, 100, 511, 512, 513, 3_000] {
            assert_eq!(
                probabilities(&mut vad, &sound, block),
                whole,
                "blocks of {block}"
            );
        }
    }

    #[test]
    fn the_graph_for_single_windows_answers_the_same() {
        let graphs = [
            needs!(graph("silero_vad_16k_sequence.onnx")),
            needs!(graph("silero_vad.onnx")),
        ];
        let [mut sequence, mut single] = graphs.map(|p| load(&p));
        assert_eq!(single.kind, Kind::Single { rate: true });
        let sound = sound();
        let expected = probabilities(&mut sequence, &sound, 4_000);
        let found = probabilities(&mut single, &sound, 4_000);
        assert!(expected.iter().any(|p| *p > 0.1), "{expected:?}");
        for (a, b) in found.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-4, "{found:?} {expected:?}");
        }
    }
}
