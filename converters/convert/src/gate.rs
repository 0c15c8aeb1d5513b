//! The quality gate: what a variant may lose.

use std::collections::BTreeMap;

use crate::judge::Quality;

/// What is known of a metric.
struct Metric {
    name: &'static str,
    /// Whether more of it is better.
    higher: bool,
    limit: Limit,
    /// Where the caller says nothing.
    default: f64,
}

/// What the number of a gate means.
#[derive(Clone, Copy, PartialEq)]
enum Limit {
    /// The value has to reach it, and the worst sample this.
    Least { worst: f64 },
    /// The value may be this much worse than fp32's on the same samples.
    Loss,
}

/// Behind the name of a metric whose truth is what fp32 answers, for want of labelled data.
pub const AGREEMENT: &str = "-agreement";

/// How many labels are those of fp32; looked at beside `top1`, too.
const SAME: &str = "top1-agreement";

/// The share of the variance of all outputs that a variant explains, for models without a task.
pub(crate) const OUTPUTS: &str = "output-agreement";

/// The main figures of `bevel eval`: only these are scored. A figure on labelled data may lose one point. Agreement with fp32 is stricter than any label: two
/// models of equal worth differ on close calls. Sentence vectors that move less than 0.005 on average
/// and 0.02 at worst leave the order of neighbours alone.
const METRICS: &[Metric] = &[
    Metric {
        name: "cosine",
        higher: true,
        limit: Limit::Least { worst: 0.98 },
        default: 0.995,
    },
    loss("top1", true, 0.01),
    loss("mAP50-95", true, 0.01),
    loss("mIoU", true, 0.01),
    loss("spearman", true, 0.01),
    loss("f1", true, 0.01),
    loss("wer", false, 0.01),
    loss("perplexity", false, 0.5),
    loss(SAME, true, 0.03),
    loss("token-agreement", true, 0.03),
    loss("mAP50-95-agreement", true, 0.15),
    loss("mIoU-agreement", true, 0.03),
    loss("f1-agreement", true, 0.03),
    loss("wer-agreement", false, 0.02),
    loss(OUTPUTS, true, 0.001),
];

const fn loss(name: &'static str, higher: bool, default: f64) -> Metric {
    Metric {
        name,
        higher,
        limit: Limit::Loss,
        default,
    }
}

/// A metric that the table does not hold.
const OTHER: Metric = loss("", true, 0.01);

/// What the caller allows, by metric; the defaults where nothing is said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gate {
    limits: BTreeMap<String, f64>,
}

impl Gate {
    /// Takes up `METRIC=NUMBER`: the least value of `cosine`, the greatest loss of others, in the unit
    /// of the metric.
    ///
    /// # Errors
    /// What is wrong with the text, and the metrics there are.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let known = || {
            METRICS
                .iter()
                .map(|m| m.name)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (name, number) = text
            .split_once('=')
            .ok_or_else(|| format!("gate `{text}`: expected METRIC=NUMBER, such as wer=0.01"))?;
        let metric = METRICS
            .iter()
            .find(|m| m.name.eq_ignore_ascii_case(name.trim()))
            .ok_or_else(|| format!("no metric `{name}`; known: {}", known()))?;
        let limit: f64 = number
            .trim()
            .parse()
            .ok()
            .filter(|limit: &f64| limit.is_finite() && *limit >= 0.0)
            .ok_or_else(|| format!("gate `{text}`: `{number}` is not a number of 0 or more"))?;
        match self.limits.insert(metric.name.to_owned(), limit) {
            None => Ok(()),
            Some(_) => Err(format!("the gate of {} is given twice", metric.name)),
        }
    }

    /// The first metric with a limit that is not this one: it would never be looked at.
    pub(crate) fn unused(&self, metric: &str) -> Option<&str> {
        let mut names = self.limits.keys();
        let looked_at = |name: &&String| *name == metric || *name == SAME && metric == "top1";
        names.find(|name| !looked_at(name)).map(String::as_str)
    }

    /// Whether a variant passes; the reason why not.
    ///
    /// # Errors
    /// What was measured and what was needed. Not-a-number never passes.
    pub fn verdict(&self, quality: &Quality) -> Result<(), String> {
        let metric = row(&quality.metric);
        let given = self.limits.get(&quality.metric).copied();
        let limit = given.unwrap_or(metric.default);
        if let Some(agreement) = quality.agreement {
            let least = 1.0 - self.limits.get(SAME).unwrap_or(&row(SAME).default);
            if agreement.is_nan() || agreement < least {
                return Err(format!(
                    "{agreement:.3} of the samples are answered as fp32 does, below {least:.3} ({SAME})"
                ));
            }
        }
        let Quality { value, .. } = *quality;
        let name = &quality.metric;
        match metric.limit {
            Limit::Least { worst } => {
                // Not-a-number is below everything.
                let below = |x: f64, least: f64| x.is_nan() || x < least;
                if below(value, limit) {
                    return Err(format!("{name} {value:.4} is below the gate of {limit}"));
                }
                // Whoever sets a lower mean does not want the default at the worst.
                let least = worst.min(if given.is_some() {
                    2.0 * limit - 1.0
                } else {
                    worst
                });
                match quality.worst {
                    Some(found) if below(found, least) => Err(format!(
                        "{name} {found:.4} of the worst sample is below {least:.3}"
                    )),
                    _ => Ok(()),
                }
            }
            Limit::Loss => {
                let loss = loss_of(quality);
                if loss <= limit {
                    return Ok(());
                }
                let side = if metric.higher { "below" } else { "above" };
                let [low, high] = quality.interval;
                Err(format!(
                    "{name} {value:.4} ({low:.4} to {high:.4}) is {loss:.4} {side} the reference of {:.4}, \
                     the gate allows {limit}",
                    quality.reference
                ))
            }
        }
    }
}

