"""Exercise 6.6: KTO: thumbs up or down."""

import torch

from course_lib.losses import kto_loss
from . import pairs
from .pairs import logps
from .spec import Exercise, Recipe, builder, fresh, given, learns, rule, value, words


@builder
def _answers(inputs, *answers: tuple[float, bool], kl=1.0, beta=1.0):
    """Answers by their log-ratio, and whether they were desirable."""
    logratios, desirable = zip(*answers, strict=True)
    ref = inputs.tensor([-5.0, -9.0, -6.0, -7.0][: len(answers)])
    return ref + inputs.tensor(logratios), ref, torch.tensor(desirable), kl, beta


def _fresh(count: int, kl: float, beta: float):
    return given(logps(count), logps(count), torch.arange(count) % 3 > 0, kl, beta)


STEPS = """
policy ref good kl beta:
u = policy - ref  # the log-ratio
d = u - kl  # the distance from the point
m = beta * d  # β times the distance
s = where(good, m, -m)  # the distance on the wanted side
losses = sigmoid(-s)  # the losses
loss = losses.mean()  # the mean
"""
FAULTS = """
−log σ: losses = -logsigmoid(s)
    −log σ in place of 1 − σ: DPO's shape, which goes on pushing a hopeless answer.
    KTO's loss saturates on both sides
value in place of loss: losses = sigmoid(s)
    the value σ, which is to be made large, or the two kinds exchanged: the loss of a
    desirable answer falls as its log-ratio rises
minus the value: losses = -sigmoid(s)
    −σ without the 1: the slope is right, but the loss is 1 − σ and never below 0
all desirable: s = m
    one formula for both kinds: an undesirable answer should fall below the point, z − u
    in place of u − z
all undesirable: s = -m
    every answer treated as undesirable: does the test of `desirable` ever hold?
undesirable ones left out: losses = where(good, sigmoid(-m), 0 * m)
    no loss for undesirable answers: they are to fall below the point
desirable ones left out: losses = where(good, 0 * m, sigmoid(m))
    no loss for desirable answers: they are to rise above the point
no reference point: d = u
    the log-ratio itself: it is compared with the reference point, u − z
point added: d = u + kl
    u + z: the distance from the point is u − z
point on the other side: s = where(good, m, beta * (-u - kl))
    −u − z for an undesirable answer: u − z turns its sign as a whole, to z − u
a point of the batch's own: d = u - relu(u.mean()).detach()
    a point made of this batch's log-ratios: kl is given, from answers to other prompts
point without β: m = beta * u - kl
    βu − z: z is in nats as u is, and β multiplies both
β forgotten: m = d
    β = 1 whatever is asked for: it multiplies u − z
β outside: m = d; losses = beta * sigmoid(-s)
    β in front of the loss: there it only scales the step. It belongs inside the sigmoid
no reference: u = policy
    the policy's log-probabilities alone: u is a log-ratio
mean of each kind, added: loss = losses[good].mean() + losses[~good].mean()
    the mean of the desirable ones plus that of the others, which is NaN where a batch
    has one kind only: take one mean over all
mean of the kinds' means: loss = (losses[good].mean() + losses[~good].mean()) / 2
    a mean of each kind, then the mean of both, which is NaN where a batch has one kind
    only: take one mean over all
mean of the means that are there: loss = mean_of_kinds(losses, good)
    a mean of each kind, then of the two: every answer counts alike, take one mean
each kind by its count:
        loss = (losses * good).sum() / good.sum().clamp(min=1)
        + (losses * ~good).sum() / (~good).sum().clamp(min=1)
    the mean of the desirable ones plus that of the others: take one mean over all
    answers, whatever their kind
mean before the sigmoid: losses = sigmoid(-s.mean())
    one sigmoid of the mean distance: each answer has its own, then the mean
hinge: losses = relu(1 - s)
    a hinge: KTO's loss is a sigmoid, which saturates on both sides
sigmoid from exponentials: losses = exp(-s) / (1 + exp(-s))
    e^(−m) / (1 + e^(−m)), which is ∞/∞ far below the point: use torch.sigmoid
"""
CHECKS = (
    learns(
        "one number that carries a gradient",
        [_answers((2.0, True)), _answers((2.0, True), (0.5, False))],
    ),
    value(
        "½ at the reference point, whatever the answer was called",
        [
            _answers((1.0, True)),
            _answers((1.0, False)),
            _answers((0.0, False), kl=0.0, beta=0.1),
        ],
    ),
    value(
        "desirable and undesirable answers above and below the point",
        [_answers((3.0, True)), _answers((-1.0, False)), _answers((3.0, False))],
    ),
    value(
        "β = 0.1 and β = 0.5",
        [_answers((3.0, True), beta=0.1), _answers((3.0, False), kl=0.5, beta=0.5)],
    ),
    value(
        "the mean over all answers of the batch",
        [
            _answers((3.0, True), (1.0, True), (2.0, True), (0.0, False)),
            _answers((3.0, False), (-1.0, False)),
        ],
    ),
    fresh(
        "equal the mean of 1 − σ(β(u − z)) for desirable answers and of 1 − σ(β(z "
        "− u)) for the others, and so must its gradient",
        map(_fresh, (1, 4, 7), (0.0, 0.5, 2.0), (0.1, 0.5, 1.0)),
        learnt=1,
    ),
    rule(
        "log-ratios of ±5,000 nats",
        words("be {0:g}, with a gradient of 0"),
        [
            _answers((5000.0, True)),
            _answers((-5000.0, True)),
            _answers((5000.0, False)),
        ],
        learnt=1,
    ),
)
HINTS = """
First the distance from the reference point, β(u − z). Desirable answers should be above
    it, the others below.
The loss is 1 − σ(distance) for a desirable answer, that is σ(−distance); for an
    undesirable one the sign of the distance turns.
torch.where(desirable, …, …) chooses answer by answer; then one mean.
"""
RECIPE = Recipe(
    STEPS,
    mean_of_kinds=lambda losses, good: torch.stack(
        [kind.mean() for kind in (losses[good], losses[~good]) if len(kind)]
    ).mean(),
)
EXERCISE = Exercise(__doc__, kto_loss, RECIPE, pairs.SUM + FAULTS, CHECKS, HINTS)
