"""Failures whose cause is in the pairs."""

from course_lib.failures.plan import CALM, STUCK, Failure, Truth

__all__ = ["FAILURES"]

WEAK = Truth(
    ("no_signal", "too_early", "overfit", "lr_too_low", "not_learning", "healthy"),
    ("suspicious", "inconclusive", "healthy_start", "healthy"),
)
UNSEEN = Truth(("healthy", "likelihood_displacement_mild", "length_confound"), CALM)
LEARNT_BY_HEART = Truth(
    ("memorised_tiny_data", "overfit", "over_optimised", "saturated"), STUCK
)
AT_ONCE = Truth((*LEARNT_BY_HEART.classes, "trivial_data", "too_fast"), STUCK)

FAILURES = {
    "unbounded_gap": Failure(
        {"data": "certain", "pairs": 64},
        what="64 pairs, no label in doubt",
        cause="Sixty-four pairs without a doubtful label can be separated, and then no "
        "finite gap minimises the loss.",
        cure="Stop at the best held-out loss, smooth the labels, or use IPO, whose "
        "target gap is finite; best of all, collect more pairs.",
        look="The training margin grows as long as you train, the loss goes to 0, and "
        "the margin on held-out pairs stays behind.",
        number="late margin",
        truth=AT_ONCE,
    ),
    "over_optimised": Failure(
        {"pairs": 200, "label_noise": 0.3},
        what="200 pairs, 30 % of the labels flipped",
        cause="Two hundred pairs with 30 % of the labels flipped: the policy learns "
        "the flips too.",
        cure="More pairs or cleaner ones. A larger β, smoothed labels or an early "
        "stop, chosen by the held-out loss, limit the damage and do not undo it.",
        look="The training loss falls while the held-out loss rises above ln 2; at the "
        "KL that was spent, a good policy would earn far more reward.",
        number="end shortfall",
        truth=LEARNT_BY_HEART,
    ),
    "length_bias": Failure(
        {"bonus": 0.5},
        what="annotators like long answers",
        cause="Annotators like long answers, half a point of reward a word more than "
        "the words are worth.",
        cure="Compare answers of equal length, or give annotators a rule; dividing the "
        "log-ratios by the length is no cure where the labels themselves prefer long "
        "answers.",
        look="The answers grow longer; the loss, the margin and the accuracy look as "
        "they should.",
        number="end length",
        truth=UNSEEN,
    ),
    "off_policy": Failure(
        {"sampler": "anything"},
        what="answers that the reference hardly ever gives",
        cause="The pairs come from another writer: answers that the reference would "
        "hardly ever give.",
        cure="Sample the pairs from the reference (or from the policy, in rounds), or "
        "train the reference on the chosen answers first.",
        look="Log-probabilities of the answers are far lower than those of the "
        "reference's own; the loss falls, yet what the policy itself says hardly gets "
        "better.",
        number="end reward",
        truth=Truth(
            (*WEAK.classes, "heavy_tail", "off_policy", "wrong_reference"),
            WEAK.statuses,
        ),
    ),
    "label_noise": Failure(
        {"label_noise": 0.4},
        what="40 % of the labels flipped",
        cause="Forty percent of the labels are flipped, so a label says little.",
        cure="Ask several annotators and keep agreements; tell the loss the flip rate; "
        "take more pairs and fewer epochs.",
        look="The accuracy stays near one half and the loss near ln 2, on training "
        "pairs as on held-out ones, while the gradient norm is of its usual size.",
        number="end eval_accuracy",
        truth=WEAK,
    ),
    "swapped_sides": Failure(
        {"data": "swapped"},
        what="chosen and rejected exchanged",
        cause="The columns of chosen and rejected are exchanged.",
        cure="Read ten pairs before you train, and ten samples after.",
        look="Nothing in the log: loss, margin and accuracy are those of a healthy run "
        "that learns the opposite. Only the answers tell.",
        number="end reward",
        truth=UNSEEN,
    ),
    "leaked": Failure(
        {"data": "leaked", "pairs": 500},
        what="the held-out pairs are trained on",
        cause="The held-out pairs are among the training pairs.",
        cure="Split by prompt before anything else, and search for duplicates.",
        look="The held-out accuracy is above the ceiling that noisy labels allow, and "
        "as good as the training accuracy.",
        number="end eval_accuracy",
        truth=UNSEEN._replace(classes=(*UNSEEN.classes, "leaked_data", "overfit")),
    ),
    "trivial_pairs": Failure(
        {"data": "gibberish"},
        what="every rejected answer is gibberish",
        cause="Every rejected answer is gibberish, so the pairs can be told apart "
        "without knowing what is good.",
        cure="Use pairs whose answers are both plausible, best from the same model.",
        look="The accuracy is 1 within a few steps and the loss near 0; on honest "
        "pairs the policy is no better than a coin.",
        number="late accuracy",
        truth=Truth(("trivial_data", "saturated", "overfit", "too_fast"), STUCK),
    ),
    "memorised": Failure(
        {"data": "copies", "pairs": 1_000},
        what="1,000 pairs, eight of them different",
        cause="A data set of a thousand pairs holds eight different ones.",
        cure="Count the distinct pairs; remove duplicates; stop after an epoch or two.",
        look="The training loss falls to 0 at an accuracy of 1, while the held-out "
        "loss rises above ln 2.",
        number="end eval_loss",
        truth=AT_ONCE,
    ),
    "equal_sides": Failure(
        {"data": "equal sides"},
        what="both answers are the same tokens",
        cause="Both answers of a pair are the same tokens, as after cutting two texts "
        "with one long beginning to a maximal length.",
        cure="Drop such pairs, or cut the prompt on its left.",
        look="The loss is ln 2 and the gradient 0 in every row, while both "
        "log-probabilities are equal.",
        number="late grad_norm",
        truth=Truth(("frozen_policy", "no_signal", "equal_sides"), STUCK),
    ),
    "prompt_counted": Failure(
        {"data": "same opening"},
        what="a part of the prompt is counted",
        cause="The mask counts a part of the prompt as if it were the answer.",
        cure="Look at the masked tokens of one example, decoded.",
        look="Nothing in the loss: the prompt is in both answers, so it cancels in the "
        "gap. The log-probabilities are lower, and both rewards drift together.",
        number="first chosen_logps",
        truth=UNSEEN,
        beside="prompt_not_counted",
    ),
    "end_left_out": Failure(
        {"data": "no end"},
        what="the end token is not counted",
        cause="The mask leaves the end token out, so no label says when to stop.",
        cure="Append one end token to each answer and see that the mask counts it; use "
        "another token for padding.",
        look="Nothing but log-probabilities a little too high, nor does the length of "
        "these short answers, which end by themselves after three words. Read samples "
        "and see whether they stop.",
        number="end length",
        truth=UNSEEN,
    ),
}
