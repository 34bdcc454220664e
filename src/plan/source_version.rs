//! The version of a source that was fetched, as the source itself names it.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Facts by which a later request finds out whether the source has changed since.
///
/// Its JSON is a line of the lock, so the order of the fields is part of the format.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceVersion {
    /// The header `ETag`, as the server sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The header `Last-Modified`, as the server sent it; of a file in a store without ETags or of
    /// a local one, its time in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
    /// Size of the file, or of all files of the folder, that was transferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Digest of the list of the files of a folder, with the version of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing: Option<Digest>,
    /// Number of the files of a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// The full id of the commit, for what comes from another project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}
