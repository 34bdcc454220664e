//! `kill -9` of `repro` at random moments of a run, also while it replaces an edited out: the edit
//! can be brought back.

use std::time::{Duration, Instant};

use crate::project::{Contents, Project, undisturbed};
use crate::random::Random;
use crate::{Effort, Tally};

const INPUTS: [&str; 3] = ["one\n", "two two\n", "three three three\n"];

pub fn part(effort: Effort, random: &mut Random) -> Tally {
    let expected: Vec<Contents> = INPUTS.iter().map(|text| undisturbed(text)).collect();
    let began = Instant::now();
    Project::new(INPUTS[0]).must_run();
    let whole = began.elapsed();
    let mut tally = Tally::default();
    let mut met = 0;
    let mut project = Project::with_history(INPUTS[0]);
    for round in 0..effort.rounds(12, 2500) {
        // Many kills in one project: what they leave behind adds up.
        if round % 50 == 49 {
            tally.round(|| format!("after round {round}"), project.is_intact());
            project = Project::with_history(INPUTS[0]);
        }
        let input = random.below(INPUTS.len());
        project.write("in.txt", INPUTS[input]);
        // An edited out, which the run replaces.
        let edit = format!("edit {round}\n");
        project.write("copy.txt", &edit);
        let delay = whole.mul_f64(random.below(1000) as f64 / 900.0);
        let is_met = kill_after(&project, delay);
        met += u64::from(is_met);
        tally.round(
            || format!("killed after {delay:?}, round {round}"),
            project.recovers(&expected[input]).and_then(|()| project.has_in_trash(&edit)),
        );
    }
    tally.round(|| "after the last kill".to_owned(), project.is_intact());
    tally.remark = format!("{met} met a run in progress");
    tally
}

/// Starts a run and kills it; returns whether it had not ended by itself.
fn kill_after(project: &Project, delay: Duration) -> bool {
    let mut child = project.start(&["run", "-f"]);
    // The moment is random; nothing waits for it.
    std::thread::sleep(delay);
    let is_running = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    child.wait().unwrap();
    is_running
}
