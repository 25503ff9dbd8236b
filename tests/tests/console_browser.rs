//! The console in a real browser: typed, voted and watched by people who only have the page.
//!
//! `ROLLBOT_SCREENSHOTS=DIR` keeps what the browser showed.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use fantoccini::Locator;
use fantoccini::key::Key;
use rollbot_tests::browser::Browser;
use rollbot_tests::console::PATIENCE;
use rollbot_tests::demo::{Demo, Engine};
use rollbot_tests::eventually;

const BINARY: &str = env!("CARGO_BIN_EXE_rollbot-under-test");

async fn picture(browser: &Browser, name: &str) -> anyhow::Result<()> {
    let Some(directory) = std::env::var_os("ROLLBOT_SCREENSHOTS").map(PathBuf::from) else {
        return Ok(());
    };
    std::fs::create_dir_all(&directory)?;
    browser
        .screenshot(&directory.join(format!("{name}.png")))
        .await
}

/// Presses what is at `css` until `then` is there. The page draws a message anew when it changes,
/// and what was found a moment ago may be gone.
async fn press(browser: &Browser, css: &str, then: &str) -> anyhow::Result<()> {
    eventually(then, PATIENCE, || async {
        if browser.client.find(Locator::Css(then)).await.is_err() {
            browser
                .client
                .find(Locator::Css(css))
                .await?
                .click()
                .await?;
        }
        let wait = browser.client.wait().at_most(Duration::from_secs(3));
        Ok(wait.for_element(Locator::Css(then)).await.ok().map(|_| ()))
    })
    .await
}

/// Becomes somebody else with the demo's switch.
async fn act_as(browser: &Browser, person: &str) -> anyhow::Result<()> {
    let css = format!("#act-as [data-person={person}]");
    press(browser, &css, &format!("{css}[aria-checked=true]")).await
}

/// Presses ✅ under the request for votes, as whoever the page acts as.
async fn approve(browser: &Browser) -> anyhow::Result<()> {
    let css = "#timeline .chip.vote[data-key=reaction-white_check_mark]";
    press(browser, css, &format!("{css}.mine")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn three_people_roll_trade_back_with_nothing_but_the_page() -> anyhow::Result<()> {
    let demo = Demo::start(BINARY, Engine::StandIn).await?;
    let browser = Browser::start(1280, 900, true).await?;
    browser.client.goto(&demo.base()).await?;
    browser.text("#channel-name").await?;
    act_as(&browser, "ana").await?;
    let empty = browser.text("#empty").await?;
    ensure!(
        empty.contains("/rollback trade"),
        "the empty page does not say what to type: {empty}"
    );
    picture(&browser, "1-empty").await?;

    let field = browser.client.find(Locator::Css("#text")).await?;
    field.send_keys("/rollback tr").await?;
    let offered = browser.text("#options [role=option]").await?;
    ensure!(
        offered.contains("/rollback trade"),
        "completion offers {offered}"
    );
    picture(&browser, "2-completion").await?;
    field.clear().await?;
    field
        .send_keys("/rollback trade reason: orders failing")
        .await?;
    field.send_keys(&Key::Enter.to_string()).await?;
    let plan = browser.text("#timeline .meter-text").await?;
    ensure!(plan.contains("0 of 2"), "{plan}");
    picture(&browser, "3-plan").await?;

    act_as(&browser, "ben").await?;
    approve(&browser).await?;
    picture(&browser, "4-one-vote").await?;
    act_as(&browser, "cleo").await?;
    approve(&browser).await?;
    eventually("the run to close on the page", PATIENCE, || async {
        let text = browser.text("#timeline").await?;
        Ok(text.contains("Every target was observed").then_some(()))
    })
    .await?;
    picture(&browser, "5-closed").await?;

    let channel = browser
        .client
        .find(Locator::XPath(
            "//button[contains(@class,'channel')][contains(.,'announcements')]",
        ))
        .await?;
    channel.click().await?;
    eventually("the all-clear on the page", PATIENCE, || async {
        let text = browser.text("#timeline").await?;
        Ok(text.contains("Trading is back").then_some(()))
    })
    .await?;
    picture(&browser, "6-announcements").await?;
    browser.client.clone().close().await?;
    Ok(())
}
