use std::collections::HashMap;

use super::words::State;

/// No node, no token, no place.
pub(super) const NONE: u32 = u32::MAX;

/// The empty prefix.
pub(super) const ROOT: u32 = 0;

/// Nodes below which it is not worth to look for ones that no beam needs.
const FEW: usize = 1 << 15;

/// A sequence of tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prefix {
    /// All but its last token; before itself in the tree.
    pub parent: u32,
    /// Its last token; of the root the delimiter, after which a word starts, too.
    pub token: u32,
    /// Its candidate of this frame.
    pub slot: u32,
    /// What its words are worth.
    pub state: State,
    /// Its words and what is there of the next, to be added to the sound's log probability.
    pub bonus: f64,
}

/// Prefixes that are or were kept, each once.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Prefix>,
    children: HashMap<(u32, u32), u32>,
    full: usize,
    moved: Vec<u32>,
}

impl Tree {
    /// Forgets all but the root.
    pub fn reset(&mut self, root: Prefix) {
        self.nodes.clear();
        self.children.clear();
        self.nodes.push(root);
        self.full = FEW;
    }

    pub fn node(&self, id: u32) -> &Prefix {
        &self.nodes[id as usize]
    }

    pub fn node_mut(&mut self, id: u32) -> &mut Prefix {
        &mut self.nodes[id as usize]
    }

    /// The child of a node, or [`NONE`].
    pub fn child(&self, parent: u32, token: u32) -> u32 {
        self.children.get(&(parent, token)).copied().unwrap_or(NONE)
    }

    pub fn push(&mut self, node: Prefix) -> u32 {
        let id = self.nodes.len() as u32;
        self.children.insert((node.parent, node.token), id);
        self.nodes.push(node);
        id
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_full(&self) -> bool {
        self.nodes.len() >= self.full
    }

    /// Drops what no one of `ids` descends from, and says in them where each is now.
    pub fn compact<'a>(&mut self, ids: impl Iterator<Item = &'a mut u32>) {
        self.moved.clear();
        self.moved.resize(self.nodes.len(), NONE);
        self.moved[ROOT as usize] = ROOT;
        let ids: Vec<&mut u32> = ids.collect();
        for id in &ids {
            let mut at = **id as usize;
            while self.moved[at] == NONE {
                self.moved[at] = 0;
                at = self.nodes[at].parent as usize;
            }
        }
        self.children.clear();
        let mut kept = 0;
        for at in 0..self.nodes.len() {
            if self.moved[at] == NONE {
                continue;
            }
            let mut node = self.nodes[at];
            let id = kept as u32;
            self.moved[at] = id;
            if id != ROOT {
                // Parents stand before their children, so theirs is known.
                node.parent = self.moved[node.parent as usize];
                self.children.insert((node.parent, node.token), id);
            }
            self.nodes[kept] = node;
            kept += 1;
        }
        self.nodes.truncate(kept);
        self.full = FEW.max(2 * kept);
        for id in ids {
            *id = self.moved[*id as usize];
        }
    }

    /// The tokens of a prefix.
    pub fn tokens(&self, mut id: u32) -> Vec<u32> {
        let mut tokens = Vec::new();
        while id != ROOT {
            let node = self.node(id);
            tokens.push(node.token);
            id = node.parent;
        }
        tokens.reverse();
        tokens
    }
}
