"""Chapter 04: the loss, its gradient, and the bugs that shipped."""

import torch
import torch.nn.functional as F

from course_lib.clinic import (
    END,
    HEALTHY,
    PADDING,
    PATIENTS,
    dpo_loss_is_sound,
    response_logprobs_are_sound,
)
from course_lib.exercises.specification import (
    Check,
    Draw,
    Exercise,
    Misconception,
    agrees,
    kind_of,
    returns_like,
    value_of,
)
from course_lib.logprobs import response_logprobs, token_logprobs
from course_lib.losses import dpo_gradients, dpo_loss, implicit_reward_accuracy
from course_lib.observing import Call

SICK = {name: patient.function for name, patient in PATIENTS.items()}


def _four(draw: Draw, *pairs: list[float], beta: float | None = 0.1, **kwargs) -> Call:
    """One call from pairs: chosen and rejected, first of the policy, then of ref."""
    four = [draw.tensor(list(column)) for column in zip(*pairs, strict=True)]
    return Call((*four, *([] if beta is None else [beta])), **kwargs)


def _drawn(draw: Draw, count: int, beta: float | None, **kwargs) -> Call:
    four = [draw.normal(count, scale=4) - 20 for _ in range(4)]
    return Call((*four, *([] if beta is None else [beta])), **kwargs)


def _policy_agrees(call: Call, yours, ours, near: float) -> bool:
    """As `agrees`, but a reference that is cut off from the gradient is as good."""
    if len(yours.gradients) != len(ours.gradients):
        return False
    learnt = (yours.gradients[:2], ours.gradients[:2])
    yours, ours = (
        type(seen)(**{**vars(seen), "gradients": two})
        for seen, two in zip((yours, ours), learnt, strict=True)
    )
    return agrees(call, yours, ours, near)


START = ([-4.0, -7.0, -4.0, -7.0], [-9.0, -2.0, -9.0, -2.0])
BETTER = [-1.0, -3.0, -2.0, -2.0]  # log-ratios 1 and −1
WORSE = [-6.0, -2.0, -3.0, -4.0]  # log-ratios −3 and 2

