"""What is in the process that holds a learner's code: nothing that knows an answer."""

import contextlib
import importlib
import itertools
import json
import multiprocessing
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch
from sandboxes import best, observed

from course_lib.exercises import EXERCISES
from course_lib.submission.observing import Call, observe
from course_lib.workspace import CourseError
from course_tools.grading import elsewhere
from course_tools.grading.sandbox import isolation
from course_tools.grading.sandbox.asked import reply
from course_tools.grading.sandbox.launching import OWN, Plan
from course_tools.grading.sandbox.sandbox import Sandbox
from course_tools.grading.sandbox.talking import Job, Talk
from course_tools.grading.sandbox.wire import encode, send

LOOK = """
import gc, sys, types, torch
from course_lib import checking, losses, worlds
from course_lib.exercises import dpo_loss

def names(things):
    names = {str(thing) for thing in things}
    return sorted(n for n in names if n.split(".")[0] in ("course_lib", "course_tools"))

def look(what):
    asked_for = checking, losses, worlds, dpo_loss
    gc.unfreeze()
    objects = gc.get_objects()
    kinds = [type(module).__name__ for name, module in sys.modules.items()
             if names([name])]
    parts = [thing for thing in objects if type(thing) is types.ModuleType]
    made = [thing for thing in objects if isinstance(thing, types.FunctionType | type)]
    found = {
        "kinds": sorted(set(kinds)),
        "modules": names(part.__name__ for part in parts),
        "made in": names(getattr(thing, "__module__", "") for thing in made),
    }
    return torch.tensor([*" ".join(found[what]).encode()]).double()
"""


def told(call: str) -> list[str]:
    """What a submission finds in the best sandbox of this computer."""
    (seen,) = observed(LOOK, "look", Call((call,)))
    assert not seen.error, seen.error
    return bytes(map(int, seen.numbers)).decode().split()


@pytest.mark.slow
def test_a_submission_finds_empty_shelves_and_no_module_that_knows_an_answer():
    assert told("kinds") == ["_Shelf"]
    for what in ("modules", "made in"):
        found = set(told(what))
        assert found
        assert found <= set(OWN)
    for name in OWN:
        for part in ("exercises", "checking", "losses", "bugs"):
            assert part not in name.split(".")


