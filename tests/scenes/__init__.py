"""Every figure of the course, with arguments to draw it for, by chapter.

STILL: name: a list of keyword arguments
SCENES: name: (positional arguments, the values of its sliders at both ends and inside)
WORDS: name: (values, what its sentence then says: computed by other means)
"""

from scenes import (
    beta,
    bradley_terry,
    dpo_loss,
    frontier,
    optimal_policy,
    partition_function,
    reviews,
    training,
    variants,
)

CHAPTERS = (
    bradley_terry,
    optimal_policy,
    partition_function,
    dpo_loss,
    frontier,
    beta,
    variants,
    training,
    reviews,
)
STILL, SCENES, WORDS = {}, {}, {}
for chapter in CHAPTERS:
    STILL |= chapter.STILL
    SCENES |= chapter.SCENES
    WORDS |= chapter.WORDS
