//! Reading a tar of anybody: ustar, pax, GNU's long names and sparse files.
//!
//! Written here because a restore has to know what the tar says exactly: where the holes are, that
//! the end is really the end, and names with line breaks in them.

use crate::control::Control;
use crate::decompress::Blocks;
use crate::error::Error;
use crate::manifest::{Kind, Mtime};
use crate::member::{Member, Visitor};
use crate::source::Extent;
use crate::tar_write::BLOCK;

/// Extended headers and long names are held in memory.
const LARGEST_HEADER: u64 = 16 << 20;

type Header = [u8; BLOCK as usize];

/// What pax records say of the next entry, or, from a global header, of all that follow.
#[derive(Default, Clone)]
struct Records {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime: Option<Mtime>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    sparse_version: (u64, u64),
    sparse_name: Option<Vec<u8>>,
    sparse_size: Option<u64>,
    /// Forms of sparse files that GNU tar gave up in 2006.
    sparse_of_old: bool,
}

/// Goes through the whole stream, to its very end.
pub(crate) fn read(
    blocks: &mut Blocks,
    visitor: &mut dyn Visitor,
    control: &Control,
) -> Result<(), Error> {
    let mut global = Records::default();
    let mut next = None;
    let mut long_name = None;
    let mut long_target = None;
    loop {
        control.check()?;
        let start = blocks.position;
        let mut header: Header = [0; BLOCK as usize];
        if !blocks.read_exact(&mut header)? {
            return Err(blocks.cut());
        }
        if header.iter().all(|byte| *byte == 0) {
            if next.is_some() || long_name.is_some() || long_target.is_some() {
                return Err(Error::damaged(
                    "an extended header at its end belongs to no entry",
                ));
            }
            return read_end(blocks);
        }
        check_sum(&header, start)?;
        let size = number(&header[124..136]).ok_or_else(|| bad(start, "size"))?;
        match header[156] {
            b'x' => {
                let mut records = next.take().unwrap_or_else(|| global.clone());
                records.read(&payload(blocks, size)?, start)?;
                next = Some(records);
            }
            b'g' => {
                let payload = payload(blocks, size)?;
                global.read(&payload, start)?;
            }
            b'L' => long_name = Some(without_nul(payload(blocks, size)?)),
            b'K' => long_target = Some(without_nul(payload(blocks, size)?)),
            // A label of the whole volume.
            b'V' => skip(blocks, size)?,
            _ => {
                let mut records = next.take().unwrap_or_else(|| global.clone());
                records.path = long_name.take().or(records.path);
                records.target = long_target.take().or(records.target);
                entry(blocks, visitor, &header, records, start)?;
            }
        }
    }
}