def test_the_keeper_is_made_of_these_files_and_no_other(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", sys.meta_path[:])
    before = {name: sys.modules.pop(name) for name in of_the_course(sys.modules)}
    importlib.import_module("course_tools.grading.sandbox.zygote")
    found = of_the_course(sys.modules)
    for name in found:
        del sys.modules[name]
    sys.modules.update(before)
    assert found == sorted(OWN)


def of_the_course(names) -> list[str]:
    return sorted(n for n in names if n.split(".")[0] in ("course_lib", "course_tools"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "line", ["bugs import SOUND, END", "clinic import HEALTHY, END"]
)
def test_what_is_offered_is_found_under_its_old_names_too(line):
    sound = line.split()[2].strip(",")
    page = f"from course_lib.{line}\ndef f(x):\n    return {sound}(x) + END"
    call, offers = Call((torch.ones(2),)), {"SOUND": lambda x: 3 * x, "END": 1}
    (seen,) = observed(page, "f", call, offers={"bugs": offers})
    assert seen.numbers == (4.0, 4.0)
    assert any("bugs" in exercise.offers for exercise in EXERCISES.values())


OPTIMISED = """
import sys, torch

def optimised(lr):
    x = torch.ones(2, requires_grad=True)
    for kind in (torch.optim.SGD, torch.optim.Adam, torch.optim.LBFGS):
        optimiser = kind([x], lr=lr)
        def closure():
            optimiser.zero_grad()
            loss = x.square().sum()
            loss.backward()
            return loss
        optimiser.step(closure)
    moved = torch.func.grad(lambda x: x.square().sum())(x.detach())
    costly = [n for n in sys.modules if n.split(".")[0] == "sympy"]
    compiled = torch._dynamo.config.suppress_errors is not None
    return torch.tensor([float(bool(moved[0] < 2)), len(costly), float(compiled)])
"""


@pytest.mark.slow
def test_optimisers_do_without_what_compiles_and_who_asks_for_it_has_it():
    (seen,) = observed(OPTIMISED, "optimised", Call((0.1,)))
    assert seen.numbers == (1.0, 0.0, 1.0), seen


GIVEN = """
import threading
import numpy as np
import torch

def many(loss, x):
    return sum(loss(k * x) for k in range(130))

def functional(loss, x):
    return torch.func.grad(loss)(x)

def by_rows(loss, x):
    return torch.func.vmap(torch.func.grad(loss))(x.expand(3, 2))

def lists(loss, x):
    return loss([x, [x]])

def forward(loss, x):
    return torch.func.jvp(loss, (x,), (torch.ones_like(x),))[1]

def columns(loss, x):
    return torch.func.jacfwd(lambda x: torch.stack([loss(x), 2 * loss(x)]))(x)

def dual(loss, x):
    with torch.autograd.forward_ad.dual_level():
        moved = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
        return torch.autograd.forward_ad.unpack_dual(loss(moved)).tangent

def curved(loss, x):
    return torch.autograd.functional.hessian(loss, x)

def curved_forward(loss, x):
    return torch.func.hessian(loss)(x)

def curved_at_once(loss, x):
    return torch.autograd.functional.hessian(loss, x, vectorize=True)

def curved_by_columns(loss, x):
    how = {"vectorize": True, "outer_jacobian_strategy": "forward-mode"}
    return torch.autograd.functional.hessian(loss, x, **how)

def penalised(loss, x):
    x = x.requires_grad_()
    slope, = torch.autograd.grad(loss(x), x, create_graph=True)
    return torch.autograd.grad(slope.square().sum(), x)[0]

def third(loss, x):
    return torch.func.grad(lambda x: torch.func.hessian(loss)(x).sum())(x)

def batched(loss, x):
    x = x.requires_grad_()
    each = torch.stack([loss(x[0]), loss(x[1])])
    rows = torch.eye(2, dtype=torch.float64)
    return torch.autograd.grad(each, x, rows, is_grads_batched=True)[0]

def checked(loss, x):
    x = x.requires_grad_()
    how = {"check_batched_grad": True, "check_forward_ad": True}
    first = torch.autograd.gradcheck(loss, x, **how)
    return torch.tensor(float(first and torch.autograd.gradgradcheck(loss, x)))
"""

TWO = (
    GIVEN
    + """

def cut_off(loss, x, y):
    x, y = x.requires_grad_(), y.requires_grad_()
    loss(x, y).backward()
    return torch.tensor([x.grad is not None, y.grad is None]).double()

def unused(loss, x, y):
    x, y = x.requires_grad_(), y.requires_grad_()
    try:
        torch.autograd.grad(loss(x, y), (x, y))
    except RuntimeError as error:
        return torch.tensor(float("not have been used" in str(error)))

def by_hooks(loss, x, y):
    x, y = x.requires_grad_(), y.requires_grad_()
    called = []
    x.register_hook(lambda slope: called.append(1.0))
    y.register_hook(lambda slope: called.append(2.0))
    loss(x, y).backward()
    return torch.tensor(called)

def worked_on(loss, x, y):
    x, y = x.requires_grad_(), y.requires_grad_()
    value = loss(x, y)
    with torch.no_grad():
        x += 100
    return torch.autograd.grad(value, x)[0]

def in_inference(loss, x, y):
    x, y = x.requires_grad_(), y.requires_grad_()
    with torch.inference_mode():
        shift = torch.ones(2, dtype=torch.float64)
    return torch.autograd.grad(loss(x, shift), x)[0]

def in_threads(loss, x, y):
    found = [None] * 4
    def ask(k):
        found[k] = loss(k * x, y)
    threads = [threading.Thread(target=ask, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return torch.stack(found)

def scalars(loss, x, y):
    return loss(x, np.float32(0.5)) + loss(x, np.arange(3)[2])

def halved(loss, x, y):
    return x.float().half() + 0 * loss(x, y).detach()

def worked_on_it(loss, x, y):
    value = loss(x.requires_grad_(), y)
    value *= 2
    slope, = torch.autograd.grad(value, x)
    slope += 1
    return slope + value.detach_()

def curved(loss, x, y):
    return torch.func.hessian(loss)(x, y).diagonal()

def moved(loss, x, y):
    return torch.func.jvp(lambda x: torch.func.grad(loss)(x, y), (x,), (x,))[1]

def crossed(loss, x, y):
    product = lambda x, y: loss(x, y) * y.sum()
    return torch.func.jacrev(torch.func.grad(product), argnums=1)(x, y).sum(1)

def outside(loss, x, y):
    y = y.requires_grad_()
    slope = torch.func.grad(lambda x: loss(x, y) * y.sum())(x)
    return torch.autograd.grad(slope.sum(), y)[0]

def backwards(loss, x, y):
    x, y = x.requires_grad_(), y.requires_grad_()
    try:
        checked = torch.autograd.gradgradcheck(
            lambda x: loss(x, y), x, check_fwd_over_rev=True
        )
        return torch.tensor(float(checked))
    except RuntimeError as error:
        return torch.tensor([*str(error).encode()]).double()
"""
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "by_hand"),
    [
        ("many", lambda x: (x**3).sum() * sum(k**3 for k in range(130))),
        ("functional", lambda x: 3 * x.detach() ** 2),
        ("by_rows", lambda x: (3 * x.detach() ** 2).expand(3, 2)),
        ("lists", lambda x: 2 * (x**3).sum()),
        ("forward", lambda x: (3 * x**2).sum()),
        ("columns", lambda x: torch.stack([3 * x**2, 6 * x**2])),
        ("dual", lambda x: (3 * x**2).sum()),
        ("curved", lambda x: torch.diag(6 * x)),
        ("curved_forward", lambda x: torch.diag(6 * x)),
        ("curved_at_once", lambda x: torch.diag(6 * x)),
        ("curved_by_columns", lambda x: torch.diag(6 * x)),
        ("penalised", lambda x: 36 * x.detach() ** 3),
        ("third", lambda x: torch.full_like(x, 6.0)),
        ("batched", lambda x: torch.diag(3 * x.detach() ** 2)),
        ("checked", lambda x: torch.tensor(1.0)),
    ],
)
def test_a_given_function_and_its_gradient_are_as_if_they_were_there(name, by_hand):
    def loss(x):
        return (x**3).sum() if isinstance(x, torch.Tensor) else loss(x[0]) * 2

    x = torch.tensor([1.0, -2.0], dtype=torch.float64)
    call = Call((loss, x), gradient=name in ("many", "lists"))
    (seen,) = observed(GIVEN, name, call)
    due = observe(lambda _, x: by_hand(x), call)
    assert seen.numbers == pytest.approx(due.numbers)
    for slope, right in zip(seen.gradients, due.gradients, strict=True):
        assert slope == pytest.approx(right)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "due"),
    [
        ("cut_off", [1, 1]),
        ("unused", [1]),
        ("by_hooks", [1]),
        ("worked_on", [3, 12]),
        ("in_inference", [3, 12]),
        ("in_threads", [0, -7, -56, -189]),
        ("scalars", [-11.5]),
        ("halved", [1, -2]),
        ("worked_on_it", [-7, 11]),
        ("curved", [6, -12]),
        ("moved", [6, 24]),
        ("crossed", [6, 24]),
        ("outside", [15, 15]),
        ("backwards", [1]),
    ],
)
def test_what_a_suite_may_do_with_a_given_function_it_may_do_here(name, due):
    def loss(x, y):
        cut = y.detach() if isinstance(y, torch.Tensor) else torch.tensor(y)
        return (x**3).sum() + 0 * cut.sum() + (0 if cut.ndim else cut)

    x, y = torch.tensor([1.0, -2.0]).double(), torch.tensor([5.0, 6.0]).double()
    (seen,) = observed(TWO, name, Call((loss, x, y)))
    assert seen.error is None, seen.error
    assert seen.numbers == pytest.approx([float(number) for number in due])


