"""Exercise 4.5: The log-probability of a response."""

from course_lib.bugs import BUGGY, END, PADDING
from course_lib.exercises.spec import (
    Exercise,
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
    rows,
    sure,
)
from course_lib.logprobs import response_logprobs, token_logprobs

EXERCISE = Exercise(
    number="4.5",
    title="The log-probability of a response",
    reference=response_logprobs,
    within=FLOAT32,
    checks=(
        learns(
            "one number for each row, with a gradient",
            [rows([[2, 3, END]], [(1, 3)]), rows(*TWO)],
            holds=returns_float32_or_like,
        ),
        value(
            "the sum over the response: twice as many tokens, twice as unlikely",
            [even([[2, 3, END]], [(1, 3)]), even([[2, 3, 3, 3, END]], [(1, 5)])],
        ),
        value(
            "the same in another row, with other padding",
            [
                even([[2, 3, END, PADDING]], [(1, 3)]),
                even([[2, 3, END, PADDING, PADDING]], [(1, 3)]),
            ],
        ),
        value(
            "without the prompt, and with a response that is a lone end",
            [even([[2, 3, 2, END]], [(3, 4)]), even([[2, 3, 2, 3, END]], [(3, 5)])],
        ),
        value("read one position before each token", [sure()]),
        rule(
            "right on fresh random logits, values and gradients",
            "equal the sum of log softmax(logits at t − 1)[y_t] over the response, and "
            "so must its gradient",
            [fresh_rows()],
            gradient=True,
        ),
    ),
    misconceptions={
        "no shift": (BUGGY["no_shift"].function, Says.NO_SHIFT),
        "mask not shifted": (BUGGY["mask_off_by_one"].function, Says.MASK_NOT_SHIFTED),
        "prompt counted": (
            BUGGY["prompt_counted"].function,
            "the prompt counted as well: everything where the mask is 0 stays out",
        ),
        "padding counted": (
            BUGGY["padding_counted"].function,
            "padding counted as well: the mask ends where the response does",
        ),
        "end left out": (BUGGY["end_left_out"].function, Says.END_LEFT_OUT),
        "average": (
            BUGGY["averaged"].function,
            "the mean over the response's tokens: the paper's loss takes the sum, the "
            "log-probability of the whole",
        ),
        "average over the row": (
            lambda *given: token_logprobs(*given).mean(-1),
            "a mean over all positions, padding among them: neither the sum nor the "
            "average per token",
        ),
        "whole vocabulary": (
            BUGGY["vocabulary_summed"].function,
            Says.WHOLE_VOCABULARY,
        ),
        "raw logits": (BUGGY["raw_logits"].function, Says.RAW_LOGITS),
        "half precision": (
            BUGGY["half_precision"].function,
            Says.HALF_PRECISION,
        ),
        "tokens not summed": (
            token_logprobs,
            "one number for each token: the response's is their sum",
        ),
        "surprise": (
            lambda logits, labels, mask: -response_logprobs(logits, labels, mask),
            Says.SURPRISE,
        ),
    },
    offers=OFFERS,
    hints=(
        "The chain rule of probability: the log of a product is the sum over tokens.",
        "Exercise 4.4 gives each token's share, 0 off the response. Or: cross_entropy "
        "is minus a log-probability.",
        "`token_logprobs(logits, labels, mask).sum(-1)`",
    ),
)
