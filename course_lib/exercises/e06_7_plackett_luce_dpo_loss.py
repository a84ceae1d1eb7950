"""Exercise 6.7: Whole rankings."""

import torch
import torch.nn.functional as F

from course_lib.exercises.pairs import Says, logps
from course_lib.exercises.spec import (
    Exercise,
    builder,
    given,
    learns,
    permutations,
    rule,
    value,
)
from course_lib.losses import plackett_luce_dpo_loss


@builder
def _ranked(inputs, *prompts: tuple[list[float], list[int]], beta=1.0):
    """Log-ratios and a ranking for each prompt."""
    logratios, rankings = zip(*prompts, strict=True)
    ref = -5 - inputs.tensor([[3.0, 0.0, 4.0, 1.0][: len(rankings[0])]])
    ref = ref.repeat(len(prompts), 1)
    return inputs.tensor(logratios) + ref, ref, torch.tensor(rankings), beta


def _fresh(count: int, answers: int, beta: float):
    random = logps(count, answers, scale=3)
    return given(random, random, permutations(count, answers), beta)


def _stages(ordered):
    """Log-probabilities of the stages: best of all, best of the rest, and so on."""
    return ordered - ordered.flip(-1).logcumsumexp(-1).flip(-1)


def _rankings(
    order=lambda ranking: ranking,
    rewards=lambda policy, ref, beta: beta * (policy - ref),
    stages=_stages,
    together=lambda logps: -logps.sum(-1).mean(),
):
    """Plackett–Luce DPO with one thing wrong."""

    def loss(policy, ref, ranking, beta):
        best_first = rewards(policy, ref, beta).gather(-1, order(ranking))
        return together(stages(best_first))

    return loss


def _everybody(policy, ref, ranking, beta):
    rewards = beta * (policy - ref)
    return -rewards.log_softmax(-1).gather(-1, ranking).sum(-1).mean()


def _exponentials(ordered):
    strengths = ordered.exp()
    return torch.log(strengths / strengths.flip(-1).cumsum(-1).flip(-1))


def _all_pairs(ordered):
    """Bradley–Terry on every pair of a ranking."""
    first, second = torch.triu_indices(*2 * ordered.shape[-1:], offset=1)
    return F.logsigmoid(ordered[:, first] - ordered[:, second])


EXERCISE = Exercise(
    number="6.7",
    title="Whole rankings",
    reference=plackett_luce_dpo_loss,
    checks=(
        learns(
            "one number that carries a gradient",
            [
                _ranked(([1, 0], [0, 1])),
                _ranked(([2, 1, 0], [0, 1, 2]), ([2, 1, 0], [2, 0, 1])),
            ],
        ),
        value(
            "log k! when policy and reference agree: all orders are as likely",
            [
                _ranked(([0, 0], [0, 1])),
                _ranked(([0, 0, 0], [0, 1, 2])),
                _ranked(([0, 0, 0, 0], [3, 1, 0, 2])),
            ],
        ),
        value(
            "small where log-ratios fall from the best answer to the worst",
            [
                _ranked(([2, 0], [0, 1])),
                _ranked(([2, 1, 0], [0, 1, 2])),
                _ranked(([2, 1, 0], [0, 1, 2]), beta=0.1),
            ],
        ),
        value(
            "a ranking says which answer stands first, not where the first one stands",
            [
                _ranked(([1, 0, 2], [2, 0, 1])),
                _ranked(([3, 0, 1, 2], [0, 3, 2, 1])),
                _ranked(([3, 0, 1, 2], [1, 2, 3, 0])),
            ],
        ),
        value(
            "the mean over prompts",
            [_ranked(([2, 1, 0], [0, 1, 2]), ([0, 2, 0], [0, 1, 2]))],
        ),
        rule(
            "right on fresh random rankings, values and gradients",
            "equal minus the log-probability of picking the best, then the best of the "
            "rest, and so on; and so must its gradient",
            map(_fresh, (1, 3, 2), (2, 3, 5), (0.1, 0.5, 1.0)),
            learnt=1,
        ),
        value(
            "finite at log-ratios of ±5,000 nats",
            [
                _ranked(([5000, 0, -5000], [0, 1, 2]), beta=0.5),
                _ranked(([5000, 0, -5000], [2, 1, 0]), beta=0.5),
            ],
        ),
    ),
    misconceptions={
        "ranks for indices": (
            _rankings(order=lambda ranking: ranking.argsort(-1)),
            "each answer's place: [2, 0, 1] means that answer 2 is first, not that "
            "answer 0 is third",
        ),
        "worst first": (
            _rankings(order=lambda ranking: ranking.flip(-1)),
            "a ranking read from its end: the best answer comes first",
        ),
        "ranking ignored": (
            _rankings(order=lambda ranking: ranking.sort(-1).values),
            "answers in the order in which they are stored: `ranking` orders them",
        ),
        "everybody at every stage": (
            _everybody,
            "every stage over all answers: who has been picked is out of the race",
        ),
        "first stage alone": (
            _rankings(stages=lambda ordered: _stages(ordered)[..., :1]),
            "the best against all others, and no further: the rest is ranked as well",
        ),
        "last two alone": (
            _rankings(stages=lambda ordered: _stages(ordered)[..., -2:]),
            "the last stage alone: the stages before it belong to the ranking too",
        ),
        "mean over stages": (
            _rankings(
                together=lambda logps: -logps.sum(-1).mean() / (logps.shape[-1] - 1)
            ),
            "divided by k − 1: the log-probability of a ranking is the sum over its "
            "stages, and long rankings say more",
        ),
        "mean over answers": (
            _rankings(together=lambda logps: -logps.mean()),
            "divided by k: the log-probability of a ranking is the sum over its stages",
        ),
        "all pairs": (
            _rankings(stages=_all_pairs, together=lambda logps: -logps.mean()),
            "Bradley–Terry on all pairs: another model. Pairs of one ranking are not "
            "independent comparisons",
        ),
        "no reference": (
            _rankings(rewards=lambda policy, ref, beta: beta * policy),
            "log-probabilities in place of log-ratios: subtract the reference's",
        ),
        "β forgotten": (
            _rankings(rewards=lambda policy, ref, beta: policy - ref),
            "β = 1 whatever is asked for: rewards are β times the log-ratios",
        ),
        "no minus sign": (
            _rankings(together=lambda logps: logps.sum(-1).mean()),
            Says.NO_MINUS,
        ),
        "sum over prompts": (_rankings(together=lambda logps: -logps.sum()), Says.SUM),
        "exponentials": (
            _rankings(stages=_exponentials),
            "e^reward, which overflows: torch.logcumsumexp stays with logarithms",
        ),
    },
    hints=(
        "β times the log-ratios are rewards; sort them by `ranking`, best first. What "
        "remains is exercise 1.4.",
        "At stage i the log-probability is the i-th reward minus the logsumexp of the "
        "rewards from i to the end. Sum over stages, mean over prompts.",
        "Best first is rewards.gather(1, ranking); the logsumexps of all the ends are "
        "`best_first.flip(1).logcumsumexp(1).flip(1)`.",
    ),
)
