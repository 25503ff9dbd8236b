//! How times and sizes are spelled, everywhere.

use std::time::Duration;

use jiff::Timestamp;

/// `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..=9 => format!("{:.1} s", duration.as_secs_f64()),
        10..=59 => format!("{seconds} s"),
        60..=3_599 => match seconds % 60 {
            0 => format!("{} min", seconds / 60),
            rest => format!("{} min {rest} s", seconds / 60),
        },
        _ => match seconds % 3_600 / 60 {
            0 => format!("{} h", seconds / 3_600),
            rest => format!("{} h {rest} min", seconds / 3_600),
        },
    }
}

/// `2 to 5 min`, for users: whole minutes, never less than one.
pub fn duration_range(from: Duration, to: Duration) -> String {
    let minutes = |duration: Duration| duration.as_secs().div_ceil(60).max(1);
    match (minutes(from), minutes(to)) {
        (_, 1) => "about a minute".to_owned(),
        (a, b) if a >= b => format!("about {b} minutes"),
        (a, b) => format!("{a} to {b} minutes"),
    }
}

/// `48 bytes`, `1.2 MB`, in powers of ten.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1_000 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1_000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `03:07:12`, UTC.
pub fn time_of_day(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_read_like_speech() {
        let spelled: Vec<_> = [400, 9_900, 12_000, 60_000, 200_000, 7_500_000]
            .map(|ms| duration(Duration::from_millis(ms)))
            .into();
        assert_eq!(
            spelled,
            ["0.4 s", "9.9 s", "12 s", "1 min", "3 min 20 s", "2 h 5 min"]
        );
        let sizes: Vec<_> = [0, 999, 1_000, 1_234_567, 999_999].map(bytes).into();
        assert_eq!(
            sizes,
            ["0 bytes", "999 bytes", "1.0 kB", "1.2 MB", "1.0 MB"]
        );
    }

    #[test]
    fn an_estimate_for_users_is_in_whole_minutes() {
        let range = |a, b| duration_range(Duration::from_secs(a), Duration::from_secs(b));
        assert_eq!(range(1, 20), "about a minute");
        assert_eq!(range(70, 110), "about 2 minutes");
        assert_eq!(range(61, 300), "2 to 5 minutes");
    }
}
