//! Files that are written from templates: `run.sh`, units of systemd, README.txt.

use std::collections::BTreeMap;

use bevel::Devices;
use bevel_manifest::{Manifest, Target, Task};

use super::devices;
use super::model::Chosen;

const RUN: &str = include_str!("../../assets/deploy/run.sh");
const README: &str = include_str!("../../assets/deploy/README.txt");
const HARDENING: &str = include_str!("../../assets/deploy/hardening.conf");
const LISTEN: &str = include_str!("../../assets/deploy/listen.service");
const SOCKET: &str = include_str!("../../assets/deploy/answer.socket");
const ANSWER: &str = include_str!("../../assets/deploy/answer@.service");

/// What a process has beside what its memory cap counts: the program, ONNX Runtime, an input, and weights while
/// they are brought into the order that kernels want.
const BESIDE_CAP_MIB: u64 = 128;

/// What a service of systemd does with the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Writes down what the microphone hears.
    Listen,
    /// Answers what is written to a socket, one connection at a time.
    Socket,
}

impl Service {
    /// Programs without a microphone answer for recordings.
    pub fn of(task: Task, has_microphone: bool) -> Self {
        match task {
            Task::Transcribe if has_microphone => Self::Listen,
            _ => Self::Socket,
        }
    }

    /// The unit that is enabled.
    pub fn unit(self, name: &str) -> String {
        match self {
            Self::Listen => format!("bevel-{name}.service"),
            Self::Socket => format!("bevel-{name}.socket"),
        }
    }

    /// Names and templates of the units.
    fn units(self, name: &str) -> Vec<(String, &'static str)> {
        match self {
            Self::Listen => vec![(self.unit(name), LISTEN)],
            Self::Socket => vec![
                (self.unit(name), SOCKET),
                (format!("bevel-{name}@.service"), ANSWER),
            ],
        }
    }
}

/// Everything that the texts tell.
pub struct Facts<'a> {
    /// See [`super::name`].
    pub name: &'a str,
    pub target: &'a Target,
    pub devices: &'a Devices,
    pub manifest: &'a Manifest,
    pub chosen: &'a Chosen,
    pub service: Service,
}

/// Paths in the folder, their texts, and whether they are programs.
pub fn files(facts: &Facts<'_>) -> Vec<(String, String, bool)> {
    let values = values(facts);
    let mut files = vec![
        ("run.sh".into(), fill(RUN, &values), true),
        ("README.txt".into(), fill(README, &values), false),
    ];
    for (name, template) in facts.service.units(facts.name) {
        // The part that units share is a template itself.
        let text = template.replace("@HARDENING@\n", HARDENING);
        files.push((format!("systemd/{name}"), fill(&text, &values), false));
    }
    files
}

