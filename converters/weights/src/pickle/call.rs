//! What becomes of the calls in a pickle.

use bytes::Bytes;

use super::{Fault, Heap, Item, Object, Value};

/// The result of calling `callable` with the tuple `args`: a container where it makes one, else a
/// record of the call.
pub(super) fn call(heap: &mut Heap, callable: Item, args: Item) -> Result<Item, Fault> {
    let first = match heap.object(args) {
        Some(Object::Tuple(items)) => items.first().copied().unwrap_or(Item::None),
        _ => Item::None,
    };
    let Value::Class(class) = heap.value(callable) else {
        return heap.add_record(callable, args);
    };
    let object = match (class.module(), class.name()) {
        ("collections", "OrderedDict") => Object::Dict(entries(heap, first)?),
        ("__builtin__" | "builtins", "dict") => Object::Dict(entries(heap, first)?),
        // The first argument makes missing entries.
        ("collections", "defaultdict") => Object::Dict(Vec::new()),
        ("__builtin__" | "builtins", "list") => Object::List(items(heap, first)?),
        ("__builtin__" | "builtins", "tuple") | ("torch", "Size") => {
            Object::Tuple(items(heap, first)?.into())
        }
        ("__builtin__" | "builtins", "set" | "frozenset") => Object::Set(items(heap, first)?),
        // How protocol 2 writes bytes: as a text of the characters 0 to 255.
        ("_codecs", "encode") => match latin1(heap, first)? {
            Some(bytes) => Object::Bytes(bytes),
            None => return heap.add_record(callable, args),
        },
        ("__builtin__" | "builtins", "bytes" | "bytearray") => match heap.object(first) {
            Some(Object::Bytes(bytes)) => Object::Bytes(bytes.clone()),
            None => Object::Bytes(Bytes::new()),
            _ => return heap.add_record(callable, args),
        },
        // How protocols 0 and 1 write an object: its class is the first argument.
        ("copy_reg" | "copyreg", "_reconstructor") => return heap.add_record(first, args),
        _ => return heap.add_record(callable, args),
    };
    heap.add(object)
}

/// The object outside the pickle that an id stands for: a class, which PyTorch before 1.6 wrote as
/// `("module", class, source file, source)`, or a record of the id.
pub(super) fn outside(heap: &mut Heap, id: Item) -> Result<Item, Fault> {
    if let [kind, class, ..] = elements(heap, id)
        && heap.value(*kind).text() == Some("module")
    {
        return Ok(*class);
    }
    heap.add_record(Item::None, id)
}

/// The elements of a list, set or tuple; none of anything else.
fn elements(heap: &Heap, of: Item) -> &[Item] {
    match heap.object(of) {
        Some(Object::List(items) | Object::Set(items)) => items,
        Some(Object::Tuple(items)) => items,
        _ => &[],
    }
}

fn items(heap: &mut Heap, from: Item) -> Result<Vec<Item>, Fault> {
    let items = elements(heap, from).to_vec();
    heap.spend(items.len())?;
    Ok(items)
}

/// Of another dictionary, or of pairs, as Python 2 wrote an `OrderedDict`.
fn entries(heap: &mut Heap, from: Item) -> Result<Vec<(Item, Item)>, Fault> {
    let entries: Vec<_> = match heap.object(from) {
        Some(Object::Dict(entries)) => entries.clone(),
        _ => elements(heap, from)
            .iter()
            .filter_map(|pair| match elements(heap, *pair) {
                [key, value] => Some((*key, *value)),
                _ => None,
            })
            .collect(),
    };
    heap.spend(2 * entries.len())?;
    Ok(entries)
}

/// The bytes of a text whose characters are all below 256.
fn latin1(heap: &mut Heap, text: Item) -> Result<Option<Bytes>, Fault> {
    let Some(Object::Text(text)) = heap.object(text) else {
        return Ok(None);
    };
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
    // A text can be encoded again and again, so its bytes count as the values they displace.
    heap.spend(bytes.as_ref().map_or(0, |b| b.len() / size_of::<Item>()))?;
    Ok(bytes.map(Bytes::from))
}
