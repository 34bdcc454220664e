//! Files that `repro` writes are never seen half written, and names like those of its temporary
//! files are names like any other.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use crate::sandbox::{Sandbox, files, untested};

/// A name of a temporary file that earlier versions wrote, and one of the present version.
const NAMES: [&str; 2] = [".repro-tmp-1-2-3", "file-1-2-3"];

#[test]
fn temporary_names_are_content() {
    for name in NAMES {
        let sandbox = Sandbox::with(&format!(
            "[stages.s]\ncmd = 'mkdir o; echo 1 > o/{name}; echo 2 > o/b'\nouts = ['o']\n\
             [stages.n]\ncmd = 'cat o/{name} src/{name} > n'\ndeps = ['o', 'src']\nouts = ['n']\n"
        ));
        sandbox.write(&format!("src/{name}"), "3");
        sandbox.ok(&["run"]);
        sandbox.remove("o");
        sandbox.ok(&["checkout"]);
        assert_eq!(sandbox.read(&format!("o/{name}")), "1\n");
        sandbox.write(&format!("o/{name}"), "changed");
        assert_eq!(sandbox.repro(&["status", "--check"]).code, 4);
        sandbox.ok(&["run"]);
        sandbox.write(&format!("src/{name}"), "changed");
        let status = sandbox.repro(&["status", "--check"]);
        assert!(status.stdout.contains(&format!("src/{name}")), "{status}");
    }
}

/// Returns the names that entries of some folders get while `act` runs, however briefly.
fn names_while(folders: &[PathBuf], act: impl FnOnce()) -> BTreeSet<String> {
    let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).unwrap();
    for folder in folders {
        inotify::add_watch(&inotify, folder, WatchFlags::CREATE | WatchFlags::MOVED_TO).unwrap();
    }
    act();
    let mut buffer = [MaybeUninit::uninit(); 16 << 10];
    let mut events = inotify::Reader::new(&inotify, &mut buffer);
    let mut names = BTreeSet::new();
    while let Ok(event) = events.next() {
        names.extend(event.file_name().map(|name| name.to_str().unwrap().to_owned()));
    }
    names
}

#[test]
fn no_temporary_names_in_workspace() {
    let sandbox = Sandbox::with(
        "[params]\nseed = 1\n[stages.s]\ncmd = 'mkdir o; echo {{ params.seed }} | tee o/a > o/b'\n\
         outs = ['o']\n",
    );
    sandbox.ok(&["run"]);
    sandbox.git(&["init", "-q"]);
    sandbox.write("o/a", "edited");
    sandbox.write("in", "");
    let names = names_while(&[sandbox.root(), sandbox.path("o")], || {
        sandbox.ok(&["run"]);
        sandbox.write("o/b", "edited");
        sandbox.ok(&["checkout"]);
        sandbox.ok(&["params", "set", "seed=2"]);
        sandbox.ok(&["add", "in"]);
        sandbox.ok(&["run"]);
    });
    assert_eq!(sandbox.read("o/b"), "2\n");
    assert!(names.contains("pipeline.lock") && names.contains("a") && names.contains("b"));
    let expected = [".gitignore", "a", "b", "o", "pipeline.lock", "pipeline.toml"];
    assert!(names.iter().all(|name| expected.contains(&name.as_str())), "{names:?}");
}

/// An out on another disk than the state cannot be moved there by a rename.
#[test]
fn outs_on_other_disk() {
    let other = tempfile::tempdir_in("/dev/shm");
    let here = tempfile::tempdir().unwrap();
    let device = |path: &std::path::Path| path.metadata().unwrap().dev();
    let Some(other) = other.ok().filter(|other| device(other.path()) != device(here.path())) else {
        return untested("there is no other disk at `/dev/shm`");
    };
    let sandbox = Sandbox::with(
        "[params]\nseed = 1\n[stages.s]\ncmd = 'mkdir o; echo {{ params.seed }} > o/a; \
         echo 2 > o/b; chmod +x o/b'\nouts = ['o']\n",
    );
    // The state is on the other disk, the project here.
    std::os::unix::fs::symlink(other.path(), sandbox.path("cache")).unwrap();
    sandbox.ok(&["run"]);
    sandbox.ok(&["run", "-p", "seed=2"]);
    sandbox.ok(&["run"]);
    assert_eq!((sandbox.read("o/a"), sandbox.read("o/b")), ("1\n".into(), "2\n".into()));
    sandbox.ok(&["status", "--check"]);
    sandbox.ok(&["params", "set", "seed=2"]);
    sandbox.ok(&["run"]);
    assert_eq!(sandbox.read("o/a"), "2\n");
    let root = std::fs::read_dir(sandbox.root()).unwrap();
    let mut names: Vec<_> = root.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["cache", "o", "pipeline.lock", "pipeline.toml", "runs"]);
    assert_eq!(files(&other.path().join("tmp")), Vec::<String>::new());
}
