//! The paper book of `trade`: orders that are executed at once, at a made-up price, and never twice
//! for one idempotency key.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::config::Deployment;
use crate::journal::Journal;
use crate::market::{now, reference_price};
use crate::reply::Reply;
use crate::server::lock;

/// Keys older than this many orders are forgotten, here and after a restart.
const KEYS: usize = 50_000;
const IN_FLIGHT: u64 = 100;

pub struct Orders {
    deployment: Deployment,
    book: Mutex<Book>,
    in_flight: Mutex<Option<InFlight>>,
}

struct Book {
    journal: Journal,
    next: u64,
    by_key: HashMap<String, Value>,
    keys: VecDeque<String>,
}

struct InFlight {
    orders: Vec<Value>,
    until: Instant,
}

impl Book {
    fn remember(&mut self, key: &str, order: Value) {
        if self.by_key.insert(key.to_owned(), order).is_none() {
            self.keys.push_back(key.to_owned());
        }
        if self.keys.len() > KEYS
            && let Some(oldest) = self.keys.pop_front()
        {
            self.by_key.remove(&oldest);
        }
    }

    fn number(&mut self, deployment: Deployment) -> String {
        let number = self.next;
        self.next += 1;
        format!("paper-{}-{number:06}", deployment.name())
    }
}

impl Orders {
    pub fn open(data: &Path, deployment: Deployment) -> io::Result<Self> {
        let mut book = Book {
            journal: Journal::open(data.join("orders.jsonl"))?,
            next: 1,
            by_key: HashMap::new(),
            keys: VecDeque::new(),
        };
        let mut known = Vec::new();
        let prefix = format!("paper-{}-", deployment.name());
        let mut next = 1;
        book.journal.replay(|order| {
            if let Some(number) = order["id"]
                .as_str()
                .and_then(|id| id.strip_prefix(&prefix))
                .and_then(|number| number.parse::<u64>().ok())
            {
                next = next.max(number + 1);
            }
            if let Some(key) = order["idempotency_key"].as_str() {
                known.push((key.to_owned(), order));
            }
        })?;
        book.next = next;
        for (key, order) in known {
            book.remember(&key, order);
        }
        Ok(Self {
            deployment,
            book: Mutex::new(book),
            in_flight: Mutex::new(None),
        })
    }

    /// Executes an order, or answers with the one that was executed under the same key before.
    /// `{"symbol","side","quantity"}`, each of which may be left out.
    pub fn execute(&self, request: &Value, key: Option<&str>, rejecting: bool) -> Reply {
        if let Some(key) = key
            && (key.is_empty() || key.len() > 255 || !key.bytes().all(|b| b.is_ascii_graphic()))
        {
            return Reply::error(
                400,
                "Idempotency-Key must be 1 to 255 visible ASCII characters",
            );
        }
        let symbol = request["symbol"].as_str().unwrap_or("BTC-USD");
        let side = request["side"].as_str().unwrap_or("buy");
        let quantity = match &request["quantity"] {
            Value::Null => 0.001,
            value => value.as_f64().unwrap_or_default(),
        };
        let Some(price) = reference_price(symbol) else {
            return Reply::error(400, format!("symbol {symbol:?} is not traded here"));
        };
        if !matches!(side, "buy" | "sell") {
            return Reply::error(400, format!("side is {side:?}, but must be buy or sell"));
        }
        if !(quantity > 0.0 && quantity <= 1_000.0) {
            return Reply::error(400, "quantity must be above 0 and at most 1000");
        }

        // One order at a time: of two requests with one key the second must see the first.
        let mut book = lock(&self.book);
        if let Some(order) = key.and_then(|key| book.by_key.get(key)) {
            if order["symbol"] != json!(symbol)
                || order["side"] != json!(side)
                || order["quantity"] != json!(quantity)
            {
                return Reply::error(
                    422,
                    "this Idempotency-Key was used for another order; use a new one",
                );
            }
            return Reply::ok(order.clone()).with("Idempotent-Replayed", "true");
        }
        if rejecting {
            // Not recorded: the same key may succeed once the fault is over.
            return Reply::new(
                422,
                json!({ "id": Value::Null, "state": "rejected", "symbol": symbol, "side": side,
                        "quantity": quantity, "reason": "the matching engine refuses all orders" }),
            );
        }
        let mut order = json!({
            "id": book.number(self.deployment),
            "state": "filled",
            "symbol": symbol,
            "side": side,
            "quantity": quantity,
            "price": price,
            "filled_at": now(),
            "deployment": self.deployment.name(),
        });
        if let Some(key) = key {
            order["idempotency_key"] = json!(key);
        }
        // Durable before it is answered: a filled order must not be executed again after a crash.
        if let Err(error) = book
            .journal
            .append(&order)
            .and_then(|()| book.journal.sync())
        {
            return Reply::error(500, format!("the order could not be written: {error}"));
        }
        if let Some(key) = key {
            book.remember(key, order.clone());
        }
        Reply::ok(order)
    }

