//! Memory of a runtime that has no model yet: `cargo run --example idle`.

use bevel::Runtime;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let before = resident_kib()?;
    let runtime = Runtime::get()?;
    let version = runtime.version().unwrap_or_default();
    println!(
        "resident KiB {} with ONNX Runtime {version}, {before} before it",
        resident_kib()?
    );
    Ok(())
}

/// `VmRSS`, the pages in memory, those of the library's file included.
fn resident_kib() -> Result<u64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let kib = line.and_then(|l| l.split_whitespace().next());
    Ok(kib.ok_or("no VmRSS in /proc/self/status")?.parse()?)
}
