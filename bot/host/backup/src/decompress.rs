//! From a compressed file to a stream of blocks, on several threads.
//!
//! Where it is known in which parts the archive was compressed, they are decompressed in parallel;
//! otherwise one thread goes through it. The parts are only a hint: they must cover the file exactly,
//! each must yield exactly what is said of it, and what comes out is compared with the checksums in
//! any case.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use flate2::bufread::{GzDecoder, MultiGzDecoder};
use sha2::{Digest, Sha256};
use zstd::bulk::Decompressor;

use crate::ArchiveFormat;
use crate::compress::Digested;
use crate::control::{Control, Phase};
use crate::error::Error;
use crate::manifest::{Frame, Sha256Digest};
use crate::member::Reading;

/// No part of ours is larger; a manifest that says so was changed.
const LARGEST_PART: u64 = 64 << 20;
const STREAM_BLOCK: usize = 1 << 20;

/// Decompressed bytes in their order.
pub(crate) struct Blocks {
    pending: Receiver<Pending>,
    current: Vec<u8>,
    at: usize,
    /// Bytes that were taken so far.
    pub(crate) position: u64,
}

enum Pending {
    Now(Result<Vec<u8>, Error>),
    Later(Receiver<Result<Vec<u8>, Error>>),
}

struct Job {
    compressed: Vec<u8>,
    uncompressed: u64,
    done: SyncSender<Result<Vec<u8>, Error>>,
}

fn gone() -> Error {
    Error::Failed("A thread that unpacks the archive ended early".to_owned())
}

/// Runs `consume` on the decompressed content of a file, and hashes the file itself meanwhile.
pub(crate) fn decompress<T>(
    path: &Path,
    format: ArchiveFormat,
    frames: &[Frame],
    reading: Reading<'_>,
    consume: impl FnOnce(&mut Blocks) -> Result<T, Error>,
) -> Result<(T, Digested), Error> {
    let file = File::open(path).map_err(|error| Error::io("open", path, &error))?;
    let length = file
        .metadata()
        .map_err(|error| Error::io("read", path, &error))?
        .len();
    if !frames.is_empty() {
        check_frames(frames, length)?;
    }
    let source = Source {
        file,
        path,
        length,
        control: reading.control,
        hash: Sha256::new(),
        done: 0,
        failure: None,
    };
    let threads = reading.threads;
    thread::scope(|scope| {
        let (order, pending) = sync_channel(threads * 2);
        let feeder = if frames.is_empty() {
            scope.spawn(move || feed_stream(source, format, &order))
        } else {
            let (jobs, to_unpack) = sync_channel(threads);
            let to_unpack = Arc::new(Mutex::new(to_unpack));
            for _ in 0..threads {
                let to_unpack = Arc::clone(&to_unpack);
                scope.spawn(move || unpack_parts(format, &to_unpack));
            }
            scope.spawn(move || feed_parts(source, frames, &jobs, &order))
        };
        let mut blocks = Blocks {
            pending,
            current: Vec::new(),
            at: 0,
            position: 0,
        };
        let consumed = consume(&mut blocks);
        drop(blocks);
        // That the file cannot be read comes before what followed from it.
        let digested = feeder.join().map_err(|_| gone())??;
        let value = consumed?;
        Ok((value, digested.ok_or_else(gone)?))
    })
}

fn check_frames(frames: &[Frame], length: u64) -> Result<(), Error> {
    let too_large =
        |frame: &Frame| frame.compressed > LARGEST_PART || frame.uncompressed > LARGEST_PART;
    if frames.iter().any(too_large) {
        return Err(Error::damaged(
            "its manifest lists a part that is too large",
        ));
    }
    let sum: u64 = frames.iter().map(|frame| frame.compressed).sum();
    if sum != length {
        return Err(Error::damaged(format_args!(
            "it has {length} bytes and should have {sum}"
        )));
    }
    Ok(())
}

impl Blocks {
    /// The bytes at hand, none at the end.
    pub(crate) fn fill(&mut self) -> Result<&[u8], Error> {
        while self.at == self.current.len() {
            let next = match self.pending.recv() {
                Ok(Pending::Now(result)) => result?,
                Ok(Pending::Later(result)) => result.recv().map_err(|_| gone())??,
                Err(_) => return Ok(&[]),
            };
            self.current = next;
            self.at = 0;
        }
        Ok(&self.current[self.at..])
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.at += count;
        self.position += count as u64;
    }

    /// Whether `into` could be filled; `false` when there was not a single byte left.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when the end comes in between.
    pub(crate) fn read_exact(&mut self, into: &mut [u8]) -> Result<bool, Error> {
        let mut filled = 0;
        while filled < into.len() {
            let bytes = self.fill()?;
            if bytes.is_empty() {
                return if filled == 0 {
                    Ok(false)
                } else {
                    Err(self.cut())
                };
            }
            let count = bytes.len().min(into.len() - filled);
            into[filled..filled + count].copy_from_slice(&bytes[..count]);
            self.consume(count);
            filled += count;
        }
        Ok(true)
    }

    /// Passes exactly `count` bytes on, in the pieces in which they are there.
    pub(crate) fn pass(
        &mut self,
        mut count: u64,
        mut each: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        while count > 0 {
            let bytes = self.fill()?;
            if bytes.is_empty() {
                return Err(self.cut());
            }
            let part = usize::try_from(count)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            each(&bytes[..part])?;
            self.consume(part);
            count -= part as u64;
        }
        Ok(())
    }

