"""Exercise 4.4: The log-probability of each token."""

from course_lib.bugs import END, PADDING
from course_lib.logprobs import token_logprobs
from . import tokens
from .spec import Exercise, fresh, learns, returns_float32_or_like, rule, value
from .tokens import TWO, even, fresh_rows, hopeless, rows, sure

FAULTS = """
half precision: before = logits[:, :-1].bfloat16(); tokens = (said * kept).to(logits)
    rounded to bfloat16, which keeps two or three digits: take the logarithms in
    float32, logits.float(), or in what came in
nothing shifted: before = logits; words = labels; kept = mask
    nothing is shifted: the logits at t − 1 predict token t, so nothing predicts the
    first token, and a row of T tokens gives T − 1 numbers
already summed: tokens = (said * kept).sum(-1)
    one number for each row: here each token keeps its own
the response alone: tokens = said[kept.bool()]
    the response's tokens in one list: each stays in place, with 0 on prompt and padding
−∞ off the response: tokens = where(kept == 1, said, -torch.inf)
    −∞ on prompt and padding: 0 is asked for, which adds nothing to a sum
surprise: tokens = -said * kept
    minus the log-probability, as cross_entropy gives: no log-probability is above 0
"""
CHECKS = (
    learns(
        "one number for every token but the first, with a gradient",
        [rows([[2, 3, END]], [(1, 3)]), rows(*TWO)],
        holds=returns_float32_or_like,
    ),
    value(
        "−ln 4 for each of four equally likely words", [even([[2, 3, END]], [(1, 3)])]
    ),
    value(
        "0 on the prompt and on padding",
        [
            even([[2, 3, 2, END]], [(3, 4)]),
            even([[2, 3, END, PADDING]], [(1, 3)]),
            even([[2, END, 3, END]], [(2, 4)]),
        ],
    ),
    value("read where the token is predicted: one position before it", [sure()]),
    fresh(
        "equal log softmax(logits at t − 1)[y_t] on the response, and so must its "
        "gradient",
        [fresh_rows()],
        gradient=True,
    ),
    rule(
        "a token that is given no chance",
        "be −2000 for that token, with a gradient that is finite",
        [hopeless()],
        gradient=True,
    ),
)
HINTS = """
The logits at position t − 1 predict token t. So the last position's logits predict
    nothing here, and the first token is predicted by nothing.
Pair logits[:, :-1] with labels[:, 1:] and mask[:, 1:]; log_softmax over the last
    dimension; then pick one word with gather.
`logprobs.gather(-1, labels[:, 1:, None]).squeeze(-1)`, times the mask.
"""
FAULTS = tokens.MISTAKES + FAULTS
EXERCISE = Exercise(
    __doc__, token_logprobs, tokens.TOKENS, FAULTS, CHECKS, HINTS, **tokens.TERMS
)
