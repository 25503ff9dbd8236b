//! Durations and sizes, always written with their unit.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration: `"500ms"`, `"2s"`, `"15m"`, `"1h30m"`, `"2d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

/// An amount of bytes: `"512B"`, `"64KiB"`, `"256MiB"`, `"2GiB"`, `"1TiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// The text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a duration: write whole numbers with a unit, such as \"500ms\", \"2s\", \"15m\", \
     \"1h30m\" or \"2d\""
)]
pub struct NotAPeriod(pub String);

/// The text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a size: write a whole number with a unit, such as \"64KiB\", \"256MiB\" or \"2GiB\""
)]
pub struct NotASize(pub String);

/// The largest unit first; milliseconds each.
const PERIODS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

const SIZES: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl Period {
    pub(crate) const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    pub fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Splits `15m…` into 15, `m` and the rest.
fn take_amount(text: &str) -> Option<(u64, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, rest) = text.split_at(digits);
    let number = number.parse().ok()?;
    let rest = rest.trim_start();
    let unit = rest
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit);
    Some((number, unit, rest.trim_start()))
}

impl FromStr for Period {
    type Err = NotAPeriod;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || NotAPeriod(text.to_owned());
        let mut rest = text.trim();
        let mut total: u64 = 0;
        let mut last = u64::MAX;
        while !rest.is_empty() || last == u64::MAX {
            let (number, unit, after) = take_amount(rest).ok_or_else(bad)?;
            let (_, millis) = PERIODS
                .iter()
                .find(|(name, _)| *name == unit)
                .ok_or_else(bad)?;
            // "2m1h" and "1s1s" are slips.
            if *millis >= last {
                return Err(bad());
            }
            last = *millis;
            total = number
                .checked_mul(*millis)
                .and_then(|millis| total.checked_add(millis))
                .ok_or_else(bad)?;
            rest = after;
        }
        Ok(Self(Duration::from_millis(total)))
    }
}

impl FromStr for Size {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || NotASize(text.to_owned());
        let (number, unit, rest) = take_amount(text.trim()).ok_or_else(bad)?;
        let (_, bytes) = SIZES
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(bad)?;
        if !rest.is_empty() {
            return Err(bad());
        }
        number.checked_mul(*bytes).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.millis();
        if left == 0 {
            return f.write_str("0s");
        }
        for (unit, millis) in PERIODS {
            if left >= millis {
                write!(f, "{}{unit}", left / millis)?;
                left %= millis;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, bytes) = SIZES
            .into_iter()
            .find(|(_, bytes)| self.0 >= *bytes && self.0.is_multiple_of(*bytes))
            .unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

/// Reads a text by its `FromStr`; a bare number is told that it lacks its unit.
struct Text<T>(std::marker::PhantomData<T>);

impl<T> Visitor<'_> for Text<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text with a number and a unit")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

macro_rules! as_text {
    ($($amount:ty),+) => {$(
        impl<'de> Deserialize<'de> for $amount {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Text(std::marker::PhantomData))
            }
        }

        impl Serialize for $amount {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )+};
}

as_text!(Period, Size);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_with_their_units() {
        for (text, millis, written) in [
            ("500ms", 500, "500ms"),
            ("2s", 2_000, "2s"),
            ("90s", 90_000, "1m30s"),
            ("15m", 900_000, "15m"),
            ("1h 30m", 5_400_000, "1h30m"),
            ("2d", 172_800_000, "2d"),
            (" 10 s ", 10_000, "10s"),
            ("0s", 0, "0s"),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!(period.millis(), millis, "{text}");
            assert_eq!(period.to_string(), written);
        }
        for bad in [
            "",
            "15",
            "m",
            "15x",
            "-2s",
            "2m1h",
            "1s1s",
            "1.5h",
            "2S",
            "99999999999999d",
        ] {
            assert!(bad.parse::<Period>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_read_and_written_with_their_units() {
        for (text, bytes, written) in [
            ("64MiB", 64 << 20, "64MiB"),
            ("1024 KiB", 1 << 20, "1MiB"),
            ("1536MiB", 1536 << 20, "1536MiB"),
            ("1B", 1, "1B"),
            ("0B", 0, "0B"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!(size.0, bytes, "{text}");
            assert_eq!(size.to_string(), written);
        }
        for bad in ["", "64", "64MB", "64mib", "1GiB1MiB", "-1B", "99999999TiB"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }
}
