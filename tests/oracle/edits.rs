//! Edits of a project between two commands, as made by users, editors and accidents.

use std::fs::{self, FileTimes};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::random::Random;
use crate::tree::{Node, file, remove};
use crate::work::BOOM;

/// Few contents, of two sizes, so that earlier states occur again.
const TEXTS: [&str; 5] = ["one", "two", "six", "seven", "eight"];

pub fn text(random: &mut Random) -> Vec<u8> {
    if random.percent(3) { BOOM.to_vec() } else { random.pick(&TEXTS).as_bytes().to_vec() }
}

/// Writes the source files of a new project.
pub fn sources(root: &Path, random: &mut Random) {
    for path in [
        "one.txt",
        "two.txt",
        "src/a.x",
        "src/b.x",
        "src/sub/d.x",
        "src/c.y",
        "data/mine.txt",
        "alt1/a.x",
        "alt2/a.x",
    ] {
        let text = TEXTS[random.below(TEXTS.len())];
        file(text).write(&root.join(path));
    }
    symlink("alt1", root.join("ln")).unwrap();
}

/// Returns the path of a source file, which may or may not exist.
fn source(random: &mut Random) -> &'static str {
    random.pick(&[
        "one.txt",
        "two.txt",
        "src/a.x",
        "src/b.x",
        "src/new.x",
        "src/sub/d.x",
        "src/sub/e.x",
        "src/c.y",
        "data/mine.txt",
        "alt1/a.x",
        "alt2/a.x",
        "alt2/b.x",
        "src/__pycache__/a.x",
        "src/A.x",
        "src/sub/deep/f.x",
    ])
}

