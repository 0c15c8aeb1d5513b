use super::*;

/// What a pickle holds, in words.
fn show(bytes: &'static [u8]) -> Result<String, Fault> {
    let (pickle, length) = read(&Bytes::from_static(bytes))?;
    assert_eq!(length, bytes.len());
    Ok(text(pickle.root(), 0))
}

fn text(value: Value<'_>, depth: usize) -> String {
    if depth > 4 {
        return "…".into();
    }
    let list = |list: List<'_>| {
        let items: Vec<_> = list.iter().map(|item| text(item, depth + 1)).collect();
        items.join(", ")
    };
    let dict = |dict: Dict<'_>| {
        let both = |(k, v)| format!("{}: {}", text(k, depth + 1), text(v, depth + 1));
        let entries: Vec<_> = dict.iter().map(both).collect();
        entries.join(", ")
    };
    match value {
        Value::List(items) => format!("[{}]", list(items)),
        Value::Tuple(items) => format!("({})", list(items)),
        Value::Set(items) => format!("<{}>", list(items)),
        Value::Dict(entries) => format!("{{{}}}", dict(entries)),
        Value::Record(record) => {
            let class = record.class().map(|class| format!("{class:?}"));
            format!(
                "{}({}) named {} state {} items [{}] entries {{{}}}",
                class.as_deref().unwrap_or("?"),
                list(record.args()),
                text(record.kwargs(), depth + 1),
                text(record.state(), depth + 1),
                list(record.items()),
                dict(record.entries()),
            )
        }
        Value::Tensor(_) => "tensor".into(),
        Value::Class(class) => format!("{class:?}"),
        Value::Text(text) => format!("'{text}'"),
        Value::Bytes(bytes) => format!("b{bytes:?}"),
        Value::Long(bytes) => format!("long{bytes:?}"),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => format!("{value:?}"),
        Value::Bool(value) => value.to_string(),
        Value::None => "None".into(),
    }
}

#[test]
fn values_are_built() {
    struct Case {
        name: &'static str,
        pickle: &'static [u8],
        expected: &'static str,
    }
    let cases = [
        Case {
            name: "integers of every width",
            pickle: b"(K\xffM\xff\xffJ\xff\xff\xff\xffI12\nL-3L\n\x8a\x00\x8a\x02\x00\x80\x8b\x01\0\0\0\x7ft.",
            expected: "(255, 65535, -1, 12, -3, 0, -32768, 127)",
        },
        Case {
            name: "an integer beyond 64 bits",
            pickle: b"\x8a\x09\0\0\0\0\0\0\0\0\x01.",
            expected: "long[0, 0, 0, 0, 0, 0, 0, 0, 1]",
        },
        Case {
            name: "truth and nothing",
            pickle: b"(\x88\x89I01\nI00\nNt.",
            expected: "(true, false, true, false, None)",
        },
        Case {
            name: "a float is big-endian",
            pickle: b"G\x3f\xf8\0\0\0\0\0\0.",
            expected: "1.5",
        },
        Case {
            name: "text",
            pickle: b"(X\x02\0\0\0\xc3\xa9\x8c\x01a\x8d\x01\0\0\0\0\0\0\0bt.",
            expected: "('é', 'a', 'b')",
        },
        Case {
            name: "half a surrogate pair is replaced",
            pickle: b"\x8c\x03\xed\xa0\x80.",
            expected: "'\u{fffd}\u{fffd}\u{fffd}'",
        },
        Case {
            name: "bytes",
            pickle: b"(C\x01aB\x01\0\0\0b\x8e\x01\0\0\0\0\0\0\0c\x96\x01\0\0\0\0\0\0\0dt.",
            expected: "(b[97], b[98], b[99], b[100])",
        },
        Case {
            name: "strings of Python 2 are text where they can be",
            pickle: b"(U\x01aT\x01\0\0\0\xfft.",
            expected: "('a', b[255])",
        },
        Case {
            name: "tuples",
            pickle: b"()K\x01\x85K\x01K\x02\x86K\x01K\x02K\x03\x87(K\x01tt.",
            expected: "((), (1), (1, 2), (1, 2, 3), (1))",
        },
        Case {
            name: "lists and sets",
            pickle: b"(]K\x01a(K\x02K\x03e\x8f(K\x04\x90(K\x05\x91t.",
            expected: "([1, 2, 3], <4>, <5>)",
        },
        Case {
            name: "dictionaries",
            pickle: b"}K\x01K\x02s(K\x03K\x04K\x05K\x06u.",
            expected: "{1: 2, 3: 4, 5: 6}",
        },
        Case {
            name: "memo",
            pickle: b"]q\x05\x94r\x00\x01\0\0h\x05h\x06j\x00\x01\0\0\x870(h\x05h\x06t.",
            expected: "([], [])",
        },
        Case {
            name: "popping values and marks",
            pickle: b"K\x01K\x020(0(K\x03K\x0412\x86.",
            expected: "(1, 1)",
        },
        Case {
            name: "a list in itself",
            pickle: b"]q\0h\0a.",
            expected: "[[[[[…]]]]]",
        },
        Case {
            name: "frames are skipped",
            pickle: b"\x80\x05\x95\x02\0\0\0\0\0\0\0K\x01.",
            expected: "1",
        },
        Case {
            name: "containers are called for",
            pickle: b"(ccollections\nOrderedDict\n)R\x8c\x01aK\x01sccollections\ndefaultdict\nN\x85R\
                c__builtin__\nset\n]K\x01a\x85Rcbuiltins\nlist\nK\x01\x85\x85Rctorch\nSize\nK\x02\x85\x85Rt.",
            expected: "({'a': 1}, {}, <1>, [1], (2))",
        },
        Case {
            name: "an ordered dictionary of Python 2",
            pickle: b"ccollections\nOrderedDict\n]]U\x01aaK\x01aa\x85R.",
            expected: "{'a': 1}",
        },
        Case {
            name: "bytes of protocol 2",
            pickle: b"(c_codecs\nencode\nX\x02\0\0\0\xc3\xbfX\x06\0\0\0latin1\x86Rc__builtin__\nbytes\n)Rt.",
            expected: "(b[255], b[])",
        },
    ];
    for case in cases {
        let got = show(case.pickle);
        assert_eq!(got.as_deref(), Ok(case.expected), "{}", case.name);
    }
}

