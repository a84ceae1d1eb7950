"""Chapter 07: who sees whom in a row of several answers, and whose a token is."""

import torch

from course_lib.batches import part_mask, sum_by_owner
from course_lib.exercises.spec import (
    Check,
    Draw,
    Exercise,
    Misconception,
    kind_of,
    returns_like,
    value_of,
)
from course_lib.submission.observing import Call


def _parts(*rows: list[int]) -> Call:
    return Call((torch.tensor(rows),))


def _drawn_parts(draw: Draw, *sizes: int) -> Call:
    """Three rows of 9 tokens: a prompt and two or three responses of any length."""
    rows = []
    for parts in sizes:
        cuts = 1 + draw.permutations(1, 8)[0, : parts - 1].sort().values
        rows.append([int((cuts <= place).sum()) for place in range(9)])
    return _parts(*rows)


def _grid_of(call: Call, ours) -> str:
    """Small masks as they stand."""
    rows, time, _ = ours.shape
    grids = torch.tensor(ours.numbers).int().reshape(rows, time, time).tolist()
    return f"be {', then '.join(map(str, grids))}: 1 where a query (row) sees a key"


def _masked(rule, shift=0):
    """A mask from a rule on (query's part, key's part), and where its diagonal is."""

    def mask(parts):
        causal = torch.ones(parts.shape[1], parts.shape[1], dtype=torch.bool).tril(
            shift
        )
        return causal & rule(parts[:, :, None], parts[:, None, :])

    return mask


def _either(mine, theirs):
    return (theirs == 0) | (mine == theirs)


def _no_order(parts):
    return _either(parts[:, :, None], parts[:, None, :])


def _prompt_both_ways(parts):
    prompt = parts == 0
    return part_mask(parts) | (prompt[:, :, None] & prompt[:, None, :])


def _first_row_for_all(parts):
    return part_mask(parts[:1]).expand(len(parts), -1, -1).clone()


def _scores_to_add(parts):
    return torch.zeros(()).masked_fill(~part_mask(parts), -torch.inf)


_MASK = Exercise(
    number="7.2",
    title="Who sees whom",
    reference=part_mask,
    checks=(
        Check(
            "True or False for every query and every key of every row",
            lambda draw: [_parts([0, 1, 2]), _parts([0, 0, 1, 2], [0, 1, 1, 2])],
            kind_of,
            returns_like,
        ),
        Check(
            "a lone prompt: each token sees itself and those before it",
            lambda draw: [_parts([0, 0, 0])],
            _grid_of,
        ),
        Check(
            "a response sees its prompt",
            lambda draw: [_parts([0, 0, 1])],
            _grid_of,
        ),
        Check(
            "a response does not see the one before it",
            lambda draw: [_parts([0, 1, 2]), _parts([0, 1, 1, 2])],
            _grid_of,
        ),
        Check(
            "three responses are three strangers",
            lambda draw: [_parts([0, 1, 2, 3])],
            _grid_of,
        ),
        Check(
            "each row by its own parts",
            lambda draw: [_parts([0, 0, 1], [0, 1, 2])],
            _grid_of,
        ),
        Check(
            "right on fresh random rows",
            lambda draw: [_drawn_parts(draw, 3, 3, 4), _drawn_parts(draw, 4, 2, 3)],
            "be True where a key stands at or before its query and in the prompt or in "
            "the query's own part, False elsewhere",
        ),
    ),
    misconceptions=(
        Misconception(
            "plain causal",
            _masked(lambda mine, theirs: (mine >= 0) & (theirs >= 0)),
            "everything before it: the rejected response reads the chosen one, and is "
            "scored as an answer to it",
        ),
        Misconception(
            "prompt unseen",
            _masked(lambda mine, theirs: mine == theirs),
            "its own part alone: a response that cannot see the prompt answers nothing",
        ),
        Misconception(
            "no order",
            _no_order,
            "what comes after it as well: a token that sees the next one need not "
            "predict it",
        ),
        Misconception(
            "prompt both ways",
            _prompt_both_ways,
            "the prompt read in both directions: the model was trained to read "
            "forwards",
        ),
        Misconception(
            "self unseen",
            _masked(_either, shift=-1),
            "what stands before it, without itself: a token must know what it is",
        ),
        Misconception(
            "rows and columns exchanged",
            lambda parts: part_mask(parts).mT,
            "keys in the rows: a query is a row, so that the mask fills the lower "
            "triangle",
        ),
        Misconception(
            "True for hidden",
            lambda parts: ~part_mask(parts),
            "True where a key is hidden, as some libraries want it: here True is seen",
        ),
        Misconception(
            "two responses only",
            _masked(lambda mine, theirs: ~((mine == 2) & (theirs == 1))),
            "the first response hidden from the second and from no other: compare the "
            "two parts, whatever their numbers",
        ),
        Misconception(
            "the first row's mask",
            _first_row_for_all,
            "one mask for the whole batch: prompts differ in length, and so do the "
            "rows",
        ),
        Misconception(
            "ones and zeros",
            lambda parts: part_mask(parts).float(),
            "numbers in place of truth values: attention adds numbers to its scores, "
            "and hides nothing",
        ),
        Misconception(
            "scores to add",
            _scores_to_add,
            "0 and −∞, which are added to the scores: here the mask is wanted, of "
            "bools",
        ),
    ),
    hints=(
        "Two conditions, both for a query in the rows and a key in the columns: one on "
        "where they stand, one on the parts that they belong to.",
        "Where: torch.ones(time, time, dtype=torch.bool).tril(). Parts: the key's is "
        "0, or the same as the query's.",
        "`query, key = parts[:, :, None], parts[:, None, :]`, then "
        "`(key == 0) | (key == query)`.",
    ),
)


