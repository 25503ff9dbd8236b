//! Builds the demo service and leaves it for `include_bytes!`.
//!
//! A nested cargo in a target directory of its own: the service is built for the target of this
//! crate, optimised and, where the platform can, without any shared library, so that it runs in an
//! empty container. `ROLLBOT_DEMO_SERVICE` names a finished binary to take instead.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGE: &str = "rollbot-demo-service";
const PROFILE: &str = "guest";

/// What an outer cargo, its wrappers and its configuration leave in the environment, and what would
/// make the nested build another one.
const INHERITED: [&str; 13] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_TARGET_DIR",
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
];

fn main() -> Result<(), String> {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    let service = here.join("../demo-service");
    let root = here.join("../..");
    for path in [
        service.join("Cargo.toml"),
        service.join("src"),
        root.join("Cargo.toml"),
        root.join("Cargo.lock"),
        here.join("build.rs"),
    ] {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    println!("cargo::rerun-if-env-changed=ROLLBOT_DEMO_SERVICE");

    let embedded = out.join(PACKAGE);
    let (binary, is_static) = match env::var_os("ROLLBOT_DEMO_SERVICE") {
        Some(path) => {
            let path = PathBuf::from(path);
            println!("cargo::rerun-if-changed={}", path.display());
            (path, true)
        }
        None => built(&service, &out)?,
    };
    std::fs::copy(&binary, &embedded).map_err(|error| format!("{}: {error}", binary.display()))?;
    println!(
        "cargo::rustc-env=ROLLBOT_DEMO_SERVICE_BINARY={}",
        embedded.display()
    );
    println!("cargo::rustc-env=ROLLBOT_DEMO_SERVICE_STATIC={is_static}");
    Ok(())
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}"))
}

/// Static where that is possible, else dynamic with a warning: the demo then runs its services
/// natively and in the stand-in, and no container.
fn built(service: &Path, out: &Path) -> Result<(PathBuf, bool), String> {
    let can_be_static = variable("CARGO_CFG_TARGET_OS")? == "linux"
        && matches!(
            env::var("CARGO_CFG_TARGET_ENV").as_deref(),
            Ok("gnu" | "musl")
        );
    if can_be_static {
        match build(service, out, "-C target-feature=+crt-static") {
            Ok(binary) => return Ok((binary, true)),
            Err(error) => println!(
                "cargo::warning=the demo service cannot be linked statically (is the C library's static half installed, such as glibc-static?), so the demo cannot use Docker: {}",
                error.lines().last().unwrap_or_default()
            ),
        }
    } else {
        println!(
            "cargo::warning=the demo service is linked dynamically on this platform, so the demo cannot use Docker"
        );
    }
    build(service, out, "").map(|binary| (binary, false))
}

fn build(service: &Path, out: &Path, flags: &str) -> Result<PathBuf, String> {
    let target = variable("TARGET")?;
    let directory = out.join("demo-service-target");
    let mut cargo = Command::new(variable("CARGO")?);
    for name in INHERITED {
        cargo.env_remove(name);
    }
    // With a target of its own the flags reach the service and its dependencies, and no build
    // script or procedural macro.
    cargo
        .env("RUSTFLAGS", flags)
        .current_dir(service)
        .args(["build", "--package", PACKAGE, "--bin", PACKAGE])
        .args(["--profile", PROFILE, "--target", &target])
        .arg("--target-dir")
        .arg(&directory);
    let output = cargo
        .output()
        .map_err(|error| format!("cargo could not be run: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "{PACKAGE} does not build:\n{}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    Ok(directory.join(target).join(PROFILE).join(PACKAGE))
}
