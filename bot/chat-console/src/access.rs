//! Who somebody is: acting as a person in the demo, sessions made by login links, names given by a
//! trusted proxy.

use std::net::SocketAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::SignedDuration;
use rollbot_core::PersonId;
use rollbot_core::approval::Person;
use rollbot_core::console::ConsoleSession;
use rollbot_core::store::StoreError;
use sha2::Digest as _;

use crate::Console;
use crate::api::Refusal;
use crate::config::Access;

/// How long a login link works.
pub const LOGIN_LINK_LASTS: SignedDuration = SignedDuration::from_mins(15);
/// How long a session lasts.
pub const SESSION_LASTS: SignedDuration = SignedDuration::from_hours(12);

pub(crate) const ACT_AS_HEADER: &str = "rollbot-act-as";
const ACT_AS_COOKIE: &str = "rollbot_act_as";

/// Why there is no login link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    #[error("`{0}` is not in people.toml, and only people who are can log in")]
    Stranger(PersonId),
    #[error("the console does not work with login links: `access` says otherwise")]
    NotByLink,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a secret is for is part of its digest: a login link's cannot serve as a session's.
#[derive(Debug, Clone, Copy)]
enum Secret {
    Link,
    Session,
}

fn digest(purpose: Secret, secret: &str) -> String {
    let purpose = match purpose {
        Secret::Link => "link",
        Secret::Session => "session",
    };
    hex::encode(sha2::Sha256::digest(format!(
        "rollbot console {purpose}\n{secret}"
    )))
}

fn new_secret() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// What of a request says who sent it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub headers: &'a HeaderMap,
    /// The query's `as`.
    pub act_as: Option<&'a str>,
    pub peer: Option<SocketAddr>,
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

impl Console {
    /// Makes a link that logs this person in, once, within [`LOGIN_LINK_LASTS`]. Only a digest of
    /// its token is kept, so it cannot be shown a second time.
    ///
    /// # Errors
    /// Somebody who is not in `people.toml`; another kind of access; a store that does not answer.
    pub async fn login_link(&self, person: &PersonId) -> Result<String, LoginError> {
        if self.config.access != Access::Login {
            return Err(LoginError::NotByLink);
        }
        if self.people.get(person).is_none() {
            return Err(LoginError::Stranger(person.clone()));
        }
        let token = new_secret();
        let expires_at = self
            .clock
            .now()
            .saturating_add(LOGIN_LINK_LASTS)
            .unwrap_or_default();
        self.store
            .console_open_session(&ConsoleSession {
                token_digest: digest(Secret::Link, &token),
                person: person.clone(),
                expires_at,
            })
            .await?;
        Ok(format!(
            "{}/login?token={token}",
            self.config.public_url.trim_end_matches('/')
        ))
    }

    /// Whom a login link is for, if it still works. Does not use it up.
    pub(crate) async fn link_owner(&self, token: &str) -> Result<Option<Person>, StoreError> {
        if self.config.access != Access::Login {
            return Ok(None);
        }
        let found = self
            .store
            .console_session(&digest(Secret::Link, token), self.clock.now())
            .await?;
        Ok(found.and_then(|session| self.people.get(&session.person).cloned()))
    }

    /// Uses a login link up and opens a session. Returns the cookie that holds it.
    pub(crate) async fn log_in(
        &self,
        token: &str,
    ) -> Result<Option<(Person, HeaderValue)>, StoreError> {
        let _one_at_a_time = self.logins.lock().await;
        let Some(person) = self.link_owner(token).await? else {
            return Ok(None);
        };
        // The link goes first: a crash in between costs a new link, not a second use.
        self.store
            .console_close_session(&digest(Secret::Link, token))
            .await?;
        let secret = new_secret();
        self.store
            .console_open_session(&ConsoleSession {
                token_digest: digest(Secret::Session, &secret),
                person: person.id.clone(),
                expires_at: self
                    .clock
                    .now()
                    .saturating_add(SESSION_LASTS)
                    .unwrap_or_default(),
            })
            .await?;
        Ok(self
            .session_cookie(&secret, SESSION_LASTS.as_secs())
            .map(|cookie| (person, cookie)))
    }

