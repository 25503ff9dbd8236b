//! The last lines of services, made safe to show.

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;

use crate::LogLine;
use crate::connection::CallError;
use crate::engine::Engine;
use crate::error::Error;

/// The longest line that is kept; what follows is cut, and an ellipsis shows it.
pub const MAX_LINE_CHARS: usize = 2_000;

/// More output than this for one container is cut at its beginning, whatever was asked for.
const MAX_BYTES: usize = 8 << 20;

impl Engine {
    pub(crate) async fn read_logs(
        &self,
        project: &str,
        services: &[String],
        lines: u32,
    ) -> Result<Vec<LogLine>, Error> {
        let client = self.connection.client().await?;
        let mut all = Vec::new();
        for (service, containers) in self.find(project, services).await? {
            if containers.is_empty() {
                return Err(Error::NotFound(format!(
                    "Service {service} of project {project} has no container, and so no logs"
                )));
            }
            for found in containers {
                let options = LogsOptionsBuilder::default()
                    .stdout(true)
                    .stderr(true)
                    .timestamps(false)
                    .tail(&lines.to_string())
                    .build();
                let action = format!("read the logs of {}", found.container.name);
                let mut collected = Lines::default();
                let mut stream = Box::pin(client.logs(&found.container.id, Some(options)));
                let reading = async {
                    while let Some(output) = stream.next().await {
                        collected.push(output?);
                    }
                    Ok(())
                };
                let deadline = self.config.deadlines.logs;
                match tokio::time::timeout(deadline, reading).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        return Err(self.connection.explain(&action, CallError::Api(error)));
                    }
                    Err(_) => {
                        return Err(self
                            .connection
                            .explain(&action, CallError::Silent { deadline }));
                    }
                }
                let texts = collected.finish();
                let first = texts.len().saturating_sub(lines as usize);
                all.extend(texts.into_iter().skip(first).map(|text| LogLine {
                    service: service.clone(),
                    text,
                }));
            }
        }
        Ok(all)
    }
}

/// Puts the frames of both streams together into lines: a long line comes in several frames.
#[derive(Default)]
struct Lines {
    done: std::collections::VecDeque<String>,
    bytes: usize,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Lines {
    fn push(&mut self, output: LogOutput) {
        let is_err = matches!(output, LogOutput::StdErr { .. });
        let message = output.into_bytes();
        let mut rest: &[u8] = &message;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let open = if is_err { &mut self.err } else { &mut self.out };
            keep(open, &rest[..end]);
            let line = visible_line(open);
            open.clear();
            self.add(line);
            rest = &rest[end + 1..];
        }
        keep(if is_err { &mut self.err } else { &mut self.out }, rest);
    }

    fn add(&mut self, line: String) {
        self.bytes += line.len();
        self.done.push_back(line);
        while self.bytes > MAX_BYTES {
            match self.done.pop_front() {
                Some(first) => self.bytes -= first.len(),
                None => break,
            }
        }
    }

    fn finish(mut self) -> Vec<String> {
        for open in [std::mem::take(&mut self.out), std::mem::take(&mut self.err)] {
            if !open.is_empty() {
                self.add(visible_line(&open));
            }
        }
        self.done.into()
    }
}

/// Enough bytes for a full line of four-byte characters, and one more to see that there is more.
fn keep(open: &mut Vec<u8>, more: &[u8]) {
    let room = (MAX_LINE_CHARS * 4 + 4).saturating_sub(open.len());
    open.extend_from_slice(&more[..more.len().min(room)]);
}

/// A line of anybody's output as plain text: invalid UTF-8 replaced, a carriage return at the end
/// dropped, tabs turned into blanks, and everything that could steer a terminal or reorder text
/// written out (`\u{1b}`). At most [`MAX_LINE_CHARS`] characters.
pub fn visible_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches(['\r', '\n']);
    let mut line = String::with_capacity(text.len().min(MAX_LINE_CHARS));
    let mut count = 0;
    for character in text.chars() {
        if character == '\t' {
            line.push_str("    ");
            count += 4;
        } else if steers(character) {
            for piece in character.escape_unicode() {
                line.push(piece);
                count += 1;
            }
        } else {
            line.push(character);
            count += 1;
        }
        if count > MAX_LINE_CHARS {
            break;
        }
    }
    if count > MAX_LINE_CHARS {
        let cut = line.char_indices().nth(MAX_LINE_CHARS - 1);
        line.truncate(cut.map_or(line.len(), |(at, _)| at));
        line.push('…');
    }
    line
}

fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{061c}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_written_out() {
        assert_eq!(visible_line(b"\x1b[31mred\x07\r\n"), "\\u{1b}[31mred\\u{7}");
        assert_eq!(visible_line("a\u{202e}b".as_bytes()), "a\\u{202e}b");
        assert_eq!(visible_line(b"a\tb"), "a    b");
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        assert_eq!(visible_line(b"a\xffb"), "a\u{fffd}b");
    }

    #[test]
    fn a_line_is_cut_only_when_it_is_too_long() {
        let full = "ä".repeat(MAX_LINE_CHARS);
        assert_eq!(visible_line(full.as_bytes()), full);
        let cut = visible_line(format!("{full}b").as_bytes());
        assert_eq!(cut.chars().count(), MAX_LINE_CHARS);
        assert!(cut.ends_with('…'));
        assert_eq!(visible_line(&[0x1b; 5_000]).chars().count(), MAX_LINE_CHARS);
    }

    #[test]
    fn frames_of_both_streams_become_lines() {
        let mut lines = Lines::default();
        let out = |text: &str| LogOutput::StdOut {
            message: text.to_owned().into(),
        };
        lines.push(out("one\ntw"));
        lines.push(LogOutput::StdErr {
            message: "bad\n".into(),
        });
        lines.push(out("o\nthree"));
        assert_eq!(lines.finish(), ["one", "bad", "two", "three"]);
    }
}
