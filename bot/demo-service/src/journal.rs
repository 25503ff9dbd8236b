//! A file of JSON lines that only grows, up to a limit.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// At this size a file is set aside as `NAME.1.jsonl`, in place of the one before.
const LIMIT: u64 = 16 * 1024 * 1024;

pub struct Journal {
    path: PathBuf,
    file: File,
    bytes: u64,
    limit: u64,
}

impl Journal {
    /// Opens or makes `path`. A last line without its end was cut by a crash before anybody was
    /// told of it, and is removed.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        Self::with_limit(path, LIMIT)
    }

    fn with_limit(path: PathBuf, limit: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(&path)?;
        let whole = whole_lines(&mut file)?;
        if whole < file.metadata()?.len() {
            file.set_len(whole)?;
        }
        Ok(Self {
            path,
            file,
            bytes: whole,
            limit,
        })
    }

    /// Adds a line. It is safe from a loss of power only after [`Journal::sync`].
    pub fn append(&mut self, value: &Value) -> io::Result<()> {
        let mut line = value.to_string();
        line.push('\n');
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.limit {
            std::fs::rename(&self.path, older(&self.path))?;
            *self = Self::with_limit(self.path.clone(), self.limit)?;
        }
        self.file.write_all(line.as_bytes())?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Calls `each` with every line, oldest first, including those set aside. Lines that are not
    /// JSON are passed over: a demonstration may damage the file on purpose.
    pub fn replay(&self, mut each: impl FnMut(Value)) -> io::Result<()> {
        for path in [older(&self.path), self.path.clone()] {
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let mut reader = BufReader::new(file);
            let mut line = Vec::new();
            loop {
                line.clear();
                if reader.by_ref().take(1 << 20).read_until(b'\n', &mut line)? == 0 {
                    break;
                }
                if let Ok(value) = serde_json::from_slice(&line) {
                    each(value);
                }
            }
        }
        Ok(())
    }
}

fn older(path: &Path) -> PathBuf {
    path.with_extension("1.jsonl")
}

/// Length up to and including the last line feed.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut block = [0u8; 4096];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let part = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn all(journal: &Journal) -> Vec<Value> {
        let mut values = Vec::new();
        journal.replay(|value| values.push(value)).unwrap();
        values
    }

    #[test]
    fn a_line_cut_by_a_crash_is_removed_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("orders.jsonl");
        std::fs::write(&path, "{\"n\":1}\n{\"n\":2}\n{\"n\":").unwrap();
        let mut journal = Journal::open(path.clone()).unwrap();
        journal.append(&json!({"n": 3})).unwrap();
        assert_eq!(
            all(&journal),
            [json!({"n": 1}), json!({"n": 2}), json!({"n": 3})]
        );
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n"
        );
    }

    #[test]
    fn a_full_file_is_set_aside_and_still_read() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::with_limit(dir.path().join("a.jsonl"), 20).unwrap();
        for n in 1..=4 {
            journal.append(&json!({ "n": n })).unwrap();
        }
        assert!(dir.path().join("a.1.jsonl").exists());
        assert_eq!(all(&journal).len(), 4);
    }
}
