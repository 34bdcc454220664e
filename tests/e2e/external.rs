//! Deps outside the project: links that `[external]` declares.

use crate::sandbox::{Done, Sandbox};
use crate::snapshot;

const STAGE: &str = "
[stages.count]
cmd = 'cat data/clips/* > count; echo count >> ran'
deps = ['data/clips']
outs = ['count']
";

/// A folder outside of the project, and the project that reads it.
fn project() -> (Sandbox, Sandbox) {
    let outside = Sandbox::empty();
    outside.write("clips/a.txt", "1\n");
    outside.write("clips/b.txt", "2\n");
    let place = outside.path("clips");
    let declared = format!("[external]\n'data/clips' = '{}'\n{STAGE}", place.display());
    (Sandbox::with(&declared), outside)
}

fn masked(outside: &Sandbox, done: &Done) -> String {
    done.to_string().replace(outside.root().to_str().unwrap(), "OUTSIDE")
}

#[test]
fn mounted_folder() {
    let (sandbox, outside) = project();
    sandbox.git(&["init", "-q"]);
    snapshot!(masked(&outside, &sandbox.repro(&["status"])), @"
    exit 2
    --- stdout
    count cannot be checked: dep `data/clips` of stage `count` is outside the project, and not linked yet
     hint: `repro run` makes `data/clips` a link to `OUTSIDE/clips`
    ");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("count"), "1\n2\n");
    assert!(sandbox.read(".gitignore").contains("/data/clips\n"));
    // The lock names the content, and not the place.
    let lock = sandbox.read("pipeline.lock");
    let dep = lock.lines().find(|line| line.starts_with("dep tree ")).unwrap();
    assert!(dep.ends_with(" data/clips") && !lock.contains(outside.root().to_str().unwrap()));
    sandbox.ok(&["status", "--check"]);
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.ran(), ["count"]);
    assert!(sandbox.read(".gitignore").contains("/data/clips\n"));
    // A worktree has the link as well.
    sandbox.ok(&["runs", "reproduce", "run-1"]);
    outside.write("clips/b.txt", "3\n");
    outside.write("clips/c.txt", "4\n");
    snapshot!(masked(&outside, &sandbox.repro(&["why", "count"])), @"
    exit 0
    --- stdout
    count will run
     file data/clips/b.txt changed
     file data/clips/c.txt added
    ");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("count"), "1\n3\n4\n");
    // Its contents are not stored.
    sandbox.ok(&["gc", "--yes", "--runs", "0"]);
    let stored = crate::sandbox::files(&sandbox.path("cache/objects"));
    assert_eq!(stored.len(), 2, "{stored:?}");
}

#[test]
fn unmounted_folder() {
    let (sandbox, outside) = project();
    sandbox.ok(&["run"]);
    std::fs::rename(outside.path("clips"), outside.path("moved")).unwrap();
    snapshot!(masked(&outside, &sandbox.repro(&["run"])), @"
    exit 3
    --- stderr
    run-2: started
    count: failed: cannot be checked: dep `data/clips` of stage `count` is at `OUTSIDE/clips`, which does not exist
    error: stage `count` failed: cannot be checked: dep `data/clips` of stage `count` is at `OUTSIDE/clips`, which does not exist
     hint: mount it, or set `REPRO_EXTERNAL_DATA_CLIPS` to its place on this machine and call `repro run`

    ✗ run-2 failed after [time]: 1 failed
    ");
    // A mount point without its disk.
    std::fs::create_dir(outside.path("clips")).unwrap();
    snapshot!(masked(&outside, &sandbox.repro(&["status"])), @"
    exit 3
    --- stdout
    count cannot be checked: dep `data/clips` of stage `count` is at `OUTSIDE/clips`, which is empty
     hint: mount it, or set `REPRO_EXTERNAL_DATA_CLIPS` to its place on this machine and call `repro run`
    ");
    assert_eq!(sandbox.read("count"), "1\n2\n");
    let mut command = sandbox.command(&["run"]);
    sandbox.finish(command.env("REPRO_EXTERNAL_DATA_CLIPS", outside.path("moved")));
    sandbox.ok(&["status", "--check"]);
    assert_eq!(sandbox.ran(), ["count"]);
    // Data that has moved into the project has the same fingerprint.
    sandbox.remove("data/clips");
    sandbox.write("data/clips/a.txt", "1\n");
    sandbox.write("data/clips/b.txt", "2\n");
    sandbox.ok(&["run"]);
    assert!(sandbox.ran().is_empty());
}

#[test]
fn another_declared_place() {
    let (sandbox, outside) = project();
    sandbox.ok(&["run"]);
    outside.write("second/a.txt", "8\n");
    outside.write("third/a.txt", "9\n");
    sandbox.edit("pipeline.toml", "/clips'\n", "/second'\n");
    snapshot!(masked(&outside, &sandbox.repro(&["status"])), @"
    exit 2
    --- stdout
    count cannot be checked: dep `data/clips` of stage `count` is linked to `OUTSIDE/clips`, another place
     hint: `repro run` makes `data/clips` a link to `OUTSIDE/second`
    ");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("count"), "8\n");
    sandbox.ok(&["status", "--check"]);
    // A link that somebody else made stays.
    sandbox.remove("data/clips");
    std::os::unix::fs::symlink(outside.path("third"), sandbox.path("data/clips")).unwrap();
    sandbox.edit("pipeline.toml", "/second'\n", "/clips'\n");
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("count"), "9\n");
}

#[test]
fn place_behind_a_link() {
    let (sandbox, outside) = project();
    std::fs::create_dir(outside.path("empty")).unwrap();
    std::os::unix::fs::symlink(outside.path("empty"), sandbox.path("data")).unwrap();
    snapshot!(masked(&outside, &sandbox.repro(&["run"])), @"
    exit 2
    --- stderr
    error: `data/clips` of `[external]` is in `data`, a link that leads out
     hint: name `data` in `[external]` instead, or another path
    ");
    assert_eq!(std::fs::read_dir(outside.path("empty")).unwrap().count(), 0);
}

#[test]
fn items_outside() {
    let (sandbox, outside) = project();
    let text = sandbox.read("pipeline.toml");
    let each = "[stages.copies]\neach = 'data/clips/*.txt'\nouts = ['copies/{{ item.stem }}']\n\
                cmd = 'cp {{ item.path }} copies/{{ item.stem }}; echo {{ item.stem }} >> ran'\n";
    let declared = text.split("\n[stages").next().unwrap();
    sandbox.write("pipeline.toml", format!("{declared}\n{each}"));
    sandbox.ok(&["run"]);
    outside.write("clips/c.txt", "3\n");
    sandbox.ok(&["run"]);
    let mut ran = sandbox.ran();
    // Items run beside each other.
    ran.sort();
    assert_eq!(ran, ["a", "b", "c"]);
}

#[test]
fn declarations_of_places() {
    let sandbox = Sandbox::with(
        "[external]\n'../x' = '/mnt'\n'a' = 'relative'\n'cache/x' = '/mnt'\n'b' = '/mnt'\n\
         'b/c' = '/mnt'\n'out/x' = '/mnt'\n[stages.s]\ncmd = 'true'\nouts = ['out']\n",
    );
    snapshot!(sandbox.repro(&["status"]), @"
    exit 2
    --- stderr
    error: pipeline.toml:2: the path `../x` of `[external]` leaves the project root
     hint: write PATH = PLACE: a path of the project, and a place outside of it
    error: pipeline.toml:3: `a` of `[external]` has the place `relative`, which is not absolute
     hint: write a path that begins with `/` or `~/`
    error: pipeline.toml:4: `cache/x` of `[external]` belongs to `repro` or git
     hint: choose another path
    error: pipeline.toml:6: `b/c` of `[external]` overlaps `b`, which is external, too
     hint: name folders that are not inside each other
    error: pipeline.toml:7: `out/x` of `[external]` overlaps `out`, an out of stage `s`
     hint: nothing outside the project is written or stored: choose another path
    ");
    let inside = Sandbox::with("");
    inside.write("real/x", "1");
    inside.write(
        "pipeline.toml",
        format!("[external]\n'data/clips' = '{}/real'\n{STAGE}", inside.root().display()),
    );
    snapshot!(inside.repro(&["run"]), @"
    exit 2
    --- stderr
    run-1: started
    count: failed: cannot be checked: `data/clips` leads to `$ROOT/real`, which is in the project or contains it
    error: stage `count` failed: cannot be checked: `data/clips` leads to `$ROOT/real`, which is in the project or contains it
     hint: `[external]` is for places outside; name a dep in the project by its path

    ✗ run-1 failed after [time]: 1 failed
    ");
}
