//! A disk that is full at a random moment, for the cache, the history or the whole project.

use std::process::Command;

use crate::project::{Project, checked, program, undisturbed};
use crate::random::Random;
use crate::{Effort, Tally};

pub fn part(effort: Effort, random: &mut Random) -> Tally {
    let mut tally = Tally::default();
    let can_mount = Command::new("unshare").args(["-rm", "true"]).status();
    if !can_mount.is_ok_and(|status| status.success()) {
        tally.remark = "not tested: `unshare -rm` gives no mount namespace".to_owned();
        assert!(std::env::var_os("CI").is_none(), "{}", tally.remark);
        return tally;
    }
    let text = "x".repeat(20_000);
    let expected = undisturbed(&text);
    for _ in 0..effort.rounds(6, 300) {
        let folder = random.pick(&["cache", "runs", "."]);
        let kilobytes = 4 * (1 + random.below(60));
        let project = Project::new(&text);
        let result = round(&project, folder, kilobytes).and_then(|()| {
            project.equals(&expected)?;
            project.recovers(&expected)
        });
        tally.round(|| format!("{kilobytes} KiB for `{folder}`"), result);
    }
    tally
}

/// Runs with little room, then with enough, and copies the result out of the namespace.
fn round(project: &Project, folder: &str, kilobytes: usize) -> Result<(), String> {
    let script = format!(
        "set -e
        mkdir -p full/cache full/runs
        if [ {folder} = . ]; then at=full; else at=full/{folder}; fi
        mount -t tmpfs -o size={kilobytes}k none $at
        cp pipeline.toml in.txt full
        cd full
        code=0; \"$0\" run || code=$?
        case $code in 0|1|3) ;; *) echo \"with a full disk: exit $code\"; exit 9;; esac
        mount -o remount,size=50m none ${{PWD%/full}}/$at
        \"$0\" run
        \"$0\" fsck
        cp -a . .."
    );
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", &script]).arg(program()).current_dir(project.root());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("LC_ALL", "C");
    match checked(&["run"], &deadline::output(&mut command))? {
        (0, _) => Ok(()),
        // The input itself did not fit.
        (_, text) if text.contains("cp: ") => project.run(&["run"]).map(drop),
        (code, text) => Err(format!("exit {code}: {text}")),
    }
}
