//! One walk over all nodes, with what rules may ask on the way.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::{Pass, Rewrite};
use crate::proto::{GraphProto, NodeProto};
use crate::shape::Facts;
use crate::{Graph, Tensor};

/// What a rule may ask about the values around its node. It is kept up to date during a sweep.
pub(crate) struct View<'a> {
    pub facts: Facts,
    /// Result to node, of the graph or body that is walked: what is calculated outside of a body is not
    /// looked at from inside, lest it is calculated again in every round.
    producers: HashMap<String, Rc<NodeProto>>,
    /// How often values are read, in the whole model.
    readers: HashMap<String, usize>,
    /// Names for new values.
    names: RefCell<&'a mut Graph>,
}

impl View<'_> {
    /// The node that makes a value, in the same graph or body.
    pub fn producer(&self, value: &str) -> Option<&NodeProto> {
        self.producers.get(value).map(Rc::as_ref)
    }

    /// The same, of this operator and for this reader alone: it goes when the reader does not need it.
    pub fn sole(&self, value: &str, op: &str) -> Option<&NodeProto> {
        self.producer(value)
            .filter(|node| node.is(op) && self.readers_of(value) == 1 && node.has_one_result())
    }

    /// How often a value is read, graph outputs included.
    pub fn readers_of(&self, value: &str) -> usize {
        self.readers.get(value).copied().unwrap_or(0)
    }

    /// A constant.
    pub fn constant(&self, value: &str) -> Option<&Tensor> {
        self.facts.constant(value)
    }

    /// The constant at a node's place.
    pub fn constant_at(&self, node: &NodeProto, place: usize) -> Option<&Tensor> {
        self.constant(node.input_at(place)?)
    }

    /// A constant of one f32, which spreads over whatever it meets.
    pub fn number(&self, value: &str) -> Option<f32> {
        let tensor = self.constant(value).filter(|t| t.dims.len() <= 1)?;
        match *tensor.as_f32()? {
            [number] => Some(number),
            _ => None,
        }
    }

    /// The number at a node's place.
    pub fn number_at(&self, node: &NodeProto, place: usize) -> Option<f32> {
        self.number(node.input_at(place)?)
    }

    /// What a node of two inputs reads besides a number, and the number.
    pub fn with_number<'n>(&self, node: &'n NodeProto) -> Option<(&'n str, f32)> {
        let [a, b] = node.input.as_slice() else {
            return None;
        };
        let sides = [(a, b), (b, a)].into_iter();
        let mut found = sides.filter_map(|(value, number)| Some((value, self.number(number)?)));
        found.next().map(|(value, number)| (value.as_str(), number))
    }

    /// The known whole numbers at a node's place.
    pub fn ints_at(&self, node: &NodeProto, place: usize) -> Option<Vec<i64>> {
        self.facts.get(node.input_at(place)?)?.ints()
    }

    /// A name that nothing has yet.
    pub fn fresh(&self, like: &str) -> String {
        self.names.borrow_mut().unique(like.to_owned())
    }

    fn read(&mut self, node: &NodeProto, by: isize) {
        for value in node.input.iter().filter(|v| !v.is_empty()) {
            let count = self.readers.entry(value.clone()).or_insert(0);
            *count = count.saturating_add_signed(by);
        }
    }
}

