use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::speech::live::event::Event;

/// Events that wait for the caller. With more of them no sound is taken from the buffer, so that
/// memory is bounded and no text is lost: what is too much is refused where it comes in.
const MAX_EVENTS: usize = 1024;

/// What the caller's threads and the worker see of each other.
#[derive(Default)]
pub(super) struct Shared {
    /// Samples that were taken since the start.
    pub(super) taken: AtomicU64,
    /// Samples that were refused since the start.
    pub(super) refused: AtomicU64,
    /// Rate of the samples that are pushed.
    pub(super) rate_hz: AtomicU32,
    /// Loudness, the bits of an f32.
    pub(super) level: AtomicU32,
    /// Nobody listens any more.
    pub(super) closing: AtomicBool,
    mail: Mutex<Mail>,
    /// Events came or went, or an order was carried out.
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct Mail {
    pub(super) events: VecDeque<Event>,
    /// What to do behind how many samples.
    pub(super) orders: VecDeque<(u64, Order)>,
    /// How many orders were given, and carried out.
    pub(super) given: u64,
    pub(super) done: u64,
    /// The worker is no more.
    pub(super) dead: bool,
}

/// What the worker is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// End speech that is going on.
    Flush,
    /// The same, and start again at 0 s.
    Finish,
    /// The same, and tell that it is done.
    End,
    /// Forget everything and start again at 0 s.
    Reset,
    /// Sound comes at another rate from here on.
    Rate(u32),
}

impl Shared {
    pub(super) fn mail(&self) -> MutexGuard<'_, Mail> {
        // What is behind the lock is whole at any time, whoever panics.
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells waiting threads that the mail has changed.
    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Waits for a change, at most until `end`; `None` then.
    pub(super) fn wait<'m>(
        &self,
        mail: MutexGuard<'m, Mail>,
        end: Option<Instant>,
    ) -> Option<MutexGuard<'m, Mail>> {
        let Some(end) = end else {
            let mail = self.changed.wait(mail);
            return Some(mail.unwrap_or_else(PoisonError::into_inner));
        };
        let left = end.saturating_duration_since(Instant::now());
        if left == Duration::ZERO {
            return None;
        }
        let waited = self.changed.wait_timeout(mail, left);
        Some(waited.unwrap_or_else(PoisonError::into_inner).0)
    }
}

impl Mail {
    /// Puts an event at the end. A partial text takes the place of one that nobody has seen.
    pub(super) fn put(&mut self, event: Event) {
        if let (Some(last @ Event::Partial { .. }), Event::Partial { .. }) =
            (self.events.back_mut(), &event)
        {
            *last = event;
            return;
        }
        self.events.push_back(event);
    }

    pub(super) fn is_full(&self) -> bool {
        self.events.len() >= MAX_EVENTS
    }
}
