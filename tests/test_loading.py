"""Learners' files, as they really are: one function out of them, and no more is run."""

import pytest
from submitted import notebook, old_notebook

from course_lib.submission.loading import cells_of, defined_in, load

DOUBLE = "def f(x):\n    return 2 * x"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.py", DOUBLE.encode()),
        ("a.py", DOUBLE.replace("\n", "\r\n").encode()),
        ("a.py", b"\xef\xbb\xbf" + DOUBLE.encode()),
        ("a.py", DOUBLE.encode("utf-16")),
        ("a.py", b"# -*- coding: latin-1 -*-\n# \xe9\n" + DOUBLE.encode()),
        ("a.ipynb", notebook(DOUBLE).encode()),
        ("a.ipynb", notebook(DOUBLE.splitlines(keepends=True)).encode()),
        ("a.ipynb", old_notebook(DOUBLE).encode()),
    ],
)
def test_every_way_to_save_a_file_can_be_read(name, content):
    assert load(cells_of(name, content), "f").function(3) == 6


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.py", b"", "is empty"),
        ("a.ipynb", b" \n", "is empty"),
        ("a.py", b"# \xe9\ndef f(): pass", "byte 0xe9 in line 1"),
        ("a.ipynb", notebook(DOUBLE)[:60].encode(), "not a whole notebook"),
        ("a.ipynb", b"[" * 100_000, "nested too deeply"),
        ("a.ipynb", b'{"metadata": {}}', "is no notebook"),
        ("a.ipynb", b"[1]", "is no notebook"),
        ("a.py", b"#" * (1 << 20) + b"##", "a million characters"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(name, content, says):
    with pytest.raises(ValueError, match=says) as error:
        cells_of(name, content)
    assert len(str(error.value)) < 200


def test_names_are_seen_at_a_glance():
    cells = [
        "def f(x):\n    def inner(): pass\n",
        "g = f\nif a == b: pass\n(=",
        "async def h ():",
    ]
    assert defined_in(cells) == {"f", "g", "h"}


@pytest.mark.parametrize(
    "cells",
    [
        [
            DOUBLE,
            "1 / 0",
            "import no_such_package",
            "while True: pass",
            "raise SystemExit",
        ],
        [DOUBLE, "def g(:", "((("],
        ["%matplotlib inline\n!pip install x\n" + DOUBLE + "\nf?", "%%time\nf(1)"],
        ["def f(x):\n    return twice(x)", "twice = lambda x: k * x", "k = 2"],
        ["def f(x):\n    return k[0] * x", "k = []\nk.append(2)"],
        ["def f(x):\n    return f.k * x", "f.k = 2"],
        ["from math import *", "def f(x):\n    return floor(2.5) * x"],
        [
            "class Twice:\n    def __call__(self, x):\n        return 2 * x",
            "f = Twice()",
        ],
        ["f = lambda x: 2 * x"],
        [
            "import functools",
            "def g(k, x):\n    return k * x",
            "f = functools.partial(g, 2)",
        ],
        ["if True:\n    def f(x):\n        return 2 * x"],
        [
            "try:\n    import nothing as np\nexcept ImportError:\n    k = 2",
            DOUBLE.replace("2", "k"),
        ],
        ["k = 3", DOUBLE.replace("2", "k"), "k = 2"],
        [DOUBLE, "def f(x):\n    '''Starter.'''\n    raise NotImplementedError"],
        ["def f(x):\n    # YOUR CODE HERE\n    raise NotImplementedError", DOUBLE],
        ["def f(x):\n    return 3 * x", DOUBLE],
    ],
)
def test_the_function_is_found_whatever_the_page_looks_like(cells):
    loaded = load(cells, "f")
    assert loaded.function(3) == 6


@pytest.mark.parametrize(
    "cell",
    [
        "x = !ls",
        "%timeit -o f(1)",
        "!pip install \\\n  torch",
        "%matplotlib inline\ny = (7\n% 3)",
        "import asyncio\nawait asyncio.sleep(0)",
        3,
        ["def g", 3],
        {"no": "text"},
        "data = '" + "x" * 300_000 + "'",
    ],
    ids=lambda cell: str(cell)[:20],
)
def test_a_cell_that_python_does_not_know_harms_no_other(cell):
    cells = cells_of("a.ipynb", notebook(cell, DOUBLE).encode())
    assert load(cells, "f").function(3) == 6
    if isinstance(cell, str) and len(cell) < 100:
        assert load([f"{cell}\n{DOUBLE}"], "f").function(3) == 6


def test_an_await_at_the_top_is_waited_for():
    cells = ["async def two():\n    return 2", "k = await two()"]
    assert load([*cells, DOUBLE.replace("2", "k")], "f").function(3) == 6


@pytest.mark.parametrize(
    ("command", "defines"),
    [
        ("%%time", True),
        ("%%capture out", True),
        ("%%prun -q", True),
        ("%%writefile mine.py", False),
        ("%%script false", False),
        ("%%bash", False),
        ("%%timeit", False),
        ("%%html", False),
    ],
)
def test_what_ipython_would_not_define_does_not_count(command, defines):
    loaded = load([f"{command}\n{DOUBLE}"], "f")
    assert bool(loaded.function) is defines
    assert loaded.missing is not defines


@pytest.mark.parametrize(
    "cells",
    [
        ["k = []\nfor i in range(3):\n    k.append(i)", DOUBLE.replace("2", "k[2]")],
        ["def set_up():\n    global k\n    k = 2\nset_up()", DOUBLE.replace("2", "k")],
        [
            "known = {}\ndef register(g):\n    known[g.__name__] = g\n    return g",
            "@register\ndef mine(x):\n    return 2 * x",
            "f = known['mine']",
        ],
        [
            "from types import SimpleNamespace",
            "config = SimpleNamespace()\nsetattr(config, 'k', 2)",
            DOUBLE.replace("2", "config.k"),
        ],
        [
            "import torch\nfrom torch.nn import init\nk = torch.zeros(1)",
            "init.constant_(k, 2)",
            DOUBLE.replace("2", "k.item()"),
        ],
    ],
)
def test_what_is_worked_on_elsewhere_is_found_at_the_second_try(cells):
    elsewhere = ["print(f(1))", "while True: f(1)"]
    assert load([*cells, *elsewhere], "f").more
    loaded = load([*cells, *elsewhere], "f", whole=True)
    assert loaded.function(3) == 6
    assert not loaded.more
    assert not load([DOUBLE, *elsewhere], "f").more


def test_nothing_is_run_that_the_function_does_not_need():
    source = "import builtins\nbuiltins.marks = []\n"
    load([source, "builtins.marks.append(1)", "x = builtins.marks", DOUBLE], "f")
    import builtins

    assert not hasattr(builtins, "marks")


def test_a_line_that_fails_is_remembered_for_the_message():
    loaded = load(["import nothing_at_all as n", "def f(x):\n    return n.g(x)"], "f")
    assert loaded.function
    assert "No module named 'nothing_at_all'" in loaded.trouble
    assert loaded.trouble.startswith("cell 1, line 1")


@pytest.mark.parametrize(
    ("cells", "missing", "says"),
    [
        (["def dpo_los(x): pass"], True, "there is dpo_los: is its name right?"),
        (["def my_dpo_loss(x): pass"], True, "there is my_dpo_loss"),
        (["def entirely(x): pass"], True, "there is no function called dpo_loss"),
        (["dpo_loss = 3"], False, "dpo_loss is a int, not a function"),
        (["x = 1", "def dpo_loss(x):\nreturn 1"], False, "cell 2 cannot be read"),
        (["x = (", "y = 2"], True, "cell 1 cannot be read: '(' was never closed"),
        (["dpo_loss = torch.compile(g)"], False, "name 'torch' is not defined"),
        (["-" * 200_000 + "1"], False, "nested too deeply"),
        (["x = '\0'"], False, "null bytes"),
        (["return 3"], False, "outside function"),
    ],
)
def test_what_keeps_a_function_from_being_found_is_said(cells, missing, says):
    loaded = load(cells, "dpo_loss")
    assert loaded.function is None
    assert loaded.missing is missing
    assert says in loaded.trouble
