//! From what is written to devices.

use std::path::PathBuf;
use std::str::FromStr;

use crate::device::options::{Setting, Values};
use crate::device::providers::{PROVIDERS, Provider, ProviderKind};
use crate::device::{Choice, Device, Devices};
use crate::error::{Error, Result};

/// The option whose words may stand alone: `openvino:gpu`.
const UNIT: &str = "unit";
/// What stands before the name of an axis that is given a size.
pub(super) const FIX: &str = "fix.";

impl FromStr for Devices {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let devices = text.split(',').map(|device| device.trim().parse());
        devices.collect::<Result<_>>().map(Self)
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let provider = PROVIDERS.iter().copied().find(|p| p.name == name);
        let provider = provider.ok_or_else(|| {
            let known: Vec<_> = PROVIDERS.iter().map(|p| p.usage()).collect();
            Error::Input(format!("no device `{text}`; known: {}", known.join(", ")))
        })?;
        let mut device = Self::of(provider);
        if provider.kind == ProviderKind::Plugin {
            let library = parts.next().filter(|path| !path.is_empty());
            let library = library.ok_or_else(|| {
                Error::Input(format!(
                    "device `{text}`: which library? {}",
                    provider.usage()
                ))
            })?;
            device.library = Some(PathBuf::from(library));
        }
        for part in parts {
            device
                .take(part)
                .map_err(|e| Error::Input(format!("device `{text}`: {e}")))?;
        }
        Ok(device)
    }
}

impl Device {
    /// Takes an index or an option.
    fn take(&mut self, part: &str) -> Result<()> {
        let provider = self.provider;
        if let Some(index) = part.parse().ok().filter(|_| provider.indexed) {
            if self.index.replace(index).is_some() {
                return Err(Error::Input(format!("a second index, {part}")));
            }
            return Ok(());
        }
        let choice = match part.split_once('=') {
            Some((name, written)) => valued(provider, name, written)?,
            None => alone(provider, part)?,
        };
        if self.choices.iter().any(|c| c.name == choice.name) || self.has_unit(&choice) {
            return Err(Error::Input(format!("`{part}` says again what was said")));
        }
        self.choices.push(choice);
        Ok(())
    }

    /// Whether both name a unit, one of them alone.
    fn has_unit(&self, choice: &Choice) -> bool {
        let is_unit = |c: &Choice| c.name == UNIT || unit(self.provider, &c.name).is_some();
        is_unit(choice) && self.choices.iter().any(is_unit)
    }

    /// The unit that was asked for, as ONNX Runtime is told.
    pub(super) fn unit(&self) -> Option<&str> {
        let words = self
            .choices
            .iter()
            .find(|c| unit(self.provider, &c.name).is_some());
        words.map(|c| c.told.as_str()).or_else(|| self.choice(UNIT))
    }
}

/// The size of an axis.
const SIZE: Setting = Setting {
    name: "fix.AXIS",
    values: Values::Number(1, 1 << 20),
    key: "",
    meaning: "gives a dynamic axis of the graph one size",
};

fn valued(provider: &Provider, name: &str, written: &str) -> Result<Choice> {
    let setting = provider.settings.iter().find(|s| s.name == name);
    let axis = name.strip_prefix(FIX).filter(|axis| !axis.is_empty());
    let axis = axis.filter(|axis| provider.kind != ProviderKind::Cpu && !axis.contains('\0'));
    let told = match setting {
        Some(setting) => setting.told(written)?,
        None if axis.is_some() => SIZE.told(written)?,
        // What a plug-in takes only it knows.
        None if provider.kind == ProviderKind::Plugin && !name.is_empty() => {
            // ONNX Runtime takes strings that end at a NUL.
            if name.contains('\0') || written.contains('\0') {
                return Err(Error::Input("holds a NUL".into()));
            }
            written.to_string()
        }
        None => return Err(unknown(provider, name)),
    };
    Ok(Choice {
        name: name.to_string(),
        written: Some(written.to_string()),
        told,
    })
}

/// What stands without `=`: a switch, or a word of the unit.
fn alone(provider: &Provider, part: &str) -> Result<Choice> {
    let told = match provider.settings.iter().find(|s| s.name == part) {
        Some(setting) if setting.values == Values::Switch => "1".to_string(),
        Some(setting) => {
            let expected = setting.expected();
            let what = format!("write {part}=…, {expected}");
            return Err(Error::Input(what));
        }
        None => match unit(provider, part) {
            Some(told) => told.to_string(),
            None => return Err(unknown(provider, part)),
        },
    };
    Ok(Choice {
        name: part.to_string(),
        written: None,
        told,
    })
}

fn unit(provider: &Provider, word: &str) -> Option<&'static str> {
    let setting = provider.settings.iter().find(|s| s.name == UNIT)?;
    match &setting.values {
        Values::Words(words) => words
            .iter()
            .find(|(w, _)| *w == word)
            .map(|(_, told)| *told),
        _ => None,
    }
}

