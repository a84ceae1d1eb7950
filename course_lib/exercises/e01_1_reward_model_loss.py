"""Exercise 1.1: The loss of a reward model."""

from course_lib.preferences import reward_model_loss
from . import pairs
from .spec import Exercise, Recipe, finite, fresh, given, learns, normal, rule, value

FAULTS = """
swapped: m = r - c
    rejected minus chosen: training on it would reward the worse answer
difference of sigmoids: m = sigmoid(c) - sigmoid(r)
    a sigmoid of each reward, and then their difference: a reward alone has no meaning.
    Subtract first, one sigmoid after
every chosen against every rejected: m = c[:, None] - r
    each chosen answer against the rejected ones of all pairs: a column less a row is a
    table. Answers are compared within a pair
each answer alone: losses = -logsigmoid(c) - logsigmoid(-r)
    each answer classified alone, the chosen as good, the rejected as bad: only their
    difference is known
softmax over the batch: losses = -c.log_softmax(-1)
    a softmax over the pairs of the batch, which then compete with each other: it is the
    two answers of one pair that do
log(1 − σ): losses = log(sigmoid(-m))
    log(1 − σ(Δ)): it falls without end as a pair is won, and lets go of a pair that is
    lost. The loss is −log σ(Δ)
probability in place of its log: losses = sigmoid(-m)
    1 − σ(Δ): a bounded loss that stops pushing where the model is most wrong. The
    likelihood needs the logarithm
mean before the logarithm: loss = -logsigmoid(m.mean())
    one logarithm of the mean difference: a large win would pay for a loss. Each pair
    has a likelihood of its own
mean of the probabilities: loss = -log(sigmoid(m).mean())
    one logarithm of the mean probability: each pair has a logarithm of its own, and a
    likelihood is their product
hinge: losses = relu(1 - m)
    a hinge: another loss, with no probability behind it
squared error: losses = (1 - sigmoid(m)) ** 2
    a squared error of the probability: its push vanishes where the model is most wrong.
    The likelihood is −log σ
linear: losses = -m
    minus the difference: without −log σ it never stops falling, and pushes pairs that
    are right as hard as the others
small number added: losses = -log(sigmoid(m) + 1e-8)
    a small number inside the logarithm: the loss stops growing there and no longer
    pushes. Use F.logsigmoid
unreduced: loss = losses
    one loss for each pair: backward() needs a single number, their mean
detached: loss = losses.mean().detach()
    the right number cut off from the rewards: no gradient reaches the model
rejected side detached: m = c - r.detach()
    a rejected reward that gets no gradient: both sides of the difference learn
"""
SHARED = pairs.NO_MINUS + pairs.SUM + pairs.LOG_SIGMOID
CHECKS = (
    learns(
        "one number that carries a gradient",
        [given([1.5], [0.0]), given([1, 2, 3], [0, 0, 1])],
    ),
    value(
        "ln 2 when the model has no opinion",
        [given([0.0], [0.0]), given([5, -3], [5, -3])],
    ),
    rule(
        "a chosen answer with the higher reward",
        "be below 0.6931 and above 0",
        [given([2.0], [1.0]), given([-1.0], [-4.0])],
        holds=lambda call, yours, ours, near: 0 < yours.numbers[0] < 0.6931,
    ),
    value("the mean over the batch", [given([2, 0], [0, 0]), given([2] * 4, [0] * 4)]),
    fresh(
        "equal the mean of −log σ(chosen − rejected), and so must its gradient",
        [given(normal(n, scale=2), normal(n, scale=2)) for n in (1, 2, 7)],
        gradient=True,
    ),
    rule(
        "a model that is wrong by 2000 logits",
        finite,
        [given([-2000.0], [0.0]), given([0.0], [-2000.0])],
        gradient=True,
    ),
)
HINTS = """
The likelihood of a whole data set is a product over pairs; its logarithm is a sum; a
    loss is minus that, averaged.
Each pair contributes −log P(chosen ≻ rejected), and exercise 0.1 gave you P.
`F.logsigmoid(chosen_rewards - rejected_rewards)`, its mean, and a minus sign.
"""
EXTREMES = (given([1, -3000, 0.5, 3000, 0], [0, 3000, 2, -3000, 1]),)
RECIPE = Recipe("c r: m = c - r  # the difference") | pairs.LOGISTIC
EXERCISE = Exercise(
    __doc__, reward_model_loss, RECIPE, SHARED + FAULTS, CHECKS, HINTS, EXTREMES
)
