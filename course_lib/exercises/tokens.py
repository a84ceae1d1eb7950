"""Rows of tokens with their logits, and what is said of mistakes with them."""

import torch

from course_lib.bugs import END, PADDING
from .recipe import Recipe
from .spec import Call, Inputs, builder, tolerance

FLOAT32 = tolerance(torch.float32)  # .float() is what one writes for 16-bit logits
OFFERS = {"bugs": {"END": END, "PADDING": PADDING}}
TERMS = {"within": FLOAT32, "offers": OFFERS}
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
    ids[0][4] = PADDING  # in the response: an id says nothing of what counts
    return rows(ids, [(3, 6), (1, 5), (1, 2)])(inputs)


@builder
def hopeless(inputs: Inputs) -> tuple:
    """The first word of the response is given no chance."""
    logits = inputs.tensor([[[0.0] * 4] * 3])
    logits[0, 0, 3] = 2000.0
    return logits, *masked([[3, 2, END]], [(1, 3)])


@builder
def long(inputs: Inputs) -> Call:
    """A response of 400 tokens, of which e^x holds no probability."""
    ids = inputs.integers(2, 6, 1, 402).long().tolist()
    return rows(ids, [(2, 402)])(inputs)


# From logits to the log-probability of each token
TOKENS = Recipe(
    """
    logits labels mask:
    before = logits[:, :-1]  # the logits before each token
    words = labels[:, 1:]  # the tokens
    kept = mask[:, 1:]  # the mask
    logprobs = before.log_softmax(-1)  # all words' log-probabilities
    said = logprobs.gather(-1, words[..., None])[..., 0]  # those of the tokens
    tokens = said * kept  # the response's log-probabilities
    """,
    END=END,
    PADDING=PADDING,
)
MISTAKES = """
no shift: before = logits[:, 1:]
    each token looked up in the logits at its own position, which have seen it:
    logits[:, :-1] goes with labels[:, 1:]
tokens not shifted: words = labels[:, :-1]
    labels[:, :-1] beside logits[:, :-1]: the logits at t − 1 are asked about token t,
    which is in labels[:, 1:]
shifted the wrong way: before = logits[:, 1:]; words = labels[:, :-1]
    logits[:, 1:] beside labels[:, :-1]: each token looked up in the logits after it,
    which have seen it. labels[:, 1:] goes with logits[:, :-1]
all shifted the wrong way: before = logits[:, 1:]; words = labels[:, :-1];
        kept = mask[:, :-1]
    logits[:, 1:] beside labels[:, :-1]: each token looked up in the logits after it,
    which have seen it. labels[:, 1:] goes with logits[:, :-1]
mask not shifted: kept = mask[:, :-1]
    tokens shifted and the mask not: mask[:, 1:] goes with labels[:, 1:]
prompt counted: kept = words != PADDING
    the prompt counted as well: everything where the mask is 0 stays out
padding counted: kept = mask[:, 1:].cumsum(-1) > 0
    padding counted as well: the mask ends where the response does
left out by its id: kept = mask[:, 1:] * (words != PADDING)
    a token left out because it has padding's id: the mask alone says what is counted
both positions: kept = mask[:, :-1] * mask[:, 1:]
    only where the position before is in the response too: its first token is predicted
    by the last of the prompt, and counts
logits masked: before = (logits * mask[..., None])[:, :-1]
    logits set to 0 where the mask is: those at the prompt's last position predict the
    response's first token
logits set to 0 off the response: before = logits[:, :-1] * mask[:, 1:, None];
        kept = torch.ones_like(words)
    logits set to 0 where the mask is, which makes every word equally likely there: it
    is the log-probabilities that the mask multiplies
everything counted: kept = torch.ones_like(words)
    every token counted: the mask is 1 on the response only
mask inverted: kept = 1 - mask[:, 1:]
    prompt and padding in place of the response, where the mask is 1
end left out: kept = mask[:, 1:] * (words != END)
    the token that ends the answer is left out: a policy must learn to stop
cut at the first END: kept = mask[:, 1:] * (labels == END).cumsum(-1)[:, :-1].eq(0)
    nothing counted after the first END of a row, which may end the prompt: the mask
    alone says what is counted
raw logits: logprobs = before
    the logits themselves: without the softmax they are no log-probabilities
probabilities: logprobs = softmax(before, -1)
    probabilities in place of their logarithms: it is logarithms that are added up
log(softmax): logprobs = log(softmax(before, -1))
    log(softmax(x)), whose softmax rounds to 0 and whose log is then −∞: use log_softmax
a small number added: logprobs = log(softmax(before, -1) + 1e-10)
    1e-10 added inside the logarithm: no token can then be less likely than that, and a
    hopeless one gets no gradient. Use log_softmax
cut at −100: said = logprobs.gather(-1, words[..., None])[..., 0].clamp(min=-100)
    log-probabilities cut off at −100: a token below gets no gradient
softmax over time: logprobs = before.log_softmax(1)
    a softmax over positions: the words of one position share a probability of 1
reshaped: logprobs = before.reshape(before.mT.shape).log_softmax(1).mT
    a reshape where two dimensions should change places: it keeps the numbers in their
    order, and so mixes positions and words. Use .mT or transpose(1, 2)
softmax over the batch: logprobs = before.log_softmax(0)
    a softmax over the rows: the words of one position share a probability of 1
normalised over what was said:
        said = before.gather(-1, words[..., None])[..., 0].log_softmax(-1)
    a softmax over the tokens of the row, after gather: the words of one position share
    a probability of 1, so the softmax comes first
likeliest word: said = logprobs.amax(-1)
    the likeliest word's log-probability in place of that of the one that was said
whole vocabulary: said = logprobs.sum(-1)
    all words' log-probabilities added up, whatever was said: gather the one that was
"""
