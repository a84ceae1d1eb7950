"""The course's figures, one module for each chapter, or for chapters that share them.

A `Picture` is a still figure. A `Scene` moves: what stands still and what is drawn for
a value, to be given to `slider_plot(*scene, ...)`. Every function is pure: numbers, or
the function that is to be drawn, in; a Picture or a Scene out.
"""

from course_lib.plots import (
    beta,
    bradley_terry,
    dpo_loss,
    frontier,
    guide,
    optimal_policy,
    partition_function,
    reviews,
    shapes,
    style,
    training,
    variants,
)
from course_lib.plots.beta import *  # noqa: F403
from course_lib.plots.bradley_terry import *  # noqa: F403
from course_lib.plots.dpo_loss import *  # noqa: F403
from course_lib.plots.frontier import *  # noqa: F403
from course_lib.plots.guide import *  # noqa: F403
from course_lib.plots.optimal_policy import *  # noqa: F403
from course_lib.plots.partition_function import *  # noqa: F403
from course_lib.plots.reviews import *  # noqa: F403
from course_lib.plots.shapes import *  # noqa: F403
from course_lib.plots.style import *  # noqa: F403
from course_lib.plots.training import *  # noqa: F403
from course_lib.plots.variants import *  # noqa: F403

__all__ = [
    *style.__all__,
    *bradley_terry.__all__,
    *optimal_policy.__all__,
    *partition_function.__all__,
    *dpo_loss.__all__,
    *beta.__all__,
    *frontier.__all__,
    *variants.__all__,
    *shapes.__all__,
    *guide.__all__,
    *training.__all__,
    *reviews.__all__,
]
