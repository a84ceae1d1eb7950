"""Exercise 1.1: The loss of a reward model."""

import torch
import torch.nn.functional as F

from course_lib.exercises.pairs import Says
from course_lib.exercises.spec import (
    Exercise,
    finite,
    given,
    learns,
    normal,
    rule,
    value,
)
from course_lib.preferences import reward_model_loss

EXERCISE = Exercise(
    number="1.1",
    title="The loss of a reward model",
    reference=reward_model_loss,
    checks=(
        learns(
            "one number that carries a gradient",
            [given([1.0], [0.0]), given([1, 2, 3], [0, 0, 1])],
        ),
        value(
            "ln 2 when the model has no opinion",
            [given([0.0], [0.0]), given([5, -3], [5, -3])],
        ),
        rule(
            "below ln 2 when the chosen answer has the higher reward",
            "be below 0.6931 and above 0",
            [given([2.0], [1.0]), given([-1.0], [-4.0])],
            holds=lambda call, yours, ours, near: 0 < yours.numbers[0] < 0.6931,
        ),
        value(
            "the mean over the batch", [given([2, 0], [0, 0]), given([2] * 4, [0] * 4)]
        ),
        rule(
            "right on fresh random rewards, values and gradients",
            "equal the mean of −log σ(chosen − rejected), and so must its gradient",
            [given(normal(n, scale=2), normal(n, scale=2)) for n in (1, 2, 7)],
            gradient=True,
        ),
        rule(
            "finite when the model is wrong by 2000 logits, and still pushing",
            finite,
            [given([-2000.0], [0.0]), given([0.0], [-2000.0])],
            gradient=True,
        ),
    ),
    misconceptions={
        "swapped": (
            lambda c, r: -F.logsigmoid(r - c).mean(),
            "rejected minus chosen: training on it would reward the worse answer",
        ),
        "no minus sign": (lambda c, r: F.logsigmoid(c - r).mean(), Says.NO_MINUS),
        "sum in place of mean": (lambda c, r: -F.logsigmoid(c - r).sum(), Says.SUM),
        "log(sigmoid)": (
            lambda c, r: -torch.log(torch.sigmoid(c - r)).mean(),
            "log(sigmoid(x)), whose sigmoid rounds to 0 and whose log is then −∞: use "
            "F.logsigmoid, which never forms the sigmoid",
        ),
        "probability in place of its log": (
            lambda c, r: (1 - torch.sigmoid(c - r)).mean(),
            "1 − σ(Δ): a bounded loss that stops pushing where the model is most "
            "wrong. The likelihood needs the logarithm",
        ),
        "mean before the logarithm": (
            lambda c, r: -F.logsigmoid((c - r).mean()),
            "one logarithm of the mean difference: a large win would pay for a loss. "
            "Each pair has a likelihood of its own",
        ),
        "hinge": (
            lambda c, r: F.relu(1 - (c - r)).mean(),
            "a hinge: another loss, with no probability behind it",
        ),
        "unreduced": (
            lambda c, r: -F.logsigmoid(c - r),
            "one loss for each pair: backward() needs a single number, their mean",
        ),
        "detached": (
            lambda c, r: -F.logsigmoid(c - r).mean().detach(),
            "the right number cut off from the rewards: no gradient reaches the model",
        ),
        "rejected side detached": (
            lambda c, r: -F.logsigmoid(c - r.detach()).mean(),
            "a rejected reward that gets no gradient: both sides of the difference "
            "learn",
        ),
    },
    hints=(
        "The likelihood of a whole data set is a product over pairs; its logarithm is "
        "a sum; a loss is minus that, averaged.",
        "Each pair contributes −log P(chosen ≻ rejected), and exercise 0.1 gave you P.",
        "`F.logsigmoid(chosen_rewards - rejected_rewards)`, its mean, and a minus "
        "sign.",
    ),
)