    /// What the platform's own strategies do all the time: one more order.
    pub fn trade_on(&self) -> io::Result<()> {
        let mut book = lock(&self.book);
        let symbol = crate::market::SYMBOLS[(book.next % 3) as usize];
        let order = json!({
            "id": book.number(self.deployment),
            "state": "filled",
            "symbol": symbol,
            "side": if book.next.is_multiple_of(2) { "buy" } else { "sell" },
            "quantity": 0.01,
            "price": reference_price(symbol),
            "filled_at": now(),
            "deployment": self.deployment.name(),
            "origin": "strategy",
        });
        book.journal.append(&order)
    }

    /// `{"count","orders":[{"id","symbol","side","quantity","state":"working"}]}`
    pub fn in_flight(&self) -> Reply {
        let mut in_flight = lock(&self.in_flight);
        if in_flight
            .as_ref()
            .is_some_and(|orders| orders.until <= Instant::now())
        {
            *in_flight = None;
        }
        let orders = in_flight
            .as_ref()
            .map(|orders| orders.orders.clone())
            .unwrap_or_default();
        Reply::ok(json!({ "count": orders.len(), "orders": orders }))
    }

    /// Puts `count` orders in flight, for `for_ms`.
    pub fn set_in_flight(&self, request: &Value) -> Reply {
        let Some(count) = request["count"]
            .as_u64()
            .filter(|count| *count <= IN_FLIGHT)
        else {
            return Reply::error(400, format!("count must be a number from 0 to {IN_FLIGHT}"));
        };
        let time =
            Duration::from_millis(request["for_ms"].as_u64().unwrap_or(5_000).min(86_400_000));
        let orders = (1..=count)
            .map(|number| {
                json!({ "id": format!("working-{number:03}"), "symbol": "BTC-USD", "side": "buy",
                        "quantity": 0.05, "state": "working" })
            })
            .collect();
        *lock(&self.in_flight) = Some(InFlight {
            orders,
            until: Instant::now() + time,
        });
        self.in_flight()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_gives_the_same_order_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let orders = Orders::open(dir.path(), Deployment::Native).unwrap();
        let first = orders.execute(&json!({}), Some("k1"), false);
        orders.trade_on().unwrap();
        let again = orders.execute(&json!({}), Some("k1"), true);
        assert_eq!(first.body, again.body);
        drop(orders);
        let orders = Orders::open(dir.path(), Deployment::Native).unwrap();
        assert_eq!(
            orders.execute(&json!({}), Some("k1"), false).body,
            first.body
        );
        let other = orders.execute(&json!({}), Some("k2"), false);
        assert_eq!(other.body["id"], "paper-native-000003");
        let reused = orders.execute(&json!({"side": "sell"}), Some("k1"), false);
        assert_eq!(reused.status, 422);
    }

    #[test]
    fn a_rejected_order_does_not_use_up_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let orders = Orders::open(dir.path(), Deployment::Docker).unwrap();
        let rejected = orders.execute(&json!({}), Some("k"), true);
        assert_eq!(
            (rejected.status, &rejected.body["state"]),
            (422, &json!("rejected"))
        );
        let filled = orders.execute(&json!({}), Some("k"), false);
        assert_eq!(filled.body["state"], "filled");
    }

    #[test]
    fn an_order_that_makes_no_sense_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let orders = Orders::open(dir.path(), Deployment::Native).unwrap();
        for request in [
            json!({"symbol": "GOLD"}),
            json!({"side": "hold"}),
            json!({"quantity": -1}),
            json!({"quantity": "many"}),
        ] {
            assert_eq!(
                orders.execute(&request, None, false).status,
                400,
                "{request}"
            );
        }
        assert_eq!(orders.execute(&json!({}), Some("a b"), false).status, 400);
    }

    #[test]
    fn orders_in_flight_end_by_themselves() {
        let dir = tempfile::tempdir().unwrap();
        let orders = Orders::open(dir.path(), Deployment::Native).unwrap();
        assert_eq!(orders.set_in_flight(&json!({"count": 2})).body["count"], 2);
        orders.set_in_flight(&json!({"count": 2, "for_ms": 0}));
        assert_eq!(orders.in_flight().body["count"], 0);
    }
}
