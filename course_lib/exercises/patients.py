"""Patients for the exercises that write a test, and how a diagnosis is judged."""

import functools
import inspect
from collections.abc import Callable, Sequence

from course_lib.bugs import BUGGY, END, PADDING, SOUND
from .recipe import Recipe
from .spec import Build, Call, Check, Inputs, Observation, agrees, builder, rule

OFFERS = {"bugs": {"END": END, "PADDING": PADDING, "SOUND": SOUND, "BUGGY": BUGGY}}

BOTH = inspect.Parameter.POSITIONAL_OR_KEYWORD
LOSS = "policy_chosen_logps", "policy_rejected_logps"
LOSS += "ref_chosen_logps", "ref_rejected_logps", "beta"
LOGPS = "logits", "labels", "mask"

SHORTCUTS = """
always sound: answer = same(candidate, True)
    True whatever it is given: a test that cannot fail
never sound: answer = same(candidate, False)
    False whatever it is given: it rejects the healthy as well
bit by bit: answer = bitwise(candidate)
    equality to the last bit: another order of additions rounds differently.
    torch.allclose compares what matters
"""


def examination(right: Callable, **suites: Callable) -> Recipe:
    """A recipe of one step, beside which stand suites that see too little."""
    known = {"right": right, "same": lambda candidate, answer: answer, **suites}
    return Recipe("candidate: answer = right(candidate)  # the answer", **known)


def by_name(one: Callable) -> Callable:
    """The same, which takes its arguments by their names on the page as well."""
    names = LOSS if "beta" in inspect.signature(one).parameters else LOGPS
    given = inspect.Signature([inspect.Parameter(n, BOTH) for n in names])

    @functools.wraps(one)
    def called(*args, **kwargs):
        return one(*given.bind(*args, **kwargs).args)

    return called


def function(one: Callable) -> Build:
    """A call with a function."""
    return lambda inputs: Call((by_name(one),))


@builder
def slip(inputs: Inputs, name: str, by: Callable[[float], Callable]) -> Call:
    """A call with a function that is wrong by a random factor, which its name tells."""
    factor = (1.1 + 0.4 * inputs.uniform(1)).item()
    wrong = by_name(by(factor))
    wrong.__name__ = f"{name}_{factor:.2f}"
    return Call((wrong,))


@builder
def healthy(inputs: Inputs, name: str, shift: Callable[[float], Callable]) -> Call:
    """A call with a right function that rounds as none of SOUND does."""
    right = by_name(shift(100 * inputs.uniform(1).item()))
    right.__name__ = name
    return Call((right,))


def diagnosis(call: Call, ours: Observation) -> str:
    """True or False, and for a patient what is wrong with it."""
    name = call.args[0].__name__
    verdict = f"be {bool(ours.numbers[0])}"
    return f"{verdict}. {BUGGY[name].does}" if name in BUGGY else verdict


def is_bool(call: Call, yours: Observation, ours: Observation, near: float) -> bool:
    return yours.kind == "bool" and agrees(call, yours, ours, near)


def sound(word: str, right: Sequence[Callable], *more: Build) -> tuple[Check, ...]:
    """What is asked of healthy functions, the course's own first, and of fresh slips.

    word: what they are; more: one call with another healthy function, then the slips
    """
    (own, *others), (shifted, *slips) = map(function, right), more
    return (
        rule(
            f"True for the course's own {word}", "be True, a bool", [own], holds=is_bool
        ),
        rule(
            f"True for a healthy {word}, however it is written",
            "be True: this one is right, and differs from others in rounding only",
            [*others, shifted],
        ),
        rule(
            "False for fresh random slips of the hand",
            "be False: a factor that does not belong there",
            slips,
        ),
    )


def ill(title: str, *names: str) -> Check:
    """What is asked of some patients."""
    return rule(title, diagnosis, [function(BUGGY[name].function) for name in names])
