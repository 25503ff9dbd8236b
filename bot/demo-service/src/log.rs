//! One plain line per event on standard output, each with its time.

use std::fmt::Display;
use std::io::Write;

pub fn line(text: impl Display) {
    // Whoever reads the output may be gone; the service goes on.
    let _ = writeln!(
        std::io::stdout(),
        "{} {text}",
        jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
    );
}
