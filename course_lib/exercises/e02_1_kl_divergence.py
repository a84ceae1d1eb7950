"""Exercise 2.1: How far is one policy from another?"""

import torch

from course_lib.exercises.policies import EVEN, policy
from course_lib.exercises.spec import Exercise, given, learns, rule, value
from course_lib.policies import kl_divergence

EXERCISE = Exercise(
    number="2.1",
    title="How far is one policy from another?",
    reference=kl_divergence,
    checks=(
        learns(
            "one number for each prompt, with a gradient",
            [given(EVEN, [0.25, 0.75]), given(policy(4, 3), policy(4, 3))],
        ),
        value(
            "0 between a policy and itself",
            [given(EVEN, EVEN), given([0.7, 0.2, 0.1], [0.7, 0.2, 0.1])],
        ),
        value(
            "the first policy is the one that draws",
            [given([0.9, 0.1], EVEN), given(EVEN, [0.9, 0.1])],
        ),
        value(
            "ln 2 for an answer that was even and is now certain: 0 log 0 counts as 0",
            [given([1.0, 0.0], EVEN), given([0.0, 1.0, 0.0], [0.5, 0.5, 0.0])],
        ),
        rule(
            "infinite where p answers what q never would",
            "be infinite: no number of nats pays for leaving the support of q",
            [given(EVEN, [1.0, 0.0]), given([0.25, 0.5, 0.25], [0.5, 0.5, 0.0])],
            holds=lambda call, yours, ours, near: yours.numbers == ours.numbers,
        ),
        rule(
            "right on fresh random policies, values and gradients",
            "equal Σ p (log p − log q) in every row, and so must its gradient",
            [given(policy(*s), policy(*s)) for s in ((2,), (5,), (3, 4))],
            gradient=True,
        ),
    ),
    misconceptions={
        "turned round": (
            lambda p, q: kl_divergence(q, p),
            "KL(q‖p): the first argument is the policy that draws the answers and "
            "weighs the log-ratios",
        ),
        "0 log 0 is not a number": (
            lambda p, q: (p * (p / q).log()).sum(-1),
            "0 · log 0, which a computer calls NaN: torch.xlogy(0, 0) is 0, as the sum "
            "needs it",
        ),
        "a small number added": (
            lambda p, q: (p * ((p + 1e-12) / (q + 1e-12)).log()).sum(-1),
            "a small number added before the logarithm: leaving q's support then costs "
            "some nats, where it must cost infinitely many",
        ),
        "unweighted log-ratios": (
            lambda p, q: (p.log() - q.log()).mean(-1),
            "a plain mean of log-ratios: each counts as often as p draws the answer",
        ),
        "negated": (
            lambda p, q: -kl_divergence(p, q),
            "log q − log p: KL is never negative, the policy that draws stands on top",
        ),
        "cross-entropy": (
            lambda p, q: -torch.xlogy(p, q).sum(-1),
            "the cross-entropy −Σ p log q, which is not 0 between a policy and itself: "
            "the entropy of p is missing",
        ),
        "absolute differences": (
            lambda p, q: (p - q).abs().sum(-1) / 2,
            "half the sum of absolute differences (total variation): a distance "
            "without logarithms, not measured in nats",
        ),
        "mean over the answers": (
            lambda p, q: kl_divergence(p, q) / p.shape[-1],
            "a mean over the answers: p already weighs them, so they are summed",
        ),
        "all prompts in one number": (
            lambda p, q: kl_divergence(p, q).sum(),
            "one sum over all prompts: sum over the last dimension alone",
        ),
    },
    hints=(
        "An expectation under p is a sum weighted by p. Of what? Of how much likelier "
        "p makes each answer than q does, in logarithms.",
        "Each answer adds p log p − p log q. Where p is 0 that is 0, and "
        "torch.xlogy(x, y) is x log y with exactly this rule.",
        "Sum `torch.xlogy(p, p)` minus `torch.xlogy(p, q)` over the last dimension.",
    ),
)