_LOSS = Exercise(
    number="4.1",
    title="The DPO loss",
    reference=dpo_loss,
    checks=(
        Check(
            "one number that carries a gradient",
            lambda draw: [
                _four(draw, BETTER, gradient=True),
                _four(draw, BETTER, WORSE, gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "ln 2 when policy and reference agree",
            lambda draw: [_four(draw, START[0]), _four(draw, *START)],
            value_of,
        ),
        Check(
            "below ln 2 when the policy likes the chosen answer better than the "
            "reference does",
            lambda draw: [_four(draw, BETTER), _four(draw, [-3, -2, -5, -2])],
            "be below 0.6931 and above 0",
            lambda call, yours, ours, near: 0 < yours.numbers[0] < 0.6931,
        ),
        Check(
            "β multiplies the gap, once",
            lambda draw: [_four(draw, BETTER, beta=b) for b in (0.1, 0.5)],
            value_of,
        ),
        Check(
            "the mean over pairs, each with a logarithm of its own",
            lambda draw: [
                _four(draw, BETTER, WORSE, beta=0.5),
                _four(draw, BETTER, BETTER, WORSE, beta=0.5),
            ],
            value_of,
        ),
        Check(
            "right on fresh random log-probabilities, values and gradients",
            lambda draw: [
                _drawn(draw, n, beta, gradient=True)
                for n, beta in ((1, 0.1), (2, 0.5), (7, 1.5))
            ],
            "equal the mean of −log σ(βh), and so must its gradient for the policy",
            _policy_agrees,
        ),
        Check(
            "finite when a pair is wrong by 5,000 nats, and still pushing",
            lambda draw: [
                _four(draw, [-5000, 0, 0, 0], beta=0.5, gradient=True),
                _four(draw, [0, -5000, 0, 0], beta=0.5, gradient=True),
            ],
            lambda call, ours: (
                f"be {ours.numbers[0]:.4g}, with a gradient that is finite"
            ),
            _policy_agrees,
        ),
    ),
    misconceptions=(
        Misconception(
            "swapped",
            SICK["swapped_pair"],
            "rejected minus chosen: the gap is the chosen log-ratio minus the rejected "
            "one",
        ),
        Misconception(
            "no reference",
            SICK["reference_dropped"],
            "the policy's log-probabilities alone: each needs the reference's "
            "subtracted from it",
        ),
        Misconception(
            "beta forgotten",
            SICK["beta_forgotten"],
            "β = 1 whatever is asked for: it multiplies the gap inside the sigmoid",
        ),
        Misconception(
            "beta outside",
            lambda a, b, c, d, beta: -beta * F.logsigmoid((a - c) - (b - d)).mean(),
            "β in front of the loss: there it only scales the step. It belongs inside "
            "the sigmoid",
        ),
        Misconception(
            "beta twice",
            SICK["beta_twice"],
            "β² times the gap: rewards carry a β already, their difference needs none",
        ),
        Misconception(
            "mean before the logarithm",
            SICK["mean_before_log"],
            "one logarithm of the mean gap: a large win would pay for a loss. Average "
            "the losses",
        ),
        Misconception(
            "sum in place of mean",
            SICK["sum_over_pairs"],
            "a sum over the batch: the learning rate would depend on the batch's size",
        ),
        Misconception(
            "log(sigmoid)",
            SICK["log_of_sigmoid"],
            "log(sigmoid(x)), whose sigmoid rounds to 0 and whose log is then −∞: "
            "use F.logsigmoid",
        ),
        Misconception(
            "reference that is the policy",
            SICK["reference_follows"],
            "a reference taken from the policy: the gap stays 0 and the loss ln 2",
        ),
        Misconception(
            "rejected side detached",
            SICK["rejected_detached"],
            "a rejected log-probability that gets no gradient: both sides must learn",
        ),
        Misconception(
            "no minus sign",
            lambda a, b, c, d, beta: F.logsigmoid(beta * ((a - c) - (b - d))).mean(),
            "the log-likelihood without its minus sign: a loss is minimised",
        ),
    ),
    hints=(
        "Three steps: two log-ratios, their difference h, and the loss of chapter 01 "
        "on βh.",
        "chosen log-ratio = policy_chosen_logps − ref_chosen_logps, the rejected one "
        "alike; h is the first minus the second.",
        "`-F.logsigmoid(beta * gap).mean()`",
    ),
)


def _pushes(sign=1.0, front=True, turned=False, weigh=True, share=False):
    """A gradient with one thing wrong."""

    def gradients(a, b, c, d, beta):
        margin = beta * ((a - c) - (b - d))
        weight = torch.sigmoid(margin if turned else -margin)
        weight = weight if weigh else torch.ones_like(weight)
        push = (beta if front else 1.0) * weight * sign
        push = push / len(push) if share else push
        return torch.stack([-push, push], -1)

    return gradients


def _overflowing(a, b, c, d, beta):
    margin = beta * ((a - c) - (b - d))
    push = beta * torch.exp(-margin) / (1 + torch.exp(-margin))
    return torch.stack([-push, push], -1)


def _both_down(a, b, c, d, beta):
    push = beta * torch.sigmoid(-beta * ((a - c) - (b - d)))
    return torch.stack([-push, -push], -1)


_GRADIENT = Exercise(
    number="4.2",
    title="The gradient, by formula",
    reference=dpo_gradients,
    checks=(
        Check(
            "two numbers for each pair",
            lambda draw: [_four(draw, BETTER), _four(draw, BETTER, WORSE, START[0])],
            kind_of,
            returns_like,
        ),
        Check(
            "−β/2 and +β/2 when policy and reference agree",
            lambda draw: [_four(draw, START[0], beta=b) for b in (1.0, 0.1)],
            value_of,
        ),
        Check(
            "of each pair alone, not of the batch's mean",
            lambda draw: [_four(draw, *START)],
            value_of,
        ),
        Check(
            "larger for a pair in the wrong order",
            lambda draw: [
                _four(draw, BETTER, WORSE, beta=1.0),
                _four(draw, BETTER, WORSE, beta=0.2),
            ],
            value_of,
        ),
        Check(
            "right on fresh random log-probabilities",
            lambda draw: [
                _drawn(draw, n, beta) for n, beta in ((1, 0.1), (3, 0.5), (7, 1.5))
            ],
            "be −β σ(−βh) and +β σ(−βh), h being the gap of each pair",
        ),
        Check(
            "0 and β, not NaN, at gaps of ±5,000 nats",
            lambda draw: [_four(draw, [0, -5000, 0, 0], [-5000, 0, 0, 0], beta=0.5)],
            value_of,
        ),
    ),
    misconceptions=(
        Misconception(
            "step in place of gradient",
            _pushes(sign=-1.0),
            "the step that training takes: the gradient points the other way, negative "
            "for the chosen answer",
        ),
        Misconception(
            "beta in front forgotten",
            _pushes(front=False),
            "σ(−βh) without the β that the chain rule brings down in front of it",
        ),
        Misconception(
            "weight of the right order",
            _pushes(turned=True),
            "σ(+βh), large for pairs that are right already: the sign inside is minus",
        ),
        Misconception(
            "no weight",
            _pushes(weigh=False),
            "the same push for every pair: the sigmoid that weighs them is missing",
        ),
        Misconception(
            "gradient of the mean",
            _pushes(share=True),
            "divided by the number of pairs: the gradient of the mean. Here each pair "
            "stands alone",
        ),
        Misconception(
            "both pushed up",
            _both_down,
            "the same sign twice: the loss falls where the rejected answer falls",
        ),
        Misconception(
            "sigmoid from exponentials",
            _overflowing,
            "e^(−m) / (1 + e^(−m)), which is ∞/∞ for a pair that is far wrong: use "
            "torch.sigmoid",
        ),
    ),
    hints=(
        "The chain rule in three links: from −log σ(m) to m, from m = βh to h, from h "
        "to the two log-probabilities.",
        "d/dm of −log σ(m) is −σ(−m); dm/dh = β; dh is +1 for the chosen answer and −1 "
        "for the rejected one.",
        "weight = beta * torch.sigmoid(-beta * gap), then "
        "`torch.stack([-weight, weight], -1)`.",
    ),
)


def _accuracy(strict):
    def accuracy(a, b, c, d):
        return strict(a - c, b - d).to(a.dtype).mean()

    return accuracy


KNOWN = (  # log-ratios 1, 1, 1, 1 and −1, −1, 1, −1
    [-1.0, -4.0, -2.0, -3.0],
    [-2.0, -3.0, -3.0, -2.0],
    [-3.0, -1.0, -4.0, -2.0],
    [-1.0, -2.0, -2.0, -1.0],
)

_ACCURACY = Exercise(
    number="4.3",
    title="Implicit-reward accuracy",
    reference=implicit_reward_accuracy,
    checks=(
        Check(
            "one number, of the inputs' dtype",
            lambda draw: [
                _four(draw, BETTER, beta=None),
                _four(draw, BETTER, WORSE, beta=None),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "1 where every gap is above 0, 0 where every gap is below",
            lambda draw: [
                _four(draw, BETTER, BETTER, beta=None),
                _four(draw, WORSE, WORSE, beta=None),
            ],
            value_of,
        ),
        Check(
            "against the reference: a policy may still prefer the rejected answer",
            lambda draw: [
                _four(draw, [-5, -4, -9, -4], beta=None),
                _four(draw, [-4, -5, -4, -9], beta=None),
            ],
            value_of,
        ),
        Check(
            "½ where policy and reference agree",
            lambda draw: [_four(draw, *START, beta=None)],
            "be 0.5: a tie counts half",
        ),
        Check(
            "a share of the pairs",
            lambda draw: [
                _four(draw, *KNOWN, beta=None),
                _four(draw, BETTER, WORSE, WORSE, beta=None),
            ],
            value_of,
        ),
        Check(
            "right on fresh random log-probabilities, ties among them",
            lambda draw: [
                Call(tuple(-draw.integers(1, 4, 40) for _ in range(4)))
                for _ in range(3)
            ],
            "be the share of gaps above 0 plus half the share of gaps at 0",
        ),
    ),
    misconceptions=(
        Misconception(
            "ties are wrong",
            _accuracy(lambda u, v: u > v),
            "u > v alone, which is 0 at the start of every run: a tie is to count half",
        ),
        Misconception(
            "ties are right",
            _accuracy(lambda u, v: u >= v),
            "u ≥ v, which is 1 before anything is learnt: a tie is to count half",
        ),
        Misconception(
            "ranking accuracy",
            lambda a, b, c, d: ((1 + torch.sign(a - b)) / 2).mean(),
            "how often the policy itself prefers the chosen answer: another measure. "
            "This one looks at log-ratios",
        ),
        Misconception(
            "chosen above the reference",
            lambda a, b, c, d: ((1 + torch.sign(a - c)) / 2).mean(),
            "how often the chosen answer rose: the rejected one may have risen more",
        ),
        Misconception(
            "count",
            lambda a, b, c, d: ((1 + torch.sign(a - c - b + d)) / 2).sum(),
            "a number of pairs; an accuracy is their share",
        ),
        Misconception(
            "mean probability",
            lambda a, b, c, d: torch.sigmoid(a - c - b + d).mean(),
            "the mean chance σ(h): an accuracy asks on which side of 0 a gap is",
        ),
        Misconception(
            "swapped",
            lambda a, b, c, d: ((1 - torch.sign(a - c - b + d)) / 2).mean(),
            "how often the implicit reward is wrong: chosen minus rejected, not the "
            "other way",
        ),
    ),
    hints=(
        "The implicit rewards are βu and βv, and β > 0 decides nothing.",
        "Per pair: 1 if u > v, ½ if they are equal, 0 otherwise. torch.sign gives 1, 0 "
        "and −1.",
        "(1 + sign) / 2 turns those into 1, ½ and 0; then the mean.",
    ),
)

# words of the small vocabulary: PADDING, END, and four more


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
    ),
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
            SICK["no_shift"],
            "each token looked up in the logits at its own position, which have seen "
            "it: logits[:, :-1] goes with labels[:, 1:]",
        ),
        Misconception(
            "mask not shifted",
            SICK["mask_off_by_one"],
            "tokens shifted and the mask not: mask[:, 1:] goes with labels[:, 1:]",
        ),
        Misconception(
            "prompt counted",
            SICK["prompt_counted"],
            "the prompt counted as well: everything where the mask is 0 stays out",
        ),
        Misconception(
            "padding counted",
            SICK["padding_counted"],
            "padding counted as well: the mask ends where the response does",
        ),
        Misconception(
            "end left out",
            SICK["end_left_out"],
            "the token that ends the answer is left out: a policy must learn to stop",
        ),
        Misconception(
            "average",
            SICK["averaged"],
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
            SICK["vocabulary_summed"],
            "all words' log-probabilities added up, whatever was said: gather the one "
            "that was",
        ),
        Misconception(
            "raw logits",
            SICK["raw_logits"],
            "the logits themselves: without the softmax they are no log-probabilities",
        ),
        Misconception(
            "tokens not summed",
            token_logprobs,
            "one number for each token: the response's is their sum",
        ),
    ),
    hints=(
        "The chain rule of probability: the log of a product is the sum over tokens.",
        "Exercise 4.4 gives each token's share, 0 off the response. Or: "
        "cross_entropy is minus a log-probability.",
        "`token_logprobs(logits, labels, mask).sum(-1)`",
    ),
)


