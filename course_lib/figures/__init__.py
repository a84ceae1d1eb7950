"""The course's figures, one module for each chapter, or for chapters that share them.

A `Picture` is a still figure. A `Scene` moves: what stands still and what is drawn for
a value, to be given to `slider_plot(*scene, ...)`. Every function is pure: numbers, or
the function that is to be drawn, in; a Picture or a Scene out.
"""

from course_lib.figures import (
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
from course_lib.figures.beta import *  # noqa: F403
from course_lib.figures.bradley_terry import *  # noqa: F403
from course_lib.figures.dpo_loss import *  # noqa: F403
from course_lib.figures.frontier import *  # noqa: F403
from course_lib.figures.guide import *  # noqa: F403
from course_lib.figures.optimal_policy import *  # noqa: F403
from course_lib.figures.partition_function import *  # noqa: F403
from course_lib.figures.reviews import *  # noqa: F403
from course_lib.figures.shapes import *  # noqa: F403
from course_lib.figures.style import *  # noqa: F403
from course_lib.figures.training import *  # noqa: F403
from course_lib.figures.variants import *  # noqa: F403

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
