//! Edits that are hard to detect: modification times set back and forth, redirected links, renames
//! that change only case, files replaced while they are read. Each is detected.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{FileExt as _, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::sandbox::{Sandbox, untested};

fn copying() -> Sandbox {
    let sandbox =
        Sandbox::with("[stages.s]\ncmd = 'cp -r in out'\ndeps = ['in']\nouts = ['out']\n");
    sandbox.write("in", "first");
    sandbox
}

/// Runs `status` until every file is old enough to be recorded in the index: from then on, only the
/// stat data reveals a change.
fn settle(sandbox: &Sandbox) {
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(50) {
        sandbox.ok(&["status"]);
    }
}

pub fn set_modified(sandbox: &Sandbox, path: &str, time: SystemTime) {
    let file = File::options().write(true).open(sandbox.path(path)).unwrap();
    file.set_times(FileTimes::new().set_modified(time)).unwrap();
}

fn is_noticed(sandbox: &Sandbox, what: &str) {
    let done = sandbox.repro(&["status", "--check"]);
    assert_eq!(done.code, 4, "{what}: {done}");
    sandbox.ok(&["run"]);
    sandbox.ok(&["status", "--check"]);
}

#[test]
fn clock_jumps() {
    let sandbox = copying();
    sandbox.ok(&["run"]);
    let year = Duration::from_secs(365 * 86_400);
    for (what, time) in [
        ("future", SystemTime::now() + 10 * year),
        ("the same future", SystemTime::now() + 10 * year),
        ("past", SystemTime::now() - 10 * year),
        ("the beginning", SystemTime::UNIX_EPOCH),
        ("before the beginning", SystemTime::UNIX_EPOCH - year),
    ] {
        for text in ["other", "third"] {
            sandbox.write("in", text);
            set_modified(&sandbox, "in", time);
            is_noticed(&sandbox, what);
            assert_eq!(sandbox.read("out"), text, "{what}");
            settle(&sandbox);
        }
    }
}

#[test]
fn copy_with_preserved_times() {
    let sandbox = copying();
    sandbox.write("kept", "other");
    let time = SystemTime::now() - Duration::from_secs(9999);
    for path in ["in", "kept"] {
        set_modified(&sandbox, path, time);
    }
    sandbox.ok(&["run"]);
    settle(&sandbox);
    let copied = std::process::Command::new("cp")
        .arg("-p")
        .args([sandbox.path("kept"), sandbox.path("in")])
        .status();
    assert!(copied.unwrap().success());
    assert_eq!(fs::metadata(sandbox.path("in")).unwrap().modified().unwrap(), time);
    is_noticed(&sandbox, "cp -p");
    // As `rsync -t` and editors do: another file with the size and times of the old one.
    sandbox.write("beside", "again");
    set_modified(&sandbox, "beside", time);
    settle(&sandbox);
    fs::rename(sandbox.path("beside"), sandbox.path("in")).unwrap();
    is_noticed(&sandbox, "rename");
}

#[test]
fn chain_of_links() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("end"), "far 1").unwrap();
    let sandbox = copying();
    sandbox.remove("in");
    for (name, text) in [("one", "end 1"), ("two", "end 2")] {
        sandbox.write(name, text);
    }
    symlink("middle", sandbox.path("in")).unwrap();
    let turn = |target: &str| {
        let _ = fs::remove_file(sandbox.path("middle"));
        symlink(target, sandbox.path("middle")).unwrap();
    };
    turn("one");
    sandbox.ok(&["run"]);
    settle(&sandbox);
    turn("two");
    is_noticed(&sandbox, "the middle of the chain");
    sandbox.write("two", "end 3");
    is_noticed(&sandbox, "the end of the chain");
    turn(outside.path().join("end").to_str().unwrap());
    is_noticed(&sandbox, "an end outside of the root");
    settle(&sandbox);
    fs::write(outside.path().join("end"), "far 2").unwrap();
    is_noticed(&sandbox, "an edit outside of the root");
    assert_eq!(sandbox.read("out"), "far 2");
    // The content is that of the target: pointing the link at an equal file changes nothing.
    sandbox.write("equal", "far 2");
    turn("equal");
    sandbox.ok(&["status", "--check"]);
}

#[test]
fn case_only_rename() {
    let sandbox = copying();
    sandbox.remove("in");
    sandbox.write("in/a", "x");
    sandbox.ok(&["run"]);
    settle(&sandbox);
    fs::rename(sandbox.path("in/a"), sandbox.path("in/A")).unwrap();
    is_noticed(&sandbox, "a → A");
    assert!(sandbox.exists("out/A") && !sandbox.exists("out/a"));
}

#[test]
fn write_by_hard_link() {
    let sandbox = copying();
    fs::hard_link(sandbox.path("in"), sandbox.path("other name")).unwrap();
    sandbox.ok(&["run"]);
    settle(&sandbox);
    let time = fs::metadata(sandbox.path("in")).unwrap().modified().unwrap();
    File::options()
        .write(true)
        .open(sandbox.path("other name"))
        .unwrap()
        .write_at(b"F", 0)
        .unwrap();
    set_modified(&sandbox, "other name", time);
    is_noticed(&sandbox, "written by its other name");
    assert_eq!(sandbox.read("out"), "First");
}

