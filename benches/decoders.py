#!/usr/bin/env python3
"""Decodes one sound in many formats here, with ffmpeg and with libsndfile, and prints a table.

    cargo build --release -p features --example decode
    python3 benches/decoders.py target/release/examples/decode

Needs the programs ffmpeg and lame, and the Python packages numpy and soundfile. A cell is the
number of samples of the mean of the channels, or "-" if the file is refused. "difference" compares
the samples here with those of the other two: the power of the smaller difference in decibels
relative to the sound.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

RATE = 44_100
SECONDS = 2

# Name, channels, and the arguments of ffmpeg, or a command with {wav} and {out}.
FORMATS = [
    ("WAV, 8 bits", 2, "-c:a pcm_u8 .wav"),
    ("WAV, 16 bits", 2, "-c:a pcm_s16le .wav"),
    ("WAV, 24 bits", 2, "-c:a pcm_s24le .wav"),
    ("WAV, 32 bits", 2, "-c:a pcm_s32le .wav"),
    ("WAV, 32-bit floats", 2, "-c:a pcm_f32le .wav"),
    ("WAV, 64-bit floats", 2, "-c:a pcm_f64le .wav"),
    ("WAV, 16 bits, six channels", 6, "-c:a pcm_s16le .wav"),
    ("WAV, µ-law", 2, "-c:a pcm_mulaw .wav"),
    ("WAV, A-law", 2, "-c:a pcm_alaw .wav"),
    ("WAV, ADPCM of Microsoft", 2, "-c:a adpcm_ms .wav"),
    ("WAV, ADPCM of IMA", 2, "-c:a adpcm_ima_wav .wav"),
    ("WAV, MP3", 2, "-c:a libmp3lame .wav"),
    ("WAV written to a pipe", 2, "ffmpeg -v error -i {wav} -c:a pcm_s24le -f wav - > {out}.wav"),
    ("RF64", 2, "-c:a pcm_s24le -rf64 always .wav"),
    ("Wave64", 2, "-c:a pcm_s24le .w64"),
    ("AIFF, 16 bits", 2, "-c:a pcm_s16be .aiff"),
    ("AIFF, 24 bits", 2, "-c:a pcm_s24be .aiff"),
    ("AIFF-C, little-endian", 2, "-c:a pcm_s16le .aiff"),
    ("AIFF-C, µ-law", 2, "-c:a pcm_mulaw .aiff"),
    ("AIFF-C, IMA 4:1", 2, "-c:a adpcm_ima_qt .aiff"),
    ("CAF, 24 bits", 2, "-c:a pcm_s24be .caf"),
    ("CAF, 8 bits", 2, "-c:a pcm_s8 .caf"),
    ("CAF, 32-bit floats", 2, "-c:a pcm_f32le .caf"),
    ("CAF, A-law", 2, "-c:a pcm_alaw .caf"),
    ("CAF, Apple Lossless, 16 bits", 2, "-c:a alac -sample_fmt s16p .caf"),
    ("CAF, Apple Lossless, 24 bits", 2, "-c:a alac -sample_fmt s32p .caf"),
    ("CAF, IMA 4:1", 2, "-c:a adpcm_ima_qt .caf"),
    ("AU, 16 bits", 2, "-c:a pcm_s16be .au"),
    ("AU, µ-law", 2, "-c:a pcm_mulaw .au"),
    ("MP3, constant bit rate", 2, "lame --quiet -b 128 {wav} {out}.mp3"),
    ("MP3, variable bit rate", 2, "lame --quiet -V 2 {wav} {out}.mp3"),
    ("MP3, variable, without a tag", 2, "lame --quiet -t -V 5 {wav} {out}.mp3"),
    ("two MP3s joined", 2, "lame --quiet -V 2 {wav} {out} && cat {out} {out} > {out}.mp3"),
    ("MP2", 2, "-c:a mp2 .mp2"),
    ("MP2, one channel", 1, "-c:a mp2 .mp2"),
    ("FLAC, 16 bits", 2, "-c:a flac -sample_fmt s16 .flac"),
    ("FLAC, 24 bits", 2, "-c:a flac -sample_fmt s32 .flac"),
    ("FLAC with an ID3v1 tag", 2,
     "ffmpeg -v error -y -i {wav} {out}.flac && printf 'TAG%125s' '' >> {out}.flac"),
    ("Ogg, FLAC", 2, "-c:a flac .ogg"),
    ("Ogg, Vorbis, one channel", 1, "-c:a libvorbis .ogg"),
    ("Ogg, Vorbis, two channels", 2, "-c:a libvorbis .ogg"),
    ("Ogg, Vorbis, three channels", 3, "-c:a libvorbis .ogg"),
    ("Ogg, Vorbis, six channels", 6, "-c:a libvorbis .ogg"),
    ("Ogg, Vorbis, eight channels", 8, "-c:a libvorbis .ogg"),
    ("Ogg, Opus", 2, "-c:a libopus .opus"),
    ("Ogg, Speex", 1, "-ar 16000 -c:a libspeex .spx"),
    ("M4A, AAC, one channel", 1, "-c:a aac .m4a"),
    ("M4A, AAC, two channels", 2, "-c:a aac .m4a"),
    ("M4A, AAC, six channels", 6, "-c:a aac .m4a"),
    ("M4A in fragments, AAC", 2, "-c:a aac -movflags frag_keyframe+empty_moov .m4a"),
    ("M4A, Apple Lossless", 2, "-c:a alac .m4a"),
    ("MP4, MP3", 2, "-c:a libmp3lame .mp4"),
    ("MP4, MP2", 2, "-c:a mp2 .mp4"),
    ("QuickTime, 16 bits", 2, "-c:a pcm_s16le .mov"),
    ("QuickTime, 24 bits, big-endian", 2, "-c:a pcm_s24be .mov"),
    ("QuickTime, 32-bit floats, big-endian", 2, "-c:a pcm_f32be .mov"),
    ("ADTS, AAC", 2, "-c:a aac .aac"),
    ("Matroska, AAC", 2, "-c:a aac .mka"),
    ("Matroska, 8 bits", 2, "-c:a pcm_u8 .mka"),
    ("Matroska, FLAC", 2, "-c:a flac .mka"),
    ("Matroska, Opus", 2, "-c:a libopus .mka"),
    ("WebM, Vorbis", 2, "-c:a libvorbis .webm"),
    ("WMA", 2, "-c:a wmav2 .wma"),
]

# Formats of which the first two thirds are decoded, too.
CUT = ["WAV, 24 bits", "AIFF, 16 bits", "CAF, 24 bits", "AU, 16 bits", "MP3, variable bit rate",
       "FLAC, 16 bits", "Ogg, Vorbis, two channels", "ADTS, AAC", "WebM, Vorbis"]


def write_sound(path: Path, channels: int) -> None:
    """Writes chords that differ between the channels, with some noise."""
    time = np.arange(RATE * SECONDS) / RATE
    random = np.random.default_rng(1)
    columns = []
    for channel in range(channels):
        tones = [np.sin(2 * np.pi * 110 * (channel + 2) * k * time) / k for k in range(1, 9)]
        decay = np.exp(-3 * (time % 0.5))
        columns.append(0.15 * decay * sum(tones) + 0.01 * random.standard_normal(time.size))
    soundfile.write(path, np.stack(columns, 1).clip(-1, 1), RATE, "PCM_24")


def encode(arguments: str, wav: Path, out: Path) -> Path:
    """Returns the encoded file."""
    if "{out}" in arguments:
        subprocess.run(arguments.format(wav=wav, out=out), shell=True, check=True)
        return next(path for path in sorted(out.parent.glob(out.name + ".*")))
    *options, suffix = arguments.split()
    path = out.with_suffix(suffix)
    command = ["ffmpeg", "-v", "error", "-y", "-i", wav, *options, "-strict", "-2", path]
    subprocess.run(command, check=True)
    return path


def here(program: str, file: Path, folder: Path) -> np.ndarray | None:
    raw = folder / "0.f32"
    raw.unlink(missing_ok=True)
    subprocess.run([program, "--raw", folder, file], check=True, capture_output=True)
    return np.fromfile(raw, "<f4") if raw.exists() else None


def ffmpeg(file: Path) -> np.ndarray | None:
    probe = ["ffprobe", "-v", "error", "-select_streams", "a:0", "-show_entries",
             "stream=channels", "-of", "csv=p=0", file]
    channels = subprocess.run(probe, capture_output=True, text=True).stdout.strip(" ,\n")
    if not channels.isdigit():
        return None
    command = ["ffmpeg", "-v", "error", "-i", file, "-c:a", "pcm_f32le", "-f", "f32le", "-"]
    raw = subprocess.run(command, capture_output=True).stdout
    frame = 4 * int(channels)
    samples = np.frombuffer(raw[: len(raw) // frame * frame], "<f4").reshape(-1, int(channels))
    return samples.mean(1) if len(samples) else None


def libsndfile(file: Path) -> np.ndarray | None:
    try:
        samples, _ = soundfile.read(file, always_2d=True, dtype="float32")
    except (RuntimeError, ValueError, MemoryError):
        return None
    return samples.mean(1) if len(samples) else None


def difference(ours: np.ndarray | None, others: list[np.ndarray | None]) -> str:
    """Returns the power of the smallest difference in dB, at a few alignments."""
    best = 0.0
    for theirs in others:
        if ours is None or theirs is None:
            continue
        for shift in {0, 1024, 1105, max(len(theirs) - len(ours), 0)}:
            count = min(len(ours), len(theirs) - shift)
            shifted = theirs[shift : shift + count]
            power = np.mean(np.square(shifted, dtype="f8"))
            error = np.mean(np.square(ours[:count] - shifted, dtype="f8"))
            best = min(best, 10 * np.log10(max(error / power, 1e-20)))
    return "" if best == 0 else "none" if best <= -150 else f"{best:.0f} dB"


def main() -> None:
    program = sys.argv[1]
    print("| format | here | ffmpeg | libsndfile | difference |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index, (title, channels, arguments) in enumerate(FORMATS):
            wav = folder / f"sound{channels}.wav"
            if not wav.exists():
                write_sound(wav, channels)
            file = encode(arguments, wav, folder / f"file{index}")
            files = [(title, file)]
            if title in CUT:
                bytes = file.read_bytes()
                cut = file.with_name("cut" + file.name)
                cut.write_bytes(bytes[: len(bytes) * 2 // 3])
                files.append((f"{title}, cut off", cut))
            for title, file in files:
                ours, theirs, third = here(program, file, folder), ffmpeg(file), libsndfile(file)
                results = (ours, theirs, third)
                cells = ["-" if found is None else f"{len(found):,}" for found in results]
                cells = [title, *cells, difference(ours, [theirs, third])]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
