"""The channel: everything honest comes through whole, nothing else gets in."""

import json
import socket
import struct

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from course_lib.bugs import BUGGY, SOUND
from course_lib.checking.verdict import Examination
from course_lib.exercises import EXERCISES
from course_lib.submission.observing import MOST, Call, Observation, observe
from course_tools.grading.sandbox.wire import (
    ROOM,
    Nonsense,
    decode,
    encode,
    observation,
    receive,
    send,
)


def through(value):
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("name", EXERCISES)
def test_every_input_of_every_exercise_arrives_as_it_was(name):
    exam = Examination(EXERCISES[name], seed=3)
    for call in exam.calls:
        functions = []
        told = through(encode([list(call.args), dict(call.kwargs)], functions))
        args, kwargs = decode(told, functions.__getitem__)
        for sent, came in zip(
            [*call.args, *call.kwargs.values()], [*args, *kwargs.values()], strict=True
        ):
            assert_same(sent, came)


def assert_same(sent, came):
    assert type(sent) is type(came)
    if isinstance(sent, torch.Tensor):
        assert sent.dtype == came.dtype
        assert torch.equal(sent, came)
    elif isinstance(sent, list):
        for one, other in zip(sent, came, strict=True):
            assert_same(one, other)
    else:
        assert sent == came


@pytest.mark.slow
@pytest.mark.parametrize("name", EXERCISES)
def test_every_observation_arrives_as_it_was(name):
    exercise = EXERCISES[name]
    for call in Examination(exercise, seed=4).calls:
        for function in (
            exercise.reference,
            *map(exercise.function, exercise.faults),
        ):
            seen = observe(function, call)
            assert repr(observation(through(vars(seen)), len(call.args))) == repr(seen)


@given(some.lists(some.floats(allow_nan=False), max_size=20))
def test_numbers_arrive_to_the_bit(numbers):
    tensor = torch.tensor(numbers, dtype=torch.float64)
    assert torch.equal(decode(through(encode(tensor, []))), tensor)


BASE = torch.arange(6.0).view(2, 3) - 2
ODD = [BASE[0, 0], BASE[:0, 0], BASE[:1, 0], BASE.T, BASE[:, ::2], BASE[:, :0]]


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "bool", "int64", "complex64"])
@pytest.mark.parametrize("odd", ODD, ids=lambda odd: str(tuple(odd.shape)))
def test_tensors_arrive_whatever_their_kind_shape_and_strides(kind, odd):
    tensor = odd.to(getattr(torch, kind))
    came = decode(through(encode(tensor, [])))
    assert (came.dtype, came.shape) == (tensor.dtype, tensor.shape)
    assert torch.equal(came, tensor)
    assert torch.equal(decode(through(encode(odd, []))), odd)


def test_what_a_page_offers_arrives_with_its_functions_left_behind():
    functions = []
    told = through(encode({"BUGGY": BUGGY, "SOUND": SOUND, "END": 1}, functions))
    came = decode(told, lambda number: f"function {number}")
    assert came["END"] == 1
    assert came["BUGGY"]["beta_twice"].concerns == "loss"
    assert functions[int(came["SOUND"]["loss"][0].split()[1])] is SOUND["loss"][0]


GOOD = vars(observe(lambda x: 2 * x, Call((torch.ones(2),), gradient=True)))


def test_the_example_is_accepted():
    assert observation(through(GOOD), 1).numbers == (2.0, 2.0)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": 3},
        {"kind": "x" * 100},
        {"shape": [3]},
        {"shape": [-1, -2]},
        {"shape": [True, 2]},
        {"shape": "ab"},
        {"shape": [1] * 30},
        {"numbers": [2, 2]},
        {"numbers": [[2.0], [2.0]]},
        {"numbers": "12"},
        {"numbers": []},
        {"numbers": {"0": 1.0}},
        {"gradients": [["x"]]},
        {"gradients": None},
        {"gradients": [None] * 50},
        {"changed": [10**6]},
        {"changed": [1]},
        {"differentiable": 1},
        {"error": ["E", "m", ""]},
        {"error": ["E", "m" * 1000, ""]},
        {"kind": "error"},
        {"dtype": ["float64"]},
        {"more": 1},
    ],
    ids=str,
)
def test_no_other_observation_is(change):
    with pytest.raises(Nonsense):
        observation(through({**GOOD, **change}), 1)


@pytest.mark.parametrize("message", [None, [], "passed", 1.0, {}, {"kind": "tensor"}])
def test_an_answer_of_another_kind_is_nonsense(message):
    with pytest.raises(Nonsense):
        observation(message, 1)


@pytest.mark.parametrize(
    "told",
    [
        {"tensor": [1.0], "dtype": "float64", "shape": [2]},
        {"tensor": [1.0], "dtype": "no_dtype", "shape": [1]},
        {"tensor": ["a"], "dtype": "float64", "shape": [1]},
        {"tensor": [1e400], "dtype": "int64", "shape": [1]},
        {"tensor": [0.0] * 30_000, "dtype": "float64", "shape": [30_000]},
        {"function": 0},
        {"unknown": 1},
        {},
        [1.0],
    ],
    ids=lambda told: str(told)[:40],
)
def test_no_other_value_is_decoded(told):
    with pytest.raises(Nonsense):
        decode(told)


def test_a_frame_that_is_too_long_is_not_read():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(struct.pack("!I", ROOM + 1))
        with pytest.raises(Nonsense, match="room for"):
            receive(ours)


def test_frames_come_one_by_one_and_the_end_is_seen():
    ours, theirs = socket.socketpair()
    with ours:
        send(theirs, {"a": [1.5, float("inf")]})
        send(theirs, 2)
        theirs.sendall(struct.pack("!I", 3) + b"{[}")
        theirs.close()
        assert receive(ours) == {"a": [1.5, float("inf")]}
        assert receive(ours) == 2
        with pytest.raises(Nonsense, match="not JSON"):
            receive(ours)
        with pytest.raises(EOFError):
            receive(ours)


def test_nobody_waits_for_ever():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"\0\0")
        with pytest.raises(TimeoutError):
            receive(ours, until=0.0)


def test_a_very_long_answer_is_cut_before_it_is_sent():
    seen = observe(lambda x: x.expand(MOST + 1), Call((torch.ones(1),)))
    assert seen.numbers == ()
    assert observation(through(vars(seen)), 1).shape == (MOST + 1,)


def test_an_error_says_no_more_than_there_is_room_for():
    def long(x):
        raise ValueError("x" * 10_000)

    seen = observe(long, Call((torch.ones(1),)))
    assert observation(through(vars(seen)), 1).error[0] == "ValueError"
    assert isinstance(seen, Observation)
