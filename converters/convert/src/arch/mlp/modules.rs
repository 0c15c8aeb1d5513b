//! Reads a model that was pickled whole as steps, from its modules.
//!
//! The order of modules is that of their registration, and only `nn.Sequential` says that it is the order
//! of their use, too. The forward of any other class is code, which a pickle does not hold.

use bevel_weights::pickle::{Record, Value};

use super::Step;
use crate::arch::nonlinear::Nonlinear;

/// Modules inside each other; in a pickle they may be so without end.
const MAX_DEPTH: usize = 32;

/// Modules that are looked at: one that holds another twice, and so on, makes a tree without end.
const MAX_VISITS: usize = 1 << 14;

/// Where training scripts keep the model.
const WRAPPERS: [&str; 4] = ["ema", "model", "module", "net"];

/// Classes that wrap a model without a name of their own in `state_dict()`.
const TRANSPARENT: [&str; 3] = ["DataParallel", "DistributedDataParallel", "OptimizedModule"];

/// What a pickle tells.
#[derive(Debug, PartialEq)]
pub(super) enum Pickled {
    /// All of it, and what people should know about that.
    Steps {
        steps: Vec<Step>,
        note: Option<String>,
    },
    /// A sequence with a module that is not known here: where and what.
    Foreign(String),
    /// No sequence that holds all weights; the only non-linearity among the modules, if there is one.
    Nothing { nonlinear: Option<Nonlinear> },
}

pub(super) fn read(object: Option<Value<'_>>) -> Pickled {
    let nothing = Pickled::Nothing { nonlinear: None };
    let inside = |value: Value<'_>| WRAPPERS.iter().any(|key| value.get(key).is_some());
    let root = object.and_then(|object| match object.record() {
        Some(record) => Some(record),
        None if inside(object) => {
            let mut keys = WRAPPERS.iter();
            keys.find_map(|key| object.get(key)?.record())
        }
        None => None,
    });
    let Some(mut root) = root else {
        return nothing;
    };
    for _ in 0..MAX_DEPTH {
        if !TRANSPARENT.contains(&class(root)) {
            break;
        }
        match children(root).next() {
            Some((_, inner)) => root = inner,
            None => return nothing,
        }
    }
    if class(root) == "Sequential" {
        return sequence(root, String::new(), None);
    }
    let mut visits = 0;
    let weighty: Vec<_> = children(root)
        .filter(|(_, child)| has_weights(*child, 0, &mut visits))
        .collect();
    match weighty.as_slice() {
        [(name, child)] if class(*child) == "Sequential" => {
            let others = children(root).filter(|(other, _)| other != name);
            let others: Vec<_> = others
                .map(|(name, child)| format!("`{name}` ({})", called(child)))
                .collect();
            let besides = match others.is_empty() {
                true => String::new(),
                false => format!(", without {}", others.join(", ")),
            };
            let of = called(root);
            let note =
                format!("the forward of {of} is assumed to be that of its `{name}`{besides}");
            sequence(*child, name.clone(), Some(note))
        }
        _ => Pickled::Nothing {
            nonlinear: only_nonlinear(root),
        },
    }
}

fn sequence(record: Record<'_>, name: String, note: Option<String>) -> Pickled {
    let mut walk = Walk::default();
    match walk.step(record, &name, 0) {
        Ok(()) => Pickled::Steps {
            steps: walk.steps,
            note,
        },
        Err(what) => Pickled::Foreign(what),
    }
}

#[derive(Default)]
struct Walk {
    steps: Vec<Step>,
    visits: usize,
}

impl Walk {
    fn step(&mut self, record: Record<'_>, name: &str, depth: usize) -> Result<(), String> {
        let class = class(record);
        self.visits += 1;
        if depth > MAX_DEPTH || self.visits > MAX_VISITS {
            return Err(format!("`{name}`, one of more than any model has,"));
        }
        let epsilon = || {
            let epsilon = record.attribute("eps").and_then(Value::float);
            epsilon.unwrap_or(1e-5) as f32
        };
        let int = |key: &str| record.attribute(key).and_then(Value::int);
        let last_axis = matches!(int("dim"), None | Some(1 | -1));
        self.steps.push(match class {
            "Sequential" => {
                for (key, child) in children(record) {
                    let name = match name {
                        "" => key,
                        _ => format!("{name}.{key}"),
                    };
                    self.step(child, &name, depth + 1)?;
                }
                return Ok(());
            }
            "Linear" => Step::Linear(name.into()),
            "BatchNorm1d" => Step::BatchNorm(name.into(), epsilon()),
            "LayerNorm" => Step::LayerNorm(name.into(), epsilon()),
            // Nothing happens there once a model is trained.
            "Dropout" | "AlphaDropout" | "Identity" => return Ok(()),
            // What is N×D stays as it is.
            "Flatten" if int("start_dim") == Some(1) => return Ok(()),
            "Softmax" if last_axis => Step::Shares("Softmax"),
            "LogSoftmax" if last_axis => Step::Shares("LogSoftmax"),
            _ => match Nonlinear::module(record) {
                Some(nonlinear) => Step::Nonlinear(nonlinear),
                None => return Err(format!("`{name}` ({})", called(record))),
            },
        });
        Ok(())
    }
}

/// The non-linearity that all such modules of a model are, but for those in a sequence.
fn only_nonlinear(root: Record<'_>) -> Option<Nonlinear> {
    let mut found = children(root).filter_map(|(_, child)| Nonlinear::module(child));
    let first = found.next()?;
    let sequence = children(root).any(|(_, child)| class(child) == "Sequential");
    (!sequence && found.all(|other| other == first)).then_some(first)
}

/// The name of a class of PyTorch's; empty for one that someone else wrote, whose forward nobody knows.
fn class<'a>(record: Record<'a>) -> &'a str {
    let class = record
        .class()
        .filter(|class| class.module().starts_with("torch."));
    class.map_or("", |class| class.name())
}

/// The name of any class, for people.
fn called<'a>(record: Record<'a>) -> &'a str {
    record.class().map_or("", |class| class.name())
}

fn children(record: Record<'_>) -> impl Iterator<Item = (String, Record<'_>)> {
    let modules = record.attribute("_modules").and_then(Value::dict);
    let entries = modules.into_iter().flat_map(|modules| modules.iter());
    entries.filter_map(|(key, child)| Some((key.text()?.to_owned(), child.record()?)))
}

fn has_weights(record: Record<'_>, depth: usize, visits: &mut usize) -> bool {
    *visits += 1;
    let own = record.attribute("_parameters").and_then(Value::dict);
    let own = own.is_some_and(|own| own.iter().any(|(_, value)| value.tensor().is_some()));
    let deeper = depth < MAX_DEPTH && *visits < MAX_VISITS;
    own || (deeper && children(record).any(|(_, child)| has_weights(child, depth + 1, visits)))
}
