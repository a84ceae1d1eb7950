"""Exercise 7.2: Who sees whom."""

import torch

from course_lib.batches import part_mask
from course_lib.exercises.spec import Exercise, builder, given, kind, rule


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


def _seen(who, diagonal=0):
    """A mask from a rule on (query's part, key's part), and where its diagonal is."""

    def mask(parts):
        causal = torch.ones(2 * parts.shape[1:]).bool().tril(diagonal)
        return causal & who(parts[:, :, None], parts[:, None, :])

    return mask


def _prompt_or_own(query, key):
    return (key == 0) | (query == key)


EXERCISE = Exercise(
    number="7.2",
    title="Who sees whom",
    reference=part_mask,
    checks=(
        kind(
            "True or False for every query and every key of every row",
            [_parts([0, 1, 2]), _parts([0, 0, 1, 2], [0, 1, 1, 2])],
        ),
        rule(
            "a lone prompt: each token sees itself and those before it",
            _grid,
            [_parts([0, 0, 0])],
        ),
        rule("a response sees its prompt", _grid, [_parts([0, 0, 1])]),
        rule(
            "a response does not see the one before it",
            _grid,
            [_parts([0, 1, 2]), _parts([0, 1, 1, 2])],
        ),
        rule("three responses are three strangers", _grid, [_parts([0, 1, 2, 3])]),
        rule("each row by its own parts", _grid, [_parts([0, 0, 1], [0, 1, 2])]),
        rule(
            "right on fresh random rows",
            "be True where a key stands at or before its query and in the prompt or in "
            "the query's own part, False elsewhere",
            map(_fresh, (3, 4), (3, 2), (4, 3)),
        ),
    ),
    misconceptions={
        "plain causal": (
            _seen(lambda query, key: (query >= 0) & (key >= 0)),
            "everything before it: the rejected response reads the chosen one, and is "
            "scored as an answer to it",
        ),
        "prompt unseen": (
            _seen(lambda query, key: query == key),
            "its own part alone: a response that cannot see the prompt answers nothing",
        ),
        "no order": (
            _seen(_prompt_or_own, diagonal=99),
            "what comes after it as well: a token that sees the next one need not "
            "predict it",
        ),
        "prompt both ways": (
            lambda parts: part_mask(parts) | (parts[:, :, None] + parts[:, None] == 0),
            "the prompt read in both directions: the model was trained to read "
            "forwards",
        ),
        "self unseen": (
            _seen(_prompt_or_own, diagonal=-1),
            "what stands before it, without itself: a token must know what it is",
        ),
        "rows and columns exchanged": (
            lambda parts: part_mask(parts).mT,
            "keys in the rows: a query is a row, so that the mask fills the lower "
            "triangle",
        ),
        "True for hidden": (
            lambda parts: ~part_mask(parts),
            "True where a key is hidden, as some libraries want it: here True is seen",
        ),
        "two responses only": (
            _seen(lambda query, key: ~((query == 2) & (key == 1))),
            "the first response hidden from the second and from no other: compare the "
            "two parts, whatever their numbers",
        ),
        "the first row's mask": (
            lambda parts: part_mask(parts[:1]).repeat(len(parts), 1, 1),
            "one mask for the whole batch: prompts differ in length, and so do the "
            "rows",
        ),
        "ones and zeros": (
            lambda parts: part_mask(parts).float(),
            "numbers in place of truth values: attention adds numbers to its scores, "
            "and hides nothing",
        ),
        "scores to add": (
            lambda parts: torch.where(part_mask(parts), 0.0, -torch.inf),
            "0 and −∞, which are added to the scores: here the mask is wanted, of "
            "bools",
        ),
    },
    hints=(
        "Two conditions, both for a query in the rows and a key in the columns: one on "
        "where they stand, one on the parts that they belong to.",
        "Where: torch.ones(time, time, dtype=torch.bool).tril(). Parts: the key's is "
        "0, or the same as the query's.",
        "`query, key = parts[:, :, None], parts[:, None, :]`, then `(key == 0) | (key "
        "== query)`.",
    ),
)
