#!/usr/bin/env python3
"""Measures what compression and deduplication save: python3 benches/compression.py [PART…]

    python3 benches/compression.py --audio ESC-10                all parts, minutes
    python3 benches/compression.py --audio ESC-10 codec sampler  two of them
    python3 benches/compression.py --audio ESC-10 --model model.onnx codec

codec     ratio and speed of zstd by kind of file and level
sampler   rules that choose between "stored" and zstd, beside a perfect choice
small     many small objects: compressed one by one, with a dictionary, or together
dedup     second versions of files: whole objects, fixed segments, content-defined chunks

Needs rustc, and `pip install zstandard numpy pyarrow soundfile scikit-learn pillow`. Speeds are
megabytes (1e6 bytes) of raw content per second of CPU time on one core; the best of three.
"""

import argparse
import hashlib
import os
import pathlib
import subprocess
import tempfile
import time

import zstandard

import corpus
import versions

PACK = 16 << 20
LEVELS = (1, 3, 9, 19)
LEVEL = 1
HERE = pathlib.Path(__file__).resolve().parent


def timed(work, repeat=3):
    """Returns the result of `work` and the least CPU seconds it took."""
    best = float("inf")
    for _ in range(repeat):
        began = time.process_time()
        result = work()
        best = min(best, time.process_time() - began)
    return result, max(best, 1e-9)


def segments(contents, length=4 << 20):
    """Cuts every content into pieces of at most `length` bytes."""
    return [c[at : at + length] for c in contents for at in range(0, max(1, len(c)), length)]


def compress(blobs, level):
    tool = zstandard.ZstdCompressor(level=level)
    return [tool.compress(blob) for blob in blobs]


def sample_of(blob, size, places):
    """Returns up to `places` pieces of `size` bytes, spread evenly from the start to the end."""
    if len(blob) <= size * places:
        return blob
    step = (len(blob) - size) // max(1, places - 1)
    return b"".join(blob[i * step : i * step + size] for i in range(places))


def codec(args):
    print("\n| kind | MB | " + " | ".join(f"level {level}" for level in LEVELS) + " | unpack |")
    print("|---|---|" + "---|" * (len(LEVELS) + 1))
    for kind, contents in args.kinds.items():
        blobs, cells = segments(contents), []
        for level in LEVELS:
            # The slow level is measured on a part.
            part = blobs if level < 19 else [blob[: 4 << 20] for blob in blobs[:60]]
            total = sum(map(len, part))
            packed, seconds = timed(lambda: compress(part, level), 3 if level < 9 else 1)
            ratio = sum(map(len, packed)) / total
            cells.append(f"{ratio:.3f}, {total / seconds / 1e6:.0f} MB/s")
            if level == LEVEL:
                unpack = zstandard.ZstdDecompressor()
                _, back = timed(lambda: [unpack.decompress(blob) for blob in packed])
                speed = f"{total / back / 1e6:.0f} MB/s"
        size = sum(map(len, contents)) / 1e6
        print(f"| {kind} | {size:.1f} | {' | '.join(cells)} | {speed} |", flush=True)


def rules():
    """Returns {name: does this blob look compressible?}, for blobs of any size."""
    found = {"never": lambda blob: False, "always": lambda blob: True}

    def rule(size, places, level, limit):
        tool = zstandard.ZstdCompressor(level=level)

        def looks(blob):
            part = sample_of(blob, size, places)
            return len(tool.compress(part)) < limit * len(part)

        return looks

    for size, places, level, limit in [
        (64 << 10, 1, 1, 0.95),
        (64 << 10, 2, 1, 0.95),
        (32 << 10, 4, 1, 0.95),
        (16 << 10, 8, 1, 0.93),
        (16 << 10, 8, 1, 0.95),
        (16 << 10, 8, -1, 0.95),
    ]:
        name = f"{places} × {size >> 10} KiB, level {level}, below {limit}"
        found[name] = rule(size, places, level, limit)
    return found


def shards(kinds):
    """Returns long files of each kind, and some that mislead a sample."""
    random = hashlib.shake_128(b"noise").digest(8 << 20)
    text = b"".join(kinds["CSV"])[: 2 << 20]
    found = {kind: [b"".join(contents)] for kind, contents in kinds.items()}
    found["text in front"] = [text[: 256 << 10] + random]
    found["text behind"] = [random + text]
    found["a hole"] = [random[: 4 << 20] + bytes(4 << 20) + random[4 << 20 :]]
    found["PNG and text"] = [b"".join(kinds["PNG"]) + b"".join(kinds["source code"])]
    return found


