//! `repro runs export` and `repro runs import`: runs move between projects.

use std::fs;

use crate::sandbox::{Sandbox, files};
use crate::snapshot;

/// Projects `a` with two runs and `b` with one, of the same pipeline.
fn two_projects() -> Sandbox {
    let sandbox = Sandbox::empty();
    for project in ["a", "b"] {
        sandbox.write(
            &format!("{project}/pipeline.toml"),
            "[params]\nrate = 0.5\n[stages.s]\n\
             cmd = '''echo said {{ params.rate }}; mkdir -p out/deep; echo {{ params.rate }} > \
             out/deep/x; echo '{\"y\": {{ params.rate }}}' > m.json\n\
             for i in 1 2 3; do echo '{\"metric\":\"loss\",\"step\":'$i',\"value\":0.'$i'}' \
             >> $REPRO_EVENTS; done'''\n\
             params = ['rate']\nouts = ['out']\nmetrics = ['m.json']\n",
        );
    }
    sandbox.ok(&["-C", "a", "run"]);
    sandbox.ok(&["-C", "a", "run", "-p", "rate=0.25"]);
    sandbox.ok(&["-C", "b", "run", "-p", "rate=0.125"]);
    sandbox
}

fn runs(sandbox: &Sandbox, project: &str) -> String {
    sandbox.ok(&["-C", project, "runs", "list", "--json"]).stdout
}