# --- exercises whose argument is a function -------------------------------------------


def _sees(*names: str):
    """Calls with patients."""
    return lambda draw: [Call((SICK[name],)) for name in names]


def _is_told(call: Call, ours) -> str:
    """True or False, and for a patient what is wrong with it."""
    name = call.args[0].__name__
    verdict = f"be {bool(ours.numbers[0])}"
    return f"{verdict}. {PATIENTS[name].does}" if name in PATIENTS else verdict


def _is_bool(call: Call, yours, ours, near: float) -> bool:
    return yours.kind == "bool" and agrees(call, yours, ours, near)


def _renamed(function, name: str):
    function.__name__ = name
    return function


def _slips(draw: Draw) -> list[Call]:
    """A loss wrong by a factor, and one whose β is off, both drawn afresh."""
    factor, more = (1.1 + 0.4 * draw.uniform(2)).tolist()

    def scaled(*given):
        return factor * dpo_loss(*given)

    def steeper(*given):
        return dpo_loss(*given[:4], more * given[4])

    return [
        Call((_renamed(scaled, f"loss_times_{factor:.2f}"),)),
        Call((_renamed(steeper, f"beta_times_{more:.2f}"),)),
    ]


def _word_slips(draw: Draw) -> list[Call]:
    factor, warm = (1.1 + 0.4 * draw.uniform(2)).tolist()

    def scaled(logits, labels, mask):
        return factor * response_logprobs(logits, labels, mask)

    def warmer(logits, labels, mask):
        return response_logprobs(logits / warm, labels, mask)

    return [
        Call((_renamed(scaled, f"sum_times_{factor:.2f}"),)),
        Call((_renamed(warmer, f"at_temperature_{warm:.2f}"),)),
    ]


