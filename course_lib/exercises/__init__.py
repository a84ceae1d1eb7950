"""Every exercise of the course, by the name of the function that it asks for.

`e04_3_implicit_reward_accuracy.py` is exercise 4.3; `spec.py` has the words in which it
is written down, and the other files what several exercises share.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from course_lib.exercises.spec import Exercise


def _all() -> list[Exercise]:
    names = sorted(path.stem for path in Path(__file__).parent.glob("e[0-9]*.py"))
    found = [import_module(f"{__name__}.{name}").EXERCISE for name in names]
    return sorted(found, key=lambda it: tuple(map(int, it.number.split("."))))


EXERCISES: dict[str, Exercise] = {exercise.name: exercise for exercise in _all()}


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
