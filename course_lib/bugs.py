"""The bug clinic: code that looks right and is not, and tests that tell.

A *patient* does one thing wrong. Losses are called as
loss(policy_chosen_logps, policy_rejected_logps, ref_chosen_logps, ref_rejected_logps,
beta) and give a scalar; log-probs as response_logprobs(logits, labels, mask) and give
shape (batch,). `SOUND` holds right ones, each written in another way.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.logprobs import response_logprobs
from course_lib.losses import dpo_loss

__all__ = [
    "BUGGY",
    "SOUND",
    "Patient",
    "Treatment",
    "dpo_loss_is_sound",
    "response_logprobs_are_sound",
    "treat",
]

END, PADDING = 1, 0  # the two special tokens of the clinic's small vocabulary


class Patient(NamedTuple):
    """A function that does one thing wrong."""

    function: Callable
    concerns: str  # "loss" or "logprobs"
    does: str  # what is wrong with it, in a sentence
    shipped: str  # where it was met, or its nearest relative, or that it was not
    in_code: bool  # met as this very bug in published code


BUGGY: dict[str, Patient] = {}


NOT_MET = "We have not met it in published code; it is one slip away."


def _bug(shipped: str = NOT_MET, *, in_code: bool = True):
    """Enter a function in `BUGGY`; its docstring says what is wrong with it."""
    met = in_code and shipped != NOT_MET

    def enter(function: Callable) -> Callable:
        concerns = "loss" if function.__code__.co_argcount == 5 else "logprobs"
        patient = Patient(function, concerns, function.__doc__, shipped, met)
        BUGGY[function.__name__] = patient
        return function

    return enter


# --- losses that look right -----------------------------------------------------------


@_bug(
    "Not met in code. A formula in an appendix of the DPO paper has the two answers "
    "exchanged in the gradient's weight; the main text has it right.",
    in_code=False,
)
def swapped_pair(policy_w, policy_l, ref_w, ref_l, beta):
    """The rejected answer's log-ratio comes first, so that training prefers it."""
    gap = (policy_l - ref_l) - (policy_w - ref_w)
    return -F.logsigmoid(beta * gap).mean()


@_bug(
    "A library of fast kernels released a DPO loss without a reference model and "
    "added one in a later version."
)
def reference_dropped(policy_w, policy_l, ref_w, ref_l, beta):
    """The reference is an argument that nobody reads."""
    return -F.logsigmoid(beta * (policy_w - policy_l)).mean()


@_bug(
    "By an issue's account, a trainer for vision models; a widely used trainer has "
    "come to refuse a reference that is the policy."
)
def reference_follows(policy_w, policy_l, ref_w, ref_l, beta):
    """The reference is the policy itself without gradient: the gap is always 0."""
    ref_w, ref_l = policy_w.detach(), policy_l.detach()  # the same object, no_grad
    gap = (policy_w - ref_w) - (policy_l - ref_l)
    return -F.logsigmoid(beta * gap).mean()


@_bug(
    "Not met in a loss. A textbook's code reports its rewards without β, beside a loss "
    "that has it.",
    in_code=False,
)
def beta_forgotten(policy_w, policy_l, ref_w, ref_l, beta):
    """The gap goes into the sigmoid without β, as if β were 1."""
    return -F.logsigmoid((policy_w - ref_w) - (policy_l - ref_l)).mean()


@_bug(
    "A training framework had β in two places of its DPO loss until it changed to "
    "another implementation; a cookbook had it twice in its logged margin."
)
def beta_twice(policy_w, policy_l, ref_w, ref_l, beta):
    """β multiplies both rewards and then their difference again."""
    chosen_reward = beta * (policy_w - ref_w)
    rejected_reward = beta * (policy_l - ref_l)
    return -F.logsigmoid(beta * (chosen_reward - rejected_reward)).mean()


@_bug()
def mean_before_log(policy_w, policy_l, ref_w, ref_l, beta):
    """The batch is averaged before the logarithm, so a large win pays for a loss."""
    gap = (policy_w - ref_w).mean() - (policy_l - ref_l).mean()
    return -F.logsigmoid(beta * gap)


@_bug()
def sum_over_pairs(policy_w, policy_l, ref_w, ref_l, beta):
    """A sum over the batch: the step length grows with the batch."""
    return -F.logsigmoid(beta * ((policy_w - ref_w) - (policy_l - ref_l))).sum()


