//! The work of the stages: outs are a function of salt, variables, params and deps alone.
//!
//! The oracle and the processes share this function. A process is this program, started as
//! `tool work …`.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::declared::{Dep, Each, Glob, Shape, Stage};
use crate::tree::{Node, file, remove};

/// Content of a dep that makes the command fail.
pub const BOOM: &[u8] = b"boom";

#[derive(Debug)]
pub struct Work {
    pub salt: String,
    pub modulus: u64,
    pub env: Option<String>,
    pub env_deps: BTreeMap<String, Option<String>>,
    pub params: Value,
    pub deps: BTreeMap<String, Node>,
}

impl Work {
    fn mark(&self) -> u64 {
        let mut text =
            format!("{} {:?} {:?} {}\n", self.salt, self.env, self.env_deps, self.params);
        self.deps
            .iter()
            .for_each(|(path, node)| text.push_str(&format!("{path} {}\n", node.content())));
        let mark =
            u64::from_le_bytes(blake3::hash(text.as_bytes()).as_bytes()[..8].try_into().unwrap());
        if self.modulus == 0 { mark } else { mark % self.modulus }
    }

    /// Returns the out that the command leaves; `None` if the command fails, `Some(None)` if it
    /// omits the out.
    pub fn out(&self, shape: Shape, flaky: bool) -> Option<Option<Node>> {
        self.result(shape).map(|node| (!flaky || self.mark().is_multiple_of(2)).then_some(node))
    }

    /// Returns the result of the command; `None` if it fails.
    pub fn result(&self, shape: Shape) -> Option<Node> {
        if self.deps.values().any(|dep| dep.holds(BOOM)) {
            return None;
        }
        let mark = self.mark();
        Some(match shape {
            Shape::File => file(format!("{mark}")),
            Shape::Executable => Node::File { bytes: format!("{mark}").into(), executable: true },
            Shape::Dir => {
                let mut dir = Node::Dir(BTreeMap::new());
                dir.put("a.x", file(format!("{mark}")));
                dir.put("tool", Node::File { bytes: b"#!/bin/sh\n".to_vec(), executable: true });
                dir.put("gone", Node::Link("nowhere".into()));
                dir.put("empty", Node::Dir(BTreeMap::new()));
                dir.put("sub/c.x", file(format!("{}", mark / 2)));
                if mark.is_multiple_of(2) {
                    dir.put("b.x", file("even"));
                }
                dir
            }
        })
    }
}

/// Returns the facts about a stage that its process needs besides its arguments.
pub fn note(stage: &Stage, made: &[String]) -> String {
    let mut lines: Vec<String> = made.iter().map(|path| format!("made {path}")).collect();
    lines.extend(stage.out_paths().iter().map(|path| format!("own {path}")));
    lines.extend(stage.env_deps.iter().map(|name| format!("env {name}")));
    for dep in &stage.deps {
        lines.push(match dep {
            Dep::Path(path) => format!("path {path}"),
            Dep::Glob(glob) => written("glob", glob),
        });
    }
    lines.extend(stage.each.iter().map(|each| written("each", &each.glob)));
    lines.join("\n")
}

fn written(word: &str, glob: &Glob) -> String {
    format!("{word} {}/{}/{}", glob.base.replace('/', ":"), glob.deep, glob.ext)
}

fn as_read(text: &str) -> Glob {
    let mut fields = text.split('/');
    let mut next = || fields.next().unwrap().to_owned();
    Glob { base: next().replace(':', "/"), deep: next() == "true", ext: next() }
}

