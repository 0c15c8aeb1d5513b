use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::speech::live::event::Event;
use crate::speech::live::options::check_rate;
use crate::speech::live::shared::{Order, Shared};

/// Where text comes out: the half of [`Live`](super::Live) for the thread that reads it. Others may give
/// orders meanwhile. When it is dropped the model is unloaded, and what is pushed from then on is
/// forgotten.
pub struct LiveOutput {
    pub(super) shared: Arc<Shared>,
    pub(super) worker: Option<JoinHandle<()>>,
}

impl LiveOutput {
    /// The next event, if there is one. Never waits for the model.
    pub fn poll(&self) -> Option<Event> {
        self.take(Some(Instant::now()))
    }

    /// The next event, for which it waits so long at most. Sleeps meanwhile.
    pub fn poll_timeout(&self, timeout: Duration) -> Option<Event> {
        // What is beyond any clock is for ever.
        self.take(Instant::now().checked_add(timeout))
    }

    fn take(&self, end: Option<Instant>) -> Option<Event> {
        let mut mail = self.shared.mail();
        loop {
            let was_full = mail.is_full();
            if let Some(event) = mail.events.pop_front() {
                if was_full {
                    self.shared.notify();
                }
                return Some(event);
            }
            if mail.dead || self.shared.closing.load(Acquire) {
                return None;
            }
            mail = self.shared.wait(mail, end)?;
        }
    }

    /// Whether nothing hears any more, because of [`close`](Self::close) or a panic: polling does not wait then.
    pub fn is_over(&self) -> bool {
        let mail = self.shared.mail();
        mail.dead && mail.events.is_empty()
    }

    /// How loud it is, in dB of full scale: −100 (silence) to 0.
    pub fn level_db(&self) -> f32 {
        f32::from_bits(self.shared.level.load(Relaxed))
    }

    /// Ends speech that is going on in what was pushed so far, as a pause would. Does not wait for
    /// its text, which is an event like others.
    pub fn flush(&self) {
        self.give(Order::Flush);
    }

    /// Ends the stream: waits until everything that was pushed is written down, and answers the
    /// events that were not polled. What is pushed then is another stream, whose times begin at 0.
    pub fn finish(&self) -> Vec<Event> {
        self.give_and_wait(Order::Finish)
    }

    /// Ends the stream as [`finish`](Self::finish) does, but without waiting: its events are polled, and
    /// [`Event::Ended`] is the last of them.
    pub fn end(&self) {
        self.give(Order::End);
    }

    /// Unloads the model as soon as it is not at work; who waits for an event stops waiting.
    pub fn close(&self) {
        let mail = self.shared.mail();
        self.shared.closing.store(true, Release);
        self.shared.notify();
        drop(mail);
        if let Some(worker) = &self.worker {
            worker.thread().unpark();
        }
    }

    /// Forgets what was pushed and not polled. What is pushed then is another stream, whose times begin
    /// at 0. Waits for the model where it is at work.
    pub fn reset(&self) {
        self.give_and_wait(Order::Reset);
    }

    /// From here on sound comes at another rate, as from another microphone. Ends speech that is
    /// going on; times go on. Nothing may be [pushed](super::LiveInput::push) meanwhile.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) for one that is not 1 to 384 kHz.
    pub fn change_rate(&self, sample_rate_hz: u32) -> Result<()> {
        check_rate(sample_rate_hz)?;
        self.shared.rate_hz.store(sample_rate_hz, Release);
        self.give(Order::Rate(sample_rate_hz));
        Ok(())
    }

    fn give(&self, order: Order) -> u64 {
        let mut mail = self.shared.mail();
        let at = self.shared.taken.load(Acquire);
        mail.orders.push_back((at, order));
        mail.given += 1;
        let ticket = mail.given;
        drop(mail);
        if let Some(worker) = &self.worker {
            worker.thread().unpark();
        }
        ticket
    }

    fn give_and_wait(&self, order: Order) -> Vec<Event> {
        let ticket = self.give(order);
        let mut events = Vec::new();
        let mut mail = self.shared.mail();
        loop {
            // The worker waits for room where nobody takes events away.
            events.extend(mail.events.drain(..));
            if mail.done >= ticket || mail.dead {
                return events;
            }
            self.shared.notify();
            match self.shared.wait(mail, None) {
                Some(changed) => mail = changed,
                None => return events,
            }
        }
    }
}

impl Drop for LiveOutput {
    fn drop(&mut self) {
        self.close();
        if let Some(worker) = self.worker.take() {
            // It has told what it died of, if it did.
            let _ = worker.join();
        }
    }
}
