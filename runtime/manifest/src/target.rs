use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::glibc::Glibc;

/// A board that models are made for: `targets/NAME.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// What it is called on the command line, and what its file is called.
    pub name: String,
    /// What people call it.
    pub board: String,
    /// The Rust target triple: one of [`Target::TRIPLES`].
    pub triple: String,
    /// What its processor can do, as Rust calls target features: `neon`, `dotprod`, `i8mm`, `fp16`,
    /// `avx2` …; `vnni` stands for any of Intel's. Programs are built without them and find out
    /// what there is: they decide which kernels are fast.
    #[serde(default)]
    pub cpu_features: Vec<String>,
    /// The oldest C library of its systems; programs for it need no newer one.
    pub glibc: Glibc,
    /// Threads that a model gets: the fast cores.
    pub threads: usize,
    /// The cores that those threads stay on, counted from 0, where they differ: the fast ones. Empty
    /// leaves it to the system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cores: Vec<usize>,
    /// Memory in MiB that Bevel may use there. The rest of the smallest board of the name is for the
    /// system and the other programs.
    pub memory_cap_mib: u64,
    /// Where models run, the best first.
    pub providers: Vec<String>,
    /// The variants of a bundle in the order that suits it, the best first, out of
    /// [`Target::VARIANTS`].
    pub quantization: Vec<String>,
}

/// What a processor can have and models gain from, by [`Target::arch`].
const FEATURES: [(&str, &[&str]); 3] = [
    (
        "x86_64",
        &["sse4.1", "avx", "avx2", "fma", "f16c", "avx512f", "vnni"],
    ),
    (
        "aarch64",
        &["neon", "fp16", "dotprod", "i8mm", "bf16", "sve"],
    ),
    ("arm", &["neon", "vfp4"]),
];

impl Target {
    /// The triples that programs are built for.
    pub const TRIPLES: [&str; 3] = [
        "aarch64-unknown-linux-gnu",
        "armv7-unknown-linux-gnueabihf",
        "x86_64-unknown-linux-gnu",
    ];

    /// Names of variants that a profile can put in order.
    pub const VARIANTS: [&str; 6] = [
        "fp32",
        "fp16",
        "int8",
        "int8-static",
        "int8-weights",
        "int4",
    ];

    /// Reads a board profile.
    ///
    /// # Errors
    /// [`Error::Parse`] for text that is not one, [`Error::Invalid`] for values that no board has.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        let target: Self = toml::from_str(text).map_err(Error::parse)?;
        target.check()?;
        Ok(target)
    }

    /// The text of a board profile.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it would not be read back.
    pub fn to_toml(&self) -> Result<String, Error> {
        self.check()?;
        toml::to_string(self).map_err(|e| Error::Invalid(e.to_string()))
    }

    fn check(&self) -> Result<(), Error> {
        let invalid = |what: String| Err(Error::Invalid(format!("target `{}`: {what}", self.name)));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if self.name.is_empty() || !self.name.chars().all(plain) {
            return invalid("a name is of letters, digits, `-` and `_`".into());
        }
        if !Self::TRIPLES.contains(&self.triple.as_str()) {
            let known = Self::TRIPLES.join(", ");
            return invalid(format!("no triple `{}`; known: {known}", self.triple));
        }
        let features = FEATURES.iter().find(|(arch, _)| *arch == self.arch());
        let features = features.map_or(&[][..], |(_, features)| *features);
        check_list("cpu feature", &self.cpu_features, Some(features)).or_else(invalid)?;
        check_list("provider", &self.providers, None).or_else(invalid)?;
        check_list("variant", &self.quantization, Some(&Self::VARIANTS)).or_else(invalid)?;
        if self.providers.is_empty() || self.quantization.is_empty() {
            return invalid("`providers` and `quantization` have at least one entry".into());
        }
        if self.threads == 0 || self.memory_cap_mib == 0 {
            return invalid("`threads` and `memory_cap_mib` are at least 1".into());
        }
        if !self.cores.is_empty() && self.cores.len() < self.threads {
            let (threads, cores) = (self.threads, self.cores.len());
            return invalid(format!("{threads} threads do not fit on {cores} cores"));
        }
        Ok(())
    }

    /// The processor as [`std::env::consts::ARCH`] calls it: `aarch64`, `arm`, `x86_64`.
    pub fn arch(&self) -> &str {
        match self.triple.split('-').next().unwrap_or_default() {
            "armv7" => "arm",
            arch => arch,
        }
    }

    /// Whether fp16 is calculated and not only stored.
    pub fn calculates_halves(&self) -> bool {
        self.cpu_features.iter().any(|feature| feature == "fp16")
    }

    /// Whether its int8 kernels want activations with a sign.
    pub fn wants_signed(&self) -> bool {
        matches!(self.arch(), "aarch64" | "arm")
    }
}

