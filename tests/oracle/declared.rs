//! A pipeline as the oracle models it: the declaration, its TOML text, and the dependencies between
//! stages by the rules of docs/reference/pipeline.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::tree::Node;

#[derive(Debug, Clone, Default)]
pub struct Pipeline {
    pub params: BTreeMap<String, i64>,
    pub link: Option<&'static str>,
    pub stages: Vec<Stage>,
}

#[derive(Debug, Clone)]
pub struct Stage {
    pub id: usize,
    pub name: String,
    /// One stage per value, if there are any; [`MATRIX`] in its texts is replaced by the value.
    pub matrix: Vec<String>,
    /// A tracked input: a stage without a command.
    pub tracked: bool,
    pub salt: String,
    /// Number of different results that the command can have; 0 means unlimited.
    pub modulus: u64,
    pub deps: BTreeSet<Dep>,
    pub each: Option<Each>,
    pub outs: Vec<Out>,
    pub params: BTreeSet<String>,
    pub env: Option<String>,
    pub env_deps: BTreeSet<String>,
    /// The stage depends on the output of [`TOOL`].
    pub has_tool: bool,
    pub wdir: Option<String>,
    pub policy: Policy,
    /// Does not influence any verdict.
    pub cpus: usize,
}

/// Command that prints a version; fails if the file is missing.
pub const TOOL: &str = "read -r v < ../version && echo \"version $v\"";

pub const MATRIX: &str = "{{ matrix.m }}";

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dep {
    Path(String),
    Glob(Glob),
}

/// `BASE/*.EXT`, or `BASE/**/*.EXT`; without a base, `*.EXT`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glob {
    pub base: String,
    pub deep: bool,
    pub ext: String,
}

#[derive(Debug, Clone)]
pub struct Each {
    pub glob: Glob,
    /// One process per item, instead of one for all items.
    pub per_item: bool,
    /// The folder that holds the item outs.
    pub folder: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    WhenStale,
    Frozen,
    Always,
}

#[derive(Debug, Clone)]
pub struct Out {
    pub path: String,
    pub shape: Shape,
    pub kept: bool,
    pub persist: bool,
    /// The out may be missing when the stage has ended.
    pub optional: bool,
    /// The command sometimes omits the out.
    pub flaky: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    File,
    Executable,
    Dir,
}

impl Dep {
    pub fn text(&self) -> String {
        match self {
            Dep::Path(path) => path.clone(),
            Dep::Glob(glob) => glob.text(),
        }
    }

    /// Returns the part of `root` that the dep stands for. A stage's own outs match no glob.
    pub fn resolve(
        &self,
        root: &Node,
        own: &[&str],
        is_out: &dyn Fn(&str) -> bool,
    ) -> Option<Node> {
        match self {
            Dep::Path(path) => root.get(path).map(|node| node.without_ignored(path, is_out)),
            Dep::Glob(glob) => {
                let base = if glob.base.is_empty() { Some(root) } else { root.get(&glob.base) };
                glob.matching(&glob.base, base?, own, is_out)
            }
        }
    }
}

impl Glob {
    pub fn text(&self) -> String {
        let base = if self.base.is_empty() { String::new() } else { format!("{}/", self.base) };
        format!("{base}{}*.{}", if self.deep { "**/" } else { "" }, self.ext)
    }

    pub fn matches(&self, path: &str) -> bool {
        let below = match self.base.as_str() {
            "" => Some(path),
            base => path.strip_prefix(base).and_then(|below| below.strip_prefix('/')),
        };
        below.is_some_and(|below| {
            (self.deep || !below.contains('/')) && below.ends_with(&format!(".{}", self.ext))
        })
    }

