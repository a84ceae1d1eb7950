"""Exercise 7.1: Every sentence of a tree."""

import math

import torch

from course_lib.worlds import sentence_logps
from .spec import Exercise, Recipe, builder, fresh, learns, rule, value

FIRST = [[0.5, 0.3, 0.2]]
SECOND = [[0.6, 0.3, 0.1], [0.25, 0.35, 0.4]]


@builder
def _tree(inputs, *levels: list):
    return ([inputs.tensor(level).log() for level in levels],)


@builder
def _hopeless(inputs):
    sure = [[0.0, -2000.0, -2000.0]]
    return ([inputs.tensor(sure), inputs.tensor(sure * 2)],)


@builder
def _fresh(inputs, words: int, depths: int, *prompts: int):
    shapes = [(*prompts, words**depth, words + 1) for depth in range(depths)]
    return ([inputs.normal(*shape, scale=2).log_softmax(-1) for shape in shapes],)


def _sums_to_one(call, yours, ours, near: float) -> bool:
    total = sum(map(math.exp, yours.numbers))
    return len(yours.numbers) == len(ours.numbers) and abs(total - 1) <= near


def _prefixes(levels, join=torch.add, start=0.0, words=slice(-1), **how):
    """One number a prefix, level by level, where one thing may be wrong."""
    rows, turn = how.get("rows", slice(None)), how.get("turn")
    found = [torch.full_like(levels[0][..., 0], start)]
    for level in levels:
        before, onward = found[-1][..., None], level[..., rows, words]
        if how.get("tiled"):
            many = torch.cat([found[-1]] * onward.shape[-1], -1)
            before = many.view(onward.shape)
        longer = join(before, onward)
        found.append((longer.mT if turn else longer).flatten(-2))
    return found


def _ends(prefixes, levels, join=torch.add, end=-1, rows=slice(None)):
    pairs = zip(prefixes, levels, strict=False)
    return [join(so_far, level[..., rows, end]) for so_far, level in pairs]


def _depth_first(levels):
    def below(depth: int, row: int, so_far) -> list:
        if depth == len(levels):
            return [so_far]
        *words, end = (so_far + levels[depth][..., row, :]).split(1, -1)
        rows = enumerate(words, row * len(words))
        return sum((below(depth + 1, n, word) for n, word in rows), [end])

    return torch.cat(below(0, 0, 0.0), -1)


