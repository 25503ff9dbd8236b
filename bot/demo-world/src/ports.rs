//! Six free ports in a row.

use std::net::TcpListener;
use std::time::Duration;

use crate::error::WorldError;
use crate::services::NAMES;

const USUAL: u16 = 9000;
const LOOKS: u32 = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
/// Below the ranges from which systems hand out ports for outgoing connections.
const SEARCHED: std::ops::Range<u16> = 20_000..32_000;

/// Whether all six are free, at this address and at every other one.
pub fn free(base: u16) -> bool {
    let held: Vec<_> = (0..NAMES.len() as u16)
        .map_while(|offset| {
            let port = base.checked_add(offset)?;
            TcpListener::bind(("0.0.0.0", port)).ok()
        })
        .collect();
    held.len() == NAMES.len()
}

/// The wished base, or the usual one, or another one. `attempt` counts from 0: after a lost race
/// for the ports it leads elsewhere.
pub async fn find(wished: Option<u16>, attempt: u32) -> Result<u16, WorldError> {
    if let Some(base) = wished {
        // Whoever held them a moment ago may be about to let go: a process that is being started
        // has its parent's sockets for an instant.
        for _ in 0..LOOKS {
            if free(base) {
                return Ok(base);
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        return if free(base) {
            Ok(base)
        } else {
            Err(WorldError::Ports(format!(
                "of the ports {base} to {} not all are free: stop what listens there, or choose another base",
                base.saturating_add(NAMES.len() as u16 - 1)
            )))
        };
    }
    if attempt == 0 && free(USUAL) {
        return Ok(USUAL);
    }
    // Worlds that are made at the same time begin their search at different places.
    let begin = std::process::id()
        .wrapping_mul(7_919)
        .wrapping_add(jiff::Timestamp::now().subsec_nanosecond().unsigned_abs() / 1_000)
        .wrapping_add(attempt.wrapping_mul(104_729));
    let places = u32::from((SEARCHED.end - SEARCHED.start) / 10);
    (0..places)
        .map(|step| SEARCHED.start + (begin.wrapping_add(step) % places) as u16 * 10)
        .find(|base| free(*base))
        .ok_or_else(|| {
            WorldError::Ports(format!(
                "there are no six free ports in a row from {} to {}",
                SEARCHED.start, SEARCHED.end
            ))
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_base_with_one_taken_port_is_not_free() {
        let base = find(None, 1).await.unwrap();
        let _taken = TcpListener::bind(("127.0.0.1", base + 4)).unwrap();
        assert!(!free(base));
        assert!(matches!(
            find(Some(base), 0).await,
            Err(WorldError::Ports(_))
        ));
        assert_ne!(find(None, 0).await.unwrap(), base);
    }
}
