"""Random policies and worlds, for chapters 02 and 03."""

from course_lib.exercises.spec import Build, given, normal
from course_lib.submission.observing import Observation

EVEN = [0.5, 0.5]


def policy(*shape: int):
    """For `given`: random probabilities, each row of which sums to 1."""
    return lambda inputs: inputs.normal(*shape).softmax(-1)


def fresh_world(beta: float, *shape: int) -> Build:
    """One call with a random reference, random rewards and β."""
    return given(policy(*shape), normal(*shape), beta)


def rows_sum_to_one(seen: Observation, near: float) -> bool:
    width = seen.shape[-1]
    rows = range(0, len(seen.numbers), width)
    return all(abs(sum(seen.numbers[i : i + width]) - 1) <= near for i in rows)