#[test]
fn round_trip() {
    let sandbox = two_projects();
    snapshot!(sandbox.repro(&["-C", "a", "runs", "export", "run-2", "run-1", "../x.tar"]), @"
    exit 0
    --- stdout
    wrote 2 runs to `../x.tar`: 9 files, 19 kB
    ");
    snapshot!(sandbox.repro(&["-C", "b", "runs", "import", "../x.tar"]), @"
    exit 0
    --- stdout
    imported run-2 (run-1 in the file)
    imported run-3 (run-2 in the file)
    ");
    // Everything that can be shown of a run is the same, but for its number.
    for (a, b) in [("run-1", "run-2"), ("run-2", "run-3")] {
        let show = |project: &str, run: &str| {
            let shown = sandbox.ok(&["-C", project, "runs", "show", run, "--json"]).stdout;
            shown.replace(run, "RUN")
        };
        assert_eq!(show("a", a), show("b", b));
        let logs = |project: &str, run: &str| {
            sandbox.ok(&["-C", project, "runs", "logs", run, "s"]).stdout
        };
        assert_eq!(logs("a", a), logs("b", b));
        assert!(logs("b", b).starts_with("said 0."));
        let kept =
            |project: &str, run: &str| files(&sandbox.path(&format!("{project}/runs/{run}")));
        let recording = |name: &String| name == "recording.lock";
        let kept = |project, run| {
            kept(project, run).into_iter().filter(|n| !recording(n)).collect::<Vec<_>>()
        };
        assert_eq!(kept("a", a), kept("b", b));
    }
    let before = runs(&sandbox, "b");
    snapshot!(sandbox.repro(&["-C", "b", "runs", "import", "../x.tar"]), @"
    exit 0
    --- stdout
    2 runs are there already
    ");
    assert_eq!(runs(&sandbox, "b"), before);
    // The way back changes nothing, either.
    sandbox.ok(&["-C", "b", "runs", "export", "run-3", "../y.tar"]);
    let before = runs(&sandbox, "a");
    sandbox.ok(&["-C", "a", "runs", "import", "../y.tar"]);
    assert_eq!(runs(&sandbox, "a"), before);
    let done = sandbox.repro(&["-C", "a", "runs", "export", "run-1", "../x.tar"]);
    assert_eq!(done.code, 3, "{done}");
}

#[test]
fn outs_come_with_objects() {
    let sandbox = two_projects();
    sandbox.ok(&["-C", "a", "runs", "export", "run-1", "../x.tar"]);
    sandbox.ok(&["-C", "a", "runs", "export", "run-1", "--with-objects", "../y.tar"]);
    sandbox.ok(&["-C", "b", "runs", "import", "../x.tar"]);
    let done = sandbox.repro(&["-C", "b", "runs", "checkout", "run-2"]);
    assert_eq!(done.code, 3, "{done}");
    snapshot!(sandbox.repro(&["-C", "b", "runs", "import", "../y.tar"]), @"
    exit 0
    --- stdout
    added 4 objects to the cache
    1 run is there already
    ");
    sandbox.ok(&["-C", "b", "runs", "checkout", "run-2"]);
    assert_eq!(sandbox.read("b/out/deep/x"), "0.5\n");
    sandbox.ok(&["-C", "b", "fsck"]);
    // A tar archive like any other.
    let listed = std::process::Command::new("tar")
        .args(["-tf", "y.tar"])
        .current_dir(sandbox.root())
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.starts_with("manifest.json\nparts/"), "{listed}");
}

#[test]
fn damaged_file() {
    let sandbox = two_projects();
    sandbox.ok(&["-C", "a", "runs", "export", "run-1", "run-2", "--with-objects", "../x.tar"]);
    let whole = fs::read(sandbox.path("x.tar")).unwrap();
    let before = (runs(&sandbox, "b"), files(&sandbox.path("b/runs")));
    let refused = |bytes: &[u8], what: &str| {
        sandbox.write("bad.tar", bytes);
        let done = sandbox.repro(&["-C", "b", "runs", "import", "../bad.tar"]);
        assert_eq!(done.code, 2, "{what}: {done}");
        assert!(done.stderr.starts_with("error: the file cannot be imported\n"), "{what}: {done}");
        assert_eq!((runs(&sandbox, "b"), files(&sandbox.path("b/runs"))), before, "{what}");
    };
    refused(b"", "empty");
    refused(b"not a tar archive", "text");
    for part in 1..8 {
        refused(&whole[..whole.len() * part / 8], "cut off");
    }
    refused(&whole[..whole.len() - 1024], "without an end");
    // One byte of each part.
    let text = String::from_utf8_lossy(&whole).into_owned();
    let parts = text.match_indices("parts/").filter(|(at, _)| at % 512 == 0);
    let mut count = 0;
    for (at, _) in parts {
        let mut bytes = whole.clone();
        bytes[at + 512] ^= 1;
        refused(&bytes, "a changed byte");
        count += 1;
    }
    assert!(count >= 6, "{count}");
    sandbox.ok(&["-C", "b", "runs", "import", "../x.tar"]);
    assert!(!sandbox.exists("b/cache/tmp") || files(&sandbox.path("b/cache/tmp")).is_empty());
}

/// Returns the archive with a text in its manifest replaced.
fn with_manifest(sandbox: &Sandbox, from: &str, to: &str) {
    let whole = fs::read(sandbox.path("x.tar")).unwrap();
    let mut reader = repro::tar::Reader::new(&whole[..]);
    let mut writer = repro::tar::Writer::new(Vec::new());
    while let Some((name, _)) = reader.advance().unwrap() {
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut content).unwrap();
        if name == "manifest.json" {
            let text = String::from_utf8(content).unwrap();
            assert!(text.contains(from), "{from} in {text}");
            content = text.replacen(from, to, 1).into_bytes();
        }
        writer.add(&name, content.len() as u64, &content[..]).unwrap();
    }
    fs::write(sandbox.path("bad.tar"), writer.finish().unwrap()).unwrap();
}

#[test]
fn hostile_manifest() {
    let sandbox = two_projects();
    sandbox.ok(&["-C", "a", "runs", "export", "run-1", "../x.tar"]);
    let before = (runs(&sandbox, "b"), files(&sandbox.root()));
    for (from, to) in [
        ("\"pipeline.lock\":", "\"../../../pipeline.lock\":"),
        ("\"pipeline.lock\":", "\"/tmp/pipeline.lock\":"),
        ("\"pipeline.lock\":", "\"s/log/x\":"),
        ("\"status\": \"ok\"", "\"status\": \"odd\""),
        ("\"status\": \"ok\"", "\"status\": 1"),
        ("\"status\": \"ok\"", "\"status\": \"ok\", \"number\": 1"),
        ("\"status\": \"ok\"", "\"status) VALUES (1); DROP TABLE runs; --\": \"ok\""),
        ("\"stage\": \"s\"", "\"stage\": \"../s\""),
        ("\"kind\": \"file\"", "\"kind\": \"odd\""),
        ("\"format\": \"repro.runs\"", "\"format\": \"other\""),
        ("\"version\": 1", "\"version\": 2"),
        ("\"params\": [", "\"sqlite_schema\": ["),
    ] {
        with_manifest(&sandbox, from, to);
        let done = sandbox.repro(&["-C", "b", "runs", "import", "../bad.tar"]);
        assert!([2, 3].contains(&done.code), "{to}: {done}");
        sandbox.remove("bad.tar");
        assert_eq!((runs(&sandbox, "b"), files(&sandbox.root())), before, "{to}");
    }
}

#[test]
fn lock_must_be_valid() {
    let sandbox = two_projects();
    sandbox.write("a/runs/run-1/pipeline.lock", "no lock");
    sandbox.ok(&["-C", "a", "runs", "export", "run-1", "../x.tar"]);
    let before = (runs(&sandbox, "b"), files(&sandbox.path("b/runs")));
    let done = sandbox.repro(&["-C", "b", "runs", "import", "../x.tar"]);
    assert_eq!(done.code, 2, "{done}");
    assert_eq!((runs(&sandbox, "b"), files(&sandbox.path("b/runs"))), before);
}

#[test]
fn two_imports_at_once() {
    let sandbox = two_projects();
    sandbox.ok(&["-C", "a", "runs", "export", "run-1", "run-2", "../x.tar", "--with-objects"]);
    let import = || {
        let mut command = sandbox.command(&["-C", "b", "runs", "import", "../x.tar"]);
        let piped = std::process::Stdio::piped;
        command.stdout(piped()).stderr(piped()).spawn().unwrap()
    };
    let both = [import(), import(), import()];
    for child in both {
        let done = sandbox.done(deadline::wait(child));
        assert_eq!(done.code, 0, "{done}");
    }
    let listed = sandbox.ok(&["-C", "b", "runs", "list", "--csv", "--columns", "uid"]).stdout;
    let uids: std::collections::BTreeSet<&str> = listed.lines().skip(1).collect();
    assert_eq!((uids.len(), listed.lines().count()), (3, 4), "{listed}");
}

#[test]
fn running_run_is_refused() {
    let sandbox = Sandbox::with("[stages.s]\ncmd = 'echo > started; cat goes-on'\nouts = []\n");
    sandbox.fifo("started");
    sandbox.fifo("goes-on");
    let mut child = sandbox
        .command(&["run"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    sandbox.read_fifo("started");
    snapshot!(sandbox.repro(&["runs", "export", "last", "x.tar"]), @"
    exit 2
    --- stderr
    error: run-1 is still running
     hint: export it when it has ended
    ");
    fs::write(sandbox.path("goes-on"), "").unwrap();
    child.wait().unwrap();
    sandbox.ok(&["runs", "export", "last", "x.tar"]);
}
