//! Policies of stable-baselines3 2.9 (Raffin et al. 2021, JMLR 22/268) over flat observations,
//! `MlpPolicy`: from `policy.pth`, or straight from the `.zip` that `save()` writes.
//!
//! | of | tensor | shape | dtype | meaning |
//! |---|---|---|---|---|
//! | all | in `observation` | N×F | f32 | flat; a discrete observation as one-hot, normalised as in training |
//! | PPO, A2C | out `action_logits` | N×A | f32 | one per action; those of several discrete actions one behind the other |
//! | | or out `action_mean` | N×A | f32 | continuous actions: the mean of a Gaussian; with `squash_output` in −1 ..= 1 |
//! | | out `value` | N×1 | f32 | the return that is expected |
//! | DQN | out `q_values` | N×A | f32 | the return that is expected of each action |
//! | SAC, TD3, DDPG | out `action` | N×A | f32 | in −1 ..= 1, to be scaled to the action space |
//!
//! These are what `predict(…, deterministic=True)` decides by. The spread of a Gaussian, `log_std`, says
//! how training explored: it is not in the graph, and neither are critics and target networks. The
//! report lists them as not used.
//!
//! | weights | layers |
//! |---|---|
//! | `mlp_extractor.shared_net`, `.policy_net`, `.value_net`, `action_net`, `value_net` | PPO, A2C; the first until 1.7 |
//! | `q_net.q_net` | DQN |
//! | `actor.latent_pi`, `actor.mu` | SAC; `actor.mu.0` where it explores by state and clips the mean |
//! | `actor.mu` | TD3, DDPG |
//!
//! All sizes are those of the weights. The non-linearity after each hidden layer is that of `--set
//! activation=NAME`, else that of `policy_kwargs` in the `.zip`, else the algorithm's own: tanh for PPO
//! and A2C, ReLU for the others.

use bevel_onnx::{DType, Dim, Graph};
use serde_json::Value;

use super::chain::numbered;
use super::layers::{Activation, Net};
use super::nonlinear::{MODULE, Nonlinear};
use crate::arch::{Built, Family, model};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};

pub(super) const FAMILY: Family = Family {
    name: NAME,
    marks: &[
        "action_net.",
        "value_net.",
        "mlp_extractor.",
        "actor.",
        "critic.",
    ],
    recognises: |source| Algorithm::of(&Weights::new(&source.checkpoint, NAME)).is_some(),
    build,
};

const NAME: &str = "mlp-policy";

/// `clip_mean` where nobody says another, of SAC that explores by state.
const CLIP_MEAN: f64 = 2.0;

/// Algorithms by the layout of their policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    /// PPO, A2C.
    ActorCritic,
    Dqn,
    Sac,
    /// DDPG, too.
    Td3,
}

impl Algorithm {
    fn of(weights: &Weights<'_>) -> Option<Self> {
        let has = |name: &str| weights.contains(name);
        let any = |start: &str| weights.names().any(|name| name.starts_with(start));
        match () {
            () if has("action_net.weight") && has("value_net.weight") => Some(Self::ActorCritic),
            () if any("q_net.q_net.") => Some(Self::Dqn),
            () if any("actor.log_std") && any("actor.mu.") => Some(Self::Sac),
            () if any("actor.mu.") => Some(Self::Td3),
            () => None,
        }
    }

    /// What follows a hidden layer where nobody says another.
    fn nonlinear(self) -> Nonlinear {
        match self {
            Self::ActorCritic => Nonlinear::TANH,
            Self::Dqn | Self::Sac | Self::Td3 => Nonlinear::RELU,
        }
    }

    /// Beginnings of the names of what only training needs.
    fn training(self) -> &'static [&'static str] {
        match self {
            Self::ActorCritic => &["log_std"],
            Self::Dqn => &["q_net_target."],
            Self::Sac => &["actor.log_std", "critic.", "critic_target."],
            Self::Td3 => &["actor_target.", "critic.", "critic_target."],
        }
    }
}

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    super::only_tensors(NAME, options)?;
    let weights = Weights::new(&source.checkpoint, NAME);
    let algorithm = Algorithm::of(&weights).ok_or_else(|| Error::Unsupported {
        family: NAME,
        what: "a policy of these names".into(),
        next: "MlpPolicy of PPO, A2C, DQN, SAC, TD3 and DDPG is".into(),
    })?;
    // A flat observation needs no weights before the layers.
    if let Some(name) = weights
        .names()
        .find(|name| name.contains("features_extractor."))
    {
        return Err(Error::Unsupported {
            family: NAME,
            what: format!("a policy over pictures or several observations (`{name}`)"),
            next: "MlpPolicy over one flat observation is".into(),
        });
    }
    let mut notes = Vec::new();
    let between = nonlinear(source, algorithm, &mut notes)?;
    let outputs = outputs(source, &weights, algorithm, &mut notes);
    let graph = network(&weights, &outputs, between)?;
    let training = algorithm.training();
    let unused = weights.finish(|name| training.iter().any(|start| name.starts_with(start)))?;
    let mut built = Built::tensors(model(graph), unused);
    built.notes = notes;
    Ok(built)
}

