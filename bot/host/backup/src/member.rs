//! What reading an archive of any format yields.

use crate::control::Control;
use crate::error::Error;
use crate::manifest::{Kind, Mtime};

/// An entry as the archive describes it. Nothing in here has been judged yet.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// As it is written in the archive.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    /// Of a file's content, holes included; 0 for everything else.
    pub(crate) size: u64,
    /// Archives of other systems may lack the following.
    pub(crate) mode: Option<u32>,
    pub(crate) owner: Option<(u32, u32)>,
    pub(crate) mtime: Option<Mtime>,
    /// Of links, as it is written in the archive.
    pub(crate) target: Vec<u8>,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Made where a backslash separates directories.
    pub(crate) from_dos: bool,
}

/// Goes through an archive from its beginning to its end.
pub(crate) trait Visitor {
    fn begin(&mut self, member: &Member) -> Result<(), Error>;
    /// The next bytes of a file's content.
    fn data(&mut self, bytes: &[u8]) -> Result<(), Error>;
    /// So many zero bytes that the archive does not hold.
    fn hole(&mut self, bytes: u64) -> Result<(), Error>;
    fn end(&mut self) -> Result<(), Error>;
}

/// How an archive is read, apart from what it is.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) threads: usize,
    pub(crate) control: &'a Control,
}

/// Without `./`, doubled slashes and a slash at the end; `.` for the directory itself.
pub(crate) fn normal(path: &[u8]) -> Vec<u8> {
    let mut parts = path
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".");
    let Some(first) = parts.next() else {
        return b".".to_vec();
    };
    let mut normal = first.to_vec();
    for part in parts {
        normal.push(b'/');
        normal.extend_from_slice(part);
    }
    normal
}

/// `[4096; 0]` for holes, without allocating.
pub(crate) static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Calls `each` with zeros until `bytes` of them were passed on.
pub(crate) fn zeros(mut bytes: u64, mut each: impl FnMut(&[u8])) {
    while bytes > 0 {
        let part = usize::try_from(bytes)
            .unwrap_or(usize::MAX)
            .min(ZEROS.len());
        each(&ZEROS[..part]);
        bytes -= part as u64;
    }
}
