"""Exercise 8.5: How many prompts tell 61 % from 57 %."""

from course_lib.metrics import prompts_needed
from .spec import Exercise, builder, fresh, given, kind, rule, value


@builder
def _fresh(inputs, count: int):
    better = 0.5 + 0.3 * inputs.uniform(count)
    worse = better - 0.05 - 0.2 * inputs.uniform(count)
    least, most = (better + worse - 1).clamp(min=0), worse
    return better, worse, least + (most - least) * inputs.uniform(count)


STEPS = """
p q b:
diff = p - q  # the difference of the rates
apart = p + q - 2 * b  # the share of prompts that one alone wins
var = apart - diff**2  # the variance on one prompt
n = 2.8**2 * var / diff**2  # the number of prompts
"""
FAULTS = """
on prompts of their own: var = p * (1 - p) + q * (1 - q) + 0 * b
    p (1 − p) + q (1 − q), as if each policy had prompts of its own: on the same prompts
    what both win, or both lose, drops out
as if nothing differed: var = apart
    the variance if p and q were equal: the mean of the difference is p − q, and its
    square is taken away
what both win, once: apart = p + q - b
    the share that at least one wins: on prompts that both win the difference is 0, so
    they go twice
covariance in place of the share: apart = p + q - 2 * (b - p * q)
    the share of joint wins less p q, which is a covariance: it goes with p (1 − p) + q
    (1 − q), not with p + q
the share as a covariance: var = p * (1 - p) + q * (1 - q) - 2 * b
    the share of joint wins as if it were a covariance: that is both − p q
covariance, once: var = p * (1 - p) + q * (1 - q) - (b - p * q)
    the covariance subtracted once: Var(a − b) = Var a + Var b − 2 Cov(a, b)
the share as a correlation: var = p * (1 - p) + q * (1 - q)
        - 2 * b * (p * (1 - p) * q * (1 - q)).sqrt()
    the share of joint wins as if it were a correlation: a covariance is both − p q,
    without any root
two variances: n = (1.96 * apart.sqrt() + 0.84 * var.sqrt()) ** 2 / diff**2
    1.96 errors as if nothing differed, and 0.84 of the true ones: here both belong to
    the variance of the difference
joint losses forgotten: apart = 1 - b
    every prompt but those that both win: those that both lose drop out as well
half of the time: n = 1.96**2 * var / diff**2
    1.96 standard errors, with which the difference is missed in half of all trials: 2.8
    are asked for
not squared: n = 2.8 * var / diff**2
    2.8 for its square: n is under a root in the standard error
a standard error: n = 2.8 * var.sqrt() / diff.abs()
    the root of the number: solve |p − q| = 2.8 √(Var/n) for n
difference not squared: n = 2.8**2 * var / diff.abs()
    the difference where its square belongs: half the difference takes four times the
    prompts
ours must be better: n = 2.8**2 * var / relu(diff) ** 2
    no number where theirs is the better policy: the test has two sides, and the
    difference is squared
one rate: var = p * (1 - p) + 0 * b
    the variance of one rate: both are estimates
rounded up: n = (2.8**2 * var / diff**2).ceil()
    a whole number: asked is the number as it comes, to round up at the end
pooled rate: var = (p + q) * (1 - (p + q) / 2) - 2 * (b - p * q)
    the pooled rate of a textbook's test: the variance is that of the difference itself,
    (p − q)²/2 less
covariance added: var = p * (1 - p) + q * (1 - q) + 2 * (b - p * q)
    the covariance added: the variance of a *difference* subtracts it twice
"""
CHECKS = (
    kind("one number for each comparison", [given([0.61], [0.57], [0.4]), _fresh(3)]),
    value(
        "none but 7.84 times nothing, where one wins all and the other none",
        [given([1.0], [0.0], [0.0])],
    ),
    rule(
        "61 % against 57 %, with nothing in common",
        "be as many as with prompts of their own, for both = p q",
        [given([0.61], [0.57], [0.61 * 0.57])],
    ),
    rule(
        "61 % against 57 %, and 50 % or 57 % are won by both",
        "be fewer: prompts that both win say nothing about the difference",
        [given([0.61, 0.61], [0.57, 0.57], [0.5, 0.57])],
    ),
    rule(
        "the second policy the better one",
        "be the same as with the policies exchanged",
        [given([0.57], [0.61], [0.5])],
    ),
    fresh(
        "be the n with |p − q| = 2.8 √(Var/n), Var being that of win minus win on "
        "one prompt",
        map(_fresh, (1, 4, 7)),
    ),
)
HINTS = """
On one prompt, let D be 1 if ours alone wins, −1 if theirs alone does, else 0. Its mean
    is p − q. What is the mean of D²?
D² is 1 where one alone wins: p − both, and q − both. Var D is that less (p − q)², and
    |p − q| is to be 2.8 √(Var D / n).
`2.8**2 * (ours + theirs - 2 * both - (ours - theirs) ** 2) / (ours - theirs) ** 2`
"""
EXERCISE = Exercise(__doc__, prompts_needed, STEPS, FAULTS, CHECKS, HINTS)
