//! What can be typed, and the help for it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rollbot_core::OperationId;

/// Rollbacks, driven from chat: planned, approved by people, carried out, verified, announced.
#[derive(Debug, Parser)]
#[command(
    name = "rollbot",
    version,
    max_term_width = 100,
    after_help = "Try it without any account or server:  rollbot demo\nBefore the first start:                rollbot check --config config"
)]
pub struct Cli {
    /// Directory with rollbot.toml, services.toml and people.toml.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "/etc/rollbot",
        env = "ROLLBOT_CONFIG"
    )]
    pub config: PathBuf,

    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the bot: chat, console, control socket, and whatever was under way when it last ended.
    Serve(ServeArgs),
    /// Play the main job on this machine: a real service, a real container, a chat in the browser.
    Demo(DemoArgs),
    /// Check configuration, templates, plugins and people, without changing anything.
    Check(CheckArgs),
    /// Ask for a rollback, as `/rollback` does in chat.
    Request(RequestArgs),
    /// Vote on the plan of an operation, or take the vote back.
    Vote(VoteArgs),
    /// Answer the question of a paused operation.
    Answer(AnswerArgs),
    /// End an operation that has not started, or stop one before its next effect.
    Cancel(CancelArgs),
    /// Release the lock that an operation left on a service.
    Unlock(UnlockArgs),
    /// Print a link that logs you in to the web console, once.
    Login(LoginArgs),
    /// Make the plan for a service and show it. Reads only; nobody is asked.
    Plan(PlanArgs),
    /// List operations, newest first.
    Operations(OperationsArgs),
    /// The timeline of an operation: steps, votes, messages, who and when. Needs no running bot.
    Show(ShowArgs),
    /// Plugins: what they want, what they offer, which host functions there are.
    Plugin(PluginArgs),
    /// Templates: what a message looks like.
    Template(TemplateArgs),
    /// The audit log: check its hash chains.
    Audit(AuditArgs),
    /// People: whether their accounts are who they should be. Asks Slack and Discord.
    People(PeopleArgs),
    /// Discord: the link that invites the bot.
    Discord(DiscordArgs),
    /// Speak the Docker Engine's API over plain processes, where there is no Docker. For `demo`.
    #[command(hide = true)]
    StandInEngine(StandInArgs),
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// How log lines are written.
    #[arg(long, value_enum)]
    pub log_format: Option<LogFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Play the whole scenario with three people and print the timeline; exit 0 only if every
    /// target was observed in the planned state.
    #[arg(long)]
    pub unattended: bool,
    /// Print one JSON object at the end, and nothing else on standard output.
    #[arg(long, requires = "unattended")]
    pub json: bool,
    /// Where the demo keeps everything; a second start there resumes. With --unattended: a fresh
    /// temporary directory.
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Which container engine: Docker where one answers, otherwise the stand-in.
    #[arg(long, value_enum, default_value_t = EngineArg::Auto)]
    pub engine: EngineArg,
    /// Port of the web console, which listens on loopback only.
    #[arg(long, value_name = "PORT", default_value_t = 8700)]
    pub port: u16,
    /// First of the six ports the demo's services listen on.
    #[arg(long, value_name = "PORT")]
    pub service_ports: Option<u16>,
    /// Remove everything a demo in this directory made, and end.
    #[arg(long, conflicts_with_all = ["unattended", "json"])]
    pub clean: bool,
    /// Leave services and containers of an unattended demo running.
    #[arg(long, requires = "unattended")]
    pub keep: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineArg {
    /// Docker if it answers, otherwise the stand-in.
    Auto,
    /// Docker, or fail.
    Docker,
    /// Processes behind the engine's API.
    StandIn,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Ask Slack and Discord as well: credentials, scopes and permissions, and whether the configured
    /// channels can be written to.
    #[arg(long)]
    pub online: bool,
    /// Print findings as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct PeopleArgs {
    #[command(subcommand)]
    pub verb: PeopleVerb,
}

