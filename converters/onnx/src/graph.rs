use std::collections::{BTreeMap, HashMap, HashSet};

use crate::proto::NodeProto;
use crate::{Attribute, DType, OPSET, Tensor};

/// A model: nodes in topological order between inputs and outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// Name of the graph, for people.
    pub name: String,
    /// What the caller feeds.
    pub inputs: Vec<Value>,
    /// What the caller gets.
    pub outputs: Vec<Value>,
    /// Operators, each after those whose results it reads.
    pub nodes: Vec<NodeProto>,
    /// Constants.
    pub initializers: Vec<Tensor>,
    /// What is known of values in between that cannot be inferred; see [`state`](Self::state).
    pub stated: Vec<Value>,
    /// Operator set domain to version; `""` is ONNX itself.
    pub opsets: BTreeMap<String, i64>,
    /// Free key-value metadata of the model.
    pub metadata: BTreeMap<String, String>,
    pub(crate) builder: Builder,
}

/// A named input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Name, part of the model's interface.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Dimensions, outermost first; `None` when even the rank is open.
    pub dims: Option<Vec<Dim>>,
}

/// One dimension of an input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// Always this size.
    Fixed(usize),
    /// Decided by the caller; equal names are equal sizes.
    Named(String),
    /// Decided at run time.
    Unknown,
}

impl Dim {
    /// A dimension that the caller decides, such as `batch`.
    pub fn named(name: impl Into<String>) -> Self {
        Self::Named(name.into())
    }
}

/// What building needs to remember. It says nothing about the model, so graphs are equal without it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Builder {
    scope: String,
    names: Names,
}

/// The names that are taken.
#[derive(Debug, Clone, Default)]
struct Names {
    taken: HashSet<String>,
    /// The number to try next behind a name that was taken.
    next: HashMap<String, usize>,
}

