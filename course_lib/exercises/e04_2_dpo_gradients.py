"""Exercise 4.2: The gradient, by formula."""

import torch

from course_lib.exercises.pairs import BETTER, START, WORSE, four, fresh_four
from course_lib.exercises.spec import Exercise, kind, rule, value
from course_lib.losses import dpo_gradients


def _gradients(
    weight=lambda margin: torch.sigmoid(-margin),
    push=lambda weight, beta: beta * weight,
    signs=(-1, 1),
):
    """The gradient with one thing wrong."""

    def gradients(a, b, c, d, beta):
        size = push(weight(beta * ((a - c) - (b - d))), beta)
        return torch.stack([sign * size for sign in signs], -1)

    return gradients


EXERCISE = Exercise(
    number="4.2",
    title="The gradient, by formula",
    reference=dpo_gradients,
    checks=(
        kind(
            "two numbers for each pair", [four(BETTER), four(BETTER, WORSE, START[0])]
        ),
        value(
            "−β/2 and +β/2 when policy and reference agree",
            [four(START[0], beta=1.0), four(START[0], beta=0.1)],
        ),
        value("of each pair alone, not of the batch's mean", [four(*START)]),
        value(
            "larger for a pair in the wrong order",
            [four(BETTER, WORSE, beta=1.0), four(BETTER, WORSE, beta=0.2)],
        ),
        rule(
            "right on fresh random log-probabilities",
            "be −β σ(−βh) and +β σ(−βh), h being the gap of each pair",
            [fresh_four(n, beta) for n, beta in ((1, 0.1), (3, 0.5), (7, 1.5))],
        ),
        value(
            "0 and β, not NaN, at gaps of ±5,000 nats",
            [four([0, -5000, 0, 0], [-5000, 0, 0, 0], beta=0.5)],
        ),
    ),
    misconceptions={
        "step in place of gradient": (
            _gradients(signs=(1, -1)),
            "the step that training takes: the gradient points the other way, negative "
            "for the chosen answer",
        ),
        "beta in front forgotten": (
            _gradients(push=lambda weight, beta: weight),
            "σ(−βh) without the β that the chain rule brings down in front of it",
        ),
        "weight of the right order": (
            _gradients(torch.sigmoid),
            "σ(+βh), large for pairs that are right already: the sign inside is minus",
        ),
        "no weight": (
            _gradients(torch.ones_like),
            "the same push for every pair: the sigmoid that weighs them is missing",
        ),
        "gradient of the mean": (
            _gradients(push=lambda weight, beta: beta * weight / len(weight)),
            "divided by the number of pairs: the gradient of the mean. Here each pair "
            "stands alone",
        ),
        "both pushed up": (
            _gradients(signs=(-1, -1)),
            "the same sign twice: the loss falls where the rejected answer falls",
        ),
        "sigmoid from exponentials": (
            _gradients(lambda margin: torch.exp(-margin) / (1 + torch.exp(-margin))),
            "e^(−m) / (1 + e^(−m)), which is ∞/∞ for a pair that is far wrong: use "
            "torch.sigmoid",
        ),
    },
    hints=(
        "The chain rule in three links: from −log σ(m) to m, from m = βh to h, from h "
        "to the two log-probabilities.",
        "d/dm of −log σ(m) is −σ(−m); dm/dh = β; dh is +1 for the chosen answer and −1 "
        "for the rejected one.",
        "weight = beta * torch.sigmoid(-beta * gap), then `torch.stack([-weight, "
        "weight], -1)`.",
    ),
)
