//! Logs of containers, which their processes write by themselves, and when their lines were seen.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::engine::Engine;
use crate::error::ApiError;
use crate::events::time;
use crate::model::Status;
use crate::query::Query;

pub const STDOUT: &str = "stdout.log";
pub const STDERR: &str = "stderr.log";
/// `milliseconds bytes-of-stdout bytes-of-stderr`, a line each time they grew.
const TIMES: &str = "times.log";
const LIMIT: u64 = 8 * 1024 * 1024;
const TIMES_LIMIT: u64 = 1024 * 1024;
const LOOK: Duration = Duration::from_millis(250);

/// Notes when the logs grow, and empties those that have grown too long. Never returns.
pub async fn keep_times(engine: &Engine, id: &str) {
    let dir = engine.store.container(id);
    let mut last = (0, 0);
    loop {
        tokio::time::sleep(LOOK).await;
        let sizes = sizes(&dir);
        if sizes == last {
            continue;
        }
        last = sizes;
        if sizes.0.max(sizes.1) > LIMIT {
            // The process appends, so it goes on at the new end.
            for name in [STDOUT, STDERR, TIMES] {
                if let Ok(file) = OpenOptions::new().write(true).open(dir.join(name)) {
                    let _ = file.set_len(0);
                }
            }
            continue;
        }
        note_time(&dir);
    }
}

fn sizes(dir: &Path) -> (u64, u64) {
    let size = |name: &str| {
        dir.join(name)
            .metadata()
            .map_or(0, |metadata| metadata.len())
    };
    (size(STDOUT), size(STDERR))
}

/// Notes that what is in the logs now was there at this time.
pub fn note_time(dir: &Path) {
    let (out, err) = sizes(dir);
    let path = dir.join(TIMES);
    let line = format!("{} {out} {err}\n", Timestamp::now().as_millisecond());
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| {
            file.write_all(line.as_bytes())?;
            file.metadata()
        });
    if written.is_ok_and(|metadata| metadata.len() > TIMES_LIMIT) {
        thin(&path);
    }
}

/// Drops every other line: the times get coarser, and none gets wrong.
fn thin(path: &Path) {
    let Ok(text) = std::fs::read_to_string(path) else {
        return;
    };
    let kept: String = text
        .lines()
        .skip(1)
        .step_by(2)
        .flat_map(|line| [line, "\n"])
        .collect();
    let _ = std::fs::write(path, kept);
}

struct Times(Vec<(i64, [u64; 2])>);

impl Times {
    fn read(dir: &Path) -> Self {
        let text = std::fs::read_to_string(dir.join(TIMES)).unwrap_or_default();
        Self(
            text.lines()
                .filter_map(|line| {
                    let mut numbers = line.split(' ');
                    let at = numbers.next()?.parse().ok()?;
                    let out = numbers.next()?.parse().ok()?;
                    let err = numbers.next()?.parse().ok()?;
                    Some((at, [out, err]))
                })
                .collect(),
        )
    }

