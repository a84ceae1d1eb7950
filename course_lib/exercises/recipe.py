"""A right answer in named steps, and the mistakes that can be made with one of them.

Steps are lines of Python, `gap = u - v  # the gap`, with what to call them in a
sentence. A fault puts other steps in the place of some. So whatever follows a mistake
need not be written again, two mistakes at once are found without a line, and the plain
slips (a sign, a factor, an argument left out) are made for every step.
"""

import ast
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from textwrap import dedent
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Fault", "Recipe", "blocks", "sentences", "slips"]

KNOWN = {"torch": torch, "F": F, "logsigmoid": F.logsigmoid, "relu": F.relu}
OF_TORCH = "exp log logsumexp sigmoid softmax sqrt stack where xlogy"
KNOWN |= {name: getattr(torch, name) for name in OF_TORCH.split()}


class Fault(NamedTuple):
    """Steps done otherwise, what to say of it, and a name for reports."""

    name: str
    says: str
    steps: dict[str, Callable]


class Recipe:
    r"""The steps from an exercise's arguments to its result, the last step's value.

    text: short names for the exercise's arguments, in their order, parted by blanks
        (those at the end that no step reads are left out), and a colon; then the steps,
        a line each, `name = expression  # what to call it`
    known: what else expressions may use, beside torch, F and functions of theirs

    >>> gap = Recipe("a b: h = a - b  # the gap")
    >>> loss = gap | Recipe("h: loss = h * h  # the loss")
    >>> [twisted] = loss.faults("added: h = a + b\n    the sum, not the difference")
    >>> loss.function()(5, 2), loss.function(twisted)(5, 2), twisted.says
    (9, 49, 'the sum, not the difference')
    """

    def __init__(self, text: str, **known: Any):
        arguments, _, steps = text.partition(":")
        self.arguments, self.known = arguments.split(), KNOWN | known
        self.steps: dict[str, Callable] = {}
        self.code: dict[str, str] = {}
        self.called: dict[str, str] = {}
        for line in filter(None, map(str.strip, steps.splitlines())):
            code, words = line.split("  # ")
            name, expression = code.split(" = ", 1)
            self.called[name] = words.strip()
            self.code[name] = expression
            self.steps[name] = self.step(expression)

    def __or__(self, other: "Recipe") -> "Recipe":
        """The steps of both, in turn: the second reads what the first has made."""
        made = {*self.arguments, *self.steps}
        added = [name for name in other.arguments if name not in made]
        both = Recipe(" ".join(self.arguments + added), **(self.known | other.known))
        both.called = self.called | other.called
        both.code = self.code | other.code
        both.steps = self.steps | other.steps
        return both

    def faults(self, text: str) -> list[Fault]:
        """Of each fault a line `name: step = expression; …`, and its sentence below.

        They are read as `sentences` are.
        """
        found = []
        for head, says in sentences(text):
            name, code = head.split(": ", 1)
            steps = (part.split(" = ", 1) for part in code.split("; "))
            steps = {step: self.step(expression) for step, expression in steps}
            if unknown := steps.keys() - self.steps.keys():
                raise ValueError(f"{name!r} names no step of its recipe: {unknown}")
            if not says:
                raise ValueError(f"{name!r} has no sentence below it")
            found.append(Fault(name, says, steps))
        return found

    def values(self, args: Sequence[Any], *faults: Fault) -> dict[str, Any]:
        """Every argument and step by its name."""
        instead = {name: step for f in faults for name, step in f.steps.items()}
        made = dict(zip(self.arguments, args, strict=False))
        for name, step in self.steps.items():
            step = instead.get(name, step)
            made[name] = step(*(made[need] for need in needs(step)))
        return made

    def function(self, *faults: Fault) -> Callable:
        """The whole as one function of all arguments, with these faults in it."""
        return lambda *args: list(self.values(args, *faults).values())[-1]

    def step(self, expression: str) -> Callable:
        """A function of the names that an expression reads."""
        names = (
            n.id for n in ast.walk(ast.parse(expression)) if isinstance(n, ast.Name)
        )
        read = ", ".join(dict.fromkeys(n for n in names if n not in self.known))
        return eval(f"lambda {read}: {expression}", self.known)


def blocks(text: str) -> list[list[str]]:
    """Its lines, each that is not indented with those below it that are."""
    parts = re.split(r"\n(?=\S)", dedent(text).strip())
    return [[*filter(str.strip, part.splitlines())] for part in parts]


def sentences(text: str) -> Iterator[tuple[str, str]]:
    r"""Each line at the margin, and the sentence below it, or "".

    Lines of a sentence are indented by four, further ones of what it is about by eight.

    >>> dict(sentences("one\n        and\n    say\n    this\ntwo"))
    {'one and': 'say this', 'two': ''}
    """
    for head, *lines in blocks(text):
        more = [line for line in lines if line.startswith(" " * 8)]
        says = " ".join(line.strip() for line in lines if line not in more)
        yield " ".join([head, *map(str.strip, more)]), says


class _Slip(NamedTuple):
    """A step of other needs, or of needs that were changed on their way."""

    needs: tuple[str, ...]
    step: Callable

    def __call__(self, *values: Any) -> Any:
        return self.step(*values)


def needs(step: Callable) -> tuple[str, ...]:
    """The names that a step reads: its parameters."""
    if isinstance(step, _Slip):
        return step.needs
    return step.__code__.co_varnames[: step.__code__.co_argcount]


