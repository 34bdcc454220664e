//! Where the project is: the nearest directory upwards with a `pipeline.toml`.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::pipeline;

/// The root of the project that `start` lies in, without links in it.
pub fn find(start: &Path) -> Result<PathBuf> {
    let start = start.canonicalize().map_err(|err| Error::io("open", start, &err))?;
    let root = start.ancestors().find(|dir| dir.join(pipeline::FILE).is_file());
    root.map(Path::to_owned).ok_or_else(|| {
        Error::usage(format!("no `{}` in `{}` or above it", pipeline::FILE, start.display()))
            .hint("`repro init` starts a pipeline here")
    })
}
