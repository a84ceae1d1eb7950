"""Exercise 9.3: The most bytes of a backward pass."""

from course_lib.production.sizing import backward_peak
from .spec import Exercise, builder, fresh, given, kind, rule, value


@builder
def _fresh(inputs, batch: int, blocks: int):
    return 9 * inputs.uniform(batch, blocks), 9 * inputs.uniform(batch, blocks)


STEPS = """
a g:
kept = a.cumsum(-1)  # the activations that are left in each block
made = g.flip(-1).cumsum(-1).flip(-1)  # the gradients that are there by then
both = kept + made  # the bytes of both in each block
peak = both.amax(-1)  # the most of them
"""
FAULTS = """
all of both: peak = a.sum(-1) + g.sum(-1)
    all activations and all gradients: when the last gradients are made, most
    activations are gone. The pass comes from the last block
the larger sum: peak = torch.maximum(a.sum(-1), g.sum(-1))
    the larger of the two sums: at either end the block that the pass is in has both,
    and in between there can be more than at the ends
the ends alone: peak = torch.maximum(both[..., 0], both[..., -1])
    the two ends: blocks differ, so the most can be in between
the beginning: peak = both[..., -1]
    the moment when the pass begins: with few tokens there is more at its end
the end: peak = both[..., 0]
    the moment when the pass ends: with many tokens there is more when it begins
from the first block: kept = a.flip(-1).cumsum(-1).flip(-1); made = g.cumsum(-1)
    a pass from the first block to the last: backward goes the other way
freed too early: kept = a.cumsum(-1) - a
    the activations without those of the block that the pass is in: it needs them to
    make its gradients
gradient too late: made = g.flip(-1).cumsum(-1).flip(-1) - g
    the gradients without those of the block that the pass is in: its activations are
    freed only when they are made
between the blocks: peak = torch.maximum(a.sum(-1), (kept - a + made).amax(-1))
    memory before the pass and after each block: within a block its activations and its
    gradients are both there
block by block: both = a + g
    each block by itself: what earlier blocks keep and later ones have made is there too
one for all: peak = both.max()
    one number for the whole batch: each row is a model of its own
the usual: peak = both.mean(-1)
    the mean over the pass: a program fails at its peak
block 0 left out: both = F.pad(kept + made, (0, 1))[..., 1:]
    the first block is never looked at: a range that counts down stops *before* its
    second number
gradients of one block alone: made = g
    the gradients of the block that the pass is in, without those of later blocks: they
    stay until the optimiser's step
"""
CHECKS = (
    kind("one number for each model", [given([[1.0]], [[1.0]]), _fresh(3, 4)]),
    value("one block: what it keeps and what it makes", [given([[5.0]], [[2.0]])]),
    value(
        "many tokens: the most is there when the pass begins",
        [given([[5.0, 5.0]], [[1.0, 1.0]])],
    ),
    value(
        "few tokens: the most is there when it ends",
        [given([[1.0, 1.0]], [[5.0, 5.0]])],
    ),
    rule(
        "unlike blocks",
        "be 13, in the middle block: 1 + 6 kept, and 1 + 5 made",
        [given([[1.0, 6.0, 1.0]], [[1.0, 1.0, 5.0]])],
    ),
    fresh(
        "be the largest, over blocks i, of the activations of blocks 1 … i and the "
        "gradients of blocks i … n",
        map(_fresh, (1, 3, 2), (3, 6, 30)),
    ),
)
HINTS = """
Stop the pass in block i. Whose activations are still needed, and whose gradients have
    been made?
Activations of blocks 1 … i are a running sum from the left. Gradients of blocks i … n
    are one from the right: flip, sum, flip back.
`(activations.cumsum(-1) + gradients.flip(-1).cumsum(-1).flip(-1)).amax(-1)`
"""
EXERCISE = Exercise(__doc__, backward_peak, STEPS, FAULTS, CHECKS, HINTS)
