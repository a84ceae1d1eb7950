"""Annotators who like long answers, and a loss that is told how much."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import validate
from course_lib.batches import batch_order, collate, response_logps, sentence_texts
from course_lib.config import Config
from course_lib.failures import plan_of
from course_lib.failures.data import asked
from course_lib.failures.running import setting, truth
from course_lib.training import fit
from course_lib.variants import of_pairs

__all__ = ["length_regularized_dpo_loss", "length_regularized_run"]


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
    plan, (sentences, ref, world, *_, words) = plan_of("length_bias"), setting()
    pairs = asked(sentences, world, plan, plan.pairs, seed)
    texts, model = sentence_texts(sentences, *pairs), copy.deepcopy(ref)
    sides = torch.stack([pairs.chosen, pairs.rejected])
    known, lengths = world.ref.log()[pairs.prompts, sides], words[sides].double()
    rows_of = batch_order(texts, plan.batch_size, seed)

    def losses(step: int):
        rows = rows_of(step)
        logps = response_logps(model, collate(texts.take(rows), "distinct")).view(2, -1)
        pairs = *logps, *known[:, rows], *lengths[:, rows]
        yield length_regularized_dpo_loss(*pairs, plan.beta, alpha=alpha), {}

    how = {"batch_size": plan.batch_size, "lr": plan.lr, "quiet": True}
    fit(model, losses, Config(steps=steps, seed=seed, **how))
    end = truth(model)
    return {"words": end["length"], **{n: end[n] for n in ("reward", "kl", "distance")}}