#[derive(Debug, Subcommand)]
pub enum PeopleVerb {
    /// Look every account of people.toml up on its platform, and find groups that are too small to
    /// ever reach the required count.
    Check(PeopleCheckArgs),
}

#[derive(Debug, Args)]
pub struct PeopleCheckArgs {
    /// Print findings as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DiscordArgs {
    #[command(subcommand)]
    pub verb: DiscordVerb,
}

#[derive(Debug, Subcommand)]
pub enum DiscordVerb {
    /// Print the link with which an administrator of a server invites the bot, with the fewest
    /// permissions it needs.
    Invite,
}

/// How to reach the running bot.
#[derive(Debug, Args)]
pub struct Remote {
    /// The bot's control socket; by default the one in rollbot.toml.
    #[arg(long, value_name = "PATH", env = "ROLLBOT_SOCKET")]
    pub socket: Option<PathBuf>,
    /// Print the answer as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RequestArgs {
    /// Service to roll back, as in services.toml.
    pub service: String,
    /// Why; people read it before they vote.
    #[arg(long)]
    pub reason: Option<String>,
    /// Show the plan and end.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BallotArg {
    Approve,
    Veto,
}

#[derive(Debug, Args)]
pub struct VoteArgs {
    /// The operation: RB-17
    pub operation: OperationId,
    /// For it, or against it: one veto ends the operation.
    #[arg(value_enum)]
    pub ballot: BallotArg,
    /// Take this vote back.
    #[arg(long)]
    pub withdraw: bool,
    /// Start it alone, without a vote: only where break-glass is switched on. Everybody is told.
    #[arg(long, requires = "reason", conflicts_with = "withdraw")]
    pub break_glass: bool,
    /// Why the glass is broken.
    #[arg(long)]
    pub reason: Option<String>,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct AnswerArgs {
    /// The operation: RB-17
    pub operation: OperationId,
    /// One of the answers it offers: retry, skip, done, undo, abort, or the plugin's own.
    pub choice: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct CancelArgs {
    /// The operation: RB-17
    pub operation: OperationId,
    /// Why; it is in the record.
    #[arg(long)]
    pub reason: Option<String>,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct UnlockArgs {
    /// The locked service.
    pub service: String,
    /// Why; it is in the record.
    #[arg(long)]
    pub reason: Option<String>,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct LoginArgs {
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The service, as in services.toml.
    pub service: String,
    /// Print JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct OperationsArgs {
    /// Only of this service.
    #[arg(long)]
    pub service: Option<String>,
    /// Only those that have not ended.
    #[arg(long)]
    pub open: bool,
    /// At most so many.
    #[arg(long, default_value_t = 20)]
    pub limit: u16,
    /// Print JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The operation: RB-17
    pub operation: OperationId,
    /// Print JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct PluginArgs {
    #[command(subcommand)]
    pub what: PluginVerb,
}

#[derive(Debug, Subcommand)]
pub enum PluginVerb {
    /// The plugins that come with this bot.
    List {
        /// Print JSON, for programs.
        #[arg(long)]
        json: bool,
    },
    /// A component file: what it wants and offers, and the table of host functions.
    Inspect {
        /// A component, as `plugin list` names it or as a .wasm file.
        file: PathBuf,
        /// Print JSON, for programs.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub struct TemplateArgs {
    #[command(subcommand)]
    pub what: TemplateVerb,
}

#[derive(Debug, Subcommand)]
pub enum TemplateVerb {
    /// Show a message made from a template's sample values.
    Render {
        /// The template; without one, all of them are listed.
        name: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    pub what: AuditVerb,
}

#[derive(Debug, Subcommand)]
pub enum AuditVerb {
    /// Check that no row was changed or taken out since it was written.
    Verify {
        /// Only this operation.
        operation: Option<OperationId>,
        /// Print JSON, for programs.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub struct StandInArgs {
    #[arg(long)]
    pub socket: PathBuf,
    #[arg(long)]
    pub state: PathBuf,
}
