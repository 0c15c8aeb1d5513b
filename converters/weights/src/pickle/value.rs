use std::fmt;

use super::heap::{Call, Heap, Item, Object};
use crate::Tensor;

/// A Python value, viewed where it lies.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Value<'a> {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An `int` of 64 bits.
    Int(i64),
    /// A longer `int`: two's complement, little-endian. (Protocol 1 has it as a text of digits.)
    Long(&'a [u8]),
    /// A `float`.
    Float(f64),
    /// A `str`.
    Text(&'a str),
    /// `bytes` or a `bytearray`.
    Bytes(&'a [u8]),
    /// A `list`.
    List(List<'a>),
    /// A `tuple`, also `torch.Size`.
    Tuple(List<'a>),
    /// A `set` or `frozenset`, in the order of the file.
    Set(List<'a>),
    /// A `dict`, `OrderedDict` or `defaultdict`.
    Dict(Dict<'a>),
    /// A tensor or parameter.
    Tensor(&'a Tensor),
    /// A class or function itself, say `torch.float16`.
    Class(Class<'a>),
    /// An object of any other class.
    Record(Record<'a>),
}

impl<'a> Value<'a> {
    pub(super) fn new(heap: &'a Heap, item: Item) -> Self {
        let index = match item {
            Item::None => return Self::None,
            Item::Bool(value) => return Self::Bool(value),
            Item::Int(value) => return Self::Int(value),
            Item::Float(value) => return Self::Float(value),
            Item::Object(index) => index,
        };
        let list = |items| List { heap, items };
        match heap.get(index) {
            // Only the heap makes indexes.
            None => Self::None,
            Some(Object::Text(text)) => Self::Text(text),
            Some(Object::Bytes(bytes)) => Self::Bytes(bytes),
            Some(Object::Long(bytes)) => Self::Long(bytes),
            Some(Object::List(items)) => Self::List(list(items)),
            Some(Object::Tuple(items)) => Self::Tuple(list(items)),
            Some(Object::Set(items)) => Self::Set(list(items)),
            Some(Object::Dict(entries)) => Self::Dict(Dict { heap, entries }),
            Some(Object::Class { module, name }) => Self::Class(Class {
                module: text(heap, *module),
                name: text(heap, *name),
            }),
            Some(Object::Tensor(tensor)) => Self::Tensor(tensor),
            Some(Object::Record(call)) => Self::Record(Record { heap, call }),
        }
    }

    /// The value of a text key in a dictionary, or in an object that is one.
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        self.dict()?.get(key)
    }

    /// An attribute of an object.
    pub fn attribute(self, name: &str) -> Option<Value<'a>> {
        self.record()?.attribute(name)
    }

    /// The dictionary that this is; that of an object whose class is made from `dict`.
    pub fn dict(self) -> Option<Dict<'a>> {
        match self {
            Self::Dict(dict) => Some(dict),
            Self::Record(record) => Some(record.entries()),
            _ => None,
        }
    }

    /// The elements of a list, tuple or set; those of an object whose class is made from `list`.
    pub fn list(self) -> Option<List<'a>> {
        match self {
            Self::List(list) | Self::Tuple(list) | Self::Set(list) => Some(list),
            Self::Record(record) => Some(record.items()),
            _ => None,
        }
    }

    /// The object that this is.
    pub fn record(self) -> Option<Record<'a>> {
        match self {
            Self::Record(record) => Some(record),
            _ => None,
        }
    }

    /// The tensor that this is.
    pub fn tensor(self) -> Option<&'a Tensor> {
        match self {
            Self::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// The text that this is.
    pub fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value that this is.
    pub fn bool(self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The integer that this is, of 64 bits.
    pub fn int(self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(value),
            _ => None,
        }
    }

    /// The number that this is; of an integer the nearest float.
    pub fn float(self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(value),
            Self::Int(value) => Some(value as f64),
            _ => None,
        }
    }
}

fn text(heap: &Heap, item: Item) -> &str {
    heap.value(item).text().unwrap_or_default()
}

/// Elements of a list, tuple, set or object.
#[derive(Clone, Copy)]
pub struct List<'a> {
    heap: &'a Heap,
    items: &'a [Item],
}

impl<'a> List<'a> {
    /// How many there are.
    pub fn len(self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.items.is_empty()
    }

    /// The element at an index from 0.
    pub fn get(self, index: usize) -> Option<Value<'a>> {
        self.items.get(index).map(|item| self.heap.value(*item))
    }

    /// All elements in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = Value<'a>> {
        self.items.iter().map(move |item| self.heap.value(*item))
    }
}

// What is inside may be inside itself.
impl fmt::Debug for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} items]", self.len())
    }
}