AFTER: dict[str, Callable[[Any], Any]] = {  # what may be done to the value of a step
    "{} with its sign turned": torch.neg,
    "{} multiplied by 2": lambda x: 2 * x,
    "{} divided by 2": lambda x: x / 2,
    "{} squared": lambda x: x * x,
}
INSIDE: dict[str, Callable[[Any], Any]] = {  # and to one that others follow
    "the mean of {} over the batch, taken too early": lambda x: x.mean(),
    "e to the power of {}": torch.exp,
    "the logarithm of {}": torch.log,
    "{} detached: no gradient comes back through it": lambda x: x.detach(),
    "σ of {}": torch.sigmoid,
    "{} without its sign": torch.abs,
}
BEFORE: dict[str, Callable[[Any], Any]] = {  # what may be done to what a step reads
    "{1} left out of {0}": lambda x: _left_out(x),
    "1/{1} in place of {1}, in {0}": lambda x: 1 / _measured(x),
    "{1} squared, in {0}": lambda x: _measured(x) ** 2,
    "{1} with its sign turned, in {0}": lambda x: -x,
    "{1} detached in {0}: no gradient reaches it": lambda x: x.detach(),
    "the logarithm of {1} forgotten or added, in {0}": lambda x: x.log(),
    "e to the power of {1}, in {0}": lambda x: x.exp(),
}


def slips(recipe: Recipe, names: Mapping[str, str]) -> Iterator[Fault]:
    """The plain slips, at each place of a recipe where they can be made.

    names: the arguments as the exercise calls them, by their short names
    """
    called, last = recipe.called | names, list(recipe.steps)[-1]
    for name, step in recipe.steps.items():
        read, what = needs(step), called[name]

        def slip(says: str, step: Callable, *read: str, name=name) -> Fault:
            return Fault(f"slip: {says}", says, {name: _Slip(read, step)})

        for place, need in enumerate(read):
            for says, change in BEFORE.items():
                changed = _changed(step, place, change)
                yield slip(says.format(what, called[need]), changed, *read)
        for says, change in (AFTER if name == last else AFTER | INSIDE).items():
            yield slip(says.format(what), _then(step, change), *read)
        for says, expression in _twisted(recipe.code[name]):
            twisted = recipe.step(expression)
            yield slip(says.format(what), twisted, *needs(twisted))
        for i, j in itertools.combinations(range(len(read)), 2):
            order = list(read)
            order[i], order[j] = order[j], order[i]
            both = f"{called[read[i]]} and {called[read[j]]}"
            yield slip(f"{both} exchanged, in {what}", step, *order)
        unread = [name for name in recipe.arguments if name not in read]
        given = [place for place, need in enumerate(read) if need in names]
        for place, other in itertools.product(given, unread):
            order = [*read[:place], other, *read[place + 1 :]]
            says = f"{called[other]} in place of {called[read[place]]}, in {what}"
            yield slip(says, step, *order)
    for one, other in itertools.combinations(names, 2):
        turn = {one: other, other: one}
        steps = {
            name: _Slip(tuple(turn.get(need, need) for need in needs(step)), step)
            for name, step in recipe.steps.items()
            if {one, other} & {*needs(step)}
        }
        says = f"{names[one]} and {names[other]} exchanged"
        yield Fault(f"slip: {says}", says, steps)


OPERATORS = {  # the other one, and what to say of it
    ast.Add: (ast.Sub, "a minus in place of a plus, in {}"),
    ast.Sub: (ast.Add, "a plus in place of a minus, in {}"),
    ast.Mult: (ast.Div, "divided where it must be multiplied, in {}"),
    ast.Div: (ast.Mult, "multiplied where it must be divided, in {}"),
    ast.Pow: (ast.Mult, "multiplied where it must be raised to a power, in {}"),
}


def _twisted(code: str) -> Iterator[tuple[str, str]]:
    """An expression with one operator, operand or number changed, or without a call."""
    nodes = list(ast.walk(ast.parse(code, mode="eval")))
    given = [arg for node in nodes if isinstance(node, ast.Call) for arg in node.args]
    given += [arg.operand for arg in given if isinstance(arg, ast.UnaryOp)]
    for place, node in enumerate(nodes):
        tree = ast.parse(code, mode="eval")
        twin = list(ast.walk(tree))[place]
        match node:
            case ast.BinOp(op=op) if type(op) in OPERATORS:
                other, says = OPERATORS[type(op)]
                twin.op = other()
                yield says, ast.unparse(tree)
                for kept in (node.left, node.right):
                    twin.__class__, twin.__dict__ = kept.__class__, dict(vars(kept))
                    yield "one part of {} alone, the other left out", ast.unparse(tree)
            case ast.Constant(value=int(number)):
                for value, word in ((number + 1, "large"), (number - 1, "small")):
                    twin.value = value
                    says = f"a number one too {word}, in {{}}"
                    says = "another dimension, in {}" if node in given else says
                    yield says, ast.unparse(tree)
            case ast.Call(func=ast.Name(id=function), args=[inner, *_]):
                twin.__class__, twin.__dict__ = inner.__class__, dict(vars(inner))
                yield f"{function} left out of {{}}", ast.unparse(tree)


def _then(step: Callable, change: Callable) -> Callable:
    return lambda *values: change(step(*values))


def _changed(step: Callable, place: int, change: Callable) -> Callable:
    return lambda *v: step(*v[:place], change(v[place]), *v[place + 1 :])


def _measured(value: Any) -> Any:
    """A number or floats: nobody divides by a mask, or squares an index."""
    if isinstance(value, Tensor) and not value.is_floating_point():
        raise TypeError("places and marks are no quantities")
    return value


def _left_out(value: Any) -> Any:
    """Zeros for a tensor of floats, ones for counts and a mask, 1 for a number."""
    if not isinstance(value, Tensor):
        return 1.0
    return torch.zeros_like(value) if value.is_floating_point() else value**0
