//! What our own work takes beside the same work elsewhere, in turn: seconds that passed, and seconds of the processor.
//!
//! Knows nothing about what the work is.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often each is done.
pub(crate) const ROUNDS: usize = 7;

/// Threads of onnxruntime wait in a loop for more work, and would take the processor from ours meanwhile; they sleep
/// after some tens of milliseconds.
const PEER_WAITS: Duration = Duration::from_millis(150);

/// How many threads each has.
pub(crate) fn threads() -> usize {
    std::env::var("BENCH_THREADS").map_or(2, |threads| threads.parse().unwrap())
}

/// Prints a line: what was measured (action, network, batch), ours, the peer's, and the ratios.
pub(crate) fn compare(what: &str, peer: &mut Option<Peer>, mut ours: impl FnMut()) {
    // Whoever gives words on the command line wants what has them all.
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
    if !words.all(|word| what.contains(&word)) {
        return;
    }
    let mut rounds = Vec::new();
    for round in 0..=ROUNDS {
        if peer.is_some() {
            thread::sleep(PEER_WAITS);
        }
        let mine = timed(&mut ours);
        let theirs = peer.as_mut().map(|peer| peer.run(what));
        // The first warms caches and allocators.
        if round > 0 {
            rounds.push((mine, theirs));
        }
    }
    let mine = [0, 1].map(|clock| median(rounds.iter().map(|(mine, _)| mine.0[clock]).collect()));
    print!("{what:<19}: {:7.1} ms (processor {:7.1})", mine[0] * 1e3, mine[1] * 1e3);
    if rounds.iter().all(|(_, theirs)| theirs.is_some()) {
        let theirs = [0, 1].map(|clock| {
            median(
                rounds.iter().filter_map(|(_, theirs)| Some(theirs.as_ref()?.0[clock])).collect(),
            )
        });
        let ratio = |clock: usize| {
            let of = |(mine, theirs): &(Seconds, Option<Seconds>)| {
                Some(mine.0[clock] / theirs.as_ref()?.0[clock])
            };
            median(rounds.iter().filter_map(of).collect())
        };
        print!(", peer {:7.1} ms ({:7.1})", theirs[0] * 1e3, theirs[1] * 1e3);
        print!(", ratio {:.2} ({:.2})", ratio(0), ratio(1));
    }
    println!();
}

/// Seconds that passed, and seconds of the processor.
#[derive(Clone, Copy, Debug)]
struct Seconds([f64; 2]);

/// A Python process that runs the same work on demand.
pub(crate) struct Peer {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Prints what it is; none without a Python.
    pub(crate) fn start(threads: usize) -> Option<Peer> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/benches/peer.py");
        let Some(python) = std::env::var_os("PEER_PYTHON") else {
            println!("no peer: set PEER_PYTHON to a Python with torch, onnx and onnxruntime");
            return None;
        };
        let mut command = Command::new(python);
        let mut process = command
            .args([script, &threads.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Threads of OpenMP that wait in a loop take the processor from the others where there are few.
            .env("OMP_WAIT_POLICY", "passive")
            .spawn()
            .unwrap();
        let (requests, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut peer = Peer { process, requests, answers: BufReader::new(answers) };
        println!("peer: {}", peer.line());
        Some(peer)
    }

    fn run(&mut self, what: &str) -> Seconds {
        writeln!(self.requests, "{what}").unwrap();
        let line = self.line();
        let mut seconds = line.split_whitespace().map(|word| word.parse().unwrap());
        Seconds([seconds.next().unwrap(), seconds.next().unwrap()])
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.answers.read_line(&mut line).unwrap(), 0, "the peer has stopped");
        line.trim().to_owned()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn timed(work: &mut impl FnMut()) -> Seconds {
    let (start, before) = (Instant::now(), processor_seconds());
    work();
    Seconds([start.elapsed().as_secs_f64(), processor_seconds() - before])
}

/// What all threads of this process have used so far, where Linux tells it.
fn processor_seconds() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let used = |thread: std::fs::DirEntry| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    };
    threads.filter_map(used).sum::<f64>() * 1e-9
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
