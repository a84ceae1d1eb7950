"""Worlds small enough to be exact: every response is listed, with its probability."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "World",
    "eight_words",
    "five_responses",
    "random_world",
    "sample_rewards",
]


class World(NamedTuple):
    """One prompt, or several: what can be answered, how likely, and how good it is."""

    names: tuple[str, ...]
    ref: Tensor  # the reference policy's probabilities, shape (…, responses)
    rewards: Tensor  # the true rewards, shape (…, responses)


def five_responses() -> World:
    """The world of five answers that chapters 02 to 05 work in.

    returns: a World of names A to E, float64
    source: numbers chosen so that one answer is common and dull, one good and rare

    >>> five_responses().rewards.tolist()
    [1.0, 3.0, 0.5, 2.5, -0.5]
    """
    ref = torch.tensor([0.30, 0.25, 0.20, 0.15, 0.10], dtype=torch.float64)
    rewards = torch.tensor([1.0, 3.0, 0.5, 2.5, -0.5], dtype=torch.float64)
    return World(("A", "B", "C", "D", "E"), ref, rewards)


def eight_words() -> World:
    """A language of eight words: how often each is said, and what it is worth.

    returns: a World of eight words, float64. An answer is some words in a row, drawn
        independently; its reward is the sum of their values
    source: numbers chosen so that the best word is rare

    >>> eight_words().names[-1], float(eight_words().ref[-1])
    ('superb', 0.01)
    """
    words = ("the", "a", "film", "fine", "dull", "good", "moving", "superb")
    ref = [0.25, 0.20, 0.18, 0.14, 0.10, 0.08, 0.04, 0.01]
    values = [0.0, 0.0, 0.0, 0.5, -1.0, 1.0, 1.5, 2.0]
    ref, values = (torch.tensor(x, dtype=torch.float64) for x in (ref, values))
    return World(words, ref, values)


def sample_rewards(world: World, length: int, *shape: int, seed: int) -> Tensor:
    """Rewards of random answers, each of `length` independent draws from `world.ref`.

    world: of one row; an answer's reward is the sum of what its draws are worth
    length: draws an answer, ≥ 1; shape: how many answers; seed: the same ones again
    returns: rewards, of that shape
    raises: ValueError for a length below 1

    >>> sample_rewards(five_responses(), 1, 2, 3, seed=0).shape
    torch.Size([2, 3])
    """
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    random = torch.Generator().manual_seed(seed)
    count = math.prod(shape) * length
    drawn = torch.multinomial(world.ref, count, replacement=True, generator=random)
    return world.rewards[drawn].reshape(*shape, length).sum(-1)


def random_world(seed: int, responses: int = 5, worlds: int | None = None) -> World:
    """Worlds whose references and rewards are drawn at random.

    seed: the same world again for the same seed
    responses: how many answers each has; worlds: how many worlds, None for a single one
    returns: a World, float64, of shape (responses,) or (worlds, responses): a reference
        from softmax(N(0, 1)), rewards from N(0, 1.5²)
    raises: ValueError for fewer than two responses

    >>> random_world(0, responses=3, worlds=20).ref.shape
    torch.Size([20, 3])
    """
    if responses < 2:
        raise ValueError(f"responses must be at least 2, got {responses}")
    random = torch.Generator().manual_seed(seed)
    shape = (responses,) if worlds is None else (worlds, responses)
    draw = torch.randn(2, *shape, generator=random, dtype=torch.float64)
    names = tuple(f"y{number}" for number in range(1, responses + 1))
    return World(names, torch.softmax(draw[0], -1), 1.5 * draw[1])
