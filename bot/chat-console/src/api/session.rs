//! Who the visitor is, and how they come in and leave.

use axum::Json;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use rollbot_core::PersonId;
use rollbot_core::approval::Person;
use serde::Deserialize;

use super::{Actor, Body, Refusal, Served, Visitor};
use crate::config::Access;
use crate::html::escape_html;
use crate::marks::EMOJI;
use crate::view::PersonView;
use crate::{Console, assets, guard};

fn about(console: &Console, person: &Person) -> serde_json::Value {
    let config = console.config();
    let access = match config.access {
        Access::Demo { .. } => "demo",
        Access::Login => "login",
        Access::TrustedHeader { .. } => "proxy",
    };
    let channels: Vec<_> = config
        .channels
        .iter()
        .map(|channel| {
            serde_json::json!({
                "name": channel.name,
                "about": channel.about,
                "announcements": channel.announcements,
            })
        })
        .collect();
    let emoji: serde_json::Map<_, _> = EMOJI
        .iter()
        .map(|(name, sign)| ((*name).to_owned(), (*sign).into()))
        .collect();
    serde_json::json!({
        "person": PersonView::from(person),
        "access": access,
        "title": config.title,
        "product": config.product,
        "channels": channels,
        "emoji": emoji,
        "instance": console.instance,
        "version": *assets::VERSION,
    })
}

pub(super) async fn me(
    State(served): State<Served>,
    Visitor(person): Visitor,
) -> Json<serde_json::Value> {
    Json(about(&served.console, &person))
}

pub(super) async fn people(State(served): State<Served>) -> Result<Response, Refusal> {
    let Access::Demo { people } = &served.console.config().access else {
        return Err(Refusal::only_in_demo());
    };
    let people: Vec<PersonView> = people
        .iter()
        .filter_map(|id| served.console.people.get(id))
        .map(Into::into)
        .collect();
    Ok(Json(serde_json::json!({ "people": people })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ActAs {
    person: PersonId,
}

pub(super) async fn act_as(
    State(served): State<Served>,
    Body(body): Body<ActAs>,
) -> Result<Response, Refusal> {
    let console = &served.console;
    let Access::Demo { people } = &console.config().access else {
        return Err(Refusal::only_in_demo());
    };
    let person = console
        .people
        .get(&body.person)
        .filter(|person| people.contains(&person.id))
        .ok_or_else(|| Refusal::not_in_demo(&body.person))?;
    let cookie = console
        .act_as_cookie(&person.id)
        .ok_or_else(|| Refusal::bad("person", "this person's key cannot be put into a cookie"))?;
    Ok(([(header::SET_COOKIE, cookie)], Json(about(console, person))).into_response())
}

#[derive(Deserialize)]
pub(super) struct Token {
    #[serde(default)]
    token: String,
}

/// A page with one button. Opening it changes nothing, so that programs which look at links (mail
/// scanners, previews in a chat) do not use the login up.
pub(super) async fn login_page(
    State(served): State<Served>,
    link: Result<Query<Token>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(link) = link.map_err(|error| Refusal::query(&error))?;
    let owner = served.console.link_owner(&link.token).await?;
    let title = &served.console.config().title;
    let (status, main) = match owner {
        Some(person) => (
            StatusCode::OK,
            format!(
                "<h1>Log in to {title}</h1><p>This link logs you in as <strong>{name}</strong>, \
                 once. If that is not you, close this page.</p><form method=\"post\" \
                 action=\"/login\"><input type=\"hidden\" name=\"token\" value=\"{token}\">\
                 <button class=\"primary\" autofocus>Log in as {name}</button></form>",
                title = quoted(title),
                name = quoted(&person.name),
                token = quoted(&link.token),
            ),
        ),
        None => (StatusCode::GONE, gone()),
    };
    Ok((status, assets::login(&quoted(title), &main)).into_response())
}

fn gone() -> String {
    "<h1>This link does not work any more</h1><p>A login link works once, and for a quarter of an \
     hour. Ask whoever runs rollbot for another one.</p>"
        .to_owned()
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    escape_html(text, &mut out);
    out
}

pub(super) async fn log_in(
    State(served): State<Served>,
    link: Result<Form<Token>, FormRejection>,
) -> Result<Response, Refusal> {
    let Form(link) =
        link.map_err(|error| Refusal::new(error.status(), "body", error.body_text()))?;
    let console = &served.console;
    console
        .rates
        .take("\nlogin", guard::LOGINS, console.clock.now())
        .map_err(Refusal::too_fast)?;
    match console.log_in(&link.token).await? {
        Some((person, cookie)) => {
            tracing::info!(person = %person.id, "logged in to the console");
            Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response())
        }
        None => {
            let title = quoted(&console.config().title);
            Ok((StatusCode::GONE, assets::login(&title, &gone())).into_response())
        }
    }
}

pub(super) async fn log_out(
    State(served): State<Served>,
    Actor(_): Actor,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Some(cookie) = served.console.log_out(&headers).await? {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}
