"""Failures whose cause is in the code: which reference, which tokens, which digits."""

from course_lib.failures.plan import CALM, STUCK, Failure, Truth

__all__ = ["FAILURES"]

UNSEEN = Truth(("healthy", "likelihood_displacement_mild"), CALM)
LOOKS_FINE = Truth(
    ("healthy", "likelihood_displacement_mild", "bf16_rounding", "dropout_on"),
    (*CALM, "suspicious"),
)
NOISY = LOOKS_FINE._replace(classes=(*LOOKS_FINE.classes, "wrong_reference"))
FOREIGN = ("wrong_reference", "reference_free_loss", "over_optimised")
STILL = ("no_signal", "frozen_policy")
MOVING = ("ref_equals_policy", "wrong_reference", "likelihood_displacement")
MOVING += ("over_optimised", "lr_too_low", "no_signal", "too_early")
MOVING += ("inconsistent_metrics",)

FAILURES = {
    "wrong_reference": Failure(
        {"reference": "uniform"},
        what="a reference that gives every word alike",
        cause="The reference is another model than the policy started from; here one "
        "to which every next word is as likely as any other.",
        cure="Load both from one checkpoint, and score eight pairs with both before "
        "training: they must agree.",
        look="Rewards are not 0 in the first row; the policy is then held to the other "
        "model, so KL and entropy rise.",
        number="first chosen",
        truth=Truth(FOREIGN, STUCK),
    ),
    "sister_reference": Failure(
        {"reference": "other"},
        what="a reference trained on longer sentences",
        cause="The reference is a sister of the policy's start: same family, trained "
        "on longer sentences.",
        cure="As for any wrong reference: score eight pairs with both models.",
        look="Rewards are near 0 in the first row, and not 0; so the accuracy, in "
        "which ties are lost, is not 0 either. Later rows show nothing.",
        number="first accuracy",
        truth=Truth(
            ("wrong_reference", "bf16_rounding", "dropout_on", "healthy"),
            (*STUCK, *CALM),
        ),
    ),
    "no_reference": Failure(
        {"reference": "none"},
        what="no reference in the loss",
        cause="The loss has no reference: rewards are β times the log-probability.",
        cure="Set the reference, or use a loss that is meant to have none.",
        look="Rewards in the first row are β times the logged log-probabilities.",
        number="first chosen",
        truth=Truth(("reference_free_loss", "wrong_reference", "not_dpo_loss"), STUCK),
    ),
    "moving_reference": Failure(
        {"reference": "moving"},
        what="the reference copies the policy every ten steps",
        cause="Every ten steps the reference takes the policy's weights.",
        cure="Freeze it; if you want it to move, say so and watch KL to the first one.",
        look="Rewards fall back to 0 again and again, so they stay small, while "
        "log-probabilities drift without end.",
        number="end kl",
        truth=Truth(("moving_reference", *MOVING), STUCK),
    ),
    "shared_reference": Failure(
        {"reference": "shared"},
        what="reference and policy are one object",
        cause="Reference and policy are one object: whatever moves, the ratio is 1.",
        cure="Copy the model before you train it.",
        look="Loss ln 2 and rewards 0 in every row, yet the gradient is not 0 and the "
        "log-probabilities fall: the policy runs off unseen.",
        number="end kl",
        truth=Truth(("ref_equals_policy", "frozen_policy"), STUCK),
    ),
    "frozen_policy": Failure(
        {"frozen": True},
        what="no parameter learns",
        cause="No gradient reaches the policy, as with adapters loaded for inference.",
        cure="Count the parameters that require a gradient, and see one matrix change.",
        look="Loss ln 2, rewards 0 and gradient 0 in every row; log-probabilities "
        "differ only as batches do.",
        number="late grad_norm",
        truth=Truth(("frozen_policy",), STUCK),
    ),
    "empty_mask": Failure(
        {"logps": "unmasked"},
        what="no token is counted",
        cause="No token is counted, because the chat template was not recognised.",
        cure="Count the tokens under the mask, for each example.",
        look="Loss ln 2, gradient 0, and log-probabilities that are exactly 0: an "
        "answer of no tokens is certain.",
        number="first chosen_logps",
        truth=Truth(("empty_mask", "frozen_policy", "inconsistent_metrics"), STUCK),
    ),
    "mean_for_sum": Failure(
        {"logps": "mean"},
        what="log-probs averaged over tokens",
        cause="Log-probabilities are averaged over tokens, with a β meant for sums.",
        cure="Sum them; or keep means and multiply β by a typical length.",
        look="Log-probabilities are those of a token; at the same margin the policy is "
        "much farther from the reference.",
        number="end kl",
        truth=Truth(
            (*UNSEEN.classes, "not_dpo_loss", "likelihood_displacement"),
            (*CALM, "suspicious"),
        ),
    ),
    "dropout_policy": Failure(
        {"dropout": 0.1},
        what="dropout in the policy",
        cause="Dropout is on in the policy, so it is not the reference's equal even "
        "before the first update.",
        cure="Set dropout to 0 in both models.",
        look="Rewards in the first row scatter around 0 instead of being 0. The end of "
        "the run hardly differs.",
        number="first accuracy",
        truth=NOISY,
    ),
    "dropout_reference": Failure(
        {"ref_dropout": 0.1},
        what="dropout in the reference",
        cause="The reference was left in training mode: its answers are noisy.",
        cure="Put the reference into evaluation mode, and compute it once.",
        look="Rewards in the first row scatter around 0 instead of being 0. The end of "
        "the run hardly differs.",
        number="first accuracy",
        truth=NOISY,
    ),
    "bf16_logps": Failure(
        {"logps": "bfloat16"},
        what="the policy’s log-probs in 16 bits",
        cause="The policy's log-probabilities have 8 bits, those of the reference "
        "more.",
        cure="Take the log-softmax in 32 bits, and both models in one precision.",
        look="The first rewards are near 0 instead of 0, on a grid.",
        number="first accuracy",
        truth=LOOKS_FINE,
    ),
    "bf16_weights": Failure(
        {"weights": "bfloat16", "lr": 1e-4},
        what="weights in 16 bits, at a low rate",
        cause="Weights are stored in 16 bits, and an update smaller than half their "
        "last digit is lost.",
        cure="Keep weights or the optimiser's copy in 32 bits; a larger rate hides it.",
        look="The gradient is sound and the loss does not move, while the same rate "
        "works in 32 bits.",
        number="end eval_loss",
        truth=Truth(
            ("bf16_rounding", "lr_too_low", "too_early", *STILL, "healthy"),
            (*CALM, *STUCK),
        ),
        beside="low_rate",
    ),
    "loss_summed": Failure(
        {"logs": "summed"},
        what="loss printed as a sum of four steps",
        cause="The printed loss is summed over four accumulation steps.",
        cure="Divide by the number of steps; upgrade the trainer.",
        look="The loss starts at 4 ln 2 with rewards of 0; all else is healthy.",
        number="first loss",
        truth=Truth(("metric_artifact_loss_scale",), (*STUCK, *CALM)),
    ),
    "one_rank": Failure(
        {"logs": "one rank"},
        what="one of eight processes prints",
        cause="The first of eight processes prints the numbers of its own eight pairs.",
        cure="Average metrics over processes before you print them.",
        look="The accuracy moves in eighths, and the loss scatters about twice as "
        "widely as that of the whole batch; the gradient norm, which is shared, does "
        "not.",
        number="spread loss",
        truth=Truth((*UNSEEN.classes, "metric_artifact_accuracy"), (*CALM, *STUCK)),
    ),
    "partial_batch": Failure(
        {"logs": "last batch"},
        what="a last batch of three pairs",
        cause="The last batch of an epoch holds three pairs and is printed like any "
        "other.",
        cure="Drop it, or weigh each row by its pairs.",
        look="At equal distances a row jumps: an accuracy of thirds, a loss far off.",
        number="spread accuracy",
        truth=Truth((*UNSEEN.classes, "metric_artifact_accuracy"), (*CALM, *STUCK)),
    ),
}