fn unknown(provider: &Provider, part: &str) -> Error {
    let name = provider.name;
    if part.is_empty() {
        return Error::Input(format!(
            "nothing behind a colon; write {}",
            provider.usage()
        ));
    }
    let mut known: Vec<String> = Vec::new();
    if provider.indexed {
        known.push("an index such as 0".into());
    }
    for setting in provider.settings {
        known.push(match setting.values {
            Values::Switch => setting.name.to_string(),
            _ => format!("{}= ({})", setting.name, setting.expected()),
        });
    }
    if provider.kind != ProviderKind::Cpu {
        known.push(format!("{}= ({})", SIZE.name, SIZE.expected()));
    }
    if provider.kind == ProviderKind::Plugin {
        known.push("KEY=VALUE of its provider".into());
    }
    if known.is_empty() {
        return Error::Input(format!("`{name}` has no options, got `{part}`"));
    }
    Error::Input(format!(
        "`{name}` has no `{part}`; known: {}",
        known.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_comes_back() {
        let cases = [
            ("cpu", "cpu"),
            ("cuda", "cuda:0"),
            ("cuda:3", "cuda:3"),
            ("cuda:memory=2GiB:1:tf32", "cuda:1:memory=2GiB:tf32"),
            (
                "tensorrt:0:fp16:cache=/var/cache/e",
                "tensorrt:0:fp16:cache=/var/cache/e",
            ),
            ("tensorrt:int8=off", "tensorrt:0:int8=off"),
            ("xnnpack:threads=4", "xnnpack:threads=4"),
            ("acl:fast-math", "acl:fast-math"),
            ("openvino:gpu.1:streams=2", "openvino:gpu.1:streams=2"),
            ("coreml", "coreml"),
            ("qnn:htp:fp16", "qnn:htp:fp16"),
            ("qnn:fix.batch=1:fix.T=128", "qnn:fix.batch=1:fix.T=128"),
            ("plugin:/a/b.so", "plugin:/a/b.so"),
            ("plugin:/a/b.so:npu:1:x.y=z", "plugin:/a/b.so:1:npu:x.y=z"),
            (" tensorrt , cuda:1 ,cpu", "tensorrt:0,cuda:1,cpu"),
        ];
        for (written, shown) in cases {
            let devices: Devices = written.parse().unwrap();
            assert_eq!(devices.to_string(), shown, "{written}");
            assert_eq!(
                shown.parse::<Devices>().unwrap().to_string(),
                shown,
                "{shown}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_known() {
        struct Case {
            written: &'static str,
            says: &'static [&'static str],
        }
        let cases = [
            Case {
                written: "gpu",
                says: &[
                    "no device `gpu`",
                    "cuda[:INDEX][:OPTION…]",
                    "plugin:LIBRARY",
                ],
            },
            Case {
                written: "",
                says: &["no device ``"],
            },
            Case {
                written: "cpu:0",
                says: &["`cpu` has no options, got `0`"],
            },
            Case {
                written: "cuda:fp16",
                says: &[
                    "`cuda` has no `fp16`",
                    "an index",
                    "memory= (a size",
                    "tf32",
                ],
            },
            Case {
                written: "cuda:",
                says: &["nothing behind a colon"],
            },
            Case {
                written: "cuda:0:1",
                says: &["a second index"],
            },
            Case {
                written: "cuda:99999999999",
                says: &["has no `99999999999`"],
            },
            Case {
                written: "cuda:memory",
                says: &["write memory=…"],
            },
            Case {
                written: "cuda:memory=lots",
                says: &["`memory=lots`", "512MiB"],
            },
            Case {
                written: "cuda:memory=0",
                says: &["512MiB"],
            },
            Case {
                written: "cuda:memory=99999999999999GiB",
                says: &["512MiB"],
            },
            Case {
                written: "cuda:tf32=maybe",
                says: &["on or off"],
            },
            Case {
                written: "cuda:conv=slow",
                says: &["heuristic, exhaustive, default"],
            },
            Case {
                written: "tensorrt:level=6",
                says: &["a number 0 to 5"],
            },
            Case {
                written: "qnn:fix.batch=0",
                says: &["`fix.AXIS=0`", "a number 1 to"],
            },
            Case {
                written: "cpu:fix.batch=1",
                says: &["no options"],
            },
            Case {
                written: "tensorrt:fp16:fp16=off",
                says: &["says again"],
            },
            Case {
                written: "openvino:cpu:gpu",
                says: &["says again"],
            },
            Case {
                written: "openvino:cpu:unit=gpu",
                says: &["says again"],
            },
            Case {
                written: "openvino:tpu",
                says: &["unit= (cpu, gpu, gpu.0"],
            },
            Case {
                written: "tensorrt:cache=a\0b",
                says: &["text"],
            },
            Case {
                written: "plugin",
                says: &["which library?"],
            },
            Case {
                written: "plugin:/a.so:what",
                says: &["KEY=VALUE of its provider"],
            },
            Case {
                written: "plugin:/a.so:key=a\0b",
                says: &["NUL"],
            },
        ];
        for case in cases {
            let error = case.written.parse::<Devices>().unwrap_err();
            assert_eq!(error.kind(), bevel_manifest::ErrorKind::Input);
            for says in case.says {
                assert!(
                    error.to_string().contains(says),
                    "{}: {error}",
                    case.written
                );
            }
        }
    }

    #[test]
    fn the_cpu_stands_in_only_where_it_is_listed_last() {
        let before = |devices: &str| {
            let devices: Devices = devices.parse().unwrap();
            devices.before_cpu().map(|d| d.to_string())
        };
        assert_eq!(
            before("tensorrt,cuda:1,cpu").as_deref(),
            Some("tensorrt:0,cuda:1")
        );
        for devices in ["cpu", "cuda", "cpu,cuda"] {
            assert_eq!(before(devices), None, "{devices}");
        }
    }

    #[test]
    fn every_option_says_what_it_does() {
        for provider in PROVIDERS {
            let mut names: Vec<_> = provider.settings.iter().map(|s| s.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), provider.settings.len(), "{}", provider.name);
            for setting in provider.settings {
                assert!(!setting.meaning.is_empty(), "{}", setting.name);
                // What stands alone must not be taken for an index or hold what divides.
                assert!(!setting.name.contains([':', ',', '=']), "{}", setting.name);
            }
        }
    }
}
