"""Every exercise of the course, by the name of the function that it asks for.

`e04_2_implicit_reward_accuracy.py` is exercise 4.2; `spec.py` has the words in which it
is written down, and the other files what several exercises share.
"""

from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from .spec import Exercise


def _all() -> list[Exercise]:
    names = sorted(path.stem for path in Path(__file__).parent.glob("e[0-9]*.py"))
    found = [import_module(f"{__name__}.{name}").EXERCISE for name in names]
    return sorted(found, key=lambda it: tuple(map(int, it.number.split("."))))


EXERCISES: dict[str, Exercise] = {exercise.name: exercise for exercise in _all()}


def find(function: Callable) -> Exercise:
    """The exercise that has this function's name.

    raises: TypeError for anything but a function, ValueError for a name not asked for
    """
    if isinstance(function, str):
        name = function if function in EXERCISES else "preference_probability"
        raise TypeError(
            f"a name in quotes is not a function: write `check({name})`, without quotes"
        )
    if not callable(function):
        kind = type(function).__name__
        raise TypeError(
            f"this is the result of a call, a {kind}, where the function itself is "
            "wanted: write its name alone, as in `check(preference_probability)`"
        )
    name = getattr(function, "__name__", type(function).__name__)
    if name not in EXERCISES:
        near = get_close_matches(name, EXERCISES)
        like = f"is `{near[0]}` meant?" if near else "the name must be the exercise's"
        raise ValueError(f"no exercise asks for a function called `{name}`: {like}")
    return EXERCISES[name]
