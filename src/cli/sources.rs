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
    use crate::engine::elsewhere::{Answer, Fetched, Freshness, Request, Sources};
    use crate::error::Result;
    use crate::pipeline::UrlOrigin;
    use crate::plan::SourceVersion;
    use crate::remote::source::{self, Compared, Wanted};

    #[derive(Debug)]
    pub(super) struct Network;

    impl Sources for Network {
        fn fetch(&self, request: &Request<'_>) -> Result<Answer> {
            let Request { origin, folder, progress, is_stopped } = *request;
            let fetched = source::fetch(&Wanted { origin, folder, progress, is_stopped })?;
            Ok(match fetched {
                Some((name, version)) => Answer::Fetched(Fetched { name, version }),
                None => Answer::Stopped,
            })
        }

        fn check(&self, origin: &UrlOrigin, known: &SourceVersion) -> Result<Freshness> {
            Ok(match source::compare(origin, known)? {
                Compared::Same => Freshness::Unchanged,
                Compared::Other(version) => Freshness::Changed(version),
                Compared::Unknown => Freshness::Unknown,
            })
        }
    }
}
