"""Four estimators on the same comparisons: how near to π* each one ends."""

import copy
import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib import baselines
from course_lib.batches import batch_order, sentence_texts
from course_lib.datasets import Run
from course_lib.policies import kl_divergence, optimal_policy
from course_lib.training import Config, fit, train
from course_lib.transformer import SHIPPED
from course_lib.worlds import Preferences, World, sample_preferences
from course_tools.regenerate._runs import in_parallel, write_table
from course_tools.regenerate.frontier import exact_world, scored

__all__ = ["fit_table", "jobs", "make"]

BETA = 0.5
COUNTS = (100, 1_000, 10_000, 100_000)  # comparisons
SEEDS = (0, 1, 2, 3, 4)
STEPS = 500  # of DPO and of the reward model, on batches of 128 or fewer
LOOKS = tuple(range(0, STEPS + 1, 50))  # among which the best stop is sought
ROLLOUTS = 100  # of 256 samples, four updates each: PPO's, after the reward model
ESTIMATORS = ("table", "dpo", "tilt", "ppo_learned")


def jobs() -> Iterator[tuple[str, int, int]]:
    """What is fitted, to how many pairs, with which seed; a reward model serves two."""
    return itertools.product(("table", "dpo", "tilt"), COUNTS, SEEDS)


def make(folder: Path = SHIPPED) -> str:
    """Fit and score every estimator; about eight minutes on two cores."""
    rows = itertools.chain(*in_parallel(_run, [*jobs()]))
    return write_table(Run._fields, rows, folder / "estimators.csv")


def _run(estimator: str, count: int, seed: int) -> list[Run]:
    _, world, _ = exact_world()
    asked = sample_preferences(world, count, seed=seed)
    begun = time.process_time()
    size = {"batch_size": min(128, count), "pairs": count, "seed": seed}
    config = Config(beta=BETA, steps=STEPS, quiet=True, layout="distinct", **size)
    fit_it = {"table": _table, "dpo": _dpo, "tilt": _reward_model}[estimator]
    found = fit_it(asked, config)
    seconds = round(time.process_time() - begun, 1)
    return [
        Run(when, f"{count} pairs", name, BETA, seed, *scored(policy, BETA), seconds)
        for (name, when), policy in found.items()
    ]


def _table(asked: Preferences, config: Config) -> dict[tuple[str, str], Tensor]:
    _, world, _ = exact_world()
    policy = optimal_policy(world.ref, fit_table(world, asked), BETA)
    return {("table", "end"): policy}


def fit_table(world: World, asked: Preferences) -> Tensor:
    """A reward of its own for every answer, the most probable under a N(0, 1) prior.

    maximise Σ log σ(s_w − s_l) − ½ Σ s².  The prior makes the maximum finite; answers
    in no pair stay at 0. With s = β log π/π_ref this is DPO on a table, regularised

    returns: rewards, (prompts, responses)
    """
    scores = torch.zeros_like(world.rewards, requires_grad=True)
    search = torch.optim.LBFGS(
        [scores],
        max_iter=1_000,
        tolerance_grad=1e-9,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure():
        search.zero_grad()
        prompts, w, l = asked  # noqa: E741
        difference = scores[prompts, w] - scores[prompts, l]
        value = -F.logsigmoid(difference).sum() + (scores**2).sum() / 2
        value.backward()
        return value

    search.step(closure)
    slope = scores.grad.abs().max().item()
    if slope > 1e-5:
        raise ArithmeticError(f"the table did not converge: slope {slope:.2g}")
    return scores.detach()


class _Nearest:
    """Looks at a policy while it is trained and keeps the one nearest to π*."""

    def __init__(self, policy_of):
        _, world, _ = exact_world()
        self.policy_of, self.distance = policy_of, math.inf
        self.target = optimal_policy(world.ref, world.rewards, BETA)

    def __call__(self, model: nn.Module) -> dict[str, float]:
        policy = self.policy_of(model)
        distance = kl_divergence(policy, self.target).mean().item()
        if distance < self.distance:
            self.distance, self.policy = distance, policy
        return {"distance": distance}


def _dpo(asked: Preferences, config: Config) -> dict[tuple[str, str], Tensor]:
    sentences, _, ref = exact_world()
    nearest = _Nearest(lambda model: sentences.exact(model).ref)
    model, texts = copy.deepcopy(ref), sentence_texts(sentences, *asked)
    train(model, texts, config, ref=ref, watch=nearest, watch_at=LOOKS)
    return {("dpo", "end"): sentences.exact(model).ref, ("dpo", "best"): nearest.policy}


def _reward_model(asked: Preferences, config: Config) -> dict[tuple[str, str], Tensor]:
    """Its exact tilt, which samples nothing, and what PPO makes of it."""
    sentences, world, ref = exact_world()
    judge = baselines.RewardModel(copy.deepcopy(ref))
    policy = copy.deepcopy(ref)

    def tilted(judge) -> Tensor:
        learned = baselines.reward_table(judge, sentences)
        return optimal_policy(world.ref, learned, BETA)

    nearest, texts = _Nearest(tilted), sentence_texts(sentences, *asked)
    rows_of = batch_order(texts, config.batch_size, config.seed)
    losses = baselines.reward_model_steps(judge, texts, rows_of)
    fit(judge, losses, config, watch=nearest, watch_at=LOOKS)

    learned = baselines.reward_table(judge, sentences)
    writing = {"each": config.samples // len(learned), "seed": config.seed}
    rollouts = baselines.sentence_rollouts(policy, sentences, learned, **writing)
    losses = baselines.policy_gradient_steps(policy, ref, rollouts, BETA)
    fit(policy, losses, Config(steps=ROLLOUTS, seed=config.seed, quiet=True))
    return {
        ("tilt", "end"): tilted(judge),
        ("tilt", "best"): nearest.policy,
        ("ppo_learned", "end"): sentences.exact(policy).ref,
    }
