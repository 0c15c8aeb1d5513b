//! Microphones.

use serde::Serialize;

use super::devices::{join_group, may_use};
use super::findings::{Findings, Root};

#[derive(Serialize)]
struct Microphones {
    /// As `listen --device-name` takes them.
    devices: Vec<String>,
    /// Why there are none.
    problem: Option<String>,
}

const FOLDER: &str = "/dev/snd";

pub fn look(root: &Root, found: &mut Findings) {
    let microphones = microphones();
    // Those that record end with `c`.
    let cards = root.names(FOLDER, "pcm");
    let cards = cards.iter().filter(|name| name.ends_with('c'));
    let cards: Vec<_> = cards.map(|name| format!("{FOLDER}/{name}")).collect();
    let refused = cards.iter().find(|card| !may_use(root, card));
    match (&microphones.problem, refused) {
        (_, Some(card)) => {
            let value = format!("{card} may not be opened");
            found.warning("microphones", value, join_group(root, card));
        }
        (None, None) => found.ok("microphones", microphones.devices.join("  ")),
        (Some(problem), None) => found.ok("microphones", format!("none: {problem}")),
    }
    found.fact("microphones", microphones);
}

#[cfg(feature = "microphone")]
fn microphones() -> Microphones {
    use crate::listen::microphone;
    let devices: Vec<_> = microphone::inputs().into_iter().map(|(id, _)| id).collect();
    let problem = devices.is_empty();
    let problem = problem.then(|| microphone::nothing().to_string());
    Microphones { devices, problem }
}

#[cfg(not(feature = "microphone"))]
fn microphones() -> Microphones {
    Microphones {
        devices: Vec::new(),
        problem: Some("this build has no feature `microphone`".into()),
    }
}
