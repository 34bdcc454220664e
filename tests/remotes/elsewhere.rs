//! Data from elsewhere: the real program adds files, folders and archives of a store to a project,
//! and updates them when they change.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};

use repro::remote::Backend;

use crate::operations::bytes;
use crate::project::with_remote;
use crate::proxy::{Act, Proxy};
use crate::setting::{Setting, Test, text};

pub const ADDED: &[(&str, Test)] = &[
    ("add a file", add_file),
    ("add a folder", add_folder),
    ("add an archive", add_archive),
    ("add what is missing", add_missing),
];

pub const DENIED: &[(&str, Test)] = &[("add, denied", add_denied)];

/// With a proxy in front of a store behind HTTP.
pub const OBSERVED: &[(&str, Test)] = &[
    ("requests of an update", requests),
    ("cut folder continues", cut_folder),
    ("cut file continues", cut_file),
    ("Ctrl-C while it stalls", interrupted),
    ("public bucket", public_bucket),
];

/// With a server of SSH.
pub const BY_SSH: &[(&str, Test)] = &[("import by ssh", import_by_ssh)];

/// An empty project with the remote of a setting.
struct Project {
    dir: tempfile::TempDir,
}

impl Project {
    fn new(setting: &Setting) -> Project {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("pipeline.toml"), with_remote(&setting.spec)).unwrap();
        Project { dir }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_repro"));
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        deadline::output(&mut self.command(args))
    }

    /// Runs a command that must end with `code`, and returns what it printed.
    fn expect(&self, code: i32, args: &[&str]) -> Result<String, String> {
        let output = self.run(args);
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        match output.status.code() == Some(code) {
            true => Ok(said.concat()),
            false => {
                Err(format!("`repro {}`: {}: {}", args.join(" "), output.status, said.concat()))
            }
        }
    }

    fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.dir.path().join(path)).unwrap_or_default()
    }

    /// Returns all files below a folder.
    fn files(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let top = self.dir.path().join(folder);
        let mut files = BTreeMap::new();
        let mut folders = vec![top.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(&top).unwrap().to_str().unwrap().to_owned();
                    files.insert(name, fs::read(path).unwrap());
                }
            }
        }
        files
    }
}

fn put(store: &dyn Backend, folder: &str, files: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    files
        .iter()
        .try_for_each(|(name, bytes)| store.put(&format!("{folder}/{name}"), bytes).map_err(text))
}

fn check(condition: bool, what: impl Into<String>) -> Result<(), String> {
    if condition { Ok(()) } else { Err(what.into()) }
}

/// Returns the URL of data in the store: a full one, if its place has such.
fn url(setting: &Setting, path: &str) -> String {
    let base = &setting.spec.url;
    let path = path.replace(' ', "%20");
    if base.contains("://") { format!("{base}/{path}") } else { format!("remote://lab/{path}") }
}

fn add_file(setting: &Setting) -> Result<(), String> {
    let (store, project) = (setting.open(), Project::new(setting));
    let first = bytes(9_000_000, 1);
    store.put("else/a file.bin", &first).map_err(text)?;
    project.expect(0, &["add", &url(setting, "else/a file.bin"), "-o", "file"])?;
    check(project.read("file") == first, "the file differs")?;
    let lock = String::from_utf8(project.read("pipeline.lock")).unwrap();
    check(lock.contains("\"bytes\":9000000"), lock)?;
    project.expect(0, &["update", "--check"])?;
    // The same by the name of the remote.
    project.expect(0, &["add", "remote://lab/else/a%20file.bin", "-o", "same"])?;
    check(project.read("same") == first, "the file differs")?;
    store.put("else/a file.bin", b"second").map_err(text)?;
    project.expect(4, &["update", "--check"])?;
    project.expect(0, &["update"])?;
    check(project.read("file") == b"second", "the file was not updated")?;
    check(project.read("same") == b"second", "the file was not updated")?;
    project.expect(0, &["update", "--check"]).map(drop)
}

