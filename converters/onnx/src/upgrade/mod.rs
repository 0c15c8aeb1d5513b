//! Models of older operator sets, brought to [`OPSET`](crate::OPSET).
//!
//! [`steps`] says what changed: one row for each change that a node can notice. What only allows more
//! (types, negative axes, a new attribute whose default is what was) is listed in [`SAME`], so that a
//! test can hold both against the changelog of ONNX, `testdata/changelog.txt`: nothing in between is
//! forgotten.
//!
//! One thing that stays the same by its specification does not in ONNX Runtime 1.28: an `AveragePool`
//! that rounds up and counts padding divides windows beyond the edge by the whole window before
//! version 19, and by what is inside from then on, which is what PyTorch does and what is right.

mod steps;

use std::collections::BTreeMap;

use crate::proto::NodeProto;
use crate::{Error, Graph, OPSET, Tensor};

/// The oldest operator set that is brought up to date: the first with broadcasting as it is now.
pub const OLDEST_OPSET: i64 = 7;

/// What a change asks of a node.
enum Change {
    /// These nodes answer what it did.
    Adapt(fn(NodeProto, &mut Room<'_>) -> Result<Vec<NodeProto>, String>),
    /// It did what nothing does any more.
    Refuse(&'static str),
}

/// Operator, the version of the change, and what to do.
type Step = (&'static [&'static str], i64, Change);

/// Where adapted nodes find names and constants.
struct Room<'a> {
    graph: &'a mut Graph,
    /// Constants made so far: several nodes may read one.
    made: BTreeMap<Vec<i64>, String>,
}

impl Room<'_> {
    fn value(&mut self, like: &str) -> String {
        self.graph.unique(like.to_owned())
    }

    fn ints(&mut self, values: &[i64]) -> String {
        if let Some(name) = self.made.get(values) {
            return name.clone();
        }
        let name = self.graph.initializer(Tensor::i64s("ints", values));
        self.made.insert(values.to_vec(), name.clone());
        name
    }

    fn constant(&mut self, tensor: Tensor) -> String {
        self.graph.initializer(tensor)
    }

    fn find(&self, name: &str) -> Option<&Tensor> {
        self.graph.find_initializer(name)
    }
}

#[cfg(test)]
/// Changes that no model notices: operator and versions.
const SAME: &str = "\
Abs 13; Add 13 14; ArgMax 11 12 13; ArgMin 11 12 13; AveragePool 10 11 19; BatchNormalization 15; \
Cast 9 13 19 21; CastLike 19 21; Ceil 13; Clip 12 13; Compress 11; Concat 11 13; \
Constant 9 11 12 13 19 21; ConstantOfShape 20 21; Conv 11; ConvTranspose 11; CumSum 14; \
DepthToSpace 11 13; DequantizeLinear 13 19 21; Div 13 14; Dropout 13; Equal 11 13 19; Erf 13; \
Exp 13; Expand 13; Flatten 9 11 13 21; Floor 13; GRU 14; Gather 11 13; GatherElements 13; \
GatherND 12 13; Gemm 9 11 13; Greater 9 13; GreaterOrEqual 16; Hardmax 11; Identity 13 14 16 19 21; \
If 11 13 16 19 21; IsInf 20; IsNaN 13 20; LRN 13; LSTM 14; LeakyRelu 16; Less 9 13; LessOrEqual 16; \
Log 13; LogSoftmax 11; Loop 11 13 16 19 21; LpPool 11 18; MatMul 9 13; Max 8 12 13; \
MaxPool 8 10 11 12; MaxUnpool 11; Mean 8 13; MeanVarianceNormalization 13; Min 8 12 13; Mod 13; \
Mul 13 14; Neg 13; NegativeLogLikelihoodLoss 13; NonMaxSuppression 11; NonZero 13; OneHot 11; \
OptionalGetElement 18; OptionalHasElement 18; PRelu 9 16; Pad 13 18 19 21; Pow 12 13 15; \
QLinearMatMul 21; QuantizeLinear 13 19 21; RNN 14; Reciprocal 13; ReduceL1 11 13; ReduceL2 11 13; \
ReduceLogSum 11 13; ReduceLogSumExp 11 13; ReduceMax 11 12 13 20; ReduceMean 11 13; \
ReduceMin 11 12 13 20; ReduceProd 11 13; ReduceSum 11; ReduceSumSquare 11 13; Relu 13 14; \
Reshape 13 14 19 21; Resize 18 19; Scan 11 16 19 21; ScatterElements 13 16 18; ScatterND 13 16 18; \
Shape 13 15 19 21; Sigmoid 13; Sign 13; Size 13 19 21; Slice 11 13; Softmax 11; \
SoftmaxCrossEntropyLoss 13; SpaceToDepth 13; Split 11; Sqrt 13; Squeeze 11 21; Sub 13 14; Sum 8 13; \
Tanh 13; Tile 13; TopK 11; Transpose 13 21; Unsqueeze 11 21; Where 16";

