//! Lists that `strategy` and `mcp` hand out, from a file in the data directory where there is one.

use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};

use crate::reply::Reply;

const LIMIT: u64 = 1024 * 1024;

/// `{"count","strategies":[{"name","symbol","enabled"}]}`
pub fn strategies(data: &Path) -> Reply {
    list(
        data,
        "strategies",
        json!([
            { "name": "sma-cross", "symbol": "BTC-USD", "enabled": true },
            { "name": "mean-reversion", "symbol": "ETH-USD", "enabled": true },
            { "name": "breakout", "symbol": "SOL-USD", "enabled": false },
        ]),
    )
}

/// `{"count","tools":[{"name","description"}]}`
pub fn tools(data: &Path) -> Reply {
    list(
        data,
        "tools",
        json!([
            { "name": "paper-trading", "description": "Place and read paper orders" },
            { "name": "portfolio-management", "description": "Positions and exposure" },
            { "name": "reporting", "description": "Profit and loss by period" },
            { "name": "risk-management", "description": "Limits and their use" },
            { "name": "strategy-execution", "description": "Start and stop strategies" },
        ]),
    )
}

fn list(data: &Path, name: &str, otherwise: Value) -> Reply {
    let path = data.join(format!("{name}.json"));
    let list = match std::fs::File::open(&path) {
        Ok(file) => match serde_json::from_reader::<_, Value>(file.take(LIMIT)) {
            Ok(list) if list.is_array() => list,
            Ok(_) => return Reply::error(500, format!("{name}.json is not a list")),
            Err(error) => return Reply::error(500, format!("{name}.json is damaged: {error}")),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => otherwise,
        Err(error) => return Reply::error(500, format!("{name}.json cannot be read: {error}")),
    };
    let count = list.as_array().map_or(0, Vec::len);
    Reply::ok(json!({ "count": count, name: list }))
}
