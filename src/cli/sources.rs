//! The client of the network for stages that download.

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
    use crate::engine::elsewhere::{Answer, Fetched, Freshness, Known, Remotes, Request, Sources};
    use crate::error::Result;
    use crate::pipeline::UrlOrigin;
    use crate::plan::SourceVersion;
    use crate::remote::source::{self, Compared, Got, Wanted};

    #[derive(Debug)]
    pub(super) struct Network;

    impl Sources for Network {
        fn fetch(&self, request: &Request<'_>) -> Result<Answer> {
            let Request { origin, remotes, known, folder, progress, is_stopped } = *request;
            let known = known.map(|Known { listing, copy }| source::Known { listing, copy });
            let remotes = of_source(remotes);
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
            origin: &UrlOrigin,
            known: &SourceVersion,
            remotes: Remotes<'_>,
        ) -> Result<Freshness> {
            Ok(match source::compare(origin, known, of_source(remotes))? {
                Compared::Same => Freshness::Unchanged,
                Compared::Other(version) => Freshness::Changed(version),
                Compared::Unknown => Freshness::Unknown,
            })
        }
    }

    fn of_source(Remotes { declared, root }: Remotes<'_>) -> source::Remotes<'_> {
        source::Remotes { declared, root }
    }
}
