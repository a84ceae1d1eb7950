"""Exercise 0.1: A reward difference becomes a probability."""

from course_lib.preferences import preference_probability
from .spec import Exercise, fresh, given, learns, normal, rule, value

STEPS = """
w v:
z = w - v  # the difference
p = sigmoid(z)  # the probability
"""
FAULTS = """
swapped: z = v - w
    rejected minus chosen: the answer whose chance is asked for comes first
ratio of rewards: p = w / (w + v)
    a ratio of the rewards themselves: they may be negative, and only their difference
    counts. Odds are ratios of e to the reward
sum in place of difference: z = w + v
    the sum of the two rewards, where the difference decides
difference without a sigmoid: p = z
    the difference itself, which is a number in logits, not yet a probability
chosen reward alone: z = w
    the sigmoid of one reward: the other answer has no say
overflowing exponentials: p = exp(w) / (exp(w) + exp(v))
    the right formula with exponentials that overflow, and ∞ / ∞ is not a number:
    torch.sigmoid of r_w − r_l never forms them
sigmoid by hand: p = 1 / (1 + exp(-z))
    right in value everywhere, but its gradient is NaN where r_l − r_w is large: e^{r_l
    − r_w} overflows to ∞, and the chain rule then multiplies 0 by ∞. torch.sigmoid is
    the same function with a finite gradient
odds by hand: p = exp(z) / (1 + exp(z))
    odds / (1 + odds), right until the odds e^{r_w − r_l} overflow to ∞: ∞ / ∞ is not a
    number. torch.sigmoid never forms the odds
odds: p = exp(z)
    the odds e^{r_w − r_l}, which run to ∞: the probability is odds / (1 + odds)
base ten: p = 1 / (1 + 10 ** (-z))
    odds of 10 : 1 for a difference of 1, as Elo counts in steps of 400. The unit here
    is the logit: base e
Elo's scale: p = 1 / (1 + 10 ** (-z / 400))
    Elo's formula, with odds of 10 : 1 for 400 points: rewards are in logits, so that a
    difference of 1 means odds of e : 1
normal distribution: p = torch.special.ndtr(z)
    Φ, the curve of the normal distribution: another model of choice. Bradley–Terry has
    the logistic sigmoid
log-probability: p = logsigmoid(z)
    the logarithm of the probability, not the probability
a hard choice: p = (z > 0).to(w.dtype)
    a hard choice: the better answer wins more often, not always
a hard choice with ties: p = (1 + torch.sign(z)) / 2
    1, ½ or 0: the better answer wins more often, not always
a rounded probability: p = sigmoid(z).round()
    0 or 1, by rounding: the better answer wins more often, not always
softmax along the wrong dimension: p = softmax(w, -1)
    a softmax over the pairs of the batch, as along the wrong dimension of a stack: it
    is the two answers of one pair that compete
softmax over the batch: p = softmax(z, -1)
    a softmax over the pairs: each pair is a choice of its own, and the pairs do not
    share one probability
two sigmoids: p = sigmoid(w) / (sigmoid(w) + sigmoid(v))
    a share of two sigmoids: the sigmoid takes the difference of the rewards
difference of sigmoids: p = sigmoid(w) - sigmoid(v)
    two sigmoids and their difference: the sigmoid comes after the difference
tanh: p = torch.tanh(z)
    tanh, which runs from −1 to 1 and is 0 between equals: σ runs from 0 to 1
mean over the pairs: p = sigmoid(z).mean()
    the mean over the pairs, where each pair has a probability of its own
detached: p = sigmoid(z).detach()
    the right numbers cut off from their inputs (by detach, item or numpy): nothing
    could be learnt through them
difference cut at 5: z = (w - v).clamp(-5, 5)
    a difference that is cut off at 5: a larger one is more certain still, and
    torch.sigmoid needs no cut
"""
CHECKS = (
    learns(
        "a tensor of probabilities, one for each pair",
        [given([3.0], [1.0]), given(normal(4), normal(4))],
    ),
    value(
        "one half when both answers are equally good",
        [given([2.0], [2.0]), given([-7.0], [-7.0])],
    ),
    rule(
        "a first answer with the higher reward",
        "be above 0.5",
        [given([2.0], [1.0]), given([-1.0], [-4.0])],
        holds=lambda call, yours, ours, near: yours.numbers[0] > 0.5,
    ),
    value(
        "a difference of 1, near 0 and near 100; and one of 12",
        [given([1.0], [0.0]), given([101.0], [100.0]), given([12.0], [0.0])],
    ),
    fresh(
        "equal e^{r_w} / (e^{r_w} + e^{r_l}), and so must its gradient",
        [given(normal(n, scale=3), normal(n, scale=3)) for n in (1, 2, 6)],
        gradient=True,
    ),
    rule(
        "rewards as large as 2000",
        "stay a number between 0 and 1, with a finite gradient",
        [given([2000.0], [0.0]), given([0.0], [2000.0])],
        gradient=True,
    ),
)
HINTS = """
Which of these changes nothing about the choice: adding 5 to both rewards, or doubling
    both? Whatever you write must depend on the difference alone.
Divide e^{r_w} / (e^{r_w} + e^{r_l}) above and below by e^{r_w}: that leaves 1 / (1 +
    e^{−z}) with z = r_w − r_l. Typed like this, its gradient breaks for large −z;
    PyTorch has the function by name, with a gradient that does not.
The logistic sigmoid of chosen minus rejected: `torch.sigmoid(reward_w - reward_l)`.
"""
EXTREMES = (
    given([1, 3000, 0, -3000, 2], [0, -3000, 0.5, 3000, 2]),
    given([0.5, 3000, -1, -3000], [0, 2999, 1, -3000]),
)
EXERCISE = Exercise(
    __doc__, preference_probability, STEPS, FAULTS, CHECKS, HINTS, EXTREMES
)
