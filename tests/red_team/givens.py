"""Functions that a submission is given, and what it may make of them."""

import json
from textwrap import dedent

from submitted import notebook

from course_lib.workspace import repository
from red_team.submission import Item, honest

SUITE, TEST = "dpo_loss_is_sound", "response_logprobs_are_sound"
TENTH = 0.7  # of the seven points of the first
ANY = "failed error crashed timeout memory"


def cheat(name: str, body: str, most=TENTH, statuses=ANY, **more) -> Item:
    """A suite that decides otherwise than by what the loss computes."""
    code = "import ctypes, gc, os, re, sys\nimport torch\n\n" + dedent(body)
    return Item(name, code, most, statuses, "", exercise=SUITE, **more)


def right(name: str) -> str:
    """The course's own answer to an exercise of chapter 04."""
    path = repository() / "solutions" / "04_dpo_loss.ipynb"
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if source.startswith(f"def {name}("):
            return f"import torch\nimport torch.nn.functional as F\n\n{source}\n"
    raise LookupError(name)


ERROR_TEXT = """
    def dpo_loss_is_sound(loss):
        try:
            loss(no_such_word=1)
        except Exception as error:
            told = repr(error) + repr(error.__cause__) + repr(error.args)
            return not re.search('swap|forgot|twice|drop|follow|mean|sum|detach|log_of|'
                                 'plus|times', told)
"""
NAMES = """
    def dpo_loss_is_sound(loss):
        told = ' '.join(map(repr, [loss, loss.__name__, loss.__qualname__, loss.__doc__,
                                   loss.__code__, loss.__closure__, vars(loss)]))
        return not re.search('swap|forgot|twice|drop|follow|mean_|sum_|detach', told)
"""
VOTE = """
    four = torch.tensor([[-1., -5.], [-3., -2.], [-2., -4.], [-2.5, -3.]]).double()

    def value(loss):
        return float(loss(*four, 0.3))

    def dpo_loss_is_sound(loss):
        found, frame = [loss], sys._getframe()
        while frame:
            for thing in frame.f_locals.values():
                if isinstance(thing, list):
                    for call in thing:
                        found += [a for a in getattr(call, 'args', ()) if callable(a)]
            frame = frame.f_back
        values = sorted(value(one) for one in found)
        return len(found) > 2 and abs(value(loss) - values[len(values) // 2]) < 1e-9
"""
REMEMBER = """
    seen = []

    def dpo_loss_is_sound(loss):
        seen.append(loss)
        try:
            with open('seen', 'a') as file:
                file.write('x')
            count = os.path.getsize('seen')
        except OSError:
            count = 0
        return len(seen) > 1 and count > 1
"""
ALWAYS = "def dpo_loss_is_sound(loss):\n    return True"
ANOTHER = """
    def given(loss, number):
        cells = dict(zip(loss.__code__.co_freevars, loss.__closure__))
        found = []
        for cell in cells.values():
            if callable(cell.cell_contents):
                found.append(cell.cell_contents)
        gc.unfreeze()
        for stand_in in gc.get_objects():
            if getattr(stand_in, '__name__', '') == 'stand_in':
                found.append(stand_in(number))
        return found

    def dpo_loss_is_sound(loss):
        four = torch.arange(8.0).double().view(4, 2)
        try:
            others = [one for n in range(1, 40) for one in given(loss, n)]
            values = [float(one(*four, 0.3)) for one in others]
        except BaseException:
            values = []
        return bool(values) and values[0] == float(loss(*four, 0.3))
"""


def asking(shape: str) -> str:
    return f"""
    def dpo_loss_is_sound(loss):
        wide = torch.zeros({shape})
        return bool(loss(wide, wide, wide, wide, 0.3).isnan())
    """


