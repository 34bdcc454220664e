//! Low limits of the process: open files, file size, memory, processes.

use std::process::Command;

use crate::project::{Project, checked, program, undisturbed};
use crate::random::Random;
use crate::{Effort, Tally};

/// Options of `ulimit` with values from plainly too low to just enough.
const LIMITS: &[(&str, &[u32])] = &[
    ("f", &[0, 1, 2, 8, 64]),
    ("n", &[4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 32, 64]),
    ("v", &[20_000, 40_000, 80_000, 120_000, 200_000, 400_000]),
    ("s", &[64, 128, 256]),
];

pub fn part(effort: Effort, random: &mut Random) -> Tally {
    let expected = undisturbed("limits\n");
    let mut tally = Tally::default();
    let mut refused = 0;
    let every: Vec<(&str, u32)> = LIMITS
        .iter()
        .flat_map(|(option, values)| values.iter().map(move |value| (*option, *value)))
        .collect();
    let rounds = effort.rounds(8, every.len() as u64 * 3);
    for round in 0..rounds {
        let (option, value) = match effort {
            Effort::All => every[round as usize % every.len()],
            Effort::Rounds(_) => random.any(&every).unwrap(),
        };
        let project = Project::new("limits\n");
        let args = [&["run"][..], &["run", "-j1"], &["status"]][round as usize % 3];
        let result = limited(&project, option, value, args).and_then(|code| {
            refused += u64::from(code != 0);
            project.recovers(&expected)
        });
        tally.round(|| format!("ulimit -{option} {value}: {args:?}"), result);
    }
    tally.remark = format!("{refused} refused with a message");
    tally
}

/// Runs a command under a limit. A program that the limit does not let start is not a round of
/// `repro`.
fn limited(project: &Project, option: &str, value: u32, args: &[&str]) -> Result<i32, String> {
    let script = format!("ulimit -{option} {value} && exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(program()).args(args).current_dir(project.root());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("LC_ALL", "C");
    let output = deadline::output(&mut command);
    let text = String::from_utf8_lossy(&output.stderr);
    let is_started = !["error while loading", "cannot allocate memory", "exec:", "Segmentation"]
        .iter()
        .any(|what| text.contains(what));
    // Under a limit on memory, an allocation that fails ends the process; nothing may be lost.
    let is_memory = matches!(option, "v" | "s") && output.status.code().is_none_or(|code| code > 4);
    if !is_started || is_memory {
        return Ok(1);
    }
    checked(args, &output).map(|(code, _)| code)
}
