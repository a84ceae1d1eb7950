"""Exercise 4.1: The DPO loss."""

from course_lib.losses import dpo_loss
from . import pairs
from .pairs import BETTER, START, WORSE, four, fresh_four
from .spec import Exercise, finite, fresh, learns, rule, value

FAULTS = """
a hinge: losses = relu(1 - m)
    a hinge, max(0, 1 − m), which stops at a margin of 1: DPO's is −log σ(m)
beta twice: m = beta**2 * h
    β² times the gap: rewards carry a β already, their difference needs none
mean before the logarithm: m = beta * h.mean()
    one logarithm of the mean gap: a large win would pay for a loss. Average the losses
reference that is the policy: u = a - a; v = b - b
    a reference taken from the policy: the gap stays 0 and the loss ln 2
rejected side detached: v = b.detach() - d
    a rejected log-probability that gets no gradient: both sides must learn
each answer by itself: losses = -logsigmoid(beta * u) - logsigmoid(-beta * v)
    two losses, one for each answer, which start at 2 ln 2: only the difference of the
    two log-ratios enters, inside one sigmoid
"""
SHARED = (
    pairs.SWAPPED
    + pairs.NO_REFERENCE
    + pairs.LOG_OF_LOG
    + pairs.BETA_FORGOTTEN
    + pairs.BETA_OUTSIDE
    + pairs.SUM
    + pairs.LOG_SIGMOID
    + pairs.NO_MINUS
)
CHECKS = (
    learns("one number that carries a gradient", [four(BETTER), four(BETTER, WORSE)]),
    value("ln 2 when policy and reference agree", [four(START[0]), four(*START)]),
    rule(
        "a policy that likes the chosen answer better than the reference does",
        "be below 0.6931 and above 0",
        [four(BETTER), four([-3, -2, -5, -2])],
        holds=lambda call, yours, ours, near: 0 < yours.numbers[0] < 0.6931,
    ),
    value("β = 0.1 and β = 0.5", [four(BETTER), four(BETTER, beta=0.5)]),
    value(
        "the mean over pairs, each with a logarithm of its own",
        [four(BETTER, WORSE, beta=0.5), four(BETTER, BETTER, WORSE, beta=0.5)],
    ),
    fresh(
        "equal the mean of −log σ(βh), and so must its gradient for the policy",
        [fresh_four(n, beta) for n, beta in ((1, 0.1), (2, 0.5), (7, 1.5))],
        learnt=2,
    ),
    rule(
        "a pair that is wrong by 5,000 nats",
        finite,
        [four([-5000, 0, 0, 0], beta=0.5), four([0, -5000, 0, 0], beta=0.5)],
        learnt=2,
    ),
)
HINTS = """
Three steps: two log-ratios, their difference h, and the loss of chapter 01 on βh.
chosen log-ratio = policy_chosen_logps − ref_chosen_logps, the rejected one alike; h is
    the first minus the second.
`-F.logsigmoid(beta * gap).mean()`
"""
RECIPE = pairs.GAP | pairs.MARGIN | pairs.LOGISTIC
EXERCISE = Exercise(__doc__, dpo_loss, RECIPE, SHARED + FAULTS, CHECKS, HINTS)
