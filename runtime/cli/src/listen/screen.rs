//! The terminal: final texts stay and scroll away, below them a level meter with what is being said.

use bevel::speech::Event;
use console::{Term, measure_text_width, style};

use crate::listen::show::trouble;

/// Characters of the level meter, and what its left end stands for in dB.
const METER: usize = 12;
const QUIET_DB: f32 = -60.0;

pub struct Screen {
    terminal: Term,
    /// What is being said: what is agreed, and the rest.
    partial: [String; 2],
    speaks: bool,
    level_db: f32,
    /// The last line as it stands there; empty where there is none.
    drawn: String,
}

impl Screen {
    pub fn new() -> Self {
        Self {
            terminal: Term::buffered_stdout(),
            partial: Default::default(),
            speaks: false,
            level_db: QUIET_DB,
            drawn: String::new(),
        }
    }

    pub fn event(&mut self, event: &Event) -> anyhow::Result<()> {
        match event {
            Event::Started { .. } => self.speaks = true,
            Event::Partial { agreed, rest, .. } => {
                self.partial = [agreed.clone(), rest.clone()];
            }
            Event::Final {
                segment, latency, ..
            } => {
                self.rest();
                let time = style(format!("{:>7.1}", segment.start)).dim();
                let ms = latency.after_speech * 1e3;
                let late = style(format!("{ms:.0} ms")).dim();
                let text = style(&segment.text).white().bright();
                self.line(&format!("{time}  {text}  {late}"))?;
            }
            Event::Empty { .. } => self.rest(),
            other => {
                if let Some(text) = trouble(other) {
                    self.note(&text)?;
                }
            }
        }
        self.draw()
    }

    pub fn note(&mut self, text: &str) -> anyhow::Result<()> {
        self.line(&style(text).yellow().to_string())?;
        self.draw()
    }

    pub fn tick(&mut self, level_db: f32) -> anyhow::Result<()> {
        // Falls slowly, so that it can be read.
        self.level_db = level_db.max(self.level_db - 4.0);
        self.draw()
    }

    pub fn end(&mut self) -> anyhow::Result<()> {
        self.wipe()?;
        Ok(self.terminal.flush()?)
    }

    fn rest(&mut self) {
        self.partial = Default::default();
        self.speaks = false;
    }

    /// A line that stays.
    fn line(&mut self, text: &str) -> anyhow::Result<()> {
        self.wipe()?;
        Ok(self.terminal.write_line(text)?)
    }

    fn wipe(&mut self) -> anyhow::Result<()> {
        if !std::mem::take(&mut self.drawn).is_empty() {
            self.terminal.clear_line()?;
        }
        Ok(())
    }

    /// Draws the last line: one, so that a window that changes its size breaks nothing.
    fn draw(&mut self) -> anyhow::Result<()> {
        let full = ((self.level_db - QUIET_DB) / -QUIET_DB * METER as f32).round();
        let full = (full.max(0.0) as usize).min(METER);
        let (bar, rest) = ("█".repeat(full), "·".repeat(METER - full));
        let bar = match self.speaks {
            true => style(bar).green(),
            false => style(bar).dim(),
        };
        let width = usize::from(self.terminal.size().1);
        let room = width.saturating_sub(METER + 4);
        let [agreed, rest_of] = &self.partial;
        let (agreed, going_on) = tail(agreed, rest_of, room);
        let text = format!(
            "{bar}{}  {}{}",
            style(rest).dim(),
            style(agreed).color256(250),
            style(going_on).color256(243)
        );
        if text == self.drawn {
            return Ok(());
        }
        self.wipe()?;
        self.terminal.write_str(&text)?;
        self.drawn = text;
        Ok(self.terminal.flush()?)
    }
}

/// The ends of two texts that follow one another, as far as there is room for both.
fn tail<'a>(first: &'a str, second: &'a str, room: usize) -> (&'a str, &'a str) {
    let second = last(second, room);
    (last(first, room - measure_text_width(second)), second)
}

fn last(text: &str, room: usize) -> &str {
    let mut start = text.len();
    for (at, _) in text.char_indices().rev() {
        if measure_text_width(&text[at..]) > room {
            break;
        }
        start = at;
    }
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_what_is_said_is_shown() {
        assert_eq!(tail("one two", " three", 20), ("one two", " three"));
        assert_eq!(tail("one two", " three", 9), ("two", " three"));
        assert_eq!(tail("one two", " three", 3), ("", "ree"));
        assert_eq!(tail("今日", "は", 4), ("日", "は"));
        assert_eq!(tail("a", "b", 0), ("", ""));
    }
}
