"""Logs of runs that never ran: populations of margins, and what a trainer prints."""

import numpy as np

ORDER = ("chosen", "rejected", "accuracies", "margins")


def row_of(margin, common, beta=0.1, digits=4, logps=-280.0):
    """A printed row of pairs with these margins and mean rewards of the two sides."""
    chosen, rejected = common + margin / 2, common - margin / 2
    row = {
        "loss": np.logaddexp(0, -margin).mean(),
        "rewards/chosen": chosen.mean(),
        "rewards/rejected": rejected.mean(),
        "rewards/accuracies": (margin > 0).mean(),
        "rewards/margins": margin.mean(),
        "logps/chosen": (logps + chosen / beta).mean(),
        "logps/rejected": (logps - 20 + rejected / beta).mean(),
    }
    return {name: round(float(value), digits) for name, value in row.items()}


def run_of(
    seed,
    rows=40,
    pairs=32,
    margin=1.0,
    spread=0.8,
    drift=-0.3,
    speed=4.0,
    lr=5e-7,
    epochs=1.0,
    every=10,
    flipped=0.0,
):
    """Rows of a run from ln 2 to a mean margin, with noise as in so many pairs.

    margin, spread: of the margins at the end; drift: of both rewards
    flipped: the share of labels that are wrong
    """
    rng = np.random.default_rng(seed)
    made = []
    for number in range(rows):
        done = number / (rows - 1)
        learned = 1 - np.exp(-speed * done)
        margins = rng.normal(margin * learned, spread * learned + 1e-12, pairs)
        margins = np.where(rng.random(pairs) < flipped, -margins, margins)
        common = rng.normal(drift * learned, 0.3 * spread * learned + 1e-12, pairs)
        if not number:
            margins, common = 0 * margins, 0 * common
        row = row_of(margins, common, logps=rng.normal(-280, 10, pairs))
        row |= {"grad_norm": round(float(abs(rng.normal(20, 4))), 4)}
        row |= {"learning_rate": lr, "epoch": round(done * epochs, 3)}
        made.append(row | {"step": max(1, number * every)})
    return made


def fixed(rows, **columns):
    """The same rows with columns replaced: by a value, or by a function of the row."""
    return [
        row | {n: v(row) if callable(v) else v for n, v in columns.items()}
        for row in rows
    ]


def table(names, *rows):
    """Rows as dicts, with `names` of the metrics, separated by blanks."""
    return [dict(zip(names.split(), row, strict=True)) for row in rows]
