//! CommonMark to Discord's markdown.
//!
//! Every mark in the result is written here; every piece of text goes through [`plain`], after
//! which a client shows it as it is: no mention, no link, no formatting. An address becomes a link
//! only where the template wrote one.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd, TextMergeStream};
use rollbot_chat::unescape;

/// One line of a paragraph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// Discord's markdown.
    pub text: String,
    /// The same without bold marks: for a title, which is bold already.
    pub bare: String,
    /// The same as plain text: for places that know no markdown.
    pub raw: String,
    /// The bold part that the line begins with, and what follows it.
    pub lead: Option<(String, String)>,
    pub has_bold: bool,
}

/// A part of a message that stands for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Block {
    Paragraph(Vec<Line>),
    List(String),
    /// Without its fence.
    Code(String),
    Quote(String),
}

impl Block {
    /// Whether it belongs right under what comes before it.
    pub fn is_close(&self) -> bool {
        match self {
            Self::List(text) => text.starts_with("- "),
            Self::Code(_) => true,
            Self::Paragraph(_) | Self::Quote(_) => false,
        }
    }

    pub fn text(&self) -> String {
        match self {
            Self::Paragraph(lines) => {
                let lines: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
                lines.join("\n")
            }
            Self::List(text) | Self::Quote(text) => text.clone(),
            Self::Code(code) => format!("```\n{code}\n```"),
        }
    }
}

/// Text that a client shows as it is. `line_start`: whether it stands at the beginning of a line.
pub(crate) fn plain(text: &str, line_start: bool) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut start = line_start;
    let mut digits = line_start;
    for (at, c) in text.char_indices() {
        let rest = text.get(at + c.len_utf8()..).unwrap_or_default();
        let meant = match c {
            '\\' | '*' | '_' | '~' | '|' | '`' | '[' | ']' | '<' | '>' | '@' => true,
            '#' | '-' | '+' => start,
            '.' | ')' => digits && at > 0,
            ':' => rest.starts_with('/') || is_shortcode(rest),
            _ => false,
        };
        if meant {
            out.push('\\');
        }
        out.push(c);
        start = c == '\n' || (start && c == ' ');
        digits = c == '\n' || (digits && (c.is_ascii_digit() || c == ' '));
    }
    out
}

/// `smile:`, after a colon.
fn is_shortcode(rest: &str) -> bool {
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-');
    rest.starts_with(name) && rest.trim_start_matches(name).starts_with(':')
}

/// Code that cannot close its fence: backticks become ones that only look like them.
fn code(text: &str) -> String {
    unescape(text).replace('`', "\u{2cb}")
}

fn is_web_address(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://"))
        && !url.contains(|c: char| {
            c.is_whitespace() || c.is_control() || matches!(c, '(' | ')' | '<' | '>' | '\\')
        })
}

pub(crate) fn blocks(markdown: &str) -> Vec<Block> {
    let as_text = |event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        other => other,
    };
    let parser = Parser::new_ext(markdown, Options::ENABLE_STRIKETHROUGH).map(as_text);
    let mut writer = Writer::default();
    for event in TextMergeStream::new(parser) {
        writer.event(event);
    }
    writer.blocks
}

#[derive(Default)]
struct Writer {
    blocks: Vec<Block>,
    lines: Vec<Line>,
    line: Line,
    /// What the first bold part of this line says, while it is open.
    lead: Option<String>,
    /// The next number of each open list; `None` for bullets.
    lists: Vec<Option<u64>>,
    list: String,
    quotes: usize,
    in_code: Option<String>,
    links: Vec<Option<String>>,
}

