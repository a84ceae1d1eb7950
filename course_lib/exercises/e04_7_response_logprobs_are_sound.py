"""Exercise 4.7: Are these log-probabilities of responses?"""

import torch

from course_lib.bugs import END, SOUND, response_logprobs_are_sound
from course_lib.logprobs import response_logprobs
from .patients import OFFERS, SHORTCUTS, examination, healthy, ill, slip, sound
from .spec import Exercise
from .tokens import masked

FULL = (
    [[2, 3, 4, 5, END, 0, 0], [4, 3, 2, 3, 5, 2, END], [5, 2, END, 0, 0, 0, 0]],
    [(2, 5), (1, 7), (2, 3)],
)
LONE = ([[5, 2, END, 0], [3, 2, END, 0]], [(2, 3), (2, 3)])
WHOLE = ([[2, 3, 4, END], [4, 3, 2, END]], [(1, 4), (1, 4)])


def _wave(count):
    return 2 * torch.cos(count**2 / 3)  # logits that are far from even


def _batch(rows, spans, wave=_wave):
    labels, mask = masked(rows, spans)
    logits = wave(torch.arange(labels.numel() * 6).double())
    return logits.reshape(*labels.shape, 6), labels, mask


def _close(found, right, rtol=1e-5):
    """Float32 will do: healthy code may have upcast with .float()."""
    return found.shape == right.shape and torch.allclose(found.to(right), right, rtol)


def _suite(rows, spans, wave=_wave, normalised=False, same=_close):
    """A suite that compares with the right answer on this batch, and on no other."""
    logits, labels, mask = _batch(rows, spans, wave)
    if normalised:
        logits = logits.log_softmax(-1)
    right = response_logprobs(logits, labels, mask)
    return lambda function: same(function(logits, labels, mask), right)


def _shifted(nats):
    """The same number added to all logits: no probability changes."""
    return lambda logits, *rest: response_logprobs(logits + nats, *rest)


FAULTS = """
even logits: answer = on_even(candidate)
    logits that are all alike: then no shift and no word makes a difference
the same logits everywhere: answer = on_one_place(candidate)
    logits that are the same at every position: then no shift makes a difference
whole rows: answer = on_whole(candidate)
    responses that fill their rows: no prompt or padding can be counted by mistake
one token alone: answer = on_lone(candidate)
    responses of one token: the average of one is its sum
normalised logits: answer = on_normalised(candidate)
    logits that are log-probabilities already: a forgotten softmax cannot be seen
one row alone: answer = on_one_row(candidate)
    a batch of one row: what is done to the others cannot be seen
the sign alone: answer = sign(candidate)
    only that the numbers are negative: compare their values
one dtype alone: answer = in_float64(candidate)
    a comparison that fails on float32: code that upcasts with .float() is healthy too.
    Compare found.to(right)
a loose tolerance: answer = loosely(candidate)
    a tolerance of several percent: what half precision does to each token passes it
"""
CHECKS = (
    *sound(
        "function",
        SOUND["logprobs"],
        healthy("by_shifted_logits", _shifted),
        slip("sum_times", lambda k: lambda *given: k * response_logprobs(*given)),
        slip(
            "at_temperature",
            lambda k: lambda logits, *rest: response_logprobs(logits / k, *rest),
        ),
    ),
    ill("False where tokens and logits are not aligned", "no_shift", "mask_off_by_one"),
    ill(
        "False where the wrong tokens are counted",
        "mask_inverted",
        "prompt_counted",
        "padding_counted",
        "end_left_out",
    ),
    ill(
        "False for an average, and for one row's prompt taken for all",
        "averaged",
        "first_prompt_for_all",
    ),
    ill(
        "False where no probability of the token is taken",
        "vocabulary_summed",
        "softmax_over_time",
        "raw_logits",
    ),
    ill("False where the logarithms are taken in half precision", "half_precision"),
)
HINTS = """
Write the slow loop first: for each row, for each position where the mask is 1, one
    log_softmax and one entry of it.
Choose rows that give each patient away: prompts of unequal length, padding, END inside
    the response, more than one token, logits that differ everywhere.
right = the sums of `logits[row, t - 1].log_softmax(-1)[labels[row, t]]`; return
    `torch.allclose(found.to(right), right)`: healthy code may answer in float32.
"""
RECIPE = examination(
    response_logprobs_are_sound,
    bitwise=_suite(*FULL, same=torch.equal),
    on_even=_suite(*FULL, torch.zeros_like),
    on_one_place=_suite(*FULL, wave=lambda count: _wave(count % 6)),
    on_whole=_suite(*WHOLE),
    on_lone=_suite(*LONE),
    on_normalised=_suite(*FULL, normalised=True),
    on_one_row=_suite(FULL[0][:1], FULL[1][:1]),
    sign=lambda candidate: bool((candidate(*_batch(*FULL)) < 0).all()),
    in_float64=_suite(*FULL, same=torch.allclose),
    loosely=_suite(*FULL, same=lambda x, right: _close(x, right, rtol=0.05)),
)
FAULTS = SHORTCUTS + FAULTS
EXERCISE = Exercise(
    __doc__, response_logprobs_are_sound, RECIPE, FAULTS, CHECKS, HINTS, offers=OFFERS
)
