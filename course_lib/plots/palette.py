"""What a colour, a line and a marker mean on every page, and matplotlib's settings.

No meaning hangs on a colour alone: each has a line and a marker too (`MARK`), and each
β a violet of its own that is always named.
"""

import math
from pathlib import Path

from matplotlib import cycler, font_manager
from matplotlib.colors import LinearSegmentedColormap, to_hex

# What a colour means. The page's filter turns each into its partner for dark pages.
INK = "#16181D"  # what is exact: π*, the frontier, a floor; and all other words
CHOSEN, REJECTED = "#174FB3", "#C94C00"
POLICY = "#0B8457"  # and every trained method
FAULTY = "#A80E7C"  # and what is foreign to the reference
REFERENCE = "#8B919B"  # and starts and bounds: marks, never words
QUIET = "#5B616B"  # words of second rank: never a line
FAINT = "#E6E9ED"  # grid and context: decoration
DASHES, DOTS, DASH_DOT = (0, (4, 1.6)), (0, (1, 1.4)), (0, (6, 1.2, 1, 1.2))
MARK = {  # how each meaning is drawn as a line or a point
    "chosen": {"color": CHOSEN, "ls": "-", "marker": "o"},
    "rejected": {"color": REJECTED, "ls": DASHES, "marker": "o", "mfc": "white"},
    "policy": {"color": POLICY, "ls": "-", "marker": "o"},
    "faulty": {"color": FAULTY, "ls": DASH_DOT, "marker": "X"},
    "reference": {"color": REFERENCE, "ls": DOTS, "marker": "s", "mfc": "white"},
    "exact": {"color": INK, "ls": "-", "lw": 1.2, "marker": "D"},
}
DOTTED = {"color": REFERENCE, "ls": DOTS}  # a line at a start or a bound
HATCHED = {"facecolor": FAULTY, "hatch": "////", "edgecolor": "white", "lw": 0}
OUTLINE = {"color": "none", "ec": REFERENCE, "lw": 1.2}  # the reference, as a bar
BETAS = 0.02, 1.0  # the ends of the ramp, on a logarithmic scale
RAMP = LinearSegmentedColormap.from_list(
    "beta", ("#CC70C6", "#9C50D2", "#6240C6", "#35309A", "#12123C")
)

for face in sorted(Path(__file__).with_name("fonts").glob("*.otf")):
    font_manager.fontManager.addfont(face)
LANGUAGE = {
    "axes.axisbelow": True,
    "axes.edgecolor": REFERENCE,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": QUIET,
    "axes.prop_cycle": cycler(color=(CHOSEN, REJECTED, POLICY, FAULTY, INK)),
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 7,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "font.family": ["Course Sans", "DejaVu Sans"],  # the second for ∇ ≻ ∈ ∥
    "font.size": 9.5,
    "grid.color": FAINT,
    "grid.linewidth": 0.9,
    "hatch.linewidth": 1.2,
    "legend.frameon": False,
    "lines.linewidth": 2.2,
    "lines.solid_capstyle": "round",
    "text.color": INK,
    "xaxis.labellocation": "left",
    "xtick.color": REFERENCE,
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}


def beta_color(beta: float) -> str:
    """The violet of this β, the same on every page: pale at 0.02, nearly ink at 1.

    beta: > 0; beyond the ends of the ramp it has the colour of the nearer end
    raises: ValueError for a β of 0 or less

    >>> beta_color(0.02), beta_color(1.0) == beta_color(5.0)
    ('#cc70c6', True)
    """
    if not beta > 0:
        raise ValueError(f"beta must be above 0, got {beta}")
    low, high = BETAS
    share = math.log(beta / low) / math.log(high / low)
    return to_hex(RAMP(min(1.0, max(0.0, share))))