/// Tries each pass at each node. Answers how often each found something.
pub(super) fn sweep(graph: &mut Graph, passes: &[Pass], budget: &mut usize) -> Vec<usize> {
    let mut nodes = std::mem::take(&mut graph.nodes);
    let mut readers = HashMap::new();
    for output in &graph.outputs {
        *readers.entry(output.name.clone()).or_insert(0) += 1;
    }
    count_readers(&nodes, &mut readers);
    graph.nodes = nodes;
    let facts = graph.infer();
    nodes = std::mem::take(&mut graph.nodes);
    let outputs: HashSet<String> = graph.outputs.iter().map(|o| o.name.clone()).collect();
    let mut walk = Walk {
        view: View {
            facts,
            producers: HashMap::new(),
            readers,
            names: RefCell::new(graph),
        },
        budget,
        passes,
        found: vec![0; passes.len()],
        renamed: HashMap::new(),
        constants: Vec::new(),
        depth: 0,
    };
    walk.scope(&mut nodes, &outputs);
    let Walk {
        found,
        renamed,
        constants,
        ..
    } = walk;
    rename(&mut nodes, &renamed);
    graph.nodes = nodes;
    graph.initializers.extend(constants);
    found
}

fn count_readers(nodes: &[NodeProto], readers: &mut HashMap<String, usize>) {
    for node in nodes {
        for value in node.input.iter().filter(|v| !v.is_empty()) {
            *readers.entry(value.clone()).or_insert(0) += 1;
        }
        for body in node.bodies() {
            for output in &body.output {
                *readers.entry(output.name().to_owned()).or_insert(0) += 1;
            }
            count_readers(&body.node, readers);
        }
    }
}

/// Writes the names that values have got in the end.
pub(super) fn rename(nodes: &mut [NodeProto], names: &HashMap<String, String>) {
    if names.is_empty() {
        return;
    }
    for node in nodes {
        for value in node.input.iter_mut().chain(&mut node.output) {
            settle(value, names);
        }
        for body in node.bodies_mut() {
            for output in body.output.iter_mut().filter_map(|o| o.name.as_mut()) {
                settle(output, names);
            }
            rename(&mut body.node, names);
        }
    }
}

pub(super) fn settle(value: &mut String, names: &HashMap<String, String>) {
    while let Some(other) = names.get(value) {
        other.clone_into(value);
    }
}

struct Walk<'a, 'g> {
    view: View<'g>,
    passes: &'a [Pass],
    /// Bytes that new constants may still have.
    budget: &'a mut usize,
    found: Vec<usize>,
    /// Value to the one that is read in its place.
    renamed: HashMap<String, String>,
    constants: Vec<Tensor>,
    /// How many bodies deep the walk is.
    depth: usize,
}

impl Walk<'_, '_> {
    fn scope(&mut self, nodes: &mut Vec<NodeProto>, outputs: &HashSet<String>) {
        let outer = std::mem::take(&mut self.view.producers);
        let mut kept: Vec<Rc<NodeProto>> = Vec::with_capacity(nodes.len());
        let mut waiting: Vec<NodeProto> = std::mem::take(nodes).into_iter().rev().collect();
        // A rule may make a node that another rule takes on; no rule goes on for ever.
        let mut patience = waiting.len().saturating_mul(8) + 64;
        while let Some(mut node) = waiting.pop() {
            for value in &mut node.input {
                settle(value, &self.renamed);
            }
            for body in node.bodies_mut() {
                self.body(body);
            }
            let rewrite = match patience {
                0 => None,
                _ => self.rewrite(&node),
            };
            match rewrite {
                None => self.keep(node, &mut kept),
                Some((pass, rewrite)) => {
                    patience -= 1;
                    match self.apply(&node, rewrite, outputs, &mut kept) {
                        Some(new) => {
                            self.found[pass] += 1;
                            waiting.extend(new.into_iter().rev());
                        }
                        None => self.keep(node, &mut kept),
                    }
                }
            }
        }
        self.view.producers = outer;
        nodes.extend(kept.into_iter().map(Rc::unwrap_or_clone));
    }

    fn body(&mut self, body: &mut GraphProto) {
        let names = body.output.iter().map(|output| output.name().to_owned());
        let outputs: HashSet<String> = names.collect();
        let mut nodes = std::mem::take(&mut body.node);
        self.depth += 1;
        self.scope(&mut nodes, &outputs);
        self.depth -= 1;
        body.node = nodes;
    }

