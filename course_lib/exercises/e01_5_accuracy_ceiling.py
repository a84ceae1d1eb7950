"""Exercise 1.5: The ceiling that noise puts on accuracy."""

import torch

from course_lib.exercises.spec import Exercise, given, kind, rule, uniform, value
from course_lib.preferences import accuracy_ceiling

EXERCISE = Exercise(
    number="1.5",
    title="The ceiling that noise puts on accuracy",
    reference=accuracy_ceiling,
    checks=(
        kind("one number for the whole batch", [given([0.8]), given(uniform(5))]),
        value(
            "1 when every label is certain, either way",
            [given([1.0]), given([0.0, 1.0])],
        ),
        value(
            "one half when every label is a coin",
            [given([0.5]), given([0.5, 0.5, 0.5])],
        ),
        value(
            "0.9 for a pair that is 9 : 1, whichever answer stands first",
            [given([0.9]), given([0.1])],
        ),
        rule(
            "right on fresh random chances",
            "equal the mean of the larger of p and 1 − p",
            [given(uniform(n)) for n in (2, 3, 9)],
        ),
    ),
    misconceptions={
        "mean probability": (
            lambda p: p.mean(),
            "the mean of p: the best guess is the second answer wherever p < ½",
        ),
        "larger of the means": (
            lambda p: torch.maximum(p.mean(), 1 - p.mean()),
            "one guess for all pairs: a model may choose anew for each pair",
        ),
        "agreement of two draws": (
            lambda p: (p**2 + (1 - p) ** 2).mean(),
            "how often two labels drawn for a pair agree: p² + (1 − p)². The best "
            "guess does better than a second draw",
        ),
        "advantage over a coin": (
            lambda p: (2 * p - 1).abs().mean(),
            "how much better than a coin the best guess is, |2p − 1|: at p = ½ a guess "
            "is still right half of the time",
        ),
        "worst accuracy": (
            lambda p: torch.minimum(p, 1 - p).mean(),
            "how often the best guess is *wrong*: the smaller of p and 1 − p",
        ),
        "unreduced": (
            lambda p: torch.maximum(p, 1 - p),
            "a ceiling for each pair: the accuracy of a data set is their mean",
        ),
        "rounded": (
            lambda p: (p > 0.5).to(p.dtype).mean(),
            "how often the first answer is the favourite, not how often the favourite "
            "wins",
        ),
    },
    hints=(
        "You know p exactly and must name a winner for one pair. Which one, and how "
        "often are you right?",
        "For one pair the best guess is right with the larger of p and 1 − p. Then "
        "average over pairs.",
        "`torch.maximum(p, 1 - p).mean()`",
    ),
)