/// An output and the layers that lead to it.
struct Output {
    name: &'static str,
    layers: Vec<String>,
    end: End,
}

/// What follows the last layer.
enum End {
    Nothing,
    Tanh,
    /// The mean is kept within so much of 0 before.
    ClippedTanh(f32),
}

fn outputs(
    source: &Source,
    weights: &Weights<'_>,
    algorithm: Algorithm,
    notes: &mut Vec<String>,
) -> Vec<Output> {
    let output = |name, hidden: &str, head: Option<&str>, end| Output {
        name,
        layers: numbered(weights, hidden)
            .into_iter()
            .chain(head.map(str::to_owned))
            .collect(),
        end,
    };
    match algorithm {
        Algorithm::ActorCritic => {
            let spread = weights.shape("log_std");
            let squash = kwarg(source, "squash_output").and_then(Value::as_bool);
            // Only exploration by state can be squashed.
            if spread.is_some_and(|s| s.len() == 2) && source.checkpoint.settings().is_none() {
                let what = "the weights alone do not tell whether actions are squashed; they are \
                            assumed not to be, else convert the .zip";
                notes.push(what.into());
            }
            let (name, end) = match (spread, squash) {
                (Some(_), Some(true)) => ("action_mean", End::Tanh),
                (Some(_), _) => ("action_mean", End::Nothing),
                (None, _) => ("action_logits", End::Nothing),
            };
            let [policy, value] = ["mlp_extractor.policy_net.", "mlp_extractor.value_net."];
            vec![
                output(name, policy, Some("action_net"), end),
                output("value", value, Some("value_net"), End::Nothing),
            ]
        }
        Algorithm::Dqn => vec![output("q_values", "q_net.q_net.", None, End::Nothing)],
        Algorithm::Sac if weights.contains("actor.mu.0.weight") => {
            let most = kwarg(source, "clip_mean").and_then(Value::as_f64);
            let end = End::ClippedTanh(most.unwrap_or(CLIP_MEAN) as f32);
            vec![output(
                "action",
                "actor.latent_pi.",
                Some("actor.mu.0"),
                end,
            )]
        }
        Algorithm::Sac => vec![output(
            "action",
            "actor.latent_pi.",
            Some("actor.mu"),
            End::Tanh,
        )],
        Algorithm::Td3 => vec![output("action", "actor.mu.", None, End::Tanh)],
    }
}

/// One of `policy_kwargs`, which only the `.zip` has.
fn kwarg<'a>(source: &'a Source, name: &str) -> Option<&'a Value> {
    source
        .checkpoint
        .settings()?
        .get("policy_kwargs")?
        .get(name)
}

fn nonlinear(
    source: &Source,
    algorithm: Algorithm,
    notes: &mut Vec<String>,
) -> Result<Nonlinear, Error> {
    if let Some(chosen) = source.set.choice("activation", &Nonlinear::settings())? {
        return Ok(chosen);
    }
    let Some(class) = kwarg(source, "activation_fn").and_then(Value::as_str) else {
        if source.checkpoint.settings().is_none() {
            let of = match algorithm {
                Algorithm::ActorCritic => "tanh, PPO's and A2C's own",
                _ => "ReLU, the algorithm's own",
            };
            let what = "the weights alone do not tell the activation; it is assumed to be";
            notes.push(format!(
                "{what} {of}; else --set activation=…, or convert the .zip"
            ));
        }
        return Ok(algorithm.nonlinear());
    };
    // <class 'torch.nn.modules.activation.ReLU'>
    let name = class.strip_prefix("<class '").and_then(|class| {
        let path = class.strip_suffix("'>")?.strip_prefix(MODULE)?;
        path.rsplit('.').next()
    });
    let found = name.and_then(Nonlinear::class);
    found.ok_or_else(|| Error::Unsupported {
        family: NAME,
        what: format!("activation_fn {class}"),
        next: format!(
            "if it is one of these, name it with --set activation=: {}",
            names()
        ),
    })
}

fn names() -> String {
    Nonlinear::settings().map(|(name, _)| name).join(", ")
}