def _suite(gaps, others=(), beta=0.3, ref=None, gradients=True, extremes=False):
    """A suite that compares with the formula on these pairs, and on no others."""
    gaps = torch.tensor(gaps, dtype=torch.float64)
    if extremes:
        gaps = torch.cat([gaps, gaps.new_tensor([5000.0, -5000.0])])
    v = torch.zeros_like(gaps)
    v[: len(others)] = gaps.new_tensor(others)
    base = torch.arange(len(gaps), dtype=torch.float64) - 9
    ref_w, ref_l = (base, -(base**2)) if ref is None else (base * ref, base * ref)

    def suite(loss):
        w, l = (ref_w + v + gaps).requires_grad_(), (ref_l + v).requires_grad_()  # noqa: E741
        value = loss(w, l, ref_w, ref_l, beta)
        sound = torch.allclose(value, -F.logsigmoid(beta * gaps).mean())
        if not gradients:
            return sound
        slopes = torch.autograd.grad(value, (w, l), materialize_grads=True)
        push = beta * torch.sigmoid(-beta * gaps) / len(gaps)
        return sound and torch.allclose(torch.stack(slopes), torch.stack([-push, push]))

    return suite


def _bitwise(loss):
    if not dpo_loss_is_sound(loss):
        return False
    w, l, c, d = torch.sin(torch.arange(400.0).double() ** 2).reshape(4, 100)  # noqa: E741
    right = -F.logsigmoid(0.3 * ((w - c) - (l - d))).mean()
    return torch.equal(loss(w, l, c, d, 0.3), right)


