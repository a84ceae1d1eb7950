"""Exercise 7.1: Every sentence of a tree."""

import math

import torch

from course_lib.exercises.spec import Exercise, builder, learns, rule, value
from course_lib.worlds import sentence_logps

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


def _walk(join=torch.add, start=0.0, words=slice(-1), end=-1, turn=False, gather=None):
    """Down the tree, with one thing wrong."""

    def logps(levels):
        so_far, ended = torch.full_like(levels[0][..., 0], start), []
        for level in levels:
            ended.append(join(so_far, level[..., end]))
            grown = join(so_far[..., None], level[..., words])
            so_far = (grown.mT if turn else grown).flatten(-2)
        return torch.cat(gather(ended, so_far) if gather else [*ended, so_far], -1)

    return logps


def _forced_end_paid(levels):
    logps, last = sentence_logps(levels), levels[-1]
    forced = last[..., -1].repeat_interleave(last.shape[-1] - 1, -1)
    logps[..., -forced.shape[-1] :] += forced
    return logps


def _per_token(levels):
    words = levels[0].shape[-1] - 1
    said = [words**depth * [depth + 1] for depth in range(len(levels))]
    said.append(words ** len(levels) * [len(levels)])
    logps = sentence_logps(levels)
    return logps / logps.new_tensor([n for part in said for n in part])


EXERCISE = Exercise(
    number="7.1",
    title="Every sentence of a tree",
    reference=sentence_logps,
    checks=(
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
            "finite for a sentence that is given no chance",
            "be −2000 for each word of no chance and for each end of none",
            [_hopeless()],
            gradient=True,
        ),
        rule(
            "right on fresh random trees",
            "equal the sum of the log-probabilities along each sentence's path",
            [_fresh(2, 3), _fresh(3, 2, 2), _fresh(1, 4, 3)],
            gradient=True,
        ),
    ),
    misconceptions={
        "longest left out": (
            _walk(gather=lambda ended, so_far: ended),
            "only the sentences that chose to end: those of the last level are made to "
            "end, and count as well",
        ),
        "forced end paid": (
            _forced_end_paid,
            "the longest sentences pay for their end: it is forced, so that its chance "
            "is 1 and its log-probability 0",
        ),
        "last token alone": (
            _walk(join=lambda so_far, step: 0 * so_far + step),
            "the log-probability of the last token alone: a sentence pays for every "
            "token on its path",
        ),
        "products of logarithms": (
            _walk(torch.mul, start=1.0),
            "log-probabilities multiplied: the logarithm of a product is a sum",
        ),
        "probabilities": (
            lambda levels: sentence_logps(levels).exp(),
            "probabilities in place of their logarithms: those of long texts round to "
            "0",
        ),
        "average per token": (
            _per_token,
            "the mean over a sentence's tokens: such numbers are no log-probabilities, "
            "they do not sum to 1",
        ),
        "end first": (
            _walk(words=slice(1, None), end=0),
            "the first column read as the end: the end stands last, after the words",
        ),
        "longest first": (
            _walk(gather=lambda ended, so_far: [so_far, *ended[::-1]]),
            "the longest sentences in front: the empty one comes first",
        ),
        "last word first": (
            _walk(turn=True),
            "sentences sorted by their last word: all that begin alike stand together, "
            "as the prefixes of the next level do",
        ),
        "logarithm of a product": (
            lambda tree: _walk(torch.mul, start=1.0)([x.exp() for x in tree]).log(),
            "probabilities multiplied and then their logarithm, which is −∞ once the "
            "product rounds to 0: add logarithms",
        ),
    },
    hints=(
        "Walk down level by level and carry one number a prefix: the log-probability "
        "of having come so far. Before the first level it is 0.",
        "At each level the prefix plus the end's column is a finished sentence; the "
        "prefix plus each word's column are the prefixes of the next level.",
        "`so_far = (so_far[..., None] + level[..., :-1]).flatten(-2)`; the last so_far "
        "are sentences too.",
    ),
)
