//! Listening, dispatching, writing a little all the time, and ending in good order.

use std::fmt;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tiny_http::{Header, Method, Request, Response, Server};

use crate::accounts::Accounts;
use crate::backtests::Backtests;
use crate::config::{Config, Service};
use crate::faults::{Faults, Kind};
use crate::journal::Journal;
use crate::log;
use crate::market::{Market, now};
use crate::orders::Orders;
use crate::reply::Reply;
use crate::{catalogue, peers, signals};

/// Enough that a slow client or a slow fault leaves room for the health check.
const WORKERS: usize = 12;
const BODY_LIMIT: u64 = 64 * 1024;
/// What a request may still take after SIGTERM: the process must be gone within a second.
const DRAIN: Duration = Duration::from_millis(800);

/// Why the service could not start.
#[derive(Debug)]
pub enum ServeError {
    Signals(nix::Error),
    Data(String, io::Error),
    Listen(SocketAddr, io::Error),
    Http(String),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signals(error) => write!(f, "signals cannot be blocked: {error}"),
            Self::Data(path, error) => write!(f, "the data in {path} cannot be used: {error}"),
            Self::Listen(address, error) => write!(
                f,
                "cannot listen on {address}: {error}; stop whoever does, or choose another --port"
            ),
            Self::Http(error) => write!(f, "the HTTP server does not start: {error}"),
        }
    }
}

/// A lock that a broken thread does not take along: every value behind one is whole between calls.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Role {
    Auth(Accounts),
    Strategy,
    Backtest(Backtests),
    Trade(Orders),
    Data(Market),
    Mcp,
}

struct App {
    config: Config,
    started: Instant,
    role: Role,
    faults: Faults,
    /// What a service without rows or orders of its own writes regularly.
    activity: Mutex<Journal>,
    /// One for each address.
    servers: Mutex<Vec<Arc<Server>>>,
    active: AtomicUsize,
    draining: AtomicBool,
}

/// Runs until a signal ends it.
pub fn serve(config: Config) -> Result<(), ServeError> {
    let signals = signals::block().map_err(ServeError::Signals)?;
    // The port first: whoever lost it must not touch the data of whoever has it.
    let address = SocketAddr::new(config.host, config.port);
    let listener =
        TcpListener::bind(address).map_err(|error| ServeError::Listen(address, error))?;
    let address = listener
        .local_addr()
        .map_err(|error| ServeError::Listen(address, error))?;
    let app = Arc::new(App::open(config)?);
    let server = http(listener)?;
    app.log(format!(
        "listening on {address}, data in {}",
        app.config.data.display()
    ));
    work(&app, &server)?;
    let also = app.config.also_host.map(|host| {
        let (app, place) = (Arc::clone(&app), SocketAddr::new(host, address.port()));
        std::thread::Builder::new()
            .name("also".to_owned())
            .spawn(move || listen_also(&app, place))
    });
    also.transpose()
        .map_err(|error| ServeError::Http(error.to_string()))?;
    let writer = Arc::clone(&app);
    std::thread::Builder::new()
        .name("writer".to_owned())
        .spawn(move || writer.write_on())
        .map_err(|error| ServeError::Http(error.to_string()))?;

    loop {
        let signal = signals.wait().map_err(ServeError::Signals)?;
        if signal == Signal::SIGHUP {
            continue;
        }
        if signal == Signal::SIGTERM && app.faults.on(Kind::IgnoreSigterm) {
            app.log("SIGTERM ignored, as told");
            continue;
        }
        app.log(format!("{signal}: ending"));
        break;
    }
    app.draining.store(true, Ordering::SeqCst);
    for server in lock(&app.servers).iter() {
        for _ in 0..WORKERS {
            server.unblock();
        }
    }
    let end = Instant::now() + DRAIN;
    while app.active.load(Ordering::SeqCst) > 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    match app.active.load(Ordering::SeqCst) {
        0 => app.log("ended, no request left"),
        left => app.log(format!("ended, {left} requests were cut")),
    }
    Ok(())
}

/// Starts the threads that answer.
fn work(app: &Arc<App>, server: &Arc<Server>) -> Result<(), ServeError> {
    for number in 0..WORKERS {
        let (app, server) = (Arc::clone(app), Arc::clone(server));
        std::thread::Builder::new()
            .name(format!("http-{number}"))
            .spawn(move || app.work(&server))
            .map_err(|error| ServeError::Http(error.to_string()))?;
    }
    lock(&app.servers).push(Arc::clone(server));
    Ok(())
}

/// Listens at a second address as soon as that is possible: the address of a bridge comes with its
/// container engine, which may start later than this service.
fn listen_also(app: &Arc<App>, address: SocketAddr) {
    let mut said = false;
    while !app.draining.load(Ordering::SeqCst) {
        let listening = TcpListener::bind(address)
            .map_err(|error| ServeError::Listen(address, error))
            .and_then(http)
            .and_then(|server| work(app, &server));
        match listening {
            Ok(()) => {
                app.log(format!("listening on {address}"));
                return;
            }
            Err(error) if !said => app.log(format!("not yet: {error}")),
            Err(_) => {}
        }
        said = true;
        std::thread::sleep(Duration::from_secs(2));
    }
}