def _asserting(loss):
    if not dpo_loss_is_sound(loss):
        raise AssertionError
    return True


def _falls_when_the_chosen_rises(loss):
    four = torch.tensor([[-1.0, -5.0], [-3.0, -2.0], [-2.0, -4.0], [-2.5, -3.0]])
    before = loss(*four, 0.3)
    after = loss(four[0] + 1, *four[1:], 0.3)
    return bool(after < before)


_EXAMINE_LOSS = Exercise(
    number="4.6",
    title="Is this a DPO loss?",
    reference=dpo_loss_is_sound,
    checks=(
        Check(
            "True for the course's own loss",
            lambda draw: [Call((dpo_loss,))],
            "be True, a bool",
            _is_bool,
        ),
        Check(
            "True for a healthy loss, however it is written",
            lambda draw: [Call((loss,)) for loss in HEALTHY["loss"][1:]],
            "be True: this one is right, and differs from others in rounding only",
        ),
        Check(
            "False where the order of the pair or β is wrong",
            _sees("swapped_pair", "beta_forgotten", "beta_twice"),
            _is_told,
        ),
        Check(
            "False where the reference is missing, or comes along",
            _sees("reference_dropped", "reference_follows"),
            _is_told,
        ),
        Check(
            "False where it takes a batch to see it",
            _sees("mean_before_log", "sum_over_pairs"),
            _is_told,
        ),
        Check(
            "False where it takes a gradient, or a pair that is far wrong, to see it",
            _sees("rejected_detached", "log_of_sigmoid", "sigmoid_plus_epsilon"),
            _is_told,
        ),
        Check(
            "False for fresh random slips of the hand",
            _slips,
            "be False: a factor that does not belong there",
        ),
    ),
    misconceptions=(
        Misconception(
            "always sound",
            lambda loss: True,
            "True whatever it is given: a test that cannot fail",
        ),
        Misconception(
            "never sound",
            lambda loss: False,
            "False whatever it is given: it rejects the healthy as well",
        ),
        Misconception(
            "the start alone",
            _suite([0.0, 0.0], gradients=False),
            "ln 2 at the start and no more: most patients know that number too",
        ),
        Misconception(
            "a direction alone",
            _falls_when_the_chosen_rises,
            "only that the loss falls when the chosen answer rises: no number is "
            "compared",
        ),
        Misconception(
            "one pair alone",
            _suite([4.0], others=[1.0]),
            "a single pair: the mean of one is its sum, and one logarithm is every "
            "logarithm",
        ),
        Misconception(
            "a reference of zeros",
            _suite([4.0, -2.0, 0.5], others=[1.0, -1.0, 2.0], ref=0.0, extremes=True),
            "a reference of zeros, or one that is the same for both answers: leaving "
            "it out changes nothing there",
        ),
        Misconception(
            "no extremes",
            _suite([4.0, -2.0, 0.5], others=[1.0, -1.0, 2.0]),
            "gaps of a few nats only: add one that is wrong by thousands",
        ),
        Misconception(
            "values alone",
            _suite([4.0, -2.0, 0.5], [1.0, -1.0, 2.0], gradients=False, extremes=True),
            "the value and not its gradient: a loss may be right and push wrongly",
        ),
        Misconception(
            "bit by bit",
            _bitwise,
            "equality to the last bit: another order of additions rounds differently. "
            "torch.allclose compares what matters",
        ),
        Misconception(
            "assert in place of an answer",
            _asserting,
            "an AssertionError for a patient: the answer asked for is False",
        ),
    ),
    hints=(
        "Compute what must come out by a formula you trust, for pairs you choose, and "
        "compare with torch.allclose.",
        "Choose pairs that give each patient away: a batch, a reference that differs "
        "between the answers, a gap of −5,000, and the gradient of both answers.",
        "Gradients: `torch.autograd.grad(value, (chosen, rejected), "
        "materialize_grads=True)` gives zeros, not an error, where nothing flows.",
    ),
)


