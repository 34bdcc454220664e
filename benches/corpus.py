"""Files as pipelines make them, for benches/compression.py: the same bytes on each call.

Needs numpy, pyarrow, soundfile, scikit-learn and pillow. The sounds are a folder of short clips,
such as ESC-10 (https://github.com/karolpiczak/ESC-50).
"""

import io
import json
import pathlib
import pickle
import sqlite3
import struct
import sysconfig
import tarfile
import tempfile
import wave

import numpy
import pyarrow
import pyarrow.parquet
import soundfile
from PIL import Image
from sklearn.neural_network import MLPClassifier

GENRES = "blues classical country disco hiphop jazz metal pop reggae rock".split()


def clips(folder, count):
    """Returns the samples of `count` clips spread over the folder, with their labels."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".ogg", ".wav", ".flac"))
    chosen = paths[:: max(1, len(paths) // count)][:count]
    sounds = [soundfile.read(path, dtype="float32", always_2d=True) for path in chosen]
    labels = [path.parent.name for path in chosen]
    return [(samples.mean(axis=1), rate) for samples, rate in sounds], labels, chosen


def wav(samples, rate):
    """Encodes mono PCM of 16 bits."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((samples.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return out.getvalue()


def mel_bank(rate, n_fft=1024, bands=64):
    """Returns triangular filters of shape (bands, n_fft // 2 + 1), equally spaced in mel."""
    top = 2595 * numpy.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (numpy.linspace(0, top, bands + 2) / 2595) - 1)
    hertz = numpy.linspace(0, rate / 2, n_fft // 2 + 1)
    rise = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    return numpy.minimum(rise, fall).clip(0)


def spectrogram(samples, rate, n_fft=1024, hop=512):
    """Returns log-mel levels in dB, float32 of shape (bands, frames), 80 dB below the maximum."""
    samples, rate = samples[::2], rate // 2
    frames = numpy.lib.stride_tricks.sliding_window_view(numpy.pad(samples, n_fft // 2), n_fft)
    power = abs(numpy.fft.rfft(frames[::hop] * numpy.hanning(n_fft))) ** 2
    level = 10 * numpy.log10(numpy.maximum(mel_bank(rate) @ power.T, 1e-10))
    return numpy.maximum(level, level.max() - 80).astype("<f4")


def npy(array):
    out = io.BytesIO()
    numpy.save(out, array)
    return out.getvalue()


def png(levels):
    """Draws a spectrogram of 256 × 128 pixels, with a palette."""
    scaled = (levels - levels.min()) / max(float(numpy.ptp(levels)), 1e-9) * 255
    image = Image.fromarray(scaled.astype(numpy.uint8)[::-1]).resize((256, 128))
    image.putpalette(bytes(channel for i in range(256) for channel in (i, i // 2, 255 - i)))
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def safetensors(tensors):
    """Writes named arrays one after the other, behind a header in JSON."""
    header, offset = {}, 0
    for name, array in tensors.items():
        end = offset + array.nbytes
        kind = {"float32": "F32", "float16": "F16", "uint16": "BF16"}[str(array.dtype)]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    parts = [struct.pack("<Q", len(text)), text, *(a.tobytes() for a in tensors.values())]
    return b"".join(parts)


def train(levels, labels, hidden, epochs):
    """Trains a network on spectrograms; yields its weights and the optimizer's state by epoch."""
    width = 100
    inputs = numpy.stack([numpy.resize(level, (64, width)).ravel() for level in levels])
    inputs = ((inputs - inputs.mean()) / inputs.std()).astype(numpy.float32)
    network = MLPClassifier(hidden, random_state=1, batch_size=32)
    for _ in range(epochs):
        network.partial_fit(inputs, labels, classes=sorted(set(labels)))
        weights = {f"layer{i}.weight": w.copy() for i, w in enumerate(network.coefs_)}
        adam = network._optimizer
        state = {f"adam{i}": numpy.array(v) for i, v in enumerate(adam.ms + adam.vs)}
        yield weights, state, network


def table(rows, seed=7):
    """Returns columns of a table of measurements: names, times, numbers and categories."""
    random = numpy.random.default_rng(seed)
    start = numpy.datetime64("2026-03-01T00:00:00")
    walk = numpy.cumsum(random.normal(0, 0.02, rows))
    return {
        "id": numpy.arange(rows),
        "time": (start + numpy.cumsum(random.integers(1, 90, rows))).astype(str),
        "sensor": random.choice([f"sensor-{i:03}" for i in range(200)], rows),
        "genre": random.choice(GENRES, rows),
        "temperature": (20 + walk).round(2),
        "loss": random.exponential(0.5, rows).round(6),
        "score": random.normal(0, 1, rows).round(6),
        "count": random.poisson(12, rows),
        "valid": random.random(rows) < 0.97,
    }


def csv_lines(columns):
    rows = zip(*(column.tolist() for column in columns.values()))
    head = ",".join(columns) + "\n"
    return head, [",".join(map(str, row)) + "\n" for row in rows]


def csv(columns):
    head, lines = csv_lines(columns)
    return (head + "".join(lines)).encode()


def json_lines(rows, seed=3):
    """Returns predictions with ten probabilities each."""
    random = numpy.random.default_rng(seed)
    shares = random.dirichlet([0.3] * 10, rows)
    lines = []
    for i, share in enumerate(shares):
        genre = GENRES[int(share.argmax())]
        probabilities = dict(zip(GENRES, share.round(6).tolist()))
        clip = f"data/audio/{genre}/{genre}.{i:05}.wav"
        lines.append(json.dumps({"clip": clip, "genre": genre, "probabilities": probabilities}))
    return ("\n".join(lines) + "\n").encode()


def parquet(columns, codec):
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), out, compression=codec)
    return out.getvalue()


def log(lines, seed=5):
    """Returns the log of a training: times, levels, losses, paths."""
    random = numpy.random.default_rng(seed)
    loss, text = 2.3, []
    for step in range(lines):
        loss = max(0.02, loss * 0.9999 + random.normal(0, 0.01))
        when = f"2026-03-01 {step // 3600 % 24:02}:{step // 60 % 60:02}:{step % 60:02}"
        milliseconds = int(random.integers(1000))
        rate, speed = 2e-3 * 0.9999**step, random.normal(410, 9)
        text.append(
            f"{when},{milliseconds:03} INFO train.loop: epoch {step // 500} step {step} "
            f"loss {loss:.4f} lr {rate:.3e} {speed:.1f} it/s\n"
        )
        if step % 500 == 499:
            text.append(f"{when} WARNING checkpoint: wrote models/epoch-{step // 500:03}.bin\n")
    return "".join(text).encode()


def database(columns, edit=()):
    """Returns the file of an SQLite database, after the statements of `edit`."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "db"
        base = sqlite3.connect(path)
        base.execute(f"CREATE TABLE t ({', '.join(columns)})")
        marks = ", ".join("?" * len(columns))
        rows = zip(*(column.tolist() for column in columns.values()))
        base.executemany(f"INSERT INTO t VALUES ({marks})", rows)
        base.execute("CREATE INDEX by_sensor ON t(sensor)")
        base.commit()
        for statement in edit:
            base.execute(statement)
        base.commit()
        base.close()
        return path.read_bytes()


def sources(limit):
    """Returns Python's own modules, up to `limit` bytes."""
    found, total = [], 0
    for path in sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py")):
        found.append((path.name, path.read_bytes()))
        total += path.stat().st_size
        if total > limit:
            break
    return found


def tar(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def bfloat16(array):
    return (array.view("<u4") >> 16).astype("<u2")


def kinds(audio, models=()):
    """Returns {kind: [content of a file, …]}, about 12 MB of each where that is possible."""
    sounds, labels, paths = clips(audio, 200)
    levels = [spectrogram(*sound) for sound in sounds]
    *_, (weights, state, network) = train(levels, labels, (512, 256), 8)
    columns = table(120_000)
    halves = {name: array.astype("<f2") for name, array in weights.items()}
    brains = {name: bfloat16(array) for name, array in weights.items()}
    zipped = io.BytesIO()
    numpy.savez_compressed(zipped, *levels)
    found = {
        "spectrogram, float32 .npy": [npy(level) for level in levels],
        "spectrogram, uint8 .npy": [npy((level * 2).astype(numpy.int8)) for level in levels],
        "WAV, 16 bits": [wav(*sound) for sound in sounds[::7]],
        "Ogg Vorbis": [path.read_bytes() for path in paths],
        "PNG": [png(level) for level in levels],
        "model, float32": [safetensors(weights)],
        "model, bfloat16": [safetensors(brains)],
        "model, float16": [safetensors(halves)],
        "checkpoint with Adam's state": [safetensors(weights | state)],
        "pickle of a model": [pickle.dumps(network)],
        "CSV": [csv(columns)],
        "JSON lines": [json_lines(40_000)],
        "log": [log(90_000)],
        "Parquet, snappy": [parquet(columns, "snappy")],
        "Parquet, zstd": [parquet(columns, "zstd")],
        "Parquet, uncompressed": [parquet(columns, "none")],
        "SQLite": [database(columns)],
        "source code": [content for _, content in sources(6 << 20)],
        ".npz, compressed": [zipped.getvalue()],
    }
    for model in models:
        found[f"model, {model.name}"] = [model.read_bytes()]
    return found


def trace(seed):
    """Returns a text of the size and shape of a stage's trace: paths and digests."""
    random = numpy.random.default_rng(seed)
    lines = [f"cmd python3 features.py --clip data/audio/{GENRES[seed % 10]}/{seed:05}.wav"]
    for path in ("features.py", f"data/audio/{GENRES[seed % 10]}/{seed:05}.wav", "out.npy"):
        lines.append(f"dep {path} file {random.bytes(32).hex()}")
    lines.append(f"param features.n_mels = 64\nparam features.hop = 512\ntime {1.7e9 + seed:.0f}")
    return ("\n".join(lines) + "\n").encode()
