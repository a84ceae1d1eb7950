"""Exercise 10.4: Whom a step on a pair lifts."""

from course_lib.limits.displacement import pair_pushes
from .spec import Exercise, builder, fresh, given, kind, rule, value

TABLE = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
MOVED = [[6.0, 0.0, 0.0], [5.0, 1.0, 0.0], [5.0, 0.0, 1.0]]
EVEN = [0.25, 0.25, 0.5]
SHARED = [[1.0, 0.0], [0.8, -0.6], [0.9, 2.0]]  # chapter 04's three answers


@builder
def _pairs(inputs, answers: int, width: int, pairs: int):
    policy = inputs.normal(answers).softmax(-1)
    orders = inputs.permutations(pairs, answers)
    return inputs.normal(answers, width), policy, orders[:, 0], orders[:, 1]


STEPS = """
f p w l:
m = p @ f  # the mean features under the policy
g = f - m  # the gradient of each log-probability
d = f[w] - f[l]  # the direction of the step
k = d @ g.T  # the push on each answer
"""
FAULTS = """
not centred: g = f
    features that are not centred: the policy sums to 1, so an answer gains only what it
    gains above the mean under the policy
its own share alone: g = (1 - p)[:, None] * f; d = g[w] - g[l]
    (1 − π) times the answer's own features, as if nothing else were pulled down: the
    mean over all answers is subtracted
a step of size 1: k = (log(p) + d @ f.T).log_softmax(-1) - log(p)
    how far a whole step of size 1 goes: asked is the slope where it begins
centred by count: m = f.mean(0)
    the mean over all answers alike: an answer weighs as much as it is likely
chosen alone: d = f[w]
    a step along the chosen answer's features alone: the loss pulls the two answers
    apart, so the rejected one's are subtracted
chosen's gradient alone: d = g[w]
    the gradient of the chosen answer alone, which is SFT: DPO subtracts the rejected
    one's
swapped: d = f[l] - f[w]
    the step turned round: the chosen answer comes first
rejected alone: d = -f[l]
    a step away from the rejected answer alone: the chosen one's features are part of
    the direction
weighted: k = p * (d @ g.T)
    changes of the probabilities: asked are those of their logarithms
signs: k = (d @ g.T).sign()
    signs without sizes: return the products themselves
cosine: k = F.normalize(d, dim=-1) @ F.normalize(g, dim=-1).T
    cosines: how long the gradients are counts as well
answers first: k = g @ d.T
    a row for each answer: a row for each pair is asked
unit lengths: g = F.normalize(f - m, dim=-1); d = g[w] - g[l]
    gradients brought to length 1: how long they are counts as well, since a long
    rejected gradient is what lowers the chosen answer
"""
CHECKS = (
    kind(
        "a row for each pair, a column for each answer",
        [given(TABLE, [0.2, 0.3, 0.5], (0, 1), (1, 2))],
    ),
    value(
        "a table whose two answers are equally likely: one up, one down",
        [given(TABLE, EVEN, (0,), (1,))],
    ),
    rule(
        "the same table with a 5 added to the first feature of all",
        "stay as it was: a shift of all logits changes no probability",
        [given(MOVED, EVEN, (0,), (1,))],
    ),
    rule(
        "three answers that share two parameters",
        "be (a_w − a_l) · (a_y − E_π[a]) for each answer y: the third one gains",
        [given(SHARED, [0.5, 0.375, 0.125], (0,), (1,))],
    ),
    fresh(
        "be (a_w − a_l) · (a_y − E_π[a])",
        [_pairs(3, 2, 1), _pairs(5, 4, 2), _pairs(4, 6, 3)],
    ),
)
HINTS = """
Logits are features times a shared vector θ. What is the gradient of log softmax with
    respect to θ, for one answer?
∇ log π(y) = a_y − E_π[a]. The step goes along the chosen one's minus the rejected
    one's, where the mean cancels.
`(features[chosen] - features[rejected]) @ (features - policy @ features).T`
"""
EXERCISE = Exercise(__doc__, pair_pushes, STEPS, FAULTS, CHECKS, HINTS)
