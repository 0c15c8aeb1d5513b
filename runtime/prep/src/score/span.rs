/// Tokens `start .. end` that a label holds for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Without the prefix of its tags.
    pub label: String,
    /// The first token.
    pub start: usize,
    /// Behind the last token.
    pub end: usize,
}

/// The entities that tags mark, one a token: IOB1, IOB2, IOBES and BILOU, or labels without a prefix,
/// whose neighbours of one label are one entity. A tag that goes on with nothing begins an entity, as
/// `conlleval` and seqeval's default have it; where tags keep to their scheme the strict sense is the
/// same. `O` and the empty tag are outside.
///
/// ```
/// # use bevel_prep::score::spans;
/// let [person, place] = &spans(&["B-PER", "I-PER", "O", "B-LOC"])[..] else { panic!() };
/// assert_eq!((person.label.as_str(), person.start, person.end), ("PER", 0, 2));
/// assert_eq!((place.label.as_str(), place.start, place.end), ("LOC", 3, 4));
/// ```
pub fn spans(tags: &[&str]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    // Whether the next token may belong to the last entity.
    let mut open = false;
    for (at, tag) in tags.iter().enumerate() {
        let (prefix, label) = match tag.split_once('-') {
            Some((prefix @ ("B" | "I" | "E" | "S" | "L" | "U"), label)) => (prefix, label),
            _ if matches!(*tag, "O" | "" | "_") => {
                open = false;
                continue;
            }
            _ => ("I", *tag),
        };
        let begins = matches!(prefix, "B" | "S" | "U");
        match spans.last_mut() {
            Some(last) if open && !begins && last.label == label => last.end = at + 1,
            _ => spans.push(Span {
                label: label.to_string(),
                start: at,
                end: at + 1,
            }),
        }
        open = !matches!(prefix, "E" | "L" | "S" | "U");
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    /// `seqeval.metrics.sequence_labeling.get_entities` of seqeval 1.2.2, whose ends are inclusive; what
    /// BILOU and bare labels are to it, it does not say.
    #[test]
    fn entities_are_those_of_seqeval() {
        type Case<'a> = (&'a [&'a str], &'a [(&'a str, usize, usize)]);
        let cases: [Case<'_>; 9] = [
            (
                &["B-PER", "I-PER", "O", "B-LOC"],
                &[("PER", 0, 1), ("LOC", 3, 3)],
            ),
            (
                &["I-PER", "I-PER", "O", "I-LOC", "I-ORG"],
                &[("PER", 0, 1), ("LOC", 3, 3), ("ORG", 4, 4)],
            ),
            (
                &["B-A", "I-B", "I-B", "B-B"],
                &[("A", 0, 0), ("B", 1, 2), ("B", 3, 3)],
            ),
            (
                &["B-A", "E-A", "S-B", "S-B", "E-C"],
                &[("A", 0, 1), ("B", 2, 2), ("B", 3, 3), ("C", 4, 4)],
            ),
            (&["O", "B-MISC-X", "I-MISC-X"], &[("MISC-X", 1, 2)]),
            (&["B-A", "I-A", "L-A", "U-A"], &[("A", 0, 2), ("A", 3, 3)]),
            (&["A", "A", "O", "B"], &[("A", 0, 1), ("B", 3, 3)]),
            (&["O", "", "_"], &[]),
            (&[], &[]),
        ];
        for (tags, expected) in cases {
            let found = spans(tags);
            let found: Vec<_> = found
                .iter()
                .map(|s| (s.label.as_str(), s.start, s.end - 1))
                .collect();
            assert_eq!(found, expected, "{tags:?}");
        }
    }
}
