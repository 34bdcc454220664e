//! Seconds for an epoch of training and for a pass of inference, beside PyTorch and onnxruntime.
//!
//! ```sh
//! PEER_PYTHON=venv/bin/python cargo bench -p model --bench epoch      # with torch, onnx and onnxruntime
//! ```
//!
//! Runs alternate, so that what else the machine does meets both; a ratio is the median of the ratios of
//! neighbours. Words on the command line pick lines: `-- forward resnet`. In brackets: the processor's time, which tells more where the machine is busy. Two threads each,
//! or as many as BENCH_THREADS says.
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on should stop")]

use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use model::burn::tensor::{Device, Tensor, TensorData};
use model::config::{Architecture, NetworkConfig};
use model::init::initial_weights;
use model::learner::Learner;
use model::network::Network;
use model::random::{Purpose, Random};
use model::threads::share_among;
use model::trainable::Trainable;

const CLIPS: usize = 128;
const SIDE: usize = 100;
const CLASSES: usize = 10;
const ROUNDS: usize = 7;

/// Threads of onnxruntime wait in a loop for more work, and would take the processor from ours meanwhile; they sleep
/// after some tens of milliseconds.
const PEER_WAITS: Duration = Duration::from_millis(150);

// What the stages use.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Seconds that passed, and seconds of the processor.
#[derive(Clone, Copy, Debug)]
struct Seconds([f64; 2]);

fn main() {
    let threads = std::env::var("BENCH_THREADS").map_or(2, |threads| threads.parse().unwrap());
    share_among(threads);
    let mut peer = Peer::start(threads);
    match &peer {
        Some(peer) => println!("peer: {}", peer.name),
        None => println!("no peer: set PEER_PYTHON to a Python with torch, onnx and onnxruntime"),
    }
    println!("{CLIPS} clips of 1×{SIDE}×{SIDE}; medians of {ROUNDS} rounds");
    for (name, model) in [("baseline", Architecture::Baseline), ("resnet", Architecture::ResNet)] {
        let mut ours = Ours::new(model);
        for batch in [4, 32] {
            compare(&format!("train {name} {batch}"), &mut peer, || ours.train(batch));
        }
        let network = ours.network();
        for batch in [1, 4, 32] {
            compare(&format!("forward {name} {batch}"), &mut peer, || ours.forward(&network, batch));
        }
    }
}

/// Prints a line: what was measured (action, network, batch), ours, the peer's, and the ratios.
fn compare(what: &str, peer: &mut Option<Peer>, mut ours: impl FnMut()) {
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
            median(rounds.iter().filter_map(|(_, theirs)| Some(theirs.as_ref()?.0[clock])).collect())
        });
        let ratio = |clock: usize| {
            let of =
                |(mine, theirs): &(Seconds, Option<Seconds>)| Some(mine.0[clock] / theirs.as_ref()?.0[clock]);
            median(rounds.iter().filter_map(of).collect())
        };
        print!(", peer {:7.1} ms ({:7.1})", theirs[0] * 1e3, theirs[1] * 1e3);
        print!(", ratio {:.2} ({:.2})", ratio(0), ratio(1));
    }
    println!();
}

/// A network with clips of noise.
struct Ours {
    learner: Learner,
    device: Device,
    clips: Vec<f32>,
    random: Random,
}

impl Ours {
    fn new(model: Architecture) -> Ours {
        let config = NetworkConfig { model, input: [1, SIDE, SIDE], classes: CLASSES, dropout: 0.5 };
        let device = Device::flex().autodiff();
        let network = Trainable::new(&config, &initial_weights(&config, 1).unwrap(), &device).unwrap();
        let mut random = Random::new(1, Purpose::Order(0));
        let clips = (0..CLIPS * SIDE * SIDE).map(|_| random.unit() * 4.0 - 2.0).collect();
        Ours { learner: Learner::new(network, 0.01), device, clips, random }
    }

    fn images(&self, clips: &[usize], device: &Device) -> Tensor<4> {
        let mut values = Vec::with_capacity(clips.len() * SIDE * SIDE);
        clips
            .iter()
            .for_each(|clip| values.extend_from_slice(&self.clips[clip * SIDE * SIDE..][..SIDE * SIDE]));
        Tensor::from_data(TensorData::new(values, [clips.len(), 1, SIDE, SIDE]), device)
    }

    fn train(&mut self, batch: usize) {
        let mut order: Vec<usize> = (0..CLIPS).collect();
        self.random.shuffle(&mut order);
        for clips in order.chunks(batch) {
            let mut targets = vec![0.0f32; clips.len() * CLASSES];
            clips.iter().enumerate().for_each(|(row, clip)| targets[row * CLASSES + clip % CLASSES] = 1.0);
            let targets = Tensor::from_data(TensorData::new(targets, [clips.len(), CLASSES]), &self.device);
            let mask = self.learner.network().dropout_mask(clips.len(), &mut self.random, &self.device);
            self.learner.step(self.images(clips, &self.device), targets, mask, 2e-4).unwrap();
        }
    }

    /// The network to judge with that has learnt what this one has.
    fn network(&self) -> Network {
        let network = self.learner.network();
        Network::new(network.config(), &network.weights().unwrap(), &self.device.clone().inner()).unwrap()
    }

    fn forward(&self, network: &Network, batch: usize) {
        for clips in self.clips.chunks(batch * SIDE * SIDE) {
            let shape = [clips.len() / (SIDE * SIDE), 1, SIDE, SIDE];
            black_box(network.judge(clips.to_vec(), shape).unwrap());
        }
    }
}

/// A Python process that runs the same work on demand.
struct Peer {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    name: String,
}

impl Peer {
    fn start(threads: usize) -> Option<Peer> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peer.py");
        let mut command = Command::new(std::env::var_os("PEER_PYTHON")?);
        let mut process = command
            .args([script, &threads.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Threads of OpenMP that wait in a loop take the processor from the others where there are few.
            .env("OMP_WAIT_POLICY", "passive")
            .spawn()
            .unwrap();
        let (requests, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut peer = Peer { process, requests, answers: BufReader::new(answers), name: String::new() };
        peer.name = peer.line();
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
