"""Exercise 9.1: The tokens that count."""

import torch
import torch.nn.functional as F

from course_lib.production.responses import response_mask
from .spec import Exercise, Recipe, builder, fresh, given, kind, rule

END, LINE, MERGED = 2, 1, 90  # the end of an answer, a line's end, a merged token


def _call(*rows: tuple[list[int], list[int]]):
    """One call: of each row the prompt by itself, and both; padded with the end."""
    prompts, wholes = zip(*rows, strict=True)
    wide = max(map(len, prompts))
    width = max(map(len, wholes))
    prompt = tuple(tuple(p + [END] * (wide - len(p))) for p in prompts)
    whole = tuple(tuple(w + [END] * (width - len(w))) for w in wholes)
    return given(prompt, tuple(map(len, prompts)), whole, END)


@builder
def _fresh(inputs, *kinds: str):
    """Rows of random lengths, each of a kind, put into one call."""
    rows = []
    for what in kinds:
        p, r = inputs.integers(2, 6, 2).int().tolist()
        prompt = inputs.integers(3, 9, p).int().tolist()
        answer = inputs.integers(3, 9, r).int().tolist()
        if what == "talk":
            prompt[0], answer[-1] = END, LINE
        whole = prompt + answer
        if what == "merged":
            whole = [*prompt[:-1], MERGED, *answer]
        if what != "cut":
            whole += [END, LINE] if what == "talk" else [END]
        rows.append((prompt, whole))
    width = max(len(whole) for _, whole in rows)
    rows = [  # one that is cut off fills its row
        (p, w + [3] * (width - len(w)) if END not in w[len(p) - 1 :] else w)
        for p, w in rows
    ]
    return _call(*rows)(inputs).args


PLAIN = [4, 5], [4, 5, 6, 7, END]
TWO = PLAIN, ([4, 5, 6], [4, 5, 6, 8, END])
SAME_AGAIN = [4, 5, 6], [4, MERGED, 6, 7, END]


def _backwards(repeats, lengths):
    """Where the row stops agreeing, going back from the prompt's length."""
    shared = lengths.clone()
    for row in range(len(lengths)):
        while shared[row] and not repeats[row, shared[row] - 1]:
            shared[row] -= 1
    return shared


