//! `repro add URL`: declares a stage that downloads the URL, and runs it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{AddArgs, show};
use crate::cli::common::{command_line, show_failures};
use crate::cli::sources::sources;
use crate::engine::add::{self, DeclaredOrigin, TrackingState, Wishes};
use crate::engine::elsewhere::Wish;
use crate::engine::run::{NoSupply, NoTracking, Options, Report, Role, run};
use crate::engine::{OnForeign, Project, processors, project};
use crate::error::{Error, Result, exit};
use crate::event::Subscriber;
use crate::percent;
use crate::pipeline::{Origin, StageSet, Url, UrlOrigin};
use crate::repo_path::RepoPath;
use crate::runs::Recorder;
use crate::schedule::OnFailure;
use crate::terminal::{self, Format, Reporter};
use crate::workspace::root;
use crate::workspace::run_lock::RunLock;

/// The ends of the names of archives, the longer ones first.
const ARCHIVES: [&str; 8] =
    [".tar.gz", ".tar.zst", ".tar.bz2", ".tar.xz", ".tgz", ".tzst", ".tar", ".zip"];

impl AddArgs {
    /// Declares and downloads one URL.
    pub(super) fn add_url(&self, url: &str, here: &Path, root: &Path) -> Result<u8> {
        if self.paths.len() > 1 {
            return Err(Error::usage("a URL is added alone")
                .hint("call `repro add` once for each URL, and once for all paths"));
        }
        let url = Url::parse(url).map_err(|bad| {
            // The part before an `@` and the query may be secrets.
            let shown = url.split('?').next().unwrap_or_default();
            let shown = shown.rsplit_once('@').map_or(shown, |(_, rest)| rest);
            Error::usage(format!("`{shown}` {bad}")).hint(bad.hint)
        })?;
        let path = self.destination(&url, here, root)?;
        let origin = Origin::Url(UrlOrigin {
            url,
            extract: self.extract,
            sha256: self.sha256.as_deref().map(sha256).transpose()?,
            md5: None,
        });
        let wishes = Wishes { name: self.name.clone(), desc: self.desc.clone() };
        add_origin(root, &path, &origin, &wishes)
    }

    /// Returns the path of the out.
    fn destination(&self, url: &Url, here: &Path, root: &Path) -> Result<RepoPath> {
        let name = percent::decode(url.file_name());
        let name = String::from_utf8_lossy(&name).replace(['/', '\0'], "_");
        let name = match self.extract {
            true => stem(&name).to_owned(),
            false => name,
        };
        let typed = match &self.output {
            None => PathBuf::from(name),
            Some(dest) => {
                let is_folder = dest.as_os_str().as_encoded_bytes().ends_with(b"/")
                    || (!self.extract && here.join(dest).is_dir());
                if is_folder { dest.join(name) } else { dest.clone() }
            }
        };
        root::to_repo_path(root, here, &typed)
    }
}

/// Declares a stage that takes `path` from an origin, and runs it.
///
/// # Errors
/// The path cannot be an out, or the content cannot be fetched.
pub(in crate::cli) fn add_origin(
    root: &Path,
    path: &RepoPath,
    origin: &Origin,
    wishes: &Wishes,
) -> Result<u8> {
    let held = project::hold(root)?;
    let declared = add::declare_origin(root, &held, path, origin, wishes)?;
    let result = download(root, &held, &declared);
    let is_new = declared.tracked.state == TrackingState::New;
    if is_new && !matches!(&result, Ok((_, report)) if report.exit == exit::OK) {
        // A mistyped URL leaves no stage behind. What has arrived is continued by the same
        // command.
        declared.undo(root)?;
        return result.map(|(_, report)| report.exit);
    }
    let (project, report) = result?;
    show(&project, &declared.tracked, &report)?;
    Ok(report.exit)
}

/// Runs the declared stage.
fn download(
    root: &Path,
    held: &RunLock,
    declared: &DeclaredOrigin,
) -> Result<(Arc<Project>, Report)> {
    let project = Arc::new(Project::reload(root, held, &[])?);
    let name = &declared.tracked.stage;
    let count = project.pipeline.stages.len();
    let options = Options {
        wanted: StageSet::of(count, project.pipeline.find(name.as_str())),
        forced: StageSet::none(count),
        cpus: processors(),
        on_failure: OnFailure::KeepGoing,
        on_foreign: OnForeign::Refuse,
        command: command_line(),
        overrides: Vec::new(),
        role: Role::Ordinary,
        git: None,
        tracking: Arc::new(NoTracking),
        supply: Arc::new(NoSupply),
        sources: sources(),
        origins: Wish::Locked,
    };
    let mut recorder = Recorder::start(&project.history, terminal::note);
    let mut reporter = Reporter::choose(Format::Text, std::slice::from_ref(name));
    let erase = reporter.eraser();
    let subscribers: Vec<&mut dyn Subscriber> = vec![&mut recorder, reporter.subscriber()];
    let report = run(&project, held, &options, subscribers, erase);
    reporter.close();
    if let Some(warning) = recorder.finish() {
        terminal::warn_of(&warning);
    }
    let report = report?;
    show_failures(&report);
    Ok((project, report))
}

/// Returns the name of an archive without its end.
fn stem(name: &str) -> &str {
    let lower = name.to_ascii_lowercase();
    let end = ARCHIVES.iter().find(|end| lower.ends_with(**end) && lower.len() > end.len());
    end.map_or(name, |end| &name[..name.len() - end.len()])
}

fn sha256(text: &str) -> Result<String> {
    let text = text.to_ascii_lowercase();
    match text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(text),
        false => Err(Error::usage("`--sha256` must have 64 hexadecimal digits")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_archives() {
        for (name, expected) in [
            ("gtzan.tar.gz", "gtzan"),
            ("a.b.ZIP", "a.b"),
            (".zip", ".zip"),
            ("data", "data"),
            ("ü.tgz", "ü"),
        ] {
            assert_eq!(stem(name), expected, "{name}");
        }
    }
}
