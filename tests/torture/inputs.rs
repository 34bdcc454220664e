//! Mutated declarations: `pipeline.toml` with bytes, words and lines changed at random.
//!
//! The commands only read; no stage runs. Each must end with a documented exit code.

use crate::project::Project;
use crate::random::Random;
use crate::{Effort, Tally};

/// Texts that the mutations start from and take pieces of.
const TEXTS: &[&str] = &[
    include_str!("../../pipeline.toml"),
    r#"
[config]
[params]
seed = 42
train = { lr = 0.001, sizes = [1, 2, 3], name = "a b", opt = { momentum = 0.9 } }
[tokens]
gpu = 1
[stages.prepare]
each = "data/**/*.wav"
cmd = "echo {{ item.path }} {% for x in params.train.sizes %}{{ x }}{% endfor %}"
outs = ["out/{{ item.stem }}.npy"]
[stages.train]
matrix = { seed = [1, 2], lr = [0.1, 0.2] }
exclude = [{ seed = 1, lr = 0.1 }]
cmd = "echo {{ matrix.seed }}"
deps = ["src/*.py", "data"]
outs = ["o/{{ matrix.seed }}/{{ matrix.lr }}", { path = "m.json", cache = false, persist = true, optional = true }]
env = { A = "{{ params.train.name }}" }
env_deps = ["HOME"]
tools = ["sh --version"]
resources = { cpus = 2, mem = "1 GB", gpus = 1 }
timeout = "1h"
retries = 2
shell = "bash"
wdir = "src"
"#,
];

const WORDS: &[&str] = &[
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "${",
    "[[",
    "\"\"\"",
    "'",
    "\\",
    "\0",
    "\u{202e}",
    "**",
    "../..",
    "/",
    "-1",
    "1e999",
    "nan",
    "99999999999999999999",
    "{}",
    "[]",
    "é",
    "\r\n",
    "???",
];

pub fn part(effort: Effort, random: &mut Random) -> Tally {
    let project = Project::new("inputs\n");
    let mut tally = Tally::default();
    let mut accepted = 0;
    for round in 0..effort.rounds(60, 20_000) {
        let text = mutated(random);
        project.write("pipeline.toml", &text);
        let args = [
            &["status"][..],
            &["run", "-n"],
            &["dag"],
            &["params", "show"],
            &["why", "train"],
            &["runs", "list"],
        ][random.below(6)];
        let result = project.run(args).map(|(code, _)| accepted += u64::from(code == 0));
        let text = String::from_utf8_lossy(&text).into_owned();
        tally.round(|| format!("round {round}, {args:?}, {text:?}"), result);
    }
    tally.remark = format!("{accepted} accepted");
    tally
}

fn mutated(random: &mut Random) -> Vec<u8> {
    let mut text = TEXTS[random.below(TEXTS.len())].as_bytes().to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(text.len());
        let end = (at + 1 + random.below(30)).min(text.len());
        match random.below(6) {
            0 => text[at] ^= 1 << random.below(8),
            1 => drop(text.drain(at..end)),
            2 => drop(text.splice(at..at, text[at..end].to_vec())),
            3 => drop(text.splice(at..at, random.pick(WORDS).bytes())),
            4 => text.truncate(at),
            _ => {
                let other = TEXTS[random.below(TEXTS.len())].as_bytes();
                let from = random.below(other.len());
                let piece = &other[from..(from + 40).min(other.len())];
                drop(text.splice(at..at, piece.iter().copied()));
            }
        }
        if text.is_empty() {
            text.push(b'\n');
        }
    }
    text
}
