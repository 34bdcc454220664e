//! Parallel work on the threads that rayon shares. Does the work on the calling thread if the
//! system gives no other one, where rayon by itself panics.

use std::sync::mpsc::channel;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rayon::iter::{IntoParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _};
use rayon::slice::ParallelSliceMut as _;
use rayon::{ThreadBuilder, ThreadPoolBuilder};

/// Starts the threads with the first parallel work, and reports whether there are any.
///
/// Call it before using rayon in any other way than by the functions of this module.
pub fn is_available() -> bool {
    static AVAILABLE: LazyLock<bool> = LazyLock::new(start);
    *AVAILABLE
}

/// Starts as many threads as the system allows, at most one per processor, and then passes their
/// number to rayon, which can be initialized only once.
fn start() -> bool {
    let (sender, receiver) = channel::<ThreadBuilder>();
    let receiver = Arc::new(Mutex::new(receiver));
    let start = |_: &usize| {
        let receiver = Arc::clone(&receiver);
        let run = move || {
            let thread = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
            // Nothing is sent if something else has started rayon.
            thread.into_iter().for_each(ThreadBuilder::run);
        };
        std::thread::Builder::new().spawn(run).is_ok()
    };
    let started = (0..wanted()).take_while(start).count();
    if started > 0 {
        let _ = ThreadPoolBuilder::new()
            .num_threads(started)
            .spawn_handler(|thread| {
                sender.send(thread).map_err(|_| std::io::ErrorKind::Other.into())
            })
            .build_global();
    }
    started > 0
}

fn wanted() -> usize {
    let number = std::env::var("RAYON_NUM_THREADS").ok().and_then(|number| number.parse().ok());
    let processors = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    number.filter(|number| *number > 0).unwrap_or_else(processors)
}

/// Calls `work` for each item until one fails.
pub fn try_for_each<T: Sync, E: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<(), E> + Sync + Send,
) -> Result<(), E> {
    match is_available() {
        true => items.par_iter().try_for_each(work),
        false => items.iter().try_for_each(work),
    }
}

/// Maps items, in their order.
pub fn map<T: Send, U: Send>(items: Vec<T>, map: impl Fn(T) -> U + Sync + Send) -> Vec<U> {
    match is_available() {
        true => items.into_par_iter().map(map).collect(),
        false => items.into_iter().map(map).collect(),
    }
}

/// Sorts items; equal ones may change places.
pub fn sort_unstable<T: Ord + Send>(items: &mut [T]) {
    match is_available() {
        true => items.par_sort_unstable(),
        false => items.sort_unstable(),
    }
}

/// Adds bytes to a digest.
pub fn update(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    match is_available() {
        true => hasher.update_rayon(bytes),
        false => hasher.update(bytes),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_is_kept() {
        assert_eq!(map(vec![3, 1, 2], |number| number * 2), [6, 2, 4]);
        let mut items = vec![3, 1, 2];
        sort_unstable(&mut items);
        assert_eq!(items, [1, 2, 3]);
        let odd = |number: &i32| if number % 2 == 1 { Ok(()) } else { Err(*number) };
        assert_eq!(try_for_each(&items, odd), Err(2));
    }
}
