use std::cell::RefCell;
use std::rc::Rc;

use anyhow::anyhow;

use super::*;

/// A device that is plugged and unplugged by hand.
#[derive(Clone, Default)]
struct Fake(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    rate: Option<u32>,
    sink: Option<Sink>,
    streams: usize,
    tries: usize,
}

struct Stream(Fake);

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.0.0.borrow_mut();
        state.streams -= 1;
        state.sink = None;
    }
}

impl Microphone for Fake {
    type Stream = Stream;

    fn find(&mut self) -> anyhow::Result<Found> {
        self.0.borrow_mut().tries += 1;
        let rate = self
            .0
            .borrow()
            .rate
            .ok_or_else(|| anyhow!("nothing there"))?;
        Ok(Found {
            name: "fake".into(),
            sample_rate_hz: rate,
        })
    }

    fn start(&mut self, sink: Sink) -> anyhow::Result<Stream> {
        let mut state = self.0.borrow_mut();
        state.sink = Some(sink);
        state.streams += 1;
        Ok(Stream(self.clone()))
    }
}

/// A session without a model: what is pushed stays in its buffer.
fn input() -> LiveInput {
    LiveInput::detached(16_000, 16_000)
}

#[test]
fn an_unplugged_microphone_is_waited_for() {
    let mut fake = Fake::default();
    fake.0.borrow_mut().rate = Some(16_000);
    fake.find().unwrap();
    let mut kept = Kept::start(fake.clone(), input()).unwrap();
    let begun = Instant::now();
    let mut rates = Vec::new();
    let mut look = |ms: u64, kept: &mut Kept<Fake>| {
        let mut rate = |hz| {
            rates.push(hz);
            Ok(())
        };
        kept.look(begun + Duration::from_millis(ms), &mut rate)
    };
    let sink = || fake.0.borrow().sink.clone();
    sink().unwrap().sound(&[0.0; 160]);
    assert_eq!(look(100, &mut kept), None);

    // Unplugged.
    fake.0.borrow_mut().rate = None;
    sink().unwrap().failed("no such device".into());
    let news = look(200, &mut kept).unwrap();
    assert_eq!(
        news,
        "the microphone is gone (no such device); waiting for it"
    );
    assert_eq!(fake.0.borrow().streams, 0);
    // Tried less and less often, and told nobody of.
    let tries = fake.0.borrow().tries;
    for ms in (300..60_000).step_by(100) {
        assert_eq!(look(ms, &mut kept), None);
    }
    let tries = fake.0.borrow().tries - tries;
    assert!((12..=18).contains(&tries), "{tries}");

    // Back, as another device.
    fake.0.borrow_mut().rate = Some(48_000);
    let news = (60_000..70_000)
        .step_by(100)
        .find_map(|ms| look(ms, &mut kept));
    assert_eq!(news.as_deref(), Some("the microphone is back: fake"));
    sink().unwrap().sound(&[0.0; 480]);
    assert_eq!(look(70_000, &mut kept), None);
    assert_eq!(kept.sink.samples.load(Relaxed), 640);

    // Gone without a word.
    assert_eq!(look(72_000, &mut kept), None);
    let news = look(73_000, &mut kept).unwrap();
    assert!(news.contains("no sound comes"), "{news}");
    assert_eq!(rates, [48_000]);
}