def question(*args, wants=False, **more) -> bytes:
    """What a submission asks of a function; wants: whether gradients as well."""
    tensors = [one for one in args if isinstance(one, torch.Tensor)]
    told = {"ask": 0, "args": encode([*args], []), "kwargs": {"dict": {}}}
    told |= {"slopes": {"list": []}, "wants": [wants] * len(tensors)}
    return json.dumps({**told, **more}).encode()


@pytest.mark.parametrize(
    "shapes", [[(1 << 39, 0)], [(1 << 20, 0)], [(1001, 1), (1, 1000)]], ids=str
)
def test_what_would_take_long_is_refused(shapes):
    told = json.loads(reply([max], question(*map(torch.zeros, shapes))))
    assert told == {"error": "ValueError"}


def test_a_batch_of_whole_answers_is_not_refused():
    """Its labels would make it larger if they were broadcast; they are not."""
    inputs = torch.zeros(64, 128, 100), torch.zeros(64, 128, dtype=torch.int64)

    def first(logits, labels):
        return logits.gather(-1, labels.unsqueeze(-1)).sum()

    assert "error" not in json.loads(reply([first], question(*inputs)))


def test_a_slope_of_another_shape_than_the_value_is_refused():
    """Broadcast, it would give a gradient that autograd never gives."""
    slopes = encode([[torch.ones(1)]], [])
    asked = question(torch.tensor([1.0, 2.0]), wants=True, slopes=slopes)
    assert json.loads(reply([torch.exp], asked)) == {"error": "RuntimeError"}


