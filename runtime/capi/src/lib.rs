//! `libbevel`: Bevel for C, C++ and whatever calls C.
//!
//! The interface is `include/bevel.h`, which cbindgen writes from the documentation here; its rules are
//! in `cbindgen.toml`. Each module holds the functions of one kind of handle, and every function is one
//! call of `guard::guard`: it turns errors and panics into a status and keeps the message.
//!
//! # Features
//!
//! `text`, `vision` and `speech` are the tasks, all of them on. Models of a task that was left out are
//! `BEVEL_UNSUPPORTED`; without `speech` the library has no functions for streams.
//!
//! # Limits
//!
//! A pointer to data cannot be checked beyond null, alignment and size: what is behind it is the
//! caller's promise. Handles are no addresses but numbers, which are looked up, so that any value may be
//! passed for one.

// The names are those of the header.
#![allow(non_camel_case_types)]
// Libraries never print or exit: that is for programs.
#![cfg_attr(
    not(test),
    deny(clippy::print_stdout, clippy::print_stderr, clippy::exit)
)]
// What a build without some tasks does not use is not worth a mark at each place.
#![cfg_attr(
    not(all(feature = "text", feature = "vision", feature = "speech")),
    allow(dead_code, unreachable_code, unused_variables)
)]

// Values of tensors are handed over as files hold them.
#[cfg(target_endian = "big")]
compile_error!("libbevel is for little-endian machines");

mod answer;
mod caller;
mod guard;
mod handles;
mod input;
mod log;
mod model;
mod options;
mod parts;
mod start;
mod status;
#[cfg(feature = "speech")]
mod stream;
mod tensor;
