"""Rows of tokens with their logits, and what is said of mistakes with them."""

import torch

from course_lib.bugs import END, PADDING
from course_lib.exercises.spec import Call, Inputs, builder, tolerance


class Says:
    """What is said of mistakes that two exercises share."""

    NO_SHIFT = (
        "each token looked up in the logits at its own position, which have seen it: "
        "logits[:, :-1] goes with labels[:, 1:]"
    )
    MASK_NOT_SHIFTED = (
        "tokens shifted and the mask not: mask[:, 1:] goes with labels[:, 1:]"
    )
    END_LEFT_OUT = (
        "the token that ends the answer is left out: a policy must learn to stop"
    )
    RAW_LOGITS = (
        "the logits themselves: without the softmax they are no log-probabilities"
    )
    WHOLE_VOCABULARY = (
        "all words' log-probabilities added up, whatever was said: gather the one that "
        "was"
    )
    HALF_PRECISION = (
        "rounded to bfloat16, which keeps two or three digits: take the logarithms in "
        "float32, logits.float(), or in what came in"
    )
    SURPRISE = (
        "minus the log-probability, which cross_entropy gives: a log-probability is "
        "never above 0"
    )


FLOAT32 = tolerance(torch.float32)  # .float() is what one writes for 16-bit logits
OFFERS = {"bugs": {"END": END, "PADDING": PADDING}}
TWO = (  # token ids of two rows, and the span [start, stop) of each row's response
    [[2, 3, 4, 5, END, PADDING], [4, 2, END, PADDING, PADDING, PADDING]],
    [(2, 5), (1, 3)],
)


def masked(rows: list, spans: list) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels, and a mask that is 1 on the span [start, stop) of each row."""
    labels = torch.tensor(rows)
    mask = torch.zeros_like(labels)
    for row, (start, stop) in enumerate(spans):
        mask[row, start:stop] = 1
    return labels, mask


@builder
def rows(inputs: Inputs, ids: list, spans: list) -> tuple:
    """Random logits over six words."""
    labels, mask = masked(ids, spans)
    return inputs.normal(*labels.shape, 6, scale=2), labels, mask


@builder
def even(inputs: Inputs, ids: list, spans: list) -> tuple:
    """Every token equally likely, everywhere."""
    return inputs.tensor([[[0.0] * 4] * len(ids[0])]), *masked(ids, spans)


@builder
def sure(inputs: Inputs) -> tuple:
    """Position t is all but sure of token t + 1, and would be wrong about any other."""
    ids = [2, 3, 2, END]
    logits = inputs.tensor([[[0.0] * 4] * 4])
    for t in range(3):
        logits[0, t, ids[t + 1]] = 9.0
    return logits, *masked([ids], [(1, 4)])


@builder
def fresh_rows(inputs: Inputs) -> Call:
    ids = inputs.integers(2, 6, 3, 6).long().tolist()
    ids[0][5], ids[1][4:], ids[2][1:] = END, [END, 0], [END, 0, 0, 0, 0]
    return rows(ids, [(3, 6), (1, 5), (1, 2)])(inputs)
