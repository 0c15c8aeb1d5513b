//! NeuMF (He et al. 2017, arXiv:1708.05031): how much a user will like an item, from the product of two
//! embeddings (GMF) and from `Linear` layers over two others (MLP).
//!
//! | tensor | shape | dtype | meaning |
//! |---|---|---|---|
//! | in `user` | N | i64 | 0 ≤ id < number of users |
//! | in `item` | N | i64 | 0 ≤ id < number of items |
//! | out `score` | N×1 | f32 | how likely the user is to choose the item, 0 ..= 1 |
//!
//! `score = σ(w · [GMF, MLP] + b)`, and a ReLU follows each layer of the MLP. The sigmoid is part of the
//! graph also where a library's own forward leaves it to the loss. Sizes are those of the weights;
//! names and the order of both halves those of one of these:
//!
//! | naming | by | order |
//! |---|---|---|
//! | `embedding_user_mf`, `fc_layers.{i}`, `affine_output` | yihong-chen/neural-collaborative-filtering | MLP, GMF |
//! | `embed_user_GMF`, `MLP_layers.{i}`, `predict_layer` | guoyang9/NCF | GMF, MLP |
//! | `user_mf_embedding`, `mlp_layers.mlp_layers.{i}`, `predict_layer` | RecBole | GMF, MLP |

use bevel_onnx::{DType, Dim, Graph};

use super::chain::numbered;
use super::layers::Net;
use super::nonlinear::Nonlinear;
use crate::arch::{Built, Family, model};
use crate::source::Source;
use crate::weights::Weights;
use crate::{Error, Options};

pub(super) const FAMILY: Family = Family {
    name: NAME,
    marks: &["embedding", "user", "item", "mf", "mlp"],
    recognises: |source| naming(source).is_some(),
    build,
};

const NAME: &str = "neumf";

/// How a library calls the weights.
struct Naming {
    /// Tables of users and items that are multiplied.
    gmf: [&'static str; 2],
    /// Tables of users and items that are joined.
    mlp: [&'static str; 2],
    layers: &'static str,
    output: &'static str,
    /// Whether the output reads the MLP before the product.
    mlp_first: bool,
    /// Beginnings of names that the model was made from and does not need.
    parts: &'static [&'static str],
}

const NAMINGS: [Naming; 3] = [
    Naming {
        gmf: ["embedding_user_mf", "embedding_item_mf"],
        mlp: ["embedding_user_mlp", "embedding_item_mlp"],
        layers: "fc_layers.",
        output: "affine_output",
        mlp_first: true,
        parts: &[],
    },
    Naming {
        gmf: ["embed_user_GMF", "embed_item_GMF"],
        mlp: ["embed_user_MLP", "embed_item_MLP"],
        layers: "MLP_layers.",
        output: "predict_layer",
        mlp_first: false,
        // Both halves as they were trained alone, in a model that was saved whole.
        parts: &["GMF_model.", "MLP_model."],
    },
    Naming {
        gmf: ["user_mf_embedding", "item_mf_embedding"],
        mlp: ["user_mlp_embedding", "item_mlp_embedding"],
        layers: "mlp_layers.mlp_layers.",
        output: "predict_layer",
        mlp_first: false,
        parts: &[],
    },
];

fn naming(source: &Source) -> Option<&'static Naming> {
    let has = |name: &str| source.checkpoint.contains(&format!("{name}.weight"));
    NAMINGS.iter().find(|naming| {
        let mut tables = naming.gmf.iter().chain(&naming.mlp);
        tables.all(|table| has(table)) && has(naming.output)
    })
}

fn build(source: &Source, options: &Options) -> Result<Built, Error> {
    super::only_tensors(NAME, options)?;
    let naming = naming(source).ok_or_else(|| Error::Unsupported {
        family: NAME,
        what: "a checkpoint of these names".into(),
        next: "those of neural-collaborative-filtering, NCF and RecBole are".into(),
    })?;
    let weights = Weights::new(&source.checkpoint, NAME);
    let graph = network(&weights, naming)?;
    let unused = weights.finish(|name| naming.parts.iter().any(|part| name.starts_with(part)))?;
    Ok(Built::tensors(model(graph), unused))
}

fn network(weights: &Weights<'_>, naming: &Naming) -> Result<Graph, Error> {
    let mut net = Net::new(NAME, weights);
    let batch = Dim::named("batch");
    let ids = ["user", "item"].map(|name| net.graph.input(name, DType::I64, [batch.clone()]));

    let ([user, item], factors) = rows(&mut net, naming.gmf, &ids)?;
    net.graph.set_scope("gmf");
    let gmf = net.graph.node("Mul", &[&user, &item], []);
    let ([user, item], size) = rows(&mut net, naming.mlp, &ids)?;
    net.graph.set_scope("mlp");
    let axis = || [("axis", 1.into())];
    let x = net.graph.node("Concat", &[&user, &item], axis());
    let layers = numbered(weights, naming.layers);
    let (mut mlp, width) = net.chain(&x, &layers, 2 * size, Nonlinear::RELU)?;
    if !layers.is_empty() {
        mlp = net.nonlinear(&mlp, Nonlinear::RELU);
    }
    net.graph.set_scope(naming.output);
    let halves = match naming.mlp_first {
        true => [&mlp, &gmf],
        false => [&gmf, &mlp],
    };
    let x = net
        .graph
        .node("Concat", &halves.map(String::as_str), axis());
    let (x, scores) = net.dense(&x, naming.output, factors + width)?;
    let x = net.graph.node("Sigmoid", &[&x], []);
    net.graph
        .output(&x, "score", DType::F32, [batch, Dim::Fixed(scores)]);
    Ok(net.graph)
}

/// Rows of the tables of users and items, both N×D, and D.
fn rows(
    net: &mut Net<'_>,
    tables: [&str; 2],
    ids: &[String; 2],
) -> Result<([String; 2], usize), Error> {
    let size = net.columns(&format!("{}.weight", tables[0]));
    let mut row = |table: &str, ids: &str| -> Result<String, Error> {
        let name = format!("{table}.weight");
        let rows = net.rows(&name);
        net.graph.set_scope(table);
        let table = net.table(&name, &[rows, size])?;
        Ok(net.graph.node("Gather", &[&table, ids], []))
    };
    let rows = [row(tables[0], &ids[0])?, row(tables[1], &ids[1])?];
    Ok((rows, size))
}
