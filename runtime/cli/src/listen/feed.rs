//! A file or pipe as something that is spoken.

use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use bevel::speech::{LiveInput, LiveOutput, Sound};

use crate::listen::Source;
use crate::listen::show::Show;

/// How long a thread sleeps that waits for room.
const WAIT: Duration = Duration::from_millis(5);

/// Reads in a thread of its own, because a pipe may keep it waiting.
pub struct Feed {
    /// How reading ended.
    end: Receiver<bevel::Result<()>>,
}

impl Feed {
    pub fn start(mut sound: Sound, recorded: bool, mut input: LiveInput) -> anyhow::Result<Self> {
        let (told, end) = channel();
        let thread = std::thread::Builder::new().name("bevel-feed".into());
        let read = move || {
            // Nobody listens any more where this fails.
            let _ = told.send(feed(&mut sound, recorded, &mut input));
        };
        thread.spawn(read).context("cannot start a thread")?;
        Ok(Self { end })
    }
}

impl Source for Feed {
    fn watch(&mut self, _: &mut LiveOutput, _: &mut Show) -> anyhow::Result<bool> {
        match self.end.try_recv() {
            Ok(end) => Ok(end.map(|()| false)?),
            Err(TryRecvError::Empty) => Ok(true),
            Err(TryRecvError::Disconnected) => Ok(false),
        }
    }
}

/// What was `recorded` is played as fast as it was spoken; all else comes by itself.
fn feed(sound: &mut Sound, recorded: bool, input: &mut LiveInput) -> bevel::Result<()> {
    let rate = f64::from(sound.sample_rate_hz());
    let (begun, mut sent) = (Instant::now(), 0_usize);
    let mut mono = Vec::new();
    let mut more = true;
    while more {
        mono.clear();
        more = sound.read(&mut mono)?;
        // A fiftieth of a second, as a sound card gives it.
        for block in mono.chunks((rate / 50.0) as usize + 1) {
            sent += block.len();
            if recorded {
                let due = Duration::from_secs_f64(sent as f64 / rate);
                std::thread::sleep(due.saturating_sub(begun.elapsed()));
            }
            while input.room() < block.len() {
                std::thread::sleep(WAIT);
            }
            input.push(block);
        }
    }
    Ok(())
}
