"""Small wrong versions of a function, made from its source, for checks to see."""

import ast
import copy
from collections.abc import Callable, Iterator
from itertools import combinations

SWAPS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
COMMUTING = ast.Add | ast.Mult | ast.BitAnd | ast.BitOr
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
RESULTS = {
    "detached": "({}).detach()",
    "as a float": "({}).sum().item()",
    "with a dimension more": "({})[None]",
    "negated": "-({})",
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


def _changes(node: ast.AST) -> Iterator[tuple[str, Callable]]:
    """What one node may become: a name, and what does it to such a node."""
    match node:
        case ast.BinOp(op=op) if type(op) in SWAPS:
            other = SWAPS[type(op)]
            name = f"{type(op).__name__} -> {other.__name__}"
            yield name, lambda n: setattr(n, "op", other())
            if not isinstance(op, COMMUTING):
                yield "operands swapped", _swap_operands
            yield "left operand alone", lambda n: _become(n, n.left)
            yield "right operand alone", lambda n: _become(n, n.right)
        case ast.UnaryOp(op=ast.USub()):
            yield "minus dropped", lambda n: _become(n, n.operand)
        case ast.Call(func=ast.Attribute(value=owner, attr=name)):
            for other in RELATIVES.get(name, ()):
                yield (
                    f"{name} -> {other}",
                    lambda n, a=other: setattr(n.func, "attr", a),
                )
            if not node.args and not node.keywords:
                yield f".{name}() dropped", lambda n: _become(n, n.func.value)
            if len(node.args) == 1 and isinstance(owner, ast.Name):
                yield f"{name} dropped", lambda n: _become(n, n.args[0])
            if len(node.args) == 2:
                yield "arguments swapped", lambda n: n.args.reverse()
        case ast.Return(value=ast.AST()):
            for what, pattern in RESULTS.items():
                yield f"result {what}", lambda n, p=pattern: _wrap(n, p)
            yield "nothing returned", lambda n: setattr(n, "value", None)
        case ast.Constant(value=int(number)) if type(number) is int:
            for new in (number + 1, number - 1):
                yield f"{number} -> {new}", lambda n, v=new: setattr(n, "value", v)
        case ast.Compare():
            yield "comparison turned", lambda n: setattr(n, "ops", [ast.LtE()])
        case ast.FunctionDef():
            names = [argument.arg for argument in node.args.args]
            for a, b in combinations(names, 2):
                yield f"{a} and {b} exchanged", lambda n, a=a, b=b: _exchange(n, a, b)
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
