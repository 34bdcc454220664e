//! Opens remotes for a caller that can do without them, and so does not wait for long.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::event::Millis;
use crate::pipeline::RemoteSpec;
use crate::remote::Remote;

/// Time in which a remote has to say what it has, unless its `timeout` says otherwise.
const ANSWER: Duration = Duration::from_secs(10);

/// Opens all remotes at once, and waits for their answers. `root` and `folder` are those of
/// [`Remote::open`].
pub(super) fn ask_all<'s>(
    specs: &'s [RemoteSpec],
    root: &Path,
    folder: &Path,
) -> Vec<(&'s RemoteSpec, Result<Remote>)> {
    let began = Instant::now();
    let each = specs.iter().map(|spec| {
        let (sender, answer) = channel();
        let (owned, root, folder) = (spec.clone(), root.to_owned(), folder.to_owned());
        // A store that never answers keeps its thread until the program ends.
        let started = thread::Builder::new().spawn(move || {
            let opened = Remote::open(&owned, &root, &folder).and_then(|mut remote| {
                remote.refresh()?;
                Ok(remote)
            });
            let _ = sender.send(opened);
        });
        (spec, started.map(|_| answer))
    });
    let each: Vec<_> = each.collect();
    let answers = each.into_iter().map(|(spec, started)| {
        let answer = match started {
            Err(err) => Err(Error::thread(&err)),
            Ok(answer) => {
                let limit = spec.timeout.unwrap_or(ANSWER);
                match answer.recv_timeout(limit.saturating_sub(began.elapsed())) {
                    Ok(answer) => answer,
                    Err(RecvTimeoutError::Disconnected) => Err(Error::panicked()),
                    Err(RecvTimeoutError::Timeout) => Err(Error::environment(format!(
                        "it did not answer within {}",
                        Millis::from(limit)
                    ))),
                }
            }
        };
        (spec, answer)
    });
    answers.collect()
}
