//! Which language is heard.

use std::collections::BTreeMap;

/// So much speech settles it, in seconds.
const ENOUGH_S: f32 = 30.0;

/// A language that is given, or found out as more is heard.
#[derive(Debug, Clone)]
pub(super) struct Language {
    /// Code and id; empty for a model of one language.
    known: Vec<(String, u32)>,
    given: Option<usize>,
    /// For each that is known, the log-probability over pieces, weighted by their seconds.
    evidence: Vec<f32>,
    heard_s: f32,
}

impl Language {
    /// Of the languages that a model knows, `wanted`, or where it is none of them the one that is heard.
    pub(super) fn new(known: &BTreeMap<String, u32>, wanted: &str) -> Self {
        let known: Vec<_> = known.iter().map(|(code, id)| (code.clone(), *id)).collect();
        Self {
            given: known.iter().position(|(code, _)| code == wanted),
            evidence: vec![0.0; known.len()],
            known,
            heard_s: 0.0,
        }
    }

    /// Forgets what was heard.
    pub(super) fn reset(&mut self) {
        self.evidence.fill(0.0);
        self.heard_s = 0.0;
    }

    /// The ids to [weigh](Self::weigh); none when the language is settled.
    pub(super) fn open(&self) -> Option<Vec<u32>> {
        let open = self.given.is_none() && !self.known.is_empty() && self.heard_s < ENOUGH_S;
        open.then(|| self.known.iter().map(|(_, id)| *id).collect())
    }

    /// Takes the log-probabilities of the languages for a piece of so many seconds.
    pub(super) fn weigh(&mut self, log_probabilities: &[f32], seconds: f32) {
        for (sum, log_probability) in self.evidence.iter_mut().zip(log_probabilities) {
            *sum += log_probability.max(-100.0) * seconds;
        }
        self.heard_s += seconds;
    }

    /// Code and id of the language; `None` for a model of one language.
    pub(super) fn get(&self) -> Option<(&str, u32)> {
        let likeliest = || crate::decoder::argmax(&self.evidence) as usize;
        let at = self.given.unwrap_or_else(likeliest);
        self.known.get(at).map(|(code, id)| (code.as_str(), *id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_pieces_weigh_more() {
        let known = BTreeMap::from([("de".into(), 7), ("en".into(), 8)]);
        let mut given = Language::new(&known, "en");
        assert_eq!((given.open(), given.get()), (None, Some(("en", 8))));
        given.reset();
        let mut heard = Language::new(&known, "auto");
        assert_eq!(heard.open(), Some(vec![7, 8]));
        heard.weigh(&[-0.1, -3.0], 1.0);
        assert_eq!(heard.get(), Some(("de", 7)));
        heard.weigh(&[-1.0, -0.5], 20.0);
        assert_eq!(heard.get(), Some(("en", 8)));
        assert!(heard.open().is_some());
        heard.weigh(&[f32::NEG_INFINITY, 0.0], 20.0);
        assert_eq!(heard.open(), None);
        heard.reset();
        assert!(heard.open().is_some());
        let one = Language::new(&BTreeMap::new(), "auto");
        assert_eq!((one.open(), one.get()), (None, None));
    }
}
