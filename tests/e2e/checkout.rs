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
    restored data/audio/jazz: 2 files, 14 B
    ");
    assert!(sandbox.exists("data/audio/jazz/b.wav") && !sandbox.exists("data/audio/rock"));
    snapshot!(sandbox.repro(&["checkout", "data/audio/jazz"]), @"
    exit 0
    --- stdout
    data/audio/jazz already matches `pipeline.lock`
    ");
    snapshot!(sandbox.repro(&["checkout", "data/audio/*/a.wav"]), @"
    exit 0
    --- stdout
    restored data/audio/rock/a.wav: 1 file, 7 B
    ");
    assert!(sandbox.exists("data/audio/rock/a.wav") && !sandbox.exists("data/audio/rock/b.wav"));
    let here = sandbox.path("data/audio");
    let mut command = sandbox.command(&["checkout", "rock/b.wav"]);
    snapshot!(sandbox.finish(command.current_dir(here)), @"
    exit 0
    --- stdout
    restored data/audio/rock/b.wav: 1 file, 7 B
    ");
    sandbox.ok(&["status", "--check"]);
}

#[test]
fn checkout_by_family_and_folder() {
    let sandbox = sandbox();
    for path in ["data", "small.bin", "large.bin"] {
        sandbox.remove(path);
    }
    snapshot!(sandbox.repro(&["checkout", "model"]), @"
    exit 0
    --- stdout
    restored large.bin, small.bin: 2 files, 12 B
    ");
    snapshot!(sandbox.repro(&["checkout", "data"]), @"
    exit 0
    --- stdout
    restored data/audio: 4 files, 28 B
    ");
    sandbox.remove("small.bin");
    snapshot!(sandbox.repro(&["checkout", "model@small", "audio"]), @"
    exit 0
    --- stdout
    restored small.bin: 1 file, 6 B
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
    let done = sandbox.ok(&["checkout", "data/audio/jazz", "data/audio/rock/a.wav"]);
    let mut named = done.stderr.lines().filter_map(|line| {
        let (path, command) = line.split_once("` was replaced; `repro trash restore ")?;
        let path = path.strip_prefix("warning: your version of `")?;
        let copy = format!("copy-{}", command.split_once('`')?.0);
        sandbox.ok(&["trash", "restore", command.split_once('`')?.0, "-o", &copy]);
        Some((path.to_owned(), sandbox.read(&copy)))
    });
    for (path, text) in [
        ("data/audio/jazz/a.wav", "edited"),
        ("data/audio/jazz/mine.txt", "of mine"),
        ("data/audio/rock", "a file"),
    ] {
        assert_eq!(named.next(), Some((path.to_owned(), text.to_owned())), "{done}");
    }
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
    let errors = all.map(|path| {
        let done = sandbox.repro(&["checkout", path]);
        assert_eq!(done.code, 2, "{done}");
        done.stderr
    });
    snapshot!(errors.concat(), @"
    error: `pipeline.lock` has no stage and no out at `data/audoi`
     hint: did you mean `data/audio`?
    error: `pipeline.lock` has no stage and no out at `data/audio/pop`
     hint: did you mean `data/audio`?
    error: `pipeline.lock` has no stage and no out at `data/audio/*.mp3`
     hint: did you mean `data/audio`?
    error: `data/[` has `[` without `]` (write a literal `[` as `[[]`)
    error: `/etc` is not inside the project, `$ROOT`
    error: `pipeline.lock` has no stage and no out at `modle`
     hint: did you mean `model`?
    ");
    sandbox.remove("cache/objects");
    sandbox.remove("data");
    snapshot!(sandbox.repro(&["checkout", "audio"]), @"
    exit 3
    --- stderr
    error: cannot restore the outs of stage `audio`
     caused by: the cache does not hold object 64fdc0be63
     hint: `repro run audio` makes them again
    ");
    snapshot!(sandbox.repro(&["checkout", "small.tmp"]), @"
    exit 2
    --- stderr
    error: `small.tmp` is not kept in the cache
     hint: `repro run model@small` writes it
    ");
}
