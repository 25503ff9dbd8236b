//! What was probably meant by a word that nobody knows.

/// The candidate that is spelled most like `word`, if one is close enough to be worth suggesting.
/// Case does not count.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let length = word.chars().count();
    // One slip in a short word, a third of the letters in a long one.
    let most = length.div_ceil(3).max(1);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let begun = length >= 2 && lower.starts_with(&word);
            let slips = strsim::damerau_levenshtein(&word, &lower);
            // A word that shares no letter is no slip, however short.
            let close = slips <= most && slips < length.max(lower.chars().count());
            (close || begun).then(|| (slips, strsim::jaro_winkler(&word, &lower), candidate))
        })
        .min_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)))
        .map(|(_, _, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const SERVICES: [&str; 6] = ["auth", "backtest", "data", "mcp", "strategy", "trade"];

    #[test]
    fn slips_of_the_finger_are_recognised_and_other_words_are_not() {
        for (typed, meant) in [
            ("trdae", Some("trade")),
            ("TRADE", Some("trade")),
            ("trad", Some("trade")),
            ("stratgy", Some("strategy")),
            ("strat", Some("strategy")),
            ("backtset", Some("backtest")),
            ("dat", Some("data")),
            ("mpc", Some("mcp")),
            ("everything", None),
            ("x", None),
            ("", None),
            ("日本", None),
        ] {
            assert_eq!(nearest(typed, SERVICES), meant, "{typed}");
        }
    }
}
