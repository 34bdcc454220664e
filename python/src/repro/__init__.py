"""Params in, metrics out: the Python side of a ``repro`` pipeline.

A stage of a pipeline reads its params and reports what it finds::

    import repro

    params = repro.params()
    for epoch in repro.track(range(params["epochs"])):
        loss = train_one_epoch(params["learning_rate"])
        repro.log_metric("loss", loss)
    repro.log_artifact("plots/loss.png")

The same script runs by hand, outside a pipeline: the params come from the ``pipeline.toml`` above
the current directory, and reports are printed to stderr. ``REPRO_EVENTS=/dev/null`` silences them.

A report that cannot be written is a warning and never stops the script. All functions can be
called from any thread, and after a fork.
"""

from ._items import Item, items
from ._params import params
from ._report import Number, log_artifact, log_metric, log_metrics, progress, track

__all__ = [
    "Item",
    "Number",
    "items",
    "log_artifact",
    "log_metric",
    "log_metrics",
    "params",
    "progress",
    "track",
]
