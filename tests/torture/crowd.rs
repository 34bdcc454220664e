//! Sixteen commands at once in one project.

use std::process::Child;

use crate::project::{Project, checked, undisturbed};
use crate::random::Random;
use crate::{Effort, Tally};

const AT_ONCE: usize = 16;

const COMMANDS: &[&[&str]] = &[
    &["run"],
    &["run", "-f"],
    &["run", "-n"],
    &["run", "-p", "times=2"],
    &["status"],
    &["why", "sum"],
    &["gc"],
    &["gc", "--yes"],
    &["fsck"],
    &["checkout"],
    &["runs", "list"],
    &["runs", "show"],
    &["runs", "logs"],
    &["metrics", "show"],
    &["params", "show"],
    &["params", "set", "times=3"],
    &["accept", "sum", "--reason", "crowd"],
    &["dag"],
];

pub fn part(effort: Effort, random: &mut Random) -> Tally {
    let expected = undisturbed("crowd\n");
    let project = Project::new("crowd\n");
    let mut tally = Tally::default();
    let mut turned_away = 0;
    for round in 0..effort.rounds(3, 200) {
        let started: Vec<(&[&str], Child)> = (0..AT_ONCE)
            .map(|_| {
                let args = COMMANDS[random.below(COMMANDS.len())];
                (args, project.start(args))
            })
            .collect();
        let mut result = Ok(());
        for (args, child) in started {
            match checked(args, &deadline::wait(child)) {
                Ok((code, _)) => turned_away += u64::from(code == 3),
                Err(fault) => result = Err(fault),
            }
        }
        let result = result.and_then(|()| project.recovers(&expected));
        tally.round(|| format!("round {round}"), result);
    }
    tally.round(|| "at the end".to_owned(), project.is_intact());
    tally.remark = format!("{AT_ONCE} commands each, {turned_away} turned away");
    tally
}
