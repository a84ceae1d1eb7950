"""Exercise 10.3: What the beginning of an answer is worth."""

from course_lib.limits.token_values import prefix_values
from .spec import Exercise, builder, fresh, given, kind, rule, value


@builder
def _answers(inputs, batch: int, time: int, beta: float):
    policy, ref = (-inputs.normal(batch, time).exp() for _ in "ab")
    return policy, ref, inputs.normal(batch), beta


STEPS = """
p q r b:
u = p - q  # the log-ratio of each token
a = b * u  # the credit of each token
t = a.flip(-1).cumsum(-1).flip(-1)  # the credit still to come
v = r[:, None] - t  # the value before each token
all = torch.cat([v, r[:, None]], -1)  # the values
"""
FAULTS = """
from the front: t = a.cumsum(-1)
    the credit that has been paid already: what is still to come decides what a
    beginning is worth, so add from the end
read backwards: t = a.cumsum(-1).flip(-1)
    sums from the front, read backwards: flip before cumsum and again after it
nothing after the end: all = torch.cat([v, r[:, None]], -1)
        * F.pad((p != 0).to(p), (1, 0), value=1.0)
    values of 0 where a log-probability is 0: after its end an answer is worth its
    reward, and a token that was certain costs nothing
one place late: t = a.flip(-1).cumsum(-1).flip(-1) - a
    the value after each token where the value before it is asked: the first number must
    be worth β log Z
no beta: a = u
    nats in place of reward: a log-ratio times β is in units of reward
divided by beta: a = u / b
    the log-ratio divided by β: a token's credit is β times its log-ratio
no reward: v = -t
    values that end at 0: the last beginning is the whole answer, worth r
added: v = r[:, None] + t
    the credit to come added: a beginning is worth the reward minus what is still to be
    gained on the way to it
the whole sum: t = a.sum(-1, keepdim=True).expand_as(a)
    the same value for every beginning, β log Z: a token changes the value
a mean: t = a.flip(-1).cumsum(-1).flip(-1) / a.shape[-1]
    a mean over tokens: credits are added, not averaged
no last value: all = v
    one number too few: before each token, and once more after the last one
last value 0: all = torch.cat([v, 0 * r[:, None]], -1)
    a last value of 0: after the last token the answer is worth its reward
last value first: all = torch.cat([r[:, None], v], -1)
    the reward in the first place: time runs from left to right
policy alone: u = p
    log-probs in place of log-ratios: what the reference would have said anyway earns no
    credit
sure tokens taken for padding: v = where(p == 0, r[:, None] + 0 * t, r[:, None] - t)
    a log-probability of 0 read as the end: a token that is certain has one too. The
    padding's credits are 0 already
reward forgotten: all = F.pad(-t, (0, 1))
    values without the reward, which end at 0: the whole answer is worth r
paid so far: v = a.cumsum(-1)
    the credits paid so far: a value is the reward less what is still to come
from 0 upwards: all = F.pad(a.cumsum(-1), (1, 0))
    credits added up from 0: the last value is the reward, and the first is β log Z
"""
CHECKS = (
    kind(
        "one value before each token, and one after the last",
        [given([[-1.0, -2.0]], [[-1.5, -2.0]], [1.0], 0.5)],
    ),
    value(
        "the reward throughout, where policy and reference agree",
        [given([[-1.0, -2.0]], [[-1.0, -2.0]], [2.0], 0.5)],
    ),
    value(
        "a nat of log-ratio for the second token of two, at β = 0.5",
        [given([[-1.0, -1.0]], [[-1.0, -2.0]], [2.0], 0.5)],
    ),
    rule(
        "two tokens with credits of their own",
        "rise by β times the log-ratio at each token, and end at the reward",
        [given([[-1.0, -3.0, -0.5]], [[-2.0, -1.0, -1.0]], [0.5], 0.1)],
    ),
    value(
        "an answer that has ended, and a token that was certain",
        [given([[-1.0, 0.0, -3.0, 0.0]], [[-2.0, -0.5, -1.0, 0.0]], [0.5], 0.5)],
    ),
    fresh(
        "be r − β Σ log-ratios of the tokens to come",
        [_answers(n, t, b) for n, t, b in ((1, 4, 0.1), (3, 5, 0.5), (2, 1, 2.0))],
    ),
)
HINTS = """
Go from the end: after the last token the value is r. What was it one token before, if
    that token's credit is β times its log-ratio?
V before token t is r minus the sum of the credits from t on. A sum from the end is a
    cumsum of the flipped row, flipped back.
`to_come = credit.flip(-1).cumsum(-1).flip(-1)`; then torch.cat puts r behind r −
    to_come.
"""
EXERCISE = Exercise(__doc__, prefix_values, STEPS, FAULTS, CHECKS, HINTS)