impl Graph {
    /// Brings a model of an older operator set to [`OPSET`](crate::OPSET). A newer one keeps its own,
    /// as do operators of other domains. Answers the version it had.
    ///
    /// # Errors
    /// [`Error::Opset`] for a model older than [`OLDEST_OPSET`], [`Error::Upgrade`] for a node that
    /// did what no operator does any more.
    pub fn upgrade(&mut self) -> Result<i64, Error> {
        // `ai.onnx` is the long name of the domain.
        if let Some(version) = self.opsets.remove("ai.onnx") {
            self.opsets.entry(String::new()).or_insert(version);
        }
        let Some(version) = self.opsets.get("").copied() else {
            return Ok(OPSET);
        };
        if version < OLDEST_OPSET {
            return Err(Error::Opset {
                graph: self.name.clone(),
                version,
            });
        }
        if version >= OPSET {
            return Ok(version);
        }
        self.hoist();
        let nodes = std::mem::take(&mut self.nodes);
        let mut room = Room {
            graph: self,
            made: BTreeMap::new(),
        };
        let nodes = upgrade_nodes(nodes, version, &mut room)?;
        self.nodes = nodes;
        self.opsets.insert(String::new(), OPSET);
        self.learn_names();
        Ok(version)
    }
}

fn upgrade_nodes(
    nodes: Vec<NodeProto>,
    version: i64,
    room: &mut Room<'_>,
) -> Result<Vec<NodeProto>, Error> {
    let mut upgraded = Vec::with_capacity(nodes.len());
    for mut node in nodes {
        for body in node.bodies_mut() {
            body.node = upgrade_nodes(std::mem::take(&mut body.node), version, room)?;
        }
        upgrade_node(node, version, room, &mut upgraded)?;
    }
    Ok(upgraded)
}

/// Takes every step of a node's operator that lies between the versions. What a step makes of a node
/// goes through the later steps of its own operator: an `Upsample` becomes a `Resize` of 10.
fn upgrade_node(
    node: NodeProto,
    version: i64,
    room: &mut Room<'_>,
    upgraded: &mut Vec<NodeProto>,
) -> Result<(), Error> {
    let step = steps::STEPS
        .iter()
        .filter(|(ops, at, _)| *at > version && node.is_standard() && ops.contains(&node.op_type()))
        .min_by_key(|(_, at, _)| *at);
    let Some((_, at, change)) = step else {
        upgraded.push(node);
        return Ok(());
    };
    let (name, op) = (node.name().to_owned(), node.op_type().to_owned());
    let nodes = match change {
        Change::Adapt(adapt) => adapt(node, room),
        Change::Refuse(why) => Err((*why).to_owned()),
    };
    let nodes = nodes.map_err(|why| Error::Upgrade {
        node: name,
        op,
        version,
        change: *at,
        why,
    })?;
    for node in nodes {
        upgrade_node(node, *at, room, upgraded)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
