"""Chapter 09: what a training job holds, and how long it takes."""

from collections.abc import Callable
from dataclasses import replace

import torch
from matplotlib.axes import Axes

from course_lib.plots.marks import THIN, dot, name, number
from course_lib.plots.palette import DOTS, DOTTED, FAINT, INK, POLICY, QUIET
from course_lib.plots.style import Scene, panel
from course_lib.production.flops import training_time
from course_lib.production.sizing import MODELS, Job, backward_peak, training_memory

GB = 1e9
LEAST = 1e-5  # hours
TICKS = {1 / 3600: "1 s", 1 / 60: "1 min", 1: "1 h", 24: "1 day", 720: "1 month"}
CARDS = (24, 80)  # GB of memory that devices commonly have
METHODS = {  # what each way of training changes in a job
    "full, reference resident": {},
    "full, precomputed": {"reference": "precomputed"},
    "LoRA": {"reference": "adapter off", "rank": 16},
    "LoRA on 4 bits": {"reference": "adapter off", "rank": 16, "frozen_bits": 4.127},
}
PARTS = {
    "weights": "weights",
    "optimiser": "Adam’s state, float32 weights",
    "reference": "reference",
    "gradients": "gradients",
    "activations": "activations",
    "logits": "logits and their gradient",
}


def memory_of_a_job() -> Scene:
    """What one device holds, part by part, and the most at once.

    sliders: model, of MODELS; method, of METHODS; tokens of a prompt, and as many of
    each answer; pairs at a time; rank of LoRA; checkpointing, "off" or "on"; devices,
    among which FSDP splits what can be split
    """

    def draw(
        axis: Axes,
        model: str,
        method: str,
        tokens: int,
        pairs: int,
        rank: int,
        checkpointing: str,
        devices: int,
    ) -> str:
        changed = dict(METHODS[method])
        if "rank" in changed:
            changed["rank"] = rank
        many = {"devices": devices, "sharded": devices > 1}
        job = Job(MODELS[model], pairs, tokens, tokens, **changed, **many)
        found = training_memory(replace(job, checkpointing=checkpointing == "on"))
        peak = found.peak / GB
        for row, part in enumerate(PARTS):
            _held(axis, row, getattr(found, part) / GB)
        dot(axis, peak, len(PARTS), "exact", ms=9)
        name(axis, peak, len(PARTS), _gb(peak), INK, at=(9, 0), bold=True, halo=True)
        fits = [card for card in CARDS if peak <= 0.9 * card]
        room = f"It fits a card of {fits[0]} GB" if fits else "It fits no single card"
        read = f"{pairs} pair{'s' * (pairs > 1)} at a time"
        return (
            f"{model}, {method}, {read}, {_lengths(tokens)}, on {devices} "
            f"device{'s' * (devices > 1)}: at most {_gb(peak)} at once on each. {room} "
            f"with a tenth to spare."
        )

    return Scene.of(
        draw,
        panel(
            "Memory of each device",
            ("GB", 0.01, 60_000),
            (len(PARTS) + 0.6, -0.6),
            ynames=(*PARTS.values(), "the most at once"),
            xscale="log",
            xticks={gb: number(gb, ",g") for gb in (0.01, 0.1, 1, 10, 100, 1000)},
            grid=False,
        ),
        says="What is trained costs 16 bytes a parameter; what is read only, 2 or less",
        shows="Each part at its own peak. Activations and gradients do not peak at the "
        "same moment,\n"
        "so the most at once (◆) is less than the sum. Dotted: cards of 24 and 80 GB.",
        still=_cards,
        height=4.2,
    )


def _held(axis: Axes, row: int, gigabytes: float):
    """A part's line, from where it can be seen."""
    if gigabytes >= 0.01:
        axis.plot([0.01, gigabytes], [row, row], lw=1.2, **DOTTED)
        dot(axis, gigabytes, row, "exact", color=INK, marker="o", ms=8)
    name(axis, max(gigabytes, 0.01), row, _gb(gigabytes), QUIET, at=(9, 0), halo=True)


def _cards(axis: Axes):
    """What cards hold, and a line above the most at once."""
    axis.axhline(len(PARTS) - 0.5, color=FAINT, lw=1)
    for card in CARDS:
        axis.axvline(card, lw=1, **DOTTED)
        name(axis, card, -0.6, f"{card}", QUIET, at=(0, 7), ha="center")


def _lengths(tokens: int) -> str:
    return f"the prompt and each answer of {number(tokens, ',d')} tokens"


def _gb(value: float) -> str:
    if value == 0:
        return "none"
    if value < 0.01:
        return f"< 0.01{THIN}GB"
    return number(value, ".2f" if value < 10 else ",.0f") + f"{THIN}GB"


