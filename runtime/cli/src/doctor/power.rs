//! What slows a processor down: how it is governed, heat, and the power supply.

use super::findings::{Findings, Root};

/// Degrees Celsius from which boards begin to slow down.
const HOT: u64 = 80;

/// Bits of `get_throttled` of a Raspberry Pi's firmware: now, and since it was started.
const THROTTLED: [(u32, &str); 4] = [
    (0, "under-voltage"),
    (1, "capped frequency"),
    (2, "throttling"),
    (3, "the soft temperature limit"),
];

/// Where the nodes of the firmware are: `soc/soc:firmware`, on a Pi 5 with the bus's address in both names.
const PLATFORM: &str = "/sys/devices/platform";
const POLICIES: &str = "/sys/devices/system/cpu/cpufreq";
const ZONES: &str = "/sys/class/thermal";

pub fn look(root: &Root, found: &mut Findings) {
    frequency(root, found);
    heat(root, found);
    supply(root, found);
}

fn frequency(root: &Root, found: &mut Findings) {
    let mut told = Vec::new();
    for policy in root.names(POLICIES, "policy") {
        let of = |file: &str| format!("{POLICIES}/{policy}/{file}");
        let Some(governor) = root.read(&of("scaling_governor")) else {
            continue;
        };
        let driver = root.read(&of("scaling_driver")).unwrap_or_default();
        let mhz = |file: &str| root.number(&of(file)).map(|khz| khz / 1000);
        let (most, able) = (mhz("scaling_max_freq"), mhz("cpuinfo_max_freq"));
        let state = (governor, driver, most, able);
        if !told.contains(&state) {
            told.push(state);
        }
    }
    for (governor, driver, most, able) in &told {
        let value = match most {
            Some(most) => format!("{governor}, up to {most} MHz"),
            None => governor.clone(),
        };
        // Of drivers that govern by themselves it names a preference, not the lowest frequency.
        let governs = ["intel_pstate", "amd-pstate"].map(|own| driver.starts_with(own));
        if governor == "powersave" && !governs.contains(&true) {
            let advice = "it keeps the lowest frequency; `echo schedutil | sudo tee \
                          /sys/devices/system/cpu/cpufreq/policy*/scaling_governor` lets it rise";
            found.warning("frequency", value, advice);
        } else if let (Some(most), Some(able)) = (most, able)
            && most < able
        {
            let advice = format!(
                "this processor can run at {able} MHz; scaling_max_freq or a power mode caps it"
            );
            found.warning("frequency", value, advice);
        } else {
            found.ok("frequency", value);
        }
    }
}

fn heat(root: &Root, found: &mut Findings) {
    let zones = root.names(ZONES, "thermal_zone");
    let degrees = |zone: &String| {
        let milli: i64 = root.read(&format!("{ZONES}/{zone}/temp"))?.parse().ok()?;
        let degrees = u64::try_from(milli / 1000).ok()?;
        // Sensors that are not there tell nonsense.
        (degrees < 200).then_some(degrees)
    };
    let Some(hottest) = zones.iter().filter_map(degrees).max() else {
        return;
    };
    found.fact("temperature_c", hottest);
    let value = format!("{hottest} °C");
    match hottest {
        HOT.. => found.warning(
            "temperature",
            value,
            "processors slow down from about 80 °C on; cool it, or run with fewer --threads",
        ),
        _ => found.ok("temperature", value),
    }
}

