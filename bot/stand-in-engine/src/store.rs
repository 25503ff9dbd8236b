//! The state directory: one owner, one file that is replaced whole.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::RunError;
use crate::model::State;

pub struct Store {
    dir: PathBuf,
    /// Locked as long as this stand-in lives; holds its process id for whoever wants to end it.
    _owner: File,
}

impl Store {
    pub fn open(dir: &Path) -> Result<(Self, State), RunError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| RunError::State { path, source }
        };
        fs::create_dir_all(dir).map_err(failed(dir))?;
        fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(failed(dir))?;
        let dir = dir.canonicalize().map_err(failed(dir))?;
        let owner_path = dir.join("engine.pid");
        let mut owner = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&owner_path)
            .map_err(failed(&owner_path))?;
        match owner.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(RunError::InUse(dir)),
            Err(fs::TryLockError::Error(source)) => {
                return Err(RunError::State {
                    path: owner_path,
                    source,
                });
            }
        }
        owner
            .set_len(0)
            .and_then(|()| writeln!(owner, "{}", std::process::id()))
            .map_err(failed(&owner_path))?;
        for part in ["images", "containers", "volumes"] {
            let path = dir.join(part);
            fs::create_dir_all(&path).map_err(failed(&path))?;
        }
        let path = dir.join("state.json");
        let state = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| RunError::Damaged {
                path,
                reason: error.to_string(),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(source) => return Err(RunError::State { path, source }),
        };
        Ok((Self { dir, _owner: owner }, state))
    }

    /// Replaces the file. A crash leaves the old one or the new one.
    pub fn save(&self, state: &State) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(state).map_err(io::Error::other)?;
        let mut partial = tempfile::NamedTempFile::new_in(&self.dir)?;
        partial.write_all(&text)?;
        partial.as_file().sync_data()?;
        partial.persist(self.dir.join("state.json"))?;
        Ok(())
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The image's files, by the digest of its archive without `sha256:`.
    pub fn image_files(&self, layer: &str) -> PathBuf {
        self.dir
            .join("images")
            .join(layer.trim_start_matches("sha256:"))
    }

    pub fn container(&self, id: &str) -> PathBuf {
        self.dir.join("containers").join(id)
    }

    pub fn volume(&self, name: &str) -> PathBuf {
        self.dir.join("volumes").join(name)
    }
}
