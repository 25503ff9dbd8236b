//! Entries as blocks of a tar: ustar headers, pax records for what does not fit into them, and GNU's
//! form of sparse files, all of which every tar of today reads.

use tar::{EntryType, GnuExtSparseHeader, Header};

use crate::compress::Blocks;
use crate::create::EntrySink;
use crate::error::Error;
use crate::manifest::{Entry, Kind, Mtime};
use crate::source::Extent;

pub(crate) const BLOCK: u64 = 512;
const NAME_BYTES: usize = 100;
/// Eleven octal digits.
const LARGEST_OCTAL: i64 = 0o777_7777_7777;
/// Entries of a sparse map in the header itself, and in each block that follows it.
const MAP_IN_HEADER: usize = 4;
const MAP_IN_BLOCK: usize = 21;

pub(crate) struct TarSink<'a> {
    blocks: &'a mut Blocks,
    /// Bytes of the current file that were put in, to fill its last block up.
    in_file: u64,
}

impl<'a> TarSink<'a> {
    pub(crate) fn new(blocks: &'a mut Blocks) -> Self {
        Self { blocks, in_file: 0 }
    }

    /// Two blocks of zeros: a tar that lacks them was cut.
    pub(crate) fn finish(self) -> Result<(), Error> {
        self.blocks.put(&[0; 2 * BLOCK as usize])
    }

    fn pax(&mut self, records: &[u8]) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        put_name(&mut header, b"./PaxHeaders/entry");
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(records.len() as u64);
        header.set_cksum();
        self.blocks.put(header.as_bytes())?;
        self.blocks.put(records)?;
        self.fill(records.len() as u64)
    }

    fn fill(&mut self, bytes: u64) -> Result<(), Error> {
        let rest = (bytes % BLOCK) as usize;
        if rest == 0 {
            return Ok(());
        }
        self.blocks.put(&[0; BLOCK as usize][rest..])
    }
}

impl EntrySink for TarSink<'_> {
    fn begin(
        &mut self,
        entry: &Entry,
        xattrs: &[(Vec<u8>, Vec<u8>)],
        extents: Option<&[Extent]>,
    ) -> Result<(), Error> {
        self.in_file = 0;
        let mut path = match entry.path.0.as_slice() {
            b"." => b"./".to_vec(),
            other => [b"./", other].concat(),
        };
        if entry.kind == Kind::Directory && !path.ends_with(b"/") {
            path.push(b'/');
        }
        let target = match (&entry.target, entry.kind) {
            (Some(target), Kind::HardLink) => [b"./", target.0.as_slice()].concat(),
            (Some(target), _) => target.0.clone(),
            (None, _) => Vec::new(),
        };
        let mut records = Vec::new();
        if path.len() > NAME_BYTES {
            record(&mut records, b"path", &path);
        }
        if target.len() > NAME_BYTES {
            record(&mut records, b"linkpath", &target);
        }
        let plain =
            (0..=LARGEST_OCTAL).contains(&entry.mtime.seconds) && entry.mtime.nanoseconds == 0;
        if !plain {
            record(&mut records, b"mtime", decimal(entry.mtime).as_bytes());
        }
        for (name, value) in xattrs {
            record(
                &mut records,
                &[b"SCHILY.xattr.", name.as_slice()].concat(),
                value,
            );
        }
        self.pax(&records)?;
        let mut header = match extents {
            Some(_) => Header::new_gnu(),
            None => Header::new_ustar(),
        };
        header.set_entry_type(match (entry.kind, extents) {
            (Kind::Directory, _) => EntryType::Directory,
            (Kind::Symlink, _) => EntryType::Symlink,
            (Kind::HardLink, _) => EntryType::Link,
            (_, Some(_)) => EntryType::GNUSparse,
            (_, None) => EntryType::Regular,
        });
        put_name(&mut header, &path);
        put_target(&mut header, &target);
        header.set_mode(entry.mode);
        header.set_uid(u64::from(entry.uid));
        header.set_gid(u64::from(entry.gid));
        header.set_mtime(entry.mtime.seconds.clamp(0, LARGEST_OCTAL).unsigned_abs());
        let in_archive = extents.map_or(entry.size, |all| {
            all.iter().map(|extent| extent.length).sum()
        });
        header.set_size(in_archive);
        let mut more = Vec::new();
        if let Some(extents) = extents {
            more = put_map(&mut header, extents, entry.size);
        }
        header.set_cksum();
        self.blocks.put(header.as_bytes())?;
        for block in &more {
            self.blocks.put(block.as_bytes())?;
        }
        Ok(())
    }

    fn room(&mut self) -> Result<&mut [u8], Error> {
        self.blocks.room()
    }

    fn filled(&mut self, count: usize) -> Result<(), Error> {
        self.in_file += count as u64;
        self.blocks.filled(count);
        Ok(())
    }

    fn hole(&mut self, bytes: u64) -> Result<(), Error> {
        self.blocks.hole(bytes);
        Ok(())
    }

    fn end_of_file(&mut self) -> Result<(), Error> {
        self.blocks.file_ends();
        self.fill(self.in_file)
    }
}