fn network(weights: &Weights<'_>, outputs: &[Output], between: Nonlinear) -> Result<Graph, Error> {
    let mut net = Net::new(NAME, weights);
    let shared = numbered(weights, "mlp_extractor.shared_net.");
    let first = shared
        .first()
        .or(outputs.first().and_then(|output| output.layers.first()));
    let mut width = first.map_or(1, |layer| net.columns(&format!("{layer}.weight")));
    let batch = Dim::named("batch");
    let dims = [batch.clone(), Dim::Fixed(width)];
    let mut x = net.graph.input("observation", DType::F32, dims);
    if !shared.is_empty() {
        (x, width) = net.chain(&x, &shared, width, between)?;
        x = net.nonlinear(&x, between);
    }
    for Output { name, layers, end } in outputs {
        let (mut y, outputs) = net.chain(&x, layers, width, between)?;
        if let End::ClippedTanh(most) = end {
            let (low, high) = (net.scalar(-most), net.scalar(*most));
            y = net.graph.node("Clip", &[&y, &low, &high], []);
        }
        if !matches!(end, End::Nothing) {
            y = net.activation(&y, Activation::Tanh);
        }
        net.graph
            .output(&y, name, DType::F32, [batch.clone(), Dim::Fixed(outputs)]);
    }
    Ok(net.graph)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shapes, write_safetensors};

    #[test]
    fn algorithms_are_told_by_their_weights() {
        struct Case {
            name: &'static str,
            layers: &'static [(&'static str, [usize; 2])],
            more: &'static [(&'static str, &'static [usize])],
            operators: &'static str,
            outputs: &'static str,
            unused: &'static [&'static str],
        }
        let cases = [
            Case {
                name: "no hidden layer",
                layers: &[("action_net", [3, 4]), ("value_net", [1, 4])],
                more: &[],
                operators: "Gemm Gemm",
                outputs: "action_logits value",
                unused: &[],
            },
            Case {
                name: "layers that both share",
                layers: &[
                    ("mlp_extractor.shared_net.0", [8, 4]),
                    ("mlp_extractor.value_net.0", [6, 8]),
                    ("action_net", [3, 8]),
                    ("value_net", [1, 6]),
                ],
                more: &[("log_std", &[3])],
                operators: "Gemm Tanh Gemm Gemm Tanh Gemm",
                outputs: "action_mean value",
                unused: &["log_std"],
            },
            Case {
                name: "DQN",
                layers: &[
                    ("q_net.q_net.0", [8, 4]),
                    ("q_net.q_net.2", [3, 8]),
                    ("q_net_target.q_net.0", [8, 4]),
                ],
                more: &[],
                operators: "Gemm Relu Gemm",
                outputs: "q_values",
                unused: &["q_net_target.q_net.0.bias", "q_net_target.q_net.0.weight"],
            },
            Case {
                name: "SAC that explores by state",
                layers: &[("actor.latent_pi.0", [8, 4]), ("actor.mu.0", [2, 8])],
                more: &[("actor.log_std", &[8, 2])],
                operators: "Gemm Relu Gemm Clip Tanh",
                outputs: "action",
                unused: &["actor.log_std"],
            },
            Case {
                name: "TD3",
                layers: &[("actor.mu.0", [8, 4]), ("actor.mu.2", [2, 8])],
                more: &[("critic.qf0.0.bias", &[8])],
                operators: "Gemm Relu Gemm Tanh",
                outputs: "action",
                unused: &["critic.qf0.0.bias"],
            },
        ];
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.pth");
        let out = folder.path().join("out.bevel");
        for case in cases {
            let mut shapes = Shapes::new();
            for (name, [rows, columns]) in case.layers {
                shapes.insert(format!("{name}.weight"), vec![*rows, *columns]);
                shapes.insert(format!("{name}.bias"), vec![*rows]);
            }
            let more = case.more.iter();
            shapes.extend(more.map(|(name, shape)| ((*name).to_owned(), shape.to_vec())));
            write_safetensors(&file, &shapes);
            let options = Options::default();
            let report = crate::convert(&file, &out, &options, None, &mut |_| {}).unwrap();
            assert_eq!(report.family, NAME, "{}", case.name);
            assert_eq!(report.tensors_unused, case.unused, "{}", case.name);
            let assumed = report.notes.iter().any(|n| n.contains("--set activation"));
            assert!(assumed, "{}: {:?}", case.name, report.notes);
            let graph = Graph::load(&out.join("model.onnx")).unwrap();
            let operators: Vec<_> = graph.nodes.iter().map(|n| n.op_type()).collect();
            assert_eq!(operators.join(" "), case.operators, "{}", case.name);
            let outputs: Vec<_> = graph.outputs.iter().map(|o| o.name.as_str()).collect();
            assert_eq!(outputs.join(" "), case.outputs, "{}", case.name);
        }
    }
}