def memory_in_a_step(peak: Callable = backward_peak) -> Scene:
    """What a backward pass holds, from the last block to the first.

    peak: peak(activations, gradients) of shape (batch,), to mark
    slider: tokens that are read at a time, a multiple of 4 from 64 to 1,024
    """
    size = MODELS["SmolLM2 135M"]
    block = sum(reads * writes for reads, writes in size.matrices.values())
    count = size.layers

    def draw(axis: Axes, tokens: float) -> str:
        tokens = round(tokens)
        held = training_memory(Job(size, 1, tokens // 4, tokens // 4))
        each = held.activations / count
        activations = torch.full((1, count), each / GB, dtype=torch.float64)
        gradients = torch.full_like(activations, 2 * block / GB)
        kept = activations.cumsum(-1).flip(-1)[0]
        made = gradients.flip(-1).cumsum(-1)[0]
        steps = torch.arange(1, count + 1)
        axis.fill_between(steps, 0, made, step="mid", color=POLICY, alpha=0.35, lw=0)
        axis.fill_between(steps, made, made + kept, step="mid", color=FAINT, lw=0)
        axis.step(steps, made + kept, where="mid", color=INK, lw=1.6)
        most = float(peak(activations, gradients)[0])
        axis.axhline(most, color=INK, lw=1.2, ls=DOTS)
        sums = float(activations.sum() + gradients.sum())
        name(axis, count, float(made[-1]) / 2, "gradients", POLICY, at=(-6, 0))
        low = float(kept[0]) < 0.1
        at, height = ((6, 11), float(kept[0])) if low else ((6, 0), float(kept[0]) / 2)
        name(axis, 1, height, "activations", QUIET, at=at)
        name(axis, count, most, "the most at once", INK, at=(-2, 8))
        return (
            f"With {number(tokens, ',d')} tokens the pass holds at most "
            f"{number(most, '.3f')} GB of both; the two sums together are "
            f"{number(sums, '.3f')} GB."
        )

    return Scene.of(
        draw,
        panel(
            "Activations and gradients, GB",
            ("block that the backward pass is in", 0.5, count + 0.5),
            (0, 1),
            xticks={1: "30", 10: "21", 20: "11", 30: "1"},
        ),
        says="Activations go as gradients come",
        shows="SmolLM2 135M, 30 blocks, bfloat16. A block’s activations are freed when "
        "its\ngradients are made, so the two sums are never there together.",
    )


def hours_of_a_job() -> Scene:
    """How long a run takes, by the way of training.

    sliders: model, of MODELS; thousands of pairs in the data; tokens of a prompt, and
    as many of each answer; epochs; devices, of 1e15 operations a second at most; mfu,
    the share of these that is reached
    """

    def draw(
        axis: Axes,
        model: str,
        thousands: float,
        tokens: int,
        epochs: int,
        devices: int,
        mfu: float,
    ) -> str:
        asked = {"peak": 1e15, "mfu": mfu, "epochs": epochs}
        told, pairs = [], round(1000 * thousands)
        for row, changed in enumerate(METHODS.values()):
            job = Job(MODELS[model], 8, tokens, tokens, **changed, devices=devices)
            hours = training_time(job, pairs, **asked).hours
            told.append(_hours(hours))
            axis.plot([LEAST, hours], [row, row], lw=1.2, **DOTTED)
            dot(axis, hours, row, "exact", color=INK, marker="o", ms=8)
            name(axis, hours, row, told[-1], INK, at=(9, 0))
        return (
            f"{model}, {number(pairs, ',d')} pairs, {_lengths(tokens)}, {epochs} "
            f"epoch{'s' * (epochs > 1)} on {devices} device{'s' * (devices > 1)} at "
            f"{100 * mfu:.0f}{THIN}% of 10¹⁵ operations a second: {told[0]} with a "
            f"resident reference, {told[1]} precomputed, {told[2]} with LoRA."
        )

    return Scene.of(
        draw,
        panel(
            "Time of a run",
            ("on all devices together", LEAST, 3_000_000),
            (len(METHODS) - 0.4, -0.6),
            ynames=METHODS,
            xscale="log",
            xticks=TICKS,
            grid=False,
        ),
        says="LoRA saves a quarter of the time at most; what it saves is memory",
        shows="Operations are counted; the share of the peak that is reached must be "
        "measured.\nA precomputed reference saves time from the second epoch on.",
    )


def _hours(hours: float) -> str:
    if hours < 1 / 60:
        return f"{number(3600 * hours, '.2g')}{THIN}s"
    if hours < 1:
        return f"{number(60 * hours, '.0f')}{THIN}min"
    if hours < 48:
        return f"{number(hours, '.1f')}{THIN}h"
    return f"{number(hours / 24, ',.0f')}{THIN}days"
