"""One training run in World S, with one thing about it changed, and its log."""

import copy
import functools
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.batches import Texts, batch_order, collate, response_logps, texts_logps
from course_lib.config import Config
from course_lib.datasets import LoggedRun
from course_lib.failures.data import asked, texts_of
from course_lib.failures.plan import Plan
from course_lib.metrics import (
    exact_metrics,
    implicit_accuracy,
    label_chances,
    shortfall,
)
from course_lib.policies import expected_reward
from course_lib.preferences import accuracy_ceiling
from course_lib.training import fit
from course_lib.transformer import Transformer, load
from course_lib.worlds import (
    Preferences,
    SentenceWorld,
    World,
    sample_preferences,
    world_s,
)

__all__ = ["logged_run"]

HELD_OUT = 500  # pairs of an evaluation, from the same annotators
TRUTH = 4_000  # pairs without any flaw, for the true accuracy and its ceiling
TARGET = 0.5  # KL(π‖π*) is to the optimum of this β, whatever the run's own
RANKS = 8  # processes, of which one prints its own pairs
ACCUMULATED = 4  # batches, whose losses are added up in print
EPOCH = 24  # steps, of which the last prints the mean of
REST = 3  # pairs
SYNC = 10  # steps after which a moving reference takes the policy's weights


class Setting(NamedTuple):
    """What all runs share: World S, its reference and what judges a policy."""

    sentences: SentenceWorld
    ref: Transformer
    world: World
    judged: Preferences  # healthy held-out pairs, by number
    ceiling: float  # of the accuracy on them
    words: Tensor  # of each sentence


@functools.cache
def setting() -> Setting:
    sentences, ref = world_s(), load("S").double()
    world = sentences.exact(ref)
    judged = sample_preferences(world, TRUTH, seed=12_345)
    ceiling = accuracy_ceiling(label_chances(world, judged)).item()
    words = (sentences.tokens < sentences.end).sum(-1)
    return Setting(sentences, ref, world, judged, ceiling, words)


def logged_run(
    name: str, plan: Plan, seed: int, steps: int, every: int = 1
) -> LoggedRun:
    """Train by a plan, log batches, and look at the truth five times.

    name: of the record; plan: a Plan; seed: of the pairs, their order and all noise
    steps: updates, ≥ 5
    every: how many steps there are between rows; the first step is always there
    returns: a LoggedRun
    raises: FloatingPointError where the loss is not finite any more
    """
    world = setting()
    model = copy.deepcopy(world.ref)
    pairs = asked(world.sentences, world.world, plan, plan.pairs, seed)
    texts = texts_of(world.sentences, pairs, plan)
    measured = Measured(plan, model, texts, seed)
    eval_pairs = pairs
    if plan.data != "leaked":
        kind = plan._replace(data="") if plan.data == "copies" else plan
        eval_pairs = asked(world.sentences, world.world, kind, HELD_OUT, 1_000 + seed)
    held = texts_of(world.sentences, eval_pairs, plan).take(torch.arange(HELD_OUT))

    def watch(_: nn.Module) -> dict[str, float]:
        return {**measured.evaluated(held), **truth(model)}

    config = Config(
        steps=steps,
        batch_size=plan.batch_size,
        lr=plan.lr,
        warmup=plan.warmup,
        seed=seed,
        quiet=True,
    )
    at = tuple(round(steps * part / 4) for part in range(5))
    log = fit(model, measured.losses, config, watch=watch, watch_at=at)
    columns = {"grad_norm" if n == "gradient_norm" else n: v for n, v in log[1].items()}
    rows = [
        {"step": step + 1, **{n: column[step] for n, column in columns.items()}}
        for step in range(steps)
        if step == 0 or (step + 1) % every == 0
    ]
    return LoggedRun(name, seed, rows, log.watched)


def truth(model: nn.Module) -> dict[str, float]:
    """What only an exact world can say of a policy; see `exact_metrics`."""
    world = setting()
    policy = world.sentences.exact(model).ref
    exact = exact_metrics(world.world, policy, TARGET)
    exact.pop("regret")
    length = expected_reward(policy, world.words.to(policy).expand_as(policy))
    right = implicit_accuracy(world.world, policy, world.judged)
    return {
        **exact,
        "shortfall": shortfall(world.world, policy),
        "length": length.mean().item(),
        "held_out": right,
        "ceiling": world.ceiling,
    }


