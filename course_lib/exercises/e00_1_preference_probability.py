"""Exercise 0.1: A reward difference becomes a probability."""

import torch

from course_lib.exercises.spec import Exercise, given, learns, normal, rule, value
from course_lib.preferences import preference_probability

EXERCISE = Exercise(
    number="0.1",
    title="A reward difference becomes a probability",
    reference=preference_probability,
    checks=(
        learns(
            "a tensor of probabilities, one for each pair",
            [given([3.0], [1.0]), given(normal(4), normal(4))],
        ),
        value(
            "one half when both answers are equally good",
            [given([2.0], [2.0]), given([-7.0], [-7.0])],
        ),
        rule(
            "above one half when the first answer has the higher reward",
            "be above 0.5",
            [given([2.0], [1.0]), given([-1.0], [-4.0])],
            holds=lambda call, yours, ours, near: yours.numbers[0] > 0.5,
        ),
        value(
            "odds of e : 1 for a difference of 1, wherever the two rewards lie",
            [given([1.0], [0.0]), given([101.0], [100.0])],
        ),
        rule(
            "right on fresh random rewards, values and gradients",
            "equal e^{r_w} / (e^{r_w} + e^{r_l}), and so must its gradient",
            [given(normal(n, scale=3), normal(n, scale=3)) for n in (1, 2, 6)],
            gradient=True,
        ),
        rule(
            "finite for rewards as large as 2000",
            "stay a number between 0 and 1, with a finite gradient",
            [given([2000.0], [0.0]), given([0.0], [2000.0])],
            gradient=True,
        ),
    ),
    misconceptions={
        "swapped": (
            lambda a, b: torch.sigmoid(b - a),
            "rejected minus chosen: the better answer's reward comes first",
        ),
        "ratio of rewards": (
            lambda a, b: a / (a + b),
            "a ratio of the rewards themselves: they may be negative, and only their "
            "difference counts. Odds are ratios of e to the reward",
        ),
        "sum in place of difference": (
            lambda a, b: torch.sigmoid(a + b),
            "the sum of the two rewards, where the difference decides",
        ),
        "difference without a sigmoid": (
            lambda a, b: a - b,
            "the difference itself, which is a number in logits, not yet a probability",
        ),
        "chosen reward alone": (
            lambda a, b: torch.sigmoid(a),
            "the sigmoid of one reward: the other answer has no say",
        ),
        "overflowing exponentials": (
            lambda a, b: a.exp() / (a.exp() + b.exp()),
            "the right formula with exponentials that overflow, and ∞ / ∞ is not a "
            "number. It is a function of r_w − r_l alone: torch.sigmoid computes it "
            "without an overflow",
        ),
        "sigmoid by hand": (
            lambda a, b: 1 / (1 + (b - a).exp()),
            "right in value everywhere, but its gradient is NaN where r_l − r_w is "
            "large: e^{r_l − r_w} overflows to ∞, and the chain rule then multiplies 0 "
            "by ∞. torch.sigmoid is the same function with a finite gradient",
        ),
        "odds by hand": (
            lambda a, b: (a - b).exp() / (1 + (a - b).exp()),
            "odds / (1 + odds), right until the odds e^{r_w − r_l} overflow to ∞: "
            "∞ / ∞ is not a number. torch.sigmoid never forms the odds",
        ),
        "base ten": (
            lambda a, b: 1 / (1 + 10 ** (b - a)),
            "odds of 10 : 1 for a difference of 1, as Elo counts in steps of 400. The "
            "unit here is the logit: base e",
        ),
        "log-probability": (
            lambda a, b: torch.nn.functional.logsigmoid(a - b),
            "the logarithm of the probability, not the probability",
        ),
        "a hard choice": (
            lambda a, b: (a > b).to(a.dtype),
            "a hard choice: the better answer wins more often, not always",
        ),
        "mean over the pairs": (
            lambda a, b: torch.sigmoid(a - b).mean(),
            "the mean over the pairs, where each pair has a probability of its own",
        ),
        "detached": (
            lambda a, b: torch.sigmoid(a - b).detach(),
            "the right numbers cut off from their inputs (by detach, item or numpy): "
            "nothing could be learnt through them",
        ),
    },
    hints=(
        "Which of these changes nothing about the choice: adding 5 to both rewards, or "
        "doubling both? Whatever you write must depend on the difference alone.",
        "Divide e^{r_w} / (e^{r_w} + e^{r_l}) above and below by e^{r_w}: that leaves "
        "1 / (1 + e^{−z}) with z = r_w − r_l. Typed like this, its gradient breaks for "
        "large −z; PyTorch has the function by name, with a gradient that does not.",
        "The logistic sigmoid of chosen minus rejected: "
        "`torch.sigmoid(reward_w - reward_l)`.",
    ),
)
