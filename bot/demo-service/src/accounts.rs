//! Logins of `auth`. There is one account, and its sessions end with the process.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::journal::Journal;
use crate::market::now;
use crate::reply::Reply;
use crate::server::lock;

const USER: &str = "demo";
const PASSWORD: &str = "demo";
const LIFETIME: SignedDuration = SignedDuration::from_hours(1);
const SESSIONS: usize = 1_000;

pub struct Accounts {
    inner: Mutex<Inner>,
}

struct Inner {
    /// Who logged in and when, never with what.
    journal: Journal,
    sessions: VecDeque<Session>,
}

struct Session {
    token: String,
    until: Timestamp,
}

impl Accounts {
    pub fn open(data: &Path) -> io::Result<Self> {
        Ok(Self {
            inner: Mutex::new(Inner {
                journal: Journal::open(data.join("logins.jsonl"))?,
                sessions: VecDeque::new(),
            }),
        })
    }

    /// `{"token","user","expires_at"}`, or 401.
    pub fn login(&self, request: &Value) -> Reply {
        let right = request["user"] == json!(USER) && request["password"] == json!(PASSWORD);
        let mut inner = lock(&self.inner);
        let entry = json!({ "at": now(), "user": USER, "accepted": right });
        if let Err(error) = inner.journal.append(&entry) {
            return Reply::error(500, format!("the login could not be recorded: {error}"));
        }
        if !right {
            return Reply::error(401, "wrong user or password");
        }
        let token = match token() {
            Ok(token) => token,
            Err(error) => return Reply::error(500, format!("no random numbers: {error}")),
        };
        let Ok(until) = Timestamp::now().checked_add(LIFETIME) else {
            return Reply::error(500, "the clock is out of range");
        };
        if inner.sessions.len() == SESSIONS {
            inner.sessions.pop_front();
        }
        inner.sessions.push_back(Session {
            token: token.clone(),
            until,
        });
        Reply::ok(json!({ "token": token, "user": USER, "expires_at": until.to_string() }))
    }

    /// `{"user","expires_at"}` for `Authorization: Bearer TOKEN`, or 401.
    pub fn session(&self, authorization: Option<&str>) -> Reply {
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        let mut inner = lock(&self.inner);
        inner
            .sessions
            .retain(|session| session.until > Timestamp::now());
        match inner
            .sessions
            .iter()
            .find(|session| Some(session.token.as_str()) == token)
        {
            Some(session) => {
                Reply::ok(json!({ "user": USER, "expires_at": session.until.to_string() }))
            }
            None => Reply::error(401, "no such session; log in with POST /login")
                .with("WWW-Authenticate", "Bearer"),
        }
    }
}

fn token() -> io::Result<String> {
    let mut bytes = [0u8; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_login_gives_a_session_and_a_wrong_password_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(dir.path()).unwrap();
        let login = accounts.login(&json!({"user": "demo", "password": "demo"}));
        let bearer = format!("Bearer {}", login.body["token"].as_str().unwrap());
        assert_eq!(accounts.session(Some(&bearer)).status, 200);
        assert_eq!(accounts.session(None).status, 401);
        assert_eq!(accounts.login(&json!({"user": "demo"})).status, 401);
        let written = std::fs::read_to_string(dir.path().join("logins.jsonl")).unwrap();
        assert!(!written.contains(login.body["token"].as_str().unwrap()));
    }
}
