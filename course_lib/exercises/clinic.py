"""Chapter 04, the clinic: tests that tell the sick from the healthy."""

import torch
import torch.nn.functional as F

from course_lib.bugs import (
    BUGGY,
    END,
    PADDING,
    SOUND,
    dpo_loss_is_sound,
    response_logprobs_are_sound,
)
from course_lib.exercises.spec import (
    Check,
    Draw,
    Exercise,
    Misconception,
    agrees,
)
from course_lib.logprobs import response_logprobs
from course_lib.losses import dpo_loss
from course_lib.submission.observing import Call

CLINIC = {"END": END, "PADDING": PADDING, "SOUND": SOUND, "BUGGY": BUGGY}
SICK = {name: patient.function for name, patient in BUGGY.items()}


def _sees(*names: str):
    """Calls with patients."""
    return lambda draw: [Call((SICK[name],)) for name in names]


def _is_told(call: Call, ours) -> str:
    """True or False, and for a patient what is wrong with it."""
    name = call.args[0].__name__
    verdict = f"be {bool(ours.numbers[0])}"
    return f"{verdict}. {BUGGY[name].does}" if name in BUGGY else verdict


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
            lambda draw: [Call((loss,)) for loss in SOUND["loss"][1:]],
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
    offers={"bugs": CLINIC},
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
            lambda draw: [Call((healthy,)) for healthy in SOUND["logprobs"][1:]],
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
    offers={"bugs": CLINIC},
    hints=(
        "Write the slow loop first: for each row, for each position where the mask is "
        "1, one log_softmax and one entry of it.",
        "Choose rows that give each patient away: prompts of unequal length, padding, "
        "END inside the response, more than one token, logits that differ everywhere.",
        "right = the sums of `logits[row, t - 1].log_softmax(-1)[labels[row, t]]`; "
        "return `torch.allclose(found, right)`.",
    ),
)


EXERCISES = (_EXAMINE_LOSS, _EXAMINE_RESPONSE)
