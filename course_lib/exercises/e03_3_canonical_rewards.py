"""Exercise 3.3: One reward for a whole class."""

import torch

from course_lib.exercises.policies import EVEN, fresh_world
from course_lib.exercises.spec import Exercise, given, learns, rule, value, words
from course_lib.policies import canonical_rewards


def _log_z(ref, rewards, beta):
    return torch.logsumexp(ref.log() + rewards / beta, -1, keepdim=True)


def _z(ref, rewards, beta):
    return (ref * (rewards / beta).exp()).sum(-1, keepdim=True)


EXERCISE = Exercise(
    number="3.3",
    title="One reward for a whole class",
    reference=canonical_rewards,
    checks=(
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
            "the same again when a constant is added to the rewards",
            [given(EVEN, [1.0, 0.0], 1.0), given(EVEN, [11.0, 10.0], 1.0)],
        ),
        rule(
            "differences within the prompt as they were",
            "keep the difference of 2 between its two answers",
            [given(EVEN, [3.0, 1.0], 0.5), given([0.9, 0.1], [3.0, 1.0], 2.0)],
            holds=lambda call, yours, ours, near: (
                len(yours.numbers) == 2
                and abs(yours.numbers[0] - yours.numbers[1] - 2) < 1e-3
            ),
        ),
        rule(
            "right on fresh random worlds, values and gradients",
            "equal r − β log Z, each prompt with its own Z, and so must its gradient",
            [fresh_world(0.5, 4), fresh_world(2.0, 3, 5), fresh_world(0.2, 5, 5)],
            gradient=True,
        ),
        rule(
            "finite for rewards as large as 2000, of either sign",
            words("be {0:.4f} and {1:.4f}: take log Z without ever forming Z"),
            [given(EVEN, [2000.0, 1000.0], 0.5), given(EVEN, [-2000.0, -2001.0], 0.5)],
        ),
    ),
    misconceptions={
        "beta forgotten before log Z": (
            lambda ref, r, beta: r - _log_z(ref, r, beta),
            "r − log Z: rewards and nats cannot be subtracted, β log Z has the unit of "
            "r",
        ),
        "added in place of subtracted": (
            lambda ref, r, beta: r + beta * _log_z(ref, r, beta),
            "r + β log Z: the identity solved for the wrong side",
        ),
        "Z without its logarithm": (
            lambda ref, r, beta: r - beta * _z(ref, r, beta),
            "β Z in place of β log Z",
        ),
        "expected reward in place of β log Z": (
            lambda ref, rewards, beta: rewards - (ref * rewards).sum(-1, keepdim=True),
            "rewards that average 0 under the reference: also one of the class, but "
            "its Z is not 1",
        ),
        "plain mean in place of β log Z": (
            lambda ref, rewards, beta: rewards - rewards.mean(-1, keepdim=True),
            "rewards that average 0: also one of the class, but its Z is not 1",
        ),
        "no reference in Z": (
            lambda ref, rewards, beta: beta * torch.log_softmax(rewards / beta, -1),
            "a sum of e^{r/β} without weights: Z weighs each answer with π_ref(y)",
        ),
        "log-probability of the policy": (
            lambda ref, r, beta: beta * torch.log_softmax(ref.log() + r / beta, -1),
            "β log π*: the reference is still in it. The canonical reward is β "
            "log(π*/π_ref)",
        ),
        "overflowing exponentials": (
            lambda ref, r, beta: r - beta * _z(ref, r, beta).log(),
            "exponentials that overflow or vanish: logsumexp of log π_ref + r/β never "
            "forms them",
        ),
        "log Z broadcast along the wrong dimension": (
            lambda ref, r, beta: r - beta * _log_z(ref, r, beta)[..., 0],
            "one log Z for each prompt, shape (…), subtracted from shape (…, "
            "responses): give it a last dimension of 1, or prompts and answers change "
            "places",
        ),
        "divided by beta": (
            lambda ref, r, beta: r / beta - _log_z(ref, r, beta),
            "r/β − log Z, in nats: times β it is a reward",
        ),
    },
    hints=(
        "The class of r holds r plus any constant a prompt. Which constant makes the "
        "new sum Σ π_ref e^{r/β} equal to 1?",
        "Adding f to r adds f/β to log Z. To bring log Z to 0, take f = −β log Z.",
        "log Z is the logsumexp of `ref.log() + rewards / beta` over the last "
        "dimension; keep that dimension with `keepdim=True`, multiply by beta, "
        "subtract from rewards.",
    ),
)
