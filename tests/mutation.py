"""Small wrong versions of a function, made from its source, for checks to see."""

import ast
import copy
from collections.abc import Iterator

SWAPS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
RELATIVES = {
    "logsigmoid": ("sigmoid", "softplus"),
    "sigmoid": ("tanh", "exp"),
    "mean": ("sum", "max", "min"),
    "sum": ("mean", "max"),
    "exp": ("log", "expm1"),
    "log": ("log1p", "exp"),
    "logcumsumexp": ("cumsum",),
    "maximum": ("minimum",),
    "sqrt": ("square",),
    "diagonal": ("sum",),
    "gather": ("take_along_dim",),
    "double": ("float",),
    "cat": ("hstack",),
    "index_add": ("index_copy",),
}


def mutants(source: str) -> Iterator[tuple[str, str]]:
    """Every single change of the first function in `source`: (what, new source)."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    for index, node in enumerate(nodes):
        for what, change in _changes(node):
            twin = copy.deepcopy(tree)
            change(list(ast.walk(twin))[index])
            text = ast.unparse(ast.fix_missing_locations(twin))
            if text != ast.unparse(tree):
                yield f"line {getattr(node, 'lineno', 0)}: {what}", text


def _changes(node: ast.AST) -> Iterator[tuple[str, callable]]:
    if isinstance(node, ast.BinOp) and type(node.op) in SWAPS:
        other = SWAPS[type(node.op)]
        yield (
            f"{type(node.op).__name__} -> {other.__name__}",
            lambda n: setattr(n, "op", other()),
        )
        yield "operands swapped", _swap_operands
        yield "left operand alone", lambda n: _become(n, n.left)
        yield "right operand alone", lambda n: _become(n, n.right)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "minus dropped", lambda n: _become(n, n.operand)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        name = node.func.attr
        for relative in RELATIVES.get(name, ()):
            yield (
                f"{name} -> {relative}",
                lambda n, r=relative: setattr(n.func, "attr", r),
            )
        if not node.args and not node.keywords:
            yield f".{name}() dropped", lambda n: _become(n, n.func.value)
        if len(node.args) == 1 and isinstance(node.func.value, ast.Name):
            yield f"{name} dropped", lambda n: _become(n, n.args[0])
        if len(node.args) == 2:
            yield "arguments swapped", lambda n: n.args.reverse()
    if isinstance(node, ast.Return) and node.value is not None:
        yield "result detached", lambda n: _wrap(n, "({}).detach()")
        yield "result as a float", lambda n: _wrap(n, "({}).sum().item()")
        yield "result with a dimension more", lambda n: _wrap(n, "({})[None]")
        yield "result negated", lambda n: _wrap(n, "-({})")
        yield "nothing returned", lambda n: setattr(n, "value", None)
    if isinstance(node, ast.Constant) and type(node.value) is int:
        for new in (node.value + 1, node.value - 1):
            yield f"{node.value} -> {new}", lambda n, v=new: setattr(n, "value", v)
    if isinstance(node, ast.Compare):
        yield "comparison turned", lambda n: setattr(n, "ops", [ast.LtE()])
    if isinstance(node, ast.FunctionDef):
        names = [argument.arg for argument in node.args.args]
        for i, first in enumerate(names):
            for second in names[i + 1 :]:
                yield (
                    f"{first} and {second} exchanged",
                    lambda n, a=first, b=second: _exchange(n, a, b),
                )
        for name in names:
            yield f"{name} detached", lambda n, a=name: _detach(n, a)


def _become(node: ast.AST, other: ast.AST):
    node.__class__ = other.__class__
    node.__dict__ = other.__dict__


def _swap_operands(node: ast.BinOp):
    node.left, node.right = node.right, node.left


def _wrap(node: ast.Return, pattern: str):
    text = pattern.format(ast.unparse(node.value))
    node.value = ast.parse(text, mode="eval").body


def _exchange(function: ast.FunctionDef, first: str, second: str):
    names = {first: second, second: first}
    for statement in function.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name):
                node.id = names.get(node.id, node.id)


def _detach(function: ast.FunctionDef, name: str):
    line = ast.parse(f"{name} = {name}.detach()").body[0]
    function.body.insert(1, line)  # after the docstring
