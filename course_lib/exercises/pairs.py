"""Inputs of the losses of pairs, and what is said of mistakes that several share."""

from .recipe import Recipe
from .spec import Call, Inputs, builder

# Chosen and rejected, first of the policy, then of the reference
START = ([-4.0, -7.0, -4.0, -7.0], [-9.0, -2.0, -9.0, -2.0])  # policy is reference
BETTER = [-1.0, -3.0, -2.0, -2.0]  # log-ratios 1 and −1
WORSE = [-6.0, -2.0, -3.0, -4.0]  # log-ratios −3 and 2

# Log-probabilities per token, chosen and rejected
AHEAD = [-1.0, -2.0]  # the chosen answer by one nat a token
BEHIND = [-2.5, -1.0]


def columns(inputs: Inputs, pairs: tuple[list[float], ...]) -> list:
    """One tensor for each column of pairs."""
    return [inputs.tensor(list(column)) for column in zip(*pairs, strict=True)]


@builder
def four(inputs: Inputs, *pairs: list[float], beta: float | None = 0.1, **kwargs):
    """One call from pairs such as `BETTER`.

    beta: the fifth argument, whatever the loss calls it; None: there is none
    """
    return Call((*columns(inputs, pairs), *([] if beta is None else [beta])), kwargs)


def logps(*shape: int, scale: float = 4.0):
    """For `given`: random log-probabilities of whole responses."""
    return lambda inputs: inputs.normal(*shape, scale=scale) - 20


@builder
def fresh_four(
    inputs: Inputs, count: int, beta: float, *, scale: float = 4.0, **kwargs
):
    """One call of `count` random pairs."""
    random = logps(count, scale=scale)
    return Call((*(random(inputs) for _ in range(4)), beta), kwargs)


# From four log-probabilities to the gap; from a margin to the loss of a batch
GAP = Recipe(
    """
    a b c d:
    u = a - c  # the chosen log-ratio
    v = b - d  # the rejected log-ratio
    h = u - v  # the gap
    """,
)
MARGIN = Recipe("h beta: m = beta * h  # the margin")
LOGISTIC = Recipe(
    """
    m:
    losses = -logsigmoid(m)  # the losses
    loss = losses.mean()  # the mean
    """,
)
SWAPPED = """
swapped: h = v - u
    rejected minus chosen: the gap is the chosen log-ratio minus the rejected one
"""
NO_REFERENCE = """
no reference: u = a; v = b
    the policy's log-probabilities alone: each needs the reference's subtracted from it
"""
LOG_OF_LOG = """
quotient of logarithms: u = a / c; v = b / d
    log-probabilities divided: the logarithm of a ratio is their difference
log of a quotient: u = log(a / c); v = log(b / d)
    a logarithm of what are logarithms already: log(π/π_ref) is log π − log π_ref
"""
NO_MINUS = """
no minus sign: losses = logsigmoid(m)
    the log-likelihood without its minus sign: a loss is minimised
"""
LOG_SIGMOID = """
log(sigmoid): losses = -log(sigmoid(m))
    −log(sigmoid(m)) or log(1 + e^(−m)): for a margin far below 0 the sigmoid rounds to
    0, or the power overflows, and the loss is ∞. Use F.logsigmoid
"""
SATURATING = """
1 − σ: losses = sigmoid(-m)
    1 − σ(m), without a logarithm: it saturates, so a pair which is far wrong gets
    next to no push. The loss is −log σ(m)
"""
BETA_FORGOTTEN = """
beta forgotten: m = h
    β = 1 whatever is asked for: it multiplies the gap inside the sigmoid
"""
BETA_OUTSIDE = """
beta outside: m = h; losses = -beta * logsigmoid(m)
    β in front of the loss: there it only scales the step. It belongs inside the sigmoid
"""
MEAN_FIRST = """
mean before the logarithm: losses = -logsigmoid(m.mean())
    one logarithm of the mean margin: a large win would pay for a loss. Average the
    losses
"""
SUM = """
sum in place of mean: loss = losses.sum()
    a sum over the batch: the learning rate would depend on the batch's size
"""
