//! Another machine, through the system's `ssh`.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;
use bevel_manifest::ErrorKind;

use super::archive;
use super::staged::{Entry, SUMS};
use crate::failure::fail;

/// `[USER@]HOST[:FOLDER]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    host: String,
    folder: Option<String>,
}

impl std::str::FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // An IPv6 address stands in brackets, and has colons of its own.
        let colon = match text.find(']') {
            Some(end) => text[end..].find(':').map(|at| at + end),
            None => text.find(':'),
        };
        let (host, folder) = match colon {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        // What begins with `-` would be an option of ssh.
        if host.is_empty() || host.starts_with('-') || host.contains(char::is_whitespace) {
            return Err("expected [USER@]HOST[:FOLDER]".into());
        }
        // Relative ones are below the home folder, as for scp.
        let folder = folder.map(|folder| folder.strip_prefix("~/").unwrap_or(folder));
        let folder = folder.filter(|folder| !folder.is_empty());
        let folder = folder.map(|folder| folder.trim_end_matches('/'));
        if folder == Some("") {
            return Err("the folder may not be /".into());
        }
        if folder.is_some_and(|f| f.starts_with(['-', '~']) || f.contains(['\n', '\0'])) {
            return Err("the folder may not begin with - or ~NAME nor have several lines".into());
        }
        Ok(Self {
            host: host.replace(['[', ']'], ""),
            folder: folder.map(String::from),
        })
    }
}

impl Host {
    /// The folder of a deployment, `bevel/NAME` in the home folder where none was given.
    pub fn folder(&self, name: &str) -> String {
        self.folder
            .clone()
            .unwrap_or_else(|| format!("bevel/{name}"))
    }

    /// Copies the folder there in the place of an older one, and runs its self-test.
    ///
    /// # Errors
    /// Of the kind that the self-test or the copy ends with; what it says is on standard error.
    pub fn copy(&self, from: &Path, name: &str, entries: &[Entry]) -> anyhow::Result<()> {
        let folder = quoted(&self.folder(name));
        let script = format!(
            "set -eu; umask 022; d={folder}; \
             [ ! -e \"$d\" ] || [ -f \"$d/{SUMS}\" ] || \
             {{ echo \"$d exists and is no deployment; it is left alone\" >&2; exit 2; }}; \
             rm -rf \"$d.new\"; mkdir -p \"$d.new\"; tar -xf - -C \"$d.new\"; \
             if [ -e \"$d\" ]; then rm -rf \"$d.old\"; mv \"$d\" \"$d.old\"; fi; \
             mv \"$d.new\" \"$d\"; rm -rf \"$d.old\"; \"$d/run.sh\" self-test"
        );
        let mut ssh = self.ssh(&script, false);
        let mut child = ssh.stdin(Stdio::piped()).spawn().map_err(missing)?;
        let written = match child.stdin.take() {
            Some(stdin) => {
                let mut stdin = io::BufWriter::with_capacity(1 << 20, stdin);
                archive::tar(&mut stdin, from, ".", entries).and_then(|()| stdin.flush())
            }
            None => Ok(()),
        };
        let status = child.wait().context("cannot wait for ssh")?;
        // A pipe that broke has its reason on the other side.
        self.told(status.code(), "the copy or its self-test")?;
        written.context("cannot write to ssh")
    }

    /// Installs and starts it as a service there.
    ///
    /// # Errors
    /// As [`copy`](Self::copy).
    pub fn start(&self, name: &str) -> anyhow::Result<()> {
        let run = quoted(&format!("{}/run.sh", self.folder(name)));
        // sudo may ask for a password where somebody can answer.
        let mut ssh = self.ssh(&format!("{run} install"), io::stdin().is_terminal());
        let status = ssh.status().map_err(missing)?;
        self.told(status.code(), "the installation as a service")
    }

    /// `ssh` with a command for the shell there, at a terminal of its own or none.
    fn ssh(&self, script: &str, terminal: bool) -> Command {
        let mut command = Command::new("ssh");
        // Standard output belongs to the report. A terminal has that alone, questions of sudo among it.
        if terminal {
            command.arg("-t").stdout(io::stderr());
        } else {
            command.stdout(Stdio::null());
        }
        command.args(["--", &self.host, script]);
        command
    }

    fn told(&self, code: Option<i32>, what: &str) -> anyhow::Result<()> {
        let kind = match code {
            Some(0) => return Ok(()),
            Some(255) | None => ErrorKind::Device,
            Some(code) => kind(code),
        };
        let why = match code {
            Some(255) => "ssh did not get there".into(),
            Some(code) => format!("code {code}, see above"),
            None => "ended by a signal".into(),
        };
        Err(fail(kind, format!("{what} on {} failed: {why}", self.host)))
    }
}

/// The kind that has this exit code.
fn kind(code: i32) -> ErrorKind {
    use ErrorKind::{Busy, Device, Input, Memory, Model, Quality, Unsupported};
    let kinds = [Input, Model, Device, Busy, Unsupported, Quality, Memory];
    let found = kinds
        .into_iter()
        .find(|kind| i32::from(kind.exit_code()) == code);
    found.unwrap_or(ErrorKind::Device)
}

fn missing(error: io::Error) -> anyhow::Error {
    let what = "cannot run ssh; install it: apt-get install openssh-client";
    anyhow::Error::from(error).context(fail(ErrorKind::Device, what))
}

/// One word for a POSIX shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_no_options_and_folders_no_commands() {
        for (text, expected) in [
            ("pi@rpi5", Some(("pi@rpi5", "bevel/m"))),
            ("rpi5:/srv/it's here", Some(("rpi5", "/srv/it's here"))),
            ("pi@[fe80::1]:x", Some(("pi@fe80::1", "x"))),
            ("-oProxyCommand=reboot", None),
            ("", None),
            ("a b", None),
            ("rpi5:-rf", None),
            ("rpi5:app/", Some(("rpi5", "app"))),
            ("rpi5:~/app", Some(("rpi5", "app"))),
            ("rpi5:~/", Some(("rpi5", "bevel/m"))),
            ("rpi5:/", None),
            ("rpi5:~root/app", None),
        ] {
            let host: Option<Host> = text.parse().ok();
            let found = host.as_ref().map(|h| (h.host.as_str(), h.folder("m")));
            let found = found
                .as_ref()
                .map(|(host, folder)| (*host, folder.as_str()));
            assert_eq!(found, expected, "{text}");
        }
        assert_eq!(quoted("it's; reboot"), r"'it'\''s; reboot'");
        assert_eq!(kind(7), ErrorKind::Quality);
    }
}
