//! A message's CommonMark as pieces that Slack can show.
//!
//! They become rich text, in which Slack takes text for text: nothing in it is looked through for
//! mentions, links, emoji or formatting, so nothing that somebody wrote can become one.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, TextMergeStream};
use rollbot_chat::unescape;

/// A stretch of text that looks the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) text: String,
    pub(crate) bold: bool,
    pub(crate) italic: bool,
    pub(crate) strike: bool,
    pub(crate) code: bool,
    /// A web address that the template wrote as a link.
    pub(crate) link: Option<String>,
}

impl Run {
    pub(crate) fn is_plain(&self) -> bool {
        !(self.bold || self.italic || self.strike || self.code || self.link.is_some())
    }

    /// The same looks with other text.
    pub(crate) fn with_text(&self, text: &str) -> Self {
        Self {
            text: text.to_owned(),
            ..self.clone()
        }
    }
}

/// A line of runs.
pub(crate) type Line = Vec<Run>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Paragraph(Vec<Line>),
    Item {
        ordered: bool,
        depth: u8,
        /// The number before it, where the list is ordered.
        number: u64,
        lines: Vec<Line>,
    },
    Code(String),
    Quote(Vec<Line>),
    Rule,
}

/// What the line says.
pub(crate) fn plain(line: &[Run]) -> String {
    line.iter().map(|run| run.text.as_str()).collect()
}

struct List {
    ordered: bool,
    next: u64,
}

#[derive(Default)]
struct Reader {
    pieces: Vec<Piece>,
    lines: Vec<Line>,
    looks: Run,
    lists: Vec<List>,
    /// Depth of block quotes.
    quotes: usize,
    code: Option<String>,
    /// The link that is open, if it is one that may be followed.
    link: Option<String>,
}

pub(crate) fn read(body: &str) -> Vec<Piece> {
    let events = TextMergeStream::new(Parser::new_ext(body, Options::ENABLE_STRIKETHROUGH));
    let mut reader = Reader::default();
    for event in events {
        reader.event(event);
    }
    reader.close();
    reader.pieces
}

impl Reader {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.code {
                // In code Markdown decodes nothing.
                Some(code) => code.push_str(&unescape(&text)),
                None => self.say(&text),
            },
            Event::Html(text) | Event::InlineHtml(text) => self.say(&text),
            Event::Code(text) => {
                let before = std::mem::replace(&mut self.looks.code, true);
                self.say(&unescape(&text));
                self.looks.code = before;
            }
            Event::SoftBreak | Event::HardBreak => self.lines.push(Line::new()),
            Event::Rule => {
                self.close();
                self.pieces.push(Piece::Rule);
            }
            _ => {}
        }
    }

    fn say(&mut self, text: &str) {
        if self.lines.is_empty() {
            self.lines.push(Line::new());
        }
        // A reference to a line break is text, yet it is a line break that people see.
        let mut parts = text.split('\n');
        self.add(parts.next().unwrap_or_default());
        for part in parts {
            self.lines.push(Line::new());
            self.add(part);
        }
    }

    fn add(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let mut run = self.looks.with_text(text);
        run.link.clone_from(&self.link);
        if let Some(line) = self.lines.last_mut() {
            line.push(run);
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Strong => self.looks.bold = true,
            Tag::Emphasis => self.looks.italic = true,
            Tag::Strikethrough => self.looks.strike = true,
            Tag::Heading { .. } => {
                self.close();
                self.looks.bold = true;
            }
            Tag::Link { dest_url, .. } => {
                let web = ["https://", "http://"]
                    .iter()
                    .any(|scheme| dest_url.starts_with(scheme));
                self.link = web.then(|| dest_url.to_string());
            }
            Tag::List(first) => {
                self.close();
                self.lists.push(List {
                    ordered: first.is_some(),
                    next: first.unwrap_or(1),
                });
            }
            Tag::BlockQuote(_) => {
                self.close();
                self.quotes += 1;
            }
            Tag::CodeBlock(_) => {
                self.close();
                self.code = Some(String::new());
            }
            Tag::Paragraph | Tag::Item | Tag::HtmlBlock => self.close(),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Strong => self.looks.bold = false,
            TagEnd::Emphasis => self.looks.italic = false,
            TagEnd::Strikethrough => self.looks.strike = false,
            TagEnd::Link => self.link = None,
            TagEnd::Heading(_) => {
                self.close();
                self.looks.bold = false;
            }
            TagEnd::CodeBlock => {
                let code = self.code.take().unwrap_or_default();
                self.pieces
                    .push(Piece::Code(code.trim_end_matches('\n').to_owned()));
            }
            TagEnd::Item => {
                self.close();
                if let Some(list) = self.lists.last_mut() {
                    list.next += 1;
                }
            }
            TagEnd::List(_) => {
                self.close();
                self.lists.pop();
            }
            TagEnd::BlockQuote(_) => {
                self.close();
                self.quotes = self.quotes.saturating_sub(1);
            }
            TagEnd::Paragraph | TagEnd::HtmlBlock => self.close(),
            _ => {}
        }
    }

    /// Ends what is being written: it is a piece of its own.
    fn close(&mut self) {
        let mut lines = std::mem::take(&mut self.lines);
        while lines.last().is_some_and(Vec::is_empty) {
            lines.pop();
        }
        if lines.is_empty() {
            return;
        }
        let piece = match self.lists.last() {
            Some(list) => Piece::Item {
                ordered: list.ordered,
                // Slack indents up to eight levels.
                depth: u8::try_from(self.lists.len() - 1).unwrap_or(8).min(8),
                number: list.next,
                lines,
            },
            None if self.quotes > 0 => Piece::Quote(lines),
            None => Piece::Paragraph(lines),
        };
        self.pieces.push(piece);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use rollbot_chat::escape;

    #[test]
    fn nested_lists_keep_their_numbers_and_depth() {
        let shape: Vec<(bool, u8, u64, String)> = read("1. **One**\n   - a\n   - b\n2. Two")
            .into_iter()
            .map(|piece| match piece {
                Piece::Item {
                    ordered,
                    depth,
                    number,
                    lines,
                } => (
                    ordered,
                    depth,
                    number,
                    lines.iter().map(|l| plain(l)).collect(),
                ),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            shape,
            [
                (true, 0, 1, "One".to_owned()),
                (false, 1, 1, "a".to_owned()),
                (false, 1, 2, "b".to_owned()),
                (true, 0, 2, "Two".to_owned()),
            ]
        );
    }

    #[test]
    fn what_others_wrote_is_one_plain_run_in_text_and_in_code() {
        for nasty in [
            "<!channel> *a* _b_ `c`",
            "[x](https://evil.example)",
            "```\n# no\n```",
            "<b>&amp;</b>",
        ] {
            let safe = escape(nasty);
            let pieces = read(&format!("said: {safe}"));
            let [Piece::Paragraph(lines)] = pieces.as_slice() else {
                panic!("{nasty}: {pieces:?}");
            };
            assert!(lines.iter().flatten().all(Run::is_plain), "{nasty}");
            let said: Vec<String> = lines.iter().map(|line| plain(line)).collect();
            assert_eq!(said.join("\n"), format!("said: {nasty}"));
            let pieces = read(&format!("```\n{safe}\n```"));
            assert_eq!(pieces, [Piece::Code(nasty.to_owned())]);
        }
    }
}
