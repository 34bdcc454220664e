//! Checks that `docs/reference/commands.md` and the man pages match the command line.
//!
//! `UPDATE_DOCS=1 cargo test --test reference` rewrites the page. `cargo run --example man -- DIR`
//! writes the man pages.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;

use clap::{Arg, Command};

const PAGE: &str = "docs/reference/commands.md";
const WIDTH: usize = 96;

fn built() -> Command {
    let mut command = repro::cli::command().disable_help_subcommand(true);
    command.build();
    command
}

#[test]
fn commands_page_is_current() {
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(PAGE, &page).unwrap();
    }
    let committed = fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        committed == page,
        "{PAGE} is outdated: run `UPDATE_DOCS=1 cargo test --test reference`"
    );
    let wide: Vec<&str> = page.lines().filter(|line| line.chars().count() > 100).collect();
    assert!(wide.is_empty(), "{wide:#?}");
}

#[test]
fn every_argument_has_help() {
    fn visit(command: &Command, missing: &mut Vec<String>) {
        let name = command.get_bin_name().unwrap_or("repro");
        if command.get_about().is_none() {
            missing.push(name.to_owned());
        }
        let arguments = command.get_arguments().filter(|arg| arg.get_help().is_none());
        missing.extend(arguments.map(|arg| format!("{name} {}", arg.get_id())));
        command.get_subcommands().for_each(|sub| visit(sub, missing));
    }
    let mut missing = Vec::new();
    visit(&built(), &mut missing);
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn man_pages() {
    let dir = tempfile::tempdir().unwrap();
    clap_mangen::generate_to(repro::cli::command(), dir.path()).unwrap();
    let page = fs::read_to_string(dir.path().join("repro-run.1")).unwrap();
    assert!(page.contains("Keep running stages that do not depend on a failed one"), "{page}");
    assert!(dir.path().join("repro-metrics-compare.1").exists());
}

fn page() -> String {
    let mut text = String::from("# Commands\n\n");
    text.push_str(&wrapped("", "This page is generated from the help texts of the program."));
    section(&built(), &mut text);
    text
}

/// Describes a command and its subcommands.
fn section(command: &Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or("repro");
    let _ = write!(text, "\n## `{name}`\n\n");
    let about = command.get_long_about().or(command.get_about()).unwrap().to_string();
    for paragraph in about.split("\n\n") {
        text.push_str(&wrapped("", &sentence(paragraph)));
        text.push('\n');
    }
    let usage = command.clone().render_usage().to_string();
    let _ = writeln!(text, "```text\n{}\n```", usage.trim_start_matches("Usage: "));
    let is_root = !name.contains(' ');
    let is_shown = |arg: &&Arg| {
        !arg.is_hide_set()
            && (is_root || !arg.is_global_set())
            && !["help", "version"].contains(&arg.get_id().as_str())
    };
    let arguments: Vec<&Arg> = command.get_arguments().filter(is_shown).collect();
    if !arguments.is_empty() {
        text.push('\n');
    }
    for arg in arguments {
        text.push_str(&wrapped("  ", &format!("- {}", argument(arg))));
    }
    let commands = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    commands.for_each(|sub| section(sub, text));
}

/// ``- `-j`, `--jobs <N>`: Number of …``
fn argument(arg: &Arg) -> String {
    let mut names: Vec<String> = Vec::new();
    let value = arg.get_action().takes_values().then(|| {
        arg.get_value_names().unwrap_or_default().iter().map(|name| format!("<{name}>")).collect()
    });
    let value: String = value.unwrap_or_default();
    if arg.is_positional() {
        names.push(format!("`{}`", value.trim_matches(['<', '>'])));
    } else {
        names.extend(arg.get_short().map(|short| format!("`-{short}`")));
        let separator = match (value.is_empty(), arg.is_require_equals_set()) {
            (true, _) => "",
            (false, true) => "=",
            (false, false) => " ",
        };
        names.extend(arg.get_long().map(|long| format!("`--{long}{separator}{value}`")));
    }
    let help = arg.get_long_help().or(arg.get_help()).unwrap().to_string();
    let mut help = help.replace("\n\n", " ").replace('\n', " ");
    if let Some((before, default)) = help.clone().split_once(" [default: ") {
        help = format!("{before} (default: {})", default.trim_end_matches(']'));
    }
    let defaults: Vec<_> = arg.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
    if !defaults.is_empty() && arg.get_action().takes_values() {
        let _ = write!(help, " (default: `{}`)", defaults.join(" "));
    }
    let values = arg.get_possible_values();
    if arg.get_action().takes_values() && !values.is_empty() {
        let values: Vec<String> =
            values.iter().map(|value| format!("`{}`", value.get_name())).collect();
        let _ = write!(help, ": {}", values.join(", "));
    }
    format!("{}: {}", names.join(", "), sentence(&help))
}

fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.ends_with(['.', ':']) { text.to_owned() } else { format!("{text}.") }
}

/// Wraps a paragraph at [`WIDTH`]; lines after the first start with `indent`.
fn wrapped(indent: &str, text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    let mut in_code = false;
    // A code span is kept on one line.
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match words.last_mut() {
            Some(last) if in_code => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
        if word.matches('`').count() % 2 == 1 {
            in_code = !in_code;
        }
    }
    for word in words {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > WIDTH {
            out.push('\n');
            out.push_str(indent);
            column = indent.len();
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(&word);
        column += width;
    }
    out.push('\n');
    out
}