STEPS = """
levels:
prefixes = grown(levels)  # the prefixes' log-probabilities
ended = ends(prefixes, levels)  # the ended sentences' log-probabilities
logps = torch.cat([*ended, prefixes[-1]], -1)  # the row of all sentences
"""
FAULTS = """
longest left out: logps = torch.cat(ended, -1)
    only the sentences that chose to end: those that are made to end count as well
forced end paid: logps = torch.cat([*ended, prefixes[-1]
        + (0 * levels[-1][..., :-1] + levels[-1][..., -1:]).flatten(-2)], -1)
    the longest sentences pay for their end: it is forced, so its chance is 1 and its
    log-probability 0
ends free: ended = prefixes[:-1]
    nothing paid for the end: it is chosen among the words as each of them is, and has a
    log-probability too
last token alone: prefixes = grown(levels, last); ended = ends(prefixes, levels, last)
    the log-probability of the last token alone: a sentence pays for every token
products of logarithms: prefixes = grown(levels, torch.mul, 1.0);
        ended = ends(prefixes, levels, torch.mul)
    log-probabilities multiplied: the logarithm of a product is a sum
probabilities: logps = exp(torch.cat([*ended, prefixes[-1]], -1))
    probabilities in place of their logarithms: those of long texts round to 0
average per token: logps = torch.cat([*ended, prefixes[-1]], -1) / tokens(levels)
    the mean over a sentence's tokens: the exponentials of these do not sum to 1
end first: prefixes = grown(levels, words=after_first);
        ended = ends(prefixes, levels, end=0)
    the first column read as the end: the end stands last, after the words
one row for all: prefixes = grown(levels, rows=first);
        ended = ends(prefixes, levels, rows=first)
    every prefix goes on as the first one does: each has a row of its own
longest first: logps = torch.cat([prefixes[-1], *ended[::-1]], -1)
    the longest sentences in front: the empty one comes first
last word first: prefixes = grown(levels, turn=True)
    sentences sorted by their last word: all that begin alike stand together, as the
    prefixes of the next level do
prefixes repeated as a list: prefixes = grown(levels, tiled=True)
    the list of prefixes repeated where each prefix should be repeated in its place
    (repeat_interleave): children go to another's parent
last words among themselves:
        prefixes = grown([*levels[:-1], *each_word(levels[-1:], alone)])
    the words of the last level made to sum to 1 without the end: each is still chosen
    with the end beside it. What is free is the end after it
charged for going on: prefixes = grown(each_word(levels, going_on))
    each word charged for not having ended as well: words and end share one softmax, and
    the word's log-probability has counted that
depth first: logps = depth_first(levels)
    each prefix followed by all that begins with it, as a recursion gives them:
    sentences stand by length first
logarithm of a product: prefixes = grown(each(levels, exp), torch.mul, 1.0);
        ended = ends(prefixes, each(levels, exp), torch.mul);
        logps = log(torch.cat([*ended, prefixes[-1]], -1))
    probabilities multiplied and then their logarithm, which is −∞ once the product
    rounds to 0: add logarithms
held above a bound: prefixes = grown(each(levels, held));
        ended = ends(prefixes, each(levels, held))
    log-probabilities held above a bound, as by a clamp: rare tokens cost more than that
ends without their words: ended = bare_ends(levels)
    a sentence that ends early gets its end's log-probability alone: its words count too
"""
CHECKS = (
    learns(
        "one number for each sentence, after each prompt, with a gradient",
        [_tree(FIRST), _tree(FIRST, SECOND), _tree([FIRST] * 2, [SECOND] * 2)],
    ),
    rule(
        "chances that sum to 1 over all sentences",
        "be log-probabilities whose probabilities sum to 1: every sentence ends, "
        "and pays once for each token that was chosen",
        [_tree(FIRST), _tree(FIRST, SECOND)],
        holds=_sums_to_one,
    ),
    value("the end at once, then each word alone", [_tree(FIRST)]),
    value(
        "sentences by length, then by their first word, then by their second",
        [_tree(FIRST, SECOND)],
    ),
    rule(
        "a sentence that is given no chance",
        "be −2000 for each word of no chance and for each end of none",
        [_hopeless()],
        gradient=True,
    ),
    fresh(
        "equal the sum of the log-probabilities along each sentence's path",
        [_fresh(2, 3), _fresh(3, 2, 2), _fresh(1, 4, 3)],
        gradient=True,
    ),
)
HINTS = """
Walk down level by level and carry one number a prefix: the log-probability of having
    come so far. Before the first level it is 0.
At each level the prefix plus the end's column is a finished sentence; the prefix plus
    each word's column are the prefixes of the next level.
`so_far = (so_far[..., None] + level[..., :-1]).flatten(-2)`; the last so_far are
    sentences too.
"""
EXTREMES = (_tree(*[[[1e-4, 0.9999]]] * 100),)
RECIPE = Recipe(
    STEPS,
    grown=_prefixes,
    ends=_ends,
    bare_ends=lambda levels: [level[..., :, -1] for level in levels],
    after_first=slice(1, None),
    first=slice(1),
    last=lambda so_far, step: 0 * so_far + step,
    each=lambda levels, change: [change(level) for level in levels],
    held=lambda level: level.clamp(min=-100),
    each_word=lambda levels, change: [
        torch.cat([change(x[..., :-1], x[..., -1:]), x[..., -1:]], -1) for x in levels
    ],
    going_on=lambda words, end: words + torch.log1p(-end.exp()),
    alone=lambda words, end: words.log_softmax(-1),
    tokens=lambda levels: sentence_logps([torch.ones_like(x) for x in levels]),
    depth_first=_depth_first,
)
EXERCISE = Exercise(__doc__, sentence_logps, RECIPE, FAULTS, CHECKS, HINTS, EXTREMES)
