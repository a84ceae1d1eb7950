"""What may be answered in the clinic, and how one thing is told from another."""

import re
from itertools import starmap
from typing import NamedTuple

from course_lib.exercises.recipe import sentences

__all__ = ["AILMENTS", "EXPERIMENTS", "Ailment", "told_apart"]

EXPERIMENTS = {  # name: what is done, and what it decides
    "read answers": "Read twenty answers from before training and twenty from after.",
    "cut the rate": "Repeat the first thirty steps with a tenth of the learning rate.",
    "raise the rate": "Repeat the first thirty steps with ten times the learning rate.",
    "print the settings": "Print β and the count of parameters that need a gradient.",
    "watch one weight": (
        "Print one weight of policy and reference, before and after a few steps."
    ),
    "score with both": "Score eight pairs with policy and reference before training.",
    "decode the mask": "Decode the counted tokens of one pair, both sides.",
    "count the pairs": (
        "Count the distinct pairs, and choose the step by held-out loss."
    ),
    "try honest pairs": (
        "Measure the accuracy on pairs whose answers are both plausible."
    ),
    "label again": "Have fifty pairs labelled again, and count the agreements.",
    "score own answers": (
        "Score answers that the reference itself samples, beside the data's."
    ),
    "sample and measure": "Sample from both models: KL, entropy and reward.",
    "recompute a batch": (
        "Compute the loss of one batch by hand from its pairs' margins."
    ),
}


class Ailment(NamedTuple):
    """One thing that a run may have.

    runs: the shipped runs that have it; their logs cannot be told apart any further
    sign: what the six panels show
    experiment: of EXPERIMENTS, the one that settles it
    """

    runs: tuple[str, ...]
    sign: str
    experiment: str


def _ailment(head: str, sign: str) -> tuple[str, Ailment]:
    """From its name, the runs that have it and the experiment."""
    name, runs, experiment = re.split("[:;] ", head)
    return name, Ailment(tuple(runs.split(", ")), sign, experiment)


_AILMENTS = """
healthy: healthy, healthy_some_noise, healthy_large_beta; read answers
    loss and held-out loss fall together from ln 2, rewards start at 0 and part, and
    log-probabilities move by a nat or two
rate too high: rate_too_high; cut the rate
    the loss goes above ln 2 in the first rows while both rewards fall off a cliff, and
    later rows only climb back
rate too low: rate_too_low, warmup_too_long; raise the rate
    the gradient is as large as in a healthy run, yet rewards are thousandths
no gradient: beta_zero, frozen_policy; print the settings
    loss ln 2, rewards 0 and gradient 0 in every row, over log-probabilities that are
    sound and differ between the sides
reference is the policy: shared_reference; watch one weight
    loss ln 2 and rewards 0 in every row, beside a gradient that is not 0 and
    log-probabilities that run away
moving reference: moving_reference; watch one weight
    rewards come back to 0 again and again while log-probabilities keep falling
wrong reference: wrong_reference; score with both
    rewards are above 0 in the very first row, where policy and reference should be one
    model
no reference: no_reference; score with both
    rewards in the first row are far below 0, and β times the log-probabilities
nothing counted: empty_mask; decode the mask
    loss ln 2, rewards 0 and gradient 0, and log-probabilities that are exactly 0
equal answers: equal_sides; decode the mask
    loss ln 2 and gradient 0, and both sides have the same log-probability in every row
too few pairs: over_optimised, memorised, unbounded_gap; count the pairs
    the training loss goes on falling while the held-out loss stays far above it, often
    above ln 2
trivial pairs: trivial_pairs; try honest pairs
    the accuracy is nearly 1 within a few steps on training and held-out pairs alike,
    and rejected answers start many nats below the chosen ones
noisy labels: label_noise; label again
    the gradient is healthy and rewards do move, by hundredths and together, while loss
    and accuracy stay near ln 2 and one half
foreign answers: off_policy; score own answers
    log-probabilities are near −11 from the first row on, where this reference gives its
    own answers −3 or −4, and little is learnt
displacement: likelihood_displacement; sample and measure
    chosen and rejected answers both lose three nats or more, a reward is a tenth of
    that, and the margin looks fine
beta too small: beta_too_small; print the settings
    rewards and margin are hundredths although log-probabilities fall by many nats: a
    reward is a hundredth of a move
beta too large: beta_too_large; print the settings
    the gradient norm is twenty times the usual one, and held-out log-probabilities
    stand still while rewards are tenths
summed loss: loss_summed; recompute a batch
    the loss begins at 4 ln 2 = 2.77 with rewards of 0, and falls in step with the
    margins
hidden term: hidden_nll; recompute a batch
    the loss begins far above ln 2 with rewards of 0, at no multiple of it, and hardly
    falls although the margin grows
partial batch: partial_batch; recompute a batch
    every third row jumps, accuracies of thirds among them, and the gradient does not
"""
AILMENTS = dict(starmap(_ailment, sentences(_AILMENTS)))

