"""Chapter 04, the loss: its value, its gradient, its accuracy."""

import torch
import torch.nn.functional as F

from course_lib.bugs import BUGGY
from course_lib.exercises.pairs import (
    BETTER,
    START,
    WORSE,
    agrees_where_learnt,
    drawn_four,
    four,
)
from course_lib.exercises.spec import (
    Check,
    Exercise,
    Misconception,
    kind_of,
    returns_like,
    value_of,
)
from course_lib.losses import dpo_gradients, dpo_loss, implicit_reward_accuracy
from course_lib.submission.observing import Call

_LOSS = Exercise(
    number="4.1",
    title="The DPO loss",
    reference=dpo_loss,
    checks=(
        Check(
            "one number that carries a gradient",
            lambda draw: [
                four(draw, BETTER, gradient=True),
                four(draw, BETTER, WORSE, gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "ln 2 when policy and reference agree",
            lambda draw: [four(draw, START[0]), four(draw, *START)],
            value_of,
        ),
        Check(
            "below ln 2 when the policy likes the chosen answer better than the "
            "reference does",
            lambda draw: [four(draw, BETTER), four(draw, [-3, -2, -5, -2])],
            "be below 0.6931 and above 0",
            lambda call, yours, ours, near: 0 < yours.numbers[0] < 0.6931,
        ),
        Check(
            "β multiplies the gap, once",
            lambda draw: [four(draw, BETTER, beta=b) for b in (0.1, 0.5)],
            value_of,
        ),
        Check(
            "the mean over pairs, each with a logarithm of its own",
            lambda draw: [
                four(draw, BETTER, WORSE, beta=0.5),
                four(draw, BETTER, BETTER, WORSE, beta=0.5),
            ],
            value_of,
        ),
        Check(
            "right on fresh random log-probabilities, values and gradients",
            lambda draw: [
                drawn_four(draw, n, beta, gradient=True)
                for n, beta in ((1, 0.1), (2, 0.5), (7, 1.5))
            ],
            "equal the mean of −log σ(βh), and so must its gradient for the policy",
            agrees_where_learnt(2),
        ),
        Check(
            "finite when a pair is wrong by 5,000 nats, and still pushing",
            lambda draw: [
                four(draw, [-5000, 0, 0, 0], beta=0.5, gradient=True),
                four(draw, [0, -5000, 0, 0], beta=0.5, gradient=True),
            ],
            lambda call, ours: (
                f"be {ours.numbers[0]:.4g}, with a gradient that is finite"
            ),
            agrees_where_learnt(2),
        ),
    ),
    misconceptions=(
        Misconception(
            "swapped",
            BUGGY["swapped_pair"].function,
            "rejected minus chosen: the gap is the chosen log-ratio minus the rejected "
            "one",
        ),
        Misconception(
            "no reference",
            BUGGY["reference_dropped"].function,
            "the policy's log-probabilities alone: each needs the reference's "
            "subtracted from it",
        ),
        Misconception(
            "beta forgotten",
            BUGGY["beta_forgotten"].function,
            "β = 1 whatever is asked for: it multiplies the gap inside the sigmoid",
        ),
        Misconception(
            "beta outside",
            lambda a, b, c, d, beta: -beta * F.logsigmoid((a - c) - (b - d)).mean(),
            "β in front of the loss: there it only scales the step. It belongs inside "
            "the sigmoid",
        ),
        Misconception(
            "beta twice",
            BUGGY["beta_twice"].function,
            "β² times the gap: rewards carry a β already, their difference needs none",
        ),
        Misconception(
            "mean before the logarithm",
            BUGGY["mean_before_log"].function,
            "one logarithm of the mean gap: a large win would pay for a loss. Average "
            "the losses",
        ),
        Misconception(
            "sum in place of mean",
            BUGGY["sum_over_pairs"].function,
            "a sum over the batch: the learning rate would depend on the batch's size",
        ),
        Misconception(
            "log(sigmoid)",
            BUGGY["log_of_sigmoid"].function,
            "log(sigmoid(x)), whose sigmoid rounds to 0 and whose log is then −∞: "
            "use F.logsigmoid",
        ),
        Misconception(
            "reference that is the policy",
            BUGGY["reference_follows"].function,
            "a reference taken from the policy: the gap stays 0 and the loss ln 2",
        ),
        Misconception(
            "rejected side detached",
            BUGGY["rejected_detached"].function,
            "a rejected log-probability that gets no gradient: both sides must learn",
        ),
        Misconception(
            "no minus sign",
            lambda a, b, c, d, beta: F.logsigmoid(beta * ((a - c) - (b - d))).mean(),
            "the log-likelihood without its minus sign: a loss is minimised",
        ),
    ),
    hints=(
        "Three steps: two log-ratios, their difference h, and the loss of chapter 01 "
        "on βh.",
        "chosen log-ratio = policy_chosen_logps − ref_chosen_logps, the rejected one "
        "alike; h is the first minus the second.",
        "`-F.logsigmoid(beta * gap).mean()`",
    ),
)


def _pushes(sign=1.0, front=True, turned=False, weigh=True, share=False):
    """A gradient with one thing wrong."""

    def gradients(a, b, c, d, beta):
        margin = beta * ((a - c) - (b - d))
        weight = torch.sigmoid(margin if turned else -margin)
        weight = weight if weigh else torch.ones_like(weight)
        push = (beta if front else 1.0) * weight * sign
        push = push / len(push) if share else push
        return torch.stack([-push, push], -1)

    return gradients


def _overflowing(a, b, c, d, beta):
    margin = beta * ((a - c) - (b - d))
    push = beta * torch.exp(-margin) / (1 + torch.exp(-margin))
    return torch.stack([-push, push], -1)


def _both_down(a, b, c, d, beta):
    push = beta * torch.sigmoid(-beta * ((a - c) - (b - d)))
    return torch.stack([-push, -push], -1)


_GRADIENT = Exercise(
    number="4.2",
    title="The gradient, by formula",
    reference=dpo_gradients,
    checks=(
        Check(
            "two numbers for each pair",
            lambda draw: [four(draw, BETTER), four(draw, BETTER, WORSE, START[0])],
            kind_of,
            returns_like,
        ),
        Check(
            "−β/2 and +β/2 when policy and reference agree",
            lambda draw: [four(draw, START[0], beta=b) for b in (1.0, 0.1)],
            value_of,
        ),
        Check(
            "of each pair alone, not of the batch's mean",
            lambda draw: [four(draw, *START)],
            value_of,
        ),
        Check(
            "larger for a pair in the wrong order",
            lambda draw: [
                four(draw, BETTER, WORSE, beta=1.0),
                four(draw, BETTER, WORSE, beta=0.2),
            ],
            value_of,
        ),
        Check(
            "right on fresh random log-probabilities",
            lambda draw: [
                drawn_four(draw, n, beta) for n, beta in ((1, 0.1), (3, 0.5), (7, 1.5))
            ],
            "be −β σ(−βh) and +β σ(−βh), h being the gap of each pair",
        ),
        Check(
            "0 and β, not NaN, at gaps of ±5,000 nats",
            lambda draw: [four(draw, [0, -5000, 0, 0], [-5000, 0, 0, 0], beta=0.5)],
            value_of,
        ),
    ),
    misconceptions=(
        Misconception(
            "step in place of gradient",
            _pushes(sign=-1.0),
            "the step that training takes: the gradient points the other way, negative "
            "for the chosen answer",
        ),
        Misconception(
            "beta in front forgotten",
            _pushes(front=False),
            "σ(−βh) without the β that the chain rule brings down in front of it",
        ),
        Misconception(
            "weight of the right order",
            _pushes(turned=True),
            "σ(+βh), large for pairs that are right already: the sign inside is minus",
        ),
        Misconception(
            "no weight",
            _pushes(weigh=False),
            "the same push for every pair: the sigmoid that weighs them is missing",
        ),
        Misconception(
            "gradient of the mean",
            _pushes(share=True),
            "divided by the number of pairs: the gradient of the mean. Here each pair "
            "stands alone",
        ),
        Misconception(
            "both pushed up",
            _both_down,
            "the same sign twice: the loss falls where the rejected answer falls",
        ),
        Misconception(
            "sigmoid from exponentials",
            _overflowing,
            "e^(−m) / (1 + e^(−m)), which is ∞/∞ for a pair that is far wrong: use "
            "torch.sigmoid",
        ),
    ),
    hints=(
        "The chain rule in three links: from −log σ(m) to m, from m = βh to h, from h "
        "to the two log-probabilities.",
        "d/dm of −log σ(m) is −σ(−m); dm/dh = β; dh is +1 for the chosen answer and −1 "
        "for the rejected one.",
        "weight = beta * torch.sigmoid(-beta * gap), then "
        "`torch.stack([-weight, weight], -1)`.",
    ),
)


def _accuracy(strict):
    def accuracy(a, b, c, d):
        return strict(a - c, b - d).to(a.dtype).mean()

    return accuracy


KNOWN = (  # log-ratios 1, 1, 1, 1 and −1, −1, 1, −1
    [-1.0, -4.0, -2.0, -3.0],
    [-2.0, -3.0, -3.0, -2.0],
    [-3.0, -1.0, -4.0, -2.0],
    [-1.0, -2.0, -2.0, -1.0],
)

_ACCURACY = Exercise(
    number="4.3",
    title="Implicit-reward accuracy",
    reference=implicit_reward_accuracy,
    checks=(
        Check(
            "one number, of the inputs' dtype",
            lambda draw: [
                four(draw, BETTER, beta=None),
                four(draw, BETTER, WORSE, beta=None),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "1 where every gap is above 0, 0 where every gap is below",
            lambda draw: [
                four(draw, BETTER, BETTER, beta=None),
                four(draw, WORSE, WORSE, beta=None),
            ],
            value_of,
        ),
        Check(
            "against the reference: a policy may still prefer the rejected answer",
            lambda draw: [
                four(draw, [-5, -4, -9, -4], beta=None),
                four(draw, [-4, -5, -4, -9], beta=None),
            ],
            value_of,
        ),
        Check(
            "½ where policy and reference agree",
            lambda draw: [four(draw, *START, beta=None)],
            "be 0.5: a tie counts half",
        ),
        Check(
            "a share of the pairs",
            lambda draw: [
                four(draw, *KNOWN, beta=None),
                four(draw, BETTER, WORSE, WORSE, beta=None),
            ],
            value_of,
        ),
        Check(
            "right on fresh random log-probabilities, ties among them",
            lambda draw: [
                Call(tuple(-draw.integers(1, 4, 40) for _ in range(4)))
                for _ in range(3)
            ],
            "be the share of gaps above 0 plus half the share of gaps at 0",
        ),
    ),
    misconceptions=(
        Misconception(
            "ties are wrong",
            _accuracy(lambda u, v: u > v),
            "u > v alone, which is 0 at the start of every run: a tie is to count half",
        ),
        Misconception(
            "ties are right",
            _accuracy(lambda u, v: u >= v),
            "u ≥ v, which is 1 before anything is learnt: a tie is to count half",
        ),
        Misconception(
            "ranking accuracy",
            lambda a, b, c, d: ((1 + torch.sign(a - b)) / 2).mean(),
            "how often the policy itself prefers the chosen answer: another measure. "
            "This one looks at log-ratios",
        ),
        Misconception(
            "chosen above the reference",
            lambda a, b, c, d: ((1 + torch.sign(a - c)) / 2).mean(),
            "how often the chosen answer rose: the rejected one may have risen more",
        ),
        Misconception(
            "count",
            lambda a, b, c, d: ((1 + torch.sign(a - c - b + d)) / 2).sum(),
            "a number of pairs; an accuracy is their share",
        ),
        Misconception(
            "mean probability",
            lambda a, b, c, d: torch.sigmoid(a - c - b + d).mean(),
            "the mean chance σ(h): an accuracy asks on which side of 0 a gap is",
        ),
        Misconception(
            "swapped",
            lambda a, b, c, d: ((1 - torch.sign(a - c - b + d)) / 2).mean(),
            "how often the implicit reward is wrong: chosen minus rejected, not the "
            "other way",
        ),
    ),
    hints=(
        "The implicit rewards are βu and βv, and β > 0 decides nothing.",
        "Per pair: 1 if u > v, ½ if they are equal, 0 otherwise. torch.sign gives 1, 0 "
        "and −1.",
        "(1 + sign) / 2 turns those into 1, ½ and 0; then the mean.",
    ),
)


EXERCISES = (_LOSS, _GRADIENT, _ACCURACY)