@_bug("Tutorials, course pages and student projects without number.")
def log_of_sigmoid(policy_w, policy_l, ref_w, ref_l, beta):
    """The sigmoid rounds to 0 on a pair that is far wrong, and its log is −∞."""
    gap = (policy_w - ref_w) - (policy_l - ref_l)
    return -torch.log(torch.sigmoid(beta * gap)).mean()


@_bug("Several public repositories add 1e-8 inside the logarithm.")
def sigmoid_plus_epsilon(policy_w, policy_l, ref_w, ref_l, beta):
    """The usual patch of the former: finite, but without a push where it matters."""
    gap = (policy_w - ref_w) - (policy_l - ref_l)
    return -torch.log(torch.sigmoid(beta * gap) + 1e-8).mean()


@_bug()
def rejected_detached(policy_w, policy_l, ref_w, ref_l, beta):
    """The number is right, but the rejected answer gets no gradient."""
    gap = (policy_w - ref_w) - (policy_l.detach() - ref_l)
    return -F.logsigmoid(beta * gap).mean()


# --- log-probabilities that look right ------------------------------------------------


def _gathered(logits, labels):
    """The log-probability of every token but the first, response or not."""
    logprobs = logits[:, :-1].log_softmax(-1)
    return logprobs.gather(-1, labels[:, 1:, None]).squeeze(-1)  # (batch, time-1)


@_bug(
    "A course that trains a model from scratch left its labels unshifted; the issue "
    "that reports it is closed."
)
def no_shift(logits, labels, mask):
    """Each token is looked up in the logits that come after it, not before."""
    logprobs = logits.log_softmax(-1).gather(-1, labels[..., None]).squeeze(-1)
    return (logprobs * mask).sum(-1)


@_bug("A fine-tuning library had it in two major versions.")
def mask_off_by_one(logits, labels, mask):
    """The mask is not shifted: the first token is lost, one past the last counted."""
    return (_gathered(logits, labels) * mask[:, :-1]).sum(-1)


@_bug("A speech model's DPO code multiplied by the positions of the ignored label.")
def mask_inverted(logits, labels, mask):
    """The mask marks what is to be ignored and is used as what is to be counted."""
    ignored = mask[:, 1:] == 0
    return (_gathered(logits, labels) * ignored).sum(-1)


@_bug(
    "Not met on both sides. At least one repository counted the prompt of the rejected "
    "answer alone, where it does not cancel.",
    in_code=False,
)
def prompt_counted(logits, labels, mask):
    """Every token but padding is counted, the prompt among them."""
    tokens = labels[:, 1:] != PADDING
    return (_gathered(logits, labels) * tokens).sum(-1)


@_bug("A public DPO implementation has an open issue about it.")
def padding_counted(logits, labels, mask):
    """Everything after the prompt is counted, padding included."""
    after_prompt = mask[:, 1:].cumsum(-1) > 0
    return (_gathered(logits, labels) * after_prompt).sum(-1)


@_bug("A textbook's sampler left it out of the training signal until a reader asked.")
def end_left_out(logits, labels, mask):
    """The token that ends the answer is not counted: nobody learns when to stop."""
    words = (mask[:, 1:] == 1) & (labels[:, 1:] != END)
    return (_gathered(logits, labels) * words).sum(-1)


@_bug("A well-known textbook's notebook does so beside the paper's equation.")
def averaged(logits, labels, mask):
    """The mean over the response's tokens, where the paper's loss needs the sum."""
    total = (_gathered(logits, labels) * mask[:, 1:]).sum(-1)
    return total / mask[:, 1:].sum(-1)


@_bug()
def first_prompt_for_all(logits, labels, mask):
    """The first row's prompt length is taken for every row."""
    start = int(mask[0].argmax())
    return (_gathered(logits, labels) * mask[:, 1:])[:, start - 1 :].sum(-1)


@_bug("The toy trainer of a long tutorial, introduced as the core of the real one.")
def vocabulary_summed(logits, labels, mask):
    """All log-probabilities of the vocabulary are added up, whatever was said."""
    logprobs = logits[:, :-1].log_softmax(-1).sum(-1)
    return (logprobs * mask[:, 1:]).sum(-1)


@_bug()
def raw_logits(logits, labels, mask):
    """The logit of each token, without the softmax's normalisation."""
    scores = logits[:, :-1].gather(-1, labels[:, 1:, None]).squeeze(-1)
    return (scores * mask[:, 1:]).sum(-1)


