//! Minimal directory scan: reads names and stats on all processors and does nothing else.
//!
//! `walk DIRECTORY` prints the number of files and the sum of their sizes. `benches/files.py`
//! compiles it as the peer of `repro status`. Uses only the standard library.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Shared state of the threads.
struct Walk {
    /// Folders to read.
    folders: Mutex<Vec<PathBuf>>,
    /// Number of folders that are queued or being read.
    open: AtomicUsize,
    count: AtomicU64,
    bytes: AtomicU64,
}

impl Walk {
    fn work(&self) {
        while self.open.load(Ordering::Acquire) > 0 {
            let next = self.folders.lock().expect("no thread panics").pop();
            match next {
                Some(folder) => {
                    self.read(&folder)
                        .unwrap_or_else(|err| eprintln!("{}: {err}", folder.display()));
                    self.open.fetch_sub(1, Ordering::Release);
                }
                None => std::thread::yield_now(),
            }
        }
    }

    fn read(&self, folder: &PathBuf) -> std::io::Result<()> {
        let (mut count, mut bytes) = (0, 0);
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.open.fetch_add(1, Ordering::Relaxed);
                self.folders.lock().expect("no thread panics").push(entry.path());
                continue;
            }
            count += 1;
            bytes += entry.metadata()?.len();
        }
        self.count.fetch_add(count, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}

fn main() {
    let top = std::env::args_os().nth(1).expect("walk DIRECTORY");
    let walk = Walk {
        folders: Mutex::new(vec![top.into()]),
        open: AtomicUsize::new(1),
        count: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(|| walk.work()))));
    println!("{} files, {} bytes", walk.count.into_inner(), walk.bytes.into_inner());
}