def _batch(rows: list, spans: list, vocabulary: int = 6, wave: bool = True):
    """labels, mask, logits of a suite, the logits far from even unless wave is off."""
    labels = torch.tensor(rows)
    mask = torch.zeros_like(labels)
    for row, (start, stop) in enumerate(spans):
        mask[row, start:stop] = 1
    count = torch.arange(labels.numel() * vocabulary, dtype=torch.float64)
    logits = 2 * torch.cos(count**2 / 3) if wave else torch.zeros_like(count)
    return logits.reshape(*labels.shape, vocabulary), labels, mask


def _word_suite(rows, spans, wave=True, normalised=False, exact=False):
    logits, labels, mask = _batch(rows, spans, wave=wave)
    if normalised:
        logits = logits.log_softmax(-1)
    right = response_logprobs(logits, labels, mask)

    def suite(function):
        found = function(logits, labels, mask)
        if exact:
            return torch.equal(found, right)
        return found.shape == right.shape and torch.allclose(found, right)

    return suite


FULL = [[2, 3, 4, 5, END, 0, 0], [4, 3, 2, 3, 5, 2, END], [5, 2, END, 0, 0, 0, 0]]
FULL_SPANS = [(2, 5), (1, 7), (2, 3)]
LONE = [[5, 2, END, 0], [3, 2, END, 0]]

