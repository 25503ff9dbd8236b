//! The nested cargo.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::toolchain::Choice;
use crate::{BuildError, PluginCrate, TARGET};

/// Profile of the workspace which guests are built with.
const PROFILE: &str = "guest";

const GUEST_TARGET_DIR: &str = "ROLLBOT_GUEST_TARGET_DIR";

/// Compiles the guests and returns the paths of their core modules, in the order asked for.
pub fn compile(
    toolchain: &Choice,
    workspace: &Path,
    guests: &[PluginCrate],
    out_dir: &Path,
) -> Result<Vec<PathBuf>, BuildError> {
    println!("cargo::rerun-if-env-changed={GUEST_TARGET_DIR}");
    let (cargo, rustc, kind) = match toolchain {
        Choice::Current { cargo, rustc } => (cargo, rustc, "current"),
        Choice::Debian { cargo, rustc, .. } => (cargo, rustc, "debian"),
        Choice::AddTarget | Choice::Nothing(_) => {
            return Err(BuildError::NoToolchain {
                reasons: vec!["the search for a toolchain did not end".to_owned()],
            });
        }
    };
    let target_dir = target_directory(out_dir, std::env::var_os(GUEST_TARGET_DIR), kind);

    let mut command = Command::new(cargo);
    for (name, _) in std::env::vars_os() {
        if !name.to_str().is_some_and(is_kept) {
            command.env_remove(&name);
        }
    }
    command
        .current_dir(workspace)
        .env("RUSTC", rustc)
        .env("CARGO_INCREMENTAL", "0")
        // Takes precedence over flags of any configuration file, which would change the bytes.
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(workspace, rustc))
        .args(["build", "--lib", "--target", TARGET, "--profile", PROFILE])
        .arg("--target-dir")
        .arg(&target_dir)
        .arg("--manifest-path")
        .arg(workspace.join("Cargo.toml"));
    if workspace.join("Cargo.lock").exists() {
        command.arg("--locked");
    }
    for guest in guests {
        command.args(["--package", &guest.package]);
    }
    if let Choice::Debian { linker, .. } = toolchain {
        command
            .arg("-Zbuild-std=std,panic_abort")
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    }
    let status = command.status().map_err(BuildError::io(cargo))?;
    if !status.success() {
        return Err(BuildError::Compile {
            packages: guests
                .iter()
                .map(|guest| guest.package.as_str())
                .collect::<Vec<_>>()
                .join(", "),
            status: status.to_string(),
        });
    }

    guests
        .iter()
        .map(|guest| {
            let file = format!("{}.wasm", guest.package.replace('-', "_"));
            let path = target_dir.join(TARGET).join(PROFILE).join(file);
            if path.is_file() {
                Ok(path)
            } else {
                Err(BuildError::NoModule {
                    package: guest.package.clone(),
                    path,
                })
            }
        })
        .collect()
}

/// Whether a variable of the build script's environment reaches the nested cargo. What describes
/// the outer build, or could change the bytes of a guest, does not.
fn is_kept(variable: &str) -> bool {
    const KEPT: [&str; 9] = [
        "CARGO_HOME",
        "CARGO_MAKEFLAGS",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTRIES_",
        "CARGO_REGISTRY_",
        "CARGO_SOURCE_",
        "CARGO_TERM_",
        "RUSTUP_",
    ];
    if KEPT.iter().any(|kept| variable.starts_with(kept)) {
        return variable != "RUSTUP_TOOLCHAIN";
    }
    !(variable.starts_with("CARGO")
        || variable.starts_with("RUSTC")
        || variable.starts_with("RUSTDOC")
        || variable.starts_with("DEP_")
        || [
            "RUSTFLAGS",
            "LD_LIBRARY_PATH",
            "DYLD_FALLBACK_LIBRARY_PATH",
            "OUT_DIR",
            "TARGET",
            "HOST",
            "PROFILE",
            "OPT_LEVEL",
            "DEBUG",
            "SOURCE_DATE_EPOCH",
        ]
        .contains(&variable))
}

/// Replaces every directory that differs between machines, so that the bytes do not.
fn rustflags(workspace: &Path, rustc: &Path) -> OsString {
    let mut mapped = vec![(workspace.to_owned(), "/rollbot")];
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    if let Some(home) = home {
        mapped.push((home, "/cargo"));
    }
    let sysroot = Command::new(rustc)
        .env_remove("LD_LIBRARY_PATH")
        .args(["--print", "sysroot"])
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok());
    if let Some(sysroot) = sysroot {
        // `/usr` is the sysroot of a distribution: only the sources of the standard library may be
        // mapped, and they are a link to a directory with a version in its name.
        let sources = Path::new(sysroot.trim()).join("lib/rustlib/src/rust");
        if let Ok(real) = sources.canonicalize() {
            mapped.push((real, "/rust"));
        }
        mapped.push((sources, "/rust"));
    }
    let mut flags = OsString::new();
    for (from, to) in mapped {
        if !flags.is_empty() {
            flags.push("\u{1f}");
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    flags
}

/// Where guests are compiled: one directory for all build scripts of a target directory, so that
/// the standard library and the binding generator are built once.
fn target_directory(out_dir: &Path, asked_for: Option<OsString>, kind: &str) -> PathBuf {
    let name = format!("guests-{kind}");
    if let Some(directory) = asked_for {
        return PathBuf::from(directory).join(name);
    }
    // <target>/<profile>/build/<package>-<hash>/out
    let mut ancestors = out_dir.ancestors().skip(2);
    match (ancestors.next(), ancestors.nth(1)) {
        (Some(build), Some(target))
            if build.file_name().is_some_and(|name| name == "build")
                && target.join("CACHEDIR.TAG").is_file() =>
        {
            target.join(name)
        }
        _ => out_dir.join(name),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_describes_the_outer_build_does_not_reach_the_guests() {
        for gone in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "RUSTC",
            "RUSTC_WRAPPER",
            "RUSTC_WORKSPACE_WRAPPER",
            "CARGO_BUILD_TARGET",
            "CARGO_TARGET_DIR",
            "CARGO_PROFILE_GUEST_OPT_LEVEL",
            "CARGO_FEATURE_STD",
            "RUSTUP_TOOLCHAIN",
            "LD_LIBRARY_PATH",
        ] {
            assert!(!is_kept(gone), "{gone}");
        }
        for kept in [
            "PATH",
            "HOME",
            "CARGO_HOME",
            "CARGO_MAKEFLAGS",
            "CARGO_NET_OFFLINE",
            "RUSTUP_HOME",
            "https_proxy",
        ] {
            assert!(is_kept(kept), "{kept}");
        }
    }

    #[test]
    fn build_scripts_of_one_target_directory_share_one_for_guests() {
        let target = tempfile::tempdir().unwrap();
        let out = target.path().join("debug/build/rollbot-plugins-1234/out");
        assert_eq!(
            target_directory(&out, None, "current"),
            out.join("guests-current")
        );
        std::fs::write(target.path().join("CACHEDIR.TAG"), "").unwrap();
        assert_eq!(
            target_directory(&out, None, "current"),
            target.path().join("guests-current")
        );
        assert_eq!(
            target_directory(&out, Some("/elsewhere".into()), "debian"),
            Path::new("/elsewhere/guests-debian")
        );
    }
}
