//! Builds the guests for tests with one nested cargo.

use std::path::PathBuf;

use rollbot_plugin_build::{PluginCrate, build_plugins};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out_dir = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo gave no OUT_DIR")?);
    let guests = [
        "chatty",
        "eats-memory",
        "lies",
        "loops",
        "panics",
        "scripted",
    ]
    .map(|name| PluginCrate::new(format!("../{name}"), format!("rollbot-guest-{name}")));
    if let Err(error) = build_plugins(&guests, &out_dir) {
        // `Display`, since the message holds the commands that mend it.
        eprintln!("{error}");
        std::process::exit(1);
    }
    Ok(())
}
