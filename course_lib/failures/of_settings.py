"""Failures whose cause is a number in the configuration, or a term in the loss."""

from course_lib.failures.plan import CALM, STUCK, Failure, Truth

__all__ = ["FAILURES"]

WEAK = Truth(
    ("lr_too_low", "too_early", "no_signal", "frozen_policy", "healthy"),
    ("suspicious", "inconclusive", "healthy_start"),
)
DRIFTS = ("likelihood_displacement", "likelihood_displacement_mild", "over_optimised")
EVERY = (*STUCK, *CALM)
PUZZLES = ("metric_artifact_loss_scale", "inconsistent_metrics")

FAILURES = {
    "likelihood_displacement": Failure(
        {"beta": 0.1},
        what="β = 0.1 (healthy: 0.5)",
        cause="The loss sees the gap alone: it is content when the chosen answer "
        "loses probability, as long as the rejected one loses more.",
        cure="Add a small NLL term on the chosen answers, or take a larger β; train "
        "the reference on the chosen answers first.",
        look="Both log-probabilities fall, the rejected one faster; the margin and the "
        "accuracy look fine. Reward need not fall: ask for it separately.",
        number="end eval_chosen_logps",
        truth=Truth((*DRIFTS, "healthy"), ("suspicious", "sick", "healthy")),
    ),
    "beta_too_small": Failure(
        {"beta": 0.01},
        what="β = 0.01 (healthy: 0.5)",
        cause="At this β a nat of drift costs almost nothing, so nothing holds the "
        "policy.",
        cure="Raise β until KL is what you can afford; choose it by reward at that KL.",
        look="Rewards and margins are tiny because they contain β; divide by it: the "
        "log-probabilities have moved by many nats, and entropy collapses.",
        number="end entropy",
        truth=Truth(
            (*DRIFTS, "lr_too_low", "too_early", "no_signal", "model_collapse"),
            ("suspicious", "sick", "inconclusive", "healthy_start", "healthy"),
        ),
    ),
    "beta_too_large": Failure(
        {"beta": 10.0},
        what="β = 10 (healthy: 0.5)",
        cause="At this β a tenth of a nat is a reward of one: the loss asks for a "
        "policy that hardly moves.",
        cure="Lower β; if gradients are clipped in each step, lower the rate too.",
        look="The gradient norm is far above the others' and above the clip, and the "
        "loss stays near ln 2 while log-probabilities stand still.",
        number="end reward",
        truth=Truth(("beta_too_large", "lr_too_high", "overfit", *WEAK.classes), EVERY),
    ),
    "beta_zero": Failure(
        {"beta": 0.0},
        what="β = 0",
        cause="With β at 0 the margin is 0, whatever the model does.",
        cure="Read β from the configuration that the run printed, and set it.",
        look="The loss is ln 2, and both rewards and the gradient are exactly 0.",
        number="late grad_norm",
        truth=Truth(("beta_zero", "frozen_policy"), STUCK),
    ),
    "rate_too_high": Failure(
        {"lr": 2e-2},
        what="learning rate 0.02 (healthy: 0.002)",
        cause="The learning rate is ten times what this model bears.",
        cure="Divide it by ten, and warm up.",
        look="The loss rises above ln 2 in the first rows; both rewards are far below "
        "0 and jump; KL is large and the answers decay into noise.",
        number="end kl",
        truth=Truth(
            ("lr_too_high", "too_fast", *DRIFTS, "overfit", "no_signal"), STUCK
        ),
    ),
    "rate_too_low": Failure(
        {"lr": 1e-5},
        what="learning rate 0.00001 (healthy: 0.002)",
        cause="The learning rate is a hundredth of what this model needs.",
        cure="Raise it tenfold until the loss moves within an epoch.",
        look="The gradient is sound, rewards are small but not 0, and the loss leaves "
        "ln 2 by less than its own noise.",
        number="end eval_loss",
        truth=WEAK,
    ),
    "warmup_too_long": Failure(
        {"warmup": 1_000_000},
        what="a warm-up longer than the run",
        cause="The warm-up is longer than the run, so the rate never leaves 0.",
        cure="Print the learning rate of each step; warm up for a tenth of the run.",
        look="The logged learning rate is almost 0 to the end, beside a gradient that "
        "is not.",
        number="end eval_loss",
        truth=WEAK._replace(statuses=(*WEAK.statuses, "sick")),
    ),
    "hidden_nll": Failure(
        {"nll_weight": 1.0},
        what="an NLL term in the loss, not logged",
        cause="The loss holds an NLL term on the chosen answers that nobody mentions.",
        cure="Log the terms apart; judge DPO by its own.",
        look="At the first step the loss is ln 2 plus something, though rewards are 0; "
        "KL stays small because the term holds the policy.",
        number="first loss",
        truth=Truth(("mixed_loss_nll", "not_dpo_loss", *PUZZLES), EVERY),
    ),
    "hidden_smoothing": Failure(
        {"label_smoothing": 0.2},
        what="label smoothing of 0.2, not mentioned",
        cause="The loss believes that a fifth of the labels are wrong; nobody "
        "mentions it.",
        cure="Print the configuration. Keep it if labels are as noisy as that.",
        look="The loss is higher than the margins explain, log(1 + e^−m), and could "
        "never fall below the entropy of a fifth, 0.5 nats.",
        number="end eval_loss",
        truth=Truth(
            ("mixed_loss_label_smoothing", "inconsistent_metrics", "healthy"), EVERY
        ),
    ),
}
