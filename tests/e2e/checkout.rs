//! `repro checkout` with paths: restoring parts of what the lock names.

use crate::sandbox::Sandbox;
use crate::snapshot;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with(
        r#"
[stages.audio]
cmd = """for g in jazz rock; do mkdir -p data/audio/$g; \
  for n in a b; do echo $g $n > data/audio/$g/$n.wav; done; done"""
outs = ["data/audio"]

[stages.model]
matrix = { size = ["small", "large"] }
cmd = "echo {{ matrix.size }} > {{ matrix.size }}.bin; echo 1 > {{ matrix.size }}.tmp"
outs = ["{{ matrix.size }}.bin", { path = "{{ matrix.size }}.tmp", cache = false }]
"#,
    );
    sandbox.ok(&["run"]);
    sandbox
}

#[test]
fn checkout_part_of_out() {
    let sandbox = sandbox();
    sandbox.remove("data");
    snapshot!(sandbox.repro(&["checkout", "data/audio/jazz"]), @"
    exit 0
    --- stdout
    brought back data/audio/jazz: 2 files, 14 B
    ");
    assert!(sandbox.exists("data/audio/jazz/b.wav") && !sandbox.exists("data/audio/rock"));
    snapshot!(sandbox.repro(&["checkout", "data/audio/jazz"]), @"
    exit 0
    --- stdout
    the workspace already holds what `pipeline.lock` names of data/audio/jazz
    ");
    snapshot!(sandbox.repro(&["checkout", "data/audio/*/a.wav"]), @"
    exit 0
    --- stdout
    brought back data/audio/rock/a.wav: 1 file, 7 B
    ");
    assert!(sandbox.exists("data/audio/rock/a.wav") && !sandbox.exists("data/audio/rock/b.wav"));
    let here = sandbox.path("data/audio");
    let mut command = sandbox.command(&["checkout", "rock/b.wav"]);
    snapshot!(sandbox.finish(command.current_dir(here)), @"
    exit 0
    --- stdout
    brought back data/audio/rock/b.wav: 1 file, 7 B
    ");
    sandbox.ok(&["status", "--check"]);
}

#[test]
fn checkout_by_stage_family_and_folder() {
    let sandbox = sandbox();
    for path in ["data", "small.bin", "large.bin"] {
        sandbox.remove(path);
    }
    snapshot!(sandbox.repro(&["checkout", "model"]), @"
    exit 0
    --- stdout
    brought back large.bin, small.bin: 2 files, 12 B
    ");
    snapshot!(sandbox.repro(&["checkout", "data"]), @"
    exit 0
    --- stdout
    brought back data/audio: 4 files, 28 B
    ");
    sandbox.remove("small.bin");
    snapshot!(sandbox.repro(&["checkout", "model@small", "audio"]), @"
    exit 0
    --- stdout
    brought back small.bin: 1 file, 6 B
    ");
    sandbox.ok(&["status", "--check"]);
}

#[test]
fn checkout_stores_replaced_files() {
    let sandbox = sandbox();
    sandbox.write("data/audio/jazz/a.wav", "edited");
    sandbox.write("data/audio/jazz/mine.txt", "of mine");
    sandbox.remove("data/audio/rock");
    sandbox.write("data/audio/rock", "a file");
    sandbox.ok(&["checkout", "data/audio/jazz", "data/audio/rock/a.wav"]);
    assert_eq!(sandbox.read("data/audio/jazz/a.wav"), "jazz a\n");
    assert_eq!(sandbox.read("data/audio/rock/a.wav"), "rock a\n");
    assert!(!sandbox.exists("data/audio/jazz/mine.txt"));
    let objects: Vec<String> = crate::sandbox::files(&sandbox.path("cache/objects"));
    for text in ["edited", "of mine", "a file"] {
        let kept =
            objects.iter().any(|object| sandbox.read(&format!("cache/objects/{object}")) == text);
        assert!(kept, "{text}");
    }
}

#[test]
fn checkout_refuses_unknown_paths() {
    let sandbox = sandbox();
    let all = ["data/audoi", "data/audio/pop", "data/audio/*.mp3", "data/[", "/etc", "modle"];
    let told = all.map(|path| {
        let done = sandbox.repro(&["checkout", path]);
        assert_eq!(done.code, 2, "{done}");
        done.stderr
    });
    snapshot!(told.concat(), @"
    error: `pipeline.lock` names no stage and nothing at `data/audoi`
     hint: did you mean `data/audio`?
    error: `pipeline.lock` names no stage and nothing at `data/audio/pop`
     hint: did you mean `data/audio`?
    error: `pipeline.lock` names no stage and nothing at `data/audio/*.mp3`
     hint: did you mean `data/audio`?
    error: `data/[` has a `[` without its `]` (a `[` of a file's name is written `[[]`)
    error: `/etc` is not inside the project, `$ROOT`
    error: `pipeline.lock` names no stage and nothing at `modle`
     hint: did you mean `model`?
    ");
    sandbox.remove("cache/objects");
    sandbox.remove("data");
    snapshot!(sandbox.repro(&["checkout", "audio"]), @"
    exit 3
    --- stderr
    error: the outs of stage `audio` cannot be brought back
     caused by: the cache does not hold object 64fdc0be63
     hint: `repro run audio` makes them again
    ");
    snapshot!(sandbox.repro(&["checkout", "small.tmp"]), @"
    exit 2
    --- stderr
    error: `small.tmp` is not kept in the cache
     hint: `repro run model@small` makes it
    ");
}
