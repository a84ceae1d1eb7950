"""Exercise 6.5: KTO's reference point."""

from dataclasses import replace

from course_lib.losses import kto_reference_point
from .spec import Exercise, builder, fresh, given, returns_like, rule, value


@builder
def _logratios(inputs, *logratios: float):
    ref = [-9.0, -5.0, -7.0, -6.0][: len(logratios)]
    policy = [r + logratio for r, logratio in zip(ref, logratios, strict=True)]
    return inputs.tensor(policy), inputs.tensor(ref)


@builder
def _fresh(inputs, count: int, shift: float):
    ref = inputs.normal(count, scale=3) - 20
    return ref + inputs.normal(count) + shift, ref


def _one_number(call, yours, ours, near: float) -> bool:
    """A Python number will do: it carries no gradient, and the loss takes it too."""
    if yours.kind == "number":
        yours = replace(yours, kind=ours.kind, dtype=ours.dtype)
    return returns_like(call, yours, ours, near)


STEPS = """
policy ref:
ratios = policy - ref  # the log-ratios
mean = ratios.mean()  # the mean log-ratio
held = relu(mean)  # the mean, held at 0
point = held.detach()  # the point
"""
FAULTS = """
not held at 0: held = mean
    a mean that may be negative: a KL never is, and the estimate is held at 0
held at 0 before the mean: mean = relu(ratios).mean()
    each log-ratio held at 0, then the mean: negative ones would not count. Take the
    mean first, then the larger of it and 0
gradient carried: point = held
    the right number with a gradient: moving the point would lower the loss. Detach it
sum: mean = ratios.sum()
    the sum over the batch: the point would move with the batch's size
ref − policy: ratios = ref - policy
    reference minus policy: it is the policy whose distance is measured
size of the mean: held = mean.abs()
    the mean without its sign: a negative one becomes 0, not positive
no reference: ratios = policy
    the policy's log-probabilities alone: the point is a mean log-ratio
mean of the ratios: mean = log(exp(ratios).mean())
    the logarithm of the mean ratio: take the mean of the logarithms
one for each: mean = ratios
    a point for each example: the whole batch shares one
weighed by the ratios: mean = (exp(ratios) * ratios).mean()
    each log-ratio weighed by its ratio π/π_ref: KTO takes the plain mean, which a few
    large ratios cannot rule
held at 1 too: held = mean.clamp(0, 1)
    held between 0 and 1, as KTO's loss is: a KL has no upper bound
n − 1: mean = ratios.sum() / (ratios.numel() - 1)
    n − 1 where n belongs: a mean of n numbers divides by n
k3: mean = (exp(-ratios) - 1 + ratios).mean()
    the estimate e^(−r) − 1 + r, known as k3, which is never negative: KTO takes the
    plain mean of the log-ratios r and holds it at 0
k2: mean = (ratios * ratios / 2).mean()
    half the squared log-ratio: another estimate of a KL. KTO takes the plain mean of
    the log-ratios and holds it at 0
median: mean = ratios.median()
    the median of the log-ratios: the point is their mean
held from above: held = -relu(-mean)
    the smaller of the mean and 0: the point is the larger one, never negative
weighed by their probabilities: mean = (exp(policy) * ratios).mean()
    log-ratios weighed by the answers' probabilities, as F.kl_div does: these answers
    were drawn, so each counts alike
softplus for the cut: held = F.softplus(mean)
    softplus of the mean, above it everywhere and ln 2 at 0: use clamp(min=0)
ratio of mean probabilities: mean = log(exp(policy).mean() / exp(ref).mean())
    the logarithm of a ratio of mean probabilities: the likeliest answer decides alone.
    Average the log-ratios
weighed by probabilities: mean = (exp(policy) * ratios).sum()
    log-ratios weighed by probabilities: answers that were drawn count alike
"""
CHECKS = (
    rule(
        "one number without a gradient",
        "be a tensor of shape () that carries no gradient, or a Python number",
        [_logratios(1.0, 2.0), _logratios(-1.0, -2.0, 0.5)],
        holds=_one_number,
        gradient=True,
    ),
    value("the mean log-ratio", [_logratios(1.0, 2.0), _logratios(0.5, 0.0, 4.0, 1.5)]),
    value(
        "0 where the mean is below 0",
        [_logratios(-1.0, -2.0), _logratios(-4.0, 0.0, -0.5)],
    ),
    value(
        "log-ratios of either sign in one batch",
        [_logratios(3.0, -1.0), _logratios(-3.0, 1.0)],
    ),
    fresh(
        "be the mean of log π/π_ref over the batch, or 0 where that is negative",
        map(_fresh, (2, 4, 7), (1.0, 3.0, -4.0)),
        gradient=True,
    ),
)
HINTS = """
It stands for KL(π‖π_ref), which is a mean log-ratio and never negative. Nothing is to
    be learnt through it.
First the mean of policy − reference over the batch, then the larger of that and 0, then
    detach.
`(policy_kl_logps - ref_kl_logps).mean().clamp(min=0).detach()`
"""
EXTREMES = (given([-5020, -20, -30], [-20, -20, -40]), given([-1, -3], [-5000, -4]))
EXERCISE = Exercise(
    __doc__, kto_reference_point, STEPS, FAULTS, CHECKS, HINTS, EXTREMES
)
