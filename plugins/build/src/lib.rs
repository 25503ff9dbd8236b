//! Builds plugins, from build scripts: compiles guest crates for `wasm32-unknown-unknown` with a
//! nested cargo and makes WebAssembly components of them.
//!
//! A build script needs one call:
//!
//! ```no_run
//! # use rollbot_plugin_build::{PluginCrate, build_plugins};
//! # fn main() -> Result<(), rollbot_plugin_build::BuildError> {
//! let trade = PluginCrate::new("../trade", "rollbot-plugin-trade");
//! let components = build_plugins(&[trade], std::path::Path::new("out"))?;
//! # Ok(()) }
//! ```
//!
//! Components are reproducible: the same sources, lock file and toolchain give the same bytes in
//! any directory, because people are shown the digest of what they approve.
//!
//! # Environment
//!
//! * `ROLLBOT_WASM_TOOLCHAIN`: `current` or `debian` uses only that toolchain.
//! * `ROLLBOT_RUSTUP_TARGET_ADD=1`: try `rustup target add` (with a deadline) when the target is
//!   missing. Off by default, since it needs the network and can hang without one.
//! * `ROLLBOT_GUEST_TARGET_DIR`: where guests are compiled. By default `guests-…` in cargo's own
//!   target directory, so that all build scripts share one copy of the dependencies.

mod compile;
mod component;
mod inputs;
mod probe;
mod toolchain;

use std::path::{Path, PathBuf};

pub use component::encode;
pub use toolchain::{Choice, CurrentToolchain, DebianToolchain, Found, Preference, Wishes, choose};

/// The one target which guests are built for: it has no WASI, so there is nothing to take away.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// A guest: a `cdylib` crate whose library has the package's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginCrate {
    /// Directory that holds the crate's `Cargo.toml`; relative to the working directory, which in
    /// a build script is the directory of the crate being built.
    pub manifest_dir: PathBuf,
    /// Package name: `rollbot-plugin-trade`.
    pub package: String,
}

impl PluginCrate {
    /// Names a guest crate.
    pub fn new(manifest_dir: impl Into<PathBuf>, package: impl Into<String>) -> Self {
        Self {
            manifest_dir: manifest_dir.into(),
            package: package.into(),
        }
    }
}

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "{manifest} is in no cargo workspace: plugins are built with the lock file and the profile `guest` of one"
    )]
    NoWorkspace { manifest: PathBuf },
    #[error(
        "no Rust toolchain here can build for wasm32-unknown-unknown:\n{}\n\nInstall one of:\n\
         \x20 rustup target add wasm32-unknown-unknown\n\
         \x20 apt-get install rustc-web cargo-web rust-web-src lld-22   (Debian; a later lld does as well)\n\
         or set ROLLBOT_RUSTUP_TARGET_ADD=1 to let this build run the first one.",
        reasons.iter().map(|r| format!("  - {r}")).collect::<Vec<_>>().join("\n")
    )]
    NoToolchain { reasons: Vec<String> },
    #[error("{variable}={value:?}: allowed are `current` and `debian`")]
    UnknownPreference {
        variable: &'static str,
        value: String,
    },
    #[error(
        "compiling {packages} for wasm32-unknown-unknown failed ({status}); the compiler's messages are above"
    )]
    Compile { packages: String, status: String },
    #[error(
        "{path} is missing after the build: the library of {package} must be a cdylib named after its package"
    )]
    NoModule { package: String, path: PathBuf },
    #[error("{package} cannot be made into a component: {reason}")]
    Encode { package: String, reason: String },
    #[error("{package} imports {import}: a plugin may import nothing but rollbot:plugin")]
    ForeignImport { package: String, import: String },
    #[error("{package} does not export rollbot:plugin/procedures: is `export_plugin!` missing?")]
    NoProcedures { package: String },
}

impl BuildError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// Builds one guest. See [`build_plugins`], which is the faster way to build several.
///
/// # Errors
/// As [`build_plugins`].
pub fn build_plugin(guest: &PluginCrate, out_dir: &Path) -> Result<PathBuf, BuildError> {
    let mut built = build_plugins(std::slice::from_ref(guest), out_dir)?;
    built.pop().ok_or_else(|| BuildError::NoModule {
        package: guest.package.clone(),
        path: out_dir.to_owned(),
    })
}

/// Compiles guests of one workspace with a single cargo, writes `<package>.wasm` components into
/// `out_dir` and returns their paths in the order asked for. Prints the `cargo::rerun-if-changed`
/// lines a build script needs.
///
/// # Errors
/// No fitting toolchain, a guest that does not compile, or one that is no plugin: see
/// [`BuildError`].
pub fn build_plugins(guests: &[PluginCrate], out_dir: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let Some(first) = guests.first() else {
        return Ok(Vec::new());
    };
    std::fs::create_dir_all(out_dir).map_err(BuildError::io(out_dir))?;
    let workspace = inputs::workspace_root(&first.manifest_dir)?;
    // Printed before anything can fail, so that what mends the failure also causes a new build.
    inputs::print_fixed(&workspace, guests);
    let toolchain = probe::find_toolchain()?;
    let built = compile::compile(&toolchain, &workspace, guests, out_dir)?;

    let mut components = Vec::with_capacity(guests.len());
    for (guest, module) in guests.iter().zip(built) {
        inputs::print_sources(&workspace, &module);
        let core = std::fs::read(&module).map_err(BuildError::io(&module))?;
        let path = out_dir.join(format!("{}.wasm", guest.package));
        let bytes = component::encode(&guest.package, &core)?;
        std::fs::write(&path, bytes).map_err(BuildError::io(&path))?;
        components.push(path);
    }
    Ok(components)
}
