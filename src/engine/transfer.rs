//! `repro runs export` and `repro runs import`: runs in one file.
//!
//! # Format
//!
//! A file is a [tar archive](crate::tar). Its first entry is `manifest.json`: the rows of each run,
//! the files of its folder, and the digest and size of every part. The other entries are
//! `parts/DIGEST`, each once: files of runs, points of series as lines of JSON, and objects.
//!
//! # Invariants
//!
//! - A part is used only if its bytes have the digest that names it. Names of files are checked
//!   before they are joined to a folder, and all sizes together fit into the file that is read.
//! - An import is all or nothing, except for objects, which do no harm. Runs whose identity is
//!   known stay as they are.
//!
//! # Known limits
//!
//! - Rows and the names of files are trusted to mean something: a run can claim any result.

mod collect;
mod export;
mod hashing;
mod import;
mod manifest;
#[cfg(feature = "remote")]
pub(super) mod version;

#[cfg(feature = "remote")]
pub(super) use self::export::with_children;
pub use self::export::{Exported, export};
pub use self::import::{Imported, import};
