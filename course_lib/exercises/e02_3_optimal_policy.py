"""Exercise 2.3: Tilt, then normalise."""

from course_lib.policies import optimal_policy
from .policies import EVEN, fresh_world, is_policy
from .spec import Exercise, Recipe, agrees, fresh, given, rule, value

STEPS = """
ref r beta:
start = ref.log()  # log π_ref
tilt = r / beta  # r/β
logits = start + tilt  # log π_ref + r/β
policy = softmax(logits, -1)  # the normalised weights
"""
FAULTS = """
overflowing exponentials: policy = share(ref * exp(tilt))
    exponentials that overflow or vanish: add r/β to log π_ref and let a softmax
    normalise, which subtracts the largest first
not normalised: policy = ref * exp(tilt)
    the tilt alone: its weights do not sum to 1
reference forgotten: logits = tilt
    a softmax of r/β: the reference, which the leash is tied to, is missing
times β: tilt = r * beta
    r · β where it must be r / β: a larger β must tilt less
β forgotten: tilt = r
    a tilt without β: e^r, as if β were always 1
logarithm of the reference forgotten: start = ref
    probabilities added to r/β: inside the exponential it is log π_ref
added, not multiplied: policy = share(ref + exp(tilt))
    ref + e^{r/β}: the tilt multiplies the reference
weighed by the reward itself: policy = share(ref * tilt)
    ref · r/β without the exponential: weights that may be negative
reference times the reward: policy = softmax(ref * tilt, -1)
    a softmax of ref · r/β: the reference multiplies the exponential, not the reward.
    Add log π_ref to r/β
one maximum for all prompts: policy = share(ref * exp(tilt - tilt.max()))
    the largest r/β of all prompts subtracted: the weights of a prompt whose own rewards
    are far smaller vanish. Each row needs its own
maximum of what is never said: policy = share(ref * exp(tilt - top(tilt)))
    the largest r/β of a row may belong to an answer that the reference never gives: all
    others vanish. Take the largest of log π_ref + r/β
sign turned: tilt = -r / beta
    e^{−r/β}: the worst answer would gain most
a small number added: start = log(ref + 1e-12)
    a small number added to the reference: log 0 = −∞ is right here, it keeps at 0 what
    the reference never says
normalised over all prompts: policy = softmax(logits.flatten(), 0).view_as(logits)
    one normalisation for the whole batch: each prompt is a policy of its own
reference after normalising: policy = ref * softmax(tilt, -1)
    e^{r/β} normalised by itself, and the reference multiplied in afterwards: the rows
    no longer sum to 1. Normalise last
"""
CHECKS = (
    rule(
        "one probability for each answer, and rows that sum to 1",
        "be a tensor like ref, with a gradient, and sum to 1 in each row",
        [given(EVEN, [1, 0], 1.0), fresh_world(0.5, 3, 4)],
        holds=is_policy,
        gradient=True,
    ),
    value(
        "the reference again where all rewards are equal",
        [given(EVEN, [0, 0], 1.0), given([0.7, 0.2, 0.1], [5, 5, 5], 2.0)],
    ),
    value(
        "odds e : 1 for one unit of reward at β = 1",
        [given(EVEN, [1, 0], 1.0), given([0.8, 0.2], [0, 1], 1.0)],
    ),
    value(
        "a small β and a large one",
        [given(EVEN, [1, 0], 0.5), given(EVEN, [1, 0], 4.0)],
    ),
    rule(
        "an answer that the reference never gives",
        "be 0.5, 0.5 and exactly 0: no reward brings back what is never said",
        [given([0.5, 0.5, 0.0], [0, 0, 30], 1.0)],
        holds=lambda call, yours, ours, near: (
            agrees(call, yours, ours, near) and yours.numbers[2] == 0
        ),
    ),
    fresh(
        "be in proportion to ref · e^{rewards/β} within each row",
        [fresh_world(0.2, 2), fresh_world(0.5, 5), fresh_world(3.0, 3, 4)],
        gradient=True,
    ),
    rule(
        "β = 0.001, and rewards in the thousands",
        "stay finite: e^3000 is not a number that a computer holds",
        [
            given([0.5, 0.25, 0.25], [3, 2.5, -0.5], 0.001),
            given(EVEN, [2000, 1999], 1.0),
            given(EVEN, [-2000, -1999], 1.0),
        ],
    ),
)
HINTS = """
Multiply each probability of the reference by e^{r/β}, then divide by what the row sums
    to. Then ask what becomes of e^{3000}.
In logarithms: log π* = log π_ref + r/β − log Z. Which function of torch takes
    logarithms of weights to probabilities?
`torch.softmax` of `ref.log()` plus the rewards divided by beta, over the last
    dimension.
"""
EXTREMES = (
    given([EVEN, EVEN], [[1000, 999], [1, 0]], 0.5),
    given([0.5, 0.5, 0.0], [0, 1, 3000], 1.0),
)
RECIPE = Recipe(
    STEPS,
    top=lambda tilt: tilt.amax(-1, keepdim=True),
    share=lambda weights: weights / weights.sum(-1, keepdim=True),
)
EXERCISE = Exercise(__doc__, optimal_policy, RECIPE, FAULTS, CHECKS, HINTS, EXTREMES)
