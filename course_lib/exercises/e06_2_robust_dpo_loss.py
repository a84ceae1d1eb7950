"""Exercise 6.2: Robust DPO: labels that may be flipped."""

from course_lib.losses import robust_dpo_loss
from . import pairs
from .pairs import BETTER, START, WORSE, four, fresh_four
from .spec import Exercise, Recipe, fresh, learns, value


def _four(rate: float, *pairs: list[float], **more):
    return four(*pairs, label_smoothing=rate, **more)


STEPS = """
m eps:
right = -logsigmoid(m)  # the loss as labelled
turned = -logsigmoid(-m)  # the loss of the turned pair
rest = (1 - eps) * right - eps * turned  # the difference of the weighted losses
losses = rest / (1 - 2 * eps)  # the losses
loss = losses.mean()  # the mean
"""
FAULTS = """
cDPO: losses = (1 - eps) * right + eps * turned
    smoothed labels, cDPO: they believe in flips and stop early. Here the turned pair's
    loss is taken away, and the rest scaled up
plus: rest = (1 - eps) * right + eps * turned
    the turned pair's loss added and the sum divided by 1 − 2ε: take it away
not divided: losses = rest
    no division by 1 − 2ε: averaged over flips it would be 1 − 2ε times the clean loss
divided by 1 − ε: losses = rest / (1 - eps)
    divided by 1 − ε: on average the weights leave 1 − 2ε of the loss, so divide by that
times 1 − 2ε: losses = rest * (1 - 2 * eps)
    multiplied by 1 − 2ε: averaged over flips the weights leave 1 − 2ε of the clean
    loss, so divide by that
weights exchanged: rest = eps * right - (1 - eps) * turned
    ε on the label as it stands and 1 − ε on the turned one: most labels are right
whole loss as labelled: rest = right - eps * turned
    the full loss of the label as it stands: its weight is 1 − ε
terms the wrong way round: rest = eps * turned - (1 - eps) * right
    minus the loss: the turned pair's share is taken from the loss as labelled, and not
    the other way round
mixture: losses = -log((1 - eps) * sigmoid(m) + eps * sigmoid(-m))
    one logarithm of the mixed chances: it believes in flips, as cDPO does. Here two
    losses, each with its logarithm, are weighed
smoothing ignored: losses = right
    DPO's loss whatever ε is
scaled margin: losses = -logsigmoid(m / (1 - 2 * eps))
    the margin divided by 1 − 2ε inside DPO's loss: here two losses are weighed, that of
    the pair and that of the turned pair
floor at 0: losses = relu(rest / (1 - 2 * eps))
    held at 0 from below: then it is not unbiased, and where it is held nothing pushes.
    A loss may be negative
log(sigmoid): right = -log(sigmoid(m)); turned = -log(sigmoid(-m))
    −log(sigmoid(m)) or log(1 + e^(−m)): for a margin far below 0 the sigmoid rounds to
    0, or the power overflows, and the loss is ∞. Use F.logsigmoid
β outside: m = h; loss = beta * losses.mean()
    β in front of the loss, where it only scales the step: it belongs in both sigmoids
mean before the logarithm: m = beta * h.mean()
    one logarithm of the mean gap: a large win would pay for a loss. Average the losses
one term divided: rest = (1 - eps) * right * (1 - 2 * eps) - eps * turned
    1 − 2ε below the second term alone: it divides the whole difference
margin times 1 − 2ε: losses = -logsigmoid((1 - 2 * eps) * m)
    the margin times 1 − 2ε: here two losses are weighed, of the pair and of the turned
ε for ε/(1 − 2ε): losses = right - eps * m
    DPO's loss less ε times the margin: the factor is ε/(1 − 2ε), with a plus
"""
SHARED = pairs.SWAPPED + pairs.NO_REFERENCE + pairs.BETA_FORGOTTEN + pairs.SUM
CHECKS = (
    learns(
        "one number that carries a gradient",
        [_four(0.1, BETTER), _four(0.3, BETTER, WORSE)],
    ),
    value(
        "ln 2 when policy and reference agree, whatever ε is",
        [_four(rate, START[0]) for rate in (0.1, 0.25, 0.4)],
    ),
    value(
        "DPO's loss and a share of the loss of the turned pair taken away",
        [_four(0.25, WORSE, beta=0.5), _four(0.1, BETTER, beta=0.1)],
    ),
    value(
        "pairs whose order is right by far",
        [
            _four(0.25, [0, -40, 0, 0], beta=0.5),
            _four(0.25, [0, -4000, 0, 0], beta=0.5),
        ],
    ),
    value(
        "the mean over pairs, each with logarithms of its own",
        [
            _four(0.1, BETTER, WORSE, beta=0.5),
            _four(0.1, BETTER, BETTER, WORSE, beta=0.5),
        ],
    ),
    fresh(
        "equal the mean of [−(1 − ε) log σ(βh) + ε log σ(−βh)] / (1 − 2ε), and so "
        "must its gradient",
        [
            fresh_four(n, beta, label_smoothing=rate)
            for n, beta, rate in ((1, 0.1, 0.1), (3, 0.5, 0.0), (7, 1.0, 0.3))
        ],
        learnt=2,
    ),
)
HINTS = """
Two of DPO's losses, one of the pair as labelled and one of the pair turned round. With
    which weights does the average over flips give the clean loss?
(1 − ε) times the first minus ε times the second, divided by 1 − 2ε.
right = -F.logsigmoid(beta * gap), turned = -F.logsigmoid(-beta * gap), then `((1 - e) *
    right - e * turned) / (1 - 2 * e)`, e being the smoothing
"""
EXTREMES = (_four(0.25, [-4000, -1, -1, -1], [-1, -4000, -1, -1], beta=0.5),)
RECIPE = pairs.GAP | pairs.MARGIN | Recipe(STEPS)
EXERCISE = Exercise(
    __doc__, robust_dpo_loss, RECIPE, SHARED + FAULTS, CHECKS, HINTS, EXTREMES
)
