//! Modules as the pickle describes them: class, attributes, and the modules inside.

use bevel_weights::pickle::{Record, Value};

use super::NAME;
use crate::Error;

/// Modules inside each other; models have six. One may be inside itself.
const DEPTH: usize = 16;

/// Beyond this a number is a mistake.
const MAX_SIZE: i64 = 1 << 16;

/// Inputs of one layer.
const SOURCES: usize = 64;

/// A `torch.nn.Module` that was not made, and the name of its weights in `state_dict()`.
#[derive(Clone)]
pub(super) struct Module<'a> {
    record: Record<'a>,
    pub name: String,
    depth: usize,
}

impl<'a> Module<'a> {
    /// The outermost module.
    pub fn of(value: Value<'a>) -> Option<Self> {
        let record = value.record()?;
        record.attribute("_modules")?;
        Some(Self {
            record,
            name: String::new(),
            depth: 0,
        })
    }

    /// The Python module of its class, and the name in it; empty for what is no class.
    pub fn class(&self) -> [&'a str; 2] {
        let class = self.record.class();
        class.map_or([""; 2], |class| [class.module(), class.name()])
    }

    /// The name of its class.
    pub fn kind(&self) -> &'a str {
        self.class()[1]
    }

    fn inner(&self, key: &str, value: Value<'a>) -> Result<Self, Error> {
        let name = match self.name.as_str() {
            "" => key.to_owned(),
            name => format!("{name}.{key}"),
        };
        let Some(record) = value.record() else {
            return Err(self.wrong(&format!("whose `{key}` is no module")));
        };
        if self.depth >= DEPTH {
            return Err(self.wrong(&format!("{DEPTH} modules deep")));
        }
        Ok(Self {
            record,
            name,
            depth: self.depth + 1,
        })
    }

    /// The module inside under a name; `None` where there is none.
    pub fn child(&self, key: &str) -> Result<Option<Self>, Error> {
        let modules = self.record.attribute("_modules");
        match modules.and_then(|modules| modules.get(key)) {
            None | Some(Value::None) => Ok(None),
            Some(value) => self.inner(key, value).map(Some),
        }
    }

    /// The same where there must be one.
    pub fn part(&self, key: &str) -> Result<Self, Error> {
        let child = self.child(key)?;
        child.ok_or_else(|| self.wrong(&format!("without `{key}`")))
    }

    /// The modules of a list or sequence, in order.
    pub fn list(&self) -> Result<Vec<Self>, Error> {
        let modules = self.record.attribute("_modules").and_then(Value::dict);
        let entries = modules.into_iter().flat_map(|modules| modules.iter());
        let inner = entries.map(|(key, value)| match key {
            Value::Text(key) => self.inner(key, value),
            _ => Err(self.wrong("with a module without a name")),
        });
        inner.collect()
    }

    /// An attribute that is there and not `None`.
    pub fn attribute(&self, key: &str) -> Option<Value<'a>> {
        let value = self.record.attribute(key)?;
        (!matches!(value, Value::None)).then_some(value)
    }

    /// A size that is an attribute, from 0.
    pub fn size(&self, key: &str) -> Result<usize, Error> {
        let int = self.attribute(key).and_then(size);
        int.ok_or_else(|| self.wrong(&format!("without a whole number `{key}`")))
    }

    /// The same; `default` where there is none.
    pub fn size_or(&self, key: &str, default: usize) -> Result<usize, Error> {
        match self.attribute(key) {
            None => Ok(default),
            Some(_) => self.size(key),
        }
    }

    /// Several sizes, of which all are meant where one is given.
    pub fn sizes<const N: usize>(&self, key: &str) -> Result<[usize; N], Error> {
        let sizes = match self.attribute(key) {
            Some(Value::Tuple(list) | Value::List(list)) if list.len() == N => {
                let all: Option<Vec<usize>> = list.iter().map(size).collect();
                all.and_then(|all| all.try_into().ok())
            }
            Some(value) => size(value).map(|n| [n; N]),
            None => None,
        };
        sizes.ok_or_else(|| self.wrong(&format!("without a whole number `{key}`, or {N}")))
    }

    /// A pair of equal sizes.
    pub fn square(&self, key: &str) -> Result<usize, Error> {
        match self.sizes(key)? {
            [a, b] if a == b => Ok(a),
            pair => Err(self.wrong(&format!("of `{key}` {pair:?}"))),
        }
    }

    /// Where the inputs of a layer come from: the index of another, or how many layers back.
    pub fn sources(&self) -> Result<Vec<i64>, Error> {
        let sources = match self.attribute("f") {
            Some(Value::Int(one)) => Some(vec![one]),
            Some(Value::List(list) | Value::Tuple(list)) if list.len() <= SOURCES => {
                list.iter().map(Value::int).collect()
            }
            _ => None,
        };
        sources.ok_or_else(|| self.wrong("without the numbers `f` of the layers it reads"))
    }

    pub fn number(&self, key: &str) -> Option<f64> {
        self.attribute(key)?.float()
    }

    pub fn flag(&self, key: &str, default: bool) -> bool {
        let flag = self.attribute(key).and_then(Value::bool);
        flag.unwrap_or(default)
    }

    /// That this module is not what is known under its class.
    pub fn wrong(&self, what: &str) -> Error {
        Error::Unsupported {
            family: NAME,
            what: format!("`{}`, a {} {what},", self.name, self.kind()),
            next: "export it to ONNX with ultralytics".into(),
        }
    }
}

fn size(value: Value<'_>) -> Option<usize> {
    let int = value.int().filter(|n| (0..=MAX_SIZE).contains(n))?;
    usize::try_from(int).ok()
}
