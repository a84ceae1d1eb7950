"""Exercise 8.2: β that nobody wrote down."""

from course_lib.metrics import beta_from_moves
from .spec import Exercise, builder, fresh, given, kind, rule, value


@builder
def _logged(inputs, sides: int, looks: int, beta: float, noise: float):
    logps = 3 * inputs.normal(sides, looks) - 30
    start = inputs.normal(sides, 1)
    rewards = beta * (logps - logps[:, :1]) + start
    return rewards + noise * inputs.normal(sides, looks), logps


FALL = [[-9.0, -9.0, -11.0], [-8.0, -10.0, -14.0]]
REST = [[-9.0, -9.0, -9.0], [-8.0, -8.0, -8.0]]

STEPS = """
r l:
e = r - r[..., :1]  # what the rewards gained
m = l - l[..., :1]  # how far the log-probs moved
top = (e * m).sum()  # the sum of the products
bottom = (m * m).sum()  # the sum of the squared moves
beta = top / bottom  # β
"""
FAULTS = """
no start: e = r; m = l
    rewards over log-probs as they are logged: β times the log-prob is off by the
    reference's share, which only differences take away
rewards as they are: e = r
    the rewards themselves beside the moves: with a wrong reference they do not start at
    0. Take both since the first evaluation
log-probs as they are: m = l
    the log-probs themselves: it is how far they have moved since the first evaluation
    that a reward pays for
mean of the ratios: beta = (e / m)[..., 1:].mean()
    a mean of ratios: where a log-prob has not moved the ratio is 0/0, and where it
    moved little it is noise
mean of the ratios that are there: beta = (e / m).nanmean()
    a mean of those ratios that are not 0/0: a small move says as much there as a large
    one. Least squares weighs it by its square
ratio of the sums: beta = e.sum() / m.sum()
    a sum over a sum: moves up and down cancel. Multiply by the move before you add
upside down: beta = bottom / top
    1/β, nats per reward: rewards are on top
regressed the other way: beta = top / (e * e).sum()
    log-probs regressed on rewards, 1/β: it is the moves that are squared below
from one to the next: e = r.diff(dim=-1); m = l.diff(dim=-1)
    moves from one evaluation to the next: asked are moves since the first, which are
    larger
around the mean: e = r - r.mean(-1, keepdim=True); m = l - l.mean(-1, keepdim=True)
    moves around the mean of each side: asked are moves since the first evaluation
one start for both sides: e = r - r[:1, :1]; m = l - l[:1, :1]
    the first number of the first side taken from both: each side has a start of its own
last evaluation: top = (e * m)[..., -1].sum(); bottom = (m * m)[..., -1].sum()
    the last evaluation alone: all of them count
chosen alone: top = (e * m)[:1].sum(); bottom = (m * m)[:1].sum()
    the first side alone: the rejected answers have the same β
sizes: beta = (e * e).sum().sqrt() / bottom.sqrt()
    a ratio of sizes: noise makes it larger, and it can never be below 0
a 0 for not known: beta = top / bottom.clamp(min=1e-12)
    0 where nothing moved: a log in which nothing moves cannot tell β, so NaN
mean of the sides' own: beta = ((e * m).sum(-1) / (m * m).sum(-1)).nanmean()
    a β for each side, then their mean: a side that hardly moved counts as much as one
    that went far. Put the sums over both together
one a side: beta = (e * m).sum(-1) / (m * m).sum(-1)
    a β for each side: the loss has one β
a line with an intercept: top = ((e - e.mean()) * (m - m.mean())).sum();
        bottom = ((m - m.mean()) ** 2).sum()
    a regression with an intercept: no move is no gain, so the line goes through 0
last over last: beta = e[..., -1].sum() / m[..., -1].sum()
    the last evaluation's gain over its move: all of them count, and moves up and down
    cancel. Multiply by the move before you add
margins alone: top = ((e[:1] - e[-1:]) * (m[:1] - m[-1:])).sum();
        bottom = ((m[:1] - m[-1:]) ** 2).sum()
    margins in place of the two sides: each side's moves say something of its own
"""
CHECKS = (
    kind("one number", [_logged(2, 2, 0.1, 0.0), _logged(2, 4, 0.1, 0.0)]),
    value(
        "0.1 where a reward of 0.1 is paid for each nat",
        [given([[0.0, 0.1, 0.2], [0.0, -0.1, -0.1]], [[-9, -8, -7], [-9, -10, -10]])],
    ),
    rule(
        "rewards that do not start at 0",
        "be 0.5: what a wrong reference adds is there from the first row",
        [given([[2.0, 1.5, 0.0], [1.0, 1.5, 3.0]], [[-9, -10, -13], [-9, -8, -5]])],
    ),
    rule(
        "two sides with starts of their own, and one that rests for a row",
        "be 0.25 for both: a log-prob that has not moved says nothing",
        [given([[1.0, 1.0, 0.5], [3.0, 2.5, 1.5]], FALL)],
    ),
    rule(
        "one side up, the other down, and noise in the rewards",
        "be the β that fits all moves best, by least squares",
        [
            given(
                [[0.0, 0.25, 0.3], [0.0, -0.05, -0.35]], [[-9, -7, -6], [-9, -10, -12]]
            )
        ],
    ),
    rule(
        "NaN where nothing moved",
        "be NaN: a log in which nothing moves cannot tell",
        [given([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], REST)],
    ),
    fresh(
        "be Σ Δreward Δlogp / Σ Δlogp², both counted since the first evaluation",
        [_logged(sides, n, 0.5, 0.3) for sides, n in ((2, 3), (2, 5), (2, 8))],
    ),
)
HINTS = """
reward = β (logp − reference's logp). The same pairs are evaluated again and again, so
    what stays the same from row to row?
The reference's part goes away in differences to the first evaluation. Then Δreward = β
    Δlogp: a line through 0, with all its points from both sides.
Least squares for y = βx gives Σ x y / Σ x². No move at all makes that 0/0, which is NaN
    in torch by itself.
"""
EXERCISE = Exercise(__doc__, beta_from_moves, STEPS, FAULTS, CHECKS, HINTS)
