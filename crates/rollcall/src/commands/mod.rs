//! The command line: one file per command, `noun verb`.

mod app;
mod backup;
mod check;
mod copy;
mod demo;
mod generate;
mod grant;
mod init;
mod migrate;
mod openapi;
mod restore;
mod serve;
mod token;

use crate::config::Config;
use crate::end::{EXIT_CODES, End};
use crate::place::{OpenStore, Place};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use toml::Value;

/// Keeps the record of which processes run where, behind the API of BlueKing CMDB
#[derive(Parser)]
#[command(
    name = "rollcall",
    version,
    max_term_width = 110,
    after_help = EXIT_CODES,
    after_long_help = concat!(
        "Examples:\n",
        "  rollcall demo                                       try it out, nothing is kept\n",
        "  rollcall init && rollcall serve                     a store of your own and its server\n",
        "  rollcall app create billing --login-free            let an app call\n",
        "  rollcall grant create ann edit_biz_service_instance --business 3\n\n",
        "Exit codes: 0 done, 1 failed, 2 wrong usage or an unsafe setting, 3 problems found",
    )
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args)]
pub struct Global {
    /// The store, sqlite:FILE or postgres://USER@HOST:PORT/DATABASE [default: sqlite:rollcall.sqlite, or that of ROLLCALL_STORE or the
    /// configuration]
    #[arg(long, global = true, value_name = "STORE")]
    store: Option<String>,

    /// The configuration file, see `rollcall serve --print-config`
    #[arg(long, global = true, value_name = "FILE", env = "ROLLCALL_CONFIG")]
    config: Option<PathBuf>,

    /// Print JSON for programs instead of tables for people
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Serve),
    Init(init::Init),
    Migrate(migrate::Migrate),
    /// Apps that may call, and their secrets
    #[command(subcommand)]
    App(app::App),
    /// Tokens that prove who a user is (bk_token)
    #[command(subcommand)]
    Token(token::Token),
    /// What users may do
    #[command(subcommand)]
    Grant(grant::Grant),
    Check(check::Check),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Copy(copy::Copy),
    Openapi(openapi::OpenApi),
    Demo(demo::Demo),
    Generate(generate::Generate),
}

/// Runs what the command line says.
pub fn run(cli: Cli) -> Result<(), End> {
    let global = &cli.global;
    match cli.command {
        Command::Serve(command) => command.run(global),
        Command::Init(command) => command.run(global),
        Command::Migrate(command) => command.run(global),
        Command::App(command) => command.run(global),
        Command::Token(command) => command.run(global),
        Command::Grant(command) => command.run(global),
        Command::Check(command) => command.run(global),
        Command::Backup(command) => command.run(global),
        Command::Restore(command) => command.run(global),
        Command::Copy(command) => command.run(global),
        Command::Openapi(command) => command.run(global),
        Command::Demo(command) => command.run(global),
        Command::Generate(command) => command.run(global),
    }
}

impl Global {
    /// The configuration with these flags on top.
    fn load(&self, mut flags: Vec<crate::config::Flag>) -> Result<Config, End> {
        if let Some(store) = &self.store {
            flags.push(crate::config::Flag { name: "store", key: "store", value: Value::String(store.clone()) });
        }
        // A variable that is not Unicode is none of ours.
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Config::load(self.config.as_deref(), environment, flags)
    }

    /// The configuration, and where the store is.
    fn place(&self) -> Result<(Config, Place), End> {
        let config = self.load(Vec::new())?;
        let place = Place::parse(&config.store, &config)?;
        Ok((config, place))
    }

    /// The store, which must exist.
    fn open(&self) -> Result<OpenStore, End> {
        let (config, place) = self.place()?;
        place.open(&config)
    }
}
