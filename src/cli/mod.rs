//! The commands, one per file. They turn arguments into engine calls, text and an exit code.

mod accept;
mod add;
mod browser;
mod checkout;
mod common;
mod comparison;
mod completions;
mod dag;
#[cfg(feature = "remote")]
mod elsewhere;
#[cfg(feature = "remote")]
mod fetch;
mod fsck;
mod gc;
mod get;
mod git;
#[cfg(any(feature = "remote", feature = "ui"))]
mod import;
mod init;
mod log;
mod metrics;
#[cfg(feature = "ui")]
mod mlflow;
mod models;
mod other_tools;
mod params;
mod plan;
mod plots;
#[cfg(feature = "remote")]
mod pull;
#[cfg(feature = "remote")]
mod push;
#[cfg(feature = "remote")]
mod remote;
mod run;
mod runs;
mod schema;
mod select;
#[cfg(feature = "remote")]
mod share;
mod sources;
mod status;
mod supply;
mod sweep;
mod tracking;
mod trash;
#[cfg(feature = "ui")]
mod ui;
mod update;
mod why;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory as _, Parser, Subcommand};

use self::common::{goals, show_error};
use crate::error::{Result, exit};
use crate::exec::signals::survive_file_size_limit;
use crate::terminal;
use crate::terminal::style::ERROR;
use crate::workspace::root;

const AFTER_HELP: &str = "\
`repro init` creates a pipeline to start from. The documentation starts at docs/README.md
in the source tree: a tutorial, guides and the reference.";

/// Run reproducible pipelines of stages in any language: rerun only what changed, restore the rest,
/// record every run
#[derive(Debug, Parser)]
#[command(
    name = "repro",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = AFTER_HELP
)]
struct Cli {
    /// Work in the project at DIR instead of the current directory
    #[arg(short = 'C', long = "directory", value_name = "DIR", global = true)]
    directory: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::InitArgs),
    Run(run::RunArgs),
    Sweep(Box<sweep::SweepArgs>),
    Status(status::StatusArgs),
    Why(why::WhyArgs),
    Dag(dag::DagArgs),
    Params(params::ParamsArgs),
    Metrics(metrics::MetricsArgs),
    Models(models::ModelsArgs),
    Runs(runs::RunsArgs),
    Log(log::LogArgs),
    Plots(plots::PlotsArgs),
    #[cfg(feature = "ui")]
    Ui(ui::UiArgs),
    Add(add::AddArgs),
    Update(update::UpdateArgs),
    Checkout(checkout::CheckoutArgs),
    Get(get::GetArgs),
    Git(git::GitArgs),
    Trash(trash::TrashArgs),
    #[cfg(feature = "remote")]
    Push(push::PushArgs),
    #[cfg(feature = "remote")]
    Pull(pull::PullArgs),
    #[cfg(feature = "remote")]
    Fetch(fetch::FetchArgs),
    #[cfg(feature = "remote")]
    Remote(remote::RemoteArgs),
    #[cfg(any(feature = "remote", feature = "ui"))]
    Import(import::ImportArgs),
    #[cfg(feature = "ui")]
    Export(mlflow::ExportArgs),
    Gc(gc::GcArgs),
    Fsck(fsck::FsckArgs),
    #[command(visible_alias = "adopt", alias = "commit")]
    Accept(accept::AcceptArgs),
    Schema(schema::SchemaArgs),
    Completions(completions::CompletionsArgs),
}

/// Executes a command line and returns the exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(code) = completions::answer(&args, command) {
        return code;
    }
    survive_file_size_limit();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(err) => {
            let Some(error) = other_tools::error(&err, &args) else { return show_usage(&err) };
            show_error(&error);
            return error.exit_code();
        }
    };
    match execute(cli) {
        Ok(code) => code,
        Err(error) => {
            show_error(&error);
            error.exit_code()
        }
    }
}

