"""Exercise 4.6: Is this a DPO loss?"""

import torch
import torch.nn.functional as F

from course_lib.bugs import SOUND, dpo_loss_is_sound
from course_lib.losses import dpo_loss
from .patients import OFFERS, SHORTCUTS, examination, healthy, ill, slip, sound
from .spec import Exercise


def _suite(gaps, others=(), ref=None, gradients=True, extremes=False):
    """A suite that compares with the formula on these pairs, and on no others."""
    gaps = torch.tensor(gaps + [5000.0, -5000.0] * extremes).double()
    v = torch.zeros_like(gaps)
    v[: len(others)] = gaps.new_tensor(others)
    base = torch.arange(len(gaps)).double() - 9
    ref_w, ref_l = (base, -(base**2)) if ref is None else (base * ref, base * ref)

    def suite(loss, beta=0.3):
        pairs = [(ref_w + v + gaps).requires_grad_(), (ref_l + v).requires_grad_()]
        value = loss(*pairs, ref_w, ref_l, beta)
        sound = torch.allclose(value, -F.logsigmoid(beta * gaps).mean())
        if not gradients:
            return sound
        slopes = torch.autograd.grad(value, pairs, materialize_grads=True)
        push = beta * torch.sigmoid(-beta * gaps) / len(gaps)
        return sound and torch.allclose(torch.stack(slopes), torch.stack([-push, push]))

    return suite


def _bitwise(loss):
    if not dpo_loss_is_sound(loss):
        return False
    a, b, c, d = torch.sin(torch.arange(400.0).double() ** 2).reshape(4, 100)
    right = -F.logsigmoid(0.3 * ((a - c) - (b - d))).mean()
    return torch.equal(loss(a, b, c, d, 0.3), right)


def _asserting(loss):
    if not dpo_loss_is_sound(loss):
        raise AssertionError
    return True


def _falls_when_the_chosen_rises(loss):
    four = torch.tensor([[-1.0, -5.0], [-3.0, -2.0], [-2.0, -4.0], [-2.5, -3.0]])
    return bool(loss(four[0] + 1, *four[1:], 0.3) < loss(*four, 0.3))


def _shifted(nats):
    """Both log-probabilities of every answer moved alike: the gap is what it was."""
    return lambda a, b, c, d, beta: dpo_loss(
        a + nats, b - nats, c + nats, d - nats, beta
    )


SOME = [4.0, -2.0, 0.5], [1.0, -1.0, 2.0]  # gaps, and rejected log-ratios

FAULTS = """
the start alone: answer = at_the_start(candidate)
    ln 2 at the start and no more: most patients know that number too
a direction alone: answer = falls(candidate)
    only that the loss falls when the chosen answer rises: compare its value
one pair alone: answer = on_one_pair(candidate)
    a single pair: the mean of one is its sum, and one logarithm is every logarithm
mirrored gaps: answer = on_mirrored(candidate)
    gaps that mirror each other: with the answers exchanged their mean loss is the same.
    Take gaps of different size
a reference of zeros: answer = without_ref(candidate)
    a reference of zeros, or one that is the same for both answers: leaving it out
    changes nothing there
no extremes: answer = without_extremes(candidate)
    gaps of a few nats only: add one that is wrong by thousands
values alone: answer = on_values(candidate)
    the value and not its gradient: a loss may be right and push wrongly
assert in place of an answer: answer = asserting(candidate)
    an AssertionError for a patient: the answer asked for is False
"""
CHECKS = (
    *sound(
        "loss",
        SOUND["loss"],
        healthy("by_shifted_logps", _shifted),
        slip(
            "loss_times",
            lambda k: lambda a, b, c, d, beta: k * dpo_loss(a, b, c, d, beta),
        ),
        slip(
            "beta_times",
            lambda k: lambda a, b, c, d, beta: dpo_loss(a, b, c, d, k * beta),
        ),
    ),
    ill(
        "False where the order of the pair or β is wrong",
        "swapped_pair",
        "beta_forgotten",
        "beta_twice",
    ),
    ill(
        "False where the reference is missing, or comes along",
        "reference_dropped",
        "reference_follows",
    ),
    ill("False where it takes a batch to see it", "mean_before_log", "sum_over_pairs"),
    ill(
        "False where it takes a gradient, or a pair that is far wrong, to see it",
        "rejected_detached",
        "log_of_sigmoid",
        "sigmoid_plus_epsilon",
    ),
)
HINTS = """
Compute what must come out by a formula you trust, for pairs you choose, and compare
    with torch.allclose.
Choose pairs that give each patient away: a batch, a reference that differs between the
    answers, a gap of −5,000, and the gradient of both answers.
Gradients: `torch.autograd.grad(value, (chosen, rejected), materialize_grads=True)`
    gives zeros, not an error, where nothing flows.
"""
RECIPE = examination(
    dpo_loss_is_sound,
    bitwise=_bitwise,
    asserting=_asserting,
    falls=_falls_when_the_chosen_rises,
    at_the_start=_suite([0.0, 0.0], gradients=False),
    on_one_pair=_suite([4.0], others=[1.0]),
    on_mirrored=_suite([2.0, -2.0], [1.0, -1.0], gradients=False),
    without_ref=_suite(*SOME, ref=0.0, extremes=True),
    without_extremes=_suite(*SOME),
    on_values=_suite(*SOME, gradients=False, extremes=True),
)
EXERCISE = Exercise(
    __doc__, dpo_loss_is_sound, RECIPE, SHORTCUTS + FAULTS, CHECKS, HINTS, offers=OFFERS
)
