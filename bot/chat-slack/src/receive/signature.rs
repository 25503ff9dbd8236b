//! Slack's signature of a request, `v0`: HMAC-SHA256 over `v0:TIME:BODY`.

use ring::hmac;

/// A request older or newer than this is not taken, in seconds.
const WINDOW: i64 = 5 * 60;

/// Why a request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotSigned {
    #[error("the request carries no signature or no time")]
    Missing,
    #[error("the request's time is more than five minutes away from now")]
    Old,
    #[error("the signature does not fit the request")]
    Wrong,
}

/// Whether Slack sent this body, at about this time. `now` is in seconds since 1970.
pub(super) fn check(
    secret: &str,
    timestamp: Option<&str>,
    signature: Option<&str>,
    body: &[u8],
    now: i64,
) -> Result<(), NotSigned> {
    let (Some(timestamp), Some(signature)) = (timestamp, signature) else {
        return Err(NotSigned::Missing);
    };
    let at: i64 = timestamp.parse().map_err(|_| NotSigned::Missing)?;
    if now.saturating_sub(at).saturating_abs() > WINDOW {
        return Err(NotSigned::Old);
    }
    let given = signature
        .strip_prefix("v0=")
        .and_then(|digits| hex::decode(digits).ok())
        .ok_or(NotSigned::Wrong)?;
    let mut signed = format!("v0:{timestamp}:").into_bytes();
    signed.extend_from_slice(body);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    // Takes the same time whatever the difference.
    hmac::verify(&key, &signed, &given).map_err(|_| NotSigned::Wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in Slack's documentation, "Verifying requests from Slack".
    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const AT: &str = "1531420618";
    const BODY: &[u8] = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    const NOW: i64 = 1_531_420_618;

    #[test]
    fn slacks_own_example_is_taken() {
        assert_eq!(
            check(SECRET, Some(AT), Some(SIGNATURE), BODY, NOW + 299),
            Ok(())
        );
    }

    #[test]
    fn everything_else_is_not() {
        let with = |signature, now| check(SECRET, Some(AT), signature, BODY, now);
        assert_eq!(with(None, NOW), Err(NotSigned::Missing));
        assert_eq!(with(Some(SIGNATURE), NOW + 301), Err(NotSigned::Old));
        assert_eq!(with(Some(SIGNATURE), NOW - 301), Err(NotSigned::Old));
        assert_eq!(with(Some("v0=00"), NOW), Err(NotSigned::Wrong));
        assert_eq!(with(Some("v0=zz"), NOW), Err(NotSigned::Wrong));
        assert_eq!(
            check(SECRET, Some(AT), Some(SIGNATURE), b"other", NOW),
            Err(NotSigned::Wrong)
        );
        assert_eq!(
            check("other", Some(AT), Some(SIGNATURE), BODY, NOW),
            Err(NotSigned::Wrong)
        );
    }
}
