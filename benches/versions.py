"""Pairs of versions of one file, for benches/compression.py: the same bytes on each call."""

import numpy

import corpus


def csvs():
    """Yields versions of a CSV of about 64 MB."""
    rows = 850_000
    columns = corpus.table(rows)
    head, lines = corpus.csv_lines(columns)
    _, others = corpus.csv_lines(corpus.table(rows // 100, seed=8))
    old = (head + "".join(lines)).encode()

    def text(parts):
        return (head + "".join(parts)).encode()

    yield "CSV, 1 % of rows appended", old, text(lines + others)
    middle = rows // 3
    yield (
        "CSV, 1 % of rows inserted at one place",
        old,
        text(lines[:middle] + others + lines[middle:]),
    )
    for share, count in (("0.01", rows // 10_000), ("1", rows // 100)):
        spread = list(lines)
        for i, line in enumerate(others[:count]):
            spread[i * (rows // count)] += line
        yield f"CSV, {share} % of rows inserted, spread", old, text(spread)
    yield (
        "CSV, sorted by another column",
        old,
        text([lines[i] for i in numpy.argsort(columns["score"])]),
    )
    widened = [line[:-1] + ",ok\n" for line in lines]
    yield "CSV, a column added", old, text(widened)


def models(audio):
    """Yields versions of a model of about 64 MB."""
    sounds, labels, _ = corpus.clips(audio, 200)
    levels = [corpus.spectrogram(*sound) for sound in sounds]
    epochs = [weights for weights, *_ in corpus.train(levels, labels, (2048, 1024), 5)]
    before, after = epochs[-2:]
    yield "model, one more epoch", corpus.safetensors(before), corpus.safetensors(after)
    frozen = before | {"layer2.weight": after["layer2.weight"]}
    yield (
        "model, fine-tuned, all but the head frozen",
        corpus.safetensors(before),
        corpus.safetensors(frozen),
    )
    partly = before | {name: after[name] for name in ("layer1.weight", "layer2.weight")}
    yield (
        "model, fine-tuned, first layer frozen",
        corpus.safetensors(before),
        corpus.safetensors(partly),
    )


def parquets():
    """Yields versions of a Parquet file of about 40 MB."""
    rows = 1_500_000
    columns = corpus.table(rows)
    random = numpy.random.default_rng(11)
    spread = random.random(rows) < 0.01
    block = numpy.arange(rows) // (rows // 100) == 40
    for name, chosen in (("spread", spread), ("in one block", block)):
        changed = columns | {"loss": numpy.where(chosen, columns["loss"] + 1, columns["loss"])}
        for codec in ("snappy", "zstd"):
            yield (
                f"Parquet ({codec}), 1 % of one column changed, {name}",
                corpus.parquet(columns, codec),
                corpus.parquet(changed, codec),
            )
    longer = {
        name: numpy.concatenate([old, new])
        for (name, old), new in zip(columns.items(), corpus.table(rows // 100, seed=8).values())
    }
    yield (
        "Parquet (snappy), 1 % of rows appended",
        corpus.parquet(columns, "snappy"),
        corpus.parquet(longer, "snappy"),
    )


def sounds(audio):
    pieces, _, _ = corpus.clips(audio, 150)
    whole = numpy.concatenate([samples for samples, _ in pieces])
    rate = pieces[0][1]
    yield (
        "WAV, first 1.5 s cut off",
        corpus.wav(whole, rate),
        corpus.wav(whole[int(1.5 * rate) :], rate),
    )
    yield "WAV, 3 dB quieter", corpus.wav(whole, rate), corpus.wav(whole * 0.7079, rate)


def archives(audio):
    """Yields versions of a tar of spectrograms and modules, of about 24 MB."""
    pieces, _, _ = corpus.clips(audio, 350)
    files = corpus.sources(5 << 20)
    files += [(f"{i}.npy", corpus.npy(corpus.spectrogram(*p))) for i, p in enumerate(pieces)]
    changed = list(files)
    changed[20] = (files[20][0], b"# one line more\n" * 200 + files[20][1])
    yield "tar, one file of many changed", corpus.tar(files), corpus.tar(changed)


def databases():
    """Yields versions of an SQLite file of about 40 MB."""
    columns = corpus.table(400_000)
    old = corpus.database(columns)
    edits = {
        "1 % of rows changed, spread": "UPDATE t SET score = score + 1 WHERE id % 100 = 0",
        "1 % of rows changed, in one block": "UPDATE t SET score = score + 1 "
        "WHERE id BETWEEN 200000 AND 204000",
        "1 % of rows deleted, in one block": "DELETE FROM t WHERE id BETWEEN 200000 AND 204000",
    }
    for name, statement in edits.items():
        yield f"SQLite, {name}", old, corpus.database(columns, [statement])


def logs():
    old = corpus.log(400_000)
    yield "log, 10 % appended", old, corpus.log(440_000)


def pairs(audio):
    """Yields (name, former content, present content)."""
    yield from csvs()
    yield from models(audio)
    yield from parquets()
    yield from sounds(audio)
    yield from archives(audio)
    yield from databases()
    yield from logs()
