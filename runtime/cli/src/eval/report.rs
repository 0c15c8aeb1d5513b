//! What came of an evaluation, for people and for programs.

use std::fmt::Write;

use bevel::Bundle;
use serde::Serialize;

use super::{ClassFigures, Confusion, Figure, Groups, Scores};
use crate::args::EvalArgs;
use crate::show::table;

/// The most classes whose confusion is shown to people.
const SHOWN_CLASSES: usize = 20;

/// The object of `--json`.
#[derive(Serialize)]
pub struct Report {
    model: String,
    task: &'static str,
    variant: String,
    dataset: String,
    samples: usize,
    /// The task's main metric, which is the first one.
    main: String,
    metrics: Vec<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worst: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    classes: Vec<ClassFigures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confusion: Option<Confusion>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    groups: Option<Groups>,
    /// What it was compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
}

/// The same samples, answered by another model.
#[derive(Serialize)]
pub struct Compared {
    with: String,
    /// Its figures; none where its answers are the truth.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<Figure>,
    /// The main metric minus its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<Figure>,
}

impl Compared {
    /// # Errors
    /// Where the two cannot be compared.
    pub fn of(with: &str, scores: &Scores, reference: Option<&Scores>) -> anyhow::Result<Self> {
        Ok(Self {
            with: with.to_string(),
            metrics: reference.map_or(Vec::new(), |reference| reference.figures().to_vec()),
            change: reference
                .map(|reference| scores.change(reference))
                .transpose()?,
        })
    }
}

impl Report {
    pub fn of(bundle: &Bundle, variant: &str, args: &EvalArgs, scores: &Scores) -> Self {
        let manifest = bundle.manifest();
        Self {
            model: manifest.name.clone(),
            task: manifest.task.name(),
            variant: variant.to_string(),
            dataset: args.dataset.display().to_string(),
            samples: scores.samples(),
            main: scores.main().name,
            metrics: scores.figures().to_vec(),
            worst: scores.worst(),
            classes: scores.per_class(),
            confusion: scores.confusion(),
            groups: scores.groups(),
            compared: None,
        }
    }

    /// Tables for people.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{} ({}, {}) on {}: {} samples\n",
            self.model, self.task, self.variant, self.dataset, self.samples
        );
        let mut rows = vec![words(&["metric", "value", "95 % interval"])];
        rows.extend(self.metrics.iter().map(|figure| row(&figure.name, figure)));
        if let (Some(worst), Some(main)) = (self.worst, self.metrics.first()) {
            rows.push(vec![format!("worst {}", main.name), format!("{worst:.4}")]);
        }
        text += &table(&rows);
        self.class_text(&mut text);
        self.confusion_text(&mut text);
        if let Some(groups) = &self.groups {
            let mut rows = vec![words(&["group", "value", "95 % interval", "samples"])];
            for group in &groups.groups {
                let mut row = row(&group.group, &group.figure);
                row.push(group.figure.samples.to_string());
                rows.push(row);
            }
            if let Some(gap) = groups.gap {
                rows.push(vec!["gap".into(), format!("{gap:.4}")]);
            }
            text += "\n";
            text += &table(&rows);
        }
        if let Some(compared) = &self.compared {
            let _ = match &compared.change {
                None => writeln!(text, "\nagreement with {}", compared.with),
                Some(change) => {
                    let mut rows = vec![words(&[compared.with.as_str(), "value", "95 % interval"])];
                    rows.extend(
                        compared
                            .metrics
                            .iter()
                            .map(|figure| row(&figure.name, figure)),
                    );
                    rows.push(row(&format!("change of {}", change.name), change));
                    write!(text, "\n{}", table(&rows))
                }
            };
        }
        text
    }

    fn class_text(&self, text: &mut String) {
        let Some(first) = self.classes.first() else {
            return;
        };
        let names = first.values.iter().map(|(name, _)| (*name).to_string());
        let head = words(&["class", "truths"]).into_iter().chain(names);
        let rows = self.classes.iter().map(|class| {
            let values = class.values.iter().map(|(_, value)| format!("{value:.4}"));
            [class.label.clone(), class.truths.to_string()]
                .into_iter()
                .chain(values)
                .collect()
        });
        *text += "\n";
        *text += &table(
            &std::iter::once(head.collect())
                .chain(rows)
                .collect::<Vec<_>>(),
        );
    }

    fn confusion_text(&self, text: &mut String) {
        let Some(confusion) = &self.confusion else {
            return;
        };
        let count = confusion.labels.len();
        if count > SHOWN_CLASSES {
            return;
        }
        // Columns by number: names would not fit.
        let head = ["true \\ answered".to_string(), String::new()].into_iter();
        let head = head.chain((1..=count).map(|number| number.to_string()));
        let rows = confusion.labels.iter().zip(&confusion.counts).enumerate();
        let rows = rows.map(|(at, (label, counts))| {
            let start = [label.clone(), (at + 1).to_string()].into_iter();
            start.chain(counts.iter().map(u64::to_string)).collect()
        });
        *text += "\n";
        *text += &table(
            &std::iter::once(head.collect())
                .chain(rows)
                .collect::<Vec<_>>(),
        );
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_string()).collect()
}

fn row(name: &str, figure: &Figure) -> Vec<String> {
    let number = |value: f64| format!("{value:.4}");
    let interval = match (figure.low, figure.high) {
        (Some(low), Some(high)) => format!("{low:.4} … {high:.4}"),
        _ => String::new(),
    };
    let value = figure.value.map_or("none".into(), number);
    vec![name.to_string(), value, interval]
}
