//! A Slack workspace for programs in any language: prints where it listens, and serves until it is
//! killed. It is driven over `/_control/`.

use clap::Parser;
use rollbot_fakes::slack::{APP_TOKEN, BOT_TOKEN, FakeSlack, OPS, SIGNING_SECRET, Settings};

/// A stand-in for Slack: Web API, Socket Mode, and people who act when told to.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// How long a rotation warns before it asks for a new socket, in milliseconds.
    #[arg(long, default_value_t = 10_000)]
    rotation_warning_ms: u64,
    /// Without limits on how much is posted.
    #[arg(long)]
    unlimited: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut settings = Settings {
        rotation_warning: std::time::Duration::from_millis(arguments.rotation_warning_ms),
        ..Settings::default()
    };
    if arguments.unlimited {
        settings.post_rate = None;
    }
    let slack = FakeSlack::listen(settings, &arguments.listen).await?;
    let hello = serde_json::json!({
        "base_url": slack.base_url(), "api_url": slack.api_url(), "bot_token": BOT_TOKEN,
        "app_token": APP_TOKEN, "signing_secret": SIGNING_SECRET, "channel": OPS,
    });
    println!("{hello}");
    tokio::signal::ctrl_c().await?;
    Ok(())
}
