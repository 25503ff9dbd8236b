//! Markdown to HTML, and what the looks of a message need to know about it.
//!
//! Every tag in the HTML is written here, as a literal; whatever comes from the message is escaped
//! text or a checked link. So no message can bring a tag, an attribute or a style of its own.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, TextMergeStream};
use serde::Serialize;

use crate::html::{escape_html, is_web_address};
use crate::marks::{Mark, with_emoji};
use rollbot_chat::unescape;

/// A message made ready to be shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub html: String,
    /// The same as plain text: for previews, screen readers and programs.
    pub text: String,
    pub votes: Option<Votes>,
    pub steps: Option<Steps>,
}

/// How far a vote is, as the message says: its paragraph begins with `1 of 2 approvals`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Votes {
    pub have: u32,
    pub need: u32,
    /// The vote is still going on: the template writes the tally bold.
    pub open: bool,
}

/// How far a run is, as the message says by the marks of its steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Steps {
    pub done: u32,
    pub total: u32,
    pub running: bool,
    pub paused: bool,
    pub failed: bool,
}

/// The states of an operation, as a live message names them, with the class of their looks.
const STATES: &[(&str, &str)] = &[
    ("running", "running"),
    ("paused", "paused"),
    ("verified", "done"),
    ("closed", "done"),
    ("closed with exceptions", "warning"),
    ("undone", "undone"),
    ("failed", "failed"),
    ("cancelled", "failed"),
    ("vetoed", "failed"),
    ("expired", "failed"),
];

/// The words a decided vote begins with.
const DECISIONS: &[(&str, &str)] = &[
    ("approved", "done"),
    ("vetoed", "failed"),
    ("expired", "failed"),
    ("cancelled", "failed"),
    ("started", "done"),
];

/// `kind` is the message's: `live`, `approval`, …
pub(crate) fn render(markdown: &str, kind: &str) -> Rendered {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let source = with_emoji(markdown);
    let as_text = |event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        other => other,
    };
    let events: Vec<Event<'_>> =
        TextMergeStream::new(Parser::new_ext(&source, options).map(as_text)).collect();
    let mut writer = Writer {
        kind,
        ..Writer::default()
    };
    writer.blocks(&events);
    Rendered {
        html: writer.html,
        text: writer.text.trim_end().to_owned(),
        votes: writer.votes,
        steps: writer.steps.filter(|_| kind == "live"),
    }
}

#[derive(Default)]
struct Writer<'a> {
    kind: &'a str,
    html: String,
    text: String,
    votes: Option<Votes>,
    steps: Option<Steps>,
    /// For each open link, whether it was written as one.
    links: Vec<bool>,
    in_code: bool,
    in_table_head: bool,
    /// The first paragraph is behind us: what follows is not the headline.
    past_headline: bool,
}

