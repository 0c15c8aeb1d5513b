//! Rotary position embedding (Su et al. 2021, arXiv:2104.09864): pairs of a head's elements are
//! turned by an angle that grows with the position, each pair at its own speed. Speeds and their
//! scaling to longer texts are those of `modeling_rope_utils.py` of transformers 5.23, in f32 as there.

use std::f64::consts::PI;

use bevel_onnx::{CONTRIB, DType, Tensor};

use crate::Error;
use crate::arch::layers::Net;
use crate::arch::settings::Settings;

/// Base of the speeds where the configuration names none.
const THETA: f64 = 10_000.0;

/// How far each position turns.
pub(super) struct Rotation {
    /// Radians a position, K/2.
    speeds: Vec<f32>,
    /// Factor on cosine and sine.
    factor: f32,
}

impl Rotation {
    /// `rope_parameters`, or `rope_scaling` and `rope_theta` of older configurations, for heads of
    /// `width`; and what people should know of it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a scaling that is not known, [`Error::SideFile`] for one without its
    /// numbers.
    pub fn read(
        settings: &Settings<'_>,
        width: usize,
        positions: usize,
    ) -> Result<(Self, Vec<String>), Error> {
        let section = settings.section("rope_parameters");
        let section = section.or_else(|| settings.section("rope_scaling"));
        // Where kinds of layers are told apart, all of ours are this one.
        let nested = section.as_ref().and_then(|s| s.section("full_attention"));
        let section = nested.or(section);
        let theta = settings.number("rope_theta", THETA)?;
        let (theta, kind, share) = match &section {
            None => (theta, "default", 1.0),
            Some(s) => (
                s.number("rope_theta", theta)?,
                s.text("rope_type").or(s.text("type")).unwrap_or("default"),
                s.number("partial_rotary_factor", 1.0)?,
            ),
        };
        let share = settings.number("partial_rotary_factor", share)?;
        if share != 1.0 {
            let what = format!("rotation of a part of each head (partial_rotary_factor {share})");
            return Err(settings.unsupported(what, "known: whole heads"));
        }
        if !(theta.is_finite() && theta > 0.0) {
            return Err(settings.wrong(format!("`rope_theta` is {theta}, expected one above 0")));
        }
        let section = section.as_ref().unwrap_or(settings);
        let needed = |key: &str| -> Result<f64, Error> {
            match section.number(key, f64::NAN)? {
                number if number.is_finite() && number > 0.0 => Ok(number),
                _ => {
                    Err(section.wrong(format!("rotation `{kind}` needs `{key}`, a number above 0")))
                }
            }
        };
        // The length that was trained before it was stretched.
        let trained = settings.number("original_max_position_embeddings", 0.0)?;
        let trained = match trained > 0.0 {
            true => trained,
            false => section.number("original_max_position_embeddings", positions as f64)?,
        };
        let mut notes = Vec::new();
        let mut rotation = Self {
            speeds: speeds(theta, width),
            factor: 1.0,
        };
        match kind {
            "default" => {}
            "linear" => {
                let factor = needed("factor")? as f32;
                rotation
                    .speeds
                    .iter_mut()
                    .for_each(|speed| *speed /= factor);
            }
            "llama3" => {
                let bounds = [needed("low_freq_factor")?, needed("high_freq_factor")?];
                let factor = needed("factor")?;
                let stretch = |speed: &mut f32| *speed = llama3(*speed, factor, bounds, trained);
                rotation.speeds.iter_mut().for_each(stretch);
            }
            "yarn" => {
                let factor = match section.get("factor") {
                    Some(_) => needed("factor")?,
                    None => positions as f64 / trained,
                };
                rotation = yarn(section, &rotation.speeds, [theta, factor, trained])?;
            }
            "dynamic" => notes.push(format!(
                "rotation `dynamic` changes only beyond {positions} tokens, where this bundle ends"
            )),
            other => {
                let next = "known: default, linear, llama3, yarn, dynamic";
                return Err(settings.unsupported(format!("rotation `{other}`"), next));
            }
        }
        Ok((rotation, notes))
    }

    /// What is read at each layer, for positions N×T; by ONNX Runtime's own operator or by plain ones.
    pub fn turns(&self, net: &mut Net<'_>, positions: &str, fused: bool) -> Turns {
        let size = [self.speeds.len()];
        let speeds = Tensor::f32("speeds", &size, self.speeds.clone());
        let speeds = net.graph.initializer(speeds);
        let to = i64::from(DType::F32.code());
        let places = net.graph.node("Cast", &[positions], [("to", to.into())]);
        if fused {
            let upright = net.i64s(&[-1, 1]);
            let graph = &mut net.graph;
            let places = graph.node("Reshape", &[&places, &upright], []);
            let angles = graph.node("Mul", &[&places, &speeds], []);
            let table = self.circle(net, &angles);
            // The table holds the positions at hand in their order, not all there are.
            let (zero, one) = (net.index(0), net.index(1));
            let graph = &mut net.graph;
            let count = graph.node("Size", &[positions], []);
            let rows = graph.node("Range", &[&zero, &count, &one], []);
            let shape = graph.node("Shape", &[positions], []);
            let rows = graph.node("Reshape", &[&rows, &shape], []);
            return Turns::Fused { table, rows };
        }
        let axes = net.i64s(&[2, 3]);
        let graph = &mut net.graph;
        let places = graph.node("Unsqueeze", &[&places, &axes], []);
        let angles = graph.node("Mul", &[&places, &speeds], []);
        let angles = graph.node("Concat", &[&angles, &angles], [("axis", (-1).into())]);
        Turns::Plain(self.circle(net, &angles))
    }

