//! From a stream of blocks to a compressed file, on several threads.
//!
//! One thread reads files into blocks; for each block, at the same time, one thread hashes the files
//! in it, one of several compresses it, and one writes what was compressed and hashes that. Each
//! block becomes a zstd frame or gzip member of its own, which every decompressor joins again; in
//! turn, the archive can be read back on all cores.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use crate::error::Error;
use crate::manifest::{Frame, Sha256Digest};
use crate::member::zeros;

const LARGEST_BLOCK: usize = 8 << 20;
const SMALLEST_BLOCK: usize = 1 << 20;
/// What is written is sent on its way to the disk this often, so that the last sync is short.
const SYNC_EVERY: u64 = 32 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Zstd { level: i32 },
    Gzip { level: u32 },
}

/// Of a whole archive file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Digested {
    pub(crate) bytes: u64,
    pub(crate) sha256: Sha256Digest,
}

pub(crate) struct Compressed {
    pub(crate) file: Digested,
    pub(crate) frames: Vec<Frame>,
    /// Of the files, in the order in which they ended.
    pub(crate) digests: Vec<Sha256Digest>,
}

/// A block of the stream, and what in it is content of files.
struct Block {
    bytes: Vec<u8>,
    used: usize,
    marks: Vec<Mark>,
}

enum Mark {
    Data { start: usize, end: usize },
    Hole(u64),
    FileEnd,
}

/// Where the stream is put in.
pub(crate) struct Blocks {
    block: Block,
    size: usize,
    hashing: SyncSender<Arc<Block>>,
    jobs: SyncSender<Job>,
    order: SyncSender<Receiver<Result<Done, Error>>>,
    empty: Receiver<Vec<u8>>,
}

struct Job {
    block: Arc<Block>,
    done: SyncSender<Result<Done, Error>>,
}

struct Done {
    compressed: Vec<u8>,
    uncompressed: u64,
}

/// The stages end when one before or after them did; what went wrong is known there.
fn gone() -> Error {
    Error::Failed("A thread that packs the archive ended early".to_owned())
}

/// Small directories are cut finer, so that all threads have something to do.
pub(crate) fn block_size(data_bytes: u64, threads: usize) -> usize {
    let share = usize::try_from(data_bytes).unwrap_or(usize::MAX) / (threads * 4);
    share
        .clamp(SMALLEST_BLOCK, LARGEST_BLOCK)
        .next_multiple_of(512)
}

/// Runs `produce` and writes the compressed form of what it puts in.
pub(crate) fn compress<T>(
    file: &File,
    path: &Path,
    codec: Codec,
    threads: usize,
    block_size: usize,
    produce: impl FnOnce(&mut Blocks) -> Result<T, Error>,
) -> Result<(T, Compressed), Error> {
    let queue = threads + 1;
    thread::scope(|scope| {
        let (hashing, to_hash) = sync_channel(queue);
        let (jobs, to_compress) = sync_channel::<Job>(queue);
        let (order, to_write) = sync_channel(queue * 2);
        let (recycle, empty) = sync_channel(queue * 4);
        let to_compress = Arc::new(Mutex::new(to_compress));
        for _ in 0..threads {
            let (to_compress, recycle) = (Arc::clone(&to_compress), recycle.clone());
            scope.spawn(move || compress_blocks(codec, &to_compress, &recycle));
        }
        // The workers own the queue alone, so that it closes when they are gone.
        drop(to_compress);
        let hasher = scope.spawn(move || hash_blocks(&to_hash, &recycle));
        let writer = scope.spawn(move || write_blocks(file, path, &to_write));
        let mut blocks = Blocks {
            block: Block::new(vec![0; block_size]),
            size: block_size,
            hashing,
            jobs,
            order,
            empty,
        };
        let produced = produce(&mut blocks).and_then(|value| blocks.flush().map(|()| value));
        drop(blocks);
        let digests = hasher.join().map_err(|_| gone())?;
        // A full disk also stops the producer, which then knows only that nobody listens.
        let (file, frames) = writer.join().map_err(|_| gone())??;
        Ok((
            produced?,
            Compressed {
                file,
                frames,
                digests,
            },
        ))
    })
}

impl Block {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            used: 0,
            marks: Vec::new(),
        }
    }
}

impl Blocks {
    /// Room for the next bytes; never empty.
    pub(crate) fn room(&mut self) -> Result<&mut [u8], Error> {
        if self.block.used == self.size {
            self.flush()?;
        }
        let used = self.block.used;
        Ok(&mut self.block.bytes[used..])
    }

    /// So many bytes of a file were put into the room.
    pub(crate) fn filled(&mut self, count: usize) {
        let start = self.block.used;
        let end = start + count;
        self.block.used = end;
        match self.block.marks.last_mut() {
            Some(Mark::Data { end: last, .. }) if *last == start => *last = end,
            _ => self.block.marks.push(Mark::Data { start, end }),
        }
    }

