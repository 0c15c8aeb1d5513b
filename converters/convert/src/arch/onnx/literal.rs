//! Literals of Python, as Ultralytics writes them into metadata: `{0: 'person', 1: 'bicycle'}`,
//! `[640, 640]`, `{'nms': None, 'dynamic': False}`.

use serde_json::{Map, Number, Value};

/// Deeper nesting is no metadata.
const MAX_DEPTH: usize = 16;

/// The value of a literal; keys become text. `None` for anything else.
pub(super) fn parse(text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text.trim() };
    let value = reader.value(0)?;
    reader.rest.trim().is_empty().then_some(value)
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.rest = self.rest.trim_start();
        match self.rest.chars().next()? {
            '{' => self.dict(depth),
            '[' => self.list(depth, ']'),
            '(' => self.list(depth, ')'),
            quote @ ('\'' | '"') => self.text(quote).map(Value::String),
            _ => self.word(),
        }
    }

    /// Goes past `mark` where it is next.
    fn eat(&mut self, mark: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn dict(&mut self, depth: usize) -> Option<Value> {
        self.eat('{');
        let mut map = Map::new();
        while !self.eat('}') {
            let key = match self.value(depth + 1)? {
                Value::String(key) => key,
                other => other.to_string(),
            };
            if !self.eat(':') {
                return None;
            }
            map.insert(key, self.value(depth + 1)?);
            if !self.eat(',') && !self.rest.starts_with('}') {
                return None;
            }
        }
        Some(Value::Object(map))
    }

    fn list(&mut self, depth: usize, end: char) -> Option<Value> {
        self.eat(if end == ']' { '[' } else { '(' });
        let mut list = Vec::new();
        while !self.eat(end) {
            list.push(self.value(depth + 1)?);
            if !self.eat(',') && !self.rest.starts_with(end) {
                return None;
            }
        }
        Some(Value::Array(list))
    }

    fn text(&mut self, quote: char) -> Option<String> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => text.push(match chars.next()?.1 {
                    'n' => '\n',
                    't' => '\t',
                    c @ ('\\' | '\'' | '"') => c,
                    'x' => escaped(&mut chars, 2)?,
                    'u' => escaped(&mut chars, 4)?,
                    _ => return None,
                }),
                c if c == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Some(text);
                }
                c => text.push(c),
            }
        }
        None
    }

    fn word(&mut self) -> Option<Value> {
        let end = self.rest.find([',', '}', ']', ')', ':', ' ']);
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        match word {
            "None" => Some(Value::Null),
            "True" => Some(Value::Bool(true)),
            "False" => Some(Value::Bool(false)),
            _ => match word.parse::<i64>() {
                Ok(number) => Some(number.into()),
                Err(_) => Some(Value::Number(Number::from_f64(word.parse().ok()?)?)),
            },
        }
    }
}

/// A character by so many hexadecimal digits.
fn escaped(chars: &mut impl Iterator<Item = (usize, char)>, digits: usize) -> Option<char> {
    let digits: String = chars.take(digits).map(|(_, c)| c).collect();
    char::from_u32(u32::from_str_radix(&digits, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn literals_of_python_are_read() {
        // What `ast.literal_eval` of Python 3.11 answers.
        let cases = [
            ("[640, 640]", Some(json!([640, 640]))),
            ("(17, 3)", Some(json!([17, 3]))),
            ("32", Some(json!(32))),
            (
                "{0: 'person', 1: \"driver's cab\"}",
                Some(json!({"0": "person", "1": "driver's cab"})),
            ),
            (
                "{'nms': None, 'half': False, 'f': 0.5,}",
                Some(json!({"nms": null, "half": false, "f": 0.5})),
            ),
            (
                r"{0: 'caf\xe9', 1: 'a\'b', 2: '\u4eba'}",
                Some(json!({"0": "café", "1": "a'b", "2": "人"})),
            ),
            ("{}", Some(json!({}))),
            ("{0: 'a'", None),
            ("{0 'a'}", None),
            ("__import__('os')", None),
            ("'a' 'b'", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(parse(&"[".repeat(100_000)), None);
    }
}
