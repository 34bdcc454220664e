//! The files of git hooks. A hook that exists already is kept beside ours and runs before it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::program;
use crate::error::{Error, Result};
use crate::regular_file;
use crate::workspace::write::{self, Durability};

/// A git hook that this program can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    PostCheckout,
    PostMerge,
    PostRewrite,
    PreCommit,
    PrePush(Unpushed),
}

/// Treatment of outs that the pushed commits need and that the remote lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpushed {
    /// A warning names them.
    Named,
    /// They are sent first.
    Sent,
}

/// The option of `repro git hook pre-push` for [`Unpushed::Sent`].
const SEND: &str = "--push";

impl Hook {
    /// Returns all hooks, of which pre-push treats outs as `unpushed` says.
    pub fn all(unpushed: Unpushed) -> [Hook; 5] {
        [
            Hook::PostCheckout,
            Hook::PostMerge,
            Hook::PostRewrite,
            Hook::PreCommit,
            Hook::PrePush(unpushed),
        ]
    }

    pub fn name(self) -> &'static str {
        match self {
            Hook::PostCheckout => "post-checkout",
            Hook::PostMerge => "post-merge",
            Hook::PostRewrite => "post-rewrite",
            Hook::PreCommit => "pre-commit",
            Hook::PrePush(_) => "pre-push",
        }
    }

    /// Returns the arguments of `repro git hook`.
    fn call(self) -> String {
        match self {
            Hook::PrePush(Unpushed::Sent) => format!("{} {SEND}", self.name()),
            _ => self.name().to_owned(),
        }
    }
}

/// The line by which our hooks are recognized.
const MARK: &str = "# Installed by `repro git install`; `repro git uninstall` removes it.";

/// The end of the name of a hook that was there before ours.
const BEFORE: &str = "before-repro";

/// Result for one hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Created,
    Updated,
    Unchanged,
    /// Another hook is there; it now has the name `HOOK.before-repro`, and ours runs it first.
    Chained,
    Removed,
    /// Ours was removed, and the other hook has its name again.
    Restored,
    Absent,
}

/// Returns the text of a hook that calls the program at `path`.
pub(super) fn script(hook: Hook, path: &str) -> String {
    let (name, call) = (hook.name(), hook.call());
    let program = program::shell_lines(path);
    // Git passes the pushed commits on stdin, which both hooks have to read.
    let (keep, pass, start) = match hook {
        Hook::PrePush(_) => {
            let pass = "[ -z \"$pushed\" ] || printf '%s\\n' \"$pushed\"";
            (format!("pushed=$(cat)\npushed() {{ {pass}; }}\n"), "pushed | ", "pushed | ")
        }
        _ => (String::new(), "", "exec "),
    };
    // A tool that moves hooks, as `pre-commit` does to `HOOK.legacy`, could make a circle of them.
    format!(
        "#!/bin/sh\n{MARK}\n\
         [ \"$REPRO_GIT_HOOK\" != {name} ] || exit 0\n\
         export REPRO_GIT_HOOK={name}\n\
         before=\"${{0%.legacy}}.{BEFORE}\"\n\
         {keep}\
         if [ -x \"$before\" ]; then {pass}\"$before\" \"$@\" || exit; fi\n\
         {program}\
         command -v \"$program\" >/dev/null 2>&1 || exit 0\n\
         unset $(git rev-parse --local-env-vars)\n\
         {start}\"$program\" git hook {call} \"$@\"\n"
    )
}

/// Writes a hook into the folder of hooks.
///
/// # Errors
/// A file cannot be written, or a hook is in the way of the name for the other hook.
pub(super) fn install(folder: &Path, hook: Hook, script: &str) -> Result<Fate> {
    let path = folder.join(hook.name());
    let legacy = path.with_extension("legacy");
    if !path.exists() && !path.is_symlink() {
        return put(&path, script).map(|()| Fate::Created);
    }
    for place in [&path, &legacy] {
        if let Some(text) = ours(place) {
            let is_current = text == script && is_executable(place);
            return match is_current {
                true => Ok(Fate::Unchanged),
                false => put(place, script).map(|()| Fate::Updated),
            };
        }
    }
    let before = path.with_extension(BEFORE);
    write::rename_new(&path, &before).map_err(|err| {
        Error::io("rename", &path, &err)
            .hint(format!("`{}` is a hook as well: join them by hand", before.display()))
    })?;
    put(&path, script).map(|()| Fate::Chained).inspect_err(|_| {
        let _ = fs::rename(&before, &path);
    })
}

/// Removes our hook, and gives the other one its name back.
pub(super) fn uninstall(folder: &Path, hook: Hook) -> Result<Fate> {
    let path = folder.join(hook.name());
    let before = path.with_extension(BEFORE);
    for place in [path.clone(), path.with_extension("legacy")] {
        if ours(&place).is_none() {
            continue;
        }
        fs::remove_file(&place).map_err(|err| Error::io("remove", &place, &err))?;
        return match before.exists() || before.is_symlink() {
            true => write::rename_new(&before, &place)
                .map(|()| Fate::Restored)
                .map_err(|err| Error::io("rename", &before, &err)),
            false => Ok(Fate::Removed),
        };
    }
    Ok(Fate::Absent)
}

/// Returns our hook in the folder, under its name or the one that `pre-commit` gives it.
pub(super) fn installed(folder: &Path, hook: Hook) -> Option<Hook> {
    let path = folder.join(hook.name());
    let text = ours(&path).or_else(|| ours(&path.with_extension("legacy")))?;
    let sends = Hook::PrePush(Unpushed::Sent);
    let is_sending = hook.name() == sends.name() && text.contains(&format!(" {} ", sends.call()));
    Some(if is_sending { sends } else { hook })
}

/// Returns the text of our hook at a path; `None` for any other file.
fn ours(path: &Path) -> Option<String> {
    let text = String::from_utf8(regular_file::read(path).ok()?).ok()?;
    (text.lines().nth(1) == Some(MARK)).then_some(text)
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o100 != 0)
}

fn put(path: &Path, script: &str) -> Result<()> {
    write::atomic(path, script.as_bytes(), Durability::Relaxed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(|err| Error::io("make executable", path, &err))
}
