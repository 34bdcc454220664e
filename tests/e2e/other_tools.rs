//! Commands, options and shell words of other tools: the answer names what to use here.

use crate::sandbox::Sandbox;
use crate::snapshot;

#[test]
fn foreign_commands_and_options() {
    let sandbox = Sandbox::with("[params]\nseed = 1\n[stages.train]\ncmd = 'true'\n");
    let mut answers = String::new();
    for typed in [
        "exp run",
        "metrics diff",
        "runs compare 1 2",
        "diff",
        "params get seed",
        "freeze train",
        "run --dry",
        "run -m seed=1,2",
        "run -S seed=2",
        "run seed=2",
        "run -p params.seed=2",
        "run --nonsense",
    ] {
        let args: Vec<&str> = typed.split(' ').collect();
        answers += &format!("# {typed}\n{}\n", sandbox.repro(&args));
    }
    snapshot!(answers, @"
    # exp run
    exit 2
    --- stderr
    error: there is no command `exp`
     hint: `repro run -p KEY=VALUE` tries other params, `repro sweep -p KEY=A,B` several values, and `repro runs list` shows all runs
    # metrics diff
    exit 2
    --- stderr
    error: there is no command `metrics diff`
     hint: `repro metrics compare RUN RUN` compares runs
    # runs compare 1 2
    exit 2
    --- stderr
    error: there is no command `runs compare`
     hint: `repro metrics compare RUN RUN` compares runs
    # diff
    exit 2
    --- stderr
    error: there is no command `diff`
     hint: `repro status` and `repro why STAGE` show what changed, `repro runs diff RUN RUN` in what two runs differ
    # params get seed
    exit 2
    --- stderr
    error: there is no command `params get`
     hint: `repro params show` lists them
    # freeze train
    exit 2
    --- stderr
    error: there is no command `freeze`
     hint: write `frozen = true` in the table of the stage
    # run --dry
    exit 2
    --- stderr
    error: there is no option `--dry`
     hint: `repro run -n` shows what would run
    # run -m seed=1,2
    exit 2
    --- stderr
    error: there is no option `-m`
     hint: `repro sweep -p KEY=A,B` runs each combination of values
    # run -S seed=2
    exit 2
    --- stderr
    error: there is no option `-S`
     hint: `-p KEY=VALUE` sets a param for one run
    # run seed=2
    exit 2
    --- stderr
    error: there is no stage `seed=2`
     hint: to set a param for this run, write `-p seed=2`
    # run -p params.seed=2
    exit 2
    --- stderr
    error: -p params.seed=2: there is no param `params.seed`
     hint: did you mean `seed`?
    # run --nonsense
    exit 2
    --- stderr
    error: unexpected argument '--nonsense' found

     tip: to pass '--nonsense' as a value, use '-- --nonsense'

    Usage: repro run [OPTIONS] [STAGE]...

    For more information, try '--help'.
    ");
}

#[test]
fn words_of_bash() {
    let sandbox = Sandbox::with("[stages.a]\ncmd = 'set -o pipefail; exit 2'\n");
    let done = sandbox.repro(&["run"]);
    assert!(done.stderr.contains("hint: `sh` may not know `pipefail`: with shell = "), "{done}");
    sandbox.write("pipeline.toml", "[stages.a]\ncmd = '. ./pipefail; exit 2'\n");
    let done = sandbox.repro(&["run"]);
    assert!(!done.stderr.contains("may not know"), "{done}");
}
