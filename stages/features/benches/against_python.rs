//! Benchmark of decode, resample and mel in dB against librosa and torchaudio.
//!
//! All run on one thread, on the same files, in the same run.
//! `REPRO_BENCH_PYTHON=venv/bin/python cargo bench -p features` prints CPU seconds and ratios; that
//! Python needs librosa, torchaudio and soundfile. Without it only our own figures are printed. The
//! WAV files are synthesized. `REPRO_BENCH_AUDIO` names a folder of class folders with more files
//! (Ogg, MP3 …); four per class are used.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on fails")]

use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use features::resample::resample;
use features::{Audio, Extractor, Kind, Length, SpectrogramParams, decode};
use realfft::RealFftPlanner;
use rustix::time::{ClockId, clock_gettime};

const PARTS: [&str; 4] = ["decode", "resample", "mel", "all"];
const PEERS: [&str; 2] = ["librosa", "torchaudio"];

/// Number of interleaved rounds; each figure is the minimum over them.
const ROUNDS: usize = 7;

fn main() {
    let dir = tempfile::tempdir().unwrap();
    report("WAV, 44.1 kHz, 16 bits, mono, 30 s, synthesized", &synthesized(dir.path()));
    match std::env::var_os("REPRO_BENCH_AUDIO") {
        Some(folder) => {
            report(&format!("files of {}", folder.display()), &some_of_each(Path::new(&folder)));
        }
        None => println!("REPRO_BENCH_AUDIO is not set: only WAV was measured"),
    }
}

fn params() -> SpectrogramParams {
    SpectrogramParams { kind: Kind::LogMel, ..SpectrogramParams::default() }
}

/// Writes ten clips, one per genre.
fn synthesized(dir: &Path) -> Vec<PathBuf> {
    let write = |(index, genre): (usize, synth::Genre)| {
        let samples = synth::clip(genre, 1, 0, 30.0);
        let audio = resample(&Audio { samples, sample_rate: synth::SAMPLE_RATE }, 44_100);
        let path = dir.join(format!("{index}.wav"));
        std::fs::write(&path, wav(&audio)).unwrap();
        path
    };
    synth::Genre::ALL.into_iter().enumerate().map(write).collect()
}

fn wav(audio: &Audio) -> Vec<u8> {
    let size = audio.samples.len() as u32 * 2;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + size).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend(audio.sample_rate.to_le_bytes());
    bytes.extend((audio.sample_rate * 2).to_le_bytes());
    bytes.extend(b"\x02\0\x10\0data");
    bytes.extend(size.to_le_bytes());
    bytes
        .extend(audio.samples.iter().flat_map(|sample| ((sample * 32_767.0) as i16).to_le_bytes()));
    bytes
}

fn some_of_each(folder: &Path) -> Vec<PathBuf> {
    let mut files = kit::files::class_files(folder, |_| true).unwrap();
    let mut taken = std::collections::HashMap::new();
    files.retain(|file| {
        let count = taken.entry(file.label.clone()).or_insert(0);
        *count += 1;
        *count <= 4
    });
    files.into_iter().map(|file| file.path).collect()
}

fn report(title: &str, files: &[PathBuf]) {
    let mut ours = Ours::new(files);
    let mut peers = Peers::start(files);
    let mut least = [[f64::INFINITY; 4]; 3];
    for _ in 0..ROUNDS {
        for (index, part) in PARTS.into_iter().enumerate() {
            least[0][index] = least[0][index].min(ours.seconds(part));
            for (row, peer) in PEERS.into_iter().enumerate() {
                let seconds = peers.as_mut().and_then(|peers| peers.seconds(peer, part));
                least[row + 1][index] = least[row + 1][index].min(seconds.unwrap_or(f64::INFINITY));
            }
        }
    }
    println!("\n{title}: {} files; CPU ms per file, one thread", files.len());
    println!("{:12} {:>9} {:>9} {:>9} {:>9}", "", PARTS[0], PARTS[1], PARTS[2], PARTS[3]);
    for (name, row) in ["features", PEERS[0], PEERS[1]].into_iter().zip(&least) {
        let cell = |seconds: &f64| match seconds.is_finite() {
            true => format!("{:9.3}", seconds * 1e3 / files.len() as f64),
            false => format!("{:>9}", "-"),
        };
        println!("{name:12} {}", row.iter().map(cell).collect::<Vec<_>>().join(" "));
    }
    for (name, row) in PEERS.into_iter().zip(&least[1..]).filter(|(_, row)| row[3].is_finite()) {
        let ratios: Vec<_> =
            row.iter().zip(&least[0]).map(|(peer, own)| format!("{:7.2} ×", peer / own)).collect();
        println!("{:12} {}", format!("÷ {name}"), ratios.join(" "));
    }
    limits(&ours, least[0][2]);
}

