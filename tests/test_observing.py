"""What is written down of a learner's function, whatever it does."""

import contextlib
import threading

import pytest
import torch

from course_lib.submission import observing
from course_lib.submission.observing import Call, observe, observe_all

ONE = Call((torch.tensor([1.0, 2.0]),))


def test_numbers_shape_and_dtype():
    seen = observe(lambda x: (2 * x).double().reshape(2, 1), ONE)
    assert (seen.kind, seen.shape, seen.dtype) == ("tensor", (2, 1), "float64")
    assert seen.numbers == (2.0, 4.0)


def test_gradients_of_every_floating_input():
    call = Call(
        (torch.tensor([3.0]), torch.tensor([2]), torch.tensor([5.0])), gradient=True
    )
    seen = observe(lambda x, order, unused: x**2 * order, call)
    assert seen.differentiable
    assert seen.gradients == ((12.0,), None)


def test_no_gradient_is_reported_where_none_flows():
    call = Call((torch.tensor([3.0]),), gradient=True)
    assert not observe(lambda x: x.detach(), call).differentiable


def test_the_input_stays_as_it_was_and_a_change_is_told():
    def spoil(x):
        x.zero_()
        return x.sum()

    seen = observe(spoil, ONE)
    assert seen.changed == (0,)
    assert ONE.args[0].tolist() == [1.0, 2.0]


LEVELS = Call(([torch.tensor([1.0]), torch.tensor([2.0, 3.0])],), gradient=True)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda levels: levels.pop(),
        lambda levels: levels.reverse(),
        lambda levels: levels.__setitem__(0, None),
        lambda levels: levels[1].data.zero_(),
    ],
)
def test_a_list_of_tensors_stays_as_it_was_and_a_change_is_told(spoil):
    def spoiler(levels):
        one = levels[0].sum()
        spoil(levels)
        return one

    assert observe(spoiler, LEVELS).changed == (0,)
    assert [level.tolist() for level in LEVELS.args[0]] == [[1.0], [2.0, 3.0]]


def test_tensors_in_a_list_ask_for_gradients():
    seen = observe(lambda levels: torch.cat(levels), LEVELS)
    assert (seen.differentiable, seen.changed) == (True, ())
    cut = observe(lambda levels: torch.cat(levels).detach(), LEVELS)
    assert not cut.differentiable


@pytest.mark.parametrize(
    ("function", "kind"),
    [(lambda x: None, "NoneType"), (lambda x: [1.0], "list"), (lambda x: True, "bool")],
)
def test_other_types_are_named(function, kind):
    assert observe(function, ONE).kind == kind


def test_a_plain_number_is_a_number():
    seen = observe(lambda x: 3, ONE)
    assert (seen.kind, seen.numbers) == ("number", (3.0,))


@pytest.mark.parametrize(
    "error", [ValueError, SystemExit, RecursionError, GeneratorExit]
)
def test_errors_are_caught_with_their_line(error):
    def broken(x):
        assert x.sum() == 3
        raise error("because")

    kind, message, line = observe(broken, ONE).error
    assert (kind, message) == (error.__name__, "because")
    assert line == 'line 3: raise error("because")'


def test_ctrl_c_is_the_learner_s_own():
    def interrupted(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        observe(interrupted, ONE)


def test_a_loop_that_never_ends_is_ended(monkeypatch):
    monkeypatch.setattr(observing, "SECONDS", 0.05)

    def forever(x):
        while True:
            with contextlib.suppress(Exception):
                x = x + 1

    kind, message, _ = observe(forever, ONE).error
    assert kind == "TimeUp"
    assert "never ends" in message


def test_after_one_endless_call_the_others_are_not_tried(monkeypatch):
    monkeypatch.setattr(observing, "SECONDS", 0.05)
    tried = []

    def slow_at_two(x):
        tried.append(x)
        while len(tried) == 2:
            pass
        return x

    kinds = [seen.kind for seen in observe_all(slow_at_two, [ONE] * 5)]
    assert kinds == ["tensor"] + ["error"] * 4
    assert len(tried) == 2


def test_outside_the_main_thread_it_still_observes():
    seen = []
    thread = threading.Thread(target=lambda: seen.append(observe(torch.sum, ONE)))
    thread.start()
    thread.join()
    assert seen[0].numbers == (3.0,)