/// Does the work of a stage's process, and appends its name to `ran`. Returns the exit code.
pub fn process(args: &[String]) -> u8 {
    let root = PathBuf::from(std::env::var_os("REPRO_ROOT").unwrap());
    let outside = root.parent().unwrap();
    let stage = std::env::var("REPRO_STAGE").unwrap();
    let note = fs::read_to_string(outside.join("notes").join(&stage)).unwrap();
    let of = |word: &str| -> Vec<String> {
        let lines = note.lines().filter_map(|line| line.split_once(' '));
        lines.filter(|(first, _)| *first == word).map(|(_, rest)| rest.to_owned()).collect()
    };
    let made = of("made");
    let is_out = |path: &str| made.iter().any(|made| is_at_or_below(path, made));
    let own = of("own");
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let mut deps: Vec<Dep> = of("path").into_iter().map(Dep::Path).collect();
    deps.extend(of("glob").iter().map(|text| Dep::Glob(as_read(text))));
    let look = |dep: &Dep| dep.resolve(&partial(&root, dep), &own, &is_out);
    let params = fs::read(std::env::var_os("REPRO_PARAMS").unwrap()).unwrap();
    let mut work = Work {
        salt: args[0].clone(),
        modulus: args[1].parse().unwrap(),
        env: std::env::var("SHADE").ok(),
        env_deps: of("env")
            .into_iter()
            .map(|name| (name.clone(), std::env::var(&name).ok()))
            .collect(),
        params: serde_json::from_slice(&params).unwrap(),
        deps: deps.iter().map(|dep| (dep.text(), look(dep).unwrap())).collect(),
    };
    let leave = |name: &str| {
        let mut ran =
            OpenOptions::new().create(true).append(true).open(outside.join("ran")).unwrap();
        ran.write_all(format!("{name}\n").as_bytes()).unwrap();
    };
    if outside.join("slow").exists() {
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
    if args.get(2).is_some_and(|word| word == "item") {
        let node = Node::read(&root.join(&args[3])).unwrap().without_ignored(&args[3], &is_out);
        work.deps.insert(args[3].clone(), node);
        leave(&format!("{stage} {}", args[3]));
        return write(&root, &work, &[((Shape::File, false), args[4].clone())]);
    }
    if let Some(glob) = of("each").first().map(|text| as_read(text)) {
        let items = std::env::var_os("REPRO_ITEMS").unwrap();
        let mut events = OpenOptions::new()
            .append(true)
            .open(std::env::var_os("REPRO_EVENTS").unwrap())
            .unwrap();
        for line in fs::read_to_string(items).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let (item, out) = (line["item"].as_str().unwrap(), line["outs"][0].as_str().unwrap());
            let before = work.deps.clone();
            let node = Node::read(&root.join(item)).unwrap().without_ignored(item, &is_out);
            work.deps.insert(item.to_owned(), node);
            leave(&format!("{stage} {item}"));
            if write(&root, &work, &[((Shape::File, false), out.to_owned())]) != 0 {
                return 3;
            }
            work.deps = before;
            events
                .write_all(format!("{}\n", serde_json::json!({ "item": item })).as_bytes())
                .unwrap();
        }
        let dep = Dep::Glob(glob);
        work.deps.insert(dep.text(), look(&dep).unwrap_or(Node::Dir(BTreeMap::new())));
    }
    leave(&stage);
    let outs: Vec<((Shape, bool), String)> =
        args[2..].chunks(2).map(|out| (shape(&out[0]), out[1].clone())).collect();
    write(&root, &work, &outs)
}

pub fn is_at_or_below(path: &str, other: &str) -> bool {
    path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Reads only the part of the root that the dep may stand for: other stages may be writing the
/// rest.
fn partial(root: &Path, dep: &Dep) -> Node {
    let mut partial = Node::Dir(BTreeMap::new());
    let base = match dep {
        Dep::Path(path) => path.clone(),
        Dep::Glob(glob) => glob.base.clone(),
    };
    if base.is_empty() {
        let Dep::Glob(glob) = dep else { unreachable!() };
        for entry in fs::read_dir(root).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if glob.matches(&name) {
                partial.put(&name, Node::read(&root.join(&name)).unwrap());
            }
        }
    } else if let Some(node) = Node::read(&root.join(&base)) {
        partial.put(&base, node);
    }
    partial
}

/// Parses a shape; a trailing `?` marks an out that is sometimes omitted.
fn shape(word: &str) -> (Shape, bool) {
    let shape = match word.trim_end_matches('?') {
        "File" => Shape::File,
        "Executable" => Shape::Executable,
        _ => Shape::Dir,
    };
    (shape, word.ends_with('?'))
}

fn write(root: &Path, work: &Work, outs: &[((Shape, bool), String)]) -> u8 {
    for ((shape, flaky), path) in outs {
        let path = root.join(path);
        let Some(node) = work.out(*shape, *flaky) else {
            // Commands that fail leave half of their work.
            remove(&path);
            fs::write(path, "half").unwrap();
            return 3;
        };
        match node {
            Some(node) => node.write(&path),
            None => remove(&path),
        }
    }
    0
}

/// Returns the work of one item.
pub fn item_work(work: &Work, each: &Each, item: &str, node: &Node) -> Work {
    let mut deps = work.deps.clone();
    deps.remove(&each.glob.text());
    deps.insert(item.to_owned(), node.clone());
    Work {
        salt: work.salt.clone(),
        env: work.env.clone(),
        env_deps: work.env_deps.clone(),
        params: work.params.clone(),
        deps,
        ..*work
    }
}
