//! Tries each verb of a store with a small file, which is deleted again.

use super::backend::{Backend, Fault, FaultKind};
use crate::unique::unique;

/// The end of each verb.
#[derive(Debug)]
pub struct Probe {
    pub list: Result<(), Fault>,
    pub read: Result<(), Fault>,
    pub write: Result<(), Fault>,
    /// `None` if there was nothing to delete.
    pub delete: Option<Result<(), Fault>>,
}

/// Writes, reads, lists and deletes a file. A store that cannot be written is read as far as it
/// goes: its file `heads` may be missing.
pub fn probe(store: &dyn Backend) -> Probe {
    let name = format!("probe-{}", unique());
    let path = format!("probe/{name}");
    let content = name.as_bytes();
    let write = store.put(&path, content);
    let list = store.list("probe").and_then(|files| match &write {
        Ok(()) if !files.iter().any(|file| file.path == path) => {
            Err(other("a file that was just written is not listed"))
        }
        _ => Ok(()),
    });
    if write.is_err() {
        let read = match store.get("heads", None) {
            Err(fault) if fault.kind != FaultKind::Missing => Err(fault),
            _ => Ok(()),
        };
        return Probe { list, read, write, delete: None };
    }
    let read = store.get(&path, None).and_then(|bytes| {
        let part = store.get(&path, Some(1..4))?;
        match bytes == content && part == content[1..4] {
            true => Ok(()),
            false => Err(other("the bytes that were read are not those that were written")),
        }
    });
    let delete = Some(store.delete(&path));
    Probe { list, read, write, delete }
}

impl Probe {
    /// Reports whether the store can be pulled from, although it cannot be written.
    pub fn is_read_only(&self) -> bool {
        let refused =
            |fault: &Fault| matches!(fault.kind, FaultKind::Denied | FaultKind::Unsupported);
        self.read.is_ok()
            && self.write.as_ref().is_err_and(refused)
            && self.list.as_ref().err().is_none_or(|fault| fault.kind == FaultKind::Unsupported)
    }
}

fn other(message: &str) -> Fault {
    Fault { kind: FaultKind::Other, message: message.to_owned() }
}