#[test]
fn calls_are_recorded_and_not_made() {
    struct Case {
        name: &'static str,
        pickle: &'static [u8],
        expected: &'static str,
    }
    let cases = [
        Case {
            name: "a program",
            pickle: b"cos\nsystem\nX\x05\0\0\0false\x85R.",
            expected: "os.system('false') named None state None items [] entries {}",
        },
        Case {
            name: "the same by the stack",
            pickle: b"\x8c\x02os\x8c\x06system\x93\x8c\x05false\x85R.",
            expected: "os.system('false') named None state None items [] entries {}",
        },
        Case {
            name: "an object and its attributes",
            pickle: b"\x80\x02ca.b\nC\n)\x81}U\x01xK\x01sb.",
            expected: "a.b.C() named None state {'x': 1} items [] entries {}",
        },
        Case {
            name: "arguments by name",
            pickle: b"ca\nC\nK\x01\x85}U\x01xK\x02s\x92.",
            expected: "a.C(1) named {'x': 2} state None items [] entries {}",
        },
        Case {
            name: "a class made from a list and one made from a dictionary",
            pickle: b"(ca\nL\n)\x81K\x01aca\nD\n)\x81K\x01K\x02st.",
            expected: "(a.L() named None state None items [1] entries {}, \
                       a.D() named None state None items [] entries {1: 2})",
        },
        Case {
            name: "an object of protocol 1",
            pickle: b"ccopy_reg\n_reconstructor\n(ca\nC\nc__builtin__\nobject\nNtR.",
            expected: "a.C(a.C, __builtin__.object, None) named None state None items [] entries {}",
        },
        Case {
            name: "an object of Python 2",
            pickle: b"(ca\nC\nK\x01o.",
            expected: "a.C(1) named None state None items [] entries {}",
        },
        Case {
            name: "the result of a call is called",
            pickle: b"ca\nf\n)RK\x01\x85R.",
            expected: "?(1) named None state None items [] entries {}",
        },
        Case {
            name: "an object outside",
            pickle: b"U\x07storageK\x00\x86Q.",
            expected: "?('storage', 0) named None state None items [] entries {}",
        },
        Case {
            name: "a class with its source, before PyTorch 1.6",
            pickle: b"U\x06moduleca\nC\nN\x87Q)\x81.",
            expected: "a.C() named None state None items [] entries {}",
        },
    ];
    for case in cases {
        let got = show(case.pickle);
        assert_eq!(got.as_deref(), Ok(case.expected), "{}", case.name);
    }
}

#[test]
fn attributes_are_found_in_every_kind_of_state() {
    let state = |pickle: &'static [u8]| {
        let (pickle, _) = read(&Bytes::from_static(pickle)).unwrap();
        let found = pickle.root().attribute("x").map(|value| text(value, 0));
        found.unwrap_or_default()
    };
    assert_eq!(state(b"ca\nC\n)\x81}U\x01xK\x01sb."), "1");
    assert_eq!(state(b"ca\nC\n)\x81N}U\x01xK\x01s\x86b."), "1", "slots");
    assert_eq!(
        state(b"ca\nC\n)\x81}U\x01xK\x01sU\x01xK\x02sb."),
        "2",
        "twice"
    );
    assert_eq!(state(b"ca\nC\n)\x81}U\x01yK\x01sb."), "", "another");
    assert_eq!(state(b"ca\nC\n)\x81K\x01b."), "", "a number");
    assert_eq!(state(b"}U\x01xK\x01s."), "", "no object");
}