@_bug()
def softmax_over_time(logits, labels, mask):
    """The softmax runs over the positions in place of the vocabulary."""
    logprobs = logits[:, :-1].log_softmax(1)
    realised = logprobs.gather(-1, labels[:, 1:, None]).squeeze(-1)
    return (realised * mask[:, 1:]).sum(-1)


@_bug(
    "Release 0.1 of this course did so with 16-bit logits; a library that serves "
    "log-probabilities has a pull request about it."
)
def half_precision(logits, labels, mask):
    """Logits and log-probabilities in bfloat16, which keeps two or three digits."""
    return (_gathered(logits.bfloat16(), labels) * mask[:, 1:]).sum(-1).to(logits)


# --- the healthy, written in other ways -----------------------------------------------


def by_softplus(policy_w, policy_l, ref_w, ref_l, beta):
    return F.softplus(beta * (ref_w - policy_w + policy_l - ref_l)).mean()


def by_cross_entropy(policy_w, policy_l, ref_w, ref_l, beta):
    margin = beta * ((policy_w - policy_l) - (ref_w - ref_l))
    return F.binary_cross_entropy_with_logits(margin, torch.ones_like(margin))


def by_two_rewards(policy_w, policy_l, ref_w, ref_l, beta):
    rewards = beta * torch.stack([policy_w - ref_w, policy_l - ref_l], -1)
    return F.cross_entropy(rewards, torch.zeros(len(rewards), dtype=torch.long))


def by_a_loop(policy_w, policy_l, ref_w, ref_l, beta):
    total = 0
    for a, b, c, d in zip(policy_w, policy_l, ref_w, ref_l, strict=True):
        total = total + torch.logaddexp(torch.zeros_like(a), beta * (b - d - a + c))
    return total / len(policy_w)


def by_token_cross_entropy(logits, labels, mask):
    before, words = logits[:, :-1].flatten(0, 1), labels[:, 1:]
    surprise = F.cross_entropy(before, words.flatten(), reduction="none")
    return -(surprise.view(words.shape) * mask[:, 1:]).sum(-1)


def by_normaliser(logits, labels, mask):
    score = logits[:, :-1].gather(-1, labels[:, 1:, None])[..., 0]
    kept = mask[:, 1:].to(logits.dtype)
    return (score * kept).sum(-1) - (logits[:, :-1].logsumexp(-1) * kept).sum(-1)


def by_upcast(logits, labels, mask):
    logprobs = logits.float()[:, :-1].log_softmax(-1)  # float32, whatever came
    return (logprobs.gather(-1, labels[:, 1:, None])[..., 0] * mask[:, 1:]).sum(-1)


def token_by_token(logits, labels, mask):
    rows = []
    for row in range(len(labels)):
        total = logits.new_zeros(())
        for t in mask[row].nonzero().flatten().flip(0).tolist():  # from the end
            total = total + logits[row, t - 1].log_softmax(-1)[labels[row, t]]
        rows.append(total)
    return torch.stack(rows)


SOUND: dict[str, tuple[Callable, ...]] = {
    "loss": (dpo_loss, by_softplus, by_cross_entropy, by_two_rewards, by_a_loop),
    "logprobs": (
        response_logprobs,
        by_token_cross_entropy,
        by_normaliser,
        by_upcast,
        token_by_token,
    ),
}


# --- the two examinations -------------------------------------------------------------


def dpo_loss_is_sound(loss: Callable[..., Tensor]) -> bool:
    """Does this compute the DPO loss, however it is written?

    Value and both gradients at five pairs with a reference that differs from pair to
    pair, among them a tie and two gaps of 5,000 nats, and β far from 1.

    loss: a function of the FOUR, shape (batch,), and beta, to a scalar
    returns: True, or False for a loss that is wrong, is no scalar or has no gradient
    raises: whatever `loss` raises
    source: the formula, and its derivative as in `dpo_gradients`

    >>> dpo_loss_is_sound(dpo_loss), dpo_loss_is_sound(swapped_pair)
    (True, False)
    """
    gaps = torch.tensor([4.0, -2.0, 0.0, 5000.0, -5000.0], dtype=torch.float64)
    v = torch.tensor([1.0, -3.0, 2.0, 0.5, 4.0], dtype=torch.float64)
    ref_w, ref_l = -10 - v**2, -12 + 3 * v
    policy_w = (ref_w + v + gaps).requires_grad_()
    policy_l = (ref_l + v).requires_grad_()
    value = loss(policy_w, policy_l, ref_w, ref_l, 0.3)
    if value.shape != () or not value.requires_grad:
        return False
    found = torch.autograd.grad(value, (policy_w, policy_l), materialize_grads=True)
    push = 0.3 * torch.sigmoid(-0.3 * gaps) / len(gaps)
    right = F.softplus(-0.3 * gaps).mean()
    return torch.allclose(value, right) and torch.allclose(
        torch.stack(found), torch.stack([-push, push])
    )