fn http(listener: TcpListener) -> Result<Arc<Server>, ServeError> {
    Server::from_listener(listener, None)
        .map(Arc::new)
        .map_err(|error| ServeError::Http(error.to_string()))
}

impl App {
    fn open(config: Config) -> Result<Self, ServeError> {
        let data = config.data.clone();
        let failed = |error| ServeError::Data(data.display().to_string(), error);
        std::fs::create_dir_all(&data).map_err(failed)?;
        let role = match config.service {
            Service::Auth => Role::Auth(Accounts::open(&data).map_err(failed)?),
            Service::Strategy => Role::Strategy,
            Service::Backtest => Role::Backtest(Backtests::open(&data).map_err(failed)?),
            Service::Trade => Role::Trade(Orders::open(&data, config.deployment).map_err(failed)?),
            Service::Data => Role::Data(Market::open(&data, config.deployment).map_err(failed)?),
            Service::Mcp => Role::Mcp,
        };
        let activity = Journal::open(data.join("activity.jsonl")).map_err(failed)?;
        Ok(Self {
            started: Instant::now(),
            role,
            faults: Faults::default(),
            activity: Mutex::new(activity),
            servers: Mutex::default(),
            active: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            config,
        })
    }

    fn log(&self, text: impl fmt::Display) {
        log::line(format_args!(
            "{} ({}) {text}",
            self.config.service.name(),
            self.config.deployment.name()
        ));
    }

    /// Rows every second, orders every five, a sign of life every two.
    fn write_on(&self) {
        for second in 1_u64.. {
            std::thread::sleep(Duration::from_secs(1));
            if self.draining.load(Ordering::SeqCst) {
                return;
            }
            let written = match &self.role {
                Role::Data(market) if !self.faults.on(Kind::StaleRows) => market.write(),
                Role::Trade(orders)
                    if second.is_multiple_of(5) && !self.faults.on(Kind::RejectOrders) =>
                {
                    orders.trade_on()
                }
                _ => Ok(()),
            };
            let written = match written {
                Ok(()) if second.is_multiple_of(2) => lock(&self.activity).append(&json!({
                    "at": now(),
                    "service": self.config.service.name(),
                    "deployment": self.config.deployment.name(),
                    "uptime_ms": self.started.elapsed().as_millis() as u64,
                })),
                other => other,
            };
            if let Err(error) = written {
                self.log(format!("data could not be written: {error}"));
            }
        }
    }

    fn work(&self, server: &Server) {
        while let Ok(request) = server.recv() {
            self.handle(request);
        }
        // Woken to end: what was accepted before is still answered.
        while let Ok(Some(request)) = server.try_recv() {
            self.handle(request);
        }
    }

    fn handle(&self, mut request: Request) {
        self.active.fetch_add(1, Ordering::SeqCst);
        let begin = Instant::now();
        let method = request.method().clone();
        let url = request.url().to_owned();
        let reply = self.answer(&mut request);
        let status = reply.status;
        let response = render(reply, self.draining.load(Ordering::SeqCst));
        if let Err(error) = request.respond(response) {
            self.log(format!(
                "{method} {} was not delivered: {error}",
                shown(&url)
            ));
        } else if !(status == 200 && path(&url).ends_with("/health")) {
            // Health checks come every second or two and would bury the rest.
            self.log(format!(
                "{method} {} {status} {} ms",
                shown(&url),
                begin.elapsed().as_millis()
            ));
        }
        self.active.fetch_sub(1, Ordering::SeqCst);
    }

