//! Compares the wall and CPU time of our code with a Python peer, in alternating runs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Number of measured rounds.
pub(crate) const ROUNDS: usize = 7;

/// Delay before our run. onnxruntime's threads spin for some tens of milliseconds after a run and
/// would compete for the CPU.
const PEER_SPINS: Duration = Duration::from_millis(150);

/// Returns the number of threads of each side.
pub(crate) fn threads() -> usize {
    std::env::var("BENCH_THREADS").map_or(2, |threads| threads.parse().unwrap())
}

/// Measures and prints one line: `what` (action, network, batch), our time, the peer's, the ratios.
pub(crate) fn compare(what: &str, peer: &mut Option<Peer>, mut ours: impl FnMut()) {
    // With words on the command line, only lines that contain all of them are measured.
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
    if !words.all(|word| what.contains(&word)) {
        return;
    }
    let mut rounds = Vec::new();
    for round in 0..=ROUNDS {
        if peer.is_some() {
            thread::sleep(PEER_SPINS);
        }
        let mine = timed(&mut ours);
        let theirs = peer.as_mut().map(|peer| peer.run(what));
        // The first round warms caches and allocators.
        if round > 0 {
            rounds.push((mine, theirs));
        }
    }
    let mine = [0, 1].map(|clock| median(rounds.iter().map(|(mine, _)| mine.0[clock]).collect()));
    print!("{what:<19}: {:7.1} ms (CPU {:7.1})", mine[0] * 1e3, mine[1] * 1e3);
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

/// Wall seconds and CPU seconds.
#[derive(Clone, Copy, Debug)]
struct Seconds([f64; 2]);

/// Python process that runs the same work on demand.
pub(crate) struct Peer {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts the peer and prints its versions; `None` without `PEER_PYTHON`.
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
            // Spinning OpenMP threads would take CPU time from the others.
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
        assert_ne!(self.answers.read_line(&mut line).unwrap(), 0, "the peer has exited");
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
    let (start, before) = (Instant::now(), cpu_seconds());
    work();
    Seconds([start.elapsed().as_secs_f64(), cpu_seconds() - before])
}

/// Returns the CPU time of all threads of this process; 0 if not on Linux.
fn cpu_seconds() -> f64 {
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
