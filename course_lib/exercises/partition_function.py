"""Chapter 03: the sum that nobody can compute and nobody needs."""

import math

import torch

from course_lib.exercises.spec import (
    Check,
    Draw,
    Exercise,
    Misconception,
    kind_of,
    returns_like,
    value_of,
)
from course_lib.losses import implicit_preference_probability
from course_lib.policies import (
    canonical_rewards,
    estimate_log_partition,
    implicit_rewards,
)
from course_lib.submission.observing import Call


def _policies(draw: Draw, beta: float, *shape: int) -> Call:
    policy, ref = (draw.normal(*shape).softmax(-1) for _ in range(2))
    return Call((policy, ref, beta), gradient=True)


def _answers(draw: Draw, policy: list, ref: list, beta: float, **kwargs) -> Call:
    return Call((draw.tensor(policy), draw.tensor(ref), beta), **kwargs)


_EVEN = [0.5, 0.5]
# 1 / 1e-310 is not a number in float64, the logarithm of 1e-310 is
_RARE = torch.tensor([1.0, 1e-310], dtype=torch.float64)

_IMPLICIT = Exercise(
    number="3.1",
    title="The reward that a policy implies",
    reference=implicit_rewards,
    checks=(
        Check(
            "one reward for each answer, of one prompt or of many, with a gradient",
            lambda draw: [
                _answers(draw, [0.75, 0.25], _EVEN, 1.0, gradient=True),
                _answers(draw, [[0.75, 0.25]] * 3, [_EVEN] * 3, 1.0, gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "0 where the policy says what the reference says",
            lambda draw: [
                _answers(draw, _EVEN, _EVEN, 1.0),
                _answers(draw, [0.7, 0.2, 0.1], [0.7, 0.2, 0.1], 0.1),
            ],
            "be 0 for every answer: nothing has been preferred yet",
        ),
        Check(
            "above 0 for an answer that became more likely, below for one that lost",
            lambda draw: [_answers(draw, [0.75, 0.25], _EVEN, 1.0)],
            "be above 0 for the first answer and below 0 for the second",
            lambda call, yours, ours, near: (
                len(yours.numbers) == 2 and yours.numbers[0] > 0 > yours.numbers[1]
            ),
        ),
        Check(
            "β for an answer that became e times as likely",
            lambda draw: [
                _answers(draw, [0.2 * math.e, 1 - 0.2 * math.e], [0.2, 0.8], 2.0),
                _answers(draw, [0.2 * math.e, 1 - 0.2 * math.e], [0.2, 0.8], 0.1),
            ],
            value_of,
        ),
        Check(
            "right on fresh random policies, values and gradients",
            lambda draw: [
                _policies(draw, 0.5, 3),
                _policies(draw, 0.1, 2, 4),
                _policies(draw, 3.0, 6),
            ],
            "equal β log( policy / ref ), answer by answer, and so must its gradient",
        ),
        Check(
            "finite for a probability as small as that of a hundred tokens",
            lambda draw: [
                Call((_RARE, _RARE.flip(0), 0.5)),
                Call((_RARE.flip(0), _RARE, 0.1)),
            ],
            lambda call, ours: (
                f"be {ours.numbers[0]:.1f} and {ours.numbers[1]:.1f}, both finite"
            ).replace("-", "−"),
        ),
    ),
    misconceptions=(
        Misconception(
            "upside down",
            lambda policy, ref, beta: beta * (ref.log() - policy.log()),
            "reference over policy: what became more likely would have the lower "
            "reward",
        ),
        Misconception(
            "beta forgotten",
            lambda policy, ref, beta: policy.log() - ref.log(),
            "the log-ratio in nats: times β it is in the unit of the reward",
        ),
        Misconception(
            "divided by beta",
            lambda policy, ref, beta: (policy.log() - ref.log()) / beta,
            "the log-ratio divided by β. π* holds r/β, so that r is β times what is "
            "read",
        ),
        Misconception(
            "no reference",
            lambda policy, ref, beta: beta * policy.log(),
            "the policy's log-probability alone: an answer that was always likely has "
            "not been rewarded for it",
        ),
        Misconception(
            "ratio without its logarithm",
            lambda policy, ref, beta: beta * policy / ref,
            "β times the ratio itself: the reward stands in an exponent, and a "
            "logarithm "
            "brings it down",
        ),
        Misconception(
            "difference of probabilities",
            lambda policy, ref, beta: beta * (policy - ref),
            "a difference of probabilities: rewards multiply probabilities, so that "
            "their logarithms differ",
        ),
        Misconception(
            "a divergence",
            lambda policy, ref, beta: (
                beta * (policy * (policy.log() - ref.log())).sum(-1)
            ),
            "β KL(π‖π_ref): an average over answers. Each answer has a reward of its "
            "own",
        ),
        Misconception(
            "weighted by the policy",
            lambda policy, ref, beta: beta * policy * (policy.log() - ref.log()),
            "each answer's part of a KL: leave out the weight π(y)",
        ),
        Misconception(
            "quotient before the logarithm",
            lambda policy, ref, beta: beta * torch.log(policy / ref),
            "log(policy / ref), right as a formula: the quotient of 1 and a very small "
            "probability is infinite. Subtract two logarithms",
        ),
        Misconception(
            "centred",
            lambda policy, ref, beta: (
                beta
                * (policy / ref).log().sub((policy / ref).log().mean(-1, keepdim=True))
            ),
            "rewards that average 0: a member of the class, but not the canonical one",
        ),
        Misconception(
            "detached",
            lambda policy, ref, beta: beta * (policy.log() - ref.log()).detach(),
            "the right numbers cut off from the policy: nothing can learn from them",
        ),
    ),
    hints=(
        "Take the logarithm of π*(y) = π_ref(y) e^{r(y)/β} / Z and solve for r(y). "
        "Then "
        "leave out the term that is the same for every answer.",
        "How much more readily does the policy say y than the reference? In nats "
        "that is "
        "a difference of two logarithms; β turns nats into reward.",
        "`beta *` the logarithm of `policy` minus the logarithm of `ref`, entry by "
        "entry.",
    ),
)


def _sample(draw: Draw, rewards: list, beta: float, **kwargs) -> Call:
    return Call((draw.tensor(rewards), beta), **kwargs)


def _count(rewards) -> int:
    return rewards.shape[-1]


_ESTIMATE = Exercise(
    number="3.2",
    title="log Z from a sample",
    reference=estimate_log_partition,
    checks=(
        Check(
            "one number for each sample, with a gradient",
            lambda draw: [
                _sample(draw, [1.0, 2.0], 1.0, gradient=True),
                Call((draw.normal(3, 5), 0.5), gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "r/β when all answers are worth r, however many were drawn",
            lambda draw: [
                _sample(draw, [2.0], 1.0),
                _sample(draw, [2.0] * 4, 1.0),
                _sample(draw, [3.0] * 2, 0.5),
            ],
            value_of,
        ),
        Check(
            "ln 1.5 for weights 1 and 2",
            lambda draw: [_sample(draw, [0.0, math.log(2.0)], 1.0)],
            "be 0.4055: the mean of the weights first, their logarithm afterwards",
        ),
        Check(
            "right on fresh random samples, values and gradients",
            lambda draw: (
                [
                    Call((draw.normal(n), beta), gradient=True)
                    for n, beta in ((2, 1.0), (5, 0.3), (40, 4.0))
                ]
                + [Call((draw.normal(3, 6), 0.7), gradient=True)]
            ),
            "equal the logarithm of the mean of e^{r/β}, and so must its gradient",
        ),
        Check(
            "finite for rewards as large as 2000, of either sign",
            lambda draw: [
                _sample(draw, [2000.0, 1000.0, -2000.0], 0.5, gradient=True),
                _sample(draw, [-2000.0, -2001.0], 0.5, gradient=True),
            ],
            lambda call, ours: (
                f"be {ours.numbers[0]:.2f}: e^{{4000}} and e^{{−4000}} are no numbers "
                "that a computer holds"
            ).replace("-", "−"),
        ),
    ),
    misconceptions=(
        Misconception(
            "mean of the logarithms",
            lambda rewards, beta: (rewards / beta).mean(-1),
            "the mean of r/β: the mean of the logarithms is less than the logarithm of "
            "the mean (Jensen), and no sample size mends that",
        ),
        Misconception(
            "sum in place of mean",
            lambda rewards, beta: torch.logsumexp(rewards / beta, -1),
            "the logarithm of a sum: it grows with the sample. Subtract log n",
        ),
        Misconception(
            "divided by n after the logarithm",
            lambda rewards, beta: torch.logsumexp(rewards / beta, -1) / _count(rewards),
            "the logarithm of the sum, divided by n: dividing by n inside the "
            "logarithm "
            "is subtracting log n outside",
        ),
        Misconception(
            "overflowing exponentials",
            lambda rewards, beta: (rewards / beta).exp().mean(-1).log(),
            "log(mean(exp(x))), right as a formula and infinite for large rewards: "
            "logsumexp never leaves the logarithm",
        ),
        Misconception(
            "no logarithm",
            lambda rewards, beta: (rewards / beta).exp().mean(-1),
            "Ẑ itself; asked for is its logarithm",
        ),
        Misconception(
            "times beta",
            lambda rewards, beta: (
                torch.logsumexp(rewards * beta, -1) - math.log(_count(rewards))
            ),
            "r times β: a small β must make the tilt steeper, r is divided by it",
        ),
        Misconception(
            "beta forgotten",
            lambda rewards, beta: (
                torch.logsumexp(rewards, -1) - math.log(_count(rewards))
            ),
            "the formula at β = 1: rewards are divided by β first",
        ),
        Misconception(
            "in the unit of the reward",
            lambda rewards, beta: (
                beta * (torch.logsumexp(rewards / beta, -1) - math.log(_count(rewards)))
            ),
            "β log Ẑ, in the unit of the reward; asked for is log Ẑ, in nats",
        ),
        Misconception(
            "one number for all samples",
            lambda rewards, beta: (
                torch.logsumexp((rewards / beta).flatten(), 0)
                - math.log(rewards.numel())
            ),
            "all samples thrown together: work along the last dimension, one "
            "estimate a "
            "row",
        ),
        Misconception(
            "the largest term alone",
            lambda rewards, beta: (rewards / beta).amax(-1),
            "the largest r/β: a useful bound, and not the mean of the weights",
        ),
        Misconception(
            "weighted by the tilt",
            lambda rewards, beta: (
                torch.softmax(rewards / beta, -1) * rewards / beta
            ).sum(-1),
            "the mean reward of the *tilted* sample. Z is a plain mean over answers of "
            "the reference, weights e^{r/β}",
        ),
        Misconception(
            "detached",
            lambda rewards, beta: (
                torch.logsumexp(rewards / beta, -1) - math.log(_count(rewards))
            ).detach(),
            "the right number cut off from the rewards: no gradient flows back",
        ),
    ),
    hints=(
        "Z is the reference's expectation of e^{r/β}, and you hold n draws from the "
        "reference: a mean estimates an expectation.",
        "The logarithm of a mean is the logarithm of the sum minus log n, and "
        "`torch.logsumexp` takes the logarithm of a sum of exponentials safely.",
        "`torch.logsumexp(sampled_rewards / beta, -1)`, minus the logarithm of "
        "`sampled_rewards.shape[-1]`; for the latter, a logsumexp of zeros will do, or "
        "`math.log`.",
    ),
)


def _world(draw: Draw, ref: list, rewards: list, beta: float, **kwargs) -> Call:
    return Call((draw.tensor(ref), draw.tensor(rewards), beta), **kwargs)


def _worlds(draw: Draw, beta: float, *shape: int) -> Call:
    ref, rewards = draw.normal(*shape).softmax(-1), draw.normal(*shape)
    return Call((ref, rewards, beta), gradient=True)


def _level(ref, rewards, beta):
    return torch.logsumexp(ref.log() + rewards / beta, -1)[..., None]


def _flat_level(ref, rewards, beta):
    return torch.logsumexp(ref.log() + rewards / beta, -1)


_CANONICAL = Exercise(
    number="3.3",
    title="One reward for a whole class",
    reference=canonical_rewards,
    checks=(
        Check(
            "one reward for each answer, of one prompt or of many, with a gradient",
            lambda draw: [
                _world(draw, _EVEN, [1.0, 0.0], 1.0, gradient=True),
                _world(
                    draw, [_EVEN] * 3, [[1.0, 0.0], [2, 2], [0, 5]], 0.5, gradient=True
                ),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "0 for every answer when all answers are worth the same",
            lambda draw: [
                _world(draw, _EVEN, [7.0, 7.0], 1.0),
                _world(draw, [0.2, 0.8], [-3.0, -3.0], 0.5),
            ],
            "be 0 for every answer: a constant has nothing to tell",
        ),
        Check(
            "the same again when a constant is added to the rewards",
            lambda draw: [
                _world(draw, _EVEN, [1.0, 0.0], 1.0),
                _world(draw, _EVEN, [11.0, 10.0], 1.0),
            ],
            value_of,
        ),
        Check(
            "differences within the prompt as they were",
            lambda draw: [
                _world(draw, _EVEN, [3.0, 1.0], 0.5),
                _world(draw, [0.9, 0.1], [3.0, 1.0], 2.0),
            ],
            "keep the difference of 2 between its two answers",
            lambda call, yours, ours, near: (
                len(yours.numbers) == 2
                and abs(yours.numbers[0] - yours.numbers[1] - 2) < 1e-3
            ),
        ),
        Check(
            "right on fresh random worlds, values and gradients",
            lambda draw: [
                _worlds(draw, 0.5, 4),
                _worlds(draw, 2.0, 3, 5),
                _worlds(draw, 0.2, 5, 5),
            ],
            "equal r − β log Z, each prompt with its own Z, and so must its gradient",
        ),
        Check(
            "finite for rewards as large as 2000, of either sign",
            lambda draw: [
                _world(draw, _EVEN, [2000.0, 1000.0], 0.5),
                _world(draw, _EVEN, [-2000.0, -2001.0], 0.5),
            ],
            lambda call, ours: (
                f"be {ours.numbers[0]:.4f} and {ours.numbers[1]:.4f}: take log Z "
                "without ever forming Z"
            ).replace("-", "−"),
        ),
    ),
    misconceptions=(
        Misconception(
            "beta forgotten before log Z",
            lambda ref, rewards, beta: rewards - _level(ref, rewards, beta),
            "r − log Z: rewards and nats cannot be subtracted, β log Z has the unit "
            "of r",
        ),
        Misconception(
            "added in place of subtracted",
            lambda ref, rewards, beta: rewards + beta * _level(ref, rewards, beta),
            "r + β log Z: the identity solved for the wrong side",
        ),
        Misconception(
            "Z without its logarithm",
            lambda ref, rewards, beta: (
                rewards - beta * (ref * (rewards / beta).exp()).sum(-1, keepdim=True)
            ),
            "β Z in place of β log Z",
        ),
        Misconception(
            "expected reward in place of β log Z",
            lambda ref, rewards, beta: rewards - (ref * rewards).sum(-1, keepdim=True),
            "rewards that average 0 under the reference: also one of the class, but "
            "its "
            "Z is not 1",
        ),
        Misconception(
            "plain mean in place of β log Z",
            lambda ref, rewards, beta: rewards - rewards.mean(-1, keepdim=True),
            "rewards that average 0: also one of the class, but its Z is not 1",
        ),
        Misconception(
            "no reference in Z",
            lambda ref, rewards, beta: beta * torch.log_softmax(rewards / beta, -1),
            "a sum of e^{r/β} without weights: Z weighs each answer with π_ref(y)",
        ),
        Misconception(
            "log-probability of the policy",
            lambda ref, rewards, beta: (
                beta * torch.log_softmax(ref.log() + rewards / beta, -1)
            ),
            "β log π*: the reference is still in it. The canonical reward is "
            "β log(π*/π_ref)",
        ),
        Misconception(
            "overflowing exponentials",
            lambda ref, rewards, beta: (
                rewards
                - beta * (ref * (rewards / beta).exp()).sum(-1, keepdim=True).log()
            ),
            "exponentials that overflow or vanish: logsumexp of log π_ref + r/β never "
            "forms them",
        ),
        Misconception(
            "log Z broadcast along the wrong dimension",
            lambda ref, rewards, beta: rewards - beta * _flat_level(ref, rewards, beta),
            "one log Z for each prompt, shape (…), subtracted from shape (…, "
            "responses): "
            "give it a last dimension of 1, or prompts and answers change places",
        ),
        Misconception(
            "divided by beta",
            lambda ref, rewards, beta: rewards / beta - _level(ref, rewards, beta),
            "r/β − log Z, in nats: times β it is a reward",
        ),
    ),
    hints=(
        "The class of r holds r plus any constant a prompt. Which constant makes the "
        "new "
        "sum Σ π_ref e^{r/β} equal to 1?",
        "Adding f to r adds f/β to log Z. To bring log Z to 0, take f = −β log Z.",
        "log Z is the logsumexp of `ref.log() + rewards / beta` over the last "
        "dimension; "
        "keep that dimension with `keepdim=True`, multiply by beta, subtract from "
        "rewards.",
    ),
)


def _four(draw: Draw, rows: list[list[float]], beta: float, **kwargs) -> Call:
    return Call((*(draw.tensor(row) for row in rows), beta), **kwargs)


def _random_four(draw: Draw, beta: float, batch: int) -> Call:
    rows = [draw.normal(batch, scale=3) - 20 for _ in range(4)]
    return Call((*rows, beta), gradient=True)


_ONE = [[-1.0], [-3.0], [-2.0], [-2.0]]

_PREFERENCE = Exercise(
    number="3.4",
    title="A preference without any Z",
    reference=implicit_preference_probability,
    checks=(
        Check(
            "one probability for each pair, with a gradient",
            lambda draw: [
                _four(draw, _ONE, 0.5, gradient=True),
                _random_four(draw, 0.1, 3),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "one half where policy and reference agree, whatever they say",
            lambda draw: [
                _four(draw, [[-1.0], [-9.0], [-1.0], [-9.0]], 0.5),
                _four(draw, [[-7.0, -1], [-2.0, -4], [-7.0, -1], [-2.0, -4]], 2.0),
            ],
            "be 0.5: a policy that has not moved prefers nothing",
        ),
        Check(
            "above one half where the chosen answer gained more than the rejected one",
            lambda draw: [
                _four(draw, _ONE, 0.5),
                _four(draw, [[-8.0], [-9.0], [-7.0], [-3.0]], 0.5),
            ],
            "be above 0.5, and below 1",
            lambda call, yours, ours, near: (
                len(yours.numbers) == 1 and 0.5 < yours.numbers[0] < 1
            ),
        ),
        Check(
            "σ(1) at a gap of 2 nats with β = ½, in whichever answer the gap arose",
            lambda draw: [
                _four(draw, _ONE, 0.5),
                _four(draw, [[-1.0], [-2.0], [-3.0], [-2.0]], 0.5),
                _four(draw, [[-3.0], [-5.0], [-3.0], [-3.0]], 0.5),
            ],
            value_of,
        ),
        Check(
            "right on fresh random pairs, values and gradients",
            lambda draw: [
                _random_four(draw, beta, batch)
                for beta, batch in ((0.1, 1), (0.5, 4), (1.5, 6))
            ],
            "equal σ(β(chosen log-ratio − rejected log-ratio)), and so must its "
            "gradient",
        ),
        Check(
            "a number for answers as improbable as e^−2000",
            lambda draw: [
                _four(draw, [[-2000.0], [-2002.0], [-2001.0], [-2001.0]], 0.5),
                _four(draw, [[-2000.0], [-10.0], [-10.0], [-2000.0]], 0.5),
            ],
            lambda call, ours: (
                f"be {ours.numbers[0]:.4f}: e^−2000 is 0 to a computer, the difference "
                "of two logarithms is not"
            ),
        ),
    ),
    misconceptions=(
        Misconception(
            "swapped",
            lambda pw, pl, rw, rl, beta: torch.sigmoid(beta * ((pl - rl) - (pw - rw))),
            "rejected minus chosen: P(y_l ≻ y_w)",
        ),
        Misconception(
            "no reference",
            lambda pw, pl, rw, rl, beta: torch.sigmoid(beta * (pw - pl)),
            "the policy's log-probabilities alone: an answer that the reference found "
            "likely already would count as preferred",
        ),
        Misconception(
            "reference added",
            lambda pw, pl, rw, rl, beta: torch.sigmoid(beta * ((pw - pl) + (rw - rl))),
            "the reference's difference added: its log-probabilities are subtracted",
        ),
        Misconception(
            "beta forgotten",
            lambda pw, pl, rw, rl, beta: torch.sigmoid((pw - rw) - (pl - rl)),
            "σ of the gap in nats: β turns it into a difference of rewards",
        ),
        Misconception(
            "divided by beta",
            lambda pw, pl, rw, rl, beta: torch.sigmoid(((pw - rw) - (pl - rl)) / beta),
            "the gap divided by β: r = β log(π*/π_ref) + β log Z has β in front",
        ),
        Misconception(
            "margin in place of a probability",
            lambda pw, pl, rw, rl, beta: beta * ((pw - rw) - (pl - rl)),
            "the reward margin βh: σ turns it into a probability",
        ),
        Misconception(
            "log-probability",
            lambda pw, pl, rw, rl, beta: torch.nn.functional.logsigmoid(
                beta * ((pw - rw) - (pl - rl))
            ),
            "the logarithm of the probability, which the next chapter's loss will want",
        ),
        Misconception(
            "ratios of probabilities",
            lambda pw, pl, rw, rl, beta: (
                1 / (1 + ((pl.exp() / rl.exp()) / (pw.exp() / rw.exp())) ** beta)
            ),
            "exponentials of log-probabilities: real answers have e^−2000, which is 0, "
            "and 0/0. Stay with differences of logarithms",
        ),
        Misconception(
            "chosen alone",
            lambda pw, pl, rw, rl, beta: torch.sigmoid(beta * (pw - rw)),
            "the chosen answer alone: β log Z does not cancel without its partner",
        ),
        Misconception(
            "averaged",
            lambda pw, pl, rw, rl, beta: torch.sigmoid(
                beta * ((pw - rw) - (pl - rl))
            ).mean(),
            "one average for the batch: each pair has a probability of its own",
        ),
        Misconception(
            "detached",
            lambda pw, pl, rw, rl, beta: torch.sigmoid(
                beta * ((pw - rw) - (pl - rl))
            ).detach(),
            "the right numbers cut off from the policy: nothing can learn from them",
        ),
    ),
    hints=(
        "Each answer has the implicit reward β log(π_θ/π_ref); Bradley–Terry wants the "
        "difference of two of them.",
        "Log-ratio of the chosen answer minus log-ratio of the rejected one, times β: "
        "that is the logit of the preference.",
        "`torch.sigmoid` of beta times (policy minus ref of the chosen, minus policy "
        "minus ref of the rejected).",
    ),
)

EXERCISES = (_IMPLICIT, _ESTIMATE, _CANONICAL, _PREFERENCE)
