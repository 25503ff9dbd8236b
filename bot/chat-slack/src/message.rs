//! A message as Slack shows it: blocks within Slack's limits, and more messages for what does not
//! fit into one.

use rollbot_chat::escape as show_hidden;
use slack_morphism::SlackRelaxedUrl;
use slack_morphism::prelude::*;

use crate::buttons;
use crate::markup::{self, Line, Piece, Run, plain};

/// Slack's limits, in characters or pieces (docs.slack.dev, "Block Kit reference").
const HEADER: usize = 150;
const CONTEXT: usize = 2_000;
const FALLBACK: usize = 400;
/// Of 50 blocks some are kept for headline, small print and buttons.
const BLOCKS: usize = 44;
/// Of rich text Slack documents no limit; a section's is kept.
const SECTION: usize = 3_000;
/// More than this is too long to read in one message.
const MESSAGE: usize = 10_000;
/// As many messages are posted for one; the rest is a file.
const MESSAGES: usize = 3;

/// One message for Slack.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Page {
    pub(crate) blocks: Vec<SlackBlock>,
    /// What notifications and old clients show.
    pub(crate) text: String,
}

impl Page {
    pub(crate) fn content(self) -> SlackMessageContent {
        SlackMessageContent::new()
            .with_text(self.text)
            .with_blocks(self.blocks)
    }
}

/// A message and what did not fit into it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Laid {
    pub(crate) first: Page,
    /// For the thread.
    pub(crate) more: Vec<Page>,
    /// All of it as plain text, where even the thread is not enough.
    pub(crate) file: Option<String>,
}

