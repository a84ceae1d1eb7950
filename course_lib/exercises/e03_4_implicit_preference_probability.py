"""Exercise 3.4: A preference without any Z."""

import torch
import torch.nn.functional as F

from course_lib.exercises.pairs import logps
from course_lib.exercises.spec import Build, Exercise, given, learns, rule, value
from course_lib.losses import implicit_preference_probability

ONE = [[-1.0], [-3.0], [-2.0], [-2.0]]


def _fresh(beta: float, batch: int) -> Build:
    return given(*[logps(batch, scale=3)] * 4, beta)


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
            given(*ONE, 0.5),
            _fresh(0.1, 3),
        ),
        rule(
            "one half where policy and reference agree, whatever they say",
            "be 0.5: a policy that has not moved prefers nothing",
            given([-1.0], [-9.0], [-1.0], [-9.0], 0.5),
            given([-7.0, -1], [-2.0, -4], [-7.0, -1], [-2.0, -4], 2.0),
        ),
        rule(
            "above one half where the chosen answer gained more than the rejected one",
            "be above 0.5, and below 1",
            given(*ONE, 0.5),
            given([-8.0], [-9.0], [-7.0], [-3.0], 0.5),
            holds=lambda call, yours, ours, near: (
                len(yours.numbers) == 1 and 0.5 < yours.numbers[0] < 1
            ),
        ),
        value(
            "σ(1) at a gap of 2 nats with β = ½, in whichever answer the gap arose",
            given(*ONE, 0.5),
            given([-1.0], [-2.0], [-3.0], [-2.0], 0.5),
            given([-3.0], [-5.0], [-3.0], [-3.0], 0.5),
        ),
        rule(
            "right on fresh random pairs, values and gradients",
            "equal σ(β(chosen log-ratio − rejected log-ratio)), and so must its "
            "gradient",
            _fresh(0.1, 1),
            _fresh(0.5, 4),
            _fresh(1.5, 6),
            gradient=True,
        ),
        rule(
            "a number for answers as improbable as e^−2000",
            lambda call, ours: (
                f"be {ours.numbers[0]:.4f}: e^−2000 is 0 to a computer, the difference "
                "of two logarithms is not"
            ),
            given([-2000.0], [-2002.0], [-2001.0], [-2001.0], 0.5),
            given([-2000.0], [-10.0], [-10.0], [-2000.0], 0.5),
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