    pub(crate) fn cut(&self) -> Error {
        Error::damaged(format_args!(
            "it ends in the middle, after {} bytes of content",
            self.position
        ))
    }
}

/// The file itself: read once, hashed on the way.
struct Source<'a> {
    file: File,
    path: &'a Path,
    length: u64,
    control: &'a Control,
    hash: Sha256,
    done: u64,
    /// What the file system said, when it was not the content that was wrong.
    failure: Option<Error>,
}

impl Source<'_> {
    fn digested(self) -> Digested {
        Digested {
            bytes: self.done,
            sha256: Sha256Digest(self.hash.finalize().into()),
        }
    }
}

impl Read for Source<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.control.check().map_err(io::Error::other)?;
        let count = self.file.read(into).inspect_err(|error| {
            self.failure = Some(Error::io("read", self.path, error));
        })?;
        self.hash.update(&into[..count]);
        self.done += count as u64;
        self.control.report(Phase::Reading, self.done, self.length);
        Ok(count)
    }
}

/// `None` when nobody wanted the rest.
fn feed_parts(
    mut source: Source<'_>,
    frames: &[Frame],
    jobs: &SyncSender<Job>,
    order: &SyncSender<Pending>,
) -> Result<Option<Digested>, Error> {
    for frame in frames {
        source.control.check()?;
        let mut compressed = vec![0; usize::try_from(frame.compressed).unwrap_or(0)];
        if let Err(error) = source.read_exact(&mut compressed) {
            return Err(Error::io("read", source.path, &error));
        }
        let (done, result) = sync_channel(1);
        let job = Job {
            compressed,
            uncompressed: frame.uncompressed,
            done,
        };
        if order.send(Pending::Later(result)).is_err() || jobs.send(job).is_err() {
            return Ok(None);
        }
    }
    Ok(Some(source.digested()))
}

fn unpack_parts(format: ArchiveFormat, jobs: &Mutex<Receiver<Job>>) {
    let mut zstd = Decompressor::new();
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job {
            compressed,
            uncompressed,
            done,
        }) = job
        else {
            return;
        };
        let wanted = usize::try_from(uncompressed).unwrap_or(0);
        let result = match (format, &mut zstd) {
            (ArchiveFormat::TarZst, Ok(zstd)) => {
                let mut bytes = Vec::with_capacity(wanted);
                zstd.decompress_to_buffer(&compressed, &mut bytes)
                    .map(|_| bytes)
            }
            (ArchiveFormat::TarZst, Err(error)) => Err(io::Error::other(error.to_string())),
            _ => unpack_gzip(&compressed, wanted),
        };
        let result = match result {
            Ok(bytes) if bytes.len() == wanted => Ok(bytes),
            Ok(bytes) => Err(Error::damaged(format_args!(
                "a part of it yields {} bytes and should yield {wanted}",
                bytes.len()
            ))),
            Err(error) => Err(Error::damaged(error)),
        };
        let _ = done.send(result);
    }
}

fn unpack_gzip(mut compressed: &[u8], wanted: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(wanted + 1);
    GzDecoder::new(&mut compressed)
        .take(wanted as u64 + 1)
        .read_to_end(&mut bytes)?;
    if !compressed.is_empty() {
        return Err(io::Error::other(
            "a part of it is followed by something else",
        ));
    }
    Ok(bytes)
}

fn feed_stream(
    source: Source<'_>,
    format: ArchiveFormat,
    order: &SyncSender<Pending>,
) -> Result<Option<Digested>, Error> {
    let path = source.path;
    let control = source.control;
    let source = BufReader::with_capacity(STREAM_BLOCK, source);
    match format {
        ArchiveFormat::TarZst => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(source)
                .map_err(|error| Error::Failed(format!("Cannot set up zstd: {error}")))?;
            if !pass_on(&mut decoder, order) {
                control.check()?;
                return decoder
                    .get_mut()
                    .get_mut()
                    .failure
                    .take()
                    .map_or(Ok(None), Err);
            }
            drain(decoder.finish(), path).map(Some)
        }
        ArchiveFormat::TarGz | ArchiveFormat::Zip => {
            let mut decoder = MultiGzDecoder::new(source);
            if !pass_on(&mut decoder, order) {
                control.check()?;
                return decoder
                    .get_mut()
                    .get_mut()
                    .failure
                    .take()
                    .map_or(Ok(None), Err);
            }
            drain(decoder.into_inner(), path).map(Some)
        }
    }
}

/// `false` when it could not be decompressed to its end, or nobody wanted the rest.
fn pass_on(decoder: &mut impl Read, order: &SyncSender<Pending>) -> bool {
    loop {
        let mut block = vec![0; STREAM_BLOCK];
        let mut filled = 0;
        while filled < block.len() {
            match decoder.read(&mut block[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // What came before it may tell more about where it is.
                    block.truncate(filled);
                    let _ = order.send(Pending::Now(Ok(block)));
                    let _ = order.send(Pending::Now(Err(Error::damaged(error))));
                    return false;
                }
            }
        }
        if filled == 0 {
            return true;
        }
        block.truncate(filled);
        if order.send(Pending::Now(Ok(block))).is_err() {
            return false;
        }
    }
}

fn drain(mut source: BufReader<Source<'_>>, path: &Path) -> Result<Digested, Error> {
    io::copy(&mut source, &mut io::sink()).map_err(|error| Error::io("read", path, &error))?;
    Ok(source.into_inner().digested())
}
