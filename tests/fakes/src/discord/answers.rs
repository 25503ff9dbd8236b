//! What a route says: JSON, nothing, or a refusal with Discord's own code.

use serde_json::{Value, json};

#[derive(Debug, Clone)]
pub(super) enum Reply {
    Json(u16, Value),
    Empty,
}

impl Reply {
    pub fn ok(json: Value) -> Answered {
        Ok(Self::Json(200, json))
    }
}

/// Why something is not done.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub status: u16,
    pub code: u32,
    pub message: String,
    pub errors: Option<Value>,
}

pub(super) type Answered = Result<Reply, Refusal>;

impl Refusal {
    pub fn new(status: u16, code: u32, message: &str) -> Self {
        Self {
            status,
            code,
            message: message.to_owned(),
            errors: None,
        }
    }

    pub fn unauthorised() -> Self {
        Self::new(401, 0, "401: Unauthorized")
    }

    pub fn no_route() -> Self {
        Self::new(404, 0, "404: Not Found")
    }

    pub fn unknown_channel() -> Self {
        Self::new(404, 10003, "Unknown Channel")
    }

    pub fn unknown_message() -> Self {
        Self::new(404, 10008, "Unknown Message")
    }

    pub fn unknown_user() -> Self {
        Self::new(404, 10013, "Unknown User")
    }

    pub fn unknown_webhook() -> Self {
        Self::new(404, 10015, "Unknown Webhook")
    }

    pub fn missing_access() -> Self {
        Self::new(403, 50001, "Missing Access")
    }

    pub fn missing_permissions() -> Self {
        Self::new(403, 50013, "Missing Permissions")
    }

    pub fn json(&self) -> Value {
        let mut json = json!({"message": self.message, "code": self.code});
        if let (Value::Object(fields), Some(errors)) = (&mut json, &self.errors) {
            fields.insert("errors".to_owned(), errors.clone());
        }
        json
    }
}
