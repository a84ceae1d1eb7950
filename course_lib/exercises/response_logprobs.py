"""Chapter 04, log-probabilities of a response: shift and mask."""

import torch

from course_lib.bugs import BUGGY, END, PADDING
from course_lib.exercises.spec import (
    Check,
    Draw,
    Exercise,
    Misconception,
    kind_of,
    returns_like,
    value_of,
)
from course_lib.logprobs import response_logprobs, token_logprobs
from course_lib.submission.observing import Call


def _rows(draw: Draw, labels: list, spans: list, logits=None, **kwargs) -> Call:
    """A call from token ids and the span [start, stop) of each row's response."""
    ids = torch.tensor(labels)
    mask = torch.zeros_like(ids)
    for row, (start, stop) in enumerate(spans):
        mask[row, start:stop] = 1
    logits = draw.normal(*ids.shape, 6, scale=2) if logits is None else logits
    return Call((logits, ids, mask), **kwargs)


def _even(draw: Draw, labels: list, spans: list) -> Call:
    """Every token equally likely, everywhere."""
    return _rows(draw, labels, spans, draw.tensor([[[0.0] * 4] * len(labels[0])]))


def _sure(draw: Draw) -> Call:
    """Position t is all but sure of token t + 1, and would be wrong about any other."""
    labels = [[2, 3, 2, END]]
    logits = draw.tensor([[[0.0] * 4] * 4])
    for t in range(3):
        logits[0, t, labels[0][t + 1]] = 9.0
    return _rows(draw, labels, [(1, 4)], logits)


def _hopeless(draw: Draw) -> Call:
    logits = draw.tensor([[[0.0] * 4] * 3])
    logits[0, 0, 3] = 2000.0
    return _rows(draw, [[3, 2, END]], [(1, 3)], logits, gradient=True)


TWO = ([[2, 3, 4, 5, END, PADDING], [4, 2, END, PADDING, PADDING, PADDING]],)
SPANS = [(2, 5), (1, 3)]


def _random_rows(draw: Draw) -> list[Call]:
    labels = draw.integers(2, 6, 3, 6).long().tolist()
    labels[0][5], labels[1][4:], labels[2][1:] = END, [END, 0], [END, 0, 0, 0, 0]
    return [_rows(draw, labels, [(3, 6), (1, 5), (1, 2)], gradient=True)]


def _tokens(scores, mask_from=1, keep=None):
    """Scores of tokens, masked in one way or another; shape (batch, time − 1)."""

    def per_token(logits, labels, mask):
        kept = mask[:, 1:] if keep is None else keep(labels, mask)
        found = scores(logits[:, :-1]).gather(-1, labels[:, 1:, None])[..., 0]
        return found * (mask[:, :-1] if mask_from == 0 else kept)

    return per_token


def _log_softmax(logits):
    return logits.log_softmax(-1)


def _tokens_no_shift(logits, labels, mask):
    found = logits.log_softmax(-1).gather(-1, labels[..., None])[..., 0]
    return (found * mask)[:, 1:]


def _tokens_all_words(logits, labels, mask):
    return logits[:, :-1].log_softmax(-1).sum(-1) * mask[:, 1:]