def test_no_question_is_answered_when_the_time_is_up():
    """A flood of them may wait in the channel when their process is gone already."""

    def slowly(question, left):
        asked.append(left)
        time.sleep(0.1)
        return b"{}"

    asked, (ours, theirs) = [], socket.socketpair()
    head = {"found": True, "missing": False, "more": False, "cells": [], "trouble": ""}
    with ours, theirs:
        for message in (head, *[{"ask": 0}] * 50):
            send(theirs, message)
        talk = Talk(Job([], "f", [Call((max,))], ask=[slowly]), 1.0)
        began = time.monotonic()
        talk.hold(ours, began + 0.5)
        took = time.monotonic() - began
    assert 0.5 <= took < 1.5
    assert 1 <= len(asked) <= 5
    assert all(0 < left <= 0.5 for left in asked)
    assert talk.outcome("timeout", took).ended == "TimeUp"


@pytest.mark.slow
def test_whoever_has_passed_is_asked_no_more():
    page = "def f(x):\n    return x if x[0] < 3 else 1 / 0"
    calls = [Call((torch.tensor([float(n)]),)) for n in range(9)]
    box = best()[1]
    job = Job([page], "f", calls, settled=lambda seen: len(seen) == 2)
    outcome = box.run(job)
    assert [one.numbers for one in outcome.seen] == [(0.0,), (1.0,)]
    assert (outcome.ended, outcome.trouble) == ("", "")
    seen = observed(page, "f", *calls)
    assert len(seen) == 9
    assert seen[3].error[0] == "ZeroDivisionError"


KEY = "dpo_loss_is_sound", 1, 0  # of a given loss


@pytest.fixture
def beside():
    """What answers for given functions, once it is made ready."""
    with contextlib.closing(elsewhere.Elsewhere()) as process:
        yield process


def started(make_ready) -> list[psutil.Process]:
    """The processes that are there after a call, and were not before."""
    us = psutil.Process()
    before = us.children(recursive=True)
    make_ready()
    return [one for one in us.children(recursive=True) if one not in before]


@pytest.mark.slow
def test_given_functions_answer_within_what_is_left_and_are_not_started_on_it(beside):
    assert json.loads(beside.reply(KEY, b"{}", 9.0)) == {"error": "TimeoutError"}
    asked = question(*[torch.zeros(900_000)] * 4, 0.3, wants=True)
    beside.ready([KEY])
    began = time.monotonic()
    late = json.loads(beside.reply(KEY, asked, 0.0))
    assert time.monotonic() - began < 0.01 + elsewhere.GRACE + 0.5
    assert late == {"error": "TimeoutError"}
    assert "error" not in json.loads(beside.ready([KEY]).reply(KEY, asked, 9.0))


