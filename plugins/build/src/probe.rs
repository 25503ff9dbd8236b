//! Looks at the machine: what [`crate::choose`] decides over.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::inputs::changed;
use crate::toolchain::{
    Choice, CurrentToolchain, DebianToolchain, Found, Preference, Wishes, choose,
};
use crate::{BuildError, TARGET};

const PREFERENCE: &str = "ROLLBOT_WASM_TOOLCHAIN";
const ADD_TARGET: &str = "ROLLBOT_RUSTUP_TARGET_ADD";

/// How long `rustup target add` may take: the download is 20 MB.
const ADD_TARGET_LIMIT: Duration = Duration::from_secs(180);

/// Finds the toolchain to build guests with, and tells cargo what the answer depends on.
pub fn find_toolchain() -> Result<Choice, BuildError> {
    for variable in [PREFERENCE, ADD_TARGET] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let mut wishes = Wishes {
        preference: preference(std::env::var(PREFERENCE).ok().as_deref())?,
        may_add_target: std::env::var(ADD_TARGET).is_ok_and(|value| value == "1"),
        adding_failed: None,
    };
    let mut found = look();
    if let Some(current) = &found.current {
        // A directory that appears later must be noticed; one that is missing would count as
        // changed every time, so its nearest existing ancestor stands for it.
        if let Some(existing) = current.wasm_libdir.ancestors().find(|path| path.exists()) {
            changed(existing);
        }
    }
    loop {
        match choose(&found, &wishes) {
            Choice::Nothing(reasons) => return Err(BuildError::NoToolchain { reasons }),
            Choice::AddTarget => {
                wishes.adding_failed = Some(match add_target() {
                    Ok(()) => "it reports success, and the target is still missing".to_owned(),
                    Err(reason) => reason,
                });
                found = look();
            }
            choice => return Ok(choice),
        }
    }
}

fn preference(value: Option<&str>) -> Result<Preference, BuildError> {
    match value {
        None | Some("") => Ok(Preference::Any),
        Some("current") => Ok(Preference::Current),
        Some("debian") => Ok(Preference::Debian),
        Some(other) => Err(BuildError::UnknownPreference {
            variable: PREFERENCE,
            value: other.to_owned(),
        }),
    }
}

fn look() -> Found {
    let from_cargo = |variable: &str, fallback: &str| {
        std::env::var_os(variable).map_or_else(|| PathBuf::from(fallback), PathBuf::from)
    };
    let rustc = from_cargo("RUSTC", "rustc");
    let cargo = from_cargo("CARGO", "cargo");
    let current =
        answer(Command::new(&rustc).args(["--print", "target-libdir", "--target", TARGET])).map(
            |libdir| {
                let wasm_libdir = PathBuf::from(libdir);
                CurrentToolchain {
                    has_wasm_std: has_entries(&wasm_libdir),
                    rustc: rustc.clone(),
                    cargo,
                    wasm_libdir,
                }
            },
        );
    Found {
        current,
        rustup: answer(Command::new("rustup").arg("--version")).is_some(),
        debian: debian(&rustc),
    }
}

fn debian(current_rustc: &Path) -> Option<DebianToolchain> {
    let rustc = PathBuf::from("/usr/bin/rustc");
    let cargo = PathBuf::from("/usr/bin/cargo");
    if !rustc.is_file() || !cargo.is_file() {
        return None;
    }
    let version = version(&answer(Command::new(&rustc).arg("--version"))?)?;
    let sysroot = PathBuf::from(answer(Command::new(&rustc).args(["--print", "sysroot"]))?);
    let sources = sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml");
    // The linker only has to understand WebAssembly: the one of another toolchain does as well.
    let mut linkers = rust_lld(&sysroot).into_iter().collect::<Vec<_>>();
    linkers.extend(distribution_linkers());
    linkers.extend(
        answer(Command::new(current_rustc).args(["--print", "sysroot"]))
            .and_then(|sysroot| rust_lld(Path::new(&sysroot))),
    );
    Some(DebianToolchain {
        has_sources: sources.is_file(),
        linker: linkers.into_iter().next(),
        rustc,
        cargo,
        version,
    })
}

/// `rust-lld` of a toolchain, which lies below the name of the machine's own target.
fn rust_lld(sysroot: &Path) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(sysroot.join("lib/rustlib"))
        .ok()?
        .flatten()
        .map(|entry| entry.path().join("bin/rust-lld"))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.into_iter().next()
}

/// `lld`, `lld-22`, `wasm-ld`, `wasm-ld-22`, the newest first.
fn distribution_linkers() -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/bin")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let rest = name
                .to_str()?
                .strip_prefix("wasm-ld")
                .or_else(|| name.to_str()?.strip_prefix("lld"))?;
            let version = match rest.strip_prefix('-') {
                Some(number) => number.parse().ok()?,
                None if rest.is_empty() => 0,
                None => return None,
            };
            Some((version, entry.path()))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// `rustc 1.96.0 (…)` as `(1, 96)`.
fn version(line: &str) -> Option<(u32, u32)> {
    let mut parts = line.split_whitespace().nth(1)?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn has_entries(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

/// The trimmed output of a command that succeeds.
fn answer(command: &mut Command) -> Option<String> {
    // Cargo gives build scripts a library path of its own toolchain, which no other one may see.
    let output = command
        .env_remove("LD_LIBRARY_PATH")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn add_target() -> Result<(), String> {
    let mut child = Command::new("rustup")
        .args(["target", "add", TARGET])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let deadline = Instant::now() + ADD_TARGET_LIMIT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("it failed ({status})")),
            Ok(None) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(None) => {
                child.kill().and_then(|()| child.wait()).ok();
                return Err(format!("no end within {} s", ADD_TARGET_LIMIT.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn compiler_versions_are_read_from_their_first_line() {
        assert_eq!(
            version("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"),
            Some((1, 96))
        );
        assert_eq!(
            version("rustc 1.97.0-nightly (abc 2026-06-01)"),
            Some((1, 97))
        );
        assert_eq!(version("something else"), None);
    }

    #[test]
    fn an_empty_target_directory_is_no_target() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!has_entries(directory.path()));
        assert!(!has_entries(&directory.path().join("missing")));
        std::fs::write(directory.path().join("libstd.rlib"), "").unwrap();
        assert!(has_entries(directory.path()));
    }

    #[test]
    fn a_misspelt_preference_is_an_error_that_names_the_allowed_values() {
        let said = preference(Some("debain")).unwrap_err().to_string();
        assert!(said.contains("`current` and `debian`"), "{said}");
    }
}
