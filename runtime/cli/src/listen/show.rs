//! What is heard, for programs, pipes and people.

use std::io::{IsTerminal, Write};

use bevel::speech::Event;

use crate::listen::json;
use crate::listen::screen::Screen;
use crate::listen::srt::Srt;

pub struct Show {
    way: Way,
    srt: Option<Srt>,
}

enum Way {
    /// One event a line.
    Json,
    /// One final text a line.
    Lines,
    Screen(Screen),
}

impl Show {
    pub fn new(json: bool, srt: Option<Srt>) -> Self {
        let way = match std::io::stdout().is_terminal() {
            _ if json => Way::Json,
            true => Way::Screen(Screen::new()),
            false => Way::Lines,
        };
        Self { way, srt }
    }

    pub fn event(&mut self, event: &Event) -> anyhow::Result<()> {
        if let (Event::Final { segment, .. }, Some(srt)) = (event, &mut self.srt) {
            srt.push(segment)?;
        }
        match (&mut self.way, event) {
            (Way::Json, _) => {
                let mut out = std::io::stdout().lock();
                out.write_all(json(event)?.as_bytes())?;
                // What reads this wants it now.
                out.flush()?;
            }
            (Way::Screen(screen), _) => screen.event(event)?,
            (Way::Lines, Event::Final { segment, .. }) => {
                let mut out = std::io::stdout().lock();
                writeln!(out, "{}", segment.text)?;
                out.flush()?;
            }
            (Way::Lines, _) => {
                if let Some(trouble) = trouble(event) {
                    self.note(&trouble);
                }
            }
        }
        Ok(())
    }

    /// Tells people something that is no text.
    pub fn note(&mut self, text: &str) {
        match &mut self.way {
            // A screen that is gone shows in what is heard.
            Way::Screen(screen) => drop(screen.note(text)),
            Way::Json | Way::Lines => {
                let _ = writeln!(std::io::stderr(), "{text}");
            }
        }
    }

    /// Draws what moves.
    pub fn tick(&mut self, level_db: f32) -> anyhow::Result<()> {
        match &mut self.way {
            Way::Screen(screen) => screen.tick(level_db),
            Way::Json | Way::Lines => Ok(()),
        }
    }

    /// Leaves the terminal as it was.
    pub fn end(&mut self) -> anyhow::Result<()> {
        match &mut self.way {
            Way::Screen(screen) => screen.end(),
            Way::Json | Way::Lines => Ok(()),
        }
    }
}

/// What a person should know besides the text.
pub fn trouble(event: &Event) -> Option<String> {
    match event {
        Event::Dropped { start, seconds } => Some(format!(
            "lost {seconds:.1} s of sound at {start:.1} s: this machine is too slow for the model"
        )),
        Event::Error { at, what, .. } => Some(format!("at {at:.1} s: {what}")),
        _ => None,
    }
}