/// Each entry once, and out of what is known.
fn check_list(what: &str, list: &[String], known: Option<&[&str]>) -> Result<(), String> {
    for (i, entry) in list.iter().enumerate() {
        match known {
            Some(known) if !known.contains(&entry.as_str()) => {
                return Err(format!("no {what} `{entry}`; known: {}", known.join(", ")));
            }
            _ if list[..i].contains(entry) => {
                return Err(format!("{what} `{entry}` is listed twice"));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
name = "b"
board = "Board"
triple = "aarch64-unknown-linux-gnu"
cpu_features = ["neon"]
glibc = "2.31"
threads = 4
cores = [4, 5, 6, 7]
memory_cap_mib = 640
providers = ["cpu"]
quantization = ["int8", "fp32"]
"#;

    #[test]
    fn written_text_is_read_back_equal() {
        let target = Target::from_toml(MINIMAL).unwrap();
        assert_eq!(
            target.glibc,
            Glibc {
                major: 2,
                minor: 31
            }
        );
        assert_eq!(
            Target::from_toml(&target.to_toml().unwrap()).unwrap(),
            target
        );
    }

    #[test]
    fn what_no_board_has_is_told() {
        struct Case {
            from: &'static str,
            to: &'static str,
            says: &'static str,
        }
        let case = |from, to, says| Case { from, to, says };
        let cases = [
            case("glibc = \"2.31\"", "glibc = 2.31", "invalid type"),
            case("2.31", "2", "`2` is no version"),
            case("2.31", "2.x", "`2.x` is no version"),
            case("2.31", "2.3.1.4", "no version"),
            case("aarch64-", "arm64-", "known: aarch64-unknown-linux-gnu"),
            case("neon", "avx2", "no cpu feature `avx2`; known: neon"),
            case("\"int8\"", "\"int9\"", "no variant `int9`; known: fp32"),
            case("\"int8\"", "\"fp32\"", "`fp32` is listed twice"),
            case("[\"cpu\"]", "[]", "at least one"),
            case("threads = 4", "threads = 0", "at least 1"),
            case("threads = 4", "threads = 5", "5 threads do not fit"),
            case("cap_mib = 640", "cap_mib = 0", "at least 1"),
            case("\"b\"", "\"../b\"", "letters"),
            case("board", "bord", "unknown field"),
        ];
        for case in cases {
            let text = MINIMAL.replacen(case.from, case.to, 1);
            assert_ne!(text, MINIMAL, "{}", case.from);
            let error = Target::from_toml(&text).unwrap_err().to_string();
            assert!(error.contains(case.says), "{}: {error}", case.to);
        }
    }

    #[test]
    fn versions_of_glibc_are_numbers() {
        let version = |text: &str| text.parse::<Glibc>().unwrap();
        assert!(version("2.4") < version("2.27") && version("2.27") < version("3.0"));
        assert_eq!(version("2.2.5").to_string(), "2.2");
    }
}