def _tokens(draw: Draw, values: list, owners: list, count: int, **kwargs) -> Call:
    return Call((draw.tensor(values), torch.tensor(owners), count), **kwargs)


def _drawn_tokens(draw: Draw, tokens: int, count: int) -> Call:
    owners = draw.integers(0, count, tokens).long()
    return Call((-2 * draw.uniform(tokens), owners, count), gradient=True)


def _last_wins(values, owners, count):
    sums = list(values.new_zeros(count))
    for value, owner in zip(values, owners.tolist(), strict=True):
        sums[owner] = value
    return torch.stack(sums)


def _means(values, owners, count):
    return sum_by_owner(values, owners, count) / torch.bincount(owners, minlength=count)


def _as_many_as_seen(values, owners, count):
    return sum_by_owner(values, owners, int(owners.max()) + 1)


def _side_by_side(values, owners, count):
    lengths = torch.bincount(owners, minlength=count).tolist()
    return torch.stack([part.sum() for part in values.split(lengths)])


def _logs_of_chances(values, owners, count):
    ones = values.new_ones(count)
    return ones.scatter_reduce(0, owners, values.exp(), "prod").log()


_SUMS = Exercise(
    number="7.3",
    title="Sums by owner",
    reference=sum_by_owner,
    checks=(
        Check(
            "one number for each response, with a gradient",
            lambda draw: [
                _tokens(draw, [-1, -2], [0, 1], 2, gradient=True),
                _tokens(draw, [-1, -2, -4, -8], [0, 0, 0, 1], 2, gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "the sum, where a response has two tokens",
            lambda draw: [
                _tokens(draw, [-1, -2], [0, 0], 1),
                _tokens(draw, [-1, -2, -4], [0, 1, 1], 2),
            ],
            value_of,
        ),
        Check(
            "whatever order the tokens come in",
            lambda draw: [
                _tokens(draw, [-1, -2], [1, 0], 2),
                _tokens(draw, [-1, -2, -4, -8], [0, 1, 0, 1], 2),
            ],
            value_of,
        ),
        Check(
            "0 for a response without tokens, also for the last one",
            lambda draw: [
                _tokens(draw, [-1, -2], [0, 2], 3),
                _tokens(draw, [-1, -2], [0, 0], 2),
            ],
            value_of,
        ),
        Check(
            "finite for a token that is given no chance",
            lambda draw: [_tokens(draw, [-1, -2000], [0, 0], 1, gradient=True)],
            value_of,
        ),
        Check(
            "right on fresh random tokens, values and gradients",
            lambda draw: [_drawn_tokens(draw, 5, 3), _drawn_tokens(draw, 40, 7)],
            "equal, for each response, the sum of its tokens' values, and so must the "
            "gradient",
        ),
    ),
    misconceptions=(
        Misconception(
            "one token each",
            _last_wins,
            "one token of each response: sums[owners] = values and += write to each "
            "place once, whatever comes twice is lost",
        ),
        Misconception(
            "average",
            _means,
            "the mean over a response's tokens: the log-probability of a whole "
            "response is their sum",
        ),
        Misconception(
            "tokens counted",
            lambda values, owners, count: sum_by_owner(0 * values + 1, owners, count),
            "how many tokens each response has, not what they are worth",
        ),
        Misconception(
            "as many as are seen",
            _as_many_as_seen,
            "as many sums as the largest owner asks for: a response without tokens at "
            "the end is lost. Use count",
        ),
        Misconception(
            "side by side",
            _side_by_side,
            "the first tokens to the first response, the next to the second: owners "
            "says to whom each belongs, in any order",
        ),
        Misconception(
            "equal lengths",
            lambda values, owners, count: values.reshape(count, -1).sum(1),
            "as many tokens for each response: they differ in length, which is why "
            "there are owners",
        ),
        Misconception(
            "no gradient",
            lambda values, owners, count: torch.bincount(
                owners, values.detach(), minlength=count
            ).to(values.dtype),
            "right numbers that carry no gradient: bincount is for counting, and "
            "through it nothing can be learnt",
        ),
        Misconception(
            "probabilities",
            lambda values, owners, count: sum_by_owner(values, owners, count).exp(),
            "probabilities in place of their logarithms: those of long texts round to "
            "0",
        ),
        Misconception(
            "logarithm of a product",
            _logs_of_chances,
            "probabilities multiplied and then their logarithm, which is −∞ once the "
            "product rounds to 0: add logarithms",
        ),
    ),
    hints=(
        "Begin with a zero for each response, and add each token's value at its "
        "owner's place: every one, also where an owner comes twice.",
        "`sums[owners] += values` reads all places before it writes any. torch has a "
        "function that adds at indices one after the other, with a gradient.",
        "`values.new_zeros(count).index_add(0, owners, values)`",
    ),
)

EXERCISES = (_MASK, _SUMS)
