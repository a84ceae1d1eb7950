"""Exercise 10.1: What no pair mentions."""

from course_lib.limits.coverage import untouched_mass
from .policies import EVEN
from .spec import Exercise, builder, fresh, given, kind, rule, value


@builder
def _drawn(inputs, pairs: int, *shape: int):
    ref = (3 * inputs.normal(*shape)).softmax(-1)
    return inputs.normal(*shape).softmax(-1), ref, pairs


RARE = [0.5, 0.5], [1 - 1e-6, 1e-6]

STEPS = """
policy ref pairs:
once = torch.log1p(-ref)  # the logarithm of missing an answer in one draw
draws = 2 * pairs  # the number of draws
none = draws * once  # the logarithm of missing an answer in all draws
missed = exp(none)  # the probability of missing an answer in all draws
terms = policy * missed  # the weighted probabilities
mass = terms.sum(-1)  # the mass
"""
FAULTS = """
exactly one of the two: none = pairs * torch.log1p(-2 * ref * (1 - ref))
    2p(1 − p), the probability that *exactly* one of the two is the answer: a pair of it
    with itself mentions it as well
one answer a pair: draws = pairs
    n draws: a pair mentions two answers, so n pairs are 2n draws
what is drawn: missed = 1 - exp(none)
    the share that some pair mentions: asked is the rest, which none does
drawn by the policy: once = torch.log1p(-policy)
    pairs that the policy draws: it is the reference that draws them
weighed by the reference: terms = ref * missed
    the reference's own mass: it is the policy's answers that must be covered
not weighed: terms = missed
    a number of answers: weigh each with the policy's probability
mean over the answers: mass = terms.mean(-1)
    a mean over the answers: the policy's probabilities weigh them already, so their
    terms are summed
one sum for all prompts: mass = terms.sum()
    a single sum for the whole batch: each prompt has a share of its own
expected count: missed = exp(-draws * ref)
    e^{−2n π_ref}, as if draws were raindrops: it is close for rare answers, and too
    large for common ones
first order: missed = relu(1 - draws * ref)
    1 − 2n π_ref, held at 0: an answer may be drawn more than once, so the probabilities
    of the draws do not add up
a small number added: once = torch.log(1 - ref + 1e-12)
    a small number added inside the logarithm, or 1 − ref formed first: with millions of
    draws every lost digit counts, and `torch.log1p` keeps them
the best answer: mass = missed.gather(-1, policy.argmax(-1, keepdim=True)).squeeze(-1)
    the probability for the policy's favourite alone: all its answers count
one draw of twice the chance: missed = (1 - 2 * ref) ** pairs
    1 − 2p a pair: two draws both miss with (1 − p)²
both draws at once: none = pairs * torch.log1p(-(ref**2))
    p², the probability that *both* draws are the answer: one is enough to mention it
"""
CHECKS = (
    kind("one share for each prompt", [given(EVEN, EVEN, 1), _drawn(2, 3, 4)]),
    value("one pair, drawn from two answers alike", [given([0.75, 0.25], EVEN, 1)]),
    value(
        "all of the policy before there is a pair, and less with every pair",
        [given([0.2, 0.8], [0.9, 0.1], n) for n in (0, 1, 5)],
    ),
    rule(
        "an answer of one in a million, and a million pairs",
        "be ½ e^{−2}, nearly: no digit of the rare probability may be lost",
        [given(*RARE, 1_000_000)],
    ),
    fresh(
        "be the policy's mean of (1 − ref)^{2 pairs}",
        [_drawn(1, 4), _drawn(3, 2, 5), _drawn(20, 3, 6)],
    ),
)
HINTS = """
One answer, one draw: it is missed with probability 1 − ref. How many draws are n pairs,
    and what is the probability that all of them miss it?
Weigh (1 − ref)^{2n} with the policy and sum over the answers. Then try a reference of
    1e-9: what does 1 − 1e-9 become in float32?
`torch.log1p(-ref)` is the logarithm of 1 − ref with all its digits. Multiply it by 2 ·
    pairs, take `exp`, weigh, and sum over the last dimension.
"""
EXTREMES = (given(EVEN, [0.999, 0.001], 5),)
TERMS = {"zero_probabilities": False}
EXERCISE = Exercise(
    __doc__, untouched_mass, STEPS, FAULTS, CHECKS, HINTS, EXTREMES, **TERMS
)