/// Entries of a dictionary or object, in the order of the file.
#[derive(Clone, Copy)]
pub struct Dict<'a> {
    heap: &'a Heap,
    entries: &'a [(Item, Item)],
}

impl<'a> Dict<'a> {
    /// How many there are.
    pub fn len(self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.entries.is_empty()
    }

    /// The value of a text key; the last one where the key was set twice.
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        let mut entries = self.entries.iter().rev();
        entries
            .find(|(k, _)| matches!(self.heap.value(*k), Value::Text(text) if text == key))
            .map(|(_, value)| self.heap.value(*value))
    }

    /// All keys and values in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = (Value<'a>, Value<'a>)> {
        let value = move |item: &Item| self.heap.value(*item);
        self.entries.iter().map(move |(k, v)| (value(k), value(v)))
    }
}

impl fmt::Debug for Dict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{} entries}}", self.len())
    }
}

/// A class or function, by name only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Class<'a> {
    module: &'a str,
    name: &'a str,
}

impl<'a> Class<'a> {
    /// The Python module, say `torch.nn.modules.conv`.
    pub fn module(self) -> &'a str {
        self.module
    }

    /// The name in it, say `Conv2d`.
    pub fn name(self) -> &'a str {
        self.name
    }
}

impl fmt::Debug for Class<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.module, self.name)
    }
}

/// An object that was not made: its class or the function that would have made it, the arguments,
/// and what was then put into it.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    heap: &'a Heap,
    call: &'a Call,
}

impl<'a> Record<'a> {
    /// Its class, or the function that would have made it; `None` for what is neither, as an object
    /// outside the pickle or the result of another call.
    pub fn class(self) -> Option<Class<'a>> {
        match self.heap.value(self.call.callable) {
            Value::Class(class) => Some(class),
            _ => None,
        }
    }

    /// The arguments by position.
    pub fn args(self) -> List<'a> {
        self.heap.value(self.call.args).list().unwrap_or(List {
            heap: self.heap,
            items: &[],
        })
    }

    /// The arguments by name.
    pub fn kwargs(self) -> Value<'a> {
        self.heap.value(self.call.kwargs)
    }

    /// The state it was given: most often a dictionary of attributes, else what its class reads.
    pub fn state(self) -> Value<'a> {
        self.heap.value(self.call.state)
    }

    /// An attribute from its state.
    pub fn attribute(self, name: &str) -> Option<Value<'a>> {
        self.attributes()
            .into_iter()
            .flatten()
            .find_map(|a| a.get(name))
    }

    /// How many attributes there are to look through.
    pub(crate) fn attribute_count(self) -> usize {
        self.attributes().into_iter().flatten().map(Dict::len).sum()
    }

    fn attributes(self) -> [Option<Dict<'a>>; 2] {
        match self.state() {
            // The second dictionary is for `__slots__`.
            Value::Tuple(parts) => [0, 1].map(|i| parts.get(i).and_then(Value::dict)),
            state => [state.dict(), None],
        }
    }

    /// Its elements, where its class is made from `list` or `set`.
    pub fn items(self) -> List<'a> {
        List {
            heap: self.heap,
            items: &self.call.items,
        }
    }

    /// Its entries, where its class is made from `dict`.
    pub fn entries(self) -> Dict<'a> {
        Dict {
            heap: self.heap,
            entries: &self.call.entries,
        }
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.class() {
            Some(class) => write!(f, "{class:?}(…)"),
            None => f.write_str("object"),
        }
    }
}
