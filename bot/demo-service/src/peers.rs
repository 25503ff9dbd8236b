//! Whether the other services can be reached from here.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client;
use crate::config::Peer;
use crate::reply::Reply;

const PATIENCE: Duration = Duration::from_millis(1500);

/// `{"peers":[{"name","url","reachable","deployment","ms"} or {...,"error"}],"reachable":n,
/// "unreachable":n}`. All peers are asked at the same time.
pub fn check(peers: &[Peer], registry: Option<&Path>) -> Reply {
    let registry = registry.map(|path| {
        std::fs::read(path)
            .map_err(|error| format!("{}: {error}", path.display()))
            .and_then(|text| {
                serde_json::from_slice::<Value>(&text)
                    .map_err(|error| format!("{}: {error}", path.display()))
            })
    });
    let results: Vec<Value> = std::thread::scope(|scope| {
        let threads: Vec<_> = peers
            .iter()
            .map(|peer| {
                let registry = &registry;
                (peer, scope.spawn(move || ask(peer, registry.as_ref())))
            })
            .collect();
        threads
            .into_iter()
            .map(|(peer, thread)| {
                thread.join().unwrap_or_else(
                    |_| json!({ "name": peer.name, "reachable": false, "error": "the check broke" }),
                )
            })
            .collect()
    });
    let reachable = results
        .iter()
        .filter(|result| result["reachable"] == json!(true))
        .count();
    Reply::ok(json!({
        "unreachable": results.len() - reachable,
        "reachable": reachable,
        "peers": results,
    }))
}

fn ask(peer: &Peer, registry: Option<&Result<Value, String>>) -> Value {
    // What the registry says goes before what was configured: that is what it is for.
    let urls = match registry {
        Some(Ok(entries)) => match registered(entries, &peer.name) {
            Some(url) => vec![url],
            None => peer.urls.clone(),
        },
        Some(Err(error)) => {
            return json!({ "name": peer.name, "reachable": false, "error": error });
        }
        None => peer.urls.clone(),
    };
    let mut problem = "no URL is known".to_owned();
    for url in urls {
        let begin = Instant::now();
        match client::get(&format!("{}/health", url.trim_end_matches('/')), PATIENCE) {
            Ok((200, body)) => {
                let health: Value = serde_json::from_str(&body).unwrap_or_default();
                if health["service"] == json!(peer.name) {
                    return json!({
                        "name": peer.name,
                        "url": url,
                        "reachable": true,
                        "deployment": health["deployment"],
                        "ms": begin.elapsed().as_millis() as u64,
                    });
                }
                problem = format!("{url} is not {}", peer.name);
            }
            Ok((status, body)) => {
                let said: Value = serde_json::from_str(&body).unwrap_or_default();
                problem = match said["error"].as_str() {
                    Some(error) => format!("{url} answers {status}: {error}"),
                    None => format!("{url} answers {status}"),
                };
            }
            Err(error) => problem = error,
        }
    }
    json!({ "name": peer.name, "reachable": false, "error": problem })
}

/// The value under the peer's name, in a registry of the shape `{"services":{"trade":{"value":
/// "http://..."}}}` or plainly `{"trade":"http://..."}`.
fn registered(registry: &Value, name: &str) -> Option<String> {
    let entry = registry
        .get("services")
        .and_then(|services| services.get(name))
        .or_else(|| registry.get(name))?;
    entry
        .as_str()
        .or_else(|| entry["value"].as_str())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_shapes_of_a_registry_are_understood() {
        let plain = json!({ "trade": "http://a" });
        let full = json!({ "services": { "trade": { "value": "http://b", "revision": 3 } } });
        assert_eq!(registered(&plain, "trade").unwrap(), "http://a");
        assert_eq!(registered(&full, "trade").unwrap(), "http://b");
        assert_eq!(registered(&full, "data"), None);
    }

    #[test]
    fn a_peer_nobody_answers_for_is_unreachable_and_says_why() {
        let peer = Peer {
            name: "trade".to_owned(),
            urls: vec!["http://127.0.0.1:1".to_owned()],
        };
        let reply = check(&[peer], None);
        assert_eq!(reply.body["unreachable"], 1);
        assert!(
            reply.body["peers"][0]["error"]
                .as_str()
                .unwrap()
                .contains("refused")
        );
    }
}
