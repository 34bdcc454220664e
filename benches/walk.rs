//! The least that a look at a directory can cost: names and stats on all processors, and nothing else. `walk DIRECTORY` prints
//! the count of the files and the sum of their sizes. A peer for `benches/files.py`, which compiles it; std alone.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The folders still to be read, and how many are waiting or being read.
struct Walk {
    folders: Mutex<Vec<PathBuf>>,
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