def response_logprobs_are_sound(response_logprobs: Callable[..., Tensor]) -> bool:
    """Does this compute the log-probability of each whole response?

    Three rows of unequal prompts and responses, padded, one response a lone END and one
    with an END inside it, with logits that differ everywhere and are not normalised;
    then the same with logits so large that probabilities round to 0. Values, and
    gradients for the logits. Float32's digits are enough: a function may upcast with
    .float(), and then answers in float32.

    response_logprobs: a function of logits (batch, time, vocab), labels and mask, both
        (batch, time), to shape (batch,)
    returns: True, or False for another shape, other numbers or another gradient
    raises: whatever the function raises
    source: a sum over t of log softmax(logits at t − 1)[y_t], in a loop

    >>> response_logprobs_are_sound(response_logprobs)
    True
    >>> response_logprobs_are_sound(no_shift)
    False
    """
    labels = torch.tensor(
        [[2, 3, 4, 5, END, 0, 0], [4, 4, 2, END, 5, 2, END], [5, 2, END, 0, 0, 0, 0]]
    )
    spans = [(2, 5), (1, 7), (2, 3)]  # of the three responses
    mask = torch.zeros_like(labels)
    for row, (start, stop) in enumerate(spans):
        mask[row, start:stop] = 1
    wave = torch.sin(torch.arange(3 * 7 * 6, dtype=torch.float64) ** 2).reshape(3, 7, 6)
    for scale in (3, 900):
        logits = (scale * wave).requires_grad_()
        right = [
            sum(logits[r, t - 1].log_softmax(-1)[labels[r, t]] for t in range(*span))
            for r, span in enumerate(spans)
        ]
        found = response_logprobs(logits, labels, mask)
        if found.shape != (3,) or found.dtype not in (torch.float32, torch.float64):
            return False
        if not torch.allclose(found.double(), torch.stack(right)):
            return False
        if not found.requires_grad:
            return False
        slopes = [
            torch.autograd.grad(rows @ rows.new_tensor([1, 2, 3]), logits)[0]
            for rows in (found, torch.stack(right))
        ]
        if not torch.allclose(*slopes, atol=1e-6):
            return False
    return True


# --- what a wrong loss does to a training run -----------------------------------------


class Treatment(NamedTuple):
    """What was logged during a small run, and what was true; one entry a step."""

    logged: list[float]  # the loss as the patient computes it
    gaps: list[float]  # the true mean gap, nats
    chosen: list[float]  # the mean log-probability of the chosen answers, nats


def treat(loss: Callable[..., Tensor], steps: int = 60, beta: float = 0.5) -> Treatment:
    """Train a table of four answers on three pairs with this loss, and keep a record.

    Gradient descent at rate 1 from the reference, which likes the answers unequally.

    loss: called as all losses of the clinic
    returns: a `Treatment` with steps + 1 entries each
    source: the loss's own gradient, nothing else

    >>> round(treat(dpo_loss, steps=1).logged[0], 4)     # ln 2
    0.6931
    """
    ref = torch.tensor([1.0, 0.5, 0.0, -2.0], dtype=torch.float64).log_softmax(-1)
    chosen, rejected = torch.tensor([2, 2, 3]), torch.tensor([0, 1, 0])
    logits = ref.clone().requires_grad_()
    record = Treatment([], [], [])
    for _ in range(steps + 1):
        policy = logits.log_softmax(-1)
        ratios = (policy - ref).detach()
        value = loss(policy[chosen], policy[rejected], ref[chosen], ref[rejected], beta)
        (slope,) = torch.autograd.grad(value, logits)
        record.logged.append(value.item())
        record.gaps.append((ratios[chosen] - ratios[rejected]).mean().item())
        record.chosen.append(policy[chosen].mean().item())
        logits = (logits - slope).detach().requires_grad_()
    return record
