//! Git repositories of other projects, by the user's `git`. Of a repository elsewhere, one commit
//! is fetched without its files, which follow when they are read. Does not know about locks.
//!
//! A repository that is named by its path is read where it is, and nothing is written there.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::pipeline::GitUrl;

/// The name by which git knows the repository elsewhere.
const ORIGIN: &str = "origin";

/// A repository that can be read.
#[derive(Debug)]
pub struct Repository {
    url: GitUrl,
    access: Access,
}

#[derive(Debug)]
enum Access {
    /// A folder on this machine.
    Here(PathBuf),
    /// A copy of parts of a repository elsewhere, which other processes leave alone meanwhile.
    Copy { folder: PathBuf, _lock: File },
}

/// A file or folder in a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub kind: EntryKind,
    pub id: String,
    /// The path in the repository or, in a listing, in the listed folder.
    pub path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    File,
    Executable,
    Link,
    Folder,
    Submodule,
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
            let repository = Repository { url: url.clone(), access: Access::Here(path) };
            repository.text(&["rev-parse", "--git-dir"]).map_err(|error| {
                let what = format!("`{url}` is not a git repository");
                let error = error.causes.into_iter().fold(Error::usage(what), Error::because);
                error.hint("name the URL or the folder of a git repository")
            })?;
            return Ok(repository);
        }
        let failed = |path: &Path, err: &std::io::Error| Error::io("create", path, err);
        fs::create_dir_all(copies).map_err(|err| failed(copies, &err))?;
        let folder = copies.join(Digest::of(url.as_str().as_bytes()).short());
        let path = folder.with_extension("lock");
        let lock = File::create(&path).map_err(|err| failed(&path, &err))?;
        lock.lock().map_err(|err| Error::io("lock", &path, &err))?;
        let access = Access::Copy { folder: folder.clone(), _lock: lock };
        let repository = Repository { url: url.clone(), access };
        if !folder.join("HEAD").is_file() {
            repository.create(&folder)?;
        }
        Ok(repository)
    }

    fn create(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).map_err(|err| Error::io("create", folder, &err))?;
        self.text(&["init", "--quiet", "--bare", "."])?;
        for (name, value) in [
            ("remote.origin.url", self.url.as_str()),
            ("remote.origin.promisor", "true"),
            ("remote.origin.partialclonefilter", "blob:none"),
            // Without refs, everything would be garbage.
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
        ] {
            self.text(&["config", name, value])?;
        }
        Ok(())
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
        if let Access::Copy { .. } = self.access {
            let listed = self.text(&["ls-remote", "--quiet", "--", ORIGIN, &format!("{rev}*")])?;
            if let Some(commit) = listed_commit(&listed, rev) {
                return Ok(commit);
            }
            // An abbreviated id, or a way such as `main~2`.
            self.fetch_all()?;
        }
        self.commit_here(rev)
            .ok_or_else(|| Error::missing(format!("`{}` has no revision `{rev}`", self.url)))
    }

    fn commit_here(&self, rev: &str) -> Option<String> {
        // A branch of the repository elsewhere.
        let remote = format!("{ORIGIN}/{rev}^{{commit}}");
        let names = [format!("{rev}^{{commit}}"), remote];
        let verify = ["rev-parse", "--verify", "--quiet", "--end-of-options"];
        names.iter().find_map(|name| {
            let found = self.text(&[&verify[..], &[name.as_str()]].concat()).ok()?;
            Some(found.trim_end().to_owned())
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
            let fetched = self.fetch(&[&shallow[..], &rest].concat());
            if fetched.is_err() {
                // Old servers send only what a ref points to.
                self.fetch_all().map_err(|_| fetched.err().unwrap_or_else(Error::panicked))?;
            }
            if is_known() {
                return Ok(());
            }
        }
        Err(Error::missing(format!("`{}` has no commit {}", self.url, short(commit))))
    }

    fn fetch_all(&self) -> Result<()> {
        let mut args = vec!["fetch", "--quiet", "--filter=blob:none", "--no-write-fetch-head"];
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
        self.checked(self.command(args).env("GIT_NO_LAZY_FETCH", "1")).map(drop)
    }

    /// Returns the entry at a path of a commit; `None` if there is none.
    ///
    /// # Errors
    /// The repository cannot be read.
    pub fn entry(&self, commit: &str, path: &str) -> Result<Option<Entry>> {
        let args = ["--literal-pathspecs", "ls-tree", "-z", "--full-tree", commit, "--", path];
        Ok(entries(&self.text(&args)?).into_iter().next())
    }

    /// Returns all files in a folder with the id `tree`, by path.
    ///
    /// # Errors
    /// The repository cannot be read.
    pub fn files(&self, tree: &str) -> Result<Vec<Entry>> {
        Ok(entries(&self.text(&["ls-tree", "-r", "-z", "--full-tree", tree])?))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be fetched or read.
    pub fn read(&self, id: &str) -> Result<Vec<u8>> {
        let answer = self.checked(&mut self.command(&["cat-file", "blob", id]))?;
        Ok(answer.stdout)
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
        git.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = git.spawn().map_err(|err| no_git(&err))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (Some(mut input), Some(output)) = (input, output) else {
            panic!("BUG: `git` without pipes");
        };
        let asked: String = ids.iter().map(|id| format!("{id}\n")).collect();
        let read = std::thread::scope(|scope| {
            scope.spawn(move || drop(input.write_all(asked.as_bytes())));
            let mut output = BufReader::new(output);
            ids.iter().enumerate().try_for_each(|(position, id)| {
                let mut line = String::new();
                output.read_line(&mut line).map_err(failed)?;
                // ID blob SIZE
                let size = line.split_whitespace().nth(2).and_then(|size| size.parse().ok());
                let size: usize = size.ok_or_else(|| {
                    Error::missing(format!("`{}` does not send the file {}", self.url, short(id)))
                })?;
                let mut bytes = vec![0; size + 1];
                output.read_exact(&mut bytes).map_err(failed)?;
                bytes.pop();
                take(position, bytes)
            })
        });
        let _ = child.wait();
        read
    }

    /// Fetches files in one request, as far as they are not known. Git would fetch them one by one.
    fn prefetch(&self, ids: &[&str]) -> Result<()> {
        if !matches!(self.access, Access::Copy { .. }) {
            return Ok(());
        }
        let lacking: Vec<&str> = ids
            .iter()
            .copied()
            .filter(|id| !self.offline(&["cat-file", "-e", id]).is_ok_and(|it| it.status.success()))
            .collect();
        for some in lacking.chunks(1000) {
            let fetch = ["-c", "fetch.negotiationAlgorithm=noop", "fetch", "--quiet", "--no-tags"];
            let rest = ["--no-write-fetch-head", "--filter=blob:none", ORIGIN];
            // A server that sends no single files has sent all of them with the commit.
            let _ = self.fetch(&[&fetch[..], &rest, some].concat());
        }
        Ok(())
    }

    /// Returns the folder of the repository on this machine: the top of its working tree, or the
    /// repository itself if it is bare. `None` for one on another machine.
    pub fn place(&self, root: &Path) -> Option<PathBuf> {
        let path = root.join(self.url.local_path()?);
        let git = || {
            let mut git = Command::new("git");
            git.arg("-C").arg(&path).args(["rev-parse", "--show-toplevel"]);
            let answer = git.stdin(Stdio::null()).output().ok()?;
            let top = String::from_utf8(answer.stdout).ok().filter(|_| answer.status.success())?;
            Some(PathBuf::from(top.trim_end_matches('\n')))
        };
        Some(git().unwrap_or(path))
    }

    fn command(&self, args: &[&str]) -> Command {
        let folder = match &self.access {
            Access::Here(folder) | Access::Copy { folder, .. } => folder,
        };
        let mut git = Command::new("git");
        git.arg("-C").arg(folder).args(args).stdin(Stdio::null());
        git.env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
        // A folder that is not a repository must not stand for one around it.
        let above = folder.canonicalize().ok().and_then(|folder| Some(folder.parent()?.to_owned()));
        git.envs(above.map(|above| ("GIT_CEILING_DIRECTORIES", above)));
        // A run must not wait for somebody to type a password.
        if std::env::var_os("GIT_TERMINAL_PROMPT").is_none() {
            git.env("GIT_TERMINAL_PROMPT", "0");
        }
        // A hook of git may have set them, for another repository.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"] {
            git.env_remove(name);
        }
        git
    }

    /// Runs git without fetching what is missing.
    fn offline(&self, args: &[&str]) -> Result<Output> {
        let mut git = self.command(args);
        git.env("GIT_NO_LAZY_FETCH", "1").output().map_err(|err| no_git(&err))
    }

    fn checked(&self, git: &mut Command) -> Result<Output> {
        let answer = git.output().map_err(|err| no_git(&err))?;
        if answer.status.success() {
            return Ok(answer);
        }
        let message = String::from_utf8_lossy(&answer.stderr);
        let line =
            message.lines().find(|line| line.starts_with("fatal:") || line.contains("ERROR"));
        let line = line.or_else(|| message.lines().next()).unwrap_or_default();
        Err(Error::environment(format!("git cannot read `{}`", self.url))
            .because(line.trim_start_matches("fatal: "))
            .hint(format!("`git ls-remote {}` shows whether git can reach it", self.url)))
    }

    fn text(&self, args: &[&str]) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.checked(&mut self.command(args))?.stdout).into_owned())
    }
}

