"""Random policies and worlds, for chapters 02 and 03."""

from .recipe import Recipe
from .spec import Build, Call, Observation, given, normal, returns_like

EVEN = [0.5, 0.5]
RARE = [1.0, 1e-12]  # 1e-12 is lost among numbers of seven digits, its log is not

KL = Recipe(
    """
    p q:
    mine = xlogy(p, p)  # p log p
    theirs = xlogy(p, q)  # p log q
    terms = mine - theirs  # the weighted log-ratios
    kl = terms.sum(-1)  # the KL
    """,
)
KL_FAULTS = """
0 log 0 is not a number: terms = p * log(p / q)
    0 · log 0, which a computer calls NaN: torch.xlogy(0, 0) is 0, as the sum needs it
0 divided by 0: terms = xlogy(p, p / q)
    NaN for an answer that neither policy gives, from 0/0 or from 0 times the logarithm
    of 0: take two xlogy and subtract
a small number added: terms = p * log((p + 1e-12) / (q + 1e-12))
    a small number added before the logarithm: it caps what leaving the support of the
    second policy costs, which must be infinitely many nats
mean over the answers: kl = terms.mean(-1)
    a mean over the answers: the policy that draws weighs them already, so their terms
    are summed
"""


def policy(*shape: int):
    """For `given`: random probabilities, each row of which sums to 1."""
    return lambda inputs: inputs.normal(*shape).softmax(-1)


def fresh_world(beta: float, *shape: int) -> Build:
    """One call with a random reference, random rewards and β."""
    return given(policy(*shape), normal(*shape), beta)


def is_policy(call: Call, yours: Observation, ours: Observation, near: float) -> bool:
    """As `returns_like`, and every row sums to 1."""
    if not returns_like(call, yours, ours, near):
        return False
    width = yours.shape[-1]
    rows = range(0, len(yours.numbers), width)
    return all(abs(sum(yours.numbers[i : i + width]) - 1) <= near for i in rows)
