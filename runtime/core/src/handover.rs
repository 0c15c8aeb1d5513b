//! Answers now and better ones soon: what is at hand serves while what is wanted is built in a thread.
//!
//! TensorRT needs minutes to build an engine. With [`Options::warm`](crate::Options::warm) and a list of devices that
//! ends with the CPU, such as `tensorrt,cpu`, [`open`](crate::open) answers on the CPU from the start and on
//! TensorRT as soon as it is ready. Never silently: only where the CPU is listed, and the pipeline tells
//! which [`device`](crate::AnyPipeline::device) it answers on and how far the other
//! [is](crate::AnyPipeline::progress).

use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use bevel_manifest::Task as TaskName;

use crate::error::{Error, Result};
use crate::pipeline::Timing;
use crate::registry::{Answer, AnyPipeline, Sample};
use crate::session::Session;
#[cfg(feature = "text")]
use crate::text::Likelihood;

/// Something that serves until its successor is ready. It does not matter what it is.
pub struct Handover<P> {
    now: P,
    successor: Option<Receiver<Result<P>>>,
    began: Instant,
    progress: Progress,
}

/// How far the successor is.
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress {
    /// It is being built.
    Building,
    /// It serves; building took so long.
    Ready(Duration),
    /// It cannot be had, and what served goes on.
    Failed(Error),
}

impl<P: Send + 'static> Handover<P> {
    /// Serves with `now` and builds the successor in a thread. The thread is left to end by itself when this
    /// is dropped before.
    ///
    /// # Errors
    /// [`Error::Internal`] when the system gives no thread.
    pub fn start(now: P, build: impl FnOnce() -> Result<P> + Send + 'static) -> Result<Self> {
        let (send, successor) = sync_channel(1);
        let thread = thread::Builder::new().name("bevel-build".into());
        // Nobody waits for it any more when sending fails.
        let built = thread.spawn(move || drop(send.send(build())));
        built.map_err(|e| Error::Internal(format!("no thread to build in: {e}")))?;
        Ok(Self {
            now,
            successor: Some(successor),
            began: Instant::now(),
            progress: Progress::Building,
        })
    }

    /// What serves now; the successor from the first call after it is ready. What served before is dropped.
    pub fn current(&mut self) -> &mut P {
        if let Some(successor) = &self.successor {
            match successor.try_recv() {
                Ok(built) => self.take(built),
                Err(TryRecvError::Empty) => (),
                Err(TryRecvError::Disconnected) => self.take(Err(panicked())),
            }
        }
        &mut self.now
    }

    /// Waits for the successor, at most so long.
    pub fn wait(&mut self, at_most: Duration) -> &mut P {
        use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
        if let Some(successor) = &self.successor {
            match successor.recv_timeout(at_most) {
                Ok(built) => self.take(built),
                Err(Timeout) => (),
                Err(Disconnected) => self.take(Err(panicked())),
            }
        }
        &mut self.now
    }

    fn take(&mut self, built: Result<P>) {
        self.successor = None;
        self.progress = match built {
            Ok(next) => {
                self.now = next;
                Progress::Ready(self.began.elapsed())
            }
            Err(error) => Progress::Failed(error),
        };
    }
}

fn panicked() -> Error {
    Error::Internal("building it panicked".into())
}

impl<P> Handover<P> {
    /// What serves, as of the last time it was asked for.
    pub fn serving(&self) -> &P {
        &self.now
    }

    /// How far the successor is, as of the last time that what serves was asked for.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// For how long it has been building, or took.
    pub fn elapsed(&self) -> Duration {
        match self.progress {
            Progress::Ready(took) => took,
            Progress::Building | Progress::Failed(_) => self.began.elapsed(),
        }
    }
}

impl AnyPipeline for Handover<Box<dyn AnyPipeline>> {
    fn task(&self) -> TaskName {
        self.now.task()
    }

    fn run(&mut self, samples: &[Sample<'_>]) -> Result<Vec<Answer>> {
        self.current().run(samples)
    }

    fn timing(&self) -> Timing {
        self.now.timing()
    }

    fn sessions(&self) -> Vec<&Session> {
        self.now.sessions()
    }

    fn progress(&mut self) -> Option<&Progress> {
        self.current();
        Some(&self.progress)
    }

    #[cfg(feature = "speech")]
    fn transcribe(&mut self) -> Option<&mut crate::speech::Transcribe> {
        self.current().transcribe()
    }

    #[cfg(feature = "text")]
    fn likelihood(&mut self, text: &str) -> Result<Likelihood> {
        self.current().likelihood(text)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_is_at_hand_serves_until_the_successor_is_ready() {
        // The loader is held back by a gate, not by time.
        let (open, gate) = channel::<()>();
        let mut handover = Handover::start("cpu", move || {
            let _ = gate.recv();
            Ok("tensorrt")
        })
        .unwrap();
        for _ in 0..3 {
            assert_eq!(*handover.current(), "cpu");
            assert!(matches!(handover.progress(), Progress::Building));
        }
        assert_eq!(*handover.wait(Duration::ZERO), "cpu");
        open.send(()).unwrap();
        assert_eq!(*handover.wait(LONG), "tensorrt");
        assert!(matches!(handover.progress(), Progress::Ready(_)));
        assert_eq!(*handover.current(), "tensorrt");
        assert_eq!(*handover.serving(), "tensorrt");
    }

    #[test]
    fn a_failure_is_told_and_what_served_goes_on() {
        let fail = || Err(Error::Device("no GPU".into()));
        let mut handover = Handover::start(1, fail).unwrap();
        assert_eq!(*handover.wait(LONG), 1);
        let Progress::Failed(error) = handover.progress() else {
            panic!("{:?}", handover.progress());
        };
        assert_eq!(error.to_string(), "no GPU");
        assert_eq!(*handover.current(), 1);
    }

    #[test]
    fn a_loader_that_panics_is_a_failure() {
        let mut handover = Handover::start(1, || panic!("a test")).unwrap();
        assert_eq!(*handover.wait(LONG), 1);
        assert!(matches!(
            handover.progress(),
            Progress::Failed(Error::Internal(_))
        ));
    }

    #[test]
    fn dropping_it_does_not_wait() {
        let (open, gate) = channel::<()>();
        let handover = Handover::start(1, move || {
            let _ = gate.recv();
            Ok(2)
        });
        drop(handover);
        drop(open);
    }
}