#[test]
fn large_sparse_file() {
    const SIZE: u64 = 200 << 20;
    let sandbox = Sandbox::with(&format!(
        "[stages.s]\n\
         cmd = 'truncate -s {SIZE} out; printf x | dd of=out bs=1 seek=123456789 conv=notrunc'\n\
         outs = ['out']\n"
    ));
    sandbox.ok(&["run"]);
    let digest = || {
        blake3::Hasher::new()
            .update_reader(File::open(sandbox.path("out")).unwrap())
            .unwrap()
            .finalize()
    };
    let before = digest();
    sandbox.remove("out");
    sandbox.ok(&["run"]);
    assert_eq!((fs::metadata(sandbox.path("out")).unwrap().len(), digest()), (SIZE, before));
    settle(&sandbox);
    let time = fs::metadata(sandbox.path("out")).unwrap().modified().unwrap();
    File::options()
        .write(true)
        .open(sandbox.path("out"))
        .unwrap()
        .write_at(b"y", SIZE / 2)
        .unwrap();
    set_modified(&sandbox, "out", time);
    is_noticed(&sandbox, "one byte of many");
    assert_eq!(digest(), before);
}

#[test]
fn write_through_mmap() {
    let sandbox = copying();
    sandbox.ok(&["run"]);
    settle(&sandbox);
    let script = "import mmap\n\
        f = open('in', 'r+b')\nm = mmap.mmap(f.fileno(), 0)\nm[0:1] = b'F'\nm.close()\nf.close()\n";
    let python = std::process::Command::new("python3")
        .args(["-c", script])
        .current_dir(sandbox.root())
        .status();
    match python {
        Ok(status) if status.success() => is_noticed(&sandbox, "mapped"),
        _ => untested("python3, which maps a file, is missing or failed"),
    }
}

#[test]
fn constantly_replaced_dep() {
    deadline::within(|| {
        let sandbox = copying();
        let stop = AtomicBool::new(false);
        let (path, beside) = (sandbox.path("in"), sandbox.path("beside"));
        let ended = std::thread::scope(|scope| {
            scope.spawn(|| {
                for text in ["first", "other", "third"].iter().cycle() {
                    fs::write(&beside, text).unwrap();
                    fs::rename(&beside, &path).unwrap();
                    // Write in place as well, so that the inode stays the same.
                    fs::write(&path, text.to_uppercase()).unwrap();
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
            let runs = (0..40).map(|_| {
                (sandbox.repro(&["run"]), fs::read_to_string(sandbox.path("pipeline.lock")))
            });
            let ended: Vec<_> = runs.collect();
            stop.store(true, Ordering::Relaxed);
            ended
        });
        for (done, lock) in ended {
            if done.code != 0 {
                let reasons = ["changed", "keeps changing"];
                assert!(reasons.iter().any(|reason| done.stderr.contains(reason)), "{done}");
                continue;
            }
            let lock = lock.unwrap();
            let digest = |word: &str| {
                let line = lock.lines().find(|line| line.starts_with(word)).unwrap();
                line.split(' ').nth(2).unwrap().to_owned()
            };
            assert_eq!(digest("dep "), digest("out "), "{lock}");
        }
        sandbox.ok(&["run"]);
        assert_eq!(sandbox.read("out"), sandbox.read("in"));
    });
}

#[test]
fn dep_edited_during_run() {
    let sandbox = Sandbox::with(
        "[stages.s]\ncmd = 'cat in > out; test -e quiet || echo more >> in'\ndeps = ['in']\n\
         outs = ['out']\n",
    );
    sandbox.write("in", "x\n");
    let done = sandbox.repro(&["run"]);
    assert_eq!(done.code, 1, "{done}");
    assert!(done.stderr.contains("its dep `in` changed while it ran"), "{done}");
    assert_eq!(sandbox.repro(&["status", "--check"]).code, 4);
    // Restoring the content from the start is not enough: the outs may come from either content.
    sandbox.write("in", "x\n");
    assert_eq!(sandbox.repro(&["status", "--check"]).code, 4);
    sandbox.write("quiet", "");
    sandbox.ok(&["run"]);
    sandbox.ok(&["status", "--check"]);
}

#[test]
fn dep_reverted_during_run() {
    let sandbox = Sandbox::with(
        "[stages.s]\ncmd = 'test -e quiet || echo B > in; cp in out; echo A > in'\n\
         deps = ['in']\nouts = ['out']\n",
    );
    sandbox.write("in", "A\n");
    let done = sandbox.repro(&["run"]);
    assert_eq!(done.code, 1, "{done}");
    assert!(done.stderr.contains("its dep `in` changed while it ran"), "{done}");
    assert_eq!(sandbox.repro(&["status", "--check"]).code, 4);
}