    fn matching(
        &self,
        path: &str,
        node: &Node,
        own: &[&str],
        is_out: &dyn Fn(&str) -> bool,
    ) -> Option<Node> {
        if own.contains(&path) {
            return None;
        }
        if self.matches(path) {
            return Some(node.without_ignored(path, is_out));
        }
        let Node::Dir(entries) = node.without_ignored(path, is_out) else { return None };
        let kept: BTreeMap<String, Node> = entries
            .iter()
            .filter_map(|(name, node)| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                self.matching(&path, node, own, is_out).map(|node| (name.clone(), node))
            })
            .collect();
        (!kept.is_empty()).then_some(Node::Dir(kept))
    }

    /// Returns each match in a result of [`Dep::resolve`], with its path.
    pub fn items(&self, tree: &Node) -> Vec<(String, Node)> {
        let mut items = Vec::new();
        self.collect(&self.base, tree, &mut items);
        items
    }

    fn collect(&self, path: &str, node: &Node, items: &mut Vec<(String, Node)>) {
        if self.matches(path) {
            items.push((path.to_owned(), node.clone()));
        } else if let Node::Dir(entries) = node {
            for (name, node) in entries {
                let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                self.collect(&path, node, items);
            }
        }
    }

    fn concerns(&self, out: &str) -> bool {
        let mut above =
            std::iter::successors(Some(out), |path| path.rsplit_once('/').map(|(above, _)| above));
        if out.rsplit('/').next().unwrap().contains('.') {
            return above.any(|path| self.matches(path));
        }
        let base_is_in = self.base.starts_with(&format!("{out}/")) || self.base == out;
        let is_in_base = self.base.is_empty() || out.starts_with(&format!("{}/", self.base));
        base_is_in || (is_in_base && self.deep)
    }
}

impl Each {
    pub fn out_text(&self) -> String {
        match self.glob.deep {
            true => format!("{}/{{{{ item.dir }}}}/{{{{ item.stem }}}}.o", self.folder),
            false => format!("{}/{{{{ item.stem }}}}.o", self.folder),
        }
    }

    pub fn filled(&self, text: &str, item: &str) -> String {
        let (folder, name) = item.rsplit_once('/').unwrap_or(("", item));
        let dir = folder.strip_prefix(&self.glob.base).unwrap().trim_start_matches('/');
        text.replace("{{ item.path }}", item)
            .replace("{{ item.dir }}", dir)
            .replace("{{ item.stem }}", name.rsplit_once('.').unwrap().0)
    }

    pub fn out_of(&self, item: &str) -> String {
        self.filled(&self.out_text(), item).replace("//", "/")
    }
}

impl Stage {
    pub fn cmd(&self) -> Option<String> {
        if self.tracked {
            return None;
        }
        let mut cmd = format!("exec \"$REPRO_ROOT/../tool\" work {} {}", self.salt, self.modulus);
        if let Some(each) = self.each.as_ref().filter(|each| each.per_item) {
            let _ = write!(cmd, " item {{{{ item.path }}}} {}", each.out_text());
            return Some(cmd);
        }
        for out in &self.outs {
            let _ =
                write!(cmd, " {:?}{} {}", out.shape, if out.flaky { "?" } else { "" }, out.path);
        }
        Some(cmd)
    }

    /// Returns the paths of all outs; item outs are represented by their folder.
    pub fn out_paths(&self) -> Vec<&str> {
        let folder = self.each.iter().map(|each| each.folder.as_str());
        folder.chain(self.outs.iter().map(|out| out.path.as_str())).collect()
    }

    pub fn all_deps(&self) -> BTreeMap<String, Dep> {
        let each = self.each.iter().map(|each| Dep::Glob(each.glob.clone()));
        self.deps.iter().cloned().chain(each).map(|dep| (dep.text(), dep)).collect()
    }

    fn with(&self, value: &str) -> Stage {
        let put = |text: &str| text.replace(MATRIX, value);
        let mut stage = self.clone();
        stage.name = format!("{}@{value}", self.name);
        stage.salt = put(&self.salt);
        stage.outs.iter_mut().for_each(|out| out.path = put(&out.path));
        stage
    }