fn entry(
    blocks: &mut Blocks,
    visitor: &mut dyn Visitor,
    header: &Header,
    mut records: Records,
    start: u64,
) -> Result<(), Error> {
    let field = |from: usize, to: usize, what: &str| {
        number(&header[from..to]).ok_or_else(|| bad(start, what))
    };
    let id = |value: u64, what: &str| u32::try_from(value).map_err(|_| bad(start, what));
    let stored = match records.size {
        Some(size) => size,
        None => field(124, 136, "size")?,
    };
    let path = records
        .sparse_name
        .take()
        .or(records.path.take())
        .unwrap_or_else(|| header_path(header));
    let kind = match header[156] {
        b'0' | b'7' | b'S' => Kind::File,
        // Before there was a type, a slash at the end made a directory.
        0 if path.ends_with(b"/") => Kind::Directory,
        0 => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' | b'4' | b'6' => Kind::Special,
        b'5' | b'D' => Kind::Directory,
        other => {
            return Err(Error::Failed(format!(
                "Entry {} is of the type {:?}, which is not understood here; unpack this archive with the tar \
                 that made it",
                String::from_utf8_lossy(&path),
                char::from(other)
            )));
        }
    };
    if records.sparse_of_old {
        return Err(Error::Failed(format!(
            "Entry {} is sparse in a form that is not understood here; unpack this archive with GNU tar",
            String::from_utf8_lossy(&path)
        )));
    }
    let mtime = match records.mtime {
        Some(mtime) => mtime,
        None => Mtime {
            seconds: signed(&header[136..148]).ok_or_else(|| bad(start, "time"))?,
            nanoseconds: 0,
        },
    };
    let uid = match records.uid {
        Some(uid) => uid,
        None => id(field(108, 116, "owner")?, "owner")?,
    };
    let gid = match records.gid {
        Some(gid) => gid,
        None => id(field(116, 124, "group")?, "group")?,
    };
    let mut member = Member {
        kind,
        size: if kind == Kind::File { stored } else { 0 },
        mode: Some((field(100, 108, "mode")? & 0o7777) as u32),
        owner: Some((uid, gid)),
        mtime: Some(mtime),
        target: match kind {
            Kind::HardLink | Kind::Symlink => records
                .target
                .take()
                .unwrap_or_else(|| until_nul(&header[157..257])),
            _ => Vec::new(),
        },
        xattrs: std::mem::take(&mut records.xattrs),
        from_dos: false,
        path,
    };
    let mut in_map = 0;
    let extents = if header[156] == b'S' {
        member.size = field(483, 495, "real size")?;
        Some(gnu_map(blocks, header, start)?)
    } else if records.sparse_version == (1, 0) && kind == Kind::File {
        member.size = records.sparse_size.ok_or_else(|| bad(start, "real size"))?;
        let before = blocks.position;
        let map = pax_map(blocks, start)?;
        in_map = blocks.position - before;
        Some(map)
    } else {
        None
    };
    visitor.begin(&member)?;
    match extents {
        Some(extents) => {
            let stored = stored
                .checked_sub(in_map)
                .ok_or_else(|| bad(start, "sparse map"))?;
            pass_sparse(blocks, visitor, &extents, member.size, stored, start)?;
        }
        None if kind == Kind::File => {
            blocks.pass(stored, |bytes| visitor.data(bytes))?;
            skip_filling(blocks, stored)?;
        }
        None => skip(blocks, stored)?,
    }
    visitor.end()
}

fn pass_sparse(
    blocks: &mut Blocks,
    visitor: &mut dyn Visitor,
    extents: &[Extent],
    size: u64,
    stored: u64,
    start: u64,
) -> Result<(), Error> {
    let mut at = 0u64;
    let mut taken = 0u64;
    for extent in extents {
        let end = extent
            .offset
            .checked_add(extent.length)
            .filter(|end| *end <= size && extent.offset >= at)
            .ok_or_else(|| bad(start, "sparse map"))?;
        if extent.offset > at {
            visitor.hole(extent.offset - at)?;
        }
        blocks.pass(extent.length, |bytes| visitor.data(bytes))?;
        taken += extent.length;
        at = end;
    }
    if at < size {
        visitor.hole(size - at)?;
    }
    if taken != stored {
        return Err(bad(start, "sparse map"));
    }
    skip_filling(blocks, stored)
}

/// GNU's own form: four pieces in the header, 21 in each block that follows it.
fn gnu_map(blocks: &mut Blocks, header: &Header, start: u64) -> Result<Vec<Extent>, Error> {
    let mut extents = Vec::new();
    let mut read_places = |places: &[u8]| {
        for place in places.chunks_exact(24) {
            // An empty place ends the list.
            if place[0] == 0 {
                return Ok(());
            }
            extents.push(Extent {
                offset: number(&place[..12]).ok_or_else(|| bad(start, "sparse map"))?,
                length: number(&place[12..]).ok_or_else(|| bad(start, "sparse map"))?,
            });
        }
        Ok(())
    };
    read_places(&header[386..482])?;
    let mut more = header[482] != 0;
    while more {
        let mut block: Header = [0; BLOCK as usize];
        if !blocks.read_exact(&mut block)? {
            return Err(blocks.cut());
        }
        read_places(&block[..504])?;
        more = block[504] != 0;
    }
    Ok(extents)
}

