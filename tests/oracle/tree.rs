//! File trees by value, read as a whole each time. Digests follow docs/reference/cache.md and are
//! computed independently of the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Node {
    File {
        bytes: Vec<u8>,
        executable: bool,
    },
    Dir(BTreeMap<String, Node>),
    /// A broken link, with its target.
    Link(String),
}

/// Names that are ignored outside of outs.
const IGNORED: [&str; 2] = ["__pycache__", ".DS_Store"];

pub fn file(text: impl Into<Vec<u8>>) -> Node {
    Node::File { bytes: text.into(), executable: false }
}

impl Node {
    /// Reads a path, following links; `None` if nothing exists there.
    pub fn read(path: &Path) -> Option<Node> {
        let Ok(meta) = fs::metadata(path) else {
            return fs::read_link(path)
                .ok()
                .map(|target| Node::Link(target.to_str().unwrap().to_owned()));
        };
        if !meta.is_dir() {
            let executable = meta.permissions().mode() & 0o100 != 0;
            return Some(Node::File { bytes: fs::read(path).unwrap(), executable });
        }
        let entries = fs::read_dir(path).unwrap().map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), Node::read(&entry.path()).unwrap())
        });
        // Temporary files of a killed run do not count.
        Some(Node::Dir(entries.collect()))
    }

    /// Writes this node to `path`, and replaces whatever is there.
    pub fn write(&self, path: &Path) {
        remove(path);
        for above in path
            .ancestors()
            .skip(1)
            .filter(|above| above.symlink_metadata().is_ok() && !above.is_dir())
        {
            remove(above);
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match self {
            Node::Link(target) => symlink(target, path).unwrap(),
            Node::File { bytes, executable } => {
                fs::write(path, bytes).unwrap();
                if *executable {
                    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
                }
            }
            Node::Dir(entries) => {
                fs::create_dir(path).unwrap();
                entries.iter().for_each(|(name, node)| node.write(&path.join(name)));
            }
        }
    }

    pub fn get(&self, path: &str) -> Option<&Node> {
        path.split('/').try_fold(self, |node, name| match node {
            Node::Dir(entries) => entries.get(name),
            _ => None,
        })
    }

    /// Puts `node` at `path`; returns false if a parent is not a directory.
    pub fn put(&mut self, path: &str, node: Node) -> bool {
        let Node::Dir(entries) = self else { return false };
        match path.split_once('/') {
            None => {
                entries.insert(path.to_owned(), node);
                true
            }
            Some((name, rest)) => {
                let below =
                    entries.entry(name.to_owned()).or_insert_with(|| Node::Dir(BTreeMap::new()));
                below.put(rest, node)
            }
        }
    }

    /// Puts `node` at `path`, and replaces parents that are not directories.
    pub fn place(&mut self, path: &str, node: Node) {
        for (at, _) in path.match_indices('/') {
            if !matches!(self.get(&path[..at]), Some(Node::Dir(_))) {
                self.put(&path[..at], Node::Dir(BTreeMap::new()));
            }
        }
        self.put(path, node);
    }

    pub fn remove(&mut self, path: &str) {
        let Node::Dir(entries) = self else { return };
        match path.split_once('/') {
            None => drop(entries.remove(path)),
            Some((name, rest)) => {
                if let Some(below) = entries.get_mut(name) {
                    below.remove(rest);
                }
            }
        }
    }

    /// Returns this without ignored names, except where a stage writes; `path` is its own path.
    pub fn without_ignored(&self, path: &str, is_out: &dyn Fn(&str) -> bool) -> Node {
        let Node::Dir(entries) = self else { return self.clone() };
        let below = entries.iter().filter_map(|(name, node)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            let is_ignored = IGNORED.contains(&name.as_str()) && !is_out(&path);
            (!is_ignored).then(|| (name.clone(), node.without_ignored(&path, is_out)))
        });
        Node::Dir(below.collect())
    }

    /// `KIND DIGEST`.
    pub fn content(&self) -> String {
        let kind = match self {
            Node::File { executable: false, .. } => "file",
            Node::File { executable: true, .. } => "exec",
            Node::Link(_) => "link",
            Node::Dir(_) => "tree",
        };
        format!("{kind} {}", self.digest())
    }

    pub fn digest(&self) -> String {
        blake3::hash(&self.object()).to_hex().to_string()
    }

    /// Returns the digests of all objects that the cache stores for this node.
    pub fn digests(&self) -> BTreeSet<String> {
        let mut digests = BTreeSet::new();
        self.visit("", &mut |_, node| {
            digests.insert(node.digest());
        });
        digests
    }

    /// Returns the bytes of the object that the cache stores for this node.
    pub fn object(&self) -> Vec<u8> {
        match self {
            Node::File { bytes, .. } => bytes.clone(),
            Node::Link(target) => target.clone().into_bytes(),
            Node::Dir(entries) => {
                let lines =
                    entries.iter().map(|(name, node)| format!("{} {name}\n", node.content()));
                format!("repro.tree 1\n{}", lines.collect::<String>()).into_bytes()
            }
        }
    }

    pub fn visit<'a>(&'a self, path: &str, each: &mut dyn FnMut(&str, &'a Node)) {
        each(path, self);
        if let Node::Dir(entries) = self {
            for (name, node) in entries {
                let below = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                node.visit(&below, each);
            }
        }
    }

    /// Reports whether it contains a broken link that cannot be restored: absolute, upwards, or to
    /// an object.
    pub fn is_unrestorable(&self) -> bool {
        match self {
            Node::File { .. } => false,
            Node::Link(target) => {
                target.starts_with('/')
                    || target.starts_with("cache/objects/")
                    || target.split('/').any(|name| name == "..")
            }
            Node::Dir(entries) => entries.values().any(Node::is_unrestorable),
        }
    }

    pub fn holds(&self, word: &[u8]) -> bool {
        match self {
            Node::File { bytes, .. } => bytes.windows(word.len()).any(|window| window == word),
            Node::Link(_) => false,
            Node::Dir(entries) => entries.values().any(|node| node.holds(word)),
        }
    }
}

/// Removes whatever is at `path`; of a link, not the target.
pub fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// Returns the node without empty directories, which a failed stage leaves behind.
pub fn without_empty(node: Node) -> Node {
    let Node::Dir(entries) = node else { return node };
    let kept = entries.into_iter().map(|(name, node)| (name, without_empty(node)));
    Node::Dir(
        kept.filter(|(_, node)| !matches!(node, Node::Dir(entries) if entries.is_empty()))
            .collect(),
    )
}
