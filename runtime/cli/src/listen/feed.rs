//! A file or pipe as something that is spoken.

use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use bevel::speech::{LiveInput, LiveOutput};

use crate::listen::Source;
use crate::listen::show::Show;
use crate::listen::sound::Sound;

/// How long a thread sleeps that waits for room.
const WAIT: Duration = Duration::from_millis(5);

/// Reads in a thread of its own, because a pipe may keep it waiting.
pub struct Feed {
    /// How reading ended.
    end: Receiver<std::io::Result<()>>,
}

impl Feed {
    pub fn start(mut sound: Sound, mut input: LiveInput) -> anyhow::Result<Self> {
        let (told, end) = channel();
        let thread = std::thread::Builder::new().name("bevel-feed".into());
        let read = move || {
            // Nobody listens any more where this fails.
            let _ = told.send(feed(&mut sound, &mut input));
        };
        thread.spawn(read).context("cannot start a thread")?;
        Ok(Self { end })
    }
}

impl Source for Feed {
    fn watch(&mut self, _: &mut LiveOutput, _: &mut Show) -> anyhow::Result<bool> {
        match self.end.try_recv() {
            Ok(end) => end.map(|()| false).context("cannot read the sound"),
            Err(TryRecvError::Empty) => Ok(true),
            Err(TryRecvError::Disconnected) => Ok(false),
        }
    }
}

fn feed(sound: &mut Sound, input: &mut LiveInput) -> std::io::Result<()> {
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
            if sound.recorded {
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
