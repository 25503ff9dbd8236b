//! The command line. What only reads looks into the store itself; what changes something asks the
//! running bot over its socket, and obeys the same rules as chat.

mod args;
mod check;
mod operations;
mod people;
mod plan;
mod plugin;
mod remote;
mod show;
mod style;
mod template;
mod verify;

pub use args::{
    Cli, DemoArgs, DiscordVerb, EngineArg, LogFormat, PeopleVerb, ServeArgs, StandInArgs, Verb,
};
pub use show::{Timeline, in_words, timeline};
pub(crate) use style::{print_json, say};

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use rollbot_core::store::Store;

/// Makes one store of another.
pub type WrapStore = Arc<dyn Fn(Arc<dyn Store>) -> Arc<dyn Store> + Send + Sync>;

/// What a test may put between the bot and its parts. The product uses the default.
#[derive(Clone)]
pub struct Setup {
    /// Wraps the store that the bot works with.
    pub wrap_store: WrapStore,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            wrap_store: Arc::new(|store| store),
        }
    }
}

/// What a command ends with: exit status 0, 1 for "no", 2 for "could not".
pub type Ended = anyhow::Result<ExitCode>;

/// Does what the command line says.
///
/// # Errors
/// What kept it from doing so, for people.
pub async fn run(cli: Cli, setup: Setup) -> Ended {
    let config = cli.config.as_path();
    match cli.verb {
        Verb::Serve(args) => crate::serve::serve(config, args, setup).await,
        Verb::Demo(args) => crate::demo::demo(args, setup).await,
        Verb::Check(args) => check::check(config, args).await,
        Verb::Request(args) => remote::request(config, args).await,
        Verb::Vote(args) => remote::vote(config, args).await,
        Verb::Answer(args) => remote::answer(config, args).await,
        Verb::Cancel(args) => remote::cancel(config, args).await,
        Verb::Unlock(args) => remote::unlock(config, args).await,
        Verb::Login(args) => remote::login(config, args).await,
        Verb::Plan(args) => plan::plan(config, args).await,
        Verb::Operations(args) => operations::operations(config, args).await,
        Verb::Show(args) => show::show(config, args).await,
        Verb::Plugin(args) => plugin::plugin(args).await,
        Verb::Template(args) => template::template(config, args).await,
        Verb::Audit(args) => verify::audit(config, args).await,
        Verb::People(args) => match args.verb {
            PeopleVerb::Check(args) => people::check(config, args).await,
        },
        Verb::Discord(args) => match args.verb {
            DiscordVerb::Invite => invite(config),
        },
        Verb::StandInEngine(args) => crate::demo::stand_in(args).await,
    }
}

fn invite(directory: &Path) -> Ended {
    let config = crate::serve::load(directory)?;
    let Some(discord) = &config.discord else {
        anyhow::bail!(
            "there is no section [discord] in rollbot.toml: add it with the application's id"
        );
    };
    say(rollbot_chat_discord::invite_url(discord.application).as_str());
    Ok(ExitCode::SUCCESS)
}
