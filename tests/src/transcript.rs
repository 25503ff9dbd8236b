//! What a command line said, as a text that a person would have seen and a snapshot can hold.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// `rollbot` as people call it: by its name, on a terminal of 100 columns without colours, and with
/// nothing of this process's own settings.
pub fn rollbot(binary: &str) -> Command {
    let mut command = Command::new(binary);
    command
        .arg0("rollbot")
        .env("COLUMNS", "100")
        .env("NO_COLOR", "1")
        .env_remove("ROLLBOT_CONFIG")
        .env_remove("ROLLBOT_SOCKET")
        .env_remove("ROLLBOT_LOG")
        .env_remove("RUST_BACKTRACE")
        .env_remove("RUST_LIB_BACKTRACE")
        .stdin(Stdio::null());
    command
}

/// Runs it and writes down what was typed and what came back. `shown` is what was typed.
///
/// # Errors
/// It does not start.
pub fn transcribe(shown: &str, command: &mut Command) -> anyhow::Result<String> {
    let output = command.output()?;
    Ok(written(shown, &output))
}

/// What was typed, what was printed (errors marked with `!`), and the status where it is not 0.
pub fn written(shown: &str, output: &Output) -> String {
    let mut text = format!("$ {shown}\n");
    text.push_str(&String::from_utf8_lossy(&output.stdout));
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        text.push_str(&format!("! {line}\n"));
    }
    match output.status.code() {
        Some(0) => {}
        Some(code) => text.push_str(&format!("[exit status {code}]\n")),
        None => text.push_str("[killed]\n"),
    }
    text
}

/// What differs from one demo to the next, and what stands for it in a snapshot.
///
/// # Errors
/// There is no world in this directory.
pub fn of_this_demo(directory: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let trade = crate::world::port(directory)?;
    let mut filters = vec![
        (plain(&directory.display().to_string()), "/demo".to_owned()),
        (
            plain(&crate::world::project(directory)?),
            "rollbot-demo".to_owned(),
        ),
    ];
    // The ports of a machine on which all six are free.
    for index in 0..6_u16 {
        filters.push((
            format!(r"\b{}\b", trade - 3 + index),
            (9000 + index).to_string(),
        ));
    }
    Ok(filters)
}

fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if !c.is_ascii_alphanumeric() && c != '/' && c != '-' && c != '_' {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// What differs from one run to the next.
pub const RUN: [(&str, &str); 10] = [
    (r"_\d{14}\.", "_TIMESTAMP."),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DATE TIME"),
    (r"\b\d\d:\d\d:\d\d(\.\d{3})?\b", "TIME"),
    (r"sha256:[0-9a-f]+", "sha256:DIGEST"),
    (r"\b[0-9a-f]{12}\b", "DIGEST"),
    (r"\d+ files?, [\d.]+ (bytes|[kMG]B)", "N files, SIZE"),
    (r"[\d.]+ (bytes|[kMG]B)\b", "SIZE"),
    (r"\b(SIGTERM to|as|owned by) \d+", "$1 PID"),
    (
        r"\d+ log lines? read, none looks like errors",
        "N log lines read, none looks like errors",
    ),
    (r"\d+ messages delivered", "N messages delivered"),
];

/// How long things took; not for texts whose durations are configured.
pub const TOOK: [(&str, &str); 1] = [(r"\b\d+(\.\d+)? (ms|s|min)\b", "TOOK")];
