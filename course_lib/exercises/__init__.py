"""Every exercise of the course, by the name of the function that it asks for."""

from collections.abc import Callable

from course_lib.exercises import (
    beta,
    bradley_terry,
    clinic,
    divergences,
    dpo_loss,
    ipo,
    label_noise,
    optimal_policy,
    partition_function,
    policy_gradient,
    rankings,
    response_logprobs,
    sentence_tree,
    shared_rows,
    start_here,
    unpaired,
    without_reference,
)
from course_lib.exercises.spec import Exercise

CHAPTERS = (
    start_here,
    bradley_terry,
    optimal_policy,
    partition_function,
    dpo_loss,
    response_logprobs,
    clinic,
    beta,
    ipo,
    without_reference,
    unpaired,
    label_noise,
    rankings,
    divergences,
    sentence_tree,
    shared_rows,
    policy_gradient,
)
EXERCISES: dict[str, Exercise] = {
    exercise.name: exercise for chapter in CHAPTERS for exercise in chapter.EXERCISES
}


def find(function: Callable) -> Exercise:
    """The exercise that has this function's name.

    raises: TypeError for anything but a function, ValueError for a name not asked for
    """
    if not callable(function):
        raise TypeError(
            f"function must be the function itself, got {type(function).__name__}: "
            "write check(preference_probability), without quotes or call"
        )
    name = getattr(function, "__name__", type(function).__name__)
    if name not in EXERCISES:
        raise ValueError(
            f"no exercise asks for a function called {name!r}; "
            f"there are {', '.join(EXERCISES)}"
        )
    return EXERCISES[name]