fn no_git(err: &std::io::Error) -> Error {
    Error::environment("cannot start `git`").because(err)
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
    let full = [rev.to_owned(), format!("refs/tags/{rev}"), format!("refs/heads/{rev}")];
    full.iter().find_map(|name| {
        let peeled = format!("{name}^{{}}");
        let find = |wanted: &str| lines().find(|(_, other)| *other == wanted);
        find(&peeled).or_else(|| find(name)).map(|(commit, _)| commit.to_owned())
    })
}

/// Parses the answer of `git ls-tree -z`.
fn entries(listed: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let (facts, path) = line.split_once('\t')?;
        let mut facts = facts.split(' ');
        let (mode, _, id) = (facts.next()?, facts.next()?, facts.next()?);
        let kind = match mode {
            "100755" => EntryKind::Executable,
            "120000" => EntryKind::Link,
            "040000" => EntryKind::Folder,
            "160000" => EntryKind::Submodule,
            _ => EntryKind::File,
        };
        Some(Entry { kind, id: id.to_owned(), path: path.to_owned() })
    };
    listed.split_terminator('\0').filter_map(entry).collect()
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
            ("x/a", Some("3")),
            ("b", Some("6")),
            ("c", None),
        ] {
            assert_eq!(listed_commit(listed, rev).as_deref(), commit, "{rev}");
        }
    }

    #[test]
    fn entries_of_a_commit() {
        let listed = "100644 blob 1\ta b|040000 tree 2\td|160000 commit 3\ts|\
                      120000 blob 4\tl|100755 blob 5\tx|";
        let listed = &listed.replace('|', "\0");
        let kinds: Vec<EntryKind> = entries(listed).iter().map(|entry| entry.kind).collect();
        let expected = [
            EntryKind::File,
            EntryKind::Folder,
            EntryKind::Submodule,
            EntryKind::Link,
            EntryKind::Executable,
        ];
        assert_eq!(kinds, expected);
        assert_eq!(entries(listed)[0].path, "a b");
    }
}