impl PartialEq for Builder {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Graph {
    /// An empty graph of [`OPSET`].
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            nodes: Vec::new(),
            initializers: Vec::new(),
            stated: Vec::new(),
            opsets: BTreeMap::from([(String::new(), OPSET)]),
            metadata: BTreeMap::new(),
            builder: Builder::default(),
        }
    }

    /// The prefix of nodes added from now on: `encoder.layer.0` names `encoder.layer.0/MatMul`.
    pub fn set_scope(&mut self, scope: impl Into<String>) {
        self.builder.scope = scope.into();
    }

    /// Adds an input and answers its name.
    pub fn input(
        &mut self,
        name: &str,
        dtype: DType,
        dims: impl IntoIterator<Item = Dim>,
    ) -> String {
        self.builder.names.taken.insert(name.into());
        self.inputs.push(Value {
            name: name.into(),
            dtype,
            dims: Some(dims.into_iter().collect()),
        });
        name.into()
    }

    /// Adds a constant and answers its name, which gets a number where it is taken.
    pub fn initializer(&mut self, mut tensor: Tensor) -> String {
        tensor.name = self.unique(tensor.name);
        let name = tensor.name.clone();
        self.initializers.push(tensor);
        name
    }

    /// Adds a node of one result and answers the result's name.
    pub fn node<'a>(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: impl IntoIterator<Item = (&'a str, Attribute)>,
    ) -> String {
        let [result] = self.node_of(op, inputs, attributes);
        result
    }

    /// Adds a node of several results and answers their names.
    pub fn node_of<'a, const R: usize>(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: impl IntoIterator<Item = (&'a str, Attribute)>,
    ) -> [String; R] {
        self.node_in("", op, inputs, attributes)
    }

    /// Adds a node of another operator set than ONNX's own, such as [`CONTRIB`](crate::CONTRIB), and
    /// answers the names of its results. An empty name among the inputs leaves an optional one out.
    pub fn node_in<'a, const R: usize>(
        &mut self,
        domain: &str,
        op: &str,
        inputs: &[&str],
        attributes: impl IntoIterator<Item = (&'a str, Attribute)>,
    ) -> [String; R] {
        let mut results = self
            .node_many(domain, op, inputs, attributes, R)
            .into_iter();
        std::array::from_fn(|_| results.next().unwrap_or_default())
    }

    /// Adds a node with as many results as `count`, where only the model tells how many, and answers
    /// their names.
    pub fn node_many<'a>(
        &mut self,
        domain: &str,
        op: &str,
        inputs: &[&str],
        attributes: impl IntoIterator<Item = (&'a str, Attribute)>,
        count: usize,
    ) -> Vec<String> {
        self.opsets.entry(domain.to_owned()).or_insert(1);
        let name = match self.builder.scope.as_str() {
            "" => op.to_owned(),
            scope => format!("{scope}/{op}"),
        };
        let name = self.unique(name);
        // The first result is called as the node; the namespaces differ.
        let result = |i: usize| match i {
            0 => name.clone(),
            _ => self.unique(format!("{name}.{i}")),
        };
        let results: Vec<String> = (0..count).map(result).collect();
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|i| (*i).to_owned()).collect(),
            output: results.clone(),
            name: Some(name),
            op_type: Some(op.to_owned()),
            domain: (!domain.is_empty()).then(|| domain.to_owned()),
            attribute: attributes
                .into_iter()
                .map(|(name, value)| value.into_proto(name))
                .collect(),
            ..NodeProto::default()
        });
        results
    }

    /// An empty graph for the body of an `If`, `Loop` or `Scan` of this one, whose values it may
    /// read. Names are given out by one of the two at a time: when the body is built, hand it back
    /// to [`adopt`](Self::adopt).
    pub fn body(&mut self, name: &str) -> Self {
        let mut body = Self::new(name);
        body.builder.names = std::mem::take(&mut self.builder.names);
        body.builder.scope = format!("{}/{name}", self.builder.scope);
        body
    }

    /// The attribute of a body that [`body`](Self::body) began.
    pub fn adopt(&mut self, mut body: Self) -> Attribute {
        self.builder.names = std::mem::take(&mut body.builder.names);
        for (domain, version) in &body.opsets {
            self.opsets.entry(domain.clone()).or_insert(*version);
        }
        Attribute::Graph(Box::new(body))
    }

    /// Makes a value an output called `name`: the value is renamed wherever it is used.
    pub fn output(
        &mut self,
        value: &str,
        name: &str,
        dtype: DType,
        dims: impl IntoIterator<Item = Dim>,
    ) {
        self.builder.names.taken.insert(name.into());
        rename(&mut self.nodes, value, name);
        // An output says its dimensions itself.
        self.stated.retain(|stated| stated.name != value);
        self.outputs.push(Value {
            name: name.into(),
            dtype,
            dims: Some(dims.into_iter().collect()),
        });
    }

    /// Writes down the dimensions of a value in between, where the model knows more of them than can
    /// be inferred, such as that positions are as many as tokens. Sessions join operators whose
    /// shapes are known to be equal. A reader of the file believes it, so it must hold.
    pub fn state(&mut self, value: &str, dtype: DType, dims: impl IntoIterator<Item = Dim>) {
        self.stated.push(Value {
            name: value.into(),
            dtype,
            dims: Some(dims.into_iter().collect()),
        });
    }

    /// Gives a value another name wherever it is used. What had that name gets a number.
    pub fn rename(&mut self, value: &str, name: &str) {
        if value == name {
            return;
        }
        if self.builder.names.taken.contains(name) {
            let other = self.unique(name.to_owned());
            self.rename_value(name, &other);
        }
        self.builder.names.taken.insert(name.to_owned());
        self.rename_value(value, name);
    }

    fn rename_value(&mut self, from: &str, to: &str) {
        let values = self.inputs.iter_mut().chain(&mut self.outputs);
        let values = values.chain(&mut self.stated);
        let names = values.map(|value| &mut value.name);
        let constants = self.initializers.iter_mut().map(|tensor| &mut tensor.name);
        for name in names.chain(constants).filter(|name| *name == from) {
            to.clone_into(name);
        }
        rename(&mut self.nodes, from, to);
    }

    /// The constant called `name`.
    pub fn find_initializer(&self, name: &str) -> Option<&Tensor> {
        self.initializers.iter().find(|t| t.name == name)
    }

    /// Drops constants that no node and no output reads.
    pub fn drop_unused_initializers(&mut self) {
        let mut used: HashSet<&str> = self.outputs.iter().map(|o| o.name.as_str()).collect();
        gather_reads(&self.nodes, &mut used);
        self.initializers.retain(|t| used.contains(t.name.as_str()));
    }

    /// Bytes of all constants.
    pub fn weight_bytes(&self) -> u64 {
        self.initializers.iter().map(|t| t.data.len() as u64).sum()
    }

    /// Takes note of names that were not given out by this builder, after reading a graph.
    pub(crate) fn learn_names(&mut self) {
        let mut names = HashSet::new();
        names.extend(self.inputs.iter().map(|input| input.name.clone()));
        names.extend(self.initializers.iter().map(|t| t.name.clone()));
        gather_names(&self.nodes, &mut names);
        self.builder.names = Names {
            taken: names,
            next: HashMap::new(),
        };
    }

    /// A name that nothing has, like this one, and takes it.
    pub(crate) fn unique(&mut self, name: String) -> String {
        let Names { taken, next } = &mut self.builder.names;
        if taken.insert(name.clone()) {
            return name;
        }
        let number = next.entry(name.clone()).or_insert(2);
        loop {
            let candidate = format!("{name}_{number}");
            *number += 1;
            if taken.insert(candidate.clone()) {
                return candidate;
            }
        }
    }
}

/// Renames a value in nodes and the bodies that read it.
fn rename(nodes: &mut [NodeProto], from: &str, to: &str) {
    for node in nodes {
        let used = node.input.iter_mut().chain(&mut node.output);
        for used in used.filter(|used| *used == from) {
            to.clone_into(used);
        }
        for body in node.bodies_mut() {
            let outputs = body.output.iter_mut().filter_map(|o| o.name.as_mut());
            for name in outputs.filter(|name| *name == from) {
                to.clone_into(name);
            }
            rename(&mut body.node, from, to);
        }
    }
}

/// What nodes and their bodies read.
fn gather_reads<'a>(nodes: &'a [NodeProto], used: &mut HashSet<&'a str>) {
    for node in nodes {
        used.extend(node.input.iter().map(String::as_str));
        for body in node.bodies() {
            gather_reads(&body.node, used);
            used.extend(body.output.iter().map(|output| output.name()));
        }
    }
}

/// Every name that nodes and their bodies give out.
fn gather_names(nodes: &[NodeProto], names: &mut HashSet<String>) {
    for node in nodes {
        names.extend(node.output.iter().chain(&node.name).cloned());
        for body in node.bodies() {
            names.extend(body.input.iter().map(|input| input.name().to_owned()));
            names.extend(body.initializer.iter().map(|t| t.name().to_owned()));
            gather_names(&body.node, names);
        }
    }
}
