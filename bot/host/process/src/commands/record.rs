//! Which process a unit is: noted in a file at its start, and found by a mark in its environment
//! if the bot was killed before it could note it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    identity::{Identity, Stat},
    types::Error,
};

/// The variable that marks a unit's process.
pub(super) const MARK: &str = "ROLLBOT_UNIT";

#[derive(Debug, Clone)]
pub(super) struct Record {
    directory: PathBuf,
    unit: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Running(Identity),
    /// The process that was noted has ended, and nobody stopped it through here.
    Gone,
    Nothing,
}

impl Record {
    pub fn new(directory: &Path, unit: &str) -> Self {
        Self {
            directory: directory.to_owned(),
            unit: unit.to_owned(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(format!("{}.process", self.unit))
    }

    /// Names this unit of this bot, and no unit of another bot on the same machine.
    pub fn marker(&self) -> String {
        self.directory.join(&self.unit).display().to_string()
    }

    pub fn write(&self, process: &Identity) -> Result<(), Error> {
        let partial = self
            .directory
            .join(format!("{}.process.partial", self.unit));
        let text = format!("{} {} {}\n", process.pid, process.started, boot());
        fs::create_dir_all(&self.directory)
            .and_then(|()| fs::write(&partial, text))
            .and_then(|()| fs::rename(&partial, self.path()))
            .map_err(|e| self.unusable(&e))
    }

    /// Removing what is not there succeeds.
    pub fn remove(&self) -> Result<(), Error> {
        match fs::remove_file(self.path()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(self.unusable(&e)),
            _ => Ok(()),
        }
    }

    pub async fn find(&self) -> Result<Found, Error> {
        let record = self.clone();
        tokio::task::spawn_blocking(move || record.look())
            .await
            .map_err(|e| Error::Failed(format!("Unit {} cannot be looked up: {e}", self.unit)))?
    }

    fn look(&self) -> Result<Found, Error> {
        let noted = match fs::read_to_string(self.path()) {
            Ok(text) => parse(&text, &boot()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(self.unusable(&e)),
        };
        if let Some(process) = noted
            && process.alive()
        {
            return Ok(Found::Running(process));
        }
        Ok(match marked(&self.marker()) {
            Some(process) => Found::Running(process),
            None if noted.is_some() => Found::Gone,
            None => Found::Nothing,
        })
    }

    fn unusable(&self, error: &io::Error) -> Error {
        Error::Failed(format!(
            "The note about unit {} at {} cannot be used: {error}; see to it that the bot's user may \
             write there",
            self.unit,
            self.path().display()
        ))
    }
}

/// A note of an earlier boot, or a damaged one, says nothing.
fn parse(text: &str, boot: &str) -> Option<Identity> {
    let mut words = text.split_whitespace();
    let pid = words.next()?.parse().ok()?;
    let started = words.next()?.parse().ok()?;
    (words.next()? == boot).then_some(Identity { pid, started })
}

/// Start times count from the boot, so that they mean nothing after the next one.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned())
}

/// The session leader that carries the mark. Its children carry it too, but lead no session.
fn marked(marker: &str) -> Option<Identity> {
    let wanted = format!("{MARK}={marker}");
    fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| Stat::read(*pid).is_some_and(|stat| stat.session == *pid))
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
                environment
                    .split(|byte| *byte == 0)
                    .any(|variable| variable == wanted.as_bytes())
            })
        })
        .find_map(Identity::of)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_note_of_an_earlier_boot_says_nothing() {
        let process = Identity {
            pid: 4711,
            started: 99,
        };
        assert_eq!(parse("4711 99 this-boot\n", "this-boot"), Some(process));
        assert_eq!(parse("4711 99 last-boot\n", "this-boot"), None);
        assert_eq!(parse("4711 9", "this-boot"), None);
        assert_eq!(parse("", "this-boot"), None);
    }

    #[tokio::test]
    async fn a_note_about_an_ended_process_is_gone_until_it_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let record = Record::new(directory.path(), "trade");
        assert_eq!(record.find().await.unwrap(), Found::Nothing);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let process = Identity {
            pid: child.id(),
            started: 1,
        };
        child.wait().unwrap();
        record.write(&process).unwrap();
        assert_eq!(record.find().await.unwrap(), Found::Gone);
        record.remove().unwrap();
        record.remove().unwrap();
        assert_eq!(record.find().await.unwrap(), Found::Nothing);
    }
}
