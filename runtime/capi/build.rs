//! Names the shared library as programs look for it at run time.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let linux = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    if linux {
        // The number is BEVEL_ABI_VERSION.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libbevel.so.0");
    }
}
