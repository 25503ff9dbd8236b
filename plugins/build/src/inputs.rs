//! What a guest is made from, told to cargo, so that a build script runs again when it should and
//! not otherwise.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::{BuildError, PluginCrate};

/// The nearest directory above `manifest_dir` (or itself) whose manifest has a `[workspace]`.
pub fn workspace_root(manifest_dir: &Path) -> Result<PathBuf, BuildError> {
    let start = manifest_dir
        .canonicalize()
        .map_err(BuildError::io(manifest_dir))?;
    for directory in start.ancestors() {
        let manifest = directory.join("Cargo.toml");
        if let Ok(text) = std::fs::read_to_string(&manifest)
            && text.lines().any(|line| {
                let line = line.trim();
                line == "[workspace]" || line.starts_with("[workspace.")
            })
        {
            return Ok(directory.to_owned());
        }
    }
    Err(BuildError::NoWorkspace {
        manifest: start.join("Cargo.toml"),
    })
}

/// Everything known before a build: manifests, the lock file, the guests' own sources.
pub fn print_fixed(workspace: &Path, guests: &[PluginCrate]) {
    for name in ["Cargo.toml", "Cargo.lock"] {
        let path = workspace.join(name);
        if path.exists() {
            changed(&path);
        }
    }
    for guest in guests {
        for name in ["Cargo.toml", "src"] {
            let path = guest.manifest_dir.join(name);
            if path.exists() {
                changed(&path);
            }
        }
    }
}

/// Everything that the compiler says went into a module: sources of path dependencies, the WIT,
/// and the manifests they belong to.
pub fn print_sources(workspace: &Path, module: &Path) {
    let Ok(text) = std::fs::read_to_string(module.with_extension("d")) else {
        return;
    };
    let mut paths = BTreeSet::new();
    for source in dependencies(&text) {
        if let Some(owner) = source
            .ancestors()
            .skip(1)
            .take_while(|directory| directory.starts_with(workspace))
            .find(|directory| directory.join("Cargo.toml").is_file())
        {
            paths.insert(owner.join("Cargo.toml"));
        }
        paths.insert(source);
    }
    paths.iter().for_each(|path| changed(path));
}

/// The right side of a dep-info file: paths separated by spaces, with spaces in them escaped.
fn dependencies(dep_info: &str) -> Vec<PathBuf> {
    let Some((_, sources)) = dep_info
        .lines()
        .next()
        .and_then(|line| line.split_once(": "))
    else {
        return Vec::new();
    };
    let mut found = vec![String::new()];
    let mut characters = sources.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&' ') => {
                characters.next();
                if let Some(last) = found.last_mut() {
                    last.push(' ');
                }
            }
            ' ' => found.push(String::new()),
            other => {
                if let Some(last) = found.last_mut() {
                    last.push(other);
                }
            }
        }
    }
    found.retain(|path| !path.is_empty());
    found.into_iter().map(PathBuf::from).collect()
}

/// Asks cargo to run the build script again when this file, or anything below this directory,
/// changes. A path that does not exist would make it run every time.
pub fn changed(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_with_spaces_in_dep_info_stay_whole() {
        assert_eq!(
            dependencies("/t/a.wasm: /src/lib.rs /my\\ src/x.rs /wit/a.wit\n\n/src/lib.rs:\n"),
            [
                PathBuf::from("/src/lib.rs"),
                PathBuf::from("/my src/x.rs"),
                PathBuf::from("/wit/a.wit")
            ]
        );
    }

    #[test]
    fn the_workspace_is_found_from_a_member_and_its_absence_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let member = directory.path().join("plugins/one");
        std::fs::create_dir_all(&member).unwrap();
        std::fs::write(member.join("Cargo.toml"), "[package]\nname = \"one\"\n").unwrap();
        assert!(matches!(
            workspace_root(&member),
            Err(BuildError::NoWorkspace { .. })
        ));
        std::fs::write(directory.path().join("Cargo.toml"), "[workspace]\n").unwrap();
        assert_eq!(
            workspace_root(&member).unwrap(),
            directory.path().canonicalize().unwrap()
        );
    }
}
