//! Texts from pipelines, stages and file names that try to control the terminal.

use crate::sandbox::{Done, Sandbox};

/// An OSC 52 sequence, which fills the clipboard, and further control characters.
const HOSTILE: &str = "x\u{1b}]52;c;cHduZWQ=\u{7}\u{9b}2J\u{202e}\u{7f}\u{8}y";

fn repro(sandbox: &Sandbox, args: &[&str]) -> Done {
    sandbox.finish(sandbox.command(args).env("CLICOLOR_FORCE", "1"))
}

/// Removes the styles of a text and returns its control characters but line feeds and tabs.
fn controls(text: &str) -> Vec<char> {
    let is_plain = |code: &str| code.bytes().all(|byte| byte.is_ascii_digit() || byte == b';');
    let mut pieces = text.split('\u{1b}');
    let mut rest = pieces.next().unwrap().to_owned();
    for piece in pieces {
        match piece.strip_prefix('[').and_then(|code| code.split_once('m')) {
            Some((code, after)) if is_plain(code) => rest.push_str(after),
            _ => rest.push_str(&format!("\u{1b}{piece}")),
        }
    }
    let is_control = |c: &char| c.is_control() && !matches!(c, '\n' | '\t');
    rest.chars().filter(|c| is_control(c) || matches!(c, '\u{202a}'..='\u{202e}')).collect()
}

fn check(sandbox: &Sandbox, args: &[&str], code: i32, needle: &str) {
    let done = repro(sandbox, args);
    assert_eq!(done.code, code, "{args:?}\n{done}");
    for text in [&done.stdout, &done.stderr] {
        assert!(controls(text).is_empty(), "{args:?}\n{text:?}");
    }
    let all = format!("{}{}", done.stdout, done.stderr);
    assert!(all.contains(needle), "{args:?} does not show {needle:?}: {all:?}");
}

#[test]
fn every_command() {
    assert_eq!(controls(HOSTILE).len(), 6);
    let toml = HOSTILE.chars().map(|c| format!("\\U{:08x}", c as u32)).collect::<String>();
    let sandbox = Sandbox::with(&format!(
        r#"
        [params]
        text = "{toml}"
        [stages.a]
        desc = "{toml}"
        cmd = 'cat metric >> "$REPRO_EVENTS"; cat hostile; cp m.json m; echo 1 > o'
        params = ["text"]
        outs = ["o"]
        metrics = ["m"]
        [stages.bad]
        cmd = 'cat hostile not-an-event >> "$REPRO_EVENTS"; cat hostile; exit 1'
        outs = ["bad.txt"]
        [stages.tool]
        cmd = "true > t"
        tools = ["cat hostile; exit 1"]
        outs = ["t"]
        [stages.name]
        cmd = 'mkdir n; touch "n/$(cat hostile)"'
        outs = ["n"]
        "#
    ));
    let key = serde_json::to_string(HOSTILE).unwrap();
    sandbox.write("hostile", HOSTILE);
    sandbox.write("not-an-event", "\n{}\n");
    sandbox.write("m.json", format!("{{{key}: 0.5}}"));
    let artifact = format!(r#"{{"artifact": "/{}"}}"#, key.trim_matches('"'));
    sandbox
        .write("metric", format!("{{\"metric\": {key}, \"step\": 1, \"value\": 1}}\n{artifact}\n"));
    let shown = "x\\u{1b}]52;c;cHduZWQ=\\u{7}\\u{9b}2J\\u{202e}\\u{7f}";
    let json = "\\u009b2J\\u202e\\u007f";
    check(&sandbox, &["run", "-k"], 2, shown);
    check(&sandbox, &["run", "-k", "--json"], 2, json);
    check(&sandbox, &["status"], 2, shown);
    check(&sandbox, &["status", "--json"], 2, json);
    check(&sandbox, &["why", "bad"], 0, "bad");
    check(&sandbox, &["run", "-n"], 2, shown);
    check(&sandbox, &["dag"], 0, shown);
    check(&sandbox, &["params", "show"], 0, "text");
    check(&sandbox, &["params", "show", "--json"], 0, json);
    check(&sandbox, &["params", "set", "text=1"], 0, "text");
    check(&sandbox, &["metrics", "show", "run-1"], 0, shown);
    check(&sandbox, &["metrics", "show", "run-1", "--json"], 0, json);
    check(&sandbox, &["run", "-k", "a"], 0, "a");
    check(&sandbox, &["metrics", "compare", "run-1", "run-2", "--all"], 0, shown);
    check(&sandbox, &["metrics", "compare", "run-1", "run-2", "--all", "--md"], 0, "x");
    check(&sandbox, &["runs", "list"], 0, "run-1");
    check(&sandbox, &["runs", "show", "run-1"], 0, shown);
    check(&sandbox, &["runs", "show", "run-1", "--json"], 0, json);
    check(&sandbox, &["runs", "list", "--columns", HOSTILE], 0, shown);
    check(&sandbox, &["runs", "note", "run-1", HOSTILE], 0, "");
    check(&sandbox, &["runs", "show", "run-1"], 0, shown);
    check(&sandbox, &["runs", "diff", "run-1", "run-3"], 0, "\\u{9b}2J");
    check(&sandbox, &["params", "diff", "run-1", "run-3"], 0, "\\u{9b}2J");
    check(&sandbox, &["sweep", "a", "-n", "-p", &format!("text='{HOSTILE}','b'")], 0, "\\u{9b}2J");
    check(&sandbox, &["accept", "a", "--reason", HOSTILE], 2, "a");
    let filter = format!("status = '{HOSTILE}'");
    for args in [
        &["run", HOSTILE][..],
        &["run", "-p", HOSTILE],
        &[HOSTILE],
        &["runs", "show", HOSTILE],
        &["runs", "list", "--filter", &filter],
        &["runs", "best", HOSTILE],
        &["metrics", "compare", HOSTILE],
        &["runs", "diff", HOSTILE],
        &["sweep", HOSTILE],
        &["sweep", "-p", HOSTILE],
        &["plots", HOSTILE],
    ] {
        check(&sandbox, args, 2, "\\u{9b}2J");
    }
    check(&sandbox, &["gc"], 0, "");
    check(&sandbox, &["fsck"], 0, "");
}