#[test]
fn what_makes_no_sense_is_said() {
    struct Case {
        name: &'static str,
        pickle: &'static [u8],
        at: usize,
        says: &'static str,
    }
    let cases = [
        Case {
            name: "nothing",
            pickle: b"",
            at: 0,
            says: "in the middle",
        },
        Case {
            name: "no end",
            pickle: b"K\x01",
            at: 2,
            says: "in the middle",
        },
        Case {
            name: "a length beyond the end",
            pickle: b"X\xff\xff\xff\xffab.",
            at: 8,
            says: "in the middle",
        },
        Case {
            name: "a line without end",
            pickle: b"cos\nsystem",
            at: 10,
            says: "in the middle",
        },
        Case {
            name: "no result",
            pickle: b".",
            at: 0,
            says: "not there",
        },
        Case {
            name: "a value from below a mark",
            pickle: b"K\x01(\x85.",
            at: 3,
            says: "not there",
        },
        Case {
            name: "no mark",
            pickle: b"K\x01t.",
            at: 2,
            says: "mark",
        },
        Case {
            name: "an empty memo",
            pickle: b"h\x00.",
            at: 0,
            says: "refers",
        },
        Case {
            name: "an odd dictionary",
            pickle: b"}(K\x01u.",
            at: 4,
            says: "no value",
        },
        Case {
            name: "a number as a list",
            pickle: b"K\x01K\x01a.",
            at: 4,
            says: "no list",
        },
        Case {
            name: "a number as a dictionary",
            pickle: b"K\x01K\x01K\x01s.",
            at: 6,
            says: "no dictionary",
        },
        Case {
            name: "a call without arguments",
            pickle: b"cos\nsystem\nNR.",
            at: 12,
            says: "no tuple",
        },
        Case {
            name: "an object without class",
            pickle: b"(o.",
            at: 1,
            says: "no class",
        },
        Case {
            name: "an integer of letters",
            pickle: b"Iab\n.",
            at: 0,
            says: "integer",
        },
        Case {
            name: "a newer protocol",
            pickle: b"\x80\x06.",
            at: 0,
            says: "newer than 5",
        },
        Case {
            name: "the text of protocol 0",
            pickle: b"Vabc\n.",
            at: 0,
            says: "not supported",
        },
    ];
    for case in cases {
        match show(case.pickle) {
            Err(Fault::Damaged { at, what }) => {
                assert!(what.contains(case.says), "{}: {what}", case.name);
                assert_eq!(at, case.at, "{}", case.name);
            }
            other => panic!("{}: {other:?}", case.name),
        }
    }
}

#[test]
fn a_small_file_cannot_ask_for_much() {
    struct Case {
        name: &'static str,
        head: &'static [u8],
        repeated: &'static [u8],
        times: usize,
        limit: usize,
    }
    let cases = [
        Case {
            name: "stack",
            head: b"N",
            repeated: b"2",
            times: limits::STACK,
            limit: limits::STACK,
        },
        Case {
            name: "marks",
            head: b"",
            repeated: b"(",
            times: limits::STACK + 1,
            limit: limits::STACK,
        },
        Case {
            name: "objects",
            head: b"",
            repeated: b"]0",
            times: limits::OBJECTS + 1,
            limit: limits::OBJECTS,
        },
        Case {
            name: "memo",
            head: b"N",
            repeated: b"r\xff\xff\xff\xff",
            times: 1,
            limit: limits::MEMO,
        },
        Case {
            name: "values",
            head: b"",
            repeated: b"N0",
            times: limits::VALUES + 1,
            limit: limits::VALUES,
        },
        Case {
            name: "copies of a list of 128",
            head: b"c__builtin__\nset\nq\x00](\
                NNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNN\
                NNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNN\
                e\x85q\x01",
            repeated: b"h\x00h\x01R0",
            times: limits::VALUES / 128,
            limit: limits::VALUES,
        },
        Case {
            name: "bytes",
            head: b"N",
            repeated: b"\x80\x02",
            times: limits::PICKLE_BYTES / 2 + 1,
            limit: limits::PICKLE_BYTES,
        },
    ];
    for case in cases {
        let pickle = [case.head, &case.repeated.repeat(case.times), b"."].concat();
        match read(&Bytes::from(pickle)) {
            Err(Fault::Limit(_, limit)) => assert_eq!(limit, case.limit, "{}", case.name),
            other => panic!("{}: {:?}", case.name, other.map(|(_, length)| length)),
        }
    }
}
