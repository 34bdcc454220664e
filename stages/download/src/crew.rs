//! Some threads that share out work. Knows nothing about the work.

use std::sync::Mutex;

/// Threads that wait for a network most of the time.
const HANDS: usize = 4;

/// Does `work` on every item, several at once. The first error ends it: what is begun is finished.
///
/// # Errors
/// The first error of `work`.
pub(crate) fn share_out<T: Send, E: Send>(
    items: Vec<T>,
    work: impl Fn(T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let hands = items.len().min(HANDS);
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
    let hand = || {
        while let Some(item) = next() {
            if let Err(error) = work(item) {
                lock().get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..hands {
            scope.spawn(hand);
        }
    });
    failure.into_inner().unwrap_or_else(|poison| poison.into_inner()).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn every_item_is_done_or_the_first_error_told() {
        let sum = AtomicU32::new(0);
        let add = |item| -> Result<(), u32> {
            sum.fetch_add(item, Ordering::Relaxed);
            if item == 1000 { Err(item) } else { Ok(()) }
        };
        assert_eq!(share_out((0..100).collect(), add), Ok(()));
        assert_eq!(sum.load(Ordering::Relaxed), 4950);
        let mut items = vec![1000; 1];
        items.extend([1; 10_000]);
        assert_eq!(share_out(items, add), Err(1000));
        assert_eq!(share_out(vec![], add), Ok(()));
    }
}
