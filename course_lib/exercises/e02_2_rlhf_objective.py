"""Exercise 2.2: What RLHF maximises."""

from course_lib.exercises.policies import EVEN, policy
from course_lib.exercises.spec import Exercise, given, learns, normal, rule, value
from course_lib.policies import expected_reward, kl_divergence, rlhf_objective


def _fresh(beta: float, *shape: int):
    return given(policy(*shape), policy(*shape), normal(*shape), beta)


EXERCISE = Exercise(
    number="2.2",
    title="What RLHF maximises",
    reference=rlhf_objective,
    checks=(
        learns(
            "one number for each prompt, with a gradient",
            [given(EVEN, [0.25, 0.75], [1, 0], 0.5), _fresh(0.5, 4, 3)],
        ),
        value(
            "the reference's expected reward, at no cost, for the reference itself",
            [
                given(EVEN, EVEN, [1, 0], 0.1),
                given([0.2, 0.3, 0.5], [0.2, 0.3, 0.5], [1, 2, -1], 2.0),
            ],
        ),
        rule(
            "the policy pays, the reference is compared with",
            "be −KL(policy‖ref) = −0.3681 where no answer earns anything",
            [given([0.9, 0.1], EVEN, [0, 0], 1.0)],
        ),
        rule(
            "1 − ln 2 for turning an even choice into a certain one, at β = 1",
            "be 1 − ln 2 = 0.3069: the reward minus the price of leaving the reference",
            [given([1.0, 0.0], EVEN, [1, 0], 1.0)],
        ),
        value(
            "β is the price of a nat",
            [given([1.0, 0.0], EVEN, [1, 0], beta) for beta in (0.1, 10.0)],
        ),
        rule(
            "right on fresh random worlds, values and gradients",
            "equal E[r] − β KL(policy‖ref) in every row, and so must its gradient",
            [_fresh(0.1, 2), _fresh(0.5, 5), _fresh(3.0, 3, 4)],
            gradient=True,
        ),
    ),
    misconceptions={
        "KL turned round": (
            lambda p, ref, r, b: expected_reward(p, r) - b * kl_divergence(ref, p),
            "KL(ref‖policy): the policy draws, so it stands first",
        ),
        "KL added": (
            lambda p, ref, r, b: expected_reward(p, r) + b * kl_divergence(p, ref),
            "a KL that is added: leaving the reference would be paid for",
        ),
        "β forgotten": (
            lambda p, ref, r, b: expected_reward(p, r) - kl_divergence(p, ref),
            "a leash without β: every nat costs 1, whatever β is",
        ),
        "β on the reward": (
            lambda p, ref, r, b: b * expected_reward(p, r) - kl_divergence(p, ref),
            "β times the reward: β is the price of a nat and stands before the KL",
        ),
        "divided by β": (
            lambda p, ref, r, b: expected_reward(p, r) - kl_divergence(p, ref) / b,
            "KL / β: a larger β must make the leash dearer",
        ),
        "reward of the reference": (
            lambda p, ref, r, b: expected_reward(ref, r) - b * kl_divergence(p, ref),
            "the reference's expected reward: the policy's answers are rewarded",
        ),
        "plain mean of the rewards": (
            lambda p, ref, r, b: r.mean(-1) - b * kl_divergence(p, ref),
            "a plain mean of the rewards: each counts as often as the policy gives it",
        ),
        "a loss": (
            lambda p, ref, r, b: -rlhf_objective(p, ref, r, b),
            "the objective with its sign turned, a loss: this one is to be maximised",
        ),
        "0 log 0 is not a number": (
            lambda p, ref, r, b: (p * r - b * p * (p / ref).log()).sum(-1),
            "0 · log 0, which a computer calls NaN: use torch.xlogy",
        ),
        "all prompts in one number": (
            lambda p, ref, r, b: rlhf_objective(p, ref, r, b).sum(),
            "one sum over all prompts: each prompt has an objective of its own",
        ),
    },
    hints=(
        "Two parts: what the policy earns on average, and what it pays for being "
        "another policy than the reference.",
        "The average is a sum of policy times rewards over the last dimension. The "
        "price is β times the KL of exercise 2.1, policy first.",
        "Sum `policy * rewards`, and subtract beta times the sum of "
        "`torch.xlogy(policy, policy) - torch.xlogy(policy, ref)`.",
    ),
)