_EXAMINE_RESPONSE = Exercise(
    number="4.7",
    title="Are these log-probabilities of responses?",
    reference=response_logprobs_are_sound,
    checks=(
        Check(
            "True for the course's own function",
            lambda draw: [Call((response_logprobs,))],
            "be True, a bool",
            _is_bool,
        ),
        Check(
            "True for a healthy function, however it is written",
            lambda draw: [Call((healthy,)) for healthy in HEALTHY["logprobs"][1:]],
            "be True: this one is right, and differs from others in rounding only",
        ),
        Check(
            "False where tokens and logits are not aligned",
            _sees("no_shift", "mask_off_by_one"),
            _is_told,
        ),
        Check(
            "False where the wrong tokens are counted",
            _sees("mask_inverted", "prompt_counted", "padding_counted", "end_left_out"),
            _is_told,
        ),
        Check(
            "False for an average, and for one row's prompt taken for all",
            _sees("averaged", "first_prompt_for_all"),
            _is_told,
        ),
        Check(
            "False where no probability of the token is taken",
            _sees("vocabulary_summed", "softmax_over_time", "raw_logits"),
            _is_told,
        ),
        Check(
            "False for fresh random slips of the hand",
            _word_slips,
            "be False: a factor that does not belong there",
        ),
    ),
    misconceptions=(
        Misconception(
            "always sound",
            lambda function: True,
            "True whatever it is given: a test that cannot fail",
        ),
        Misconception(
            "never sound",
            lambda function: False,
            "False whatever it is given: it rejects the healthy as well",
        ),
        Misconception(
            "even logits",
            _word_suite(FULL, FULL_SPANS, wave=False),
            "logits that are all alike: then it does not matter where they are read, "
            "nor for which word",
        ),
        Misconception(
            "whole rows",
            _word_suite([[2, 3, 4, END], [4, 3, 2, END]], [(1, 4), (1, 4)]),
            "responses that fill their rows: neither a prompt nor padding can be "
            "counted by mistake",
        ),
        Misconception(
            "one token alone",
            _word_suite(LONE, [(2, 3), (2, 3)]),
            "responses of one token: the average of one is its sum",
        ),
        Misconception(
            "normalised logits",
            _word_suite(FULL, FULL_SPANS, normalised=True),
            "logits that are log-probabilities already: a forgotten softmax cannot be "
            "seen",
        ),
        Misconception(
            "one row alone",
            _word_suite(FULL[:1], FULL_SPANS[:1]),
            "a batch of one row: what is done to the others cannot be seen",
        ),
        Misconception(
            "the sign alone",
            lambda function: bool((function(*_batch(FULL, FULL_SPANS)) < 0).all()),
            "only that the numbers are negative: no number is compared",
        ),
        Misconception(
            "bit by bit",
            _word_suite(FULL, FULL_SPANS, exact=True),
            "equality to the last bit: another order of additions rounds differently. "
            "torch.allclose compares what matters",
        ),
    ),
    hints=(
        "Write the slow loop first: for each row, for each position where the mask is "
        "1, one log_softmax and one entry of it.",
        "Choose rows that give each patient away: prompts of unequal length, padding, "
        "END inside the response, more than one token, logits that differ everywhere.",
        "right = the sums of `logits[row, t - 1].log_softmax(-1)[labels[row, t]]`; "
        "return `torch.allclose(found, right)`.",
    ),
)

EXERCISES = (
    _LOSS,
    _GRADIENT,
    _ACCURACY,
    _TOKENS,
    _RESPONSE,
    _EXAMINE_LOSS,
    _EXAMINE_RESPONSE,
)
