"""Exercise 8.4: The win rates that a sample does not refute."""

import torch

from course_lib.metrics import wilson_interval
from .spec import Exercise, Recipe, fresh, given, integers, kind, uniform, value


def _plain(share, count, z):
    spread = z * (share * (1 - share) / count).sqrt()
    return torch.stack([share - spread, share + spread], -1)


def _shrunk(share, count, z):
    more = count + z * z
    return _plain((share * count + z * z / 2) / more, more, z)


def _arcsine(share, count, z):
    angle, width = torch.asin(share.sqrt()), z / (2 * count.sqrt())
    ends = (angle - width).clamp(min=0), (angle + width).clamp(max=torch.pi / 2)
    return torch.stack([end.sin() ** 2 for end in ends], -1)


def _repeated(share, count, z, turns=200):
    low = high = share
    for _ in range(turns):
        low = (share - z * (low * (1 - low) / count).sqrt()).clamp(min=0)
        high = (share + z * (high * (1 - high) / count).sqrt()).clamp(max=1)
    return torch.stack([low, high], -1)


STEPS = """
p n z:
extra = z * z / n  # z²/n
centre = p + extra / 2  # the centre, before it is divided
spread = sqrt(extra * (p * (1 - p) + extra / 4))  # half the width, likewise
ends = stack([centre - spread, centre + spread], -1)  # both ends, likewise
interval = ends / (1 + extra).unsqueeze(-1)  # the interval
"""
FAULTS = """
the sample's own error: interval = plain(p, n, z)
    ŵ ± z √(ŵ (1 − ŵ)/n), which puts ŵ under the root: the error belongs to the true
    rate w. Four wins of four would leave no doubt at all
the same, cut off: interval = plain(p, n, z).clamp(0, 1)
    ŵ ± z √(ŵ (1 − ŵ)/n), cut at 0 and 1: the error belongs to the true rate w, so the
    ends are found from an equation
most doubtful rate: interval = plain(0 * p + 0.5, n, z) + p[..., None] - 0.5
    ŵ ± z/(2√n), the error of a rate of ½: each w has an error of its own
around a shrunk share: interval = shrunk(p, n, z)
    a plain interval around (ŵ + z²/2n)/(1 + z²/n), after Agresti and Coull: it is
    close, and wider. Solve the equation itself
high before low: ends = stack([centre + spread, centre - spread], -1)
    the high end first: low comes before high
not divided: interval = ends
    centre and spread before they are divided by 1 + z²/n, the factor of w² in the
    equation
centre not moved: centre = p
    an interval around ŵ: the equation's linear term moves the centre to ½
one error: extra = 1 / n
    one standard error: z of them are allowed
z for its square: extra = z / n
    z/n where z²/n belongs: the inequality is squared, z with it
count forgotten: extra = z * z + 0 * n
    an interval that does not shrink: the error of a share falls with √n
count squared: extra = z * z / n**2
    an error that falls with n: the error of a share falls with √n
one end: interval = (ends / (1 + extra)[..., None])[..., 0]
    the low end alone: asked are both
spread not divided: interval = (centre / (1 + extra))[..., None]
        + stack([-spread, spread], -1)
    only the centre divided by 1 + z²/n: the whole solution is, the spread too
share for the rate, again and again: interval = repeated(p, n, z)
    the rate put back into its own error until it rests: at a share of 0 or 1 it rests
    at once. Square the inequality and solve for w
spread without its last part: spread = sqrt(extra * p * (1 - p))
    a spread of 0 at ŵ = 1: squaring leaves a z²/4n under the root
arcsine: interval = arcsine(p, n, z)
    the arcsine interval: a good approximation, and not the set that is asked for. Solve
    the equation itself
one turn: interval = repeated(p, n, z, 2)
    the rate put back into its own error once: near, and not the solution. Square the
    inequality and solve for w
a factor of n missing: spread = z * sqrt(p * (1 - p) / n + extra / 4)
    z²/4n under the root, where z²/4n² belongs, beside ŵ (1 − ŵ)/n
centre not divided: interval = centre[..., None]
        + stack([-spread, spread], -1) / (1 + extra)[..., None]
    only half the width divided by 1 + z²/n: the whole solution is, the centre too
Agresti and Coull: interval = plain((p * n + 2) / (n + 4), n + 4, z)
    two wins and two losses added, as Agresti and Coull do: that approximates the
    interval at z = 2, and may leave 0 to 1
stacked in front: interval = stack([centre - spread, centre + spread]) / (1 + extra)
    the ends in front: one row is to hold both ends of a share, stack along the last
    dimension
"""
CHECKS = (
    kind(
        "low and high for each share",
        [given([0.5], [4.0], 2.0), given([0.5, 0.7, 1.0], [9.0, 50.0, 4.0], 1.96)],
    ),
    value("even between policies that are even", [given([0.5], [12.0], 2.0)]),
    value("0.5 to 1 after four wins of four, at z = 2", [given([1.0], [4.0], 2.0)]),
    fresh(
        "be the two solutions w of (ŵ − w)² = z² w (1 − w)/n, the lower one first",
        [
            given(uniform(n), integers(5, 200, n), z)
            for n, z in ((1, 1.96), (4, 1.0), (7, 2.576))
        ],
    ),
)
HINTS = """
Square |ŵ − w| = z √(w (1 − w)/n) and sort by powers of w: a quadratic.
(1 + z²/n) w² − (2ŵ + z²/n) w + ŵ² = 0. Its two roots are the ends.
With `extra = z * z / count` the roots are share + extra/2 ± the root of extra · (share
    (1 − share) + extra/4), all divided by 1 + extra.
"""
EXTREMES = (given([0.0, 1.0, 0.3], [1.0, 1.0, 2.0], 1.96),)
RECIPE = Recipe(
    STEPS, arcsine=_arcsine, repeated=_repeated, plain=_plain, shrunk=_shrunk
)
EXERCISE = Exercise(__doc__, wilson_interval, RECIPE, FAULTS, CHECKS, HINTS, EXTREMES)
