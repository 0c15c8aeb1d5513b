use bytes::Bytes;

use super::{Fault, Value};
use crate::{Tensor, limits};

/// A value, or where it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Item {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Object(u32),
}

/// What a heap holds. All that is shared is held by index, so no copy is ever deep.
#[derive(Debug)]
pub(crate) enum Object {
    Text(Box<str>),
    Bytes(Bytes),
    /// An integer that does not fit 64 bits: two's complement, little-endian.
    Long(Bytes),
    List(Vec<Item>),
    Tuple(Box<[Item]>),
    Set(Vec<Item>),
    Dict(Vec<(Item, Item)>),
    /// A class or function, by the texts that name it.
    Class {
        module: Item,
        name: Item,
    },
    Record(Box<Call>),
    Tensor(Box<Tensor>),
}

/// A call that was not made, and what was then put into its result.
#[derive(Debug)]
pub(crate) struct Call {
    /// What would have been called; [`Item::None`] for an object outside the pickle.
    pub callable: Item,
    /// A tuple; what identifies an object outside the pickle.
    pub args: Item,
    /// Arguments by name: a dictionary, or none.
    pub kwargs: Item,
    /// The state it was given, most often a dictionary of attributes.
    pub state: Item,
    pub items: Vec<Item>,
    pub entries: Vec<(Item, Item)>,
}

/// All objects of a pickle, and an account of what they cost.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    objects: Vec<Object>,
    values: usize,
}

impl Heap {
    pub fn value(&self, item: Item) -> Value<'_> {
        Value::new(self, item)
    }

    pub fn get(&self, index: u32) -> Option<&Object> {
        self.objects.get(index as usize)
    }

    /// The object that an item refers to.
    pub fn object(&self, item: Item) -> Option<&Object> {
        match item {
            Item::Object(index) => self.get(index),
            _ => None,
        }
    }

    pub fn object_mut(&mut self, item: Item) -> Option<&mut Object> {
        match item {
            Item::Object(index) => self.objects.get_mut(index as usize),
            _ => None,
        }
    }

    /// Every object, in the order they were made: what one was made from comes before it.
    pub fn items(&self) -> impl Iterator<Item = Item> + use<> {
        (0..self.objects.len() as u32).map(Item::Object)
    }

    pub fn add(&mut self, object: Object) -> Result<Item, Fault> {
        if self.objects.len() >= limits::OBJECTS {
            return Err(Fault::Limit("objects in a pickle", limits::OBJECTS));
        }
        let index = self.objects.len() as u32;
        self.objects.push(object);
        Ok(Item::Object(index))
    }

    pub fn add_record(&mut self, callable: Item, args: Item) -> Result<Item, Fault> {
        self.add(Object::Record(Box::new(Call {
            callable,
            args,
            kwargs: Item::None,
            state: Item::None,
            items: Vec::new(),
            entries: Vec::new(),
        })))
    }

    /// Python allows half a surrogate pair in a text; it is replaced, as nothing here needs it.
    pub fn add_text(&mut self, bytes: &[u8]) -> Result<Item, Fault> {
        self.add(Object::Text(String::from_utf8_lossy(bytes).into()))
    }

    /// Accounts for values that are pushed or copied.
    pub fn spend(&mut self, values: usize) -> Result<(), Fault> {
        self.values = self.values.saturating_add(values);
        match self.values > limits::VALUES {
            true => Err(Fault::Limit("values in a pickle", limits::VALUES)),
            false => Ok(()),
        }
    }
}
