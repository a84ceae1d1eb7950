"""Annotators who like long answers, and a loss that is told how much."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import validate
from course_lib.batches import batch_order, collate, response_logps, sentence_texts
from course_lib.config import Config
from course_lib.metrics import exact_metrics
from course_lib.policies import expected_reward
from course_lib.training import fit
from course_lib.transformer import load
from course_lib.variants import of_pairs
from course_lib.worlds import sample_preferences, world_s

__all__ = ["length_regularized_dpo_loss", "length_regularized_run"]

BONUS = 0.5  # of reward a word, which the annotators give: chapter 08's length_bias
BETA, PAIRS, BATCH, LR = 0.5, 10_000, 64, 2e-3  # and the rest of its plan


@of_pairs
def length_regularized_dpo_loss(
    u, v, chosen_lengths: Tensor, rejected_lengths: Tensor, beta: float, *, alpha: float
):
    """DPO for labels that pay α for each unit of length, which the policy should not.

    −log σ( βh + α (|y_w| − |y_l|) )

    the FOUR: response log-probs, sums, nats, (batch,)
    chosen_lengths, rejected_lengths: (batch,), in words or tokens, ≥ 0
    beta: reward per nat, > 0; alpha: reward a unit of length, ≥ 0; 0 is DPO
    reduction: "mean", "sum" or "none"
    returns: nats, a scalar or (batch,)
    raises: ValueError on bad shapes or values
    source: Park et al. (2024), from the objective E[r − α|y|] − β KL

    >>> four, long, short = torch.zeros(4, 1), torch.tensor([3.0]), torch.tensor([1.0])
    >>> length_regularized_dpo_loss(*four, long, short, beta=1.0, alpha=0.5)  # −ln σ(1)
    tensor(0.3133)
    """
    validate.fraction("alpha", alpha)
    for name, lengths in (("chosen", chosen_lengths), ("rejected", rejected_lengths)):
        if lengths.shape != u.shape or not validate.holds(lengths >= 0):
            raise ValueError(f"{name}_lengths must be ≥ 0, of shape {tuple(u.shape)}")
    longer = (chosen_lengths - rejected_lengths).to(u)
    return -F.logsigmoid(beta * (u - v) + alpha * longer)


def length_regularized_run(alpha: float, seed: int, *, steps: int = 120) -> dict:
    """Train in World S on labels that pay ½ a word, with a loss that is told α.

    alpha: of `length_regularized_dpo_loss`, in reward a word; 0 is chapter 08's run
        "length_bias" of the same seed
    seed: of the pairs and their order; steps: updates, some two seconds for 120
    returns: at the end, means over prompts: words an answer, true reward, KL from the
        reference and distance KL(π‖π*) from the optimum of the true reward, nats
    raises: ValueError for an alpha below 0
    """
    sentences, ref = world_s(), load("S").double()
    world, words = sentences.exact(ref), (sentences.tokens < sentences.end).sum(-1)
    pairs = sample_preferences(world, PAIRS, seed=seed, bonus=BONUS * words)
    texts, model = sentence_texts(sentences, *pairs), copy.deepcopy(ref)
    sides = torch.stack([pairs.chosen, pairs.rejected])
    known, lengths = world.ref.log()[pairs.prompts, sides], words[sides].double()
    rows_of = batch_order(texts, BATCH, seed)

    def losses(step: int):
        rows = rows_of(step)
        logps = response_logps(model, collate(texts.take(rows), "distinct")).view(2, -1)
        pairs = *logps, *known[:, rows], *lengths[:, rows]
        yield length_regularized_dpo_loss(*pairs, BETA, alpha=alpha), {}

    config = Config(steps=steps, batch_size=BATCH, lr=LR, seed=seed, quiet=True)
    fit(model, losses, config)
    policy = sentences.exact(model).ref
    told = exact_metrics(world, policy, BETA)
    long = expected_reward(policy, words.to(policy).expand_as(policy)).mean().item()
    return {"words": long, **{n: told[n] for n in ("reward", "kl", "distance")}}