/// The form of pax, 1.0: numbers, one a line, before the data.
fn pax_map(blocks: &mut Blocks, start: u64) -> Result<Vec<Extent>, Error> {
    let mut text = Vec::new();
    let mut at = 0;
    let mut line = |blocks: &mut Blocks| -> Result<u64, Error> {
        loop {
            if let Some(length) = text[at..].iter().position(|byte| *byte == b'\n') {
                let digits = std::str::from_utf8(&text[at..at + length]).ok();
                at += length + 1;
                return digits
                    .and_then(|digits| digits.parse().ok())
                    .ok_or_else(|| bad(start, "sparse map"));
            }
            let mut block: Header = [0; BLOCK as usize];
            if text.len() as u64 > LARGEST_HEADER || !blocks.read_exact(&mut block)? {
                return Err(bad(start, "sparse map"));
            }
            text.extend_from_slice(&block);
        }
    };
    let count = line(blocks)?;
    let mut extents = Vec::new();
    for _ in 0..count {
        extents.push(Extent {
            offset: line(blocks)?,
            length: line(blocks)?,
        });
    }
    Ok(extents)
}

impl Records {
    fn read(&mut self, mut payload: &[u8], start: u64) -> Result<(), Error> {
        let malformed = || bad(start, "extended header");
        while !payload.is_empty() {
            let blank = payload
                .iter()
                .position(|byte| *byte == b' ')
                .ok_or_else(malformed)?;
            let length: usize = std::str::from_utf8(&payload[..blank])
                .ok()
                .and_then(|digits| digits.parse().ok())
                .filter(|length| *length > blank + 1 && *length <= payload.len())
                .ok_or_else(malformed)?;
            let record = payload[blank + 1..length]
                .strip_suffix(b"\n")
                .ok_or_else(malformed)?;
            let equals = record
                .iter()
                .position(|byte| *byte == b'=')
                .ok_or_else(malformed)?;
            self.set(&record[..equals], &record[equals + 1..])
                .ok_or_else(malformed)?;
            payload = &payload[length..];
        }
        Ok(())
    }

    /// `None` for a value that is not of its key's kind.
    fn set(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let text = || std::str::from_utf8(value).ok();
        let bytes = || (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.path = bytes(),
            b"linkpath" => self.target = bytes(),
            b"size" => self.size = Some(text()?.parse().ok()?),
            b"uid" => self.uid = Some(text()?.parse().ok()?),
            b"gid" => self.gid = Some(text()?.parse().ok()?),
            b"mtime" => self.mtime = Some(time(text()?)?),
            b"GNU.sparse.major" => self.sparse_version.0 = text()?.parse().ok()?,
            b"GNU.sparse.minor" => self.sparse_version.1 = text()?.parse().ok()?,
            b"GNU.sparse.name" => self.sparse_name = bytes(),
            b"GNU.sparse.realsize" => self.sparse_size = Some(text()?.parse().ok()?),
            b"GNU.sparse.map" | b"GNU.sparse.numblocks" => self.sparse_of_old = true,
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Some(())
    }
}

/// `-1.5` is a second and a half before 1970.
fn time(text: &str) -> Option<Mtime> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let negative = whole.starts_with('-');
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction.chars().take(9).collect();
    let nanoseconds: u32 = match digits.len() {
        0 => 0,
        length => digits.parse::<u32>().ok()? * 10u32.pow(9 - u32::try_from(length).ok()?),
    };
    if negative && nanoseconds > 0 {
        return Some(Mtime {
            seconds: seconds.checked_sub(1)?,
            nanoseconds: 1_000_000_000 - nanoseconds,
        });
    }
    Some(Mtime {
        seconds,
        nanoseconds,
    })
}

/// After the first block of zeros there is at least one more, and nothing else.
fn read_end(blocks: &mut Blocks) -> Result<(), Error> {
    let mut rest = 0u64;
    loop {
        let bytes = blocks.fill()?;
        if bytes.is_empty() {
            break;
        }
        if bytes.iter().any(|byte| *byte != 0) {
            return Err(Error::damaged("something follows its end"));
        }
        let count = bytes.len();
        rest += count as u64;
        blocks.consume(count);
    }
    if rest < BLOCK {
        return Err(blocks.cut());
    }
    Ok(())
}

