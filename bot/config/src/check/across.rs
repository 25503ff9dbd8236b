//! What no two services may share.

use std::collections::BTreeMap;
use std::ops::Range;

use super::reader::Reader;

/// Things that belong to one service, and where that was said first.
#[derive(Default)]
pub(crate) struct Owned {
    by_thing: BTreeMap<(&'static str, String), (String, Range<usize>)>,
}

impl Owned {
    /// Notes that a service has this thing; a problem if another has it already, or the same one
    /// twice. `kind` is what it is: "unit".
    pub fn claim(
        &mut self,
        reader: &Reader,
        kind: &'static str,
        thing: &str,
        service: &str,
        part: Range<usize>,
    ) {
        let key = (kind, thing.to_owned());
        let Some((owner, first)) = self.by_thing.get(&key) else {
            self.by_thing.insert(key, (service.to_owned(), part));
            return;
        };
        // Lists of one service are checked where they are read.
        if owner == service {
            return;
        }
        reader.problem_with(
            part,
            format!("{kind} `{thing}` already belongs to {owner}"),
            format!(
                "first on {}; a rollback of one service must not touch another",
                reader.line_of(first)
            ),
        );
    }
}