fn supply(root: &Root, found: &mut Findings) {
    let throttled = root.names(PLATFORM, "soc").into_iter().find_map(|soc| {
        let nodes = root.names(&format!("{PLATFORM}/{soc}"), "soc");
        let mut firmware = nodes.iter().filter(|node| node.ends_with(":firmware"));
        firmware.find_map(|node| root.read(&format!("{PLATFORM}/{soc}/{node}/get_throttled")))
    });
    let Some(text) = throttled else {
        return;
    };
    let Ok(bits) = u32::from_str_radix(text.trim_start_matches("0x"), 16) else {
        return;
    };
    let told = |shift: u32| {
        let set = THROTTLED.iter();
        let set = set.filter(|(bit, _)| bits & (1 << (bit + shift)) != 0);
        set.map(|(_, what)| *what).collect::<Vec<_>>().join(", ")
    };
    let advice =
        "use the power supply that the board's maker names, a short cable, and a heat sink";
    match (told(0), told(16)) {
        (now, past) if now.is_empty() && past.is_empty() => {
            found.ok("power supply", "no under-voltage, no throttling");
        }
        (now, past) if now.is_empty() => {
            found.warning("power supply", format!("{past} since the start"), advice);
        }
        (now, _) => found.warning("power supply", format!("{now} now"), advice),
    }
}

#[cfg(test)]
mod tests {
    use super::super::findings::{Verdict, put};
    use super::*;

    #[test]
    fn what_slows_a_board_down_is_told() {
        struct Case {
            name: &'static str,
            files: &'static [(&'static str, &'static str)],
            told: &'static [(&'static str, Verdict, &'static str)],
        }
        const PI_4: &str = "/sys/devices/platform/soc/soc:firmware/get_throttled";
        const PI_5: &str =
            "/sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled";
        const POLICY: &str = "/sys/devices/system/cpu/cpufreq/policy0";
        let cases = [
            Case {
                name: "nothing there",
                files: &[],
                told: &[],
            },
            Case {
                name: "a Pi with a weak supply",
                files: &[
                    ("scaling_governor", "ondemand\n"),
                    ("scaling_max_freq", "2400000\n"),
                    ("cpuinfo_max_freq", "2400000\n"),
                    ("/sys/class/thermal/thermal_zone0/temp", "61200\n"),
                    (PI_5, "50005\n"),
                ],
                told: &[
                    ("frequency", Verdict::Ok, "ondemand, up to 2400 MHz"),
                    ("temperature", Verdict::Ok, "61 °C"),
                    (
                        "power supply",
                        Verdict::Warning,
                        "under-voltage, throttling now",
                    ),
                ],
            },
            Case {
                name: "was throttled before",
                files: &[(PI_4, "0x40000")],
                told: &[(
                    "power supply",
                    Verdict::Warning,
                    "throttling since the start",
                )],
            },
            Case {
                name: "kept low, hot, with a sensor that is not there",
                files: &[
                    ("scaling_governor", "powersave"),
                    ("scaling_driver", "cpufreq-dt"),
                    ("/sys/class/thermal/thermal_zone0/temp", "83000"),
                    ("/sys/class/thermal/thermal_zone1/temp", "-274000"),
                ],
                told: &[
                    ("frequency", Verdict::Warning, "powersave"),
                    ("temperature", Verdict::Warning, "83 °C"),
                ],
            },
            Case {
                name: "a laptop",
                files: &[
                    ("scaling_governor", "powersave"),
                    ("scaling_driver", "intel_pstate"),
                ],
                told: &[("frequency", Verdict::Ok, "powersave")],
            },
            Case {
                name: "a power mode of 15 W",
                files: &[
                    ("scaling_governor", "schedutil"),
                    ("scaling_max_freq", "1510400"),
                    ("cpuinfo_max_freq", "2201600"),
                ],
                told: &[("frequency", Verdict::Warning, "schedutil, up to 1510 MHz")],
            },
        ];
        for case in cases {
            let folder = tempfile::tempdir().unwrap();
            for (path, text) in case.files {
                match path.starts_with('/') {
                    true => put(folder.path(), path, text),
                    false => put(folder.path(), &format!("{POLICY}/{path}"), text),
                }
            }
            let mut found = Findings::default();
            look(&Root::at(folder.path()), &mut found);
            let lines = found.lines.iter();
            let told: Vec<_> = lines
                .map(|line| (line.name.as_str(), line.verdict, line.value.as_str()))
                .collect();
            assert_eq!(told, case.told, "{}", case.name);
        }
    }
}
