"""Exercise 3.4: A preference without any Z."""

import torch
import torch.nn.functional as F

from course_lib.exercises.pairs import BETTER, four, fresh_four
from course_lib.exercises.spec import Exercise, learns, rule, value, words
from course_lib.losses import implicit_preference_probability


def _of_gap(probability):
    """A preference from the gap and β, with one thing wrong."""
    return lambda pw, pl, rw, rl, beta: probability((pw - rw) - (pl - rl), beta)


EXERCISE = Exercise(
    number="3.4",
    title="A preference without any Z",
    reference=implicit_preference_probability,
    checks=(
        learns(
            "one probability for each pair, with a gradient",
            [four(BETTER, beta=0.5), fresh_four(3, 0.1, scale=3)],
        ),
        rule(
            "one half where policy and reference agree, whatever they say",
            "be 0.5: a policy that has not moved prefers nothing",
            [
                four([-1, -9, -1, -9], beta=0.5),
                four([-7, -2, -7, -2], [-1, -4, -1, -4], beta=2.0),
            ],
        ),
        rule(
            "above one half where the chosen answer gained more than the rejected one",
            "be above 0.5, and below 1",
            [four(BETTER, beta=0.5), four([-8, -9, -7, -3], beta=0.5)],
            holds=lambda call, yours, ours, near: (
                len(yours.numbers) == 1 and 0.5 < yours.numbers[0] < 1
            ),
        ),
        value(
            "σ(1) at a gap of 2 nats with β = ½, in whichever answer the gap arose",
            [
                four(BETTER, beta=0.5),
                four([-1, -2, -3, -2], beta=0.5),
                four([-3, -5, -3, -3], beta=0.5),
            ],
        ),
        rule(
            "right on fresh random pairs, values and gradients",
            "equal σ(β(chosen log-ratio − rejected log-ratio)), and so must its "
            "gradient",
            [fresh_four(n, b, scale=3) for n, b in ((1, 0.1), (4, 0.5), (6, 1.5))],
            gradient=True,
        ),
        rule(
            "a number for answers as improbable as e^−2000",
            words(
                "be {0:.4f}: e^−2000 is 0 to a computer, the difference of two "
                "logarithms is not"
            ),
            [
                four([-2000, -2002, -2001, -2001], beta=0.5),
                four([-2000, -10, -10, -2000], beta=0.5),
            ],
        ),
    ),
    misconceptions={
        "swapped": (
            lambda pw, pl, rw, rl, beta: torch.sigmoid(beta * ((pl - rl) - (pw - rw))),
            "rejected minus chosen: P(y_l ≻ y_w)",
        ),
        "no reference": (
            lambda pw, pl, rw, rl, beta: torch.sigmoid(beta * (pw - pl)),
            "the policy's log-probabilities alone: an answer that the reference found "
            "likely already would count as preferred",
        ),
        "reference added": (
            lambda pw, pl, rw, rl, beta: torch.sigmoid(beta * ((pw - pl) + (rw - rl))),
            "the reference's difference added: its log-probabilities are subtracted",
        ),
        "beta forgotten": (
            _of_gap(lambda gap, beta: torch.sigmoid(gap)),
            "σ of the gap in nats: β turns it into a difference of rewards",
        ),
        "divided by beta": (
            _of_gap(lambda gap, beta: torch.sigmoid(gap / beta)),
            "the gap divided by β: r = β log(π*/π_ref) + β log Z has β in front",
        ),
        "margin in place of a probability": (
            _of_gap(lambda gap, beta: beta * gap),
            "the reward margin βh: σ turns it into a probability",
        ),
        "log-probability": (
            _of_gap(lambda gap, beta: F.logsigmoid(beta * gap)),
            "the logarithm of the probability, which the next chapter's loss will want",
        ),
        "ratios of probabilities": (
            lambda pw, pl, rw, rl, beta: (
                1 / (1 + ((pl.exp() / rl.exp()) / (pw.exp() / rw.exp())) ** beta)
            ),
            "exponentials of log-probabilities: real answers have e^−2000, which is 0, "
            "and 0/0. Stay with differences of logarithms",
        ),
        "chosen alone": (
            lambda pw, pl, rw, rl, beta: torch.sigmoid(beta * (pw - rw)),
            "the chosen answer alone: β log Z does not cancel without its partner",
        ),
        "averaged": (
            _of_gap(lambda gap, beta: torch.sigmoid(beta * gap).mean()),
            "one average for the batch: each pair has a probability of its own",
        ),
        "detached": (
            _of_gap(lambda gap, beta: torch.sigmoid(beta * gap).detach()),
            "the right numbers cut off from the policy: nothing can learn from them",
        ),
    },
    hints=(
        "Each answer has the implicit reward β log(π_θ/π_ref); Bradley–Terry wants the "
        "difference of two of them.",
        "Log-ratio of the chosen answer minus log-ratio of the rejected one, times β: "
        "that is the logit of the preference.",
        "`torch.sigmoid` of beta times (policy minus ref of the chosen, minus policy "
        "minus ref of the rejected).",
    ),
)
