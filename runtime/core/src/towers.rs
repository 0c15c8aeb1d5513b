//! Models of two towers: text and pictures to vectors of one space (CLIP).

use bevel_manifest::Task as TaskName;

use crate::bundle::Bundle;
use crate::error::{Error, Result};
use crate::pipeline::{Options, Pipeline, Timing};
use crate::registry::{Answer, AnyPipeline, Sample};
use crate::session::Session;
use crate::{text, vision};

/// Both towers, each with a session of its own: the graphs `text` and `vision`.
struct Towers {
    text: Pipeline<text::Embed>,
    vision: Pipeline<vision::Embed>,
    timing: Timing,
}

/// Opens a bundle whose input is `text-image`.
pub(crate) fn open_boxed(bundle: &Bundle, options: &Options) -> Result<Box<dyn AnyPipeline>> {
    Ok(Box::new(Towers {
        text: Pipeline::load_graph(bundle, options, "text")?,
        vision: Pipeline::load_graph(bundle, options, "vision")?,
        timing: Timing::default(),
    }))
}

impl AnyPipeline for Towers {
    fn task(&self) -> TaskName {
        TaskName::Embed
    }

    fn run(&mut self, samples: &[Sample<'_>]) -> Result<Vec<Answer>> {
        let texts: Vec<_> = samples.iter().filter_map(|s| s.text()).collect();
        let images: Vec<_> = samples.iter().filter_map(|s| s.image()).collect();
        let mut of_text = self.text.run(&texts)?.into_iter();
        let mut of_images = self.vision.run(&images)?.into_iter();
        self.timing = self.text.timing();
        self.timing += self.vision.timing();
        let answer = |sample: &Sample<'_>| {
            let found = match sample {
                Sample::Text(_) => of_text.next(),
                Sample::Image(_) => of_images.next(),
                other => {
                    let what = format!("`embed` does not take {}", other.noun());
                    return Err(Error::Input(what));
                }
            };
            let missing = || Error::Internal("a tower came back short".into());
            found.map(Answer::Embed).ok_or_else(missing)
        };
        samples.iter().map(answer).collect()
    }

    fn sessions(&self) -> Vec<&Session> {
        vec![self.text.session(), self.vision.session()]
    }

    fn timing(&self) -> Timing {
        self.timing
    }
}
