use bytes::Bytes;

use super::call::{call, outside};
use super::cursor::Cursor;
use super::{Fault, Heap, Item, Object, Pickle, opcode};
use crate::limits;

/// Runs a pickle to its end; also how many bytes it has.
pub(super) fn run(bytes: &Bytes) -> Result<(Pickle, usize), Fault> {
    let mut machine = Machine {
        cursor: Cursor::new(bytes),
        opcode_at: 0,
        heap: Heap::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
    };
    while machine.step()? {}
    let root = machine.pop()?;
    let pickle = Pickle {
        heap: machine.heap,
        root,
    };
    Ok((pickle, machine.cursor.at()))
}

struct Machine<'a> {
    cursor: Cursor<'a>,
    /// Where the current opcode is, for errors.
    opcode_at: usize,
    heap: Heap,
    stack: Vec<Item>,
    /// Heights of the stack that cannot be popped below before the mark is.
    marks: Vec<usize>,
    memo: Vec<Option<Item>>,
}

impl Machine<'_> {
    /// One opcode; `false` after the last.
    fn step(&mut self) -> Result<bool, Fault> {
        use opcode::*;
        self.opcode_at = self.cursor.at();
        match self.cursor.u8()? {
            STOP => return Ok(false),
            PROTO => self.protocol()?,
            // Frames only say how much to read ahead.
            FRAME => drop(self.cursor.take(8)?),

            NONE => self.push(Item::None)?,
            NEWTRUE => self.push(Item::Bool(true))?,
            NEWFALSE => self.push(Item::Bool(false))?,
            BININT => self.push_int(|c| c.i32().map(i64::from))?,
            BININT1 => self.push_int(|c| c.u8().map(i64::from))?,
            BININT2 => self.push_int(|c| c.u16().map(i64::from))?,
            INT | LONG => self.decimal()?,
            LONG1 => self.long::<1>()?,
            LONG4 => self.long::<4>()?,
            BINFLOAT => {
                let value = self.cursor.f64_be()?;
                self.push(Item::Float(value))?;
            }
            SHORT_BINUNICODE => self.text::<1>()?,
            BINUNICODE => self.text::<4>()?,
            BINUNICODE8 => self.text::<8>()?,
            SHORT_BINBYTES => self.bytes::<1>()?,
            BINBYTES => self.bytes::<4>()?,
            BINBYTES8 | BYTEARRAY8 => self.bytes::<8>()?,
            SHORT_BINSTRING => self.string::<1>()?,
            BINSTRING => self.string::<4>()?,

            EMPTY_LIST => self.push_object(Object::List(Vec::new()))?,
            EMPTY_DICT => self.push_object(Object::Dict(Vec::new()))?,
            EMPTY_SET => self.push_object(Object::Set(Vec::new()))?,
            EMPTY_TUPLE => self.push_object(Object::Tuple(Box::default()))?,
            TUPLE1 => self.tuple(1)?,
            TUPLE2 => self.tuple(2)?,
            TUPLE3 => self.tuple(3)?,
            TUPLE => {
                let items = self.pop_to_mark()?;
                self.push_object(Object::Tuple(items.into()))?;
            }
            FROZENSET => {
                let items = self.pop_to_mark()?;
                self.push_object(Object::Set(items))?;
            }
            APPEND => {
                let item = self.pop()?;
                self.extend([item])?;
            }
            APPENDS | ADDITEMS => {
                let items = self.pop_to_mark()?;
                self.extend(items)?;
            }
            SETITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(&[key, value])?;
            }
            SETITEMS => {
                let items = self.pop_to_mark()?;
                self.set(&items)?;
            }

            MARK => self.mark()?,
            POP => {
                // A mark counts as a value here.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            POP_MARK => drop(self.pop_to_mark()?),
            DUP => {
                let top = self.top()?;
                self.push(top)?;
            }
            BINPUT => {
                let slot = self.cursor.size::<1>()?;
                self.put(slot)?;
            }
            LONG_BINPUT => {
                let slot = self.cursor.size::<4>()?;
                self.put(slot)?;
            }
            MEMOIZE => self.put(self.memo.len())?,
            BINGET => {
                let slot = self.cursor.size::<1>()?;
                self.get(slot)?;
            }
            LONG_BINGET => {
                let slot = self.cursor.size::<4>()?;
                self.get(slot)?;
            }

            GLOBAL => {
                let (module, name) = (self.cursor.line()?, self.cursor.line()?);
                let module = self.heap.add_text(module)?;
                let name = self.heap.add_text(name)?;
                self.push_object(Object::Class { module, name })?;
            }
            STACK_GLOBAL => {
                let name = self.pop()?;
                let module = self.pop()?;
                self.push_object(Object::Class { module, name })?;
            }
            REDUCE | NEWOBJ => {
                let args = self.pop()?;
                let callable = self.pop()?;
                self.call(callable, args)?;
            }
            NEWOBJ_EX => {
                let kwargs = self.pop()?;
                let args = self.pop()?;
                let callable = self.pop()?;
                let made = self.call(callable, args)?;
                if let Some(Object::Record(call)) = self.heap.object_mut(made) {
                    call.kwargs = kwargs;
                }
            }
            OBJ => {
                let mut items = self.pop_to_mark()?.into_iter();
                let class = items.next().ok_or(self.damaged("an object has no class"))?;
                let args = self.heap.add(Object::Tuple(items.collect()))?;
                self.call(class, args)?;
            }
            BUILD => {
                let state = self.pop()?;
                let object = self.top()?;
                // The attributes of a dictionary, say the versions in a state dict, are not kept.
                if let Some(Object::Record(call)) = self.heap.object_mut(object) {
                    call.state = state;
                }
            }
            BINPERSID => {
                let id = self.pop()?;
                let object = outside(&mut self.heap, id)?;
                self.push(object)?;
            }
            _ => return Err(self.damaged("it has an opcode that is unknown or not supported")),
        }
        Ok(true)
    }

    fn damaged(&self, what: &'static str) -> Fault {
        Fault::Damaged {
            at: self.opcode_at,
            what,
        }
    }

    fn protocol(&mut self) -> Result<(), Fault> {
        match self.cursor.u8()? {
            ..=5 => Ok(()),
            _ => Err(self.damaged("its protocol is newer than 5")),
        }
    }

    // The stack.

    fn push(&mut self, item: Item) -> Result<(), Fault> {
        if self.stack.len() >= limits::STACK {
            return Err(Fault::Limit("values on the pickle stack", limits::STACK));
        }
        self.heap.spend(1)?;
        self.stack.push(item);
        Ok(())
    }

    fn push_object(&mut self, object: Object) -> Result<(), Fault> {
        let item = self.heap.add(object)?;
        self.push(item)
    }

    fn top(&self) -> Result<Item, Fault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.last() {
            Some(top) if self.stack.len() > floor => Ok(*top),
            _ => Err(self.damaged("it takes a value that is not there")),
        }
    }

    fn pop(&mut self) -> Result<Item, Fault> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn mark(&mut self) -> Result<(), Fault> {
        if self.marks.len() >= limits::STACK {
            return Err(Fault::Limit("marks on the pickle stack", limits::STACK));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Item>, Fault> {
        let mark = self.marks.pop().ok_or(self.damaged("a mark is missing"))?;
        // Not `split_off`, whose result may keep room for the whole stack.
        Ok(self.stack.drain(mark..).collect())
    }

    // The memo.

    fn put(&mut self, slot: usize) -> Result<(), Fault> {
        if slot >= limits::MEMO {
            return Err(Fault::Limit("memo slots in a pickle", limits::MEMO));
        }
        let top = self.top()?;
        if slot >= self.memo.len() {
            self.memo.resize(slot + 1, None);
        }
        self.memo[slot] = Some(top);
        Ok(())
    }

    fn get(&mut self, slot: usize) -> Result<(), Fault> {
        match self.memo.get(slot).copied().flatten() {
            Some(item) => self.push(item),
            None => Err(self.damaged("it refers to a value that is not there")),
        }
    }

    // Plain values.

    fn push_int(
        &mut self,
        read: impl Fn(&mut Cursor<'_>) -> Result<i64, Fault>,
    ) -> Result<(), Fault> {
        let value = read(&mut self.cursor)?;
        self.push(Item::Int(value))
    }

    /// How protocol 1 writes integers beyond 32 bits, and booleans as `00` and `01`.
    fn decimal(&mut self) -> Result<(), Fault> {
        let line = self.cursor.line()?;
        let digits = line.strip_suffix(b"L").unwrap_or(line);
        let unsigned = digits.strip_prefix(b"-").unwrap_or(digits);
        if unsigned.is_empty() || !unsigned.iter().all(u8::is_ascii_digit) {
            return Err(self.damaged("it has an integer that is none"));
        }
        match (line, str::from_utf8(digits).unwrap_or_default().parse()) {
            (b"00", _) => self.push(Item::Bool(false)),
            (b"01", _) => self.push(Item::Bool(true)),
            (_, Ok(value)) => self.push(Item::Int(value)),
            // Beyond 64 bits.
            (_, Err(_)) => {
                let text = self.heap.add_text(digits)?;
                self.push(text)
            }
        }
    }

    fn long<const N: usize>(&mut self) -> Result<(), Fault> {
        let length = self.cursor.size::<N>()?;
        let bytes = self.cursor.take_shared(length)?;
        if bytes.len() > size_of::<i64>() {
            return self.push_object(Object::Long(bytes));
        }
        // Sign extension from the highest byte there is.
        let sign = bytes
            .last()
            .map_or(0, |b| if b & 0x80 == 0 { 0 } else { 0xff });
        let mut wide = [sign; 8];
        wide[..bytes.len()].copy_from_slice(&bytes);
        self.push(Item::Int(i64::from_le_bytes(wide)))
    }

    fn text<const N: usize>(&mut self) -> Result<(), Fault> {
        let length = self.cursor.size::<N>()?;
        let bytes = self.cursor.take(length)?;
        let text = self.heap.add_text(bytes)?;
        self.push(text)
    }

    fn bytes<const N: usize>(&mut self) -> Result<(), Fault> {
        let length = self.cursor.size::<N>()?;
        let bytes = self.cursor.take_shared(length)?;
        self.push_object(Object::Bytes(bytes))
    }

    /// What Python 2 wrote for both bytes and text.
    fn string<const N: usize>(&mut self) -> Result<(), Fault> {
        let length = self.cursor.size::<N>()?;
        let bytes = self.cursor.take_shared(length)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => self.push_object(Object::Text(text.into())),
            Err(_) => self.push_object(Object::Bytes(bytes)),
        }
    }

    // Containers and objects.

    fn tuple(&mut self, count: usize) -> Result<(), Fault> {
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push_object(Object::Tuple(items.into()))
    }

    /// Adds elements to the list, set or object on top.
    fn extend(&mut self, items: impl IntoIterator<Item = Item>) -> Result<(), Fault> {
        let target = self.top()?;
        match self.heap.object_mut(target) {
            Some(Object::List(list) | Object::Set(list)) => list.extend(items),
            Some(Object::Record(call)) => call.items.extend(items),
            _ => return Err(self.damaged("it adds an element to what is no list")),
        }
        Ok(())
    }

    /// Adds keys and values, in turn, to the dictionary or object on top.
    fn set(&mut self, items: &[Item]) -> Result<(), Fault> {
        let (pairs, rest) = items.as_chunks();
        if !rest.is_empty() {
            return Err(self.damaged("a key has no value"));
        }
        let target = self.top()?;
        let entries = match self.heap.object_mut(target) {
            Some(Object::Dict(entries)) => entries,
            Some(Object::Record(call)) => &mut call.entries,
            _ => return Err(self.damaged("it sets a key of what is no dictionary")),
        };
        entries.extend(pairs.iter().map(|[key, value]| (*key, *value)));
        Ok(())
    }

    fn call(&mut self, callable: Item, args: Item) -> Result<Item, Fault> {
        if !matches!(self.heap.object(args), Some(Object::Tuple(_))) {
            return Err(self.damaged("the arguments of a call are no tuple"));
        }
        let made = call(&mut self.heap, callable, args)?;
        self.push(made)?;
        Ok(made)
    }
}
