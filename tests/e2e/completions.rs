//! Shell completions: the candidates `repro` offers, and the scripts that ask for them.

use crate::run::chain;
use crate::sandbox::Sandbox;

/// Returns the candidates for the last word, in the fish format: one per line, help after a tab.
fn candidates(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    let mut command = sandbox.command(&["--", "repro"]);
    let done = sandbox.finish(command.args(words).env("REPRO_COMPLETE", "fish"));
    assert_eq!(done.code, 0, "{done}");
    done.stdout.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

#[test]
fn completes_stages_runs_and_params() {
    let sandbox = chain();
    let stages = ["words", "count", "report"];
    for command in ["run", "status", "why", "checkout", "accept", "dag"] {
        let found = candidates(&sandbox, &[command, ""]);
        assert!(
            stages.iter().all(|stage| found.iter().any(|word| word == stage)),
            "{command} {found:?}"
        );
    }
    assert_eq!(candidates(&sandbox, &["why", "co"]), ["count"]);
    assert_eq!(candidates(&sandbox, &["run", "--force=re"]), ["--force=report"]);
    assert_eq!(candidates(&sandbox, &["params", "set", "t"]), ["top="]);
    assert!(candidates(&sandbox, &["runs", "show", "r"]).is_empty());
    sandbox.ok(&["run"]);
    sandbox.ok(&["run", "-f"]);
    for command in [["runs", "show"], ["runs", "logs"], ["metrics", "show"], ["metrics", "compare"]]
    {
        assert_eq!(
            candidates(&sandbox, &[command[0], command[1], "r"]),
            ["run-2", "run-1"],
            "{command:?}"
        );
    }
    assert_eq!(candidates(&sandbox, &["runs", "logs", "run-1", "wo"]), ["words"]);
    sandbox.ok(&["runs", "rename", "run-1", "first"]);
    for command in ["show", "logs", "tag", "note", "rm"] {
        assert_eq!(candidates(&sandbox, &["runs", command, "fi"]), ["first"], "{command}");
    }
    assert_eq!(candidates(&sandbox, &["runs", "list", "--sort", "stat"]), ["status"]);
    assert_eq!(candidates(&sandbox, &["runs", "list", "--columns", "params.t"]), ["params.top"]);
}

#[test]
fn completes_matrix_and_members() {
    let sandbox = Sandbox::with(
        "[stages.m]\ncmd = 'true'\nmatrix = { n = [1, 2] }\n[stages.x]\ncmd = 'true'\n",
    );
    assert_eq!(candidates(&sandbox, &["run", "m"]), ["m", "m@1", "m@2"]);
}

#[test]
fn completes_commands_of_broken_pipeline() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 1\n");
    assert!(candidates(&sandbox, &["why", "s"]).is_empty());
    assert_eq!(candidates(&sandbox, &["sta"]), ["status"]);
}

#[test]
fn completion_script_per_shell() {
    let sandbox = Sandbox::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = sandbox.ok(&["completions", shell]).stdout;
        assert!(script.contains("REPRO_COMPLETE"), "{shell}: {script}");
    }
    assert_eq!(sandbox.repro(&["completions", "csh"]).code, 2);
}

#[test]
fn bash_completion_works() {
    let sandbox = chain();
    let script = sandbox.ok(&["completions", "bash"]).stdout;
    sandbox.write("script", script);
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_repro")).parent().unwrap();
    let ask = format!(
        "PATH={}:$PATH; . ./script; COMP_WORDS=(repro why co); COMP_CWORD=2; COMP_TYPE=9; \
         _clap_complete_repro repro co why; echo \"${{COMPREPLY[*]}}\"",
        binary.display()
    );
    let mut bash = std::process::Command::new("bash");
    let done = sandbox.finish(bash.args(["-c", &ask]).current_dir(sandbox.root()));
    assert_eq!(done.stdout.trim(), "count", "{done}");
}

#[test]
fn completes_old_outs_and_trash() {
    let sandbox = chain();
    sandbox.ok(&["run"]);
    assert_eq!(candidates(&sandbox, &["get", "r"]), ["run-1:"]);
    assert_eq!(candidates(&sandbox, &["get", "run-1:wo"]), ["run-1:words.txt"]);
    assert!(candidates(&sandbox, &["get", "run-9:"]).is_empty());
    assert!(candidates(&sandbox, &["trash", "restore", "1"]).is_empty());
    sandbox.write("words.txt", "mine");
    sandbox.ok(&["run"]);
    assert_eq!(candidates(&sandbox, &["trash", "restore", "1"]), ["1"]);
}
