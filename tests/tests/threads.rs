//! Threads sleep between runs, whichever pool they belong to: a device's battery depends on it.

// Helpers of a test fail it by panicking, as its body does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use bevel::speech::{Live, LiveOptions};
use bevel::vision::{ImageView, load_image};
use bevel::{Bundle, Detect, Options, Pipeline, Pool, Runtime, RuntimeOptions};
use bevel_tests::{needs, pulled, root};

/// Processor time of this process, all threads, in clock ticks of 10 ms.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The second field, in brackets, may hold spaces.
    let fields: Vec<_> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Processor time that passes while nothing runs, in ticks, over ten pauses of 50 ms after a run.
/// ONNX Runtime's own default burns about 30 ms after each run, 30 ticks in all.
fn idle_ticks(pool: Pool) -> Option<u64> {
    let model = pulled("yolox-nano")?;
    let options = RuntimeOptions::default().with_threads(2).with_pool(pool);
    Runtime::start(&options).unwrap();
    let mut detect = Pipeline::<Detect>::open(&model, &Options::default()).unwrap();
    let picture = load_image(&root().join("docs/coffee.jpg")).unwrap();
    let view = ImageView::from_rgb(picture.as_raw(), picture.width(), picture.height()).unwrap();
    let mut idle = 0;
    for _ in 0..10 {
        detect.run(&[view]).unwrap();
        let before = ticks();
        std::thread::sleep(Duration::from_millis(50));
        idle += ticks() - before;
    }
    Some(idle)
}

#[test]
fn of_the_shared_pool_sleep_between_runs() {
    let idle = needs!(idle_ticks(Pool::Shared));
    assert!(idle <= 5, "{idle} ticks");
}

#[test]
fn of_a_pool_per_graph_sleep_between_runs() {
    let idle = needs!(idle_ticks(Pool::PerGraph));
    assert!(idle <= 5, "{idle} ticks");
}

/// That of live speech sleeps while nothing is pushed.
#[test]
fn of_live_speech_sleep_without_sound() {
    let model = needs!(pulled("moonshine-tiny"));
    let recipe = root().join("models/transcribe/moonshine-tiny.toml");
    let bundle = Bundle::load_with_recipe(&model, &recipe).unwrap();
    let mut live = Live::load(&bundle, &Options::default(), &LiveOptions::default()).unwrap();
    live.push(&[0.0; 16_000]);
    live.reset();
    let before = ticks();
    assert_eq!(live.poll_timeout(Duration::from_millis(500)), None);
    let idle = ticks() - before;
    assert!(idle <= 5, "{idle} ticks");
}
