//! The stand-in for Discord as a program of its own: prints where it listens, then serves until it
//! is ended.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use rollbot_fakes::discord::{FakeDiscord, Options};

#[derive(Parser)]
#[command(about = "A stand-in for Discord: REST, gateway and interactions on this machine")]
struct Args {
    /// Where to listen; port 0 is any free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The bot's token that is accepted
    #[arg(long, default_value = "stand-in.token.of-rollbot")]
    token: String,
    /// Milliseconds between heartbeats that clients are told
    #[arg(long, default_value_t = 41_250)]
    heartbeat: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let fake = FakeDiscord::start(Options {
        listen: args.listen,
        token: args.token,
        heartbeat: Duration::from_millis(args.heartbeat),
    })
    .await?;
    println!("{}", fake.url());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