impl Writer {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Text(text) => match &mut self.in_code {
                Some(all) => all.push_str(&text),
                None => self.words(&text),
            },
            Event::Code(text) => {
                let shown = format!("`{}`", code(&text).replace('\n', " "));
                self.add(&shown, &shown, &unescape(&text));
            }
            Event::SoftBreak | Event::HardBreak => self.end_line(),
            Event::Rule => self
                .blocks
                .push(Block::List("\u{2014}\u{2014}\u{2014}".to_owned())),
            Event::Start(tag) => self.open(tag),
            Event::End(tag) => self.close(tag),
            _ => {}
        }
    }

    fn words(&mut self, text: &str) {
        // What follows a label may become a line of its own.
        let after_label = |(_, after): &(String, String)| after.trim().is_empty();
        let start = self.line.raw.is_empty() || self.line.lead.as_ref().is_some_and(after_label);
        let text = plain(text, start);
        let raw = text_of(&text);
        self.add(&text, &text, &raw);
    }

    fn add(&mut self, text: &str, bare: &str, raw: &str) {
        self.line.text.push_str(text);
        self.line.bare.push_str(bare);
        self.line.raw.push_str(raw);
        if let Some(lead) = &mut self.lead {
            lead.push_str(bare);
        } else if let Some((_, after)) = &mut self.line.lead {
            after.push_str(text);
        }
    }

    fn end_line(&mut self) {
        self.lead = None;
        let line = std::mem::take(&mut self.line);
        if !line.text.trim().is_empty() {
            self.lines.push(line);
        }
    }

    /// The lines so far, as text of a list or quote or as a paragraph.
    fn end_block(&mut self) {
        self.end_line();
        let lines = std::mem::take(&mut self.lines);
        if lines.is_empty() {
            return;
        }
        if self.lists.is_empty() && self.quotes == 0 {
            self.blocks.push(Block::Paragraph(lines));
            return;
        }
        let indent = "  ".repeat(self.lists.len());
        for line in lines {
            if !self.list.is_empty() && !self.list.ends_with(' ') {
                self.list.push('\n');
                self.list.push_str(&indent);
            }
            self.list.push_str(line.text.trim_end());
        }
    }

    fn open(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Strong | Tag::Heading { .. } => {
                if self.line.text.is_empty() {
                    self.lead = Some(String::new());
                }
                self.line.has_bold = true;
                self.line.text.push_str("**");
            }
            Tag::Emphasis => self.add("*", "*", ""),
            Tag::Strikethrough => self.add("~~", "~~", ""),
            Tag::Link { dest_url, .. } => {
                let target = is_web_address(&dest_url).then(|| dest_url.to_string());
                if target.is_some() {
                    self.add("[", "[", "");
                }
                self.links.push(target);
            }
            Tag::CodeBlock(CodeBlockKind::Fenced(_) | CodeBlockKind::Indented) => {
                self.end_block();
                self.in_code = Some(String::new());
            }
            Tag::List(start) => {
                self.end_block();
                self.lists.push(start);
            }
            Tag::Item => {
                let depth = self.lists.len();
                let mark = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}. ", *number - 1)
                    }
                    _ => "- ".to_owned(),
                };
                if !self.list.is_empty() {
                    self.list.push('\n');
                }
                self.list.push_str(&"  ".repeat(depth.saturating_sub(1)));
                self.list.push_str(&mark);
            }
            Tag::BlockQuote(_) => {
                self.end_block();
                self.quotes += 1;
            }
            _ => {}
        }
    }

    fn close(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Strong => self.end_bold(),
            TagEnd::Heading(_) => {
                self.end_bold();
                self.end_block();
            }
            TagEnd::Emphasis => self.add("*", "*", ""),
            TagEnd::Strikethrough => self.add("~~", "~~", ""),
            TagEnd::Link => {
                if let Some(Some(target)) = self.links.pop() {
                    let end = format!("]({target})");
                    self.add(&end, &end, &format!(" ({target})"));
                }
            }
            TagEnd::Paragraph | TagEnd::Item => self.end_block(),
            TagEnd::CodeBlock => {
                if let Some(all) = self.in_code.take() {
                    self.blocks
                        .push(Block::Code(code(all.trim_end_matches('\n'))));
                }
            }
            TagEnd::List(_) => {
                self.end_block();
                self.lists.pop();
                if self.lists.is_empty() && self.quotes == 0 {
                    let list = std::mem::take(&mut self.list);
                    self.blocks.push(Block::List(list));
                }
            }
            TagEnd::BlockQuote(_) => {
                self.end_block();
                self.quotes -= 1;
                if self.quotes == 0 && self.lists.is_empty() {
                    let quoted = std::mem::take(&mut self.list).replace('\n', "\n> ");
                    self.blocks.push(Block::Quote(format!("> {quoted}")));
                }
            }
            _ => {}
        }
    }

    fn end_bold(&mut self) {
        self.line.text.push_str("**");
        if let Some(label) = self.lead.take() {
            self.line.lead = Some((label, String::new()));
        } else if let Some((_, after)) = &mut self.line.lead {
            after.push_str("**");
        }
    }
}

/// What [`plain`] wrote, without its backslashes.
fn text_of(escaped: &str) -> String {
    let mut out = String::with_capacity(escaped.len());
    let mut chars = escaped.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' {
            chars.next().unwrap_or(c)
        } else {
            c
        });
    }
    out
}

/// How long Discord takes a text to be, at most.
pub(crate) fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The text in pieces of at most `most`, cut between blocks or lines where that is possible; code
/// stays code.
pub(crate) fn pieces(markdown: &str, most: usize) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for block in blocks(markdown) {
        let (text, fence) = match &block {
            Block::Code(code) => (code.clone(), true),
            other => (other.text(), false),
        };
        let room = if fence { most.saturating_sub(8) } else { most };
        let close = block.is_close();
        let parts = cut(&text, room);
        for part in parts {
            let part = if fence {
                format!("```\n{part}\n```")
            } else {
                part
            };
            match pieces.last_mut() {
                Some(last) if length(last) + length(&part) + 2 <= most => {
                    last.push_str(if close { "\n" } else { "\n\n" });
                    last.push_str(&part);
                }
                _ => pieces.push(part),
            }
        }
    }
    pieces
}

/// Lines together as long as they fit; a line that is too long is cut within.
pub(crate) fn cut(text: &str, most: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut taken = 0;
    for line in text.split('\n') {
        if taken > 0 && taken + length(line) + 1 > most {
            parts.push(std::mem::take(&mut part));
            taken = 0;
        }
        if taken > 0 {
            part.push('\n');
            taken += 1;
        }
        for c in line.chars() {
            // Never between a backslash and what it makes harmless; and what was within a line must
            // not count as its beginning.
            if taken + 4 > most && !part.ends_with('\\') {
                parts.push(std::mem::replace(&mut part, "\u{2026}".to_owned()));
                taken = 1;
            }
            part.push(c);
            taken += c.len_utf16();
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

#[cfg(test)]
#[path = "markdown_tests.rs"]
mod tests;
