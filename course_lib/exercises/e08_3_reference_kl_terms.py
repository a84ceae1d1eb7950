"""Exercise 8.3: KL from answers that the reference wrote."""

from course_lib.metrics import reference_kl_terms
from .spec import Exercise, builder, fresh, given, kind, rule, value


@builder
def _fresh(inputs, count: int):
    ref = 3 * inputs.normal(count) - 20
    return ref + inputs.normal(count), ref


STEPS = """
policy ref:
u = policy - ref  # the log-ratio
ratio = exp(u)  # the ratio ρ
weighed = ratio * u  # ρ log ρ
term = weighed - torch.expm1(u)  # the term
"""
FAULTS = """
log-ratio alone: term = u
    the log-ratio itself: over the reference's answers its mean is minus the other KL,
    of π_ref from π
minus the log-ratio: term = -u
    log π_ref/π, whose mean over the reference's answers is the KL of π_ref from π:
    weigh each by ρ
k3 as it is: term = torch.expm1(-u) + u
    k3, e^(−u) − 1 + u, which is for answers that the policy wrote: these come from the
    reference
k3 of the other KL: term = torch.expm1(u) - u
    ρ − 1 − log ρ, whose mean over the reference's answers is the KL of π_ref from π:
    the other direction
k2: term = u * u / 2
    half the squared log-ratio: near the right size while π is close, and biased
weighed, and no more: term = weighed
    ρ log ρ alone: its mean is right, and single terms are negative. Add something whose
    mean over the reference's answers is 0
weighed, minus in place of plus: term = weighed + torch.expm1(u)
    ρ log ρ + ρ − 1: that has the right mean as well, and is negative below ρ = 1. Take
    ρ − 1 away
the 1 forgotten: term = weighed - ratio
    ρ log ρ − ρ, whose mean is KL − 1: where π and π_ref agree it must be 0
minus log ρ: term = weighed - u
    (ρ − 1) log ρ: the mean of log ρ over the reference's answers is not 0, so this is
    the sum of both KLs. What has mean 0 is ρ − 1
k2, weighed: term = ratio * u * u / 2
    k2 with weights ρ: it agrees with the KL while ρ is near 1 only, and is biased
twice weighed: weighed = ratio * ratio * u
    ρ² log ρ: one ρ turns the reference's mean into the policy's, and no second
ratio upside down: ratio = exp(-u)
    log ρ weighed by 1/ρ: a mean over the policy is one over the reference with weights
    π/π_ref
ρ − 1 in place of the logarithm: weighed = ratio * (ratio - 1)
    ρ (ρ − 1), which is χ² and not KL: the log-ratio is weighed
shares in place of ratios: weighed = softmax(u, 0) * u
    log-ratios weighed by shares of the batch: then a term depends on its neighbours.
    The weight is ρ
log-probs in place of ratios: weighed = exp(policy) * u
    weights π(y): the samples have been drawn by π_ref already, so the weight is π/π_ref
log-probs in place of ratios, no more: term = exp(policy) * u
    log-ratios weighed by π(y): the samples have been drawn by π_ref already, so the
    weight is π/π_ref, and single terms must not be negative
averaged: term = (weighed - torch.expm1(u)).mean()
    the mean: asked is a term for each answer, so that the spread can be seen
ρ log ρ by the ratio: weighed = ratio * log(ratio)
    log ρ taken of a ρ that has underflowed to 0, which is NaN: the log-ratio is there
    already
k3 weighed: term = ratio * (torch.expm1(u) - u)
    ρ times ρ − 1 − log ρ: k3 for the policy's answers is 1/ρ − 1 + log ρ, and that is
    what ρ weighs
cut off at 0: term = relu(weighed)
    ρ log ρ cut off at 0, which raises its mean: subtract ρ − 1, whose mean is 0, and no
    term is negative
"""
CHECKS = (
    kind("one term for each answer", [given([-2.0], [-2.0]), _fresh(4)]),
    value(
        "0 where policy and reference agree",
        [given([-2.0], [-2.0]), given([-3.0, -40.0], [-3.0, -40.0])],
    ),
    value(
        "1 for an answer that is now e times as likely",
        [given([-1.0], [-2.0]), given([-7.0], [-8.0])],
    ),
    rule(
        "never below 0: an answer that has lost probability",
        "be above 0, as every term is whose ρ is not 1",
        [given([-3.0], [-2.0]), given([-2.5, -4.0], [-2.0, -2.0])],
    ),
    fresh(
        "be never negative, and have the mean KL(π‖π_ref) over the reference's answers",
        map(_fresh, (1, 4, 7)),
    ),
    rule(
        "an answer that the policy has given up",
        "be 1, in the limit: finite, and not NaN",
        [given([-5000.0], [-9.0])],
    ),
)
HINTS = """
KL(π‖π_ref) is the mean of log ρ over π's answers. Over the reference's answers, each
    must be weighed: by what?
Σ π log ρ = Σ π_ref ρ log ρ. To make every term positive, add a multiple of ρ − 1, whose
    mean over π_ref is 0. The lowest point must be at ρ = 1.
ρ log ρ has slope 1 at ρ = 1, so subtract ρ − 1: `u.exp() * u − torch.expm1(u)` with u =
    policy − reference.
"""
EXERCISE = Exercise(__doc__, reference_kl_terms, STEPS, FAULTS, CHECKS, HINTS)