_TOKENS = Exercise(
    number="4.4",
    title="The log-probability of each token",
    reference=token_logprobs,
    checks=(
        Check(
            "one number for every token but the first, with a gradient",
            lambda draw: [
                _rows(draw, [[2, 3, END]], [(1, 3)], gradient=True),
                _rows(draw, *TWO, SPANS, gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "−ln 4 for each of four equally likely words",
            lambda draw: [_even(draw, [[2, 3, END]], [(1, 3)])],
            value_of,
        ),
        Check(
            "0 on the prompt and on padding",
            lambda draw: [
                _even(draw, [[2, 3, 2, END]], [(3, 4)]),
                _even(draw, [[2, 3, END, PADDING]], [(1, 3)]),
            ],
            value_of,
        ),
        Check(
            "read where the token is predicted: one position before it",
            lambda draw: [_sure(draw)],
            value_of,
        ),
        Check(
            "right on fresh random logits, values and gradients",
            _random_rows,
            "equal log softmax(logits at t − 1)[y_t] on the response, and so must its "
            "gradient",
        ),
        Check(
            "finite for a token that is given no chance",
            lambda draw: [_hopeless(draw)],
            "be −2000 for that token, with a gradient that is finite",
        ),
    ),
    misconceptions=(
        Misconception(
            "no shift",
            _tokens_no_shift,
            "each token looked up in the logits at its own position, which have seen "
            "it: logits[:, :-1] goes with labels[:, 1:]",
        ),
        Misconception(
            "mask not shifted",
            _tokens(_log_softmax, mask_from=0),
            "tokens shifted and the mask not: mask[:, 1:] goes with labels[:, 1:]",
        ),
        Misconception(
            "prompt and padding counted",
            _tokens(
                _log_softmax, keep=lambda labels, mask: torch.ones_like(mask)[:, 1:]
            ),
            "every token counted: the mask is 1 on the response only",
        ),
        Misconception(
            "end left out",
            _tokens(
                _log_softmax,
                keep=lambda labels, mask: mask[:, 1:] * (labels[:, 1:] != END),
            ),
            "the token that ends the answer is left out: a policy must learn to stop",
        ),
        Misconception(
            "raw logits",
            _tokens(lambda logits: logits),
            "the logits themselves: without the softmax they are no log-probabilities",
        ),
        Misconception(
            "probabilities",
            _tokens(lambda logits: logits.softmax(-1)),
            "probabilities in place of their logarithms: these are to be added up",
        ),
        Misconception(
            "log(softmax)",
            _tokens(lambda logits: logits.softmax(-1).log()),
            "log(softmax(x)), whose softmax rounds to 0 and whose log is then −∞: "
            "use log_softmax",
        ),
        Misconception(
            "whole vocabulary",
            _tokens_all_words,
            "all words' log-probabilities added up, whatever was said: gather the "
            "one that was",
        ),
        Misconception(
            "softmax over time",
            _tokens(lambda logits: logits.log_softmax(1)),
            "a softmax over positions: the words of one position share a probability "
            "of 1",
        ),
        Misconception(
            "already summed",
            response_logprobs,
            "one number for each row: here each token keeps its own",
        ),
        Misconception(
            "surprise",
            lambda logits, labels, mask: -token_logprobs(logits, labels, mask),
            "minus the log-probability, which cross_entropy gives: a log-probability "
            "is never above 0",
        ),
    ),
    offers={"bugs": {"END": END, "PADDING": PADDING}},
    hints=(
        "The logits at position t − 1 predict token t. So the last position's logits "
        "predict nothing here, and the first token is predicted by nothing.",
        "Pair logits[:, :-1] with labels[:, 1:] and mask[:, 1:]; log_softmax over the "
        "last dimension; then pick one word with gather.",
        "`logprobs.gather(-1, labels[:, 1:, None]).squeeze(-1)`, times the mask.",
    ),
)


def _whole_mean(logits, labels, mask):
    return token_logprobs(logits, labels, mask).mean(-1)


_RESPONSE = Exercise(
    number="4.5",
    title="The log-probability of a response",
    reference=response_logprobs,
    checks=(
        Check(
            "one number for each row, with a gradient",
            lambda draw: [
                _rows(draw, [[2, 3, END]], [(1, 3)], gradient=True),
                _rows(draw, *TWO, SPANS, gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "the sum over the response: twice as many tokens, twice as unlikely",
            lambda draw: [
                _even(draw, [[2, 3, END]], [(1, 3)]),
                _even(draw, [[2, 3, 3, 3, END]], [(1, 5)]),
            ],
            value_of,
        ),
        Check(
            "the same in another row, with other padding",
            lambda draw: [
                _even(draw, [[2, 3, END, PADDING]], [(1, 3)]),
                _even(draw, [[2, 3, END, PADDING, PADDING]], [(1, 3)]),
            ],
            value_of,
        ),
        Check(
            "without the prompt, and with a response that is a lone end",
            lambda draw: [
                _even(draw, [[2, 3, 2, END]], [(3, 4)]),
                _even(draw, [[2, 3, 2, 3, END]], [(3, 5)]),
            ],
            value_of,
        ),
        Check(
            "read one position before each token",
            lambda draw: [_sure(draw)],
            value_of,
        ),
        Check(
            "right on fresh random logits, values and gradients",
            _random_rows,
            "equal the sum of log softmax(logits at t − 1)[y_t] over the response, and "
            "so must its gradient",
        ),
    ),
    misconceptions=(
        Misconception(
            "no shift",
            BUGGY["no_shift"].function,
            "each token looked up in the logits at its own position, which have seen "
            "it: logits[:, :-1] goes with labels[:, 1:]",
        ),
        Misconception(
            "mask not shifted",
            BUGGY["mask_off_by_one"].function,
            "tokens shifted and the mask not: mask[:, 1:] goes with labels[:, 1:]",
        ),
        Misconception(
            "prompt counted",
            BUGGY["prompt_counted"].function,
            "the prompt counted as well: everything where the mask is 0 stays out",
        ),
        Misconception(
            "padding counted",
            BUGGY["padding_counted"].function,
            "padding counted as well: the mask ends where the response does",
        ),
        Misconception(
            "end left out",
            BUGGY["end_left_out"].function,
            "the token that ends the answer is left out: a policy must learn to stop",
        ),
        Misconception(
            "average",
            BUGGY["averaged"].function,
            "the mean over the response's tokens: the paper's loss takes the sum, the "
            "log-probability of the whole",
        ),
        Misconception(
            "average over the row",
            _whole_mean,
            "a mean over all positions, padding among them: neither the sum nor the "
            "average per token",
        ),
        Misconception(
            "whole vocabulary",
            BUGGY["vocabulary_summed"].function,
            "all words' log-probabilities added up, whatever was said: gather the one "
            "that was",
        ),
        Misconception(
            "raw logits",
            BUGGY["raw_logits"].function,
            "the logits themselves: without the softmax they are no log-probabilities",
        ),
        Misconception(
            "tokens not summed",
            token_logprobs,
            "one number for each token: the response's is their sum",
        ),
        Misconception(
            "surprise",
            lambda logits, labels, mask: -response_logprobs(logits, labels, mask),
            "minus the log-probability, which cross_entropy gives: a log-probability "
            "is never above 0",
        ),
    ),
    offers={"bugs": {"END": END, "PADDING": PADDING}},
    hints=(
        "The chain rule of probability: the log of a product is the sum over tokens.",
        "Exercise 4.4 gives each token's share, 0 off the response. Or: "
        "cross_entropy is minus a log-probability.",
        "`token_logprobs(logits, labels, mask).sum(-1)`",
    ),
)


EXERCISES = (_TOKENS, _RESPONSE)
