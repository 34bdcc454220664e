"""The peers of against_python.rs: librosa and torchaudio on the same files, one thread.

Reads lines `PEER PART` from stdin and answers each with the CPU seconds it took, or with `-` if the
peer is not installed. `PEER` is librosa or torchaudio; `PART` is decode, resample, mel or all. The
files are the arguments.
"""

import os
import sys
import time

for library in ["OMP", "MKL", "OPENBLAS", "NUMBA"]:
    os.environ[f"{library}_NUM_THREADS"] = "1"

import numpy as np
import soundfile

RATE, N_FFT, HOP, N_MELS = 22050, 1024, 512, 128
files = sys.argv[1:]


def decode(file):
    """Decodes to the mean of the channels in float32.

    This is what librosa.load does, and what torchaudio.load did with its soundfile backend.
    """
    samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    return samples.mean(axis=1) if samples.shape[1] > 1 else samples[:, 0], rate


def librosa_peer():
    import librosa

    def resample(samples, rate):
        return librosa.resample(samples, orig_sr=rate, target_sr=RATE)

    def mel(samples):
        power = librosa.feature.melspectrogram(
            y=samples, sr=RATE, n_fft=N_FFT, hop_length=HOP, n_mels=N_MELS
        )
        return librosa.power_to_db(power)

    return resample, mel


def torchaudio_peer():
    import torch

    try:
        import torchaudio
    except RuntimeError:
        # Builds for different CUDA versions refuse each other, which is irrelevant on the CPU.
        torch.version.cuda = None
        import torchaudio

    torch.set_num_threads(1)
    transforms = torchaudio.transforms
    power = transforms.MelSpectrogram(RATE, n_fft=N_FFT, hop_length=HOP, n_mels=N_MELS)
    to_db = transforms.AmplitudeToDB("power", top_db=80.0)
    resamplers = {}

    def resample(samples, rate):
        if rate == RATE:
            return torch.from_numpy(samples)
        if rate not in resamplers:
            resamplers[rate] = transforms.Resample(rate, RATE)
        return resamplers[rate](torch.from_numpy(samples))

    return resample, lambda samples: to_db(power(samples))


def passes(peer):
    """Returns a function per part that runs over all files; earlier parts run once, here."""
    resample, mel = peer()
    decoded = [decode(file) for file in files]
    resampled = [resample(*one) for one in decoded]
    return {
        "decode": lambda: [decode(file) for file in files],
        "resample": lambda: [resample(*one) for one in decoded],
        "mel": lambda: [mel(one) for one in resampled],
        "all": lambda: [mel(resample(*decode(file))) for file in files],
    }


peers = {}
for name, peer in [("librosa", librosa_peer), ("torchaudio", torchaudio_peer)]:
    try:
        peers[name] = passes(peer)
        for part in peers[name].values():
            part()
    except ImportError as error:
        print(f"{name} is not installed: {error}", file=sys.stderr)
for line in sys.stdin:
    name, part = line.split()
    if name not in peers:
        print("-", flush=True)
        continue
    before = time.process_time()
    peers[name][part]()
    print(time.process_time() - before, flush=True)