def sampler(args):
    """Compares rules by the bytes they send and the CPU time they take."""
    tool = zstandard.ZstdCompressor(level=LEVEL)
    whole = 256 << 10
    # Short blobs are compressed without a sample, so they say nothing about the rules.
    blobs = [
        (kind, blob)
        for kind, contents in shards(args.kinds).items()
        for length in (1 << 20, 4 << 20)
        for blob in segments(contents, length)
        if len(blob) > whole
    ]
    total = sum(len(blob) for _, blob in blobs)
    packed = [len(tool.compress(blob)) for _, blob in blobs]
    worth = [size < args.worth * len(blob) for size, (_, blob) in zip(packed, blobs)]
    least = sum(p if w else len(b) for p, w, (_, b) in zip(packed, worth, blobs))
    print(
        f"\n{len(blobs)} blobs of 1 and 4 MiB, {total / 1e6:.0f} MB; {sum(worth)} of them shrink "
        f"below {args.worth}; a perfect choice sends {least / 1e6:.1f} MB"
    )
    print(
        "| sample | sends more than a perfect choice | stored, though it shrinks "
        "| compressed for nothing | time of the sample | with zstd |"
    )
    print("|---|---|---|---|---|---|")
    for name, looks in rules().items():
        chosen, spent = timed(lambda: [looks(blob) for _, blob in blobs])
        todo = [blob for (_, blob), yes in zip(blobs, chosen) if yes]
        _, work = timed(lambda: compress(todo, LEVEL), 1)
        # A blob that was compressed for nothing is stored after all: that costs time only.
        sent = [p if c and w else len(b) for p, c, w, (_, b) in zip(packed, chosen, worth, blobs)]
        missed = sum(w and not c for c, w in zip(chosen, worth))
        futile = sum(c and not w for c, w in zip(chosen, worth))
        print(
            f"| {name} | {100 * (sum(sent) / least - 1):.2f} % | {missed} | {futile} "
            f"| {spent * 1e3:.0f} ms | {(spent + work) * 1e3:.0f} ms |",
            flush=True,
        )


def small(args):
    """Compares ways to compress 1,000 similar objects of some kilobytes."""
    print("\n| 1,000 objects | bytes each | one by one | with a dictionary of 16 KiB | together |")
    print("|---|---|---|---|---|")
    rows = {
        "JSON": [corpus.json_lines(n, seed) for seed in range(1000) for n in [4]],
        "CSV": [corpus.csv(corpus.table(60, seed)) for seed in range(1000)],
        "traces": [corpus.trace(seed) for seed in range(1000)],
        "spectrograms": args.kinds["spectrogram, float32 .npy"],
    }
    for name, blobs in rows.items():
        total = sum(map(len, blobs))
        words = zstandard.train_dictionary(16 << 10, blobs[::4])
        known = zstandard.ZstdCompressor(level=LEVEL, dict_data=words)
        apart = sum(map(len, compress(blobs, LEVEL)))
        shared = sum(len(known.compress(blob)) for blob in blobs) + len(words)
        (whole,) = compress([b"".join(blobs)], LEVEL)
        cells = " | ".join(f"{size / total:.3f}" for size in (apart, shared, len(whole)))
        print(f"| {name} | {total // len(blobs)} | {cells} |", flush=True)


AVERAGES = {"16 KiB": 16 << 10, "64 KiB": 64 << 10, "256 KiB": 256 << 10, "1 MiB": 1 << 20}


def chunked(program, content):
    """Returns the chunks of a content and the CPU seconds that cutting took, by average."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        file.write(content)
        file.flush()
        words = [program, file.name, *map(str, AVERAGES.values())]
        lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    found = []
    for line in lines.splitlines():
        nanoseconds, *lengths = map(int, line.split())
        ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
        starts = [0, *ends]
        found.append(([content[a:b] for a, b in zip(starts, ends)], nanoseconds / 1e9))
    return found


def to_send(old, new):
    """Returns the bytes of `new` that `old` lacks, before and after compression."""
    seen = {hashlib.blake2b(blob, digest_size=16).digest() for blob in old}
    raw, packed, tool = 0, 0, zstandard.ZstdCompressor(level=LEVEL)
    for blob in new:
        digest = hashlib.blake2b(blob, digest_size=16).digest()
        if digest not in seen:
            seen.add(digest)
            raw += len(blob)
            packed += min(len(blob), len(tool.compress(blob)))
    return raw, packed


def dedup(args):
    """Prints how much of a second version has to be sent, by the way it is cut."""
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "chunks")
        source = HERE / "chunks.rs"
        subprocess.run(["rustc", "--edition=2024", "-O", "-o", program, source], check=True)
        columns = ["whole", "16 MiB", "1 MiB", *AVERAGES]
        print("\nMB to send, after zstd; fixed segments, then content-defined ones by average")
        print("| second version | MB | " + " | ".join(columns) + " |")
        print("|---|---|" + "---|" * len(columns))
        counts, speeds = [0] * len(AVERAGES), []
        for name, old, new in versions.pairs(args.audio):
            fixed = [(segments([old], n), segments([new], n)) for n in (1 << 40, PACK, 1 << 20)]
            olds, news = chunked(program, old), chunked(program, new)
            cut = [(before, after) for (before, _), (after, _) in zip(olds, news)]
            sent = [to_send(before, after)[1] / 1e6 for before, after in fixed + cut]
            cells = " | ".join(f"{size:.1f}" for size in sent)
            print(f"| {name} | {len(new) / 1e6:.0f} | {cells} |", flush=True)
            counts = [count + len(after) for count, (after, _) in zip(counts, news)]
            speeds.append([len(new) / seconds / 1e9 for _, seconds in news])
        for name, count, *speed in zip(AVERAGES, counts, *speeds):
            middle = sorted(speed)[len(speed) // 2]
            print(f"{name}: {count} segments in all, cut at {middle:.2f} GB/s")


def main():
    parts = {"codec": codec, "sampler": sampler, "small": small, "dedup": dedup}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="*", choices=[*parts, []])
    parser.add_argument("--audio", type=pathlib.Path, required=True, help="folder of short clips")
    parser.add_argument("--model", type=pathlib.Path, action="append", default=[])
    parser.add_argument("--worth", type=float, default=0.95, help="ratio below which zstd is used")
    args = parser.parse_args()
    names = args.part or list(parts)
    if set(names) - {"dedup"}:
        args.kinds = corpus.kinds(args.audio, args.model)
    for name in names:
        parts[name](args)


if __name__ == "__main__":
    main()
