"""Exercise 3.4: A preference without any Z."""

from course_lib.losses import implicit_preference_probability
from . import pairs
from .pairs import BETTER, four, fresh_four
from .spec import Exercise, Recipe, fresh, learns, rule, value, words

FAULTS = """
no reference: u = a; v = b
    the policy's log-probabilities alone: an answer that the reference found likely
    already would count as preferred
reference added: u = a + c; v = b + d
    the reference's difference added to the policy's: subtract from each answer's
    log-probability the reference's for the same answer
beta forgotten: m = h
    σ of the gap in nats: β turns it into a difference of rewards
divided by beta: m = h / beta
    the gap divided by β: r = β log(π*/π_ref) + β log Z has β in front
beta outside: p = beta * sigmoid(h)
    β in front of the sigmoid, where it scales the probability: it multiplies the gap
margin in place of a probability: p = m
    the reward margin βh: σ turns it into a probability
log-probability: p = logsigmoid(m)
    the logarithm of the probability, which the next chapter's loss will want
ratios of probabilities: p = 1 / (1 + ((exp(b) / exp(d)) / (exp(a) / exp(c))) ** beta)
    exponentials of log-probabilities: real answers have e^−2000, which is 0, and 0/0.
    Stay with differences of logarithms
sigmoid from exponentials: p = 1 / (1 + exp(-m))
    1 / (1 + e^(−m)), right as a value: where e^(−m) is infinite, its gradient is NaN.
    torch.sigmoid has a finite one
fraction of exponentials: p = exp(m) / (1 + exp(m))
    e^m / (1 + e^m), which is ∞/∞ for a large margin: torch.sigmoid never forms it
shares of the rewards: p = u / (u + v)
    the chosen reward's share of both: Bradley–Terry takes shares of their exponentials,
    which is a sigmoid of the difference
two sigmoids: p = sigmoid(beta * u) / (sigmoid(beta * u) + sigmoid(beta * v))
    a sigmoid of each reward before they are compared: one sigmoid, of their difference
chosen alone: h = u
    the chosen answer alone: β log Z does not cancel without its partner
averaged: p = sigmoid(m).mean()
    one average for the batch: each pair has a probability of its own
ratios for their logarithms: h = exp(u) - exp(v)
    a difference of the ratios: rewards are β times the *logarithms* of the ratios
β on one side: m = beta * u - v
    β on the chosen log-ratio alone: it multiplies the whole gap
"""
CHECKS = (
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
    fresh(
        "equal σ(β(chosen − rejected log-ratio)), and so must the policy's gradient",
        [fresh_four(n, b, scale=3) for n, b in ((1, 0.1), (4, 0.5), (6, 1.5))],
        learnt=2,
    ),
    rule(
        "answers as improbable as e^−2000",
        words(
            "be {0:.4f}, with its gradient: e^−2000 is 0 to a computer, the "
            "difference of two logarithms is not"
        ),
        [
            four([-2000, -2002, -2001, -2001], beta=0.5),
            four([-2000, -10, -10, -2000], beta=0.5),
            four([-10, -2000, -2000, -10], beta=0.5),
        ],
        learnt=2,
    ),
)
HINTS = """
Each answer has the implicit reward β log(π_θ/π_ref); Bradley–Terry wants the difference
    of two of them.
Log-ratio of the chosen answer minus log-ratio of the rejected one, times β: that is the
    logit of the preference.
`torch.sigmoid` of beta times (policy minus ref of the chosen, minus policy minus ref of
    the rejected).
"""
RECIPE = pairs.GAP | pairs.MARGIN | Recipe("m: p = sigmoid(m)  # the probability")
FAULTS = pairs.SWAPPED + pairs.LOG_OF_LOG + FAULTS
EXERCISE = Exercise(
    __doc__, implicit_preference_probability, RECIPE, FAULTS, CHECKS, HINTS
)
