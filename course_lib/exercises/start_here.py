"""Chapter 00: the warm-up."""

import torch

from course_lib.exercises.spec import (
    Check,
    Exercise,
    Misconception,
    kind_of,
    returns_like,
    value_of,
)
from course_lib.preferences import preference_probability
from course_lib.submission.observing import Call

_PROBABILITY = Exercise(
    number="0.1",
    title="A reward difference becomes a probability",
    reference=preference_probability,
    checks=(
        Check(
            "a tensor of probabilities, one for each pair",
            lambda draw: [
                Call((draw.tensor([3.0]), draw.tensor([1.0])), gradient=True),
                Call((draw.normal(4), draw.normal(4)), gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "one half when both answers are equally good",
            lambda draw: [
                Call((draw.tensor([2.0]), draw.tensor([2.0]))),
                Call((draw.tensor([-7.0]), draw.tensor([-7.0]))),
            ],
            value_of,
        ),
        Check(
            "above one half when the first answer has the higher reward",
            lambda draw: [
                Call((draw.tensor([2.0]), draw.tensor([1.0]))),
                Call((draw.tensor([-1.0]), draw.tensor([-4.0]))),
            ],
            "be above 0.5",
            lambda call, yours, ours, near: yours.numbers[0] > 0.5,
        ),
        Check(
            "odds of e : 1 for a difference of 1, wherever the two rewards lie",
            lambda draw: [
                Call((draw.tensor([1.0]), draw.tensor([0.0]))),
                Call((draw.tensor([101.0]), draw.tensor([100.0]))),
            ],
            value_of,
        ),
        Check(
            "right on fresh random rewards, values and gradients",
            lambda draw: [
                Call((draw.normal(n, scale=3), draw.normal(n, scale=3)), gradient=True)
                for n in (1, 2, 6)
            ],
            "equal e^{r_w} / (e^{r_w} + e^{r_l}), and so must its gradient",
        ),
        Check(
            "finite for rewards as large as 2000",
            lambda draw: [
                Call((draw.tensor([a]), draw.tensor([b])), gradient=True)
                for a, b in ((2000.0, 0.0), (0.0, 2000.0))
            ],
            "stay a number between 0 and 1, with a finite gradient",
        ),
    ),
    misconceptions=(
        Misconception(
            "swapped",
            lambda a, b: torch.sigmoid(b - a),
            "rejected minus chosen: the better answer's reward comes first",
        ),
        Misconception(
            "ratio of rewards",
            lambda a, b: a / (a + b),
            "a ratio of the rewards themselves: they may be negative, and only their "
            "difference counts. Odds are ratios of e to the reward",
        ),
        Misconception(
            "sum in place of difference",
            lambda a, b: torch.sigmoid(a + b),
            "the sum of the two rewards, where the difference decides",
        ),
        Misconception(
            "difference without a sigmoid",
            lambda a, b: a - b,
            "the difference itself, which is a number in logits, not yet a probability",
        ),
        Misconception(
            "chosen reward alone",
            lambda a, b: torch.sigmoid(a),
            "the sigmoid of one reward: the other answer has no say",
        ),
        Misconception(
            "overflowing exponentials",
            lambda a, b: a.exp() / (a.exp() + b.exp()),
            "the right formula with exponentials that overflow: divide both by e^{r_w} "
            "first, or use torch.sigmoid",
        ),
        Misconception(
            "base ten",
            lambda a, b: 1 / (1 + 10 ** (b - a)),
            "odds of 10 : 1 for a difference of 1, as Elo counts in steps of 400. The "
            "unit here is the logit: base e",
        ),
        Misconception(
            "log-probability",
            lambda a, b: torch.nn.functional.logsigmoid(a - b),
            "the logarithm of the probability, not the probability",
        ),
        Misconception(
            "a hard choice",
            lambda a, b: (a > b).to(a.dtype),
            "a hard choice: the better answer wins more often, not always",
        ),
        Misconception(
            "mean over the pairs",
            lambda a, b: torch.sigmoid(a - b).mean(),
            "the mean over the pairs, where each pair has a probability of its own",
        ),
        Misconception(
            "detached",
            lambda a, b: torch.sigmoid(a - b).detach(),
            "the right numbers cut off from their inputs (by detach, item or numpy): "
            "nothing could be learnt through them",
        ),
    ),
    hints=(
        "Which of these changes nothing about the choice: adding 5 to both rewards, or "
        "doubling both? Whatever you write must depend on the difference alone.",
        "Write e^{r_w} / (e^{r_w} + e^{r_l}) and divide above and below by e^{r_w}. "
        "What "
        "is left is a function of r_l − r_w that PyTorch has by name.",
        "The logistic sigmoid, σ(z) = 1 / (1 + e^{−z}), of chosen minus rejected: "
        "`torch.sigmoid`.",
    ),
)

EXERCISES = (_PROBABILITY,)