    /// Ends the session that the cookie holds. Returns the cookie that removes it.
    pub(crate) async fn log_out(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<HeaderValue>, StoreError> {
        if let Some(secret) = cookie(headers, self.session_cookie_name()) {
            self.store
                .console_close_session(&digest(Secret::Session, secret))
                .await?;
        }
        Ok(self.session_cookie("", 0))
    }

    /// `__Host-` makes browsers insist on https, this host and no domain.
    fn session_cookie_name(&self) -> &'static str {
        if self.config.is_https() {
            "__Host-rollbot_session"
        } else {
            "rollbot_session"
        }
    }

    fn session_cookie(&self, secret: &str, seconds: i64) -> Option<HeaderValue> {
        self.cookie(self.session_cookie_name(), secret, seconds)
    }

    pub(crate) fn act_as_cookie(&self, person: &PersonId) -> Option<HeaderValue> {
        self.cookie(ACT_AS_COOKIE, &person.0, SESSION_LASTS.as_secs())
    }

    fn cookie(&self, name: &str, value: &str, seconds: i64) -> Option<HeaderValue> {
        let secure = if self.config.is_https() {
            "; Secure"
        } else {
            ""
        };
        HeaderValue::try_from(format!(
            "{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
        ))
        .ok()
    }

    /// The person who sent a request.
    ///
    /// # Errors
    /// 401 when nobody is logged in, 403 for acting as somebody outside the demo.
    pub(crate) async fn person_of(&self, claim: Claim<'_>) -> Result<Person, Refusal> {
        let asked = match claim.headers.get(ACT_AS_HEADER) {
            Some(value) => Some(value.to_str().unwrap_or("?")),
            None => claim.act_as,
        };
        let id = match &self.config.access {
            Access::Demo { people } => {
                let wish = asked
                    .or_else(|| cookie(claim.headers, ACT_AS_COOKIE))
                    .map(|id| PersonId(id.to_owned()));
                match wish {
                    Some(id) if people.contains(&id) => Some(id),
                    Some(id) if asked.is_some() => return Err(Refusal::not_in_demo(&id)),
                    // A cookie of another demo on this host.
                    _ => people.first().cloned(),
                }
            }
            _ if asked.is_some() => return Err(Refusal::only_in_demo()),
            Access::Login => match cookie(claim.headers, self.session_cookie_name()) {
                Some(secret) => self
                    .store
                    .console_session(&digest(Secret::Session, secret), self.clock.now())
                    .await?
                    .map(|session| session.person),
                None => None,
            },
            Access::TrustedHeader { header, from } => {
                let peer = claim.peer.map(|peer| peer.ip());
                let trusted = peer.is_some_and(|peer| from.iter().any(|net| net.contains(peer)));
                if trusted {
                    self.named_by_proxy(claim.headers, header)
                } else {
                    None
                }
            }
        };
        id.and_then(|id| self.people.get(&id).cloned())
            .ok_or_else(Refusal::not_logged_in)
    }

    /// A header that is there twice names nobody: one of the two may be the visitor's own.
    fn named_by_proxy(&self, headers: &HeaderMap, name: &str) -> Option<PersonId> {
        let mut values = headers.get_all(HeaderName::try_from(name).ok()?).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        let value = value.to_str().ok()?.trim();
        let by_key = self.people.get(&PersonId(value.to_owned()));
        let by_email = || {
            let mut owners = self.people.iter().filter(|person| {
                person
                    .email
                    .as_deref()
                    .is_some_and(|email| email.eq_ignore_ascii_case(value))
            });
            // An address that two people share says which of them it is for neither.
            owners.next().filter(|_| owners.next().is_none())
        };
        by_key.or_else(by_email).map(|person| person.id.clone())
    }
}
