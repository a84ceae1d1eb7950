"""Exercise 4.4: The log-probability of each token."""

import torch

from course_lib.bugs import END, PADDING
from course_lib.exercises.spec import (
    Exercise,
    builder,
    learns,
    returns_float32_or_like,
    rule,
    value,
)
from course_lib.exercises.tokens import (
    FLOAT32,
    OFFERS,
    TWO,
    Says,
    even,
    fresh_rows,
    masked,
    rows,
    sure,
)
from course_lib.logprobs import response_logprobs, token_logprobs


@builder
def _hopeless(inputs):
    logits = inputs.tensor([[[0.0] * 4] * 3])
    logits[0, 0, 3] = 2000.0
    return logits, *masked([[3, 2, END]], [(1, 3)])


def _tokens(
    scores=lambda logits: logits.log_softmax(-1),
    kept=lambda labels, mask: mask[:, 1:],
    pick=lambda scores, labels: scores.gather(-1, labels[..., None])[..., 0],
):
    """Log-probabilities of tokens with one thing wrong; shape (batch, time − 1)."""

    def per_token(logits, labels, mask):
        found = pick(scores(logits[:, :-1]), labels[:, 1:])
        return found * kept(labels, mask)

    return per_token


EXERCISE = Exercise(
    number="4.4",
    title="The log-probability of each token",
    reference=token_logprobs,
    within=FLOAT32,
    checks=(
        learns(
            "one number for every token but the first, with a gradient",
            [rows([[2, 3, END]], [(1, 3)]), rows(*TWO)],
            holds=returns_float32_or_like,
        ),
        value(
            "−ln 4 for each of four equally likely words",
            [even([[2, 3, END]], [(1, 3)])],
        ),
        value(
            "0 on the prompt and on padding",
            [even([[2, 3, 2, END]], [(3, 4)]), even([[2, 3, END, PADDING]], [(1, 3)])],
        ),
        value("read where the token is predicted: one position before it", [sure()]),
        rule(
            "right on fresh random logits, values and gradients",
            "equal log softmax(logits at t − 1)[y_t] on the response, and so must its "
            "gradient",
            [fresh_rows()],
            gradient=True,
        ),
        rule(
            "finite for a token that is given no chance",
            "be −2000 for that token, with a gradient that is finite",
            [_hopeless()],
            gradient=True,
        ),
    ),
    misconceptions={
        "no shift": (
            lambda logits, *rest: _tokens()(logits.roll(-1, 1), *rest),
            Says.NO_SHIFT,
        ),
        "mask not shifted": (
            _tokens(kept=lambda labels, mask: mask[:, :-1]),
            Says.MASK_NOT_SHIFTED,
        ),
        "prompt and padding counted": (
            _tokens(kept=lambda labels, mask: torch.ones_like(mask)[:, 1:]),
            "every token counted: the mask is 1 on the response only",
        ),
        "end left out": (
            _tokens(kept=lambda labels, mask: mask[:, 1:] * (labels[:, 1:] != END)),
            Says.END_LEFT_OUT,
        ),
        "raw logits": (_tokens(lambda logits: logits), Says.RAW_LOGITS),
        "probabilities": (
            _tokens(lambda logits: logits.softmax(-1)),
            "probabilities in place of their logarithms: these are to be added up",
        ),
        "log(softmax)": (
            _tokens(lambda logits: logits.softmax(-1).log()),
            "log(softmax(x)), whose softmax rounds to 0 and whose log is then −∞: use "
            "log_softmax",
        ),
        "whole vocabulary": (
            _tokens(pick=lambda scores, labels: scores.sum(-1)),
            Says.WHOLE_VOCABULARY,
        ),
        "softmax over time": (
            _tokens(lambda logits: logits.log_softmax(1)),
            "a softmax over positions: the words of one position share a probability "
            "of 1",
        ),
        "half precision": (
            lambda logits, *rest: _tokens()(logits.bfloat16(), *rest).to(logits),
            Says.HALF_PRECISION,
        ),
        "already summed": (
            response_logprobs,
            "one number for each row: here each token keeps its own",
        ),
        "surprise": (
            lambda logits, labels, mask: -token_logprobs(logits, labels, mask),
            Says.SURPRISE,
        ),
    },
    offers=OFFERS,
    hints=(
        "The logits at position t − 1 predict token t. So the last position's logits "
        "predict nothing here, and the first token is predicted by nothing.",
        "Pair logits[:, :-1] with labels[:, 1:] and mask[:, 1:]; log_softmax over the "
        "last dimension; then pick one word with gather.",
        "`logprobs.gather(-1, labels[:, 1:, None]).squeeze(-1)`, times the mask.",
    ),
)
