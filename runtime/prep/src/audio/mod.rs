//! Sound: sample rates, channels and pauses.