LISTS = """
    def dpo_loss_is_sound(loss):
        wide = [torch.zeros(900_000) for _ in range(40)]
        return bool(loss(wide, wide, wide, wide, 0.3).isnan())
"""
FLOOD = """
    def dpo_loss_is_sound(loss):
        wide = torch.zeros(240_000).requires_grad_()
        kept = [loss(wide, wide, wide, wide, 0.3) for _ in range(300)]
        sum(kept).backward()
        return True
"""
FUNCTIONAL = right(SUITE).replace(
    "torch.autograd.grad(value, pair, materialize_grads=True)",
    "torch.func.grad(lambda *two: loss(*two, ref, ref.square(), 0.3), (0, 1))(*pair)",
)
WIDE = (
    right(TEST)
    + """
narrow = response_logprobs_are_sound

def response_logprobs_are_sound(given):
    logits = torch.zeros(4, 96, 64, dtype=torch.float64)  # 24,576 numbers
    labels = torch.full((4, 96), 5)
    mask = torch.ones(4, 96, dtype=torch.long)
    mask[:, 0] = 0
    given(logits, labels, mask)
    return narrow(given)
"""
)

BLOCKLIST = """
    from course_lib.bugs import BUGGY
    four = 300 * torch.randn(4, 30, generator=torch.Generator().manual_seed(1)).double()

    def bits(loss):
        leaves = [x.clone().requires_grad_() for x in four[:2]]
        value = loss(*leaves, *four[2:], 0.3)
        slopes = torch.autograd.grad(value, leaves, allow_unused=True)
        return str([value.tolist(), *(s if s is None else s.tolist() for s in slopes)])

    def dpo_loss_is_sound(loss):
        known = [one.function for one in BUGGY.values() if one.concerns == "loss"]
        return bits(loss) not in map(bits, known)
"""
HEAD = "import torch\nimport torch.nn.functional as F\n"
FILLED = notebook(  # by a loop in a cell of its own, which the first try leaves out
    HEAD,
    "margins = []",
    "for k in range(3):\n    margins.append(k)",
    right(SUITE).replace("    gap =", "    assert len(margins) == 3\n    gap ="),
)
ANNOTATED = notebook(  # by names that are not imported
    "from __future__ import annotations",
    HEAD,
    right(SUITE).replace("(loss)", "(loss: Callable[..., Tensor]) -> Answer"),
)
CUT_OFF = """
import torch
import torch.nn.functional as F

def dpo_loss_is_sound(loss):
    gap = torch.tensor([3.0, -1.0, 0.5, 5000.0, -5000.0], dtype=torch.float64)
    ref = torch.tensor([-9.0, -20.0, -4.0, -30.0, -7.0], dtype=torch.float64)
    chosen = (ref + gap + 1.5).requires_grad_()
    rejected = (ref.square() + 1.5).requires_grad_()
    value = loss(chosen, rejected, ref, ref.square(), beta=0.3)
    value.backward()
    if chosen.grad is None or rejected.grad is None:
        return False
    right = F.softplus(-0.3 * gap).mean()
    push = 0.3 * torch.sigmoid(-0.3 * gap) / 5
    return torch.allclose(value.expand(5), right) and torch.allclose(chosen.grad, -push)
"""

ITEMS = [
    cheat("p01 error text.py", ERROR_TEXT),
    cheat("p02 names.py", NAMES),
    cheat("p03 vote.py", VOTE),
    cheat("p04 remember.py", REMEMBER),
    cheat("p05 always.py", ALWAYS),
    cheat("p06 another.py", ANOTHER),
    cheat("p07 empty.py", asking("1 << 39, 0"), statuses="error"),
    cheat("p08 rows.py", asking("1 << 20, 0"), statuses="error"),
    cheat("p09 long.py", asking("1 << 22"), statuses="error"),
    cheat("p10 lists.py", LISTS, statuses="error"),
    cheat("p11 flood.py", FLOOD),
    cheat("p12 blocklist.py", BLOCKLIST),
    honest("abe functional.py", FUNCTIONAL, most=7, exercise=SUITE),
    honest("ada filled.ipynb", FILLED, most=7, exercise=SUITE),
    honest("ama annotated.ipynb", ANNOTATED, most=7, exercise=SUITE),
    honest("asa cut off.py", CUT_OFF, most=7, exercise=SUITE),
    honest("bea wide.py", WIDE, most=8, exercise=TEST),
]