class Measured:
    """Log-probs and losses as the planned code computes them, sound or not."""

    def __init__(self, plan: Plan, model: Transformer, texts: Texts, seed: int):
        self.plan, self.model, self.texts = plan, model, texts
        self.random = torch.Generator().manual_seed(seed)
        self.rows_of = batch_order(texts, plan.batch_size, seed)
        self.other = self.reference()
        still = plan.reference not in ("moving", "shared") and not plan.ref_dropout
        self.known = None  # the reference's log-probs, computed once if they can be
        if still:
            self.known = texts_logps(self.other, texts, 1_024, layout="distinct").T

    def reference(self) -> nn.Module:
        """The model that the policy is compared with."""
        kind = self.plan.reference
        if kind == "shared":
            return self.model
        other = copy.deepcopy(setting().ref)
        if kind == "other":
            other = load("L").double()
        if kind == "uniform":
            nn.init.zeros_(other.embedding.weight)
        return other

    def sums(self, model: nn.Module, texts: Texts, dropout: float = 0.0) -> Tensor:
        """Log-probs of chosen and rejected responses, (2, pairs)."""
        if dropout:
            model = Dropped(model, dropout, self.random)
        batch = collate(texts, "padded" if dropout else "distinct")
        return response_logps(model, batch).view(2, -1)

    def taken(self, logps: Tensor, texts: Texts) -> Tensor:
        """The policy's log-probs of responses as the planned code takes them."""
        if self.plan.logps == "bfloat16":  # the gradient is not rounded
            return logps + (logps.bfloat16() - logps).detach()
        return self.exactly_taken(logps, texts)

    def exactly_taken(self, logps: Tensor, texts: Texts) -> Tensor:
        """The same of the reference, which was computed in full precision."""
        if self.plan.logps == "mean":
            return logps / texts.lengths.T
        return 0 * logps if self.plan.logps == "unmasked" else logps

    def losses(self, step: int) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        """For `fit`: a step's loss, and what a library logs of its batch."""
        plan, rows = self.plan, self.rows_of(step)
        if plan.reference == "moving" and step % SYNC == 0:
            self.other.load_state_dict(self.model.state_dict())
        if plan.weights == "bfloat16":
            with torch.no_grad():
                for weight in self.model.parameters():
                    weight.copy_(weight.bfloat16())
        texts = self.texts.take(rows)
        policy = self.sums(self.model, texts, plan.dropout)
        if plan.frozen:  # in the graph, and without a slope
            policy = policy.detach() + 0 * sum(p.sum() for p in self.model.parameters())
        if self.known is not None:
            ref = self.known[:, rows]
        else:
            with torch.no_grad():
                ref = self.sums(self.other, texts, plan.ref_dropout)
        losses, rewards = self.dpo(policy, ref, texts)
        shown = len(rows)
        if plan.logs == "one rank":
            shown = len(rows) // RANKS
        if plan.logs == "last batch" and step % EPOCH == EPOCH - 1:
            shown = REST
        logged = summary(losses, rewards, self.taken(policy, texts), shown)
        if plan.logs == "summed":
            logged["loss"] = ACCUMULATED * logged["loss"]
        yield losses.mean(), logged

    def dpo(self, policy: Tensor, ref: Tensor, texts: Texts) -> tuple[Tensor, Tensor]:
        """−(1 − ε) log σ(m) − ε log σ(−m) + weight · NLL, and the rewards, (2, pairs).

        Not `losses.dpo_loss`, which refuses β = 0 and much else that is planted here
        """
        plan = self.plan
        ref = 0 * ref if plan.reference == "none" else self.exactly_taken(ref, texts)
        rewards = plan.beta * (self.taken(policy, texts) - ref)
        if plan.loss == "per token":
            rewards = rewards / texts.lengths.T
        margin = rewards[0] - rewards[1]
        right, flipped = -F.logsigmoid(margin), -F.logsigmoid(-margin)
        losses = (1 - plan.label_smoothing) * right + plan.label_smoothing * flipped
        nll = -policy[0] / texts.lengths[:, 0]  # nats a token
        return losses + plan.nll_weight * nll, rewards.detach()

    @torch.no_grad()
    def evaluated(self, texts: Texts) -> dict[str, float]:
        """What the same code logs of held-out pairs; dropout is off."""
        policy, ref = (self.sums(m, texts) for m in (self.model, self.other))
        losses, rewards = self.dpo(policy, ref, texts)
        logged = summary(losses, rewards, self.taken(policy, texts), len(texts))
        return {f"eval_{name}": value.item() for name, value in logged.items()}


def summary(
    losses: Tensor, rewards: Tensor, logps: Tensor, shown: int
) -> dict[str, Tensor]:
    """Means over the first pairs, as many as are shown.

    A tie counts as lost, as in TRL. Rewards are rounded at the twelfth decimal, so that
    a tie is one on every processor
    """
    chosen, rejected = rewards[:, :shown].round(decimals=12)
    chosen_logps, rejected_logps = logps.detach()[:, :shown]
    return {
        "loss": losses.detach()[:shown].mean(),
        "chosen": chosen.mean(),
        "rejected": rejected.mean(),
        "margin": (chosen - rejected).mean(),
        "accuracy": (chosen > rejected).double().mean(),
        "chosen_logps": chosen_logps.mean(),
        "rejected_logps": rejected_logps.mean(),
    }


class Dropped(nn.Module):
    """A model whose last features are dropped with a probability, and scaled up."""

    def __init__(self, model: Transformer, share: float, random: torch.Generator):
        super().__init__()
        self.model, self.share, self.random = model, share, random

    def features(self, *args, **kwargs) -> Tensor:
        features = self.model.features(*args, **kwargs)
        kept = torch.rand(features.shape, generator=self.random) >= self.share
        return features * kept / (1 - self.share)

    def head(self, features: Tensor) -> Tensor:
        return self.model.head(features)