/// The map of a sparse file; a last entry without length says where the file ends.
fn put_map(header: &mut Header, extents: &[Extent], size: u64) -> Vec<GnuExtSparseHeader> {
    let mut map = extents.to_vec();
    if map
        .last()
        .is_none_or(|last| last.offset + last.length < size)
    {
        map.push(Extent {
            offset: size,
            length: 0,
        });
    }
    let Some(gnu) = header.as_gnu_mut() else {
        return Vec::new();
    };
    gnu.set_real_size(size);
    for (place, extent) in gnu.sparse.iter_mut().zip(&map) {
        place.set_offset(extent.offset);
        place.set_length(extent.length);
    }
    let rest = map.get(MAP_IN_HEADER..).unwrap_or_default();
    gnu.set_is_extended(!rest.is_empty());
    let mut blocks = Vec::new();
    let mut chunks = rest.chunks(MAP_IN_BLOCK).peekable();
    while let Some(chunk) = chunks.next() {
        let mut block = GnuExtSparseHeader::new();
        for (place, extent) in block.sparse_mut().iter_mut().zip(chunk) {
            place.set_offset(extent.offset);
            place.set_length(extent.length);
        }
        block.set_is_extended(chunks.peek().is_some());
        blocks.push(block);
    }
    blocks
}

/// Cut to what fits: a record before the header has all of it.
fn put_name(header: &mut Header, path: &[u8]) {
    let count = path.len().min(NAME_BYTES);
    header.as_old_mut().name[..count].copy_from_slice(&path[..count]);
}

fn put_target(header: &mut Header, target: &[u8]) {
    let count = target.len().min(NAME_BYTES);
    header.as_old_mut().linkname[..count].copy_from_slice(&target[..count]);
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// Seconds with a fraction. Before 1970 the fraction counts backwards, as the sign says.
fn decimal(mtime: Mtime) -> String {
    let (seconds, nanoseconds) = (mtime.seconds, mtime.nanoseconds);
    if seconds < 0 && nanoseconds > 0 {
        let backwards = 1_000_000_000 - nanoseconds;
        return format!("-{}.{backwards:09}", (seconds + 1).unsigned_abs());
    }
    format!("{seconds}.{nanoseconds:09}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        for value_length in 0..2_000 {
            let mut records = Vec::new();
            record(&mut records, b"path", &vec![b'x'; value_length]);
            let length = records.len().to_string();
            assert!(records.starts_with(format!("{length} path=").as_bytes()));
        }
    }

    #[test]
    fn times_before_1970_have_a_fraction_that_counts_backwards() {
        let text = |seconds, nanoseconds| {
            decimal(Mtime {
                seconds,
                nanoseconds,
            })
        };
        assert_eq!(text(-1, 500_000_000), "-0.500000000");
        assert_eq!(text(-2, 1), "-1.999999999");
        assert_eq!(text(-2, 0), "-2.000000000");
        assert_eq!(text(3, 1), "3.000000001");
    }
}
