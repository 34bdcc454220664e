//! The client of the network for stages that take their out from elsewhere.

use std::sync::Arc;

use crate::engine::elsewhere::Sources;

/// Returns what fetches the origins of stages.
#[cfg(not(feature = "remote"))]
pub(super) fn sources() -> Arc<dyn Sources> {
    Arc::new(crate::engine::elsewhere::NoSources)
}

/// Returns what fetches the origins of stages.
#[cfg(feature = "remote")]
pub(super) fn sources() -> Arc<dyn Sources> {
    Arc::new(network::Network)
}

#[cfg(feature = "remote")]
mod network {
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::thread;
    use std::time::Duration;

    use crate::engine::Project;
    use crate::engine::elsewhere::{Answer, Fetched, Freshness, Known, Remotes, Request, Sources};
    use crate::engine::export;
    use crate::engine::share::other_project::{is_same, provide, repository};
    use crate::error::Result;
    use crate::pipeline::{Origin, ProjectOrigin};
    use crate::plan::SourceVersion;
    use crate::remote::Meter;
    use crate::remote::source::{self, Compared, Got, Wanted};
    use crate::workspace::restore::remove_any;

    /// Time between two looks at what has arrived.
    const LOOK: Duration = Duration::from_millis(100);

    #[derive(Debug)]
    pub(super) struct Network;

    impl Sources for Network {
        fn fetch(&self, request: &Request<'_>) -> Result<Answer> {
            let Request { project, origin, known, folder, progress, is_stopped, .. } = *request;
            let origin = match origin {
                Origin::Url(origin) => origin,
                Origin::Project(origin) => return from_project(request, origin),
            };
            let known = known.map(|Known { listing, copy }| source::Known { listing, copy });
            let remotes = remotes(project);
            let wanted = Wanted { origin, remotes, known, folder, progress, is_stopped };
            Ok(match source::fetch(&wanted)? {
                Some(Got { name, version, listing }) => {
                    Answer::Fetched(Fetched { name, version, listing })
                }
                None => Answer::Stopped,
            })
        }

        fn check(
            &self,
            project: &Project,
            origin: &Origin,
            known: &SourceVersion,
        ) -> Result<Freshness> {
            let origin = match origin {
                Origin::Url(origin) => origin,
                Origin::Project(origin) => {
                    let repository = repository(project, origin)?;
                    let commit = repository.resolve(origin.rev.as_deref())?;
                    return Ok(match known.commit.as_ref() {
                        Some(old) if *old == commit => Freshness::Unchanged,
                        Some(old) if is_same(project, origin, &repository, (old, &commit))? => {
                            Freshness::Moved(of_commit(commit))
                        }
                        _ => Freshness::Changed(of_commit(commit)),
                    });
                }
            };
            Ok(match source::compare(origin, known, remotes(project))? {
                Compared::Same => Freshness::Unchanged,
                Compared::Other(version) => Freshness::Changed(version),
                Compared::Unknown => Freshness::Unknown,
            })
        }
    }

    fn remotes(project: &Project) -> source::Remotes<'_> {
        let Remotes { declared, root } = Remotes::of(project);
        source::Remotes { declared, root }
    }

    fn of_commit(commit: String) -> SourceVersion {
        SourceVersion { commit: Some(commit), ..SourceVersion::default() }
    }

    /// Copies what another project has into the folder of the request.
    fn from_project(request: &Request<'_>, origin: &ProjectOrigin) -> Result<Answer> {
        let project = request.project;
        let pinned = request.pinned.and_then(|version| version.commit.as_deref());
        let provided = watched(request, |meter| provide(project, origin, pinned, meter));
        if (request.is_stopped)() {
            return Ok(Answer::Stopped);
        }
        let provided = provided?;
        let name = "content".to_owned();
        let path = request.folder.join(&name);
        remove_any(&path)?;
        export::copy(project, &provided.content, &path)?;
        Ok(Answer::Fetched(Fetched { name, version: of_commit(provided.commit), listing: None }))
    }

    /// Reports the progress of a transfer, and stops it with the request.
    fn watched<T>(request: &Request<'_>, work: impl FnOnce(&Meter) -> T) -> T {
        let meter = Meter::default();
        let (done, ended) = channel::<()>();
        thread::scope(|scope| {
            let meter = &meter;
            scope.spawn(move || {
                while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(LOOK) {
                    // Nothing is known before the repository has answered.
                    let total = Some(meter.total().bytes).filter(|total| *total > 0);
                    (request.progress)(meter.done().bytes, total);
                    if (request.is_stopped)() {
                        meter.stop();
                    }
                }
            });
            let result = work(meter);
            drop(done);
            result
        })
    }
}
