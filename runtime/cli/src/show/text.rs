//! Answers about texts.

use bevel::Answer;
use bevel::text::Entity;

use super::item::nothing;
use super::{Show, table};

pub(super) fn answer(_: &mut Show, name: &str, answer: &Answer) -> Option<String> {
    Some(match answer {
        Answer::Tag(found) => {
            let row = |e: &Entity| {
                let place = format!("{}–{}", e.start, e.end);
                vec![
                    format!("{:.3}", e.score),
                    e.label.clone(),
                    place,
                    e.text.clone(),
                ]
            };
            let rows: Vec<_> = found.entities.iter().map(row).collect();
            format!("{name}\n{}{}", nothing(&rows), table(&rows))
        }
        Answer::Answer(found) => {
            let place = format!("{}–{}", found.start, found.end);
            let row = vec![format!("{:.3}", found.score), place, found.answer.clone()];
            format!("{name}\n{}", table(&[row]))
        }
        Answer::Generate(found) => format!("{name}\n{}\n", found.text),
        _ => return None,
    })
}
