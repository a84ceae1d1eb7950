"""Where losses lead in the limit, found by enumeration."""

import itertools

import torch


def hinge_optimum(ref, rewards, beta):
    """Where the hinge leads on all pairs of at most five responses, exactly.

    The expected loss is convex, and linear between its kinks at margins of ±1. So it is
    lowest at a point where the margins of a spanning tree of pairs are all ±1: all such
    points are tried.
    """
    n = len(ref)
    tree_margins = []
    for tree in itertools.combinations(itertools.combinations(range(n), 2), n - 1):
        rows = torch.zeros(n, n, dtype=torch.float64)
        for row, (i, j) in enumerate(tree):
            rows[row, i], rows[row, j] = 1, -1
        rows[-1, 0] = 1  # the first score is 0
        if abs(torch.linalg.det(rows)) > 0.5:
            signs = itertools.product((-1.0, 1.0), repeat=n - 1)
            ends = torch.tensor([[*each, 0.0] for each in signs], dtype=torch.float64)
            tree_margins.append(torch.linalg.solve(rows, ends.T).T)
    scores = torch.cat(tree_margins)
    drawn = (ref[:, None] * ref).fill_diagonal_(0)
    chance = drawn * torch.sigmoid(rewards[:, None] - rewards)
    margins = scores[:, :, None] - scores[:, None]
    best = scores[(chance * (1 - margins).clamp(min=0)).sum((1, 2)).argmin()]
    return (ref.log() + best / beta).softmax(-1)


def surest_split(ref, rewards):
    """The most that one part of the responses beats the rest, weighted as drawn."""
    beats, drawn = torch.sigmoid(rewards[:, None] - rewards), ref[:, None] * ref
    shares = []
    for size in range(1, len(ref)):
        for part in itertools.combinations(range(len(ref)), size):
            rest = [i for i in range(len(ref)) if i not in part]
            weight = drawn[list(part)][:, rest]
            share = (weight * beats[list(part)][:, rest]).sum() / weight.sum()
            shares.append(share.item())
    return max(shares)