    /// So many zeros of a file that are not in the stream.
    pub(crate) fn hole(&mut self, bytes: u64) {
        self.block.marks.push(Mark::Hole(bytes));
    }

    pub(crate) fn file_ends(&mut self) {
        self.block.marks.push(Mark::FileEnd);
    }

    /// Bytes of the stream that are no file's.
    pub(crate) fn put(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let room = self.room()?;
            let count = room.len().min(bytes.len());
            room[..count].copy_from_slice(&bytes[..count]);
            self.block.used += count;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.block.used == 0 && self.block.marks.is_empty() {
            return Ok(());
        }
        let next = self.empty.try_recv().unwrap_or_else(|_| vec![0; self.size]);
        let full = std::mem::replace(&mut self.block, Block::new(next));
        let is_empty = full.used == 0;
        let full = Arc::new(full);
        self.hashing.send(Arc::clone(&full)).map_err(|_| gone())?;
        if is_empty {
            return Ok(());
        }
        let (done, pending) = sync_channel(1);
        self.order.send(pending).map_err(|_| gone())?;
        self.jobs
            .send(Job { block: full, done })
            .map_err(|_| gone())
    }
}

/// The last of the threads that had the block gives its buffer back.
fn give_back(block: Arc<Block>, recycle: &SyncSender<Vec<u8>>) {
    if let Some(block) = Arc::into_inner(block) {
        // A full queue only means that a new buffer will be made.
        let _ = recycle.try_send(block.bytes);
    }
}

fn hash_blocks(blocks: &Receiver<Arc<Block>>, recycle: &SyncSender<Vec<u8>>) -> Vec<Sha256Digest> {
    let mut digests = Vec::new();
    let mut hash = Sha256::new();
    while let Ok(block) = blocks.recv() {
        for mark in &block.marks {
            match *mark {
                Mark::Data { start, end } => hash.update(&block.bytes[start..end]),
                Mark::Hole(bytes) => zeros(bytes, |part| hash.update(part)),
                Mark::FileEnd => digests.push(Sha256Digest(hash.finalize_reset().into())),
            }
        }
        give_back(block, recycle);
    }
    digests
}

fn compress_blocks(codec: Codec, jobs: &Mutex<Receiver<Job>>, recycle: &SyncSender<Vec<u8>>) {
    let mut packer = Packer::new(codec);
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { block, done }) = job else {
            return;
        };
        let result = match &mut packer {
            Ok(packer) => packer.pack(&block.bytes[..block.used]),
            Err(error) => Err(error.clone()),
        };
        // Nobody waits for it when the writer has failed.
        let _ = done.send(result);
        give_back(block, recycle);
    }
}

/// Keeps its tables from one block to the next.
enum Packer {
    Zstd(Compressor<'static>),
    Gzip(Compression),
}

impl Packer {
    fn new(codec: Codec) -> Result<Self, Error> {
        let failed = |error| Error::Failed(format!("Cannot set up zstd: {error}"));
        match codec {
            Codec::Zstd { level } => {
                let mut compressor = Compressor::new(level).map_err(failed)?;
                compressor
                    .set_parameter(CParameter::ChecksumFlag(true))
                    .map_err(failed)?;
                Ok(Self::Zstd(compressor))
            }
            Codec::Gzip { level } => Ok(Self::Gzip(Compression::new(level))),
        }
    }

    fn pack(&mut self, bytes: &[u8]) -> Result<Done, Error> {
        let compressed = match self {
            Self::Zstd(compressor) => compressor.compress(bytes),
            Self::Gzip(level) => {
                let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 2), *level);
                encoder.write_all(bytes).and_then(|()| encoder.finish())
            }
        };
        let compressed =
            compressed.map_err(|error| Error::Failed(format!("Cannot compress: {error}")))?;
        Ok(Done {
            compressed,
            uncompressed: bytes.len() as u64,
        })
    }
}

fn write_blocks(
    mut file: &File,
    path: &Path,
    order: &Receiver<Receiver<Result<Done, Error>>>,
) -> Result<(Digested, Vec<Frame>), Error> {
    let failed = |error: std::io::Error| Error::io("write", path, &error);
    let mut frames = Vec::new();
    let mut hash = Sha256::new();
    let mut bytes = 0u64;
    let mut unsynced = 0u64;
    while let Ok(pending) = order.recv() {
        let done = pending.recv().map_err(|_| gone())??;
        let compressed = done.compressed.len() as u64;
        hash.update(&done.compressed);
        file.write_all(&done.compressed).map_err(failed)?;
        frames.push(Frame {
            compressed,
            uncompressed: done.uncompressed,
        });
        bytes += compressed;
        unsynced += compressed;
        if unsynced >= SYNC_EVERY {
            file.sync_data().map_err(failed)?;
            unsynced = 0;
        }
    }
    let sha256 = Sha256Digest(hash.finalize().into());
    Ok((Digested { bytes, sha256 }, frames))
}