    fn rewrite(&self, node: &NodeProto) -> Option<(usize, Rewrite)> {
        let rules = self.passes.iter().enumerate();
        rules
            .filter_map(|(i, pass)| Some((i, (pass.rule)(node, &self.view)?)))
            .next()
    }

    fn keep(&mut self, node: NodeProto, kept: &mut Vec<Rc<NodeProto>>) {
        let node = Rc::new(node);
        for value in node.output.iter().filter(|v| !v.is_empty()) {
            self.view.producers.insert(value.clone(), Rc::clone(&node));
        }
        kept.push(node);
    }

    /// Does what a rule wants. Answers the nodes that take the place; `None` where it cannot be done.
    fn apply(
        &mut self,
        node: &NodeProto,
        rewrite: Rewrite,
        outputs: &HashSet<String>,
        kept: &mut [Rc<NodeProto>],
    ) -> Option<Vec<NodeProto>> {
        match rewrite {
            Rewrite::Replace(nodes, constants) => {
                self.charge(node, &constants)?;
                self.view.read(node, -1);
                for new in &nodes {
                    self.view.read(new, 1);
                }
                for tensor in constants {
                    self.view.facts.add_constant(&tensor);
                    self.constants.push(tensor);
                }
                Some(nodes)
            }
            Rewrite::Constants(tensors) => {
                // A body may not answer a value from outside.
                if self.depth > 0 && node.output.iter().any(|value| outputs.contains(value)) {
                    return None;
                }
                self.charge(node, &tensors)?;
                self.view.read(node, -1);
                for tensor in tensors.into_iter().filter(|t| !t.name.is_empty()) {
                    self.view.facts.add_constant(&tensor);
                    self.constants.push(tensor);
                }
                Some(Vec::new())
            }
            Rewrite::Forward(value) => self.forward(node, value, outputs, kept),
        }
    }

    /// Takes what new constants weigh from the budget; `None` where it is not enough. A constant that
    /// shares the bytes of one that the node reads weighs nothing.
    fn charge(&mut self, node: &NodeProto, tensors: &[Tensor]) -> Option<()> {
        let view = &self.view;
        let read: Vec<_> = node.input.iter().filter_map(|v| view.constant(v)).collect();
        let shared = |new: &Tensor| read.iter().any(|t| t.data.as_ptr() == new.data.as_ptr());
        let new = tensors.iter().filter(|tensor| !shared(tensor));
        let bytes = new.map(|tensor| tensor.data.len()).sum();
        *self.budget = self.budget.checked_sub(bytes)?;
        Some(())
    }

    fn forward(
        &mut self,
        node: &NodeProto,
        mut value: String,
        outputs: &HashSet<String>,
        kept: &mut [Rc<NodeProto>],
    ) -> Option<Vec<NodeProto>> {
        settle(&mut value, &self.renamed);
        let result = node.result().to_owned();
        if value == result || result.is_empty() {
            return None;
        }
        let (old, new) = match outputs.contains(&result) {
            false => (result, value),
            // An output keeps its name, so what makes the value takes it.
            true => {
                let maker = kept.iter_mut().rev().find(|n| n.output.contains(&value));
                let maker = maker.filter(|_| !outputs.contains(&value))?;
                let renamed = Rc::make_mut(maker).output.iter_mut();
                for output in renamed.filter(|o| **o == value) {
                    result.clone_into(output);
                }
                let maker = Rc::clone(maker);
                let fact = self.view.facts.get(&value).cloned().unwrap_or_default();
                self.view.facts.set(&result, fact);
                self.view.producers.remove(&value);
                self.view.producers.insert(result.clone(), maker);
                (value, result)
            }
        };
        self.view.read(node, -1);
        let moved = self.view.readers.remove(&old).unwrap_or(0);
        *self.view.readers.entry(new.clone()).or_insert(0) += moved;
        self.renamed.insert(old, new);
        Some(Vec::new())
    }
}
