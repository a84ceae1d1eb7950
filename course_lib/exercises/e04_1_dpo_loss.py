"""Exercise 4.1: The DPO loss."""

import torch.nn.functional as F

from course_lib.bugs import BUGGY
from course_lib.exercises.pairs import BETTER, START, WORSE, Says, four, fresh_four
from course_lib.exercises.spec import Exercise, finite, learns, rule, value
from course_lib.losses import dpo_loss

EXERCISE = Exercise(
    number="4.1",
    title="The DPO loss",
    reference=dpo_loss,
    checks=(
        learns(
            "one number that carries a gradient", [four(BETTER), four(BETTER, WORSE)]
        ),
        value("ln 2 when policy and reference agree", [four(START[0]), four(*START)]),
        rule(
            "below ln 2 when the policy likes the chosen answer better than the "
            "reference does",
            "be below 0.6931 and above 0",
            [four(BETTER), four([-3, -2, -5, -2])],
            holds=lambda call, yours, ours, near: 0 < yours.numbers[0] < 0.6931,
        ),
        value("β multiplies the gap, once", [four(BETTER), four(BETTER, beta=0.5)]),
        value(
            "the mean over pairs, each with a logarithm of its own",
            [four(BETTER, WORSE, beta=0.5), four(BETTER, BETTER, WORSE, beta=0.5)],
        ),
        rule(
            "right on fresh random log-probabilities, values and gradients",
            "equal the mean of −log σ(βh), and so must its gradient for the policy",
            [fresh_four(n, beta) for n, beta in ((1, 0.1), (2, 0.5), (7, 1.5))],
            learnt=2,
        ),
        rule(
            "finite when a pair is wrong by 5,000 nats, and still pushing",
            finite,
            [four([-5000, 0, 0, 0], beta=0.5), four([0, -5000, 0, 0], beta=0.5)],
            learnt=2,
        ),
    ),
    misconceptions={
        "swapped": (BUGGY["swapped_pair"].function, Says.SWAPPED),
        "no reference": (BUGGY["reference_dropped"].function, Says.NO_REFERENCE),
        "beta forgotten": (BUGGY["beta_forgotten"].function, Says.BETA_FORGOTTEN),
        "beta outside": (
            lambda a, b, c, d, beta: -beta * F.logsigmoid((a - c) - (b - d)).mean(),
            Says.BETA_OUTSIDE,
        ),
        "beta twice": (
            BUGGY["beta_twice"].function,
            "β² times the gap: rewards carry a β already, their difference needs none",
        ),
        "mean before the logarithm": (
            BUGGY["mean_before_log"].function,
            "one logarithm of the mean gap: a large win would pay for a loss. Average "
            "the losses",
        ),
        "sum in place of mean": (BUGGY["sum_over_pairs"].function, Says.SUM),
        "log(sigmoid)": (BUGGY["log_of_sigmoid"].function, Says.LOG_SIGMOID),
        "reference that is the policy": (
            BUGGY["reference_follows"].function,
            "a reference taken from the policy: the gap stays 0 and the loss ln 2",
        ),
        "rejected side detached": (
            BUGGY["rejected_detached"].function,
            "a rejected log-probability that gets no gradient: both sides must learn",
        ),
        "no minus sign": (
            lambda a, b, c, d, beta: F.logsigmoid(beta * ((a - c) - (b - d))).mean(),
            Says.NO_MINUS,
        ),
    },
    hints=(
        "Three steps: two log-ratios, their difference h, and the loss of chapter 01 "
        "on βh.",
        "chosen log-ratio = policy_chosen_logps − ref_chosen_logps, the rejected one "
        "alike; h is the first minus the second.",
        "`-F.logsigmoid(beta * gap).mean()`",
    ),
)
