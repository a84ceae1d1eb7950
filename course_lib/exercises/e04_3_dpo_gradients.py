"""Exercise 4.3: The gradient, by formula."""

from course_lib.losses import dpo_gradients
from . import pairs
from .pairs import BETTER, START, WORSE, four, fresh_four
from .spec import Exercise, Recipe, fresh, kind, value

STEPS = """
m beta:
weight = sigmoid(-m)  # the weight σ(−βh)
size = beta * weight  # β σ(−βh)
both = torch.stack([-size, size], -1)  # the gradient
"""
FAULTS = """
step in place of gradient: both = torch.stack([size, -size], -1)
    the step that training takes: the gradient is its opposite, negative for the chosen
beta in front forgotten: size = weight
    σ(−βh) without the β that the chain rule brings down in front of it
beta inside forgotten: m = h
    β in front and none inside: the sigmoid sees the margin βh
weight of the right order: weight = sigmoid(m)
    σ(+βh), large for pairs that are right already: what stands in the sigmoid is minus
    β times chosen minus rejected
derivative of the sigmoid: weight = sigmoid(m) * (1 - sigmoid(m))
    σ(1 − σ), the derivative of σ itself: of −log σ(m) it is −σ(−m)
loss in place of its slope: weight = -logsigmoid(m)
    the losses times ∓β: what belongs there is how steep the loss is, σ(−βh)
no weight: weight = torch.ones_like(m)
    the same push for every pair: the sigmoid that weighs them is missing
gradient of the mean: size = beta * weight / m.shape[0]
    divided by the number of pairs, as in a mean: here each pair stands alone
both pushed up: both = torch.stack([-size, -size], -1)
    the same sign twice: the loss falls where the rejected answer falls
pairs in columns: both = torch.stack([-size, size])
    one row of chosen, one of rejected: a row is a pair, stack along the last dimension
sigmoid from exponentials: weight = exp(-m) / (1 + exp(-m))
    e^(−m) / (1 + e^(−m)), which is ∞/∞ for a pair that is far wrong: use torch.sigmoid
a sigmoid each: both = beta * torch.stack([-sigmoid(-beta * u), sigmoid(beta * v)], -1)
    a sigmoid for each answer: both share one, that of the gap
"""
CHECKS = (
    kind("two numbers for each pair", [four(BETTER), four(BETTER, WORSE, START[0])]),
    value(
        "−β/2 and +β/2 when policy and reference agree",
        [four(START[0], beta=1.0), four(START[0], beta=0.1)],
    ),
    value("of each pair alone, not of the batch's mean", [four(*START)]),
    value(
        "pairs in the right order and in the wrong one",
        [four(BETTER, WORSE, beta=1.0), four(BETTER, WORSE, beta=0.2)],
    ),
    fresh(
        "be −β σ(−βh) and +β σ(−βh), h being the gap of each pair",
        [fresh_four(n, beta) for n, beta in ((1, 0.1), (3, 0.5), (7, 1.5))],
    ),
    value(
        "0 and β at gaps of ±5,000 nats",
        [four([0, -5000, 0, 0], [-5000, 0, 0, 0], beta=0.5)],
    ),
)
HINTS = """
The chain rule in three links: from −log σ(m) to m, from m = βh to h, from h to the two
    log-probabilities.
d/dm of −log σ(m) is −σ(−m); dm/dh = β; dh is +1 for the chosen answer and −1 for the
    rejected one.
weight = beta * torch.sigmoid(-beta * gap), then `torch.stack([-weight, weight], -1)`.
"""
RECIPE = pairs.GAP | pairs.MARGIN | Recipe(STEPS)
EXERCISE = Exercise(
    __doc__, dpo_gradients, RECIPE, pairs.NO_REFERENCE + FAULTS, CHECKS, HINTS
)
