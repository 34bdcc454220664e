//! Runs work on several items in parallel.

use std::sync::Mutex;

/// Number of threads; they mostly wait for the network.
const THREADS: usize = 4;

/// Calls `work` for every item, several at once.
///
/// After the first error no further item is started; running ones are finished.
///
/// # Errors
/// The first error of `work`.
pub(crate) fn try_for_each<T: Send, E: Send>(
    items: Vec<T>,
    work: impl Fn(T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let threads = items.len().min(THREADS);
    let (queue, failure) = (Mutex::new(items.into_iter()), Mutex::new(None));
    let lock = || failure.lock().unwrap_or_else(|poison| poison.into_inner());
    let next = || {
        let stopped = lock().is_some();
        if stopped {
            None
        } else {
            queue.lock().unwrap_or_else(|poison| poison.into_inner()).next()
        }
    };
    let worker = || {
        while let Some(item) = next() {
            if let Err(error) = work(item) {
                lock().get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(worker);
        }
    });
    failure.into_inner().unwrap_or_else(|poison| poison.into_inner()).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn runs_all_items_or_returns_error() {
        let sum = AtomicU32::new(0);
        let add = |item| -> Result<(), u32> {
            sum.fetch_add(item, Ordering::Relaxed);
            if item == 1000 { Err(item) } else { Ok(()) }
        };
        assert_eq!(try_for_each((0..100).collect(), add), Ok(()));
        assert_eq!(sum.load(Ordering::Relaxed), 4950);
        let mut items = vec![1000; 1];
        items.extend([1; 10_000]);
        assert_eq!(try_for_each(items, add), Err(1000));
        assert_eq!(try_for_each(vec![], add), Ok(()));
    }
}
