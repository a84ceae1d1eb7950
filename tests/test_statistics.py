"""A class's figures, against ones worked out by hand."""

import pytest

from course_tools.grading.marking import Mark
from course_tools.grading.statistics import figures

FIRST, SECOND, THIRD = "dpo_loss", "dpo_slope", "steepest_beta"


def mark(exercise, score, most=4, status=""):
    status = status or ("passed" if score == most else "failed")
    return Mark(exercise, status, score, most, "", holding=score)


def learner(*scores):
    """Out of 4 in the three exercises; None for one that was not tried."""
    return [
        mark(name, 0, status="missing") if score is None else mark(name, score)
        for name, score in zip((FIRST, SECOND, THIRD), scores, strict=True)
    ]


def test_difficulty_is_the_mean_share_of_those_who_tried():
    found = figures([learner(4, 0, None), learner(2, 1, None), learner(None, 2, None)])
    assert found[FIRST]["average"] == 0.75
    assert found[SECOND]["average"] == 0.25
    assert (found[FIRST]["asked"], found[FIRST]["attempted"]) == (3, 2)
    assert found[FIRST]["passed"] == 1


def test_what_nobody_tried_has_no_difficulty_at_all():
    found = figures([learner(4, 0, None)] * 3)
    assert found[THIRD]["average"] is None
    assert found[THIRD]["attempted"] == 0


def test_discrimination_is_a_correlation_among_those_who_tried():
    # first 0 1 2 3 4, second 4 3 2 1 0: they run against each other, whoever is absent
    tried = [learner(n, 4 - n, None) for n in range(5)]
    absent = [learner(None, None, None)] * 20
    assert figures(tried + absent)[FIRST]["discrimination"] == -1.0
    # a line y = x with the noise (1, -1, 0, 0, 0): r = 9 / √(10 · 10)
    noisy = [learner(n, y, None) for n, y in enumerate((1, 0, 2, 3, 4))]
    assert figures(noisy)[FIRST]["discrimination"] == 0.9


def test_elsewhere_is_the_mean_of_what_was_tried():
    # neither of the other two lies on a line, their mean does: 1/2, 1, 3/2, 2, 5/2
    others = zip((1, 0, 2, 3, 2), (0, 2, 1, 1, 3), strict=True)
    marks = [learner(n, *scores) for n, scores in enumerate(others)]
    assert figures(marks)[FIRST]["discrimination"] == 1.0


def test_what_was_not_tried_elsewhere_does_not_count_as_nothing():
    """The strongest skip the third exercise; that does not make them weak elsewhere."""
    marks = [learner(n, n, None if n == 4 else n) for n in range(5)]
    assert figures(marks)[FIRST]["discrimination"] == 1.0


@pytest.mark.parametrize(
    "marks", [[learner(n, n, None) for n in range(4)], [learner(2, 3, None)] * 9]
)
def test_no_discrimination_of_too_few_or_of_equals(marks):
    assert figures(marks)[FIRST]["discrimination"] is None


def test_how_far_they_came():
    found = figures([learner(1, 0, None), learner(3, 0, None), learner(4, 0, None)])
    checks = found[FIRST]["checks"][:4]
    assert [check["reached"] for check in checks] == [3, 3, 2, 2]
    assert [check["held"] for check in checks] == [3, 2, 2, 1]


def test_points_make_the_share_and_properties_the_way():
    cheap = Mark(FIRST, "failed", 0.5, 4, "", holding=3)
    found = figures([[cheap]])[FIRST]
    assert found["average"] == 0.125
    assert [check["held"] for check in found["checks"][:4]] == [1, 1, 1, 0]