    /// When the line that ends there was first seen.
    fn at(&self, stream: Stream, end: u64) -> Timestamp {
        let index = usize::from(stream == Stream::Err);
        let first = self.0.partition_point(|(_, sizes)| sizes[index] < end);
        self.0
            .get(first)
            .and_then(|(at, _)| Timestamp::from_millisecond(*at).ok())
            .unwrap_or_else(Timestamp::now)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stream {
    Out = 1,
    Err = 2,
}

struct Line {
    at: Timestamp,
    stream: Stream,
    bytes: Vec<u8>,
}

/// What a request for logs asks for.
pub struct Wanted {
    streams: Vec<Stream>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    tail: Option<usize>,
    timestamps: bool,
    pub follow: bool,
}

impl Wanted {
    pub fn read(query: &Query) -> Result<Self, ApiError> {
        let mut streams = Vec::new();
        if query.flag("stdout") {
            streams.push(Stream::Out);
        }
        if query.flag("stderr") {
            streams.push(Stream::Err);
        }
        if streams.is_empty() {
            return Err(ApiError::bad_request(
                "Bad parameters: you must choose at least one stream",
            ));
        }
        Ok(Self {
            streams,
            since: time(query, "since")?,
            until: time(query, "until")?,
            // As the engine does: what is no number means all.
            tail: query.get("tail").and_then(|text| text.parse().ok()),
            timestamps: query.flag("timestamps"),
            follow: query.flag("follow"),
        })
    }

    fn fits(&self, line: &Line) -> bool {
        self.since.is_none_or(|since| line.at >= since)
            && self.until.is_none_or(|until| line.at <= until)
    }

    /// The engine's frame: stream, three zeros, length, text.
    fn frame(&self, line: &Line, out: &mut BytesMut) {
        let stamp = if self.timestamps {
            line.at.strftime("%Y-%m-%dT%H:%M:%S%.9fZ ").to_string()
        } else {
            String::new()
        };
        out.put_u8(line.stream as u8);
        out.put_bytes(0, 3);
        out.put_u32(u32::try_from(stamp.len() + line.bytes.len()).unwrap_or(u32::MAX));
        out.put_slice(stamp.as_bytes());
        out.put_slice(&line.bytes);
    }
}

/// Where the next read of either stream begins.
#[derive(Default, Clone, Copy)]
struct Offsets([u64; 2]);

/// Whole lines from the offsets on; with `ended` the last one need not be whole.
fn read(dir: &Path, wanted: &Wanted, offsets: &mut Offsets, ended: bool) -> io::Result<Vec<Line>> {
    let times = Times::read(dir);
    let mut lines = Vec::new();
    for stream in &wanted.streams {
        let (index, name) = match stream {
            Stream::Out => (0, STDOUT),
            Stream::Err => (1, STDERR),
        };
        let mut file = match File::open(dir.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() < offsets.0[index] {
            offsets.0[index] = 0;
        }
        file.seek(SeekFrom::Start(offsets.0[index]))?;
        let mut text = Vec::new();
        file.take(2 * LIMIT).read_to_end(&mut text)?;
        for bytes in text.split_inclusive(|byte| *byte == b'\n') {
            if !ended && bytes.last() != Some(&b'\n') {
                break;
            }
            offsets.0[index] += bytes.len() as u64;
            lines.push(Line {
                at: times.at(*stream, offsets.0[index]),
                stream: *stream,
                bytes: bytes.to_vec(),
            });
        }
    }
    // Stable: lines of one stream stay in their order.
    lines.sort_by_key(|line| (line.at, line.stream));
    Ok(lines)
}

/// The logs in the engine's multiplexed form, from a task that ends with its receiver.
pub fn stream(engine: &Arc<Engine>, id: &str, wanted: Wanted) -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(8);
    let (engine, id) = (Arc::clone(engine), id.to_owned());
    tokio::spawn(async move {
        let dir = engine.store.container(&id);
        let mut offsets = Offsets::default();
        let mut first = true;
        loop {
            // Asked before the read, so that what was written last is not missed.
            let ended = engine
                .container(&id)
                .map_or(true, |container| container.run.status != Status::Running);
            let mut lines = match read(&dir, &wanted, &mut offsets, ended) {
                Ok(lines) => lines,
                Err(error) => {
                    tracing::warn!(%error, container = %id, "logs could not be read");
                    return;
                }
            };
            lines.retain(|line| wanted.fits(line));
            if first && let Some(tail) = wanted.tail {
                let surplus = lines.len().saturating_sub(tail);
                lines.drain(..surplus);
            }
            first = false;
            for part in lines.chunks(256) {
                let mut frames = BytesMut::new();
                for line in part {
                    wanted.frame(line, &mut frames);
                }
                if sender.send(frames.freeze()).await.is_err() {
                    return;
                }
            }
            if !wanted.follow || ended {
                return;
            }
            tokio::select! {
                () = sender.closed() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn wanted(query: &str) -> Wanted {
        Wanted::read(&Query::parse(Some(query))).unwrap()
    }

    #[test]
    fn lines_of_both_streams_come_in_the_order_they_were_seen() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(STDOUT), "a\nb\nunfinished").unwrap();
        std::fs::write(dir.path().join(STDERR), "x\n").unwrap();
        std::fs::write(dir.path().join(TIMES), "1000 2 0\n2000 2 2\n3000 4 2\n").unwrap();
        let all = wanted("stdout=1&stderr=1");
        let mut offsets = Offsets::default();
        let lines = read(dir.path(), &all, &mut offsets, false).unwrap();
        let text: Vec<_> = lines.iter().map(|line| line.bytes.as_slice()).collect();
        assert_eq!(text, [b"a\n", b"x\n", b"b\n"]);
        assert_eq!(lines[1].at.as_millisecond(), 2000);
        let rest = read(dir.path(), &all, &mut offsets, true).unwrap();
        assert_eq!(rest[0].bytes, b"unfinished");
        let late = wanted("stdout=1&since=2");
        assert!(!late.fits(&lines[0]) && late.fits(&lines[2]));
    }

    #[test]
    fn a_frame_is_stream_length_and_text() {
        let mut out = BytesMut::new();
        let line = Line {
            at: Timestamp::UNIX_EPOCH,
            stream: Stream::Err,
            bytes: b"hi\n".to_vec(),
        };
        wanted("stderr=1").frame(&line, &mut out);
        assert_eq!(&out[..], b"\x02\0\0\0\0\0\0\x03hi\n");
    }

    #[test]
    fn one_stream_at_least_must_be_chosen() {
        assert!(Wanted::read(&Query::parse(Some("tail=5"))).is_err());
    }
}
