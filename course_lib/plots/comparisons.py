"""Chapter 10: a crowd that no reward describes, and who draws its pairs."""

import torch
from matplotlib.axes import Axes
from torch import Tensor

from course_lib.limits.comparisons import drawn_wins, mixed_preferences
from course_lib.plots.marks import dot, name, percent, percents
from course_lib.plots.palette import INK, OUTLINE, POLICY, QUIET, REFERENCE
from course_lib.plots.style import BARE, Scene, panel
from course_lib.policies import optimal_policy
from course_lib.preferences import fit_bradley_terry

SHARES = 0.02, 0.9
NAMES = "blunt", "gentle", "evasive"


def drawn_by_whom(
    rewards: Tensor, shares: Tensor, beta: float, names: tuple[str, ...] = NAMES
) -> Scene:
    """What one reward says of a crowd, against how often the third answer is drawn.

    rewards: of each group, (groups, 3); shares: of the groups, (groups,)
    slider: share, of the third answer among those drawn, from 0.02 to 0.9; the other
        two are drawn alike; it can be dragged
    """
    preferences = mixed_preferences(rewards, shares)
    ref = torch.full((3,), 1 / 3, dtype=torch.float64)

    def still(axes: tuple[Axes, Axes]):
        grid = torch.linspace(*SHARES, 89, dtype=torch.float64).tolist()
        leads = [float(_fitted(preferences, share)[1]) for share in grid]
        axes[0].plot(grid, leads, color=INK, lw=1.2)
        axes[0].axhline(0, color=REFERENCE, lw=1)
        name(axes[0], 0.9, 0, f"{names[0]} leads below", QUIET, at=(0, -8), ha="right")
        axes[1].barh(range(3), ref.tolist(), 0.76, **OUTLINE)

    def draw(axes: tuple[Axes, Axes], share: float) -> str:
        scores = _fitted(preferences, share)
        lead, policy = float(scores[1]), optimal_policy(ref, scores, beta)
        dot(axes[0], share, lead, gid="share")
        axes[1].barh(range(3), policy.tolist(), 0.46, color=POLICY)
        for place, chance in enumerate(policy.tolist()):
            end = max(chance, 1 / 3)
            name(axes[1], end, place, percent(chance), POLICY, at=(5, 0))
        first = names[int(lead > 0)]
        return (
            f"With {percent(share)} of the drawn answers {names[2]}, the reward of "
            f"{names[1]} is {lead:+.3f} above that of {names[0]}: DPO gives {first} "
            f"most, {percent(float(policy.max()))}."
        ).replace("-", "−")

    return Scene.of(
        draw,
        panel(
            f"Fitted reward, {names[1]} − {names[0]}",
            (f"share of “{names[2]}” among the answers drawn", 0, 0.92),
            (-0.4, 1.5),
            xticks=percents(0, 0.25, 0.5, 0.75),
            yticks=[0, 0.5, 1],
        ),
        panel("DPO’s policy", ("", 0, 1.15), (2.6, -0.6), **BARE, ynames=names),
        says="The same people, and who draws the pairs decides which answer wins",
        shows="Left: logits, from endless comparisons by one crowd. Right: the optimum "
        f"of DPO at β = {beta:g}.\nOutlines: the reference, which gives all alike.",
        still=still,
        width_ratios=(3, 2),
    )


def _fitted(preferences: Tensor, share: float) -> Tensor:
    """Bradley–Terry's rewards if the third answer has this share, the first one's 0."""
    rest = (1 - share) / 2
    sampler = torch.tensor([rest, rest, share], dtype=torch.float64)
    scores = fit_bradley_terry(drawn_wins(preferences, sampler))
    return scores - scores[0]