/// As Slack counts: in UTF-16, which is never less than what people count.
fn size(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The beginning of a text, of at most `most`, with an ellipsis where something is missing.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if size(text) <= most {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut left = most.saturating_sub(1);
    for c in text.chars() {
        match left.checked_sub(c.len_utf16()) {
            Some(rest) => left = rest,
            None => break,
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// Text that came from elsewhere than a template: what would be invisible is shown.
pub(crate) fn visible(text: &str) -> String {
    rollbot_chat::unescape(&show_hidden(text))
}

/// Plain text that Slack neither links nor turns into pictures.
pub(crate) fn literal(text: &str) -> SlackBlockPlainTextOnly {
    SlackBlockPlainText::new(text.to_owned())
        .with_emoji(false)
        .into()
}

/// Text for the `text` of a message, which Slack reads as mrkdwn.
fn fallback(text: &str) -> String {
    cut(text, FALLBACK)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Kinds that stand on their own and begin with a headline.
fn has_headline(kind: &str) -> bool {
    matches!(kind, "approval" | "live" | "question" | "announcement")
}

/// Kinds whose last line is small print.
fn has_small_print(kind: &str) -> bool {
    matches!(kind, "approval" | "live")
}

/// Lays a message out.
pub(crate) fn lay(body: &str, kind: &str, buttons: &[(String, String)]) -> Laid {
    let mut pieces = markup::read(body);
    let whole = whole(&pieces);
    let headline = has_headline(kind)
        .then(|| take_headline(&mut pieces))
        .flatten();
    let small = has_small_print(kind)
        .then(|| take_small_print(&mut pieces))
        .flatten();
    let mut sheets = sheets(&pieces).into_iter();
    let mut first = sheets.next().unwrap_or_default();
    let rest: Vec<Vec<SlackBlock>> = sheets.collect();
    let too_long = rest.len() >= MESSAGES;
    if !rest.is_empty() {
        let said = if too_long {
            "… the rest is in the file in the thread."
        } else {
            "… the rest is in the thread."
        };
        first.push(small_print(said));
    }
    if let Some(headline) = &headline {
        first.insert(0, SlackHeaderBlock::new(literal(headline)).into());
    }
    if let Some(small) = &small {
        first.push(small_print(small));
    }
    first.extend(buttons::rows(buttons));
    if first.is_empty() {
        first.push(small_print("(nothing to say)"));
    }
    let text = match fallback(&whole) {
        text if text.is_empty() => "(nothing to say)".to_owned(),
        text => text,
    };
    let more = if too_long {
        Vec::new()
    } else {
        rest.into_iter()
            .map(|blocks| Page {
                blocks,
                text: format!("… {text}"),
            })
            .collect()
    };
    Laid {
        first: Page {
            blocks: first,
            text,
        },
        more,
        file: too_long.then_some(whole),
    }
}

/// Everything as plain text.
fn whole(pieces: &[Piece]) -> String {
    let mut out = String::new();
    let mut after_item = false;
    for piece in pieces {
        let (lines, before) = match piece {
            Piece::Paragraph(lines) | Piece::Quote(lines) => (texts(lines), String::new()),
            Piece::Item {
                ordered,
                depth,
                number,
                lines,
            } => {
                let indent = "  ".repeat(usize::from(*depth));
                let mark = if *ordered {
                    format!("{number}.")
                } else {
                    "•".to_owned()
                };
                (texts(lines), format!("{indent}{mark} "))
            }
            Piece::Code(code) => (code.clone(), String::new()),
            Piece::Rule => ("—".to_owned(), String::new()),
        };
        let is_item = matches!(piece, Piece::Item { .. });
        if !out.is_empty() {
            out.push_str(if is_item || after_item { "\n" } else { "\n\n" });
        }
        after_item = is_item;
        out.push_str(&before);
        out.push_str(&lines);
    }
    out
}

fn texts(lines: &[Line]) -> String {
    let texts: Vec<String> = lines.iter().map(|line| plain(line)).collect();
    texts.join("\n")
}

/// Takes the first line off, if it begins bold and fits into a headline.
fn take_headline(pieces: &mut Vec<Piece>) -> Option<String> {
    let Some(Piece::Paragraph(lines)) = pieces.first_mut() else {
        return None;
    };
    let line = lines.first()?;
    let headline = plain(line).trim().to_owned();
    let fits = line.first().is_some_and(|run| run.bold) && size(&headline) <= HEADER;
    if !fits || headline.is_empty() {
        return None;
    }
    lines.remove(0);
    if lines.is_empty() {
        pieces.remove(0);
    }
    Some(headline)
}

/// Takes the last line off, if it is plain and fits.
fn take_small_print(pieces: &mut Vec<Piece>) -> Option<String> {
    let Some(Piece::Paragraph(lines)) = pieces.last_mut() else {
        return None;
    };
    let line = lines.last()?;
    let text = plain(line).trim().to_owned();
    if text.is_empty() || size(&text) > CONTEXT || !line.iter().all(Run::is_plain) {
        return None;
    }
    lines.pop();
    if lines.is_empty() {
        pieces.pop();
    }
    Some(text)
}

pub(crate) fn small_print(text: &str) -> SlackBlock {
    let text = SlackBlockPlainText::new(cut(text, CONTEXT)).with_emoji(false);
    SlackContextBlock::new(vec![SlackContextBlockElement::Plain(text)]).into()
}

/// One message's worth of blocks after the other.
fn sheets(pieces: &[Piece]) -> Vec<Vec<SlackBlock>> {
    let mut sheets = vec![Vec::new()];
    let mut used = 0;
    for (length, block) in blocks(pieces) {
        let full = sheets.last().is_some_and(|sheet: &Vec<SlackBlock>| {
            sheet.len() >= BLOCKS || (used + length > MESSAGE && !sheet.is_empty())
        });
        if full {
            sheets.push(Vec::new());
            used = 0;
        }
        used += length;
        if let Some(sheet) = sheets.last_mut() {
            sheet.push(block);
        }
    }
    sheets
}

/// Rich text for the pieces, none longer than a section may be. A list stays with the paragraph
/// that announces it.
fn blocks(pieces: &[Piece]) -> Vec<(usize, SlackBlock)> {
    let mut out = Vec::new();
    let mut open: Vec<SlackRichTextElement> = Vec::new();
    let mut length = 0;
    let mut close = |open: &mut Vec<SlackRichTextElement>, length: &mut usize| {
        if !open.is_empty() {
            let block = SlackRichTextBlock::new(std::mem::take(open));
            out.push((std::mem::take(length), block.into()));
        }
    };
    for (index, piece) in pieces.iter().enumerate() {
        let continues = matches!(piece, Piece::Item { .. })
            && index > 0
            && !matches!(pieces.get(index - 1), Some(Piece::Code(_) | Piece::Rule));
        if !continues {
            close(&mut open, &mut length);
        }
        for (part, element) in elements(piece) {
            if length + part > SECTION {
                close(&mut open, &mut length);
            }
            length += part;
            append(&mut open, element);
        }
    }
    close(&mut open, &mut length);
    out
}

/// Puts an element behind the others; an item joins the list it belongs to.
fn append(open: &mut Vec<SlackRichTextElement>, element: SlackRichTextElement) {
    if let (Some(SlackRichTextElement::List(list)), SlackRichTextElement::List(item)) =
        (open.last_mut(), &element)
        && list.style == item.style
        && list.indent == item.indent
    {
        list.elements.extend(item.elements.iter().cloned());
        return;
    }
    open.push(element);
}

/// The elements of one piece, each with its length.
fn elements(piece: &Piece) -> Vec<(usize, SlackRichTextElement)> {
    match piece {
        Piece::Paragraph(lines) => split(lines)
            .into_iter()
            .map(|(length, runs)| (length, SlackRichTextSection::new(runs).into()))
            .collect(),
        Piece::Quote(lines) => split(lines)
            .into_iter()
            .map(|(length, runs)| (length, SlackRichTextQuote::new(runs).into()))
            .collect(),
        Piece::Item {
            ordered,
            depth,
            number,
            lines,
        } => {
            let style = if *ordered {
                SlackRichTextListStyle::Ordered
            } else {
                SlackRichTextListStyle::Bullet
            };
            split(lines)
                .into_iter()
                .map(|(length, runs)| {
                    let item = SlackRichTextSection::new(runs).into();
                    let mut list = SlackRichTextList::new(style.clone(), vec![item]);
                    list.indent = (*depth > 0).then_some(u64::from(*depth));
                    list.offset = (*ordered && *number > 1).then(|| number - 1);
                    (length, list.into())
                })
                .collect()
        }
        Piece::Code(code) => parts(code)
            .into_iter()
            .map(|part| {
                let element = SlackRichTextPreformatted::new(vec![part.as_str().into()]);
                (size(&part), element.into())
            })
            .collect(),
        Piece::Rule => vec![(3, SlackRichTextSection::from("———").into())],
    }
}

/// Runs for lines, in portions that are no longer than a section.
fn split(lines: &[Line]) -> Vec<(usize, Vec<SlackRichTextInlineElement>)> {
    let mut out = Vec::new();
    let mut runs: Vec<SlackRichTextInlineElement> = Vec::new();
    let mut length = 0;
    for (index, line) in lines.iter().enumerate() {
        let line_break = (index > 0).then(|| Run::default().with_text("\n"));
        for run in line_break.iter().chain(line) {
            for part in parts(&run.text) {
                if length + size(&part) > SECTION {
                    out.push((std::mem::take(&mut length), std::mem::take(&mut runs)));
                }
                length += size(&part);
                runs.push(inline(run, part));
            }
        }
    }
    if !runs.is_empty() {
        out.push((length, runs));
    }
    out
}

/// Text in pieces no longer than a section, broken at a line or a word where there is one.
fn parts(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = text;
    while size(rest) > SECTION {
        let mut used = 0;
        let fits = rest
            .char_indices()
            .find(|(_, c)| {
                used += c.len_utf16();
                used > SECTION
            })
            .map_or(rest.len(), |(at, _)| at);
        let (window, _) = rest.split_at(fits);
        let at = window
            .rfind('\n')
            .or_else(|| window.rfind(' '))
            .map_or(fits, |at| at + 1);
        let (part, after) = rest.split_at(at);
        out.push(part.to_owned());
        rest = after;
    }
    if !rest.is_empty() {
        out.push(rest.to_owned());
    }
    out
}

fn inline(run: &Run, text: String) -> SlackRichTextInlineElement {
    let style = (run.bold || run.italic || run.strike || run.code).then(|| {
        let mut style = SlackRichTextStyle::new();
        style.bold = run.bold.then_some(true);
        style.italic = run.italic.then_some(true);
        style.strike = run.strike.then_some(true);
        style.code = run.code.then_some(true);
        style
    });
    match &run.link {
        Some(link) => SlackRichTextLink::new(SlackRelaxedUrl(link.clone()))
            .with_text(text)
            .opt_style(style)
            .into(),
        None => SlackRichTextText::new(text).opt_style(style).into(),
    }
}

/// A paragraph of text that came from elsewhere, its beginning bold.
pub(crate) fn titled(title: &str, text: &str) -> SlackBlock {
    let title = SlackRichTextText::new(cut(&visible(title), 300)).bold();
    let mut runs: Vec<SlackRichTextInlineElement> = vec![title.into()];
    if !text.is_empty() {
        runs.push(format!("\n{}", cut(&visible(text), 1_000)).as_str().into());
    }
    let section = SlackRichTextSection::new(runs);
    SlackRichTextBlock::new(vec![section.into()]).into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_never_exceeds_what_is_allowed() {
        for text in ["", "abc", &"x".repeat(200), &"🦀".repeat(100)] {
            for most in [1, 2, 75, 150] {
                assert!(size(&cut(text, most)) <= most, "{text} {most}");
            }
        }
    }

    #[test]
    fn long_text_loses_nothing_when_it_is_split() {
        let text = format!(
            "{} {}\n{}",
            "a".repeat(2_990),
            "b".repeat(5_000),
            "🦀 ".repeat(3_000)
        );
        let parts = parts(&text);
        assert!(parts.iter().all(|part| size(part) <= SECTION));
        assert_eq!(parts.concat(), text);
    }

    #[test]
    fn what_fits_no_message_goes_to_the_thread_and_then_to_a_file() {
        let paragraph = format!("{}\n\n", "word ".repeat(500));
        let short = lay(&paragraph.repeat(2), "notice", &[]);
        assert!(short.more.is_empty() && short.file.is_none());
        let long = lay(&paragraph.repeat(8), "notice", &[]);
        assert!(!long.more.is_empty() && long.file.is_none());
        let longest = lay(&paragraph.repeat(40), "notice", &[]);
        assert!(longest.more.is_empty() && longest.file.is_some());
    }
}