    fn answer(&self, request: &mut Request) -> Reply {
        let url = request.url().to_owned();
        let mut segments: Vec<&str> = path(&url)
            .split('/')
            .filter(|part| !part.is_empty())
            .collect();
        let (own, other) = (self.config.deployment, self.config.deployment.other());
        match segments.first() {
            Some(first) if *first == own.name() => {
                segments.remove(0);
            }
            Some(first) if *first == other.name() => {
                return Reply::error(
                    421,
                    format!(
                        "this is the {} deployment of {}, not the {} one",
                        own.name(),
                        self.config.service.name(),
                        other.name()
                    ),
                );
            }
            _ => {}
        }
        let control = segments.first() == Some(&"demo");
        if !control && let Some(delay) = self.faults.get(Kind::Slow) {
            std::thread::sleep(delay);
        }
        let body = match read_body(request) {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        let get = matches!(request.method(), Method::Get | Method::Head);
        let post = *request.method() == Method::Post;
        if control {
            return self.control(request, &segments, get, post, &body);
        }
        match (&self.role, segments.as_slice()) {
            (_, ["health"]) if get => self.health(),
            (_, ["peers"]) if get => {
                peers::check(&self.config.peers, self.config.registry.as_deref())
            }
            (Role::Auth(accounts), ["login"]) if post => accounts.login(&body),
            (Role::Auth(accounts), ["session"]) if get => {
                accounts.session(header(request, "Authorization").as_deref())
            }
            (Role::Strategy, ["strategies"]) if get => catalogue::strategies(&self.config.data),
            (Role::Backtest(jobs), ["jobs"]) if post => jobs.submit(&body),
            (Role::Backtest(jobs), ["jobs", id]) if get => jobs.get(id),
            (Role::Trade(orders), ["orders", "in-flight"]) if get => orders.in_flight(),
            (Role::Trade(orders), ["paper", "orders"]) if post => orders.execute(
                &body,
                header(request, "Idempotency-Key").as_deref(),
                self.faults.on(Kind::RejectOrders),
            ),
            (Role::Data(market), ["series", "latest"]) if get => {
                market.latest(parameter(&url, "limit"), self.faults.get(Kind::StaleRows))
            }
            (Role::Mcp, ["tools"]) if get => catalogue::tools(&self.config.data),
            (role, known) if role.knows(known) => Reply::error(405, "not with this method"),
            _ => Reply::error(
                404,
                format!(
                    "{} has no {}",
                    self.config.service.name(),
                    shown(path(&url))
                ),
            ),
        }
    }

    fn health(&self) -> Reply {
        let failing = self.faults.on(Kind::FailHealth);
        Reply::new(
            if failing { 503 } else { 200 },
            json!({
                "service": self.config.service.name(),
                "deployment": self.config.deployment.name(),
                "version": env!("CARGO_PKG_VERSION"),
                "uptime_ms": self.started.elapsed().as_millis() as u64,
                "status": if failing { "failing" } else { "ok" },
                "pid": std::process::id(),
                "data": self.config.data.display().to_string(),
            }),
        )
    }

    fn control(
        &self,
        request: &Request,
        segments: &[&str],
        get: bool,
        post: bool,
        body: &Value,
    ) -> Reply {
        if !self.config.demo_controls {
            return Reply::error(404, "the controls are off; start with --demo-controls");
        }
        // A page in somebody's browser must not play with them.
        if header(request, "Origin").is_some() {
            return Reply::error(403, "not from a web page");
        }
        match (&self.role, segments) {
            (role, ["demo"]) if get => Reply::ok(json!({
                "faults": self.faults.names(),
                "in_flight": match role {
                    Role::Trade(orders) => orders.in_flight().body["count"].clone(),
                    _ => Value::Null,
                },
            })),
            (_, ["demo", "fault"]) if post => self.faults.set(body),
            (Role::Trade(orders), ["demo", "in-flight"]) if post => orders.set_in_flight(body),
            _ => Reply::error(
                404,
                "the controls are /demo, /demo/fault and, of trade, /demo/in-flight",
            ),
        }
    }
}

impl Role {
    fn knows(&self, path: &[&str]) -> bool {
        matches!(
            (self, path),
            (_, ["health"] | ["peers"])
                | (Self::Auth(_), ["login"] | ["session"])
                | (Self::Strategy, ["strategies"])
                | (Self::Backtest(_), ["jobs"] | ["jobs", _])
                | (
                    Self::Trade(_),
                    ["orders", "in-flight"] | ["paper", "orders"]
                )
                | (Self::Data(_), ["series", "latest"])
                | (Self::Mcp, ["tools"])
        )
    }
}

/// The body as JSON; nothing is an empty object.
fn read_body(request: &mut Request) -> Result<Value, Reply> {
    if !matches!(request.method(), Method::Post) {
        return Ok(json!({}));
    }
    let mut body = Vec::new();
    if let Err(error) = request
        .as_reader()
        .take(BODY_LIMIT + 1)
        .read_to_end(&mut body)
    {
        return Err(Reply::error(
            400,
            format!("the body could not be read: {error}"),
        ));
    }
    if body.len() as u64 > BODY_LIMIT {
        return Err(Reply::error(
            413,
            format!("the body is longer than {BODY_LIMIT} bytes"),
        ));
    }
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(json!({}));
    }
    match serde_json::from_slice::<Value>(&body) {
        Ok(value) if value.is_object() => Ok(value),
        Ok(_) => Err(Reply::error(400, "the body must be a JSON object")),
        Err(error) => Err(Reply::error(400, format!("the body is not JSON: {error}"))),
    }
}

fn render(reply: Reply, last: bool) -> Response<io::Cursor<Vec<u8>>> {
    let mut response = Response::from_data(reply.body.to_string()).with_status_code(reply.status);
    let headers = [("Content-Type", "application/json".to_owned())]
        .into_iter()
        .chain(last.then(|| ("Connection", "close".to_owned())))
        .chain(reply.headers);
    for (name, value) in headers {
        if let Ok(header) = Header::from_bytes(name, value) {
            response.add_header(header);
        }
    }
    response
}

fn header(request: &Request, name: &'static str) -> Option<String> {
    request
        .headers()
        .iter()
        .find(|header| header.field.equiv(name))
        .map(|header| header.value.as_str().to_owned())
}

fn path(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

fn parameter<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = url.split_once('?')?;
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// What a stranger sent, fit for one line of a log.
fn shown(url: &str) -> String {
    url.chars()
        .take(200)
        .map(|character| {
            if character.is_control() {
                '?'
            } else {
                character
            }
        })
        .collect()
}