# Two that are taken for each other: why, and what tells them apart
_ALIKE = """
no gradient, reference is the policy
    Both keep the loss at ln 2 and the rewards at 0. Look at the gradient norm: a frozen
    run has none, while a reference that moves along leaves it large.
no gradient, nothing counted
    Both have loss ln 2 and gradient 0. Look at the log-probabilities: an answer of
    which nothing is counted has exactly 0 nats.
no gradient, equal answers
    Both have loss ln 2 and gradient 0. Look at the log-probabilities of the two sides:
    equal answers lie on one line.
equal answers, nothing counted
    In both, the two sides have the same log-probability. It is 0 only where nothing is
    counted.
no gradient, rate too low
    Both look stuck at ln 2. Look at the scale: thousandths are not 0, and a gradient
    that is not 0 needs a rate, not a repair.
rate too low, noisy labels
    Both stay near ln 2. Look at the rewards: at too low a rate they are thousandths;
    with noisy labels they move by hundredths or more, and go nowhere.
noisy labels, foreign answers
    Both learn little at a healthy gradient. Look at the log-probabilities of the first
    row: foreign answers are many nats less likely than the reference's own.
beta too small, rate too low
    Both have tiny rewards. Divide them by the move of the log-probabilities: at too low
    a rate nothing moves, at too small a β everything does.
beta too small, displacement
    In both, the two log-probabilities fall by many nats. Divide a reward by its move:
    that is β, a tenth here and a hundredth there.
displacement, healthy
    Margin and accuracy look alike. Look at the scale of the log-probabilities: a
    healthy run moves the chosen answers by a nat at most.
displacement, moving reference
    In both, log-probabilities drift far down. Look at the rewards: a fixed reference
    keeps the account, a moving one wipes it clean again and again.
beta too large, rate too high
    Both push the loss above ln 2 at first. Look at log-probabilities and gradient: too
    high a rate throws them down by nats; too large a β hardly moves them, at twenty
    times the usual gradient.
rate too high, healthy
    Both end at much the same loss. Look at the first thirty steps: a healthy run has no
    cliff in its rewards.
wrong reference, no reference
    In both, the first rewards are not 0. Look at their sign, and divide by the
    log-probabilities: without a reference the ratio is β for both sides.
too few pairs, trivial pairs
    In both, the training loss goes down fast. Look at the diamonds: trivial pairs are
    as easy when held out.
too few pairs, healthy
    The training curves look alike, or better. Look at the diamonds: the held-out loss
    does not follow.
summed loss, hidden term
    Both begin above ln 2 with rewards of 0. Divide the first loss by ln 2: a whole
    number means a sum. What is added instead stays when the margin grows.
partial batch, healthy
    All rows of a small batch are noisy. Look for a rhythm: a partial batch comes back
    at equal distances, with accuracies of thirds.
"""
ALIKE = {tuple(pair.split(", ")): says for pair, says in sentences(_ALIKE)}


def told_apart(named: str, truth: str) -> str:
    """Why one thing is taken for the other, and what tells them apart.

    >>> told_apart("healthy", "too few pairs")[-48:]
    'the diamonds: the held-out loss does not follow.'
    """
    for pair in ((named, truth), (truth, named)):
        if pair in ALIKE:
            return ALIKE[pair]
    signs = [AILMENTS[name].sign for name in (named, truth)]
    return f"With “{named}”, {signs[0]}. Here {signs[1]}."
