"""Chapter 06: DPO on whole rankings."""

import torch
import torch.nn.functional as F

from course_lib.exercises.pairs import (
    agrees_where_learnt,
)
from course_lib.exercises.spec import (
    Check,
    Draw,
    Exercise,
    Misconception,
    kind_of,
    returns_like,
    value_of,
)
from course_lib.losses import plackett_luce_dpo_loss
from course_lib.submission.observing import Call


def _ranked(draw: Draw, logratios, rankings, beta=1.0, **kwargs) -> Call:
    """A call from log-ratios and rankings, one list for each prompt."""
    logratios = draw.tensor(logratios)
    ref = -5 - draw.tensor([[3.0, 0.0, 4.0, 1.0][: logratios.shape[1]]])
    ref = ref.repeat(len(logratios), 1)
    return Call((logratios + ref, ref, torch.tensor(rankings), beta), **kwargs)


def _drawn_ranking(draw: Draw, count: int, answers: int, beta: float) -> Call:
    policy, ref = (draw.normal(count, answers, scale=3) - 20 for _ in range(2))
    return Call((policy, ref, draw.permutations(count, answers), beta), gradient=True)


def _stages(rewards, ranking):
    """Log-probabilities of the stages: best of all, best of the rest, and so on."""
    ordered = rewards.gather(-1, ranking)
    remaining = ordered.flip(-1).logcumsumexp(-1).flip(-1)
    return ordered - remaining


def _rankings(
    order=lambda ranking: ranking,
    rewards=lambda policy, ref, beta: beta * (policy - ref),
    stages=_stages,
    together=lambda logps: -logps.sum(-1).mean(),
):
    """Plackett–Luce DPO with one thing wrong."""

    def loss(policy, ref, ranking, beta):
        return together(stages(rewards(policy, ref, beta), order(ranking)))

    return loss


def _all_items(rewards, ranking):
    return rewards.gather(-1, ranking).log_softmax(-1)


def _by_exponentials(rewards, ranking):
    strengths = rewards.gather(-1, ranking).exp()
    return torch.log(strengths / strengths.flip(-1).cumsum(-1).flip(-1))


def _all_pairs(policy, ref, ranking, beta):
    """Bradley–Terry on every pair of a ranking, and the mean over pairs."""
    ordered = beta * (policy - ref).gather(-1, ranking)
    first, second = torch.triu_indices(*2 * ordered.shape[-1:], offset=1)
    return -F.logsigmoid(ordered[:, first] - ordered[:, second]).mean()


