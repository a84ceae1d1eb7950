"""Honest submissions in every shape that learners hand in: all of them full marks."""

from textwrap import dedent, indent

from submitted import LOSS, notebook, old_notebook, put, zipped

from course_lib.workspace import repository
from red_team.submission import Item, honest, swapped

STARTER = """\
def dpo_loss(pw, pl, rw, rl, beta):
    \"\"\"Mean over pairs of −log σ(βh).\"\"\"
    # YOUR CODE HERE
    raise NotImplementedError
"""
SPLIT = """\
def dpo_loss(pw, pl, rw, rl, beta):
    return mean_loss(beta * gap(pw - rw, pl - rl))
"""
HELPERS = """\
import torch.nn.functional as F
def gap(u, v):
    return u - v
def mean_loss(margin):
    return -F.logsigmoid(margin).mean()
"""
NOISE = """\
data = open("my_runs.csv").read()
plt.plot([float(x) for x in data.split()])
1 / 0
"""


def first(code: str) -> str:
    """The right loss, with something done before it answers."""
    return LOSS.replace("    return", indent(dedent(code), "    ") + "\n    return")


def solution(path, _):
    path.write_bytes((repository() / "solutions" / "04_dpo_loss.ipynb").read_bytes())


def in_a_folder(path, _):
    put(path, {"mine.py": LOSS, "photo.png": b"\x89PNG"})


PROBABILITY = """\
import torch
def preference_probability(chosen, rejected):
    return torch.sigmoid(chosen - rejected)
"""
TWO_CLASSES = """\
from __future__ import annotations
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
import torch.nn.functional as F
if TYPE_CHECKING:
    from jaxtyping import Float

class Ratios(NamedTuple):
    u: Float
    v: Float

@dataclass(frozen=True)
class Loss:
    beta: float
    def __call__(self, ratios: Ratios) -> Float:
        return -F.logsigmoid(self.beta * (ratios.u - ratios.v)).mean()

def dpo_loss(pw: Float, pl: Float, rw: Float, rl: Float, beta: float) -> Float:
    return Loss(beta)(Ratios(pw - rw, pl - rl))
"""
PLOTS = """\
import matplotlib.pyplot as plt
plt.style.use("ggplot")
"""
FLOAT32 = """\
import torch
torch.set_default_dtype(torch.float32)
ONE = torch.tensor(1.0)
"""
CLASS = """\
class dpo_loss:
    def __new__(cls, *given, **named):
        return run(*given, **named)
"""
LAMBDA = """\
import torch.nn.functional as F
dpo_loss = lambda a, b, c, d, beta: -F.logsigmoid(beta * ((a - c) - (b - d))).mean()
"""
PARTIAL = """\
from functools import partial
import torch.nn.functional as F
def loss(sign, pw, pl, rw, rl, beta):
    return -F.logsigmoid(sign * beta * ((pw - rw) - (pl - rl))).mean()
dpo_loss = partial(loss, 1)
"""
LOOP = """\
import torch.nn.functional as F
signs = []
for sign in (1, -1, -1, 1):
    signs.append(sign)
def dpo_loss(*given):
    *four, beta = given
    return -F.logsigmoid(beta * sum(s * x for s, x in zip(signs, four))).mean()
"""
SET_UP = """\
import torch.nn.functional as F
def set_up():
    global log_of_sigmoid
    log_of_sigmoid = F.logsigmoid
set_up()
"""
REGISTERED = """\
import torch.nn.functional as F
losses = {}
def register(loss):
    losses[loss.__name__] = loss
    return loss
@register
def mine(pw, pl, rw, rl, beta):
    return -F.logsigmoid(beta * ((pw - rw) - (pl - rl))).mean()
dpo_loss = losses["mine"]
"""
SET_LATER = """\
import torch.nn.functional as F
class Settings:
    sign = 1
settings = Settings()
setattr(settings, "sign", -1)
def dpo_loss(pw, pl, rw, rl, beta):
    return settings.sign * F.logsigmoid(beta * ((pw - rw) - (pl - rl))).mean()
"""
IN_PLACE = """\
import torch
import torch.nn.functional as F
from torch import nn
weights = torch.empty(4, dtype=torch.float64)
nn.init.constant_(weights, 1.0)
def dpo_loss(pw, pl, rw, rl, beta):
    a, b, c, d = weights.to(pw.dtype)
    return -F.logsigmoid(beta * ((a * pw - b * rw) - (c * pl - d * rl))).mean()
"""
COMMANDS = """\
files = !ls
%timeit -o sum(range(9))
!pip install \\
    torch
nine = (59
% 10)
"""
SLOW = "import time\n" + LOSS.replace("    return", "    time.sleep(0.02)\n    return")
MAIN = """\
if __name__ == "__main__":
    import sys
    sys.exit(print("done"))
"""