/// Compares the mel part with its transforms alone and with one pass over its memory.
fn limits(ours: &Ours, mel: f64) {
    let params = params();
    let frames: usize = ours.resampled.iter().map(|audio| params.frames(audio.samples.len())).sum();
    let fft = RealFftPlanner::<f32>::new().plan_fft_forward(params.n_fft);
    let (mut input, mut output, mut scratch) =
        (fft.make_input_vec(), fft.make_output_vec(), fft.make_scratch_vec());
    let transforms = least(|| {
        for _ in 0..frames {
            fft.process_with_scratch(black_box(&mut input), &mut output, &mut scratch).unwrap();
        }
    });
    let memory = least(|| {
        for audio in &ours.resampled {
            black_box(audio.samples.clone());
        }
    });
    // A real transform takes half of the 5 N log2 N operations of a complex one.
    let flops = frames as f64 * 2.5 * params.n_fft as f64 * (params.n_fft as f64).log2();
    println!(
        "limits of mel: its {frames} transforms alone take {:.0} % of its time ({:.1} GFLOP/s), \
         a copy of its samples {:.0} %",
        100.0 * transforms / mel,
        flops / transforms / 1e9,
        100.0 * memory / mel
    );
}

fn least(mut work: impl FnMut()) -> f64 {
    (0..ROUNDS).map(|_| timed(&mut work)).fold(f64::INFINITY, f64::min)
}

/// Returns the CPU seconds of this thread, which other load on the machine affects little.
fn timed(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let before = now();
    work();
    now() - before
}

struct Ours {
    files: Vec<PathBuf>,
    decoded: Vec<Audio>,
    resampled: Vec<Audio>,
    extractor: Extractor,
}

impl Ours {
    fn new(files: &[PathBuf]) -> Ours {
        let decoded: Vec<_> = files.iter().map(|file| decode(file, Length::All).unwrap()).collect();
        let resampled = decoded.iter().map(|audio| resample(audio, params().sample_rate)).collect();
        Ours {
            files: files.to_vec(),
            decoded,
            resampled,
            extractor: Extractor::new(&params()).unwrap(),
        }
    }

    fn seconds(&mut self, part: &str) -> f64 {
        let Ours { files, decoded, resampled, extractor } = self;
        // The mel part consumes these copies; making them is not measured.
        let mut samples: Vec<_> = resampled.iter().map(|audio| audio.samples.clone()).collect();
        timed(|| match part {
            "decode" => {
                files.iter().for_each(|file| drop(black_box(decode(file, Length::All).unwrap())));
            }
            "resample" => {
                for audio in decoded {
                    black_box(resample(audio, params().sample_rate));
                }
            }
            "mel" => {
                for samples in samples.drain(..) {
                    black_box(extractor.samples(samples).unwrap());
                }
            }
            _ => files.iter().for_each(|file| drop(black_box(extractor.file(file).unwrap()))),
        })
    }
}

/// A running `peers.py`, which waits for requests.
struct Peers {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peers {
    fn start(files: &[PathBuf]) -> Option<Peers> {
        let Some(python) = std::env::var_os("REPRO_BENCH_PYTHON") else {
            println!("REPRO_BENCH_PYTHON is not set: nothing to compare with");
            return None;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers.py");
        let mut child = Command::new(python)
            .arg(script)
            .args(files)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (ask, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Some(Peers { child, ask, answers: BufReader::new(answers) })
    }

    fn seconds(&mut self, peer: &str, part: &str) -> Option<f64> {
        writeln!(self.ask, "{peer} {part}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "peers.py ended early");
        line.trim().parse().ok()
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        // The script would wait for another request.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
