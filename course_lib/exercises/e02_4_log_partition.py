"""Exercise 2.4: What the tilted weights sum to."""

import torch

from course_lib.exercises.policies import EVEN, fresh_world
from course_lib.exercises.spec import Exercise, given, learns, rule, value
from course_lib.policies import log_partition

EXERCISE = Exercise(
    number="2.4",
    title="What the tilted weights sum to",
    reference=log_partition,
    checks=(
        learns(
            "one number for each prompt, with a gradient",
            [given(EVEN, [1, 0], 1.0), fresh_world(0.5, 4, 3)],
        ),
        value(
            "0 where no answer earns anything",
            [given(EVEN, [0, 0], 1.0), given([0.7, 0.2, 0.1], [0, 0, 0], 0.5)],
        ),
        value(
            "c/β where every answer earns c",
            [given(EVEN, [3, 3], 1.0), given([0.7, 0.2, 0.1], [2, 2, 2], 0.5)],
        ),
        rule(
            "weighed by the reference: log of 0.8 + 0.2 e",
            "be log(0.8 + 0.2 e) = 0.2954, more than the mean reward 0.2",
            [given([0.8, 0.2], [0, 1], 1.0)],
        ),
        rule(
            "deaf to answers that the reference never gives",
            "be 0: an answer with π_ref = 0 adds 0 · e^30 to the sum",
            [given([0.5, 0.5, 0.0], [0, 0, 30], 1.0)],
        ),
        rule(
            "right on fresh random worlds, values and gradients",
            "equal log Σ ref · e^{rewards/β} in every row, and so must its gradient",
            [fresh_world(0.2, 2), fresh_world(0.5, 5), fresh_world(3.0, 3, 4)],
            gradient=True,
        ),
        rule(
            "finite at β = 0.001, and for rewards in the thousands",
            lambda call, ours: (
                f"be {ours.numbers[0]:.1f}: e to that power is not a number that a "
                "computer holds"
            ),
            [
                given([0.5, 0.25, 0.25], [3, 2.5, -0.5], 0.001),
                given(EVEN, [-2000, -1999], 1.0),
            ],
        ),
    ),
    misconceptions={
        "overflowing exponentials": (
            lambda ref, r, b: (ref * (r / b).exp()).sum(-1).log(),
            "exponentials that overflow or vanish before the logarithm is taken: "
            "torch.logsumexp never forms them",
        ),
        "reference forgotten": (
            lambda ref, r, b: torch.logsumexp(r / b, -1),
            "a plain logsumexp of r/β: each answer counts as often as the reference "
            "gives it",
        ),
        "Z itself": (
            lambda ref, r, b: log_partition(ref, r, b).exp(),
            "Z, not its logarithm",
        ),
        "times β": (
            lambda ref, r, b: torch.logsumexp(ref.log() + r * b, -1),
            "r · β where it must be r / β",
        ),
        "β forgotten": (
            lambda ref, r, b: torch.logsumexp(ref.log() + r, -1),
            "e^r without β",
        ),
        "in units of reward": (
            lambda ref, r, b: b * log_partition(ref, r, b),
            "β log Z, the best value of the objective: asked for is log Z",
        ),
        "logarithm of the reference forgotten": (
            lambda ref, r, b: torch.logsumexp(ref + r / b, -1),
            "probabilities added to r/β: inside the exponential it is log π_ref",
        ),
        "mean before the exponential": (
            lambda ref, r, b: (ref * r / b).sum(-1),
            "the mean of r/β: the exponential is taken before the average, and is "
            "larger than that of the average (Jensen)",
        ),
        "a small number added": (
            lambda ref, r, b: torch.logsumexp((ref + 1e-12).log() + r / b, -1),
            "a small number added to the reference: log 0 = −∞ is right here, and a "
            "high reward makes any number large",
        ),
        "maximum alone": (
            lambda ref, r, b: (r / b).amax(-1),
            "the largest r/β alone: the limit for β → 0, and only if log π_ref is "
            "added",
        ),
        "all prompts in one number": (
            lambda ref, r, b: torch.logsumexp((ref.log() + r / b).flatten(), 0),
            "one sum over all prompts: each prompt has a Z of its own",
        ),
    },
    hints=(
        "Z is the sum of the tilted weights. For β = 0.001 it has 1,300 digits; its "
        "logarithm is a harmless number. Never form Z.",
        "log Σ e^a has a function of its own in torch. What is a, if e^a is to be "
        "π_ref · e^{r/β}?",
        "`torch.logsumexp` of `ref.log()` plus the rewards divided by beta, over the "
        "last dimension.",
    ),
)
