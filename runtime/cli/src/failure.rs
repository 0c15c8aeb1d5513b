//! From an error to one line and an exit code.

use std::io::Write;
use std::process::ExitCode;

use bevel_manifest::ErrorKind;

/// A failure of the command line itself, with the kind it counts as.
#[derive(Debug)]
pub struct Failure {
    kind: ErrorKind,
    text: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// An error of a kind with a text.
pub fn fail(kind: ErrorKind, text: impl Into<String>) -> anyhow::Error {
    Failure {
        kind,
        text: text.into(),
    }
    .into()
}

/// An error that was printed where it happened: only its exit code is left to give.
pub fn told(kind: ErrorKind) -> anyhow::Error {
    fail(kind, "")
}

/// The same as an error for the converter to carry: its kind and its whole chain on one line.
#[cfg(feature = "convert")]
pub fn carried(error: anyhow::Error) -> Box<dyn std::error::Error + Send + Sync> {
    Box::new(Failure {
        kind: kind(&error),
        text: chain(&error),
    })
}

/// The kind of the first cause that has one.
pub fn kind(error: &anyhow::Error) -> ErrorKind {
    // One that stands before its cause as context is none of the causes.
    if let Some(before) = error.downcast_ref::<anyhow::Error>() {
        return kind(before);
    }
    let kind = error.chain().find_map(|cause| {
        if let Some(e) = cause.downcast_ref::<Failure>() {
            return Some(e.kind);
        }
        if let Some(e) = cause.downcast_ref::<bevel::Error>() {
            return Some(e.kind());
        }
        #[cfg(feature = "convert")]
        if let Some(e) = cause.downcast_ref::<bevel_convert::Error>() {
            // What its judge met is the cause that counts.
            let judged = matches!(e, bevel_convert::Error::Judge(_));
            return (!judged).then(|| e.kind());
        }
        cause
            .downcast_ref::<bevel_manifest::Error>()
            .map(bevel_manifest::Error::kind)
    });
    kind.unwrap_or(ErrorKind::Internal)
}

/// Prints the chain on one line of standard error and returns the exit code.
pub fn report(error: &anyhow::Error) -> ExitCode {
    // A reader that has seen enough, such as `head`, is not a failure.
    if is_closed(error) {
        return ExitCode::SUCCESS;
    }
    print(error);
    ExitCode::from(kind(error).exit_code())
}

/// Says which feature of a processor this program was built with and this processor lacks. Text that
/// is formatted is made by instructions that the processor may lack, too: here it is written as it is.
#[cold]
#[inline(never)]
pub fn refuse(feature: &str) -> ExitCode {
    let mut stderr = std::io::stderr();
    let _ = stderr.write_all(b"error: ");
    let _ = stderr.write_all(bevel::cpu::BUILT_FOR.as_bytes());
    let _ = stderr.write_all(feature.as_bytes());
    let _ = stderr.write_all(bevel::cpu::LACKS.as_bytes());
    let _ = stderr.write_all(b"\n");
    ExitCode::from(4)
}

/// Whether nobody reads any more what is written.
pub fn is_closed(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

/// Prints the chain on one line of standard error.
pub fn print(error: &anyhow::Error) {
    let line = chain(error);
    if !line.is_empty() {
        let _ = writeln!(std::io::stderr(), "error: {line}");
    }
}

/// Prints what is no failure, and what a person should know, on one line of standard error.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "note: {text}");
}

/// The error with its causes on one line.
pub fn chain(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        // A cause that its parent has spelled out already says nothing new.
        if !line.ends_with(&text) {
            line.push_str(if line.is_empty() { "" } else { ": " });
            line.push_str(&text);
        }
    }
    line
}
