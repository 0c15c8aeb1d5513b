use std::time::Instant;

use crate::report::{Progress, Stage, StageReport};

/// Announces stages and times them.
pub(crate) struct Clock<'a> {
    progress: &'a mut dyn FnMut(&Progress),
    start: Instant,
    begun: Vec<(Stage, Instant)>,
}

impl<'a> Clock<'a> {
    pub fn new(progress: &'a mut dyn FnMut(&Progress)) -> Self {
        Self {
            progress,
            start: Instant::now(),
            begun: Vec::new(),
        }
    }

    pub fn begin(&mut self, stage: Stage) {
        self.begun.push((stage, Instant::now()));
        self.detail(String::new(), 0, 0);
    }

    /// Says what is done within the stage that was begun last, `done` of `of` steps.
    pub fn detail(&mut self, what: String, done: usize, of: usize) {
        let stage = self.begun.last().map_or(Stage::Read, |(stage, _)| *stage);
        (self.progress)(&Progress {
            stage,
            what,
            done,
            of,
        });
    }

    pub fn total(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Each stage once, in the order of its first beginning.
    pub fn stages(&self) -> Vec<StageReport> {
        let ends = self.begun.iter().skip(1).map(|(_, at)| *at);
        let ends = ends.chain([Instant::now()]);
        let mut stages: Vec<StageReport> = Vec::new();
        for ((stage, begin), end) in self.begun.iter().zip(ends) {
            let seconds = (end - *begin).as_secs_f64();
            match stages.iter_mut().find(|s| s.stage == *stage) {
                Some(known) => known.seconds += seconds,
                None => stages.push(StageReport {
                    stage: *stage,
                    seconds,
                }),
            }
        }
        stages
    }
}
