//! Making the requests.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use reqwest::{Certificate, Client, ClientBuilder, redirect};
use tokio::{net::TcpStream, sync::OnceCell, time::timeout};

use crate::{
    CheckReport, Error, HttpCheck, Redactor, Settings, fault, judge,
    request::{self, Request},
};

/// What is shown of an answer, in bytes.
const EXCERPT: usize = 2_000;

const USER_AGENT: &str = concat!("rollbot/", env!("CARGO_PKG_VERSION"));

/// Makes checks. One serves all, also at the same time.
#[derive(Debug)]
pub struct Prober {
    settings: Settings,
    /// By name, for `{secret:NAME}` in headers.
    secrets: Secrets,
    redactor: Redactor,
    plain: Client,
    /// Made at the first `https` check: it reads the system's certificates, which takes its time.
    secure: OnceCell<Client>,
}

struct Secrets(BTreeMap<String, String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What came of a request.
#[derive(Default)]
struct Answer {
    status: Option<u16>,
    body: Vec<u8>,
    /// There was more than may be read.
    cut: bool,
    /// Why it is not complete.
    fault: Option<String>,
}

impl Prober {
    /// `secrets` are the values behind `{secret:NAME}` in headers, by name. They are redacted from
    /// everything that is reported, and so is what `redactor` knows.
    ///
    /// # Errors
    /// [`Error::Failed`] if no HTTP client can be made.
    pub fn new(
        settings: Settings,
        secrets: BTreeMap<String, String>,
        redactor: Redactor,
    ) -> Result<Self, Error> {
        // Fails if another part of the program was first, which is just as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            redactor: redactor.and(secrets.values().cloned()),
            secrets: Secrets(secrets),
            settings,
            plain: client(Client::builder().tls_certs_only([]))?,
            secure: OnceCell::new(),
        })
    }

    /// Makes the request and judges its answer. `idempotency_key` is sent as the `Idempotency-Key`
    /// header.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a check that cannot be sent or judged; [`Error::Failed`] if this
    /// machine's certificates cannot be used. No answer, or a wrong one, is no error.
    pub async fn http(
        &self,
        check: &HttpCheck,
        idempotency_key: Option<&str>,
    ) -> Result<CheckReport, Error> {
        request::wait(check.within, self.settings.longest_wait)?;
        let request = request::prepare(check, idempotency_key, &self.secrets.0)?;
        let client = match request.url.scheme() {
            "https" => {
                self.secure
                    .get_or_try_init(|| self.connect_securely())
                    .await?
            }
            _ => &self.plain,
        };
        let begun = Instant::now();
        let mut answer = Answer::default();
        let asked = self.ask(client, request, &mut answer);
        if timeout(check.within, asked).await.is_err() {
            let limit = judge::span(check.within);
            answer.fault = Some(match answer.status {
                None => format!("no answer within {limit}"),
                Some(_) => format!("the answer was not complete within {limit}"),
            });
        }
        let took = begun.elapsed();

        let mut problems = Vec::new();
        if let Some(problem) = answer
            .status
            .and_then(|got| judge::status(check.status, got))
        {
            // The body of an error page says nothing about the expectations; it is in the excerpt.
            problems.push(problem);
            problems.extend(answer.fault);
        } else if let Some(fault) = answer.fault {
            problems.push(fault);
        } else if answer.cut && !check.expect.is_empty() {
            problems.push(format!(
                "the answer is longer than {} bytes, too long to be judged",
                self.settings.most_body_bytes
            ));
        } else {
            problems.extend(judge::body(&answer.body, &check.expect, Timestamp::now()));
        }
        Ok(self.report(answer.status, took, problems, &answer.body))
    }

    /// Opens and closes a connection to `HOST:PORT`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an address that is none.
    pub async fn tcp(&self, address: &str, within: Duration) -> Result<CheckReport, Error> {
        request::wait(within, self.settings.longest_wait)?;
        let well_formed = address.parse::<SocketAddr>().is_ok()
            || address.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty()
                    && !host.contains([':', '/', '@', ' '])
                    && port.parse::<u16>().is_ok()
            });
        if !well_formed {
            return Err(Error::Invalid(format!(
                "{address:?} is not an address: it looks like 127.0.0.1:9003"
            )));
        }
        let begun = Instant::now();
        let problem = match timeout(within, TcpStream::connect(address)).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(fault::connecting(&error, address)),
            Err(_) => Some(format!(
                "no connection to {address} within {}",
                judge::span(within)
            )),
        };
        Ok(self.report(None, begun.elapsed(), problem.into_iter().collect(), &[]))
    }

    /// Fills the answer as far as it comes: a deadline cuts this off wherever it is.
    async fn ask(&self, client: &Client, request: Request, answer: &mut Answer) {
        let authority = request.authority;
        let mut sending = client
            .request(request.method, request.url)
            .headers(request.headers);
        if let Some(body) = request.body {
            sending = sending.body(body);
        }
        let mut response = match sending.send().await {
            Ok(response) => response,
            Err(error) => {
                answer.fault = Some(fault::describe(&error, &authority));
                return;
            }
        };
        answer.status = Some(response.status().as_u16());
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let room = self.settings.most_body_bytes - answer.body.len();
                    answer
                        .body
                        .extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
                    if chunk.len() > room {
                        answer.cut = true;
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    answer.fault = Some(fault::describe(&error, &authority));
                    return;
                }
            }
        }
    }

    async fn connect_securely(&self) -> Result<Client, Error> {
        let mut authorities = Vec::new();
        for path in &self.settings.certificate_authorities {
            let unusable = |why: String| {
                Error::Failed(format!(
                    "The certificate authorities in {} cannot be used: {why}",
                    path.display()
                ))
            };
            let pem = tokio::fs::read(path)
                .await
                .map_err(|e| unusable(e.to_string()))?;
            let found = Certificate::from_pem_bundle(&pem).map_err(|e| unusable(e.to_string()))?;
            if found.is_empty() {
                return Err(unusable("it holds no PEM certificate".to_owned()));
            }
            authorities.extend(found);
        }
        let merged = Client::builder().tls_certs_merge(authorities.clone());
        match client(merged) {
            Err(error) if authorities.is_empty() => Err(Error::Failed(format!(
                "{error}. Install the system's certificates (ca-certificates), or configure \
                 certificate authorities"
            ))),
            // A machine without certificates of its own can still trust those that are configured.
            Err(_) => client(Client::builder().tls_certs_only(authorities)),
            made => made,
        }
    }

    fn report(
        &self,
        status: Option<u16>,
        took: Duration,
        problems: Vec<String>,
        body: &[u8],
    ) -> CheckReport {
        CheckReport {
            passed: problems.is_empty(),
            status,
            took,
            problems: problems
                .iter()
                .map(|problem| visible(&self.redactor.redact(problem), EXCERPT))
                .collect(),
            // Redacted before it is cut: half a secret would not be recognised.
            excerpt: visible(
                &self.redactor.redact(&String::from_utf8_lossy(body)),
                EXCERPT,
            ),
        }
    }
}

/// A client that reports what this one server answers to this one request.
fn client(builder: ClientBuilder) -> Result<Client, Error> {
    builder
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .pool_max_idle_per_host(0)
        .build()
        .map_err(|error| {
            let root = fault::chain(&error)
                .last()
                .map_or_else(String::new, ToString::to_string);
            Error::Failed(format!("No HTTP client can be made: {root}"))
        })
}

/// At most `limit` bytes, with control characters spelt out. Line breaks and tabs remain.
fn visible(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        let piece: String = match c {
            '\n' | '\t' => c.to_string(),
            '\r' => continue,
            // Directional marks make a text look like another one.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => {
                c.escape_unicode().to_string()
            }
            c if c.is_control() => c.escape_unicode().to_string(),
            c => c.to_string(),
        };
        if shown.len() + piece.len() > limit {
            break;
        }
        shown.push_str(&piece);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_ends_at_a_character_and_shows_control_characters() {
        assert_eq!(visible("aé", 2), "a");
        assert_eq!(
            visible("a\x1b[2J\r\nb\u{202e}", 100),
            "a\\u{1b}[2J\nb\\u{202e}"
        );
    }
}
