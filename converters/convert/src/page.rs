//! The report that travels in a bundle: `report.json` for programs, `report.html` for people.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use crate::arch::{BundleFile, Content};
use crate::convert::file_name;
use crate::judge::Quality;
use crate::report::{Report, Trial, VariantReport};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;\
color:#222}table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .75rem;text-align:left;\
border-bottom:1px solid #ddd;vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:\
tabular-nums}.no{color:#a00}.yes{color:#070;font-weight:600}code{font-size:.9em}";

/// Both files. Paths of this machine stay out of them.
pub(crate) fn files(report: &Report) -> [BundleFile; 2] {
    let mut json = serde_json::to_value(report).unwrap_or_default();
    for (key, path) in [("out", &report.out), ("checkpoint", &report.checkpoint)] {
        if let Some(value) = json.get_mut(key) {
            *value = Value::from(file_name(path));
        }
    }
    let text = serde_json::to_string_pretty(&json).unwrap_or_default();
    let file = |name: &str, text: String| BundleFile {
        name: name.into(),
        content: Content::Text(text),
    };
    [file("report.json", text), file("report.html", page(report))]
}

fn page(report: &Report) -> String {
    let mut out = String::new();
    let name = escape(&report.name);
    // Writing to a string does not fail.
    let _ = write!(
        out,
        "<!doctype html><html lang=en><meta charset=utf-8><title>{name}</title><style>{STYLE}</style>\
         <h1>{name}</h1><p>{} ({}), converted from <code>{}</code> ({}) in {:.1} s.</p>\
         <p>Runs as <b>{}</b>: {}.</p>",
        report.task,
        escape(&report.family),
        escape(&file_name(Path::new(&report.checkpoint))),
        mib(report.checkpoint_bytes),
        report.seconds,
        escape(&report.chosen),
        escape(&report.reason),
    );
    if let Some(data) = &report.calibration {
        let _ = write!(
            out,
            "<p>Calibrated on {} samples of <code>{}</code>, SHA-256 <code>{}</code>.</p>",
            data.samples,
            escape(&data.source),
            data.sha256
        );
    }
    out.push_str(
        "<h2>Variants</h2><table><tr><th>variant<th>how<th class=n>size<th>quality<th class=n>time, \
         fp32 = 1<th>in the bundle</tr>",
    );
    for variant in &report.variants {
        row(&mut out, variant, &report.chosen);
    }
    out.push_str("</table>");
    for variant in report.variants.iter().filter(|v| !v.trials.is_empty()) {
        trials(&mut out, variant);
    }
    if !report.notes.is_empty() {
        out.push_str("<h2>Notes</h2><ul>");
        for note in &report.notes {
            let _ = write!(out, "<li>{}", escape(note));
        }
        out.push_str("</ul>");
    }
    let machine = report.variants.iter().find_map(|v| v.measured.as_ref());
    if let Some(measured) = machine {
        let _ = write!(out, "<p>Measured on {}.</p>", escape(&measured.machine));
    }
    out.push_str("</html>\n");
    out
}

fn row(out: &mut String, variant: &VariantReport, chosen: &str) {
    let (quality, ratio) = match &variant.measured {
        None => Default::default(),
        Some(m) => (
            format!(
                "{} {:.4} ({:.4} to {:.4}), fp32 {:.4}, {} samples",
                escape(&m.metric),
                m.value,
                m.interval[0],
                m.interval[1],
                m.reference,
                m.samples
            ),
            format!("{:.2}", m.latency_ratio),
        ),
    };
    let (class, state) = match (&variant.dropped, variant.name == chosen) {
        (Some(why), _) => ("no", format!("dropped: {}", escape(why))),
        (None, true) => ("yes", "chosen".into()),
        (None, false) => ("", "kept".into()),
    };
    let _ = write!(
        out,
        "<tr><td>{}<td>{}<td class=n>{}<td>{quality}<td class=n>{ratio}<td class='{class}'>{state}</tr>",
        escape(&variant.name),
        escape(&variant.scheme),
        mib(variant.size_bytes),
    );
}

fn trials(out: &mut String, variant: &VariantReport) {
    let _ = write!(
        out,
        "<h2>What was tried for {}</h2><table><tr><th>way<th class=n>layers in float<th class=n>output \
         error<th>quality<th class=n>time<th class=n>size<th>gate</tr>",
        escape(&variant.name)
    );
    for trial in &variant.trials {
        let Trial { error, quality, .. } = trial;
        let gate = match (&trial.fails, quality) {
            (Some(why), _) => format!("<td class=no>{}", escape(why)),
            (None, Some(_)) => "<td class=yes>passes".into(),
            (None, None) => "<td>".into(),
        };
        let figure = |q: &Quality| {
            let [low, high] = q.interval;
            format!(
                "{} {:.4} ({low:.4} to {high:.4})",
                escape(&q.metric),
                q.value
            )
        };
        let _ = write!(
            out,
            "<tr><td>{}<td class=n>{}<td class=n>{}<td>{}<td class=n>{}<td class=n>{}{gate}</tr>",
            escape(&trial.way),
            trial.layers_kept,
            error.map(|e| format!("{e:.2e}")).unwrap_or_default(),
            quality.as_ref().map(figure).unwrap_or_default(),
            trial
                .latency_ratio
                .map(|r| format!("{r:.2}"))
                .unwrap_or_default(),
            mib(trial.size_bytes),
        );
    }
    out.push_str("</table>");
    if !variant.layers_kept_float.is_empty() {
        let names: Vec<String> = variant
            .layers_kept_float
            .iter()
            .map(|name| format!("<code>{}</code>", escape(name)))
            .collect();
        let _ = write!(out, "<p>In float: {}.</p>", names.join(", "));
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
