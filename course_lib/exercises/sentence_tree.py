"""Chapter 07: the probability of every sentence, from a tree of prefixes."""

import torch

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
from course_lib.worlds import sentence_logps

FIRST = [[0.5, 0.3, 0.2]]
SECOND = [[0.6, 0.3, 0.1], [0.25, 0.35, 0.4]]


def _tree(draw: Draw, *levels: list, **kwargs) -> Call:
    return Call(([draw.tensor(level).log() for level in levels],), **kwargs)


def _drawn_tree(draw: Draw, words: int, depths: int, *prompts: int) -> Call:
    shapes = [(*prompts, words**depth, words + 1) for depth in range(depths)]
    levels = [draw.normal(*shape, scale=2).log_softmax(-1) for shape in shapes]
    return Call((levels,), gradient=True)


def _hopeless_tree(draw: Draw) -> Call:
    sure = [[0.0, -2000.0, -2000.0]]
    return Call(([draw.tensor(sure), draw.tensor(sure * 2)],), gradient=True)


def _sums_to_one(call: Call, yours, ours, near: float) -> bool:
    chances = torch.tensor(yours.numbers, dtype=torch.float64).exp()
    return len(chances) == len(ours.numbers) and abs(chances.sum() - 1) <= near


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


def _logs_of_products(levels):
    chances = [level.exp() for level in levels]
    return _walk(torch.mul, start=1.0)(chances).log()


def _forced_end_paid(levels):
    logps, last = sentence_logps(levels), levels[-1]
    forced = last[..., -1].repeat_interleave(last.shape[-1] - 1, -1)
    ended = logps[..., : -forced.shape[-1]]
    return torch.cat([ended, logps[..., -forced.shape[-1] :] + forced], -1)


def _per_token(levels):
    words = levels[0].shape[-1] - 1
    said = [words**depth * [depth + 1] for depth in range(len(levels))]
    said.append(words ** len(levels) * [len(levels)])
    logps = sentence_logps(levels)
    return logps / logps.new_tensor([n for part in said for n in part])


_SENTENCES = Exercise(
    number="7.1",
    title="Every sentence of a tree",
    reference=sentence_logps,
    checks=(
        Check(
            "one number for each sentence, after each prompt, with a gradient",
            lambda draw: [
                _tree(draw, FIRST, gradient=True),
                _tree(draw, FIRST, SECOND, gradient=True),
                _tree(draw, [FIRST] * 2, [SECOND] * 2, gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "chances that sum to 1 over all sentences",
            lambda draw: [_tree(draw, FIRST), _tree(draw, FIRST, SECOND)],
            "be log-probabilities whose probabilities sum to 1: every sentence ends, "
            "and pays once for each token that was chosen",
            _sums_to_one,
        ),
        Check(
            "the end at once, then each word alone",
            lambda draw: [_tree(draw, FIRST)],
            value_of,
        ),
        Check(
            "sentences by length, then by their first word, then by their second",
            lambda draw: [_tree(draw, FIRST, SECOND)],
            value_of,
        ),
        Check(
            "finite for a sentence that is given no chance",
            lambda draw: [_hopeless_tree(draw)],
            "be −2000 for each word of no chance and for each end of none",
        ),
        Check(
            "right on fresh random trees",
            lambda draw: [
                _drawn_tree(draw, 2, 3),
                _drawn_tree(draw, 3, 2, 2),
                _drawn_tree(draw, 1, 4, 3),
            ],
            "equal the sum of the log-probabilities along each sentence's path",
        ),
    ),
    misconceptions=(
        Misconception(
            "longest left out",
            _walk(gather=lambda ended, so_far: ended),
            "only the sentences that chose to end: those of the last level are made to "
            "end, and count as well",
        ),
        Misconception(
            "forced end paid",
            _forced_end_paid,
            "the longest sentences pay for their end: it is forced, so that its chance "
            "is 1 and its log-probability 0",
        ),
        Misconception(
            "last token alone",
            _walk(join=lambda so_far, step: 0 * so_far + step),
            "the log-probability of the last token alone: a sentence pays for every "
            "token on its path",
        ),
        Misconception(
            "products of logarithms",
            _walk(torch.mul, start=1.0),
            "log-probabilities multiplied: the logarithm of a product is a sum",
        ),
        Misconception(
            "probabilities",
            lambda levels: sentence_logps(levels).exp(),
            "probabilities in place of their logarithms: those of long texts round to "
            "0",
        ),
        Misconception(
            "average per token",
            _per_token,
            "the mean over a sentence's tokens: such numbers are no log-probabilities, "
            "they do not sum to 1",
        ),
        Misconception(
            "end first",
            _walk(words=slice(1, None), end=0),
            "the first column read as the end: the end stands last, after the words",
        ),
        Misconception(
            "longest first",
            _walk(gather=lambda ended, so_far: [so_far, *ended[::-1]]),
            "the longest sentences in front: the empty one comes first",
        ),
        Misconception(
            "last word first",
            _walk(turn=True),
            "sentences sorted by their last word: all that begin alike stand together, "
            "as the prefixes of the next level do",
        ),
        Misconception(
            "logarithm of a product",
            _logs_of_products,
            "probabilities multiplied and then their logarithm, which is −∞ once the "
            "product rounds to 0: add logarithms",
        ),
    ),
    hints=(
        "Walk down level by level and carry one number a prefix: the log-probability "
        "of having come so far. Before the first level it is 0.",
        "At each level the prefix plus the end's column is a finished sentence; the "
        "prefix plus each word's column are the prefixes of the next level.",
        "`so_far = (so_far[..., None] + level[..., :-1]).flatten(-2)`; the last so_far "
        "are sentences too.",
    ),
)

EXERCISES = (_SENTENCES,)