/// How much worse a variant is than its reference, in the unit of the metric.
pub(crate) fn loss_of(quality: &Quality) -> f64 {
    match row(&quality.metric).higher {
        true => quality.reference - quality.value,
        false => quality.value - quality.reference,
    }
}

fn row(metric: &str) -> &'static Metric {
    METRICS.iter().find(|m| m.name == metric).unwrap_or(&OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quality(metric: &str, value: f64, reference: f64, worst: Option<f64>) -> Quality {
        Quality {
            metric: metric.into(),
            value,
            interval: [value - 0.01, value + 0.01],
            reference,
            worst,
            agreement: None,
            samples: 50,
        }
    }

    #[test]
    fn a_gate_opens_and_shuts() {
        struct Case {
            name: &'static str,
            gate: &'static [&'static str],
            quality: Quality,
            shuts: Option<&'static str>,
        }
        let cases = [
            Case {
                name: "a mean at the default",
                gate: &[],
                quality: quality("cosine", 0.995, 1.0, Some(0.98)),
                shuts: None,
            },
            Case {
                name: "a mean below it",
                gate: &[],
                quality: quality("cosine", 0.9949, 1.0, Some(0.99)),
                shuts: Some("cosine 0.9949 is below the gate of 0.995"),
            },
            Case {
                name: "one sample that fell",
                gate: &[],
                quality: quality("cosine", 0.999, 1.0, Some(0.4)),
                shuts: Some("worst sample"),
            },
            Case {
                name: "a lower gate lowers the worst as well",
                gate: &["cosine=0.9"],
                quality: quality("cosine", 0.95, 1.0, Some(0.81)),
                shuts: None,
            },
            Case {
                name: "a loss within",
                gate: &["map50-95=0.01"],
                quality: quality("mAP50-95", 0.3131, 0.3217, None),
                shuts: None,
            },
            Case {
                name: "a loss beyond",
                gate: &["mAP50-95=0.005"],
                quality: quality("mAP50-95", 0.3131, 0.3217, None),
                shuts: Some("0.0086 below the reference of 0.3217"),
            },
            Case {
                name: "as many right, but others",
                gate: &[],
                quality: Quality {
                    agreement: Some(0.96),
                    ..quality("top1", 0.88, 0.88, None)
                },
                shuts: Some("0.960 of the samples are answered as fp32 does, below 0.970"),
            },
            Case {
                name: "others within a gate of its own",
                gate: &["top1-agreement=0.05"],
                quality: Quality {
                    agreement: Some(0.96),
                    ..quality("top1", 0.88, 0.88, None)
                },
                shuts: None,
            },
            Case {
                name: "errors that grow",
                gate: &[],
                quality: quality("wer", 0.0366, 0.0244, None),
                shuts: Some("0.0122 above the reference"),
            },
            Case {
                name: "errors that shrink",
                gate: &[],
                quality: quality("wer", 0.01, 0.0244, None),
                shuts: None,
            },
            Case {
                name: "not a number",
                gate: &[],
                quality: quality("top1", f64::NAN, 0.9, None),
                shuts: Some("top1 NaN"),
            },
            Case {
                name: "a worst sample that is not a number",
                gate: &[],
                quality: quality("cosine", 1.0, 1.0, Some(f64::NAN)),
                shuts: Some("worst"),
            },
            Case {
                name: "a metric nobody knows",
                gate: &[],
                quality: quality("depth", 0.5, 0.6, None),
                shuts: Some("depth"),
            },
        ];
        for case in cases {
            let mut gate = Gate::default();
            for text in case.gate {
                gate.add(text).unwrap();
            }
            match (gate.verdict(&case.quality), case.shuts) {
                (Ok(()), None) => {}
                (Err(why), Some(says)) => assert!(why.contains(says), "{}: {why}", case.name),
                (got, _) => panic!("{}: {got:?}", case.name),
            }
        }
    }

    #[test]
    fn a_gate_is_read_from_text() {
        for (text, says) in [
            ("cosine", "METRIC=NUMBER"),
            ("speed=1", "no metric `speed`; known: cosine, top1"),
            ("wer=", "not a number"),
            ("wer=-0.1", "not a number"),
            ("wer=nan", "not a number"),
        ] {
            let error = Gate::default().add(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        let mut gate = Gate::default();
        gate.add("WER=0.02").unwrap();
        assert!(gate.add("wer=0.01").unwrap_err().contains("twice"));
        assert_eq!(gate.unused("wer"), None);
        assert_eq!(gate.unused("cosine"), Some("wer"));
    }
}