    /// Cosine and sine of angles.
    fn circle(&self, net: &mut Net<'_>, angles: &str) -> [String; 2] {
        let factor = (self.factor != 1.0).then(|| net.scalar(self.factor));
        ["Cos", "Sin"].map(|op| {
            let turn = net.graph.node(op, &[angles], []);
            match &factor {
                Some(factor) => net.graph.node("Mul", &[&turn, factor], []),
                None => turn,
            }
        })
    }
}

/// Cosine and sine of the positions at hand.
pub(super) enum Turns {
    /// For `RotaryEmbedding` of ONNX Runtime: N·T×K/2 each, and which row is whose, N×T. The whole
    /// graph takes 0.96 of its time with plain operators for a token, 0.97 for a prompt, measured as
    /// attention is in [`super::super::causal`].
    Fused { table: [String; 2], rows: String },
    /// N×T×1×K each.
    Plain([String; 2]),
}

impl Turns {
    /// `x · cos + (−x₂ ‖ x₁) · sin` for each of n heads with the halves x₁ and x₂, N×T×(n·K).
    pub fn turn(&self, net: &mut Net<'_>, x: &str, heads: usize, width: usize) -> String {
        match self {
            Self::Fused {
                table: [cos, sin],
                rows,
            } => {
                let inputs = [x, rows, cos, sin];
                let [turned] = net.graph.node_in(CONTRIB, "RotaryEmbedding", &inputs, []);
                turned
            }
            Self::Plain([cos, sin]) => {
                let apart = net.i64s(&[0, 0, heads as i64, width as i64]);
                let together = net.i64s(&[0, 0, (heads * width) as i64]);
                let graph = &mut net.graph;
                let x = graph.node("Reshape", &[x, &apart], []);
                let halves = [("axis", (-1).into()), ("num_outputs", 2.into())];
                let [first, second] = graph.node_of("Split", &[&x], halves);
                let second = graph.node("Neg", &[&second], []);
                let swapped = graph.node("Concat", &[&second, &first], [("axis", (-1).into())]);
                let straight = graph.node("Mul", &[&x, cos], []);
                let across = graph.node("Mul", &[&swapped, sin], []);
                let turned = graph.node("Add", &[&straight, &across], []);
                graph.node("Reshape", &[&turned, &together], [])
            }
        }
    }
}

/// θ^(−2i / K) for each pair i.
fn speeds(theta: f64, width: usize) -> Vec<f32> {
    let power = |i: usize| (2 * i) as f32 / width as f32;
    let speed = |i: usize| 1.0 / (theta as f32).powf(power(i));
    (0..width / 2).map(speed).collect()
}

/// Llama 3.1: slow pairs are slowed down by `factor`, fast ones are left, and those between `bounds`
/// turns within the trained length come in between.
fn llama3(speed: f32, factor: f64, [low, high]: [f64; 2], trained: f64) -> f32 {
    let length = 2.0 * PI / f64::from(speed);
    let slow = f64::from(speed) / factor;
    if length < trained / high {
        return speed;
    }
    if length > trained / low {
        return slow as f32;
    }
    let smooth = (trained / length - low) / (high - low);
    ((1.0 - smooth) * slow + smooth * f64::from(speed)) as f32
}

/// YaRN (Peng et al. 2023, arXiv:2309.00071): pairs that turn more than `beta_fast` times within the
/// trained length are left, those that turn less than `beta_slow` times are slowed down by `factor`,
/// and cosine and sine grow with it.
fn yarn(
    settings: &Settings<'_>,
    speeds: &[f32],
    [theta, factor, trained]: [f64; 3],
) -> Result<Rotation, Error> {
    let fast = settings.number("beta_fast", 32.0)?;
    let slow = settings.number("beta_slow", 1.0)?;
    let own = settings.number("mscale", 0.0)?;
    let all = settings.number("mscale_all_dim", 0.0)?;
    let grown = |by: f64| 0.1 * by * factor.max(1.0).ln() + 1.0;
    let growth = match own != 0.0 && all != 0.0 {
        true => grown(own) / grown(all),
        false => grown(1.0),
    };
    let growth = settings.number("attention_factor", growth)?;
    let width = 2.0 * speeds.len() as f64;
    // The pair, as a number between whole ones, that turns so often within the trained length.
    let pair = |turns: f64| width * (trained / (turns * 2.0 * PI)).ln() / (2.0 * theta.ln());
    let (mut first, mut last) = (pair(fast), pair(slow));
    if settings.flag("truncate", true) {
        (first, last) = (first.floor(), last.ceil());
    }
    (first, last) = (first.max(0.0), last.min(width - 1.0));
    if first == last {
        last += 0.001;
    }
    let slowed = speeds.iter().enumerate().map(|(i, speed)| {
        let share = ((i as f64 - first) / (last - first)).clamp(0.0, 1.0) as f32;
        speed * (1.0 - share) + speed / factor as f32 * share
    });
    Ok(Rotation {
        speeds: slowed.collect(),
        factor: growth as f32,
    })
}
