"""Exercise 3.3: One reward for a whole class."""

from course_lib.policies import canonical_rewards
from .policies import EVEN, fresh_world
from .spec import Exercise, fresh, given, learns, rule, value, words

STEPS = """
ref r beta:
start = ref.log()  # log π_ref
tilt = r / beta  # r/β
z = logsumexp(start + tilt, -1, keepdim=True)  # log Z
shift = beta * z  # β log Z
canonical = r - shift  # the canonical reward
"""
FAULTS = """
beta forgotten before log Z: shift = z
    r − log Z: rewards and nats cannot be subtracted, β log Z has the unit of r
added in place of subtracted: canonical = r + shift
    r + β log Z: the identity solved for the wrong side
Z without its logarithm: z = (ref * exp(tilt)).sum(-1, keepdim=True)
    β Z in place of β log Z
divided by Z: canonical = r / exp(z)
    r divided by Z: probabilities are divided by Z, from rewards β log Z is subtracted
expected reward in place of β log Z: shift = (ref * r).sum(-1, keepdim=True)
    rewards that average 0 under the reference: one of the class, but its Z is not 1
mean under π* in place of β log Z:
        shift = ((start + tilt - z).exp() * r).sum(-1, keepdim=True)
    the mean reward of the optimal policy: β log Z is that mean minus β KL
reference divided by beta: z = logsumexp((start + r) / beta, -1, keepdim=True)
    log π_ref divided by β as well: only the reward is measured in units of β
plain mean in place of β log Z: shift = r.mean(-1, keepdim=True)
    rewards that average 0: also one of the class, but its Z is not 1
largest reward in place of β log Z: shift = r.amax(-1, keepdim=True)
    rewards with 0 at the top: also one of the class, but its Z is not 1
no reference in Z: z = logsumexp(tilt, -1, keepdim=True)
    a sum of e^{r/β} without weights: Z weighs each answer with π_ref(y)
answers weighed alike in Z:
        z = logsumexp(tilt, -1, True) - logsumexp(0 * tilt, -1, True)
    a plain mean of e^{r/β} over the answers: Z weighs each answer with π_ref(y)
reference not in logarithms: start = ref
    probabilities added to r/β: inside the exponential it is log π_ref
log-probability of the policy: canonical = beta * (start + tilt - z)
    β log π*: the reference is still in it. The canonical reward is β log(π*/π_ref)
overflowing exponentials: z = log((ref * exp(tilt)).sum(-1, keepdim=True))
    exponentials that overflow or vanish: logsumexp of log π_ref + r/β never forms them
one maximum for all prompts: z = tilt.max()
        + log((ref * exp(tilt - tilt.max())).sum(-1, keepdim=True))
    the largest r/β of all prompts subtracted before the exponentials: they vanish for a
    prompt whose own rewards are far smaller. Each needs its own
one Z for all prompts: z = logsumexp((start + tilt).flatten(), 0)
    one Z for the whole batch: each prompt has its own
log Z broadcast along the wrong dimension: z = logsumexp(start + tilt, -1)
    one log Z for each prompt, shape (…), subtracted from shape (…, responses): give it
    a last dimension of 1, or prompts and answers change places
divided by beta: canonical = tilt - z
    r/β − log Z, in nats: times β it is a reward
the policy itself: canonical = softmax(start + tilt, -1)
    the optimal policy: its reward is β log(π*/π_ref)
"""
CHECKS = (
    learns(
        "one reward for each answer, of one prompt or of many, with a gradient",
        [
            given(EVEN, [1.0, 0.0], 1.0),
            given([EVEN] * 3, [[1.0, 0.0], [2, 2], [0, 5]], 0.5),
        ],
    ),
    rule(
        "0 for every answer when all answers are worth the same",
        "be 0 for every answer: a constant has nothing to tell",
        [given(EVEN, [7.0, 7.0], 1.0), given([0.2, 0.8], [-3.0, -3.0], 0.5)],
    ),
    value(
        "rewards of 1 and 0, and of 11 and 10: two of one class",
        [given(EVEN, [1.0, 0.0], 1.0), given(EVEN, [11.0, 10.0], 1.0)],
    ),
    rule(
        "the difference between two answers of a prompt",
        "keep the difference of 2 between its two answers",
        [given(EVEN, [3.0, 1.0], 0.5), given([0.9, 0.1], [3.0, 1.0], 2.0)],
        holds=lambda call, yours, ours, near: (
            len(yours.numbers) == 2
            and abs(yours.numbers[0] - yours.numbers[1] - 2) < 1e-3
        ),
    ),
    fresh(
        "equal r − β log Z, each prompt with its own Z, and so must its gradient",
        [fresh_world(0.5, 4), fresh_world(2.0, 3, 5), fresh_world(0.2, 5, 5)],
        gradient=True,
    ),
    rule(
        "rewards as large as 2000, of either sign",
        words("be {0:.4f} and {1:.4f}: take log Z without ever forming Z"),
        [given(EVEN, [2000.0, 1000.0], 0.5), given(EVEN, [-2000.0, -2001.0], 0.5)],
    ),
)
HINTS = """
The class of r holds r plus any constant a prompt. Which constant makes the new sum Σ
    π_ref e^{r/β} equal to 1?
Adding f to r adds f/β to log Z. To bring log Z to 0, take f = −β log Z.
log Z is the logsumexp of `ref.log() + rewards / beta` over the last dimension; keep
    that dimension with `keepdim=True`, multiply by beta, subtract from rewards.
"""
EXTREMES = (given([EVEN] * 3, [[1.0, 0.0], [3000, 2999], [-3000, -2999]], 0.5),)
TERMS = {"zero_probabilities": False}  # by way of the optimal policy it is 0/0 there
EXERCISE = Exercise(
    __doc__, canonical_rewards, STEPS, FAULTS, CHECKS, HINTS, EXTREMES, **TERMS
)