fn folder() -> BTreeMap<String, Vec<u8>> {
    let names = ["a.csv", "b ü %41.csv", "deep/er/c", "deep/-d", ".hidden", "A.csv", "empty"];
    let content = |name: &str| if name == "empty" { Vec::new() } else { name.as_bytes().to_vec() };
    let mut files: BTreeMap<String, Vec<u8>> =
        names.iter().map(|name| ((*name).to_owned(), content(name))).collect();
    files.insert("large".to_owned(), bytes(9_000_000, 2));
    files
}

fn add_folder(setting: &Setting) -> Result<(), String> {
    let (store, project) = (setting.open(), Project::new(setting));
    let mut files = folder();
    put(&*store, "else/folder", &files)?;
    store.put("else/folder-beside", b"not below").map_err(text)?;
    // Without the slash, s3s-fs answers a question about the folder with an internal error.
    project.expect(0, &["add", &url(setting, "else/folder/"), "-o", "data"])?;
    check(project.files("data") == files, format!("{:?}", project.files("data").keys()))?;
    project.expect(0, &["update", "--check"])?;
    files.insert("a.csv".to_owned(), b"changed".to_vec());
    files.insert("deep/new".to_owned(), b"new".to_vec());
    put(&*store, "else/folder", &files)?;
    store.delete("else/folder/A.csv").map_err(text)?;
    files.remove("A.csv");
    project.expect(4, &["update", "--check"])?;
    let said = project.expect(0, &["update"])?;
    check(project.files("data") == files, format!("{:?}", project.files("data").keys()))?;
    for change in ["data/a.csv changed", "data/deep/new added", "data/A.csv removed"] {
        check(said.contains(change), format!("{change}: {said}"))?;
    }
    check(!said.contains("large"), said)?;
    project.expect(0, &["update", "--check"]).map(drop)
}

fn add_archive(setting: &Setting) -> Result<(), String> {
    let (store, project) = (setting.open(), Project::new(setting));
    let made = tempfile::tempdir().unwrap();
    fs::write(made.path().join("clip"), "1").unwrap();
    let mut tar = Command::new("tar");
    let archive = deadline::output(tar.args(["cz", "clip"]).current_dir(made.path())).stdout;
    store.put("else/clips.tar.gz", &archive).map_err(text)?;
    project.expect(0, &["add", &url(setting, "else/clips.tar.gz"), "--extract"])?;
    check(project.read("clips/clip") == b"1", "the archive was not unpacked")
}

fn add_missing(setting: &Setting) -> Result<(), String> {
    let project = Project::new(setting);
    let said = project.expect(2, &["add", &url(setting, "else/no such/file")])?;
    check(said.contains("does not exist"), said)
}

fn add_denied(setting: &Setting) -> Result<(), String> {
    let project = Project::new(setting);
    let said = project.expect(3, &["add", &url(setting, "else/file")])?;
    for (_, value) in &setting.variables {
        let is_secret = value.contains("SECRET") || value.contains("PASSWORD");
        check(!is_secret || !said.contains(value.as_str()), format!("a secret: {said}"))?;
    }
    check(said.contains("hint: "), said)
}

/// Returns the setting behind a proxy with a script.
fn behind(setting: &Setting, script: &[Act], rest: Act) -> (Setting, Proxy) {
    let endpoint = setting.spec.endpoint.as_ref().unwrap();
    let target = endpoint.rsplit(':').next().unwrap().parse().unwrap();
    let proxy = Proxy::start(target, script, rest);
    let mut setting = setting.clone();
    setting.spec.endpoint = Some(format!("http://127.0.0.1:{}", proxy.port));
    // One call after the other, so that the order of the requests is given.
    setting.spec.jobs = Some(1);
    (setting, proxy)
}

