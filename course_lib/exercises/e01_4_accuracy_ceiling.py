"""Exercise 1.4: The ceiling that noise puts on accuracy."""

from course_lib.preferences import accuracy_ceiling
from .spec import Exercise, fresh, given, kind, uniform, value

STEPS = """
p:
other = 1 - p  # 1 − p
best = torch.maximum(p, other)  # the chance of the likelier answer
ceiling = best.mean()  # the mean
"""
FAULTS = """
mean probability: ceiling = p.mean()
    the mean of p: the best guess is the second answer wherever p < ½
larger of the means: ceiling = torch.maximum(p.mean(), 1 - p.mean())
    one guess for all pairs: a model may choose anew for each pair
agreement of two draws: best = p**2 + other**2
    how often two labels drawn for a pair agree: p² + (1 − p)². The best guess does
    better than a second draw
1 less the variance: best = 1 - p * other
    1 − p (1 − p), where p (1 − p) is a label's variance: the best guess is wrong with
    the smaller of p and 1 − p
certainty in nats: best = exp(xlogy(p, p) + xlogy(other, other))
    e to minus the entropy: how sure a label is, not how often the best guess is right
always right: best = torch.ones_like(p)
    1 for every pair: who names the likelier answer is still wrong whenever the label
    fell the other way
advantage over a coin: best = (2 * p - 1).abs()
    how much better than a coin the best guess is, |2p − 1|: at p = ½ a guess is still
    right half of the time
worst accuracy: best = torch.minimum(p, other)
    how often the best guess is *wrong*: the smaller of p and 1 − p
unreduced: ceiling = best
    a ceiling for each pair: the accuracy of a data set is their mean
rounded: best = (p > 0.5).to(p.dtype)
    how often the first answer is the favourite, not how often the favourite wins
half for all below it: best = p.clamp(min=0.5)
    ½ wherever the first answer is less likely: the second one is right with 1 − p
the surest pair of one side: ceiling = p.max()
    the largest p alone: the accuracy of a data set is the mean over its pairs
the surest pair: ceiling = best.max()
    the surest pair alone: the accuracy of a data set is the mean over its pairs
sum in place of mean: ceiling = best.sum()
    a number of pairs: an accuracy is their share
mean, held at a half: ceiling = p.mean().clamp(min=0.5)
    the mean of p, held at ½: guess anew for each pair, the likelier answer
"""
CHECKS = (
    kind("one number for the whole batch", [given([0.8]), given(uniform(5))]),
    value(
        "1 when every label is certain, either way", [given([1.0]), given([0.0, 1.0])]
    ),
    value(
        "one half when every label is a coin", [given([0.5]), given([0.5, 0.5, 0.5])]
    ),
    value(
        "0.9 for a pair that is 9 : 1, whichever answer stands first",
        [given([0.9]), given([0.1])],
    ),
    fresh(
        "equal the mean of the larger of p and 1 − p",
        [given(uniform(n)) for n in (2, 3, 9)],
    ),
)
HINTS = """
You know p exactly and must name a winner for one pair. Which one, and how often are you
    right?
For one pair the best guess is right with the larger of p and 1 − p. Then average over
    pairs.
`torch.maximum(p, 1 - p).mean()`
"""
EXTREMES = (given([0.7, 0.0, 1e-12, 0.5, 1.0, 0.2]),)
EXERCISE = Exercise(__doc__, accuracy_ceiling, STEPS, FAULTS, CHECKS, HINTS, EXTREMES)
