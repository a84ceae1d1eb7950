"""Exercise 4.5: The log-probability of a response."""

from course_lib.bugs import END, PADDING
from course_lib.logprobs import response_logprobs
from . import tokens
from .spec import Exercise, Recipe, fresh, learns, returns_float32_or_like, value
from .tokens import TWO, even, fresh_rows, hopeless, long, rows, sure

FAULTS = """
half precision: before = logits[:, :-1].bfloat16(); total = tokens.sum(-1).to(logits)
    rounded to bfloat16, which keeps two or three digits: take the logarithms in
    float32, logits.float(), or in what came in
first prompt for all: kept = mask[:, 1:] * mask[:1, 1:].cumsum(-1).clamp(max=1)
    where the first row's response begins, taken for all rows: prompts differ in length
average: total = tokens.sum(-1) / kept.sum(-1)
    the mean over the response's tokens: the paper's loss takes the sum, the
    log-probability of the whole
average over the row: total = tokens.mean(-1)
    a mean over all positions, padding among them: neither sum nor average per token
tokens not summed: total = tokens
    one number for each token: the response's is their sum
one sum for the batch: total = tokens.sum()
    one number for the whole batch: each row is a response of its own
summed over the rows: total = tokens.sum(0)
    a sum over the rows, position by position: a response lies along the last dimension
product of probabilities: total = log(exp(tokens).prod(-1))
    the logarithm of a product of probabilities, which is 0 to a computer after some
    hundred tokens: add the logarithms up
the probability: total = exp(tokens.sum(-1))
    the probability, which rounds to 0 for a long answer: asked for is its logarithm
perplexity: total = exp(-tokens.sum(-1) / kept.sum(-1))
    the perplexity per token: asked for is the sum of the log-probabilities
surprise: total = -tokens.sum(-1)
    minus the log-probability, as cross_entropy gives: no log-probability is above 0
"""
CHECKS = (
    learns(
        "one number for each row, with a gradient",
        [rows([[2, 3, END]], [(1, 3)]), rows(*TWO)],
        holds=returns_float32_or_like,
    ),
    value(
        "responses of two tokens and of four",
        [even([[2, 3, END]], [(1, 3)]), even([[2, 3, 3, 3, END]], [(1, 5)])],
    ),
    value(
        "two tokens, with one and with two of padding after them",
        [
            even([[2, 3, END, PADDING]], [(1, 3)]),
            even([[2, 3, END, PADDING, PADDING]], [(1, 3)]),
        ],
    ),
    value(
        "without the prompt, and with a response that is a lone end",
        [
            even([[2, 3, 2, END]], [(3, 4)]),
            even([[2, 3, 2, 3, END]], [(3, 5)]),
            even([[2, END, 3, END]], [(2, 4)]),
        ],
    ),
    value("read one position before each token", [sure()]),
    fresh(
        "equal the sum of log softmax(logits at t − 1)[y_t] over the response, and "
        "so must its gradient",
        [fresh_rows()],
        gradient=True,
    ),
)
HINTS = """
The chain rule of probability: the log of a product is the sum over tokens.
Exercise 4.4 gives each token's share, 0 off the response. Or: cross_entropy is minus a
    log-probability.
`token_logprobs(logits, labels, mask).sum(-1)`
"""
EXTREMES = (hopeless(), long())
RECIPE = tokens.TOKENS | Recipe("tokens: total = tokens.sum(-1)  # the sum")
FAULTS = tokens.MISTAKES + FAULTS
EXERCISE = Exercise(
    __doc__, response_logprobs, RECIPE, FAULTS, CHECKS, HINTS, EXTREMES, **tokens.TERMS
)
