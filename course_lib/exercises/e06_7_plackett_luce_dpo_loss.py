"""Exercise 6.7: Whole rankings."""

import torch

from course_lib.losses import plackett_luce_dpo_loss
from . import pairs
from .pairs import logps
from .seasons import all_pairs
from .spec import Exercise, Recipe, builder, fresh, given, learns, permutations, value


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


STEPS = """
policy ref ranking beta:
ratios = policy - ref  # the log-ratios
r = beta * ratios  # the rewards
o = r.gather(-1, ranking)  # the rewards, best first
rest = o.flip(-1).logcumsumexp(-1).flip(-1)  # the logsumexp of who is left
stages = o - rest  # the stages' log-probabilities
ranks = stages.sum(-1)  # the ranking's log-probability
losses = -ranks  # the losses
loss = losses.mean()  # the mean
"""
FAULTS = """
ranks for indices: o = r.gather(-1, ranking.argsort(-1))
    each answer's place: [2, 0, 1] says that answer 2 is first, not that 0 is third
every ranking for every prompt: o = r[:, ranking]
    every prompt's ranking applied to every prompt: gather pairs rows with rows
worst first: o = r.gather(-1, ranking.flip(-1))
    a ranking read from its end, or each stage over those picked so far: the best answer
    comes first, and is picked among all
ranking ignored: o = r
    answers in the order in which they are stored: `ranking` orders them
sorted by their rewards: o = r.sort(-1, descending=True).values
    rewards sorted by size: then every policy has the order it likes best. `ranking`
    says which order people gave
everybody at every stage: rest = o.logsumexp(-1, keepdim=True)
    every stage over all answers: who has been picked is out of the race
without the picked one: stages = o[..., :-1] - rest[..., 1:]
    each stage over those after the picked answer: it runs in its own race as well
first stage alone: stages = (o - rest)[..., :1]
    the best against all others, and no further: the rest is ranked as well
last two alone: stages = (o - rest)[..., -2:]
    the last stage alone: the stages before it belong to the ranking too
mean over stages: losses = -ranks / (stages.shape[-1] - 1)
    divided by k − 1: the log-probability of a ranking is the sum over its stages, and
    long rankings say more
mean over answers: ranks = stages.mean(-1)
    divided by k: the log-probability of a ranking is the sum over its stages
all pairs: ranks = all_pairs(o).sum(-1)
    Bradley–Terry on all pairs, another model: pairs of one ranking are not independent
mean over all pairs: ranks = all_pairs(o).mean(-1)
    Bradley–Terry on all pairs, and their mean: another model. A ranking is a sequence
    of picks, each among all who are left
neighbours: ranks = logsigmoid(o[..., :-1] - o[..., 1:]).sum(-1)
    Bradley–Terry on neighbours in the ranking: each stage is a pick among all who are
    left, not among two
best against each: ranks = logsigmoid(o[..., :1] - o[..., 1:]).sum(-1)
    Bradley–Terry of the best against each other answer: the others are ranked too, and
    each stage is one pick among all who are left
no reference: ratios = policy
    log-probabilities in place of log-ratios: subtract the reference's
β forgotten: r = ratios
    β = 1 whatever is asked for: rewards are β times the log-ratios
β outside: r = ratios; losses = -beta * ranks
    β in front of the loss, where it only scales the step: put it in the exponentials
no minus sign: losses = ranks
    the log-likelihood without its minus sign: a loss is minimised
exponentials: stages = log(exp(o) / exp(o).flip(-1).cumsum(-1).flip(-1))
    e^reward, which overflows: torch.logcumsumexp stays with logarithms
logarithm of a product: losses = -log(exp(stages).prod(-1))
    probabilities multiplied and then their logarithm, which is −∞ once the product
    rounds to 0: add logarithms
"""
CHECKS = (
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
        "log-ratios that fall from the best answer to the worst",
        [
            _ranked(([2, 0], [0, 1])),
            _ranked(([2, 1, 0], [0, 1, 2])),
            _ranked(([2, 1, 0], [0, 1, 2]), beta=0.1),
        ],
    ),
    value(
        "rankings that list answers, the best one first",
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
    fresh(
        "equal minus the log-probability of picking the best, then the best of the "
        "rest, and so on; and so must its gradient",
        map(_fresh, (1, 3, 2), (2, 3, 5), (0.1, 0.5, 1.0)),
        learnt=1,
    ),
    value(
        "log-ratios of ±5,000 nats",
        [
            _ranked(([5000, 0, -5000], [0, 1, 2]), beta=0.5),
            _ranked(([5000, 0, -5000], [2, 1, 0]), beta=0.5),
        ],
    ),
)
HINTS = """
β times the log-ratios are rewards; sort them by `ranking`, best first. What remains is
    exercise 1.5.
At stage i the log-probability is the i-th reward minus the logsumexp of the rewards
    from i to the end. Sum over stages, mean over prompts.
Best first is rewards.gather(1, ranking); the logsumexps of all the ends are
    `best_first.flip(1).logcumsumexp(1).flip(1)`.
"""
RECIPE = Recipe(STEPS, all_pairs=all_pairs)
EXERCISE = Exercise(
    __doc__, plackett_luce_dpo_loss, RECIPE, pairs.SUM + FAULTS, CHECKS, HINTS
)
