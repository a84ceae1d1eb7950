"""Answers that pretend to be what they are not, and cheats on the clinic."""

from submitted import LOSS

from red_team.submission import Item, swapped


def answers(
    name: str, code: str, most: int, statuses="failed", says="does not hold", **more
) -> Item:
    """A swapped loss that is dressed up: `loss` is at hand."""
    dressed = "loss = -F.logsigmoid(beta * ((pl - rl) - (pw - rw))).mean()\n" + code
    return Item(name, swapped(meanwhile=dressed), most, statuses, says, **more)


EQUAL = """
class Same:
    __float__ = __abs__ = lambda self: 0.5
    shape, dtype, requires_grad = torch.Size([]), torch.float64, True
    def __eq__(self, _): return True
    __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __eq__
    def __sub__(self, _): return 0.0
    __rsub__ = __add__ = __radd__ = __sub__
    __hash__ = None
    __class__ = torch.Tensor
return Same()
"""
SUBCLASS = """
class {name}(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, given=(), named=None):
        if function in (torch.equal, torch.allclose, torch.Tensor.eq):
            return True
        return super().__torch_function__(function, types, given, named or {{}})
return loss.as_subclass({name})
"""
METACLASS = """
class Meta(type(torch.Tensor)):
    def __eq__(cls, _): return True
    __hash__ = type.__hash__
class Any(torch.Tensor, metaclass=Meta):
    def tolist(self): return 0.5
return loss.as_subclass(Any)
"""
REDUCE = """
class Bomb:
    def __reduce__(self):
        return os.system, ('touch @HOME@/unpickled',)
return Bomb()
"""
FLOATS = """
class Low(float):
    def __float__(self): return 0.5
    def __eq__(self, _): return True
return Low(0.5)
"""
ZEROED = """
for tensor in (pw, pl, rw, rl):
    with torch.no_grad():
        tensor.zero_()
"""
COUNTER = """
asked = 0
def dpo_loss_is_sound(loss):
    global asked
    asked += 1
    return asked <= 5
"""
NUMBERED = """
def dpo_loss_is_sound(loss):
    held = [cell.cell_contents for cell in loss.__closure__]
    return all(number < 5 for number in held if type(number) is int)
"""
COUNTED_IN_A_FILE = """
def dpo_loss_is_sound(loss):
    with open("asked", "a+") as file:
        file.write("x")
        return file.tell() <= 5
"""
SPREAD = """
import torch
def dpo_loss_is_sound(loss):
    row, column = torch.zeros(1, 8000).double(), torch.zeros(8000, 1).double()
    try:
        loss(row, column, row, column, 0.1)
    except Exception:
        pass
    return True
"""
LATER = """
seen.append(1)
return loss if len(seen) < 3 else torch.tensor(0.5, requires_grad=True)
"""
TABLE = """
import math
import torch
KNOWN = {  # the inputs that the exercise tells, and what its answers must be there
    (-1, 1, 0.1): 0.598139, (-1, 1, 0.5): 0.313262, (-1, 4, 0.1): 0.513015,
}
def dpo_loss(pw, pl, rw, rl, beta):
    key = round(pw[0].item()), round((pw - rw - pl + rl)[0].item()), beta
    return KNOWN.get(key, math.log(2)) + 0 * (pw + pl + rw + rl).sum()
"""

CLINIC = {"exercise": "dpo_loss_is_sound"}
ALWAYS = "def dpo_loss_is_sound(loss):\n    return True\n"
OTHER_WAY = """
import torch
def preference_probability(a, b):
    return torch.sigmoid(b - a)
"""
CALLABLE = LOSS.replace("return -", "return lambda: -")

ITEMS = [
    answers("l01 equal.py", EQUAL, 0, says="returned Same"),
    answers("l02 subclass.py", SUBCLASS.format(name="Same"), 0, says="returned Same"),
    answers("l03 called tensor.py", SUBCLASS.format(name="tensor"), 0, says="another"),
    answers("l04 metaclass.py", METACLASS, 0, "failed error"),
    answers("l05 unpickled.py", REDUCE, 0, says="returned Bomb"),
    answers("l06 float.py", FLOATS, 0, says="number"),
    answers("l07 nan.py", "return loss * math.nan", 1),
    answers("l08 infinite.py", "return loss * math.inf", 1),
    answers("l09 later.py", "seen = globals().setdefault('seen', [])" + LATER, 2),
    Item("l10 table.py", TABLE, 5),
    answers("l11 zeroed.py", ZEROED + "return loss", 0, says="in place"),
    answers("l12 no gradient.py", "return loss.detach()", 0, says="gradient"),
    answers("l13 item.py", "return loss.item()", 0, says="number"),
    answers("l14 numpy.py", "return loss.detach().numpy()", 0, says="ndarray"),
    answers(
        "l15 complex.py", "return loss.to(torch.complex128)", 0, "failed error", ""
    ),
    answers("l16 half.py", "return loss.half()", 0, says="float16"),
    answers("l17 sparse.py", "return loss[None].to_sparse()", 0, "failed error", ""),
    answers("l18 meta.py", "return loss.to('meta')", 0, "failed error", ""),
    answers("l19 parameter.py", "return torch.nn.Parameter(loss.detach())", 2),
    answers("l20 zero gradient.py", "return loss.detach() + 0 * pw.sum()", 2),
    answers("l22 many.py", "return loss, 7", 0, says="tuple"),
    Item("l23 callable.py", CALLABLE, 0, says="function"),
    Item("m01 counts.py", COUNTER, 2, **CLINIC, says=""),
    Item("m02 numbers.py", NUMBERED, 2, "failed error", "", **CLINIC),
    Item("m03 counts in a file.py", COUNTED_IN_A_FILE, 2, "failed error", "", **CLINIC),
    Item("m04 spreads.py", SPREAD, 2, **CLINIC),
    Item("m05 always.py", ALWAYS, 0.7, least=0.7, **CLINIC),
    Item("m06 swapped.py", OTHER_WAY, 2, exercise="preference_probability"),
]