fn check_sum(header: &Header, start: u64) -> Result<(), Error> {
    let sum: u64 = header
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            if (148..156).contains(&at) {
                32
            } else {
                u64::from(*byte)
            }
        })
        .sum();
    if number(&header[148..156]) == Some(sum) {
        return Ok(());
    }
    Err(bad(start, "checksum"))
}

/// Octal digits, or a binary number where the first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    let (first, rest) = field.split_first()?;
    if *first == 0x80 {
        return rest.iter().try_fold(0u64, |sum, byte| {
            sum.checked_mul(256)?.checked_add(u64::from(*byte))
        });
    }
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches(|c: char| c == ' ' || c == '\0');
    if digits.is_empty() {
        return Some(0);
    }
    u64::from_str_radix(digits, 8).ok()
}

/// A time before 1970 is a binary number whose bits are all set in front.
fn signed(field: &[u8]) -> Option<i64> {
    if field.first() != Some(&0xff) {
        return i64::try_from(number(field)?).ok();
    }
    let (front, back) = field.split_at(field.len().checked_sub(8)?);
    let value = i64::from_be_bytes(back.try_into().ok()?);
    (value < 0 && front.iter().all(|byte| *byte == 0xff)).then_some(value)
}

fn header_path(header: &Header) -> Vec<u8> {
    let name = until_nul(&header[..100]);
    let prefix = until_nul(&header[345..500]);
    // GNU's header has other fields there.
    let is_ustar = &header[257..263] == b"ustar\0";
    if is_ustar && !prefix.is_empty() {
        return [prefix.as_slice(), b"/", name.as_slice()].concat();
    }
    name
}

fn until_nul(field: &[u8]) -> Vec<u8> {
    field
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default()
        .to_vec()
}

fn without_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

fn payload(blocks: &mut Blocks, size: u64) -> Result<Vec<u8>, Error> {
    if size > LARGEST_HEADER {
        return Err(Error::damaged("an extended header is too large"));
    }
    let mut bytes = Vec::new();
    blocks.pass(size, |part| {
        bytes.extend_from_slice(part);
        Ok(())
    })?;
    skip_filling(blocks, size)?;
    Ok(bytes)
}

fn skip(blocks: &mut Blocks, size: u64) -> Result<(), Error> {
    blocks.pass(size, |_| Ok(()))?;
    skip_filling(blocks, size)
}

fn skip_filling(blocks: &mut Blocks, size: u64) -> Result<(), Error> {
    blocks.pass((BLOCK - size % BLOCK) % BLOCK, |_| Ok(()))
}

fn bad(start: u64, what: &str) -> Error {
    Error::damaged(format_args!(
        "the {what} of the entry at byte {start} of its content is wrong"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_on_both_sides_of_1970() {
        let mtime = |seconds, nanoseconds| {
            Some(Mtime {
                seconds,
                nanoseconds,
            })
        };
        assert_eq!(time("3.000000001"), mtime(3, 1));
        assert_eq!(time("3.5"), mtime(3, 500_000_000));
        assert_eq!(time("3"), mtime(3, 0));
        assert_eq!(time("-0.5"), mtime(-1, 500_000_000));
        assert_eq!(time("-1.999999999"), mtime(-2, 1));
        assert_eq!(time("-2"), mtime(-2, 0));
        assert_eq!(time("x"), None);
    }

    #[test]
    fn numbers_are_octal_or_binary() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"\x80\0\0\x01\0"), Some(256));
        assert_eq!(number(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
        assert_eq!(number(b"12x"), None);
        assert_eq!(signed(b"00000000012\0"), Some(10));
        assert_eq!(signed(&[0xff; 12]), Some(-1));
        assert_eq!(signed(&[0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn values_of_records_may_hold_line_breaks() {
        let mut records = Records::default();
        let read = records.read(b"13 path=a\nb\n\n24 SCHILY.xattr.user.x=\n", 0);
        assert!(read.is_ok(), "{read:?}");
        assert_eq!(records.path.as_deref(), Some(&b"a\nb\n"[..]));
        assert_eq!(records.xattrs, [(b"user.x".to_vec(), Vec::new())]);
        assert!(Records::default().read(b"99 path=a\n", 0).is_err());
        assert!(Records::default().read(b"3 x\n", 0).is_err());
    }
}
