//! Labels of words to entities.

use serde::Serialize;

use crate::text::characters::Characters;

/// The entities of one text.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Entities {
    /// In order of the text.
    pub entities: Vec<Entity>,
}

/// Words that are one thing together, such as a name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entity {
    /// What it is, without the prefix of its tags: `PER` for `B-PER` and `I-PER`.
    pub label: String,
    /// The text from `start` to `end`, exactly.
    pub text: String,
    /// Its first character in the text, counted in Unicode characters.
    pub start: usize,
    /// Behind its last character.
    pub end: usize,
    /// Mean of its words' scores, in 0 ..= 1.
    pub score: f32,
}

/// A word, and the tag that was chosen for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word {
    /// Index of the tag.
    pub tag: usize,
    /// Probability of the tag.
    pub score: f32,
    /// First character.
    pub start: usize,
    /// Behind the last one.
    pub end: usize,
}

/// The place of a word in its entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// `B-`: the first word.
    Begin,
    /// `I-`, or no prefix: a further word, or the first where none went before.
    Inside,
    /// `L-` or `E-`: the last word.
    Last,
    /// `U-` or `S-`: the only word.
    Single,
}

/// Tags as they stand in the file of labels: BIO (IOB1, IOB2), BILOU and IOBES (BIOES), or no prefixes at all,
/// where words of one tag that follow each other are one entity. `O` is none.
pub(crate) struct Tags(Vec<(Part, String)>);

impl Tags {
    pub fn new(names: &[String]) -> Self {
        let has = |name: &str| names.iter().any(|other| other == name);
        let parsed = |name: &String| {
            let (letter, rest) = name.split_once('-').unwrap_or_default();
            let part = match letter {
                _ if rest.is_empty() => None,
                "B" => Some(Part::Begin),
                "I" => Some(Part::Inside),
                // A name such as `S-Bahn` is no tag.
                _ if !has(&format!("B-{rest}")) => None,
                "L" | "E" => Some(Part::Last),
                "U" | "S" => Some(Part::Single),
                _ => None,
            };
            match part {
                Some(part) => (part, rest.to_owned()),
                None => (Part::Inside, name.clone()),
            }
        };
        Self(names.iter().map(parsed).collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The entities of words in order. White space around an entity is not part of it.
    pub fn entities(&self, words: &[Word], text: &Characters<'_>) -> Entities {
        let mut groups: Vec<(&str, Vec<&Word>)> = Vec::new();
        // Whether the last group may go on.
        let mut open = false;
        for word in words {
            let Some((part, name)) = self.0.get(word.tag) else {
                continue;
            };
            let goes_on = open && matches!(part, Part::Inside | Part::Last);
            match groups.last_mut() {
                Some((last, group)) if goes_on && last == name => group.push(word),
                _ => groups.push((name, vec![word])),
            }
            open = !matches!(part, Part::Last | Part::Single);
        }
        let entity = |(name, group): (&str, Vec<&Word>)| {
            let (first, last) = group.first().zip(group.last())?;
            let part = text.trim(first.start..last.end);
            let score = group.iter().map(|word| word.score).sum::<f32>() / group.len() as f32;
            (name != "O" && !part.is_empty()).then(|| Entity {
                label: name.to_owned(),
                text: text.slice(part.clone()).to_owned(),
                start: part.start,
                end: part.end,
                score,
            })
        };
        Entities {
            entities: groups.into_iter().filter_map(entity).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        name: &'static str,
        tags: &'static str,
        /// Label and words, the first of them 0.
        entities: &'static [(&'static str, std::ops::Range<usize>)],
    }

    const CASES: &[Case] = &[
        Case {
            name: "BIO",
            tags: "B-PER I-PER O B-LOC B-LOC I-LOC",
            entities: &[("PER", 0..2), ("LOC", 3..4), ("LOC", 4..6)],
        },
        Case {
            name: "IOB1 begins with I, and B only parts neighbours",
            tags: "I-PER I-PER B-PER O I-LOC I-PER",
            entities: &[("PER", 0..2), ("PER", 2..3), ("LOC", 4..5), ("PER", 5..6)],
        },
        Case {
            name: "BILOU",
            tags: "B-PER I-PER L-PER U-PER U-PER O B-LOC L-LOC I-LOC",
            entities: &[
                ("PER", 0..3),
                ("PER", 3..4),
                ("PER", 4..5),
                ("LOC", 6..8),
                ("LOC", 8..9),
            ],
        },
        Case {
            name: "IOBES",
            tags: "S-PER B-PER E-PER E-PER O S-LOC",
            entities: &[("PER", 0..1), ("PER", 1..3), ("PER", 3..4), ("LOC", 5..6)],
        },
        Case {
            name: "no prefixes, and names that look like some",
            tags: "NOUN NOUN S-Bahn S-Bahn O X-RAY VERB",
            entities: &[
                ("NOUN", 0..2),
                ("S-Bahn", 2..4),
                ("X-RAY", 5..6),
                ("VERB", 6..7),
            ],
        },
        Case {
            name: "nothing",
            tags: "O O",
            entities: &[],
        },
    ];

    #[test]
    fn words_are_merged_as_their_tags_say() {
        let names = "O B-PER I-PER L-PER E-PER U-PER S-PER B-LOC I-LOC L-LOC E-LOC U-LOC S-LOC NOUN VERB \
                     S-Bahn X-RAY";
        let names: Vec<_> = names.split(' ').map(String::from).collect();
        let tags = Tags::new(&names);
        for case in CASES {
            let text = "x ".repeat(20);
            let words = case.tags.split(' ').enumerate().map(|(at, tag)| Word {
                tag: names.iter().position(|name| name == tag).unwrap(),
                score: 0.5,
                start: 2 * at,
                end: 2 * at + 1,
            });
            let words: Vec<_> = words.collect();
            let found = tags.entities(&words, &Characters::new(&text)).entities;
            let places = found.iter().map(|e| (e.label.as_str(), e.start, e.end));
            let expected = case.entities.iter();
            let expected =
                expected.map(|(label, words)| (*label, 2 * words.start, 2 * words.end - 1));
            assert_eq!(
                places.collect::<Vec<_>>(),
                expected.collect::<Vec<_>>(),
                "{}",
                case.name
            );
        }
    }

    #[test]
    fn space_is_no_entity_and_scores_are_means() {
        let names = ["O".to_string(), "X".into(), "Y".into()];
        let word = |tag, score, start, end| Word {
            tag,
            score,
            start,
            end,
        };
        let text = Characters::new("an  old tree");
        let words = [word(2, 0.4, 2, 4), word(1, 0.5, 3, 7), word(1, 1.0, 7, 12)];
        let expected = Entity {
            label: "X".into(),
            text: "old tree".into(),
            start: 4,
            end: 12,
            score: 0.75,
        };
        assert_eq!(
            Tags::new(&names).entities(&words, &text).entities,
            [expected]
        );
    }
}
