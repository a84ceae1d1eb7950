"""Displacement as geometry: what a step on one pair does to the chosen answer.

A small step on a pair moves the parameters along ∇log π(y_w) − ∇log π(y_l). Every
log-probability changes by the product of its own gradient with that direction.
"""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from course_lib import validate
from course_lib.worlds import SentenceWorld

__all__ = [
    "PairGeometry",
    "batch_pushes",
    "moved_along",
    "pair_geometry",
    "pair_pushes",
    "sentence_scores",
    "softmax_scores",
]


class PairGeometry(NamedTuple):
    """How the gradients of two answers lie; the sign of `push` is what counts."""

    cosine: Tensor  # of the angle between ∇log π(y_w) and ∇log π(y_l)
    ratio: Tensor  # ‖∇log π(y_l)‖ / ‖∇log π(y_w)‖
    push: Tensor  # ∇log π(y_w) · (∇log π(y_w) − ∇log π(y_l)): below 0, y_w falls


def pair_geometry(scores: Tensor, chosen: Tensor, rejected: Tensor) -> PairGeometry:
    """Angle, lengths and push of pairs, from the gradients of the answers.

    push = ‖g_w‖² (1 − ratio · cosine): the chosen answer falls if ratio · cosine > 1

    scores: g, the gradient of log π of each answer, (answers, parameters)
    chosen, rejected: numbers of the two answers of each pair, (pairs,)
    returns: a PairGeometry of shape (pairs,)
    raises: ValueError for different numbers of sides, or a gradient of 0
    source: the chain rule; for language models Razin et al. (2024)

    >>> scores = torch.tensor([[1.0, 0.0], [2.0, 2.0]])
    >>> pair_geometry(scores, torch.tensor([0]), torch.tensor([1])).push
    tensor([-1.])
    """
    validate.tensors(scores=scores)
    _sides(chosen, rejected)
    kernel = scores @ scores.T  # products of all gradients: small, whatever their width
    squares, inner = kernel.diag(), kernel[chosen, rejected]
    if not validate.holds(squares[torch.cat((chosen, rejected))] > 0):
        raise ValueError("scores must not hold a gradient of 0")
    norms = squares.sqrt()
    return PairGeometry(
        inner / (norms[chosen] * norms[rejected]),
        norms[rejected] / norms[chosen],
        squares[chosen] - inner,
    )


def batch_pushes(
    chosen: Tensor, rejected: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """What a step on a batch does to each chosen answer: its own pair, and the others.

    g_i · c_i (g_i − g'_i) / n, and Σ_{j≠i} g_i · c_j (g_j − g'_j) / n

    chosen, rejected: g and g', gradients of log π, (pairs, parameters)
    weights: c, how hard the loss pushes each pair, as β σ(−βh), (pairs,)
    returns: own and others, (pairs,): the change of log π(y_w) for a learning rate of
        1, to first order
    raises: ValueError for shapes that do not fit
    source: the chain rule

    >>> g, other = torch.eye(2), -torch.eye(2)
    >>> batch_pushes(g, other, torch.ones(2))
    (tensor([1., 1.]), tensor([0., 0.]))
    """
    validate.tensors(chosen=chosen, rejected=rejected)
    validate.batch(weights=weights)
    validate.layout("pairs parameters, pairs", chosen=chosen, weights=weights)
    step = weights[:, None] * (chosen - rejected) / len(weights)
    own = (chosen * step).sum(-1)
    return own, chosen @ step.sum(0) - own


def moved_along(model: nn.Module, direction: Tensor) -> nn.Module:
    """A copy of a model whose parameters are moved by a vector: one step of SGD.

    direction: (parameters,), in the order of `model.parameters()`
    raises: ValueError for another length

    >>> line = nn.Linear(1, 1, bias=False)
    >>> bool(moved_along(line, torch.ones(1)).weight == line.weight + 1)
    True
    """
    moved = copy.deepcopy(model)
    weights = list(moved.parameters())
    sizes = [weight.numel() for weight in weights]
    if direction.shape != (sum(sizes),):
        raise ValueError(
            f"direction must be ({sum(sizes)},), got {tuple(direction.shape)}"
        )
    with torch.no_grad():
        for weight, part in zip(weights, direction.split(sizes), strict=True):
            weight += part.view_as(weight)
    return moved


def softmax_scores(features: Tensor, policy: Tensor) -> Tensor:
    """∇log π of every answer, for logits that are features times a shared vector.

    ∇_θ log π(y) = a_y − E_π[a],  π = softmax(a · θ).  A table has the identity for a

    features: a, (answers, width); policy: π, (answers,)
    returns: (answers, width)
    raises: ValueError if policy is none, or for another number of answers
    source: the gradient of a log-softmax

    >>> softmax_scores(torch.eye(2), torch.tensor([0.75, 0.25]))
    tensor([[ 0.2500, -0.2500],
            [-0.7500,  0.7500]])
    """
    validate.probabilities(policy=policy)
    validate.tensors(features=features)
    validate.layout("answers width, answers", features=features, policy=policy)
    return features - policy @ features


def pair_pushes(
    features: Tensor, policy: Tensor, chosen: Tensor, rejected: Tensor
) -> Tensor:
    """Which way a small step on each pair moves the log-probability of every answer.

    push(y) = (a_w − a_l) · (a_y − E_π[a]): a step of learning rate η on a pair at
    weight c changes log π(y) by η c push(y), to first order

    features: rows a of the answers, (answers, width); logits are a · θ
    policy: probabilities, (answers,)
    chosen, rejected: numbers of the two answers of each pair, (pairs,)
    returns: (pairs, answers). Their mean under the policy is 0: what one answer gains
        another loses
    raises: ValueError as `softmax_scores`, or for different numbers of sides
    source: the chain rule; Razin et al. (2024) for the chosen answer

    >>> half = torch.tensor([0.5, 0.5])
    >>> pair_pushes(torch.eye(2), half, torch.tensor([0]), torch.tensor([1]))
    tensor([[ 1., -1.]])
    """
    _sides(chosen, rejected)
    scores = softmax_scores(features, policy)
    return (features[chosen] - features[rejected]) @ scores.T


def sentence_scores(
    sentences: SentenceWorld, model: nn.Module, prompt: int, answers: Sequence[int]
) -> Tensor:
    """∇log π(y|x) of a network's answers, with respect to all of its parameters.

    prompt: by number; answers: numbers of sentences
    returns: (answers, parameters), in the order of `model.parameters()`
    raises: ValueError if there is no answer
    source: autograd, one answer at a time

    >>> from course_lib import load, world_s
    >>> sentence_scores(world_s(), load("S"), 0, [4, 5]).shape
    torch.Size([2, 27200])
    """
    if not len(answers):
        raise ValueError("answers is empty")
    asked = sentences.prompt_ids(torch.tensor([prompt]))
    weights, found = list(model.parameters()), []
    for answer in answers:
        tokens, length = sentences.tokens[answer], int(sentences.lengths[answer])
        steps = model(torch.cat((asked[0], tokens[:-1]))[None]).log_softmax(-1)[0]
        logp = steps[range(length), tokens[:length]].sum()
        slopes = torch.autograd.grad(logp, weights)
        found.append(torch.cat([slope.flatten() for slope in slopes]))
    return torch.stack(found)


def _sides(chosen: Tensor, rejected: Tensor):
    if chosen.shape != rejected.shape or chosen.ndim != 1:
        shapes = tuple(chosen.shape), tuple(rejected.shape)
        raise ValueError(f"chosen and rejected must both be (pairs,), got {shapes}")
