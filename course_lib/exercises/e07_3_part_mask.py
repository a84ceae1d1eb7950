"""Exercise 7.3: Who sees whom."""

import torch

from course_lib.batches import part_mask
from .spec import Exercise, builder, fresh, given, kind, rule


def _parts(*rows: list[int]):
    return given(torch.tensor(rows))


@builder
def _fresh(inputs, *sizes: int):
    """Three rows of 9 tokens: a prompt and two or three responses of any length."""
    rows = []
    for parts in sizes:
        cuts = 1 + inputs.permutations(1, 8)[0, : parts - 1].sort().values
        rows.append([int((cuts <= place).sum()) for place in range(9)])
    return (torch.tensor(rows),)


def _grid(call, ours) -> str:
    """Small masks as they stand."""
    rows, time, _ = ours.shape
    grids = torch.tensor(ours.numbers).int().reshape(rows, time, time).tolist()
    return f"be {', then '.join(map(str, grids))}: 1 where a query (row) sees a key"


STEPS = """
parts:
query = parts[:, :, None]  # the query's part
key = parts[:, None, :]  # the key's part
before = torch.ones(2 * parts.shape[1:]).bool().tril()  # the rule on places
prompt = key == 0  # the rule on prompts
mine = query == key  # the rule on a part of one's own
theirs = prompt | mine  # the rule on parts
mask = before & theirs  # the mask
"""
FAULTS = """
plain causal: theirs = mine | ~mine
    everything before it: the rejected response would answer the chosen one
prompt unseen: theirs = mine
    its own part alone, as when the query is asked whether it is in the prompt: a
    response must see the prompt's keys, or it answers nothing
prompt alone: theirs = prompt
    the prompt alone: a token must also see its own response, as far as it has come
both conditions at once: theirs = prompt & mine
    in the prompt and in the query's own part: either is enough
no order: before = torch.ones(2 * parts.shape[1:]).bool()
    what comes after it as well: a token that sees the next one need not predict it
upper triangle: before = torch.ones(2 * parts.shape[1:]).bool().triu()
    what comes after it in place of what came before: a query is a row, so that the mask
    fills the lower triangle
prompt both ways: mask = before & theirs | (query + key == 0)
    the prompt read in both directions: the model was trained to read forwards
self unseen: before = torch.ones(2 * parts.shape[1:]).bool().tril(-1)
    what stands before it, without itself: a token must know what it is
rows and columns exchanged: mask = (before & theirs).mT
    keys in the rows: a query is a row, so the mask fills the lower triangle
True for hidden: mask = ~(before & theirs)
    True where a key is hidden, as some libraries want it: here True is seen
two responses only: theirs = ~((query == 2) & (key == 1))
    the first response hidden from the second and from no other: compare the two parts,
    whatever their numbers
numbers up to 2: theirs = prompt | mine & (key <= 2)
    the cases 1 and 2 written out: a third response does not see itself. Compare the two
    parts, whatever their numbers
neighbours alone: theirs = prompt | (query - key != 1)
    each response hidden from the next one and from no other: compare the two parts,
    whatever their numbers
the first row's mask: mask = (before & theirs)[:1].repeat(parts.shape[0], 1, 1)
    one mask for the whole batch: prompts differ in length, and so do the rows
the first row's prompt: prompt = (torch.arange(parts.shape[1])
        < (parts[0] == 0).sum()).expand(key.shape)
    the length of the first row's prompt used for all: prompts differ in length
one mask without a batch: mask = (before & theirs)[0]
    the mask of the first row alone: each row has its own, (batch, time, time)
ones and zeros: mask = (before & theirs).float()
    numbers in place of truth values: attention adds them to its scores, hiding nothing
scores to add: mask = where(before & theirs, 0.0, -torch.inf)
    0 and −∞, which are added to the scores: here the mask is wanted, of bools
"""
CHECKS = (
    kind(
        "True or False for every query and every key of every row",
        [_parts([0, 1, 2]), _parts([0, 0, 1, 2], [0, 1, 1, 2])],
    ),
    rule("a lone prompt", _grid, [_parts([0, 0, 0])]),
    rule("a response and its prompt", _grid, [_parts([0, 0, 1])]),
    rule(
        "a response and the one before it",
        _grid,
        [_parts([0, 1, 2]), _parts([0, 1, 1, 2])],
    ),
    rule("three responses to one prompt", _grid, [_parts([0, 1, 2, 3])]),
    rule("each row by its own parts", _grid, [_parts([0, 0, 1], [0, 1, 2])]),
    fresh(
        "be True where a key stands at or before its query and in the prompt or in "
        "the query's own part, False elsewhere",
        map(_fresh, (3, 4), (3, 2), (4, 3)),
    ),
)
HINTS = """
Two conditions, both for a query in the rows and a key in the columns: one on where they
    stand, one on the parts that they belong to.
Where: torch.ones(time, time, dtype=torch.bool).tril(). Parts: the key's is 0, or the
    same as the query's.
`query, key = parts[:, :, None], parts[:, None, :]`, then `(key == 0) | (key == query)`.
"""
EXERCISE = Exercise(__doc__, part_mask, STEPS, FAULTS, CHECKS, HINTS)