/// Edits a source file or a folder of sources. Returns a description.
pub fn edit_source(root: &Path, random: &mut Random) -> String {
    let name = source(random);
    let path = root.join(name);
    let folder = path.parent().unwrap();
    // An earlier edit may have replaced the folder by a file.
    if !folder.is_dir() {
        Node::Dir(Default::default()).write(folder);
    }
    let what = random.below(14);
    match what {
        0..=2 => {
            unlink_if_odd(&path);
            fs::write(&path, text(random)).unwrap();
            format!("write {name}")
        }
        3 => {
            format!(
                "write {name} with its size and time as before: {}",
                write_unnoticed(&path, random)
            )
        }
        4 => {
            if let Ok(opened) = fs::File::options().write(true).open(&path) {
                let time = std::time::SystemTime::now()
                    + std::time::Duration::from_secs(random.below(3) as u64 * 3600);
                let time = if random.percent(30) { std::time::UNIX_EPOCH } else { time };
                opened.set_times(FileTimes::new().set_modified(time)).unwrap();
            }
            format!("touch {name}")
        }
        5 => {
            let other = root.join(source(random));
            if other.is_file()
                && !path.is_dir()
                && other.canonicalize().ok() != path.canonicalize().ok()
            {
                let meta = fs::metadata(&other).unwrap();
                unlink_if_odd(&path);
                fs::copy(&other, &path).unwrap();
                if let Ok(opened) = fs::File::options().write(true).open(&path) {
                    opened
                        .set_times(FileTimes::new().set_modified(meta.modified().unwrap()))
                        .unwrap();
                }
            }
            format!("cp -p to {name}")
        }
        6 => {
            if path.is_file() {
                let mode = if random.percent(50) { 0o755 } else { 0o644 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
            format!("chmod {name}")
        }
        7 => {
            remove(&path);
            format!("rm {name}")
        }
        8 => {
            let other = root.join(source(random));
            // Links are not moved: their target would change, possibly to themselves.
            let movable = path.is_file() && !path.is_symlink();
            if movable && !other.is_dir() && other.parent().unwrap().is_dir() {
                fs::rename(&path, &other).unwrap();
            }
            format!("mv {name} {}", other.display())
        }
        9 => {
            let link = root.join("ln");
            remove(&link);
            let target = random.pick(&["alt1", "alt2", "alt1", "alt2", "nowhere", "one.txt"]);
            symlink(target, &link).unwrap();
            format!("ln -sfn {target} ln")
        }
        10 => {
            remove(&path);
            // `alt1/a.x` and `alt2/a.x` are always files, so no link can point at itself.
            if !name.starts_with("alt") {
                let up = "../".repeat(name.matches('/').count());
                symlink(format!("{up}{}", random.pick(&["alt1/a.x", "alt2/a.x", "gone"])), &path)
                    .unwrap();
            }
            format!("ln -sf to {name}")
        }
        11 => {
            let other = root.join(source(random));
            if other.is_file() && other.canonicalize().ok() != path.canonicalize().ok() {
                let real = other.canonicalize().unwrap();
                remove(&path);
                fs::hard_link(real, &path).unwrap();
            }
            format!("ln {} {name}", other.display())
        }
        12 => swap(root, random),
        _ => {
            let other = folder.join(".editor");
            fs::write(&other, text(random)).unwrap();
            if path.is_dir() {
                remove(&path);
            }
            fs::rename(&other, &path).unwrap();
            format!("replace {name}")
        }
    }
}

/// Removes a directory or a broken link, which could not be written as a file.
fn unlink_if_odd(path: &Path) {
    if path.is_dir() || (path.is_symlink() && !path.exists()) {
        remove(path);
    }
}

/// Writes other bytes of the same size and restores the modification time.
fn write_unnoticed(path: &Path, random: &mut Random) -> String {
    let Ok(meta) = fs::metadata(path) else { return "missing".into() };
    if !meta.is_file() {
        return "not a file".into();
    }
    let size = meta.len() as usize;
    let bytes: Vec<u8> = text(random).into_iter().cycle().take(size).collect();
    if random.percent(50) {
        fs::write(path, &bytes).unwrap();
    } else {
        let beside = path.with_file_name(".beside");
        fs::write(&beside, &bytes).unwrap();
        fs::set_permissions(&beside, meta.permissions()).unwrap();
        fs::rename(&beside, path).unwrap();
    }
    let opened = fs::File::options().write(true).open(path).unwrap();
    opened.set_times(FileTimes::new().set_modified(meta.modified().unwrap())).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Replaces a directory by a file, or a file by a directory.
fn swap(root: &Path, random: &mut Random) -> String {
    let name = random.pick(&["src/sub", "src/q.x", "src", "alt2", "two.txt"]);
    let path = root.join(name);
    if path.is_dir() {
        file(text(random)).write(&path);
        return format!("a file in place of {name}/");
    }
    let mut dir = Node::Dir(Default::default());
    dir.put("a.x", file(text(random)));
    if random.percent(50) {
        dir.put("sub/d.x", file(text(random)));
    }
    dir.write(&path);
    format!("a directory in place of {name}")
}

/// Edits the out of a stage. Returns a description.
pub fn edit_out(root: &Path, outs: &[String], random: &mut Random) -> String {
    let Some(name) = random.any(outs) else { return "no outs".into() };
    let path = root.join(&name);
    if path.symlink_metadata().is_err() {
        if random.percent(70) {
            return format!("{name} does not exist");
        }
        file(text(random)).write(&path);
        return format!("something at {name}");
    }
    let inner = inner_file(&path, random);
    match random.below(9) {
        0 | 1 => {
            remove(&path);
            format!("rm -r {name}")
        }
        2 => {
            // Half of the edits replace the file, as editors do. Writing in place also damages the
            // object if the file is a link to one.
            let target = inner.unwrap_or(path);
            if random.percent(50) || !target.exists() {
                remove(&target);
            }
            if !target.is_dir() {
                fs::write(&target, text(random)).unwrap();
            }
            format!("edit {}", target.display())
        }
        3 => {
            let target = inner.unwrap_or(path);
            write_unnoticed(&target, random);
            format!("edit {}, same size and time", target.display())
        }
        4 => {
            if let Some(inner) = inner {
                remove(&inner);
            }
            format!("rm something in {name}")
        }
        5 => {
            if path.is_dir() {
                file(text(random)).write(&path.join(random.pick(&[
                    "strange",
                    "sub/strange.x",
                    "__pycache__/x",
                    "b.x",
                ])));
            }
            format!("a new file in {name}")
        }
        6 => {
            let node = Node::read(&path).unwrap();
            node.write(&path);
            format!("cp -r {name} to itself")
        }
        7 => {
            if let Some(inner) = inner.filter(|inner| inner.is_file()) {
                let mode = if random.percent(50) { 0o755 } else { 0o644 };
                fs::set_permissions(&inner, fs::Permissions::from_mode(mode)).unwrap();
            }
            format!("chmod in {name}")
        }
        _ => {
            let node = if path.is_dir() {
                file(text(random))
            } else {
                Node::Dir([("a.x".to_owned(), file("one"))].into())
            };
            node.write(&path);
            format!("another type of file at {name}")
        }
    }
}

fn inner_file(path: &Path, random: &mut Random) -> Option<PathBuf> {
    if !path.is_dir() {
        return Some(path.to_owned());
    }
    let mut names: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    random.any(&names).filter(|path| !path.is_dir())
}

/// Removes or damages something in the cache. Returns a description.
pub fn edit_cache(root: &Path, random: &mut Random) -> String {
    let cache = root.join("cache");
    match random.below(8) {
        0..=2 => match random.any(&stored_files(&cache.join("objects"))) {
            Some(object) => {
                remove(&object);
                format!("rm {}", object.display())
            }
            None => "no objects".into(),
        },
        3 => match random.any(&stored_files(&cache.join("objects"))) {
            Some(object) => {
                remove(&object);
                fs::write(&object, "rotten").unwrap();
                format!("damage {}", object.display())
            }
            None => "no objects".into(),
        },
        4 | 5 => match random.any(&stored_files(&cache.join("traces"))) {
            Some(trace) => {
                remove(&trace);
                if random.percent(30) {
                    fs::write(&trace, "repro.trace 1\nrotten\n").unwrap();
                }
                format!("rm {}", trace.display())
            }
            None => "no traces".into(),
        },
        6 => {
            remove(&cache);
            "rm -r cache".into()
        }
        _ => {
            for path in state_files(&cache) {
                remove(&path);
            }
            "rm the index".into()
        }
    }
}

/// Removes links with a content that would change during a run: broken links that a run may fix,
/// and links to damaged objects. Resets the mode of objects, which all hard links to an object
/// share.
pub fn tidy(root: &Path) {
    for object in stored_files(&root.join("cache/objects")) {
        if fs::metadata(&object).unwrap().permissions().mode() & 0o111 != 0 {
            fs::set_permissions(&object, fs::Permissions::from_mode(0o444)).unwrap();
        }
    }
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            let Ok(target) = fs::read_link(&path) else {
                if path.is_dir() && !["cache", "runs"].iter().any(|ours| path == root.join(ours)) {
                    open.push(path);
                }
                continue;
            };
            let target = target.to_str().unwrap();
            let may_change = match target.split_once("cache/objects/") {
                Some((_, name)) => {
                    let digest = |bytes: Vec<u8>| blake3::hash(&bytes).to_hex().to_string();
                    fs::read(&path).map_or(true, |bytes| digest(bytes) != name.replace('/', ""))
                }
                None => !path.exists() && !target.ends_with("nowhere") && !target.ends_with("gone"),
            };
            if may_change {
                remove(&path);
            }
        }
    }
}

/// Returns the files in the cache besides objects and traces, such as the index.
pub fn state_files(cache: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.is_file() && !path.ends_with("run.lock")).collect();
    files.sort();
    files
}

/// Reports whether the bytes of an object do not match its name.
pub fn has_damaged_object(root: &Path) -> bool {
    let is_damaged = |path: &PathBuf| {
        let shard = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let name = format!("{shard}{}", path.file_name().unwrap().to_str().unwrap());
        fs::read(path).map_or(true, |bytes| blake3::hash(&bytes).to_hex().as_str() != name)
    };
    stored_files(&root.join("cache/objects")).iter().any(is_damaged)
}

/// Returns all objects or all traces of the cache, sorted.
fn stored_files(shelf: &Path) -> Vec<PathBuf> {
    let inside =
        |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut things: Vec<PathBuf> = inside(shelf.to_owned()).flat_map(inside).collect();
    things.sort();
    things
}