@pytest.mark.skipif(sys.platform != "linux", reason="where another is forked")
def test_a_process_that_is_ended_from_outside_costs_nobody_an_answer(beside):
    *_, new = started(lambda: beside.ready([KEY]))
    new.kill()
    new.wait(30.0)
    asked = question(*[torch.zeros(3)] * 4, 0.3)
    assert "value" in json.loads(beside.reply(KEY, asked, 9.0))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="by a clock that Linux has")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of a fork beside threads
def test_one_step_that_never_ends_ends_the_process_that_answers(monkeypatch):
    monkeypatch.setattr(elsewhere, "GRACE", 0.05)
    endless = partial(sum, itertools.repeat(0))  # no step of Python, no alarm
    process = multiprocessing.get_context("fork").Process(
        target=elsewhere._in_time, args=(endless, 1.0)
    )
    process.start()
    process.join(30.0)
    assert process.exitcode == -signal.SIGPROF


@pytest.mark.skipif(sys.platform != "linux", reason="forks where torch is loaded")
def test_processes_that_answer_share_the_memory_of_one(beside):
    elsewhere.Elsewhere().ready([]).close()  # where they come from is there now
    with contextlib.closing(elsewhere.Elsewhere()) as other:
        new = started(lambda: [one.ready([]) for one in (beside, other)])
        own = [one.memory_full_info().uss / one.memory_info().rss for one in new]
        assert len(own) == 2
        assert max(own) < 0.25


@pytest.mark.slow
def test_what_a_submission_may_leave_behind_is_found_where_nothing_stops_it():
    """The trial that looks for words can fail: without a filter it finds some."""
    code = "import sys; sys.path.insert(0, sys.argv[1])\nimport trial\n"
    code += "print(trial.words(sys.argv[2] == 'find').tolist())"
    found = [
        subprocess.run(
            [sys.executable, "-c", code, str(Path(isolation.__file__).parent), what],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for what in ("leave", "find")
    ]
    assert json.loads(found[1])[isolation.WORDS.index("files")] == 1.0
    assert sum(json.loads(found[1])) >= 2 or sys.platform != "linux"


LOCKS = """
import ctypes, fcntl, os, struct, torch
def locks():
    file = os.open(torch.__file__, os.O_RDONLY)
    what = struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 7, 1, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    def asked(command, *told):
        try:
            return command(file, *told) is not None
        except OSError:
            return False
    def looked(command, *told):
        return command(*told) >= 0
    return torch.tensor([
        asked(lambda at: fcntl.flock(at, fcntl.LOCK_SH) or True),
        asked(fcntl.fcntl, fcntl.F_SETLK, what),
        asked(fcntl.fcntl, fcntl.F_GETLK, what),
        asked(fcntl.fcntl, 37, what),
        asked(fcntl.fcntl, fcntl.F_GETLEASE),
        looked(libc.inotify_init1, 0),
        looked(libc.klogctl, 10, None, 0),
    ]).double()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a filter of Linux's")
def test_no_lock_and_no_watch_on_a_file_that_all_can_read():
    """Two that run at once could talk by them, 63 bits a lock."""
    (seen,) = observed(LOCKS, "locks", Call(()))
    assert not seen.error
    assert not any(seen.numbers), seen


@pytest.mark.slow
def test_where_nothing_can_be_forked_each_job_has_a_process(tmp_path):
    """As on macOS and Windows."""
    with Sandbox(Plan(fork=False), timeout=20) as box:
        page = "from course_lib import yours\ndef f(x):\n    return yours(x) * 2"
        call = Call((torch.ones(2),), gradient=True)
        (seen,) = box.run(Job([page], "f", [call])).seen
        assert seen.gradients == ((2.0, 4.0),)  # of the values, weighted by their place


def test_a_job_that_nobody_takes_is_no_fault_of_the_submission(monkeypatch):
    def refuses(*_):
        raise OSError

    monkeypatch.setattr(socket, "send_fds", refuses)
    monkeypatch.setattr(Sandbox, "_open", lambda *_: subprocess.Popen(["sleep", "60"]))
    with Sandbox(Plan(fork=True), timeout=1.0) as box:
        with pytest.raises(CourseError, match="No process for submissions takes a job"):
            box.run(Job(["def f():\n    return 1"], "f", [Call(())]))
        assert box._process is None
