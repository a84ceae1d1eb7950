"""Chapter 02: the best policy that a reward and a leash allow."""

import torch
import torch.nn.functional as F

from course_lib.exercises.spec import (
    Check,
    Draw,
    Exercise,
    Misconception,
    agrees,
    kind_of,
    returns_like,
    value_of,
)
from course_lib.policies import (
    best_of_n,
    expected_reward,
    kl_divergence,
    log_partition,
    optimal_policy,
    rlhf_objective,
)
from course_lib.submission.observing import Call


def _policies(draw: Draw, *shape: int) -> torch.Tensor:
    return torch.softmax(draw.normal(*shape), -1)


def _two(draw: Draw, p: list[float], q: list[float], **kwargs) -> Call:
    return Call((draw.tensor(p), draw.tensor(q)), **kwargs)


_KL = Exercise(
    number="2.1",
    title="How far is one policy from another?",
    reference=kl_divergence,
    checks=(
        Check(
            "one number for each prompt, with a gradient",
            lambda draw: [
                _two(draw, [0.5, 0.5], [0.25, 0.75], gradient=True),
                Call((_policies(draw, 4, 3), _policies(draw, 4, 3)), gradient=True),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "0 between a policy and itself",
            lambda draw: [
                _two(draw, [0.5, 0.5], [0.5, 0.5]),
                _two(draw, [0.7, 0.2, 0.1], [0.7, 0.2, 0.1]),
            ],
            value_of,
        ),
        Check(
            "the first policy is the one that draws",
            lambda draw: [
                _two(draw, [0.9, 0.1], [0.5, 0.5]),
                _two(draw, [0.5, 0.5], [0.9, 0.1]),
            ],
            value_of,
        ),
        Check(
            "ln 2 for an answer that was even and is now certain: 0 log 0 counts as 0",
            lambda draw: [
                _two(draw, [1.0, 0.0], [0.5, 0.5]),
                _two(draw, [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]),
            ],
            value_of,
        ),
        Check(
            "infinite where p answers what q never would",
            lambda draw: [
                _two(draw, [0.5, 0.5], [1.0, 0.0]),
                _two(draw, [0.25, 0.5, 0.25], [0.5, 0.5, 0.0]),
            ],
            "be infinite: no number of nats pays for leaving the support of q",
            lambda call, yours, ours, near: yours.numbers == ours.numbers,
        ),
        Check(
            "right on fresh random policies, values and gradients",
            lambda draw: [
                Call((_policies(draw, *s), _policies(draw, *s)), gradient=True)
                for s in ((2,), (5,), (3, 4))
            ],
            "equal Σ p (log p − log q) in every row, and so must its gradient",
        ),
    ),
    misconceptions=(
        Misconception(
            "turned round",
            lambda p, q: kl_divergence(q, p),
            "KL(q‖p): the first argument is the policy that draws the answers and "
            "weighs the log-ratios",
        ),
        Misconception(
            "0 log 0 is not a number",
            lambda p, q: (p * (p / q).log()).sum(-1),
            "0 · log 0, which a computer calls NaN: torch.xlogy(0, 0) is 0, as the sum "
            "needs it",
        ),
        Misconception(
            "a small number added",
            lambda p, q: (p * ((p + 1e-12) / (q + 1e-12)).log()).sum(-1),
            "a small number added before the logarithm: leaving q's support then "
            "costs some nats, where it must cost infinitely many",
        ),
        Misconception(
            "unweighted log-ratios",
            lambda p, q: (p.log() - q.log()).mean(-1),
            "a plain mean of log-ratios: each counts as often as p draws the answer",
        ),
        Misconception(
            "negated",
            lambda p, q: -kl_divergence(p, q),
            "log q − log p: KL is never negative, the policy that draws stands on top",
        ),
        Misconception(
            "cross-entropy",
            lambda p, q: -torch.xlogy(p, q).sum(-1),
            "the cross-entropy −Σ p log q, which is not 0 between a policy and itself: "
            "the entropy of p is missing",
        ),
        Misconception(
            "absolute differences",
            lambda p, q: (p - q).abs().sum(-1) / 2,
            "half the sum of absolute differences (total variation): a distance "
            "without logarithms, not measured in nats",
        ),
        Misconception(
            "mean over the answers",
            lambda p, q: kl_divergence(p, q) / p.shape[-1],
            "a mean over the answers: p already weighs them, so they are summed",
        ),
        Misconception(
            "all prompts in one number",
            lambda p, q: kl_divergence(p, q).sum(),
            "one sum over all prompts: sum over the last dimension alone",
        ),
    ),
    hints=(
        "An expectation under p is a sum weighted by p. Of what? Of how much likelier "
        "p makes each answer than q does, in logarithms.",
        "Each answer adds p log p − p log q. Where p is 0 that is 0, and "
        "torch.xlogy(x, y) is x log y with exactly this rule.",
        "Sum `torch.xlogy(p, p)` minus `torch.xlogy(p, q)` over the last dimension.",
    ),
)


def _task(draw: Draw, policy, ref, rewards, beta: float, **kwargs) -> Call:
    tensors = (draw.tensor(policy), draw.tensor(ref), draw.tensor(rewards))
    return Call((*tensors, beta), **kwargs)


def _random_task(draw: Draw, beta: float, *shape: int) -> Call:
    tensors = (_policies(draw, *shape), _policies(draw, *shape), draw.normal(*shape))
    return Call((*tensors, beta), gradient=True)


def _kl_by_division(p, q):
    return (p * (p / q).log()).sum(-1)


_OBJECTIVE = Exercise(
    number="2.2",
    title="What RLHF maximises",
    reference=rlhf_objective,
    checks=(
        Check(
            "one number for each prompt, with a gradient",
            lambda draw: [
                _task(draw, [0.5, 0.5], [0.25, 0.75], [1, 0], 0.5, gradient=True),
                _random_task(draw, 0.5, 4, 3),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "the reference's expected reward, at no cost, for the reference itself",
            lambda draw: [
                _task(draw, [0.5, 0.5], [0.5, 0.5], [1, 0], 0.1),
                _task(draw, [0.2, 0.3, 0.5], [0.2, 0.3, 0.5], [1, 2, -1], 2.0),
            ],
            value_of,
        ),
        Check(
            "the policy pays, the reference is compared with",
            lambda draw: [_task(draw, [0.9, 0.1], [0.5, 0.5], [0, 0], 1.0)],
            "be −KL(policy‖ref) = −0.3681 where no answer earns anything",
        ),
        Check(
            "1 − ln 2 for turning an even choice into a certain one, at β = 1",
            lambda draw: [_task(draw, [1.0, 0.0], [0.5, 0.5], [1, 0], 1.0)],
            "be 1 − ln 2 = 0.3069: the reward minus the price of leaving the reference",
        ),
        Check(
            "β is the price of a nat",
            lambda draw: [
                _task(draw, [1.0, 0.0], [0.5, 0.5], [1, 0], 0.1),
                _task(draw, [1.0, 0.0], [0.5, 0.5], [1, 0], 10.0),
            ],
            value_of,
        ),
        Check(
            "right on fresh random worlds, values and gradients",
            lambda draw: [
                _random_task(draw, beta, *shape)
                for beta, shape in ((0.1, (2,)), (0.5, (5,)), (3.0, (3, 4)))
            ],
            "equal E[r] − β KL(policy‖ref) in every row, and so must its gradient",
        ),
    ),
    misconceptions=(
        Misconception(
            "KL turned round",
            lambda p, ref, r, b: expected_reward(p, r) - b * kl_divergence(ref, p),
            "KL(ref‖policy): the policy draws, so it stands first",
        ),
        Misconception(
            "KL added",
            lambda p, ref, r, b: expected_reward(p, r) + b * kl_divergence(p, ref),
            "a KL that is added: leaving the reference would be paid for",
        ),
        Misconception(
            "β forgotten",
            lambda p, ref, r, b: expected_reward(p, r) - kl_divergence(p, ref),
            "a leash without β: every nat costs 1, whatever β is",
        ),
        Misconception(
            "β on the reward",
            lambda p, ref, r, b: b * expected_reward(p, r) - kl_divergence(p, ref),
            "β times the reward: β is the price of a nat and stands before the KL",
        ),
        Misconception(
            "divided by β",
            lambda p, ref, r, b: expected_reward(p, r) - kl_divergence(p, ref) / b,
            "KL / β: a larger β must make the leash dearer",
        ),
        Misconception(
            "reward of the reference",
            lambda p, ref, r, b: expected_reward(ref, r) - b * kl_divergence(p, ref),
            "the reference's expected reward: the policy's answers are rewarded",
        ),
        Misconception(
            "plain mean of the rewards",
            lambda p, ref, r, b: r.mean(-1) - b * kl_divergence(p, ref),
            "a plain mean of the rewards: each counts as often as the policy gives it",
        ),
        Misconception(
            "a loss",
            lambda p, ref, r, b: -rlhf_objective(p, ref, r, b),
            "the objective with its sign turned, a loss: this one is to be maximised",
        ),
        Misconception(
            "0 log 0 is not a number",
            lambda p, ref, r, b: expected_reward(p, r) - b * _kl_by_division(p, ref),
            "0 · log 0, which a computer calls NaN: use torch.xlogy",
        ),
        Misconception(
            "all prompts in one number",
            lambda p, ref, r, b: rlhf_objective(p, ref, r, b).sum(),
            "one sum over all prompts: each prompt has an objective of its own",
        ),
    ),
    hints=(
        "Two parts: what the policy earns on average, and what it pays for being "
        "another policy than the reference.",
        "The average is a sum of policy times rewards over the last dimension. The "
        "price is β times the KL of exercise 2.1, policy first.",
        "Sum `policy * rewards`, and subtract beta times the sum of `torch.xlogy(policy"
        ", policy) - torch.xlogy(policy, ref)`.",
    ),
)


def _world(draw: Draw, ref, rewards, beta: float, **kwargs) -> Call:
    return Call((draw.tensor(ref), draw.tensor(rewards), beta), **kwargs)


def _random_world(draw: Draw, beta: float, *shape: int) -> Call:
    return Call((_policies(draw, *shape), draw.normal(*shape), beta), gradient=True)


def _added_to_the_weights(ref, r, b):
    weights = ref + (r / b).exp()
    return weights / weights.sum(-1, keepdim=True)


def _linear(ref, r, b):
    weights = ref * (r / b)
    return weights / weights.sum(-1, keepdim=True)


def _over_all_prompts(ref, r, b):
    return torch.softmax((ref.log() + r / b).flatten(), 0).view_as(r)


def _by_exponentials(ref, r, b):
    weights = ref * (r / b).exp()
    return weights / weights.sum(-1, keepdim=True)


_OPTIMAL = Exercise(
    number="2.3",
    title="Tilt, then normalise",
    reference=optimal_policy,
    checks=(
        Check(
            "one probability for each answer, and rows that sum to 1",
            lambda draw: [
                _world(draw, [0.5, 0.5], [1, 0], 1.0, gradient=True),
                _random_world(draw, 0.5, 3, 4),
            ],
            "be a tensor like ref, with a gradient, and sum to 1 in each row",
            lambda call, yours, ours, near: (
                returns_like(call, yours, ours, near) and _rows_sum_to_one(yours, near)
            ),
        ),
        Check(
            "the reference again where all rewards are equal",
            lambda draw: [
                _world(draw, [0.5, 0.5], [0, 0], 1.0),
                _world(draw, [0.7, 0.2, 0.1], [5, 5, 5], 2.0),
            ],
            value_of,
        ),
        Check(
            "odds e : 1 for one unit of reward at β = 1",
            lambda draw: [
                _world(draw, [0.5, 0.5], [1, 0], 1.0),
                _world(draw, [0.8, 0.2], [0, 1], 1.0),
            ],
            value_of,
        ),
        Check(
            "the smaller β, the further from the reference",
            lambda draw: [
                _world(draw, [0.5, 0.5], [1, 0], 0.5),
                _world(draw, [0.5, 0.5], [1, 0], 4.0),
            ],
            value_of,
        ),
        Check(
            "0 where the reference is 0, whatever the reward",
            lambda draw: [_world(draw, [0.5, 0.5, 0.0], [0, 0, 30], 1.0)],
            "be 0.5, 0.5 and exactly 0: no reward brings back what is never said",
            lambda call, yours, ours, near: (
                agrees(call, yours, ours, near) and yours.numbers[2] == 0
            ),
        ),
        Check(
            "right on fresh random worlds",
            lambda draw: [
                _random_world(draw, beta, *shape)
                for beta, shape in ((0.2, (2,)), (0.5, (5,)), (3.0, (3, 4)))
            ],
            "be in proportion to ref · e^{rewards/β} within each row",
        ),
        Check(
            "finite at β = 0.001, and for rewards in the thousands",
            lambda draw: [
                _world(draw, [0.5, 0.25, 0.25], [3, 2.5, -0.5], 0.001),
                _world(draw, [0.5, 0.5], [2000, 1999], 1.0),
                _world(draw, [0.5, 0.5], [-2000, -1999], 1.0),
            ],
            "stay finite: e^3000 is not a number that a computer holds",
        ),
    ),
    misconceptions=(
        Misconception(
            "overflowing exponentials",
            _by_exponentials,
            "exponentials that overflow or vanish: add r/β to log π_ref and let a "
            "softmax normalise, which subtracts the largest first",
        ),
        Misconception(
            "not normalised",
            lambda ref, r, b: ref * (r / b).exp(),
            "the tilt alone: its weights do not sum to 1",
        ),
        Misconception(
            "reference forgotten",
            lambda ref, r, b: torch.softmax(r / b, -1),
            "a softmax of r/β: the reference, which the leash is tied to, is missing",
        ),
        Misconception(
            "times β",
            lambda ref, r, b: torch.softmax(ref.log() + r * b, -1),
            "r · β where it must be r / β: a larger β must tilt less",
        ),
        Misconception(
            "β forgotten",
            lambda ref, r, b: torch.softmax(ref.log() + r, -1),
            "a tilt without β: e^r, as if β were always 1",
        ),
        Misconception(
            "logarithm of the reference forgotten",
            lambda ref, r, b: torch.softmax(ref + r / b, -1),
            "probabilities added to r/β: inside the exponential it is log π_ref",
        ),
        Misconception(
            "added, not multiplied",
            _added_to_the_weights,
            "ref + e^{r/β}: the tilt multiplies the reference",
        ),
        Misconception(
            "weighed by the reward itself",
            _linear,
            "ref · r/β without the exponential: weights that may be negative",
        ),
        Misconception(
            "sign turned",
            lambda ref, r, b: torch.softmax(ref.log() - r / b, -1),
            "e^{−r/β}: the worst answer would gain most",
        ),
        Misconception(
            "a small number added",
            lambda ref, r, b: torch.softmax((ref + 1e-12).log() + r / b, -1),
            "a small number added to the reference: log 0 = −∞ is right here, it keeps "
            "at 0 what the reference never says",
        ),
        Misconception(
            "normalised over all prompts",
            _over_all_prompts,
            "one normalisation for the whole batch: each prompt is a policy of its own",
        ),
    ),
    hints=(
        "Multiply each probability of the reference by e^{r/β}, then divide by what "
        "the row sums to. Then ask what becomes of e^{3000}.",
        "In logarithms: log π* = log π_ref + r/β − log Z. Which function of torch "
        "takes logarithms of weights to probabilities?",
        "`torch.softmax` of `ref.log()` plus the rewards divided by beta, over the "
        "last dimension.",
    ),
)


def _rows_sum_to_one(seen, near: float) -> bool:
    width = seen.shape[-1]
    rows = range(0, len(seen.numbers), width)
    return all(abs(sum(seen.numbers[i : i + width]) - 1) <= near for i in rows)


_LOG_Z = Exercise(
    number="2.4",
    title="What the tilted weights sum to",
    reference=log_partition,
    checks=(
        Check(
            "one number for each prompt, with a gradient",
            lambda draw: [
                _world(draw, [0.5, 0.5], [1, 0], 1.0, gradient=True),
                _random_world(draw, 0.5, 4, 3),
            ],
            kind_of,
            returns_like,
        ),
        Check(
            "0 where no answer earns anything",
            lambda draw: [
                _world(draw, [0.5, 0.5], [0, 0], 1.0),
                _world(draw, [0.7, 0.2, 0.1], [0, 0, 0], 0.5),
            ],
            value_of,
        ),
        Check(
            "c/β where every answer earns c",
            lambda draw: [
                _world(draw, [0.5, 0.5], [3, 3], 1.0),
                _world(draw, [0.7, 0.2, 0.1], [2, 2, 2], 0.5),
            ],
            value_of,
        ),
        Check(
            "weighed by the reference: log of 0.8 + 0.2 e",
            lambda draw: [_world(draw, [0.8, 0.2], [0, 1], 1.0)],
            "be log(0.8 + 0.2 e) = 0.2954, more than the mean reward 0.2",
        ),
        Check(
            "deaf to answers that the reference never gives",
            lambda draw: [_world(draw, [0.5, 0.5, 0.0], [0, 0, 30], 1.0)],
            "be 0: an answer with π_ref = 0 adds 0 · e^30 to the sum",
        ),
        Check(
            "right on fresh random worlds, values and gradients",
            lambda draw: [
                _random_world(draw, beta, *shape)
                for beta, shape in ((0.2, (2,)), (0.5, (5,)), (3.0, (3, 4)))
            ],
            "equal log Σ ref · e^{rewards/β} in every row, and so must its gradient",
        ),
        Check(
            "finite at β = 0.001, and for rewards in the thousands",
            lambda draw: [
                _world(draw, [0.5, 0.25, 0.25], [3, 2.5, -0.5], 0.001),
                _world(draw, [0.5, 0.5], [-2000, -1999], 1.0),
            ],
            lambda call, ours: (
                f"be {ours.numbers[0]:.1f}: e to that power is not a number "
                "that a computer holds"
            ),
        ),
    ),
    misconceptions=(
        Misconception(
            "overflowing exponentials",
            lambda ref, r, b: (ref * (r / b).exp()).sum(-1).log(),
            "exponentials that overflow or vanish before the logarithm is taken: "
            "torch.logsumexp never forms them",
        ),
        Misconception(
            "reference forgotten",
            lambda ref, r, b: torch.logsumexp(r / b, -1),
            "a plain logsumexp of r/β: each answer counts as often as the reference "
            "gives it",
        ),
        Misconception(
            "Z itself",
            lambda ref, r, b: log_partition(ref, r, b).exp(),
            "Z, not its logarithm",
        ),
        Misconception(
            "times β",
            lambda ref, r, b: torch.logsumexp(ref.log() + r * b, -1),
            "r · β where it must be r / β",
        ),
        Misconception(
            "β forgotten",
            lambda ref, r, b: torch.logsumexp(ref.log() + r, -1),
            "e^r without β",
        ),
        Misconception(
            "in units of reward",
            lambda ref, r, b: b * log_partition(ref, r, b),
            "β log Z, the best value of the objective: asked for is log Z",
        ),
        Misconception(
            "logarithm of the reference forgotten",
            lambda ref, r, b: torch.logsumexp(ref + r / b, -1),
            "probabilities added to r/β: inside the exponential it is log π_ref",
        ),
        Misconception(
            "mean before the exponential",
            lambda ref, r, b: (ref * r / b).sum(-1),
            "the mean of r/β: the exponential is taken before the average, and is "
            "larger than that of the average (Jensen)",
        ),
        Misconception(
            "a small number added",
            lambda ref, r, b: torch.logsumexp((ref + 1e-12).log() + r / b, -1),
            "a small number added to the reference: log 0 = −∞ is right here, and a "
            "high reward makes any number large",
        ),
        Misconception(
            "maximum alone",
            lambda ref, r, b: (r / b).amax(-1),
            "the largest r/β alone: the limit for β → 0, and only if log π_ref is "
            "added",
        ),
        Misconception(
            "all prompts in one number",
            lambda ref, r, b: torch.logsumexp((ref.log() + r / b).flatten(), 0),
            "one sum over all prompts: each prompt has a Z of its own",
        ),
    ),
    hints=(
        "Z is the sum of the tilted weights. For β = 0.001 it has 1,300 digits; its "
        "logarithm is a harmless number. Never form Z.",
        "log Σ e^a has a function of its own in torch. What is a, if e^a is to be "
        "π_ref · e^{r/β}?",
        "`torch.logsumexp` of `ref.log()` plus the rewards divided by beta, over the "
        "last dimension.",
    ),
)


def _draws(draw: Draw, ref: list[float], rewards: list[float], n: int) -> Call:
    return Call((draw.tensor(ref), draw.tensor(rewards), n))


def _random_draws(draw: Draw, answers: int, n: int) -> Call:
    return Call((_policies(draw, answers), draw.integers(0, 3, answers), n))


def _parts(ref, rewards):
    """π_ref of all worse answers, and of all equally good ones."""
    below = (rewards < rewards[:, None]).to(ref) @ ref
    level = (rewards == rewards[:, None]).to(ref) @ ref
    return below, level


def _no_subtraction(ref, rewards, n):
    below, level = _parts(ref, rewards)
    return (below + level) ** n


def _every_tie_wins(ref, rewards, n):
    below, level = _parts(ref, rewards)
    return (below + level) ** n - below**n


def _ties_even(ref, rewards, n):
    best = _every_tie_wins(ref, rewards, n)
    members = (rewards == rewards[:, None]).to(ref).sum(-1)
    return best / members


def _ties_by_place(ref, rewards, n):
    order = rewards.argsort(stable=True)
    reached = ref[order].cumsum(0)
    best = reached**n - (reached - ref[order]) ** n
    return torch.zeros_like(ref).scatter(0, order, best)


def _ties_apart(ref, rewards, n):
    below, _ = _parts(ref, rewards)
    return (below + ref) ** n - below**n


def _no_support(ref, rewards, n):
    _, level = _parts(ref, rewards)
    return ref * _every_tie_wins(ref, rewards, n) / level


_BEST_OF_N = Exercise(
    number="2.5",
    title="The best of n draws",
    reference=best_of_n,
    checks=(
        Check(
            "one probability for each answer, and they sum to 1",
            lambda draw: [
                _draws(draw, [0.5, 0.5], [1, 0], 2),
                _draws(draw, [0.5, 0.25, 0.25], [1, 3, 2], 3),
            ],
            "be a tensor like ref whose entries are not negative and sum to 1",
            lambda call, yours, ours, near: (
                returns_like(call, yours, ours, near)
                and _rows_sum_to_one(yours, near)
                and min(yours.numbers) >= -near
            ),
        ),
        Check(
            "the reference itself for n = 1",
            lambda draw: [
                _draws(draw, [0.5, 0.5], [1, 0], 1),
                _draws(draw, [0.7, 0.2, 0.1], [0, 2, 1], 1),
            ],
            value_of,
        ),
        Check(
            "¾ for the better of two even answers, n = 2",
            lambda draw: [
                _draws(draw, [0.5, 0.5], [1, 0], 2),
                _draws(draw, [0.5, 0.5], [-7, 20], 2),
            ],
            "give ¾ to the better one: it loses only if both draws miss it",
        ),
        Check(
            "ties are shared as the reference shares them",
            lambda draw: [
                _draws(draw, [0.25, 0.75], [1, 1], 2),
                _draws(draw, [0.5, 0.125, 0.375], [0, 1, 1], 3),
            ],
            lambda call, ours: (
                f"{value_of(call, ours)}: the first of the best draws is kept"
            ),
        ),
        Check(
            "0 where the reference is 0",
            lambda draw: [
                _draws(draw, [0.5, 0.5, 0.0], [0, 1, 2], 2),
                _draws(draw, [0.0, 1.0], [0, 1], 4),
            ],
            value_of,
        ),
        Check(
            "right on fresh random references with ties among the rewards",
            lambda draw: [
                _random_draws(draw, answers, n)
                for answers, n in ((2, 3), (5, 4), (7, 16))
            ],
            "be F(r)^n − F(r⁻)^n for each level of reward, shared as the reference "
            "shares the level",
        ),
    ),
    misconceptions=(
        Misconception(
            "none better, and nothing subtracted",
            _no_subtraction,
            "the chance that no draw is better: subtract the chance that all draws are "
            "worse",
        ),
        Misconception(
            "drawn at least once",
            lambda ref, r, n: 1 - (1 - ref) ** n,
            "the chance that an answer is among the draws: a better one may be there "
            "too",
        ),
        Misconception(
            "the reference sharpened",
            lambda ref, r, n: ref**n / (ref**n).sum(),
            "ref to the power n: that prefers what is frequent, whatever its reward",
        ),
        Misconception(
            "the reward sharpened",
            lambda ref, r, n: torch.softmax(ref.log() + n * r, -1),
            "a tilt with β = 1/n: close to best-of-n, yet another policy",
        ),
        Misconception(
            "the worst of n",
            lambda ref, r, n: best_of_n(ref, -r, n),
            "the worst draw: keep the one with the highest reward",
        ),
        Misconception(
            "always the best",
            lambda ref, r, n: F.one_hot(r.argmax(), len(r)).to(ref),
            "the best answer of all: it is kept only if it is drawn",
        ),
        Misconception(
            "every tie wins",
            _every_tie_wins,
            "the whole level's chance for each of its answers: they share it",
        ),
        Misconception(
            "ties shared evenly",
            _ties_even,
            "a level shared evenly: among equally good draws the first is kept, and it "
            "is whichever the reference draws more often",
        ),
        Misconception(
            "ties broken by position",
            _ties_by_place,
            "ties that the position in the list decides: equal rewards are one level",
        ),
        Misconception(
            "ties looked at alone",
            _ties_apart,
            "each answer set against the worse ones alone: its equals are forgotten",
        ),
        Misconception(
            "0 divided by 0",
            _no_support,
            "a level that the reference never gives, shared by dividing 0 by 0",
        ),
    ),
    hints=(
        "Ask for a whole level of reward first. The best draw is at this level if no "
        "draw is above it and not all are below it.",
        "With `below`, the reference's mass of worse answers, and `level`, that of "
        "equally good ones: (below + level)^n − below^n. An answer's share of it is "
        "ref / level.",
        "`(rewards < rewards[:, None]).to(ref) @ ref` gives `below`, with == it gives "
        "`level`. Where ref is 0 the answer is 0: torch.where.",
    ),
)

EXERCISES = (_KL, _OBJECTIVE, _OPTIMAL, _LOG_Z, _BEST_OF_N)