    fn text(&self) -> String {
        let list = |texts: Vec<String>| serde_json::to_string(&texts).unwrap();
        let mut text = format!("\n[stages.{}]\n", self.name);
        if !self.matrix.is_empty() {
            let _ = writeln!(text, "matrix = {{ m = {} }}", list(self.matrix.clone()));
        }
        if let Some(cmd) = self.cmd() {
            let _ = writeln!(text, "cmd = '{cmd}'");
        }
        if let Some(each) = &self.each {
            let _ = writeln!(text, "each = '{}'", each.glob.text());
        }
        if !self.deps.is_empty() {
            let _ = writeln!(text, "deps = {}", list(self.deps.iter().map(Dep::text).collect()));
        }
        let by_item = self.each.iter().map(|each| format!("'{}'", each.out_text()));
        let plain = self.outs.iter().map(|out| {
            let Out { path, kept, persist, optional, .. } = out;
            if *kept && !persist && !optional {
                return format!("'{path}'");
            }
            format!(
                "{{ path = '{path}', cache = {kept}, persist = {persist}, \
                 optional = {optional} }}"
            )
        });
        let _ = writeln!(text, "outs = [{}]", by_item.chain(plain).collect::<Vec<_>>().join(", "));
        if self.tracked {
            return text;
        }
        let _ = writeln!(text, "params = {}", list(self.params.iter().cloned().collect()));
        let _ = writeln!(text, "env_deps = {}", list(self.env_deps.iter().cloned().collect()));
        let _ =
            writeln!(text, "resources = {{ cpus = {} }}\ndesc = 'about {}'", self.cpus, self.cpus);
        if self.has_tool {
            let _ = writeln!(text, "tools = ['{TOOL}']");
        }
        if let Some(value) = &self.env {
            let _ = writeln!(text, "env = {{ SHADE = '{value}' }}");
        }
        if let Some(wdir) = &self.wdir {
            let _ = writeln!(text, "wdir = '{wdir}'");
        }
        match self.policy {
            Policy::WhenStale => {}
            Policy::Frozen => text.push_str("frozen = true\n"),
            Policy::Always => text.push_str("always = true\n"),
        }
        text
    }
}

impl Pipeline {
    pub fn text(&self) -> String {
        let mut text = "[params]\n".to_owned();
        for (key, value) in &self.params {
            let _ = writeln!(text, "{key} = {value}");
        }
        if let Some(link) = self.link {
            let _ = writeln!(text, "[cache]\nlink = ['{link}', 'copy']");
        }
        self.stages.iter().for_each(|stage| text.push_str(&stage.text()));
        text
    }

    /// Returns the stages with each matrix expanded.
    pub fn expanded(&self) -> Vec<Stage> {
        let each = self.stages.iter().flat_map(|stage| match stage.matrix.is_empty() {
            true => vec![stage.clone()],
            false => stage.matrix.iter().map(|value| stage.with(value)).collect(),
        });
        each.collect()
    }
}

/// Returns each stage with the names of the stages it needs, in topological order; `None` if there
/// is a cycle, or a stage reads its own out.
pub fn ordered(stages: &[Stage]) -> Option<Vec<(Stage, BTreeSet<String>)>> {
    let mut open: Vec<(Stage, BTreeSet<String>)> = Vec::new();
    for stage in stages {
        let mut needs = BTreeSet::new();
        for dep in stage.all_deps().values() {
            for other in
                stages.iter().filter(|other| other.out_paths().iter().any(|out| is_near(dep, out)))
            {
                if other.name != stage.name {
                    needs.insert(other.name.clone());
                } else if matches!(dep, Dep::Path(_)) {
                    return None;
                }
            }
        }
        open.push((stage.clone(), needs));
    }
    let mut order: Vec<(Stage, BTreeSet<String>)> = Vec::new();
    while !open.is_empty() {
        let done: BTreeSet<&String> = order.iter().map(|(stage, _)| &stage.name).collect();
        let next =
            open.iter().position(|(_, needs)| needs.iter().all(|need| done.contains(need)))?;
        order.push(open.remove(next));
    }
    Some(order)
}

pub fn is_near(dep: &Dep, out: &str) -> bool {
    match dep {
        Dep::Path(path) => {
            path == out
                || path.starts_with(&format!("{out}/"))
                || out.starts_with(&format!("{path}/"))
        }
        Dep::Glob(glob) => glob.concerns(out),
    }
}