/// Returns the requests since the first `before` of them: `GET NAME` or `HEAD NAME` of a file in
/// `folder`, or `list`.
fn seen(proxy: &Proxy, folder: &str, before: usize) -> Vec<String> {
    let line = |head: &str| {
        let line = head.lines().next().unwrap_or_default();
        let mut words = line.split(' ');
        let (verb, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match path.split_once(&format!("{folder}/")) {
            _ if path.contains("list-type=2") => "list".to_owned(),
            Some((_, name)) => format!("{verb} {name}"),
            None => format!("{verb} {}", path.rsplit('/').next().unwrap_or_default()),
        }
    };
    proxy.seen().iter().skip(before).map(|(_, head)| line(head)).collect()
}

fn requests(setting: &Setting) -> Result<(), String> {
    let (setting, proxy) = behind(setting, &[], Act::Pass);
    let (store, project) = (setting.open(), Project::new(&setting));
    let mut files: BTreeMap<String, Vec<u8>> =
        (0..5).map(|number| (number.to_string(), vec![number])).collect();
    put(&*store, "counted", &files)?;
    let before = proxy.seen().len();
    project.expect(0, &["add", &url(&setting, "counted/")])?;
    let found = seen(&proxy, "counted", before);
    let expected = ["list", "GET 0", "GET 1", "GET 2", "GET 3", "GET 4", "list"];
    check(found == expected, format!("{found:?}"))?;
    let before = proxy.seen().len();
    project.expect(0, &["update", "--check"])?;
    check(seen(&proxy, "counted", before) == ["list"], "an update asked more than once")?;
    files.insert("3".to_owned(), b"changed".to_vec());
    store.put("counted/3", b"changed").map_err(text)?;
    let before = proxy.seen().len();
    project.expect(0, &["update"])?;
    let found = seen(&proxy, "counted", before);
    check(found == ["list", "list", "GET 3", "list"], format!("{found:?}"))?;
    check(project.files("counted") == files, "the folder differs")
}

const REFUSED: Act = Act::Answer(403, "", "<Error><Code>AccessDenied</Code></Error>");

fn cut_folder(setting: &Setting) -> Result<(), String> {
    let store = setting.open();
    let files: BTreeMap<String, Vec<u8>> =
        (0..5).map(|number| (number.to_string(), vec![number; 9])).collect();
    put(&*store, "cut", &files)?;
    // The list and two files.
    let (refusing, _proxy) = behind(setting, &[Act::Pass, Act::Pass, Act::Pass], REFUSED);
    let project = Project::new(&refusing);
    let address = url(&refusing, "cut/");
    project.expect(3, &["add", &address])?;
    check(!project.dir.path().join("cut").exists(), "a part of the folder is in the workspace")?;
    let (passing, proxy) = behind(setting, &[], Act::Pass);
    fs::write(project.dir.path().join("pipeline.toml"), with_remote(&passing.spec)).unwrap();
    project.expect(0, &["add", &address])?;
    let found = seen(&proxy, "cut", 0);
    check(found == ["list", "GET 2", "GET 3", "GET 4", "list"], format!("{found:?}"))?;
    check(project.files("cut") == files, "the folder differs")
}

fn cut_file(setting: &Setting) -> Result<(), String> {
    let content = bytes(11_000_000, 3);
    setting.open().put("cut.bin", &content).map_err(text)?;
    let (refusing, _proxy) = behind(setting, &[Act::Pass, Act::Pass], REFUSED);
    let project = Project::new(&refusing);
    let address = url(&refusing, "cut.bin");
    project.expect(3, &["add", &address])?;
    let (passing, proxy) = behind(setting, &[], Act::Pass);
    fs::write(project.dir.path().join("pipeline.toml"), with_remote(&passing.spec)).unwrap();
    project.expect(0, &["add", &address])?;
    check(project.read("cut.bin") == content, "the file differs")?;
    let ranges: Vec<String> = proxy
        .seen()
        .iter()
        .filter_map(|(_, head)| {
            let line = head.lines().find(|line| line.to_lowercase().starts_with("range:"))?;
            Some(line["range:".len()..].trim().to_owned())
        })
        .collect();
    check(ranges == ["bytes=4194304-8388607", "bytes=8388608-10999999"], format!("{ranges:?}"))
}

fn interrupted(setting: &Setting) -> Result<(), String> {
    setting.open().put("stalls", b"content").map_err(text)?;
    let (stalling, proxy) = behind(setting, &[Act::Pass], Act::Stall);
    let project = Project::new(&stalling);
    let mut command = project.command(&["add", &url(&stalling, "stalls")]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    while proxy.seen().len() < 2 {
        std::thread::yield_now();
    }
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    // The proxy never answers, and the setting allows it a minute.
    let status = deadline::wait(child).status;
    check(status.code() == Some(130), format!("{status}"))?;
    check(project.read("pipeline.toml") == with_remote(&stalling.spec).as_bytes(), "declared")
}

/// Without credentials, a bucket is asked as everybody may ask it.
fn public_bucket(setting: &Setting) -> Result<(), String> {
    let (_, server) = setting.spec.endpoint.as_ref().unwrap().split_once("://").unwrap();
    let mut stream = TcpStream::connect(server).map_err(|err| err.to_string())?;
    let head = "PUT /bucket/some/prefix/public/x HTTP/1.1\r\nx-amz-acl: public-read\r\n\
                Content-Length: 1\r\nConnection: close\r\n";
    stream.write_all(format!("{head}Host: {server}\r\n\r\n1").as_bytes()).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    let project = Project::new(setting);
    let mut command = project.command(&["add", &url(setting, "public/")]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    let output = deadline::output(&mut command);
    check(output.status.success(), String::from_utf8_lossy(&output.stderr))?;
    check(project.read("public/x") == b"1", "the file differs")
}

/// Another project, which `git` reaches by `ssh`.
fn import_by_ssh(setting: &Setting) -> Result<(), String> {
    let other = tempfile::tempdir().unwrap();
    let pipeline = format!(
        "[remotes.store]\nurl = '{}'\n[stages.s]\ncmd = 'mkdir d; echo 1 > d/x'\nouts = ['d']\n",
        other.path().join("store").display()
    );
    fs::write(other.path().join("pipeline.toml"), pipeline).unwrap();
    fs::write(other.path().join(".gitignore"), "d\ncache\nruns\nstore\n").unwrap();
    let run = |program: &str, args: &[&str]| {
        let done = deadline::output(Command::new(program).args(args).current_dir(other.path()));
        check(done.status.success(), String::from_utf8_lossy(&done.stderr))
    };
    let commit = || {
        run("git", &["add", "-A"])?;
        run("git", &["-c", "user.name=t", "-c", "user.email=t@x", "commit", "-qm", "x"])
    };
    run("git", &["init", "-q"])?;
    for command in ["run", "push"] {
        run(env!("CARGO_BIN_EXE_repro"), &[command])?;
    }
    commit()?;
    // What is in the cache of the other project would not travel.
    fs::remove_dir_all(other.path().join("cache")).unwrap();
    let server = &setting.spec.url[..setting.spec.url.match_indices('/').nth(2).unwrap().0];
    let url = format!("{server}{}", other.path().display());
    let project = Project::new(setting);
    project.expect(0, &["import", &url, "d"])?;
    check(project.read("d/x") == b"1\n", "the file differs")?;
    project.expect(0, &["update", "--check"])?;
    fs::write(other.path().join("note"), "2\n").unwrap();
    commit()?;
    project.expect(0, &["update", "--check"])?;
    project.expect(0, &["get", &url, "note"])?;
    check(project.read("note") == b"2\n", "the file differs")?;
    // A server that does not exist.
    let said = project.expect(3, &["get", "ssh://127.0.0.1:1/x", "d", "-o", "e"])?;
    check(said.contains("hint: `git ls-remote ssh://127.0.0.1:1/x`"), said)
}
