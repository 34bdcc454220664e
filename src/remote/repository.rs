//! Git repositories of other projects, by the user's `git`. Of a repository elsewhere, one commit
//! is fetched without its files, which follow when they are read. Does not know about locks.
//!
//! A repository that is named by its path is read where it is, and nothing is written there.

mod git;
mod listing;

use std::fs::{self, File};
use std::io::{BufRead as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use self::git::{Git, Lazily, no_git};
pub use self::listing::{Entry, EntryKind};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::pipeline::GitUrl;

/// The name by which git knows the repository elsewhere.
const ORIGIN: &str = "origin";
/// Largest file that is read, since files are kept in memory on their way.
const MAX_FILE: usize = 1 << 30;

/// A repository that can be read.
#[derive(Debug)]
pub struct Repository {
    url: GitUrl,
    git: Git,
    access: Access,
}

#[derive(Debug)]
enum Access {
    /// A folder on this machine.
    Here,
    /// A copy of parts of a repository elsewhere, which other processes leave alone meanwhile.
    Copy { _lock: File },
}

impl Repository {
    /// Opens a repository. Relative paths start at `root`; `copies` is the folder where copies are
    /// kept. Makes no request.
    ///
    /// # Errors
    /// The path is not that of a repository, or the folder cannot be written.
    pub fn open(url: &GitUrl, root: &Path, copies: &Path) -> Result<Repository> {
        let path = url.local_path().map(|path| root.join(path));
        if let (true, Some(path)) = (url.is_path(), path) {
            let git = Git::at(&path, url);
            let repository = Repository { url: url.clone(), git, access: Access::Here };
            repository.text(&["rev-parse", "--git-dir"]).map_err(|error| {
                if error.hint.as_ref().is_some_and(|hint| hint.contains("safe.directory")) {
                    return error;
                }
                let what = format!("`{url}` is not a git repository");
                let error = error.causes.into_iter().fold(Error::usage(what), Error::because);
                error.hint("name the URL or the folder of a git repository")
            })?;
            return Ok(repository);
        }
        fs::create_dir_all(copies).map_err(|err| Error::io("create", copies, &err))?;
        let folder = copies.join(Digest::of(url.as_str().as_bytes()).to_string());
        let path = folder.with_extension("lock");
        let lock = File::create(&path).map_err(|err| Error::io("create", &path, &err))?;
        lock.lock().map_err(|err| Error::io("lock", &path, &err))?;
        if !folder.is_dir() {
            create(&folder, url)?;
        }
        let git = Git::at(&folder, url);
        Ok(Repository { url: url.clone(), git, access: Access::Copy { _lock: lock } })
    }

    /// Returns the full id of the commit that `rev` means now; without it, of `HEAD`.
    ///
    /// # Errors
    /// The revision does not exist, or the repository cannot be reached.
    pub fn resolve(&self, rev: Option<&str>) -> Result<String> {
        let rev = rev.unwrap_or("HEAD");
        if is_full_id(rev) {
            return Ok(rev.to_owned());
        }
        let mut names = vec![format!("{rev}^{{commit}}")];
        if let Access::Copy { .. } = self.access {
            let pattern = format!("{rev}*");
            let listed = self.text(&["ls-remote", "--quiet", "--", ORIGIN, "HEAD", &pattern])?;
            if let Some(commit) = listed_commit(&listed, rev) {
                return Ok(commit);
            }
            // An abbreviated id, or a way such as `main~2`.
            self.fetch_all()?;
            let way = rev.strip_prefix("HEAD").or_else(|| rev.strip_prefix('@'));
            let way = way.filter(|way| way.is_empty() || way.starts_with(['~', '^']));
            if let Some((way, head)) = way.zip(listed_commit(&listed, "HEAD")) {
                names = vec![format!("{head}{way}^{{commit}}")];
            }
        }
        // A branch of the repository elsewhere.
        names.push(format!("{ORIGIN}/{rev}^{{commit}}"));
        let verify = ["rev-parse", "--verify", "--quiet", "--end-of-options"];
        let found = names.iter().find_map(|name| {
            let found = self.text(&[&verify[..], &[name.as_str()]].concat()).ok()?;
            Some(found.trim_end().to_owned())
        });
        found.ok_or_else(|| {
            Error::missing(format!("`{}` has no revision `{rev}`", self.url))
                .hint(format!("`git ls-remote {}` lists its branches and tags", self.url))
        })
    }

    /// Fetches a commit without its files, unless it is known.
    ///
    /// # Errors
    /// The repository has no such commit, or cannot be reached.
    pub fn need(&self, commit: &str) -> Result<()> {
        let is_known = || {
            let args = ["cat-file", "-e", &format!("{commit}^{{tree}}")];
            self.offline(&args).is_ok_and(|answer| answer.status.success())
        };
        if is_known() {
            return Ok(());
        }
        if let Access::Copy { .. } = self.access {
            let shallow = ["fetch", "--quiet", "--depth=1", "--filter=blob:none", "--no-tags"];
            let rest = ["--no-write-fetch-head", ORIGIN, commit];
            if let Err(error) = self.fetch(&[&shallow[..], &rest].concat()) {
                // Old servers send only what a ref points to.
                self.fetch_all().map_err(|_| error)?;
            }
            if is_known() {
                return Ok(());
            }
        }
        Err(Error::missing(format!("`{}` has no commit {}", self.url, short(commit))))
    }

    fn fetch_all(&self) -> Result<()> {
        let mut args = vec!["fetch", "--quiet", "--filter=blob:none", "--no-write-fetch-head"];
        // A branch that is gone must neither be found nor stand in the way of another one.
        args.push("--prune");
        let is_shallow = self.text(&["rev-parse", "--is-shallow-repository"])?;
        if is_shallow.trim_end() == "true" {
            args.push("--unshallow");
        }
        let heads = format!("+refs/heads/*:refs/remotes/{ORIGIN}/*");
        args.extend([ORIGIN, &heads, "+refs/tags/*:refs/tags/*"]);
        self.fetch(&args)
    }

    /// Runs `git fetch`, which must not fetch what it finds missing meanwhile: over a plain web
    /// server, each file would start another fetch.
    fn fetch(&self, args: &[&str]) -> Result<()> {
        self.git.checked(&mut self.git.command(args, Lazily::Fails)).map(drop)
    }

    /// Returns the entry at a path of a commit; `None` if there is none.
    ///
    /// # Errors
    /// The repository cannot be read.
    pub fn entry(&self, commit: &str, path: &str) -> Result<Option<Entry>> {
        let args = ["--literal-pathspecs", "ls-tree", "-z", "--full-tree", commit, "--", path];
        let entries = self.git.streamed(&mut self.command(&args), listing::entries);
        Ok(entries?.into_iter().next())
    }

    /// Returns all files in a folder with the id `tree`, by path.
    ///
    /// # Errors
    /// The repository cannot be read, or the folder has names that cannot be files.
    pub fn files(&self, tree: &str) -> Result<Vec<Entry>> {
        let args = ["ls-tree", "-r", "-z", "--full-tree", tree];
        self.git.streamed(&mut self.command(&args), listing::entries)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be fetched or read.
    pub fn read(&self, id: &str) -> Result<Vec<u8>> {
        let mut file = Vec::new();
        self.read_all(&[id], |_, bytes| {
            file = bytes;
            Ok(())
        })?;
        Ok(file)
    }

    /// Reads files and passes each to `take` with its position, in their order.
    ///
    /// # Errors
    /// A file cannot be fetched or read; errors of `take`.
    pub fn read_all(
        &self,
        ids: &[&str],
        mut take: impl FnMut(usize, Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        self.prefetch(ids)?;
        let failed =
            |err: std::io::Error| Error::environment("cannot read from `git`").because(err);
        let mut git = self.command(&["cat-file", "--batch"]);
        self.git.asked(&mut git, ids, |output| {
            ids.iter().enumerate().try_for_each(|(position, id)| {
                let mut line = String::new();
                output.read_line(&mut line).map_err(failed)?;
                // ID blob SIZE
                let size = line.split_whitespace().nth(2).and_then(|size| size.parse().ok());
                let size: usize = size.ok_or_else(|| self.not_sent(id))?;
                if size > MAX_FILE {
                    let what = format!("the file {} of `{}`", short(id), self.url);
                    return Err(Error::usage(format!("{what} has {size} bytes, too many for git"))
                        .hint("clone the repository, and copy the file from there"));
                }
                let mut bytes = vec![0; size + 1];
                output.read_exact(&mut bytes).map_err(failed)?;
                bytes.pop();
                take(position, bytes)
            })
        })
    }

    fn not_sent(&self, id: &str) -> Error {
        let (url, id) = (&self.url, short(id));
        match self.access {
            Access::Here => Error::missing(format!("`{url}` lacks the file {id}"))
                .hint(format!("`git -C {url} fsck` says why; a partial clone lacks most files")),
            Access::Copy { .. } => Error::missing(format!("`{url}` does not send the file {id}"))
                .hint("repeat the command; `git fsck` in the repository finds lost files"),
        }
    }

    /// Fetches files in one request, as far as they are not known. Git would fetch them one by one.
    fn prefetch(&self, ids: &[&str]) -> Result<()> {
        if !matches!(self.access, Access::Copy { .. }) {
            return Ok(());
        }
        let mut check = self.git.command(&["cat-file", "--batch-check"], Lazily::Fails);
        let known = self.git.asked(&mut check, ids, |output| {
            Ok(output.lines().map_while(std::result::Result::ok).collect())
        });
        let known: Vec<String> = known?;
        let is_missing = |line: &String| line.ends_with(" missing");
        let lacking = ids.iter().zip(&known).filter(|(_, line)| is_missing(line));
        let lacking: Vec<&str> = lacking.map(|(id, _)| *id).collect();
        for some in lacking.chunks(1000) {
            let fetch = ["-c", "fetch.negotiationAlgorithm=noop", "fetch", "--quiet", "--no-tags"];
            let rest = ["--no-write-fetch-head", "--filter=blob:none", ORIGIN];
            // A server that sends no single files has sent all of them with the commit.
            let _ = self.fetch(&[&fetch[..], &rest, some].concat());
        }
        Ok(())
    }

    /// Returns the folder of the repository on this machine; `None` for one on another machine.
    pub fn place(&self, root: &Path) -> Option<PathBuf> {
        Some(root.join(self.url.local_path()?))
    }

    fn command(&self, args: &[&str]) -> Command {
        let lazily = match self.access {
            // It would write there, and do what the configuration of the repository says.
            Access::Here => Lazily::Fails,
            Access::Copy { .. } => Lazily::Fetches,
        };
        self.git.command(args, lazily)
    }

    /// Runs git without fetching what is missing.
    fn offline(&self, args: &[&str]) -> Result<Output> {
        self.git.command(args, Lazily::Fails).output().map_err(|err| no_git(&err))
    }

    fn text(&self, args: &[&str]) -> Result<String> {
        let answer = self.git.checked(&mut self.command(args))?;
        Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
    }
}

/// Creates an empty copy of a repository elsewhere. It appears when it is complete.
fn create(folder: &Path, url: &GitUrl) -> Result<()> {
    let new = folder.with_extension("new");
    if new.exists() {
        // A killed process has left it.
        fs::remove_dir_all(&new).map_err(|err| Error::io("remove", &new, &err))?;
    }
    fs::create_dir(&new).map_err(|err| Error::io("create", &new, &err))?;
    let git = Git::at(&new, url);
    let run = |args: &[&str]| git.checked(&mut git.command(args, Lazily::Fails)).map(drop);
    run(&["init", "--quiet", "--bare", "."])?;
    for (name, value) in [
        ("remote.origin.url", url.as_str()),
        ("remote.origin.promisor", "true"),
        ("remote.origin.partialclonefilter", "blob:none"),
        // Without refs, everything would be garbage.
        ("gc.auto", "0"),
        ("maintenance.auto", "false"),
    ] {
        run(&["config", name, value])?;
    }
    fs::rename(&new, folder).map_err(|err| Error::io("create", folder, &err))
}

fn is_full_id(rev: &str) -> bool {
    matches!(rev.len(), 40 | 64) && rev.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns the beginning of the id of a commit or file.
pub fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}

/// Returns the commit of a ref in the answer of `git ls-remote`, in the order in which git itself
/// looks names up.
fn listed_commit(listed: &str, rev: &str) -> Option<String> {
    let lines = || listed.lines().filter_map(|line| line.split_once('\t'));
    let full = ["", "refs/", "refs/tags/", "refs/heads/"].map(|start| format!("{start}{rev}"));
    full.iter().find_map(|name| {
        let peeled = format!("{name}^{{}}");
        let find = |wanted: &str| lines().find(|(_, other)| *other == wanted);
        find(&peeled).or_else(|| find(name)).map(|(commit, _)| commit.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_of_a_remote() {
        let listed = "1\tHEAD\n2\trefs/heads/a\n3\trefs/heads/x/a\n4\trefs/tags/a\n\
                      5\trefs/tags/a^{}\n6\trefs/heads/b\n";
        for (rev, commit) in [
            ("HEAD", Some("1")),
            ("a", Some("5")),
            ("refs/heads/a", Some("2")),
            ("heads/a", Some("2")),
            ("x/a", Some("3")),
            ("b", Some("6")),
            ("c", None),
        ] {
            assert_eq!(listed_commit(listed, rev).as_deref(), commit, "{rev}");
        }
    }
}