_RANKING = Exercise(
    number="6.7",
    title="Whole rankings",
    reference=plackett_luce_dpo_loss,
    checks=(
        Check(
            "one number that carries a gradient",
            lambda draw: [
                _ranked(draw, [[1.0, 0.0]], [[0, 1]], gradient=True),
                _ranked(draw, [[2.0, 1, 0]] * 2, [[0, 1, 2], [2, 0, 1]], gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "log k! when policy and reference agree: all orders are as likely",
            lambda draw: [
                _ranked(draw, [[0.0, 0.0]], [[0, 1]]),
                _ranked(draw, [[0.0, 0.0, 0.0]], [[0, 1, 2]]),
                _ranked(draw, [[0.0, 0.0, 0.0, 0.0]], [[3, 1, 0, 2]]),
            ],
            value_of,
        ),
        Check(
            "small where log-ratios fall from the best answer to the worst",
            lambda draw: [
                _ranked(draw, [[2.0, 0.0]], [[0, 1]]),
                _ranked(draw, [[2.0, 1.0, 0.0]], [[0, 1, 2]]),
                _ranked(draw, [[2.0, 1.0, 0.0]], [[0, 1, 2]], beta=0.1),
            ],
            value_of,
        ),
        Check(
            "a ranking says which answer stands first, not where the first one stands",
            lambda draw: [
                _ranked(draw, [[1.0, 0.0, 2.0]], [[2, 0, 1]]),
                _ranked(draw, [[3.0, 0.0, 1.0, 2.0]], [[0, 3, 2, 1]]),
                _ranked(draw, [[3.0, 0.0, 1.0, 2.0]], [[1, 2, 3, 0]]),
            ],
            value_of,
        ),
        Check(
            "the mean over prompts",
            lambda draw: [
                _ranked(draw, [[2.0, 1.0, 0.0], [0.0, 2.0, 0.0]], [[0, 1, 2]] * 2)
            ],
            value_of,
        ),
        Check(
            "right on fresh random rankings, values and gradients",
            lambda draw: [
                _drawn_ranking(draw, n, k, beta)
                for n, k, beta in ((1, 2, 0.1), (3, 3, 0.5), (2, 5, 1.0))
            ],
            "equal minus the log-probability of picking the best, then the best of the "
            "rest, and so on; and so must its gradient",
            agrees_where_learnt(1),
        ),
        Check(
            "finite at log-ratios of ±5,000 nats",
            lambda draw: [
                _ranked(draw, [[5000.0, 0.0, -5000.0]], [[0, 1, 2]], beta=0.5),
                _ranked(draw, [[5000.0, 0.0, -5000.0]], [[2, 1, 0]], beta=0.5),
            ],
            value_of,
        ),
    ),
    misconceptions=(
        Misconception(
            "ranks for indices",
            _rankings(order=lambda ranking: ranking.argsort(-1)),
            "each answer's place: [2, 0, 1] means that answer 2 is first, not that "
            "answer 0 is third",
        ),
        Misconception(
            "worst first",
            _rankings(order=lambda ranking: ranking.flip(-1)),
            "a ranking read from its end: the best answer comes first",
        ),
        Misconception(
            "ranking ignored",
            _rankings(order=lambda ranking: ranking.sort(-1).values),
            "answers in the order in which they are stored: `ranking` orders them",
        ),
        Misconception(
            "everybody at every stage",
            _rankings(stages=_all_items),
            "every stage over all answers: who has been picked is out of the race",
        ),
        Misconception(
            "first stage alone",
            _rankings(stages=lambda r, ranking: _stages(r, ranking)[..., :1]),
            "the best against all others, and no further: the rest is ranked as well",
        ),
        Misconception(
            "last two alone",
            _rankings(stages=lambda r, ranking: _stages(r, ranking)[..., -2:]),
            "the last stage alone: the stages before it belong to the ranking too",
        ),
        Misconception(
            "mean over stages",
            _rankings(
                together=lambda logps: -logps.sum(-1).mean() / (logps.shape[-1] - 1)
            ),
            "divided by k − 1: the log-probability of a ranking is the sum over its "
            "stages, and long rankings say more",
        ),
        Misconception(
            "mean over answers",
            _rankings(together=lambda logps: -logps.mean()),
            "divided by k: the log-probability of a ranking is the sum over its stages",
        ),
        Misconception(
            "all pairs",
            _all_pairs,
            "Bradley–Terry on all pairs: another model. Pairs of one ranking are not "
            "independent comparisons",
        ),
        Misconception(
            "no reference",
            _rankings(rewards=lambda policy, ref, beta: beta * policy),
            "log-probabilities in place of log-ratios: subtract the reference's",
        ),
        Misconception(
            "β forgotten",
            _rankings(rewards=lambda policy, ref, beta: policy - ref),
            "β = 1 whatever is asked for: rewards are β times the log-ratios",
        ),
        Misconception(
            "no minus sign",
            _rankings(together=lambda logps: logps.sum(-1).mean()),
            "the log-likelihood without its minus sign: a loss is minimised",
        ),
        Misconception(
            "sum over prompts",
            _rankings(together=lambda logps: -logps.sum()),
            "a sum over the batch: the learning rate would depend on the batch's size",
        ),
        Misconception(
            "exponentials",
            _rankings(stages=_by_exponentials),
            "e^reward, which overflows: torch.logcumsumexp stays with logarithms",
        ),
    ),
    hints=(
        "β times the log-ratios are rewards; sort them by `ranking`, best first. What "
        "remains is exercise 1.4.",
        "At stage i the log-probability is the i-th reward minus the logsumexp of the "
        "rewards from i to the end. Sum over stages, mean over prompts.",
        "Best first is rewards.gather(1, ranking); the logsumexps of all the ends are "
        "`best_first.flip(1).logcumsumexp(1).flip(1)`.",
    ),
)

EXERCISES = (_RANKING,)