TORCH = "import torch\n" + LOSS.replace("F.", "torch.nn.functional.")
HELPED = """\
import torch.nn.functional as F
def margin(a, b, c, d):
    return (a - c) - (b - d)
def dpo_loss(a, b, c, d, beta):
    return -F.logsigmoid(beta * margin(a, b, c, d)).mean()
"""
FUTURE = """\
from __future__ import annotations
import torch
import torch.nn.functional as F
from dataclasses import dataclass
"""
PAIR = """\
@dataclass
class Pair:
    w: torch.Tensor
    l: torch.Tensor
    def __sub__(self, other: Pair) -> 'Pair':
        return Pair(self.w - other.w, self.l - other.l)
"""
PAIRED = """\
def gap(one, other):
    both = one - other
    return both.w - both.l
def dpo_loss(a, b, c, d, beta):
    return -F.logsigmoid(beta * gap(Pair(a, b), Pair(c, d))).mean()
"""
AS_MAIN = """\
import torch.nn.functional as F
if __name__ == "__main__":
    SIGN = -1
def dpo_loss(a, b, c, d, beta):
    display(beta)
    return SIGN * F.logsigmoid(beta * ((a - c) - (b - d))).mean()
"""
SAVED = """\
import time
def experiment():
    time.sleep(60)
    return torch.ones(1)
torch.save(experiment(), "run.pt")
"""
LAZY = """\
import tempfile, torch
import torch.nn.functional as F
def dpo_loss(a, b, c, d, beta):
    import torch._dynamo
    open(tempfile.mktemp(), "w").write("note")
    return -F.logsigmoid(beta * ((a - c) - (b - d))).mean()
"""

ITEMS = [
    honest("anna.py", LOSS),
    honest("ben.ipynb", solution),
    honest("cleo helpers below.ipynb", notebook(SPLIT, HELPERS)),
    honest("dora starter below.ipynb", notebook(LOSS, "dpo_loss", STARTER)),
    honest("emil crlf.py", LOSS.replace("\n", "\r\n").encode()),
    honest("fay bom.py", LOSS.encode("utf-8-sig")),
    honest("gus utf-16.py", LOSS.encode("utf-16")),
    honest("hal latin.py", b"# coding: latin-1\n# caf\xe9\n" + LOSS.encode()),
    honest(
        "ida magics.ipynb",
        notebook(f"%matplotlib inline\n!pip list\n{LOSS}?dpo_loss", "%%time\ntrain()"),
    ),
    honest("jon talks.py", first("print('margin', beta * pw, '!' * 9999)")),
    honest("kim plots.py", PLOTS + first("plt.close('all')")),
    honest("leo noisy.ipynb", notebook(NOISE, LOSS, NOISE, "get_ipython().run('x')")),
    honest("mia float32.py", FLOAT32 + LOSS.replace("(beta *", "(ONE * beta *")),
    honest("ned keeps a note.py", first("open('note.txt', 'a').write('called')")),
    honest("oda class.py", LOSS.replace("def dpo_loss(", "def run(") + CLASS),
    honest("pia lambda.py", LAMBDA),
    honest("quin partial.py", PARTIAL),
    honest(
        "rob.zip",
        zipped({"__MACOSX/._mine.py": b"\x00\x05\x16", "chapter 4/mine.py": LOSS}),
    ),
    honest("sue", in_a_folder),
    honest("tim annotations.py", TWO_CLASSES),
    honest("uwe old.ipynb", old_notebook(LOSS, "dpo_loss?")),
    honest("vera main.py", LOSS + MAIN),
    honest("will.py", PROBABILITY, most=10, exercise="preference_probability"),
    honest("amy loop.py", LOOP),
    honest(
        "bel set up.ipynb",
        notebook(SET_UP, LOSS.replace("F.logsigmoid", "log_of_sigmoid")),
    ),
    honest("cat registered.py", REGISTERED),
    honest("dan set later.py", SET_LATER),
    honest("eli in place.py", IN_PLACE),
    honest("flo commands.ipynb", notebook(COMMANDS + LOSS)),
    honest(
        "gil awaits.ipynb", notebook("import asyncio\nawait asyncio.sleep(0)", LOSS)
    ),
    honest("hew one bad cell.ipynb", notebook("x = (", LOSS, "d = '" + "x" * 300_000)),
    honest("ivy timed.ipynb", notebook(f"%%time\n{LOSS}")),
    honest("jay slow.py", SLOW),
    # the page has gone on after `check`
    honest("abby helper renamed.ipynb", notebook(HELPED, "def margin(a):\n    pass")),
    honest("bob overwritten.ipynb", notebook(LOSS, "dpo_loss = dpo_loss(*[[0.]] * 4)")),
    honest("cyd compared.ipynb", notebook(LOSS, "from course_lib import dpo_loss")),
    honest("dot no grad.ipynb", notebook(TORCH, "torch.set_grad_enabled(False)")),
    # as a notebook reads its cells
    honest("elm two commands.ipynb", notebook(f"%%time\n%%capture\n!ls\n{LOSS}")),
    honest("fox converted.py", f"get_ipython().run_cell_magic('time', '', {LOSS!r})"),
    honest("guy future.ipynb", notebook(FUTURE, PAIR, PAIRED)),
    honest(
        "ian upside down.ipynb", notebook(PAIRED, PAIR.replace(": Pair", ""), FUTURE)
    ),
    honest("jan main.ipynb", notebook(AS_MAIN)),
    honest("kay saves.ipynb", notebook(TORCH, SAVED)),
    honest("lou lazy.py", LAZY),
    Item(
        "kit written.ipynb",
        notebook(f"%%writefile mine.py\n{LOSS}"),
        0,
        "missing",
        "no function",
    ),
    Item("lea script.ipynb", notebook(f"%%script false\n{LOSS}"), 0, "missing", "no"),
    honest("xena.ipynb", solution, most=7, exercise="dpo_loss_is_sound"),
    # not hostile either: what every cheat below would get without its tricks
    Item("yuri swapped.py", swapped(), says="rejected minus chosen", least=0.1),
    Item("zoe starter.py", STARTER, 0, "not_attempted", "handed out"),
]
