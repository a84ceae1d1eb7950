"""Exercise 8.1: The least loss that a row allows."""

import math

from course_lib.metrics import least_loss
from .spec import Exercise, Recipe, builder, fresh, given, kind, rule, value, words

_fresh = builder(
    lambda inputs, count: (
        inputs.normal(count, scale=2),
        0.1 + 0.8 * inputs.uniform(count),
    )
)


STEPS = """
m a:
share = where(m > 0, a, 1 - a)  # the share that carries the mean
z = m / share  # the margin of those that carry it
each = -logsigmoid(z)  # the loss of those that carry it
rest = 1 - share  # the share of the others
least = share * each + rest * LN2  # the least loss
"""
FAULTS = """
margin alone: least = -logsigmoid(m)
    the bound of the mean margin alone: it lets every pair have the same margin, and an
    accuracy below 1 forbids that
accuracy alone: least = (1 - a) * LN2
    the bound of the accuracy alone, in which the pairs that are right cost nothing:
    their margin would have to be infinite
the larger of two: least = torch.maximum(-logsigmoid(m), (1 - a) * LN2)
    the larger of two bounds: both are true, and yet no pairs reach it. Use the margin
    and the accuracy together
the right pairs always carry: share = a
    lets the pairs that are right carry the mean even where it is below 0: there the
    others carry it
the wrong pairs always carry: share = 1 - a
    lets the pairs that are wrong carry the mean even where it is above 0: there the
    pairs that are right carry it
the larger group carries: share = where(a > 0.5, a, 1 - a)
    the larger group as the one that carries the mean: its sign decides, and a few large
    margins can make it positive at an accuracy of 30 %
as far on both sides: least = -a * logsigmoid(m / (2 * a - 1))
        - (1 - a) * logsigmoid(-m / (2 * a - 1))
    wrong pairs as far below 0 as right ones above: nothing says so, and they cost least
    where they are nearest to 0
the other group carries: share = where(m > 0, 1 - a, a)
    the group on the wrong side of 0: a mean above 0 can only be carried by pairs whose
    margin is above 0
nothing over nothing: share = where(m >= 0, a, 1 - a)
    0 divided by 0 where margin and accuracy are both 0, as in the first row of every
    log: there each pair costs ln 2
the mean as their margin: z = m
    the mean margin for the margin of those that carry it: the others add 0, so theirs
    is larger
times the share: z = m * share
    the mean margin times the share: if a share s has margin z and the rest 0, the mean
    is s z
the others are free: least = share * each
    no loss for the other pairs: at a margin of 0 a pair still costs ln 2
the others cost a nat: least = share * each + rest
    a loss of 1 at a margin of 0: there it is −log σ(0) = ln 2
the groups weigh the same: least = (each + LN2) / 2
    a plain mean of two losses: weigh each by its share of the pairs
rejected minus chosen: each = -logsigmoid(-z)
    −log σ(−z), the loss of the opposite order: a larger margin costs less
for the whole log: least = (share * each + rest * LN2).mean()
    one number for the whole log: each row has its own bound
divided by the wrong share: z = m / share; least = where(m > 0,
        share * each + rest * LN2, a * -logsigmoid(m / (1 - a)) + (1 - a) * LN2)
    below 0 the *wrong* pairs carry the mean, and the right ones stay at 0 and pay ln 2:
    the two shares are exchanged there
sum of two: least = -logsigmoid(m) + (1 - a) * LN2
    two bounds added: each is true, and their sum need not be
accuracy for the rest: least = torch.maximum(-logsigmoid(m), a * LN2)
    the accuracy where its rest belongs: it is the wrong pairs that cost ln 2 or more
the mean on both sides: least = -a * logsigmoid(m) - (1 - a) * logsigmoid(-m)
    right pairs at the mean margin and wrong ones at minus it: then the mean is another
"""
CHECKS = (
    kind(
        "one bound for each row",
        [given([1.0], [1.0]), given([1.0, -1.0, 0.5], [0.5, 0.5, 0.75])],
    ),
    value(
        "where every pair is right, the bound of the mean margin",
        [given([1.0], [1.0]), given([3.0, 0.2], [1.0, 1.0])],
    ),
    rule(
        "half of the pairs right, and a mean margin of 2",
        words("be {0:.4f}: right pairs at one margin, the others as cheap as can be"),
        [given([2.0], [0.5])],
    ),
    rule(
        "a mean margin below 0",
        "be what it costs when the pairs that are wrong carry all of it",
        [given([-2.0], [0.5]), given([-1.0], [0.75])],
    ),
    value(
        "ln 2 in the first row of a log: all margins 0, and none above it",
        [given([0.0], [0.0])],
    ),
    fresh(
        "be the least mean of −log σ(m) over all pairs with this mean and this "
        "share above 0",
        map(_fresh, (1, 4, 7)),
    ),
)
HINTS = """
−log σ is convex: among the pairs above 0 the cheapest way is one margin for all, and
    among the others too. So there are two margins to choose, not n.
Without the accuracy both would be the mean. A mean above 0 is out of reach for the
    pairs that are wrong: they come as near as they may, to 0, and the others carry the
    mean. Below 0 it is the other way round.
With `share = torch.where(margin > 0, accuracy, 1 - accuracy)` the carrying pairs have
    margin / share, and the rest cost ln 2 each.
"""
EXTREMES = (given([5000.0, -5000.0, 0.3], [0.5, 0.25, 0.9]),)
EXERCISE = Exercise(
    __doc__, least_loss, Recipe(STEPS, LN2=math.log(2)), FAULTS, CHECKS, HINTS, EXTREMES
)