/// Shows a help text or an error of the command line, and returns the exit code.
fn show_usage(err: &clap::Error) -> u8 {
    if !err.use_stderr() {
        let _ = err.print();
        return exit::OK;
    }
    // The message repeats arguments, so it may contain anything. Without its own colors it is text
    // like any other.
    let text = with_reason(&err.render().to_string());
    match text.strip_prefix("error:") {
        Some(rest) => terminal::eprint(&format!("{ERROR}error:{ERROR:#}{rest}")),
        None => terminal::eprint(&text),
    }
    exit::USAGE
}

/// Replaces the messages of number parsers, which do not say what is expected.
fn with_reason(text: &str) -> String {
    let reasons = [
        ("invalid digit found in string", "it is not a whole number"),
        ("invalid float literal", "it is not a number"),
        ("number too large to fit in target type", "it is too large"),
        ("number too small to fit in target type", "it is too small"),
        ("cannot parse integer from empty string", "it is empty"),
    ];
    reasons.iter().fold(text.to_owned(), |text, (parser, reason)| text.replace(parser, reason))
}

fn execute(cli: Cli) -> Result<u8> {
    let here = cli.directory.unwrap_or_else(|| PathBuf::from("."));
    let root = || root::find(&here);
    match cli.command {
        Command::Init(args) => args.execute(&here),
        Command::Run(args) => args.execute(&here, &root()?),
        Command::Sweep(args) => args.execute(&root()?),
        Command::Status(args) => args.execute(&here, &root()?),
        Command::Why(args) => args.execute(&here, &root()?),
        Command::Dag(args) => args.execute(&here, &root()?),
        Command::Params(args) => args.execute(&root()?),
        Command::Metrics(args) => root().and_then(|root| args.execute(&root, &goals(&root))),
        Command::Models(args) => args.execute(&here, &root()?),
        Command::Runs(args) => root().and_then(|root| args.execute(&here, &root, &goals(&root))),
        Command::Log(args) => args.execute(&here),
        Command::Plots(args) => root().and_then(|root| args.execute(&here, &root, &goals(&root))),
        #[cfg(feature = "ui")]
        Command::Ui(args) => args.execute(&here, &root()?),
        Command::Add(args) => args.execute(&here, &root()?),
        Command::Update(args) => args.execute(&here, &root()?),
        Command::Checkout(args) => args.execute(&here, &root()?),
        Command::Get(args) => args.execute(&here),
        Command::Git(args) => args.execute(&here),
        Command::Trash(args) => args.execute(&here, &root()?),
        #[cfg(feature = "remote")]
        Command::Push(args) => args.execute(&here, &root()?),
        #[cfg(feature = "remote")]
        Command::Pull(args) => args.execute(&here, &root()?),
        #[cfg(feature = "remote")]
        Command::Fetch(args) => args.execute(&here, &root()?),
        #[cfg(feature = "remote")]
        Command::Remote(args) => args.execute(&root()?),
        #[cfg(any(feature = "remote", feature = "ui"))]
        Command::Import(args) => args.execute(&here, &root()?),
        #[cfg(feature = "ui")]
        Command::Export(args) => args.execute(&root()?),
        Command::Gc(args) => args.execute(&root()?),
        Command::Fsck(args) => args.execute(&root()?),
        Command::Accept(args) => args.execute(&here, &root()?),
        Command::Schema(args) => args.execute(),
        Command::Completions(args) => args.execute(),
    }
}

/// Returns the definition of the command line, for generated documentation.
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_values_are_explained() {
        for (value, why) in [
            ("x", "it is not a whole number"),
            ("-1", "it is not a whole number"),
            ("99999999999999999999999", "it is too large"),
            ("", "it is empty"),
        ] {
            let line = ["repro", "runs", "list", &format!("--last={value}")];
            let error = command().try_get_matches_from(line).unwrap_err();
            let text = with_reason(&error.render().to_string());
            assert!(text.contains(&format!("'--last <N>': {why}\n")), "{text}");
        }
    }
}