fn values(facts: &Facts<'_>) -> BTreeMap<&'static str, String> {
    let Facts {
        name,
        target,
        devices,
        manifest,
        chosen,
        service,
    } = facts;
    let license = manifest
        .provenance
        .as_ref()
        .map(|from| from.license.as_str());
    let license = license.filter(|license| !license.is_empty());
    let gpu = devices::need_nvidia(devices);
    let cores = cores(&target.cores);
    let unit = service.unit(name);
    let set = |line: &str, wanted: bool| match wanted {
        true => format!("{line}\n"),
        false => String::new(),
    };
    BTreeMap::from([
        ("NAME", (*name).to_owned()),
        ("USER", format!("bevel-{}", &name[..name.len().min(20)])),
        ("UNIT", unit.clone()),
        ("VERSION", env!("CARGO_PKG_VERSION").into()),
        ("BOARD", plain(&target.board)),
        ("TRIPLE", target.triple.clone()),
        ("GLIBC", target.glibc.to_string()),
        ("THREADS", target.threads.to_string()),
        ("MEMORY_MIB", target.memory_cap_mib.to_string()),
        (
            "MEMORY_MAX_MIB",
            (target.memory_cap_mib + BESIDE_CAP_MIB).to_string(),
        ),
        ("DEVICES", devices.to_string()),
        (
            "AFFINITY",
            set(&format!("CPUAffinity={cores}"), !cores.is_empty()),
        ),
        ("CORES", cores),
        ("MODEL", plain(&manifest.name)),
        ("TASK", manifest.task.to_string()),
        ("VARIANT", plain(&chosen.name)),
        ("WHY", plain(&chosen.why)),
        (
            "LICENSE",
            plain(license.unwrap_or("not known to Bevel; ask who made it")),
        ),
        ("EXAMPLE", example(manifest.task, *service).into()),
        (
            "LISTEN_USAGE",
            set(
                "       run.sh listen           writes down what the microphone hears",
                *service == Service::Listen,
            ),
        ),
        ("SERVICE", set(&talk(*service, name, &unit), true)),
        ("DEVICE_RULES", device_rules(*service, gpu)),
        // Compilers of GPU kernels write what they run.
        ("WRITE_EXECUTE", set("MemoryDenyWriteExecute=yes", !gpu)),
    ])
}

/// As `--cores` and `CPUAffinity=` take them.
fn cores(cores: &[usize]) -> String {
    let numbers: Vec<_> = cores.iter().map(usize::to_string).collect();
    numbers.join(",")
}

/// Letters, digits and what stands between them in names, for text that becomes part of scripts.
fn plain(text: &str) -> String {
    let fits = |c: char| c.is_alphanumeric() || " -_.,:()+/".contains(c);
    text.chars()
        .map(|c| if fits(c) { c } else { ' ' })
        .collect()
}

/// The same on one line.
pub fn line(text: &str) -> String {
    plain(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn example(task: Task, service: Service) -> &'static str {
    match (task, service) {
        (Task::Transcribe, Service::Listen) => "listen              what is said, while it is said",
        (Task::Transcribe, _) => "recording.wav       the text of a recording",
        (Task::Detect | Task::Segment | Task::Pose | Task::Obb, _) => {
            "picture.jpg         what is in a picture; --output DIR draws it"
        }
        (Task::Tensors, _) => "input.safetensors   the outputs for tensors",
        (Task::Answer, _) => "questions.jsonl     {\"question\": …, \"context\": …} a line",
        _ => "INPUT               a text or a file; ./run.sh run --help tells the options",
    }
}

/// How one hears from the service.
fn talk(service: Service, name: &str, unit: &str) -> String {
    match service {
        Service::Listen => {
            format!("  journalctl -fu {unit} -o cat\n\nThe journal has one JSON object per event.")
        }
        Service::Socket => format!(
            "  socat - UNIX-CONNECT:/run/bevel/{name}.sock <INPUT\n\nWhat is written to the socket until \
             the writing side is closed is the input, as for `./run.sh run -`;\nout comes one JSON object \
             per answer. One connection is served at a time, others are closed at once."
        ),
    }
}

/// The devices a service may open.
fn device_rules(service: Service, gpu: bool) -> String {
    let mut rules = String::new();
    if !gpu && service != Service::Listen {
        return "PrivateDevices=yes\n".into();
    }
    rules += "DevicePolicy=closed\n";
    if service == Service::Listen {
        rules += "DeviceAllow=char-alsa rw\nSupplementaryGroups=audio\n";
    }
    if gpu {
        // On a Jetson CUDA opens nvmap and render nodes, too.
        rules += "DeviceAllow=char-nv* rw\nDeviceAllow=/dev/nvmap rw\nDeviceAllow=char-drm rw\n\
                  SupplementaryGroups=video render\n";
    }
    rules
}

/// The template with every `@NAME@` that has a value replaced by it, once: values are not templates.
fn fill(template: &str, values: &BTreeMap<&'static str, String>) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('@') {
        let (before, behind) = (&rest[..at], &rest[at + 1..]);
        text += before;
        let end = behind.find('@');
        match end.and_then(|end| Some((values.get(&behind[..end])?, end))) {
            Some((value, end)) => {
                // A whole line that has no value is no line.
                rest = &behind[end + 1..];
                text += value;
                if (value.is_empty() || value.ends_with('\n')) && rest.starts_with('\n') {
                    rest = &rest[1..];
                }
            }
            None => {
                text.push('@');
                rest = behind;
            }
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_filled_in_and_are_no_templates() {
        let values = BTreeMap::from([
            ("A", "@B@".to_owned()),
            ("B", String::new()),
            ("C", "line\n".to_owned()),
        ]);
        assert_eq!(
            fill("x@A@y @B@\n@C@\nuser@host @D@", &values),
            "x@B@y line\nuser@host @D@"
        );
        assert_eq!(fill("\"$@\"", &values), "\"$@\"");
    }

    #[test]
    fn text_of_others_does_not_become_part_of_a_script() {
        let text = plain("Pi 5\n\"; $(reboot) `x` \\ 'y' & z | a > b # c");
        assert!(!text.contains(['\n', '"', ';', '$', '`', '\\', '\'', '&', '|', '>', '#']));
        let words: Vec<_> = text.split_whitespace().collect();
        assert_eq!(words, ["Pi", "5", "(reboot)", "x", "y", "z", "a", "b", "c"]);
    }
}