impl Writer<'_> {
    fn blocks(&mut self, events: &[Event<'_>]) {
        let mut at = 0;
        while let Some(event) = events.get(at) {
            at += 1;
            match event {
                Event::Start(Tag::Paragraph) => {
                    let rest = events.get(at..).unwrap_or_default();
                    let end = rest
                        .iter()
                        .position(|event| matches!(event, Event::End(TagEnd::Paragraph)))
                        .unwrap_or(rest.len());
                    self.paragraph(rest.get(..end).unwrap_or_default());
                    at += end + 1;
                }
                Event::Start(Tag::Item) => {
                    let mark = match events.get(at) {
                        Some(Event::Text(text)) => Mark::at_start(text),
                        _ => None,
                    };
                    match mark {
                        Some((mark, _, _)) => self.open_item(mark),
                        None => self.html.push_str("<li>"),
                    }
                }
                Event::Start(Tag::Table(_)) => self.html.push_str("<div class=\"table\"><table>"),
                other => self.inline(other),
            }
        }
    }

    fn paragraph(&mut self, events: &[Event<'_>]) {
        let headline = !std::mem::replace(&mut self.past_headline, true);
        let lines: Vec<&[Event<'_>]> = events
            .split(|event| matches!(event, Event::SoftBreak | Event::HardBreak))
            .collect();
        let mark_of = |line: &[Event<'_>]| match line.first() {
            Some(Event::Text(text)) => Mark::at_start(text).map(|(mark, _, _)| mark),
            _ => None,
        };
        let marks: Option<Vec<Mark>> = lines
            .iter()
            .map(|line| mark_of(line).filter(|_| is_closed(line)))
            .collect();
        match marks.as_deref() {
            Some([Mark::Paused]) | None => {}
            Some([_]) if self.kind != "live" => {}
            Some(marks) => return self.steps(&lines, marks),
        }
        if self.kind == "approval" {
            self.look_for_votes(events);
        }
        self.html.push_str("<p>");
        for (index, line) in lines.iter().enumerate() {
            if index > 0 {
                self.line_break();
            }
            let line = if index == 0 && headline {
                self.headline(line)
            } else {
                line
            };
            let line = if index == 0 && self.kind == "detail" {
                self.detail(line)
            } else {
                line
            };
            for event in line {
                self.inline(event);
            }
        }
        self.html.push_str("</p>");
        self.text.push_str("\n\n");
    }

    /// A paragraph in which every line has a mark: the steps of a run.
    fn steps(&mut self, lines: &[&[Event<'_>]], marks: &[Mark]) {
        let steps = self.steps.get_or_insert_default();
        for mark in marks {
            steps.total += 1;
            match mark {
                Mark::Done | Mark::Skipped | Mark::Undone => steps.done += 1,
                Mark::Running => steps.running = true,
                Mark::Paused => steps.paused = true,
                Mark::Failed => steps.failed = true,
                Mark::Waiting | Mark::Warning | Mark::Info => {}
            }
        }
        self.html.push_str("<ol class=\"steps\">");
        for (line, mark) in lines.iter().zip(marks) {
            self.open_item(*mark);
            self.step(line);
            self.html.push_str("</li>");
            self.text.push('\n');
        }
        self.html.push_str("</ol>");
        self.text.push('\n');
    }

    /// `✅ title · took · now`: the mark, the title, and more quietly what is after it.
    fn step(&mut self, line: &[Event<'_>]) {
        let Some((Event::Text(first), rest)) = line.split_first() else {
            return;
        };
        let Some((mark, sign, after)) = Mark::at_start(first) else {
            return;
        };
        self.mark(mark, sign);
        self.text.push(' ');
        self.html.push_str("<span class=\"what\">");
        let after = Event::Text(after.strip_prefix(' ').unwrap_or(after).to_owned().into());
        let (mut aside, mut depth) = (false, 0_usize);
        for event in std::iter::once(&after).chain(rest) {
            match event {
                Event::Text(text) if !aside && depth == 0 && text.contains(" · ") => {
                    let (title, more) = text.split_once(" · ").unwrap_or((text, ""));
                    self.words(title);
                    self.html.push_str("</span><span class=\"aside\">");
                    self.text.push_str(" · ");
                    self.words(more);
                    aside = true;
                }
                Event::Text(text) => self.words(text),
                other => {
                    match other {
                        Event::Start(_) => depth += 1,
                        Event::End(_) => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    self.inline(other);
                }
            }
        }
        self.html.push_str("</span>");
    }

    fn open_item(&mut self, mark: Mark) {
        self.html.push_str("<li class=\"step ");
        self.html.push_str(mark.as_str());
        self.html.push_str("\">");
    }

    /// `**RB-17 · rollback of trade · running**`, `**RB-17 · …** · approved by Ben`: sets the
    /// state apart. Returns what is left of the line.
    fn headline<'e, 'i>(&mut self, line: &'e [Event<'i>]) -> &'e [Event<'i>] {
        let [
            Event::Start(Tag::Strong),
            Event::Text(title),
            Event::End(TagEnd::Strong),
            rest @ ..,
        ] = line
        else {
            return line;
        };
        let (title, state) = match title.rsplit_once(" · ") {
            Some((before, state)) if self.kind == "live" => {
                match STATES.iter().find(|(word, _)| *word == state) {
                    Some((_, look)) => (before, Some((state, *look))),
                    None => (title.as_ref(), None),
                }
            }
            _ => (title.as_ref(), None),
        };
        let decided = match rest {
            [Event::Text(text), ..] if self.kind == "approval" => {
                text.strip_prefix(" · ").and_then(|text| {
                    Some((text, DECISIONS.iter().find(|(w, _)| text.starts_with(w))?.1))
                })
            }
            _ => None,
        };
        let rest = if decided.is_some() {
            rest.get(1..).unwrap_or_default()
        } else {
            rest
        };
        self.html.push_str("<strong>");
        self.marked(title);
        self.html.push_str("</strong>");
        if let Some((word, look)) = state.or(decided) {
            self.text.push_str(" · ");
            self.html.push_str(" <span class=\"state ");
            self.html.push_str(look);
            self.html.push_str("\">");
            self.words(word);
            self.html.push_str("</span>");
        }
        rest
    }

    /// `03:08:12 ✅ Stopped cryptobot-trade`: sets the time apart. Returns what is left.
    fn detail<'e, 'i>(&mut self, line: &'e [Event<'i>]) -> &'e [Event<'i>] {
        let Some((Event::Text(text), rest)) = line.split_first() else {
            return line;
        };
        let Some((time, after)) = text.split_once(' ') else {
            return line;
        };
        let shaped = time.len() == 8
            && time.bytes().enumerate().all(|(at, byte)| match at {
                2 | 5 => byte == b':',
                _ => byte.is_ascii_digit(),
            });
        if !shaped {
            return line;
        }
        self.html.push_str("<time>");
        self.words(time);
        self.html.push_str("</time> ");
        self.text.push(' ');
        self.marked(after);
        rest
    }

    fn look_for_votes(&mut self, events: &[Event<'_>]) {
        let (text, open) = match events {
            [Event::Start(Tag::Strong), Event::Text(text), ..] => (text, true),
            [Event::Text(text), ..] => (text, false),
            _ => return,
        };
        let mut words = text.split(' ');
        let have = words.next().and_then(|word| word.parse().ok());
        let of = words.next();
        let need = words.next().and_then(|word| word.parse().ok());
        let what = words.next().unwrap_or_default();
        if let (Some(have), Some("of"), Some(need)) = (have, of, need)
            && what.starts_with("approval")
        {
            self.votes = Some(Votes { have, need, open });
        }
    }

    fn inline(&mut self, event: &Event<'_>) {
        match event {
            Event::Text(text) if self.in_code => {
                let code = unescape(text);
                escape_html(&code, &mut self.html);
                self.text.push_str(&code);
            }
            Event::Text(text) => self.marked(text),
            Event::Code(code) => {
                let code = unescape(code);
                self.html.push_str("<code>");
                escape_html(&code, &mut self.html);
                self.html.push_str("</code>");
                self.text.push_str(&code);
            }
            Event::SoftBreak | Event::HardBreak => self.line_break(),
            Event::Rule => self.html.push_str("<hr>"),
            Event::TaskListMarker(done) => self.html.push_str(if *done {
                "<input type=\"checkbox\" disabled checked>"
            } else {
                "<input type=\"checkbox\" disabled>"
            }),
            Event::Start(tag) => self.open(tag),
            Event::End(tag) => self.close(*tag),
            // Not switched on in the parser, or turned to text before.
            Event::Html(_)
            | Event::InlineHtml(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::FootnoteReference(_) => {}
        }
    }

    /// Text, with a span around the mark it may begin with. The mark stays in it: what is copied
    /// or read aloud is what was written.
    fn marked(&mut self, text: &str) {
        match Mark::at_start(text) {
            Some((mark, sign, after)) => {
                self.mark(mark, sign);
                self.words(after);
            }
            None => self.words(text),
        }
    }

    fn mark(&mut self, mark: Mark, sign: &str) {
        self.html.push_str("<span class=\"mark ");
        self.html.push_str(mark.as_str());
        self.html.push_str("\">");
        self.words(sign);
        self.html.push_str("</span>");
    }

    fn words(&mut self, text: &str) {
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 {
                self.line_break();
            }
            escape_html(line, &mut self.html);
            self.text.push_str(line);
        }
    }

    fn line_break(&mut self) {
        self.html.push_str("<br>");
        self.text.push('\n');
    }

    fn open(&mut self, tag: &Tag<'_>) {
        let html = match tag {
            Tag::Paragraph => "<p>",
            // The page has headings of its own; those of a message come below them.
            Tag::Heading { .. } => "<h4>",
            Tag::BlockQuote(_) => "<blockquote>",
            Tag::CodeBlock(_) => {
                self.in_code = true;
                "<pre tabindex=\"0\"><code>"
            }
            Tag::List(None) => "<ul>",
            Tag::List(Some(start)) => {
                self.html.push_str("<ol start=\"");
                self.html.push_str(&start.to_string());
                "\">"
            }
            Tag::Item => "<li>",
            Tag::Table(_) => "<table>",
            Tag::TableHead => {
                self.in_table_head = true;
                "<thead><tr>"
            }
            Tag::TableRow => "<tr>",
            Tag::TableCell if self.in_table_head => "<th>",
            Tag::TableCell => "<td>",
            Tag::Emphasis => "<em>",
            Tag::Strong => "<strong>",
            Tag::Strikethrough => "<del>",
            Tag::Link { dest_url, .. } => {
                let good = is_web_address(dest_url);
                self.links.push(good);
                if good {
                    self.html
                        .push_str("<a rel=\"noopener noreferrer\" target=\"_blank\" href=\"");
                    escape_html(dest_url, &mut self.html);
                    "\">"
                } else {
                    ""
                }
            }
            // An image is shown as the words for it: pictures of others are not loaded.
            _ => "",
        };
        self.html.push_str(html);
    }

    fn close(&mut self, tag: TagEnd) {
        let html = match tag {
            TagEnd::Paragraph => "</p>",
            TagEnd::Heading(_) => "</h4>",
            TagEnd::BlockQuote(_) => "</blockquote>",
            TagEnd::CodeBlock => {
                self.in_code = false;
                "</code></pre>"
            }
            TagEnd::List(false) => "</ul>",
            TagEnd::List(true) => "</ol>",
            TagEnd::Item => "</li>",
            TagEnd::Table => "</tbody></table></div>",
            TagEnd::TableHead => {
                self.in_table_head = false;
                "</tr></thead><tbody>"
            }
            TagEnd::TableRow => "</tr>",
            TagEnd::TableCell if self.in_table_head => "</th>",
            TagEnd::TableCell => "</td>",
            TagEnd::Emphasis => "</em>",
            TagEnd::Strong => "</strong>",
            TagEnd::Strikethrough => "</del>",
            TagEnd::Link if self.links.pop() == Some(true) => "</a>",
            _ => "",
        };
        self.html.push_str(html);
        match tag {
            TagEnd::Heading(_) | TagEnd::Item | TagEnd::TableRow | TagEnd::TableHead
                if !self.text.ends_with('\n') =>
            {
                self.text.push('\n');
            }
            TagEnd::TableCell => self.text.push('\t'),
            TagEnd::List(_) | TagEnd::CodeBlock | TagEnd::Table | TagEnd::BlockQuote(_)
                if !self.text.ends_with("\n\n") =>
            {
                self.text.push('\n');
            }
            _ => {}
        }
    }
}

/// Whether everything that the line opens ends in it.
fn is_closed(line: &[Event<'_>]) -> bool {
    let starts = line
        .iter()
        .filter(|event| matches!(event, Event::Start(_)))
        .count();
    let ends = line
        .iter()
        .filter(|event| matches!(event, Event::End(_)))
        .count();
    starts == ends
}

#[cfg(test)]
#[path = "markdown_tests.rs"]
mod tests;