STEPS = """
prompt lengths whole end:
known = fitted(prompt, whole)  # the prompts, as wide as the rows
place = torch.arange(whole.shape[1])  # the places
inside = place < lengths[:, None]  # the rule that it is the prompt's place
repeats = (known == whole) & inside  # where the row repeats the prompt
shared = repeats.long().cumprod(1).sum(1)  # how many tokens they share
after = place >= shared[:, None]  # where the response has begun
closes = ((whole == end) & after).long()  # the ends of answers
closed = closes.cumsum(1) - closes  # how many ends came before
mask = (after & (closed == 0)).long()  # the mask
"""
FAULTS = """
length of the prompt: shared = lengths
    begun where the prompt by itself would end: where its last token has merged with the
    answer's first, that token counts as prompt. Compare the ids
matches anywhere: shared = repeats.long().sum(1)
    every place at which the two agree: once they part they may agree again by chance.
    Only what they share from the start is prompt
prompt's padding compared: repeats = known == whole
    the prompt's padding compared as well: where the answer begins with that id, its
    first token counts as prompt. Stay within prompt_lengths
first difference: shared = (known != whole).long().argmax(1)
    the first difference from the padded prompt: its padding is compared too, and where
    nothing differs argmax gives 0. Stay within prompt_lengths
one merged token: shared = lengths - differs(prompt, whole, lengths - 1).long()
    one token looked back, and no more: a merge can change several tokens of the prompt.
    Compare from the start
every end counted: mask = (after & ((closed + closes == 0) | (whole == end))).long()
    every end token counted, and padding may have its id: only the first end after the
    prompt is the answer's own
as many ends as the prompt's: mask = (after & (within(whole == end)
        <= (prompt == end).sum(1, keepdim=True))).long()
    as many ends allowed as the prompt's row holds, its padding among them: count the
    ends that come after the prompt
the end left out: mask = (after & (closed + closes == 0)).long()
    the end token left out: a policy that is never scored on its end does not learn to
    stop
all ends out: mask = (after & (whole != end)).long()
    no end token counted at all, as when padding is masked by its id and the padding is
    the end token: the answer's own end must count
padding counted: mask = after.long()
    everything after the prompt: padding counts as well, and so does what the template
    writes after the end
padding at the end of the row:
        mask = (after & (whole.flip(1).ne(end).long().cumsum(1).flip(1) > 0))
        .long()
    everything up to the last token that is not an end: padding goes, and the answer's
    own end goes with it
first end of the row: closes = (whole == end).long()
    closed at the first end in the row, which may belong to the prompt: turns before the
    answer have ends of their own
prompt counted: mask = (closed == 0).long()
    the prompt counted as well
prompt instead: mask = 1 - (after & (closed == 0)).long()
    the prompt and the padding in place of the response
one token late: after = place > shared[:, None]
    begun one token late: the first token of the answer is scored too
one token early: after = place >= shared[:, None] - 1
    begun one token early: the last token of the prompt is not the answer's
truth values: mask = after & (closed == 0)
    truth values, or floats: ones and zeros as integers are asked for
shifted for the predictions: mask = (after & (closed == 0)).long().roll(-1, 1)
    moved one place to the left, to the logits that predict each token: here a token is
    marked at its own place, and `token_logprobs` does the shift
nothing without an end:
        mask = (after & (closed == 0) & closes.any(1, keepdim=True)).long()
    nothing where there is no end token, as when its place is looked up: a row that was
    cut off counts to its end
first token alone: closes = after.long()
    closed by the answer's first token: only an end token closes it
up to the boundary: after = place <= shared[:, None]
    everything up to the boundary, one token more than the prompt: the response comes
    after it
smaller ids: closes = ((whole <= end) & after).long()
    closed by an id that is smaller: ids are names and have no order
either: repeats = (known == whole) | inside
    a match, or the prompt's place: both must hold for a token of the prompt
one boundary for all: after = place >= shared.min()
    one boundary for the whole batch: each row has a prompt of its own length
up to the second end: closed = (closes.cumsum(1) > 1).long()
    the rule "at most one end so far" also holds for everything after the answer's end:
    count the ends *before* each token
up to the last end: mask = (after & ((closes.flip(1).cumsum(1).flip(1) > 0)
        | (closes.sum(1, keepdim=True) == 0))).long()
    up to the *last* end of the row: the answer ends at the first one after it has begun
ends before the prompt's length: closes = ((whole == end)
        & (place >= lengths[:, None])).long()
    an end before the prompt's own length passed over, although a merged token had begun
    the answer earlier
one merged token at most: shared = lengths - (~repeats & inside).any(1).long()
    one token back where row and prompt differ: a merge may reach back further, so look
    for the first difference
from the boundary back: shared = backwards(repeats, lengths)
    the last token that agrees, sought from the boundary back: what agrees behind the
    first difference is no prompt any more
"""
CHECKS = (
    kind("ones and zeros, a row an example", [_call(PLAIN), _call(*TWO)]),
    rule(
        "the answer and its end",
        "be 1 on the answer and its end token, and 0 on the prompt",
        [_call(PLAIN), _call(*TWO)],
    ),
    rule(
        "padding by the same token",
        "count one end and no padding, which has the same id here",
        [
            _call(PLAIN, ([4], [4, 6, END])),
            _call(([4, 5], [4, 5, END]), TWO[1]),
            _call(([4], [4, 6, END, LINE, END, END])),
        ],
    ),
    rule(
        "ends in the prompt, and a line's end after the answer",
        "be 1 from the answer's first token to its own end, and 0 on what follows",
        [_call(([END, 4, LINE], [END, 4, LINE, 6, LINE, 7, END, LINE]))],
    ),
    rule(
        "a token that merged across the boundary",
        "begin where the row parts from the prompt, and not come back to it",
        [
            _call(([4, 5], [4, MERGED, 7, END])),
            _call(SAME_AGAIN, PLAIN),
            _call(([4, 5, 6], [4, MERGED, END, END, END])),
        ],
    ),
    rule(
        "a row that was cut off, in the answer or in the prompt",
        "count to the end of the row: there is no end token to stop at",
        [_call(([4, 5], [4, 5, 6, 7])), _call(([4, 5, 6], [4, 5]))],
    ),
    fresh(
        "be 1 from where the row parts from the prompt to the first end after it",
        [
            _fresh("plain", "talk", "merged"),
            _fresh("merged", "cut", "plain"),
            _fresh("talk", "talk", "cut", "merged"),
        ],
    ),
)
HINTS = """
Two questions, one after the other: at which place does each row stop being its prompt,
    and which end token comes first after that?
A row of matches, 1 1 0 1, becomes 1 1 0 0 by `cumprod`, and its sum is the number of
    shared tokens. Ends that came before a place: `cumsum`.
`shared = repeats.long().cumprod(1).sum(1)`; `closed = ends.cumsum(1) - ends`; a token
    counts where its place is at least `shared` and `closed` is 0.
"""
RECIPE = Recipe(
    STEPS,
    backwards=_backwards,
    within=lambda ends: ends.long().cumsum(1) - ends.long(),
    differs=lambda prompt, whole, at: (
        whole[torch.arange(len(whole)), at] != prompt[torch.arange(len(whole)), at]
    ),
    fitted=lambda prompt, whole: F.pad(prompt, (0, whole.shape[1]))[
        :, : whole.shape[1]
    ],
)
EXERCISE = Exercise(__doc__, response_mask, RECIPE, FAULTS, CHECKS, HINTS)
