"""The probable cause of an error that a learner's function raised."""

import re

from course_lib.exercises.recipe import sentences

__all__ = ["cause"]

# Patterns of an error's type and message, and what to say: {0} is the first group. One
# without a sentence has the next one's
TEXT = r"""
NameError: name '(\w+)'
    nothing is called `{0}` here: is it misspelt, or defined further down or in a cell
    that did not run?
UnboundLocalError: .*'(\w+)'
    `{0}` is read before it is set, on one way through the function
TypeError: .*unexpected keyword argument '(\w+)'
    the function, or one that it calls, has no argument `{0}`: keep the first line, `def
    …`, as it was handed out
TypeError: .*(missing|takes) \w+ (required )?positional argument
    a call with too few or too many arguments: keep the first line, `def …`, as it was
    handed out
TypeError: (?:\w+\(\): argument '\w+' )?.*must be Tensor, not (\w+)
    torch's functions want tensors, and this is a plain number ({0}): use `math` for
    numbers, or an operator such as * and **
TypeError: unsupported operand type\(s\) for .*'NoneType'
    a value is None: is `return` missing in a helper, or an optional argument not looked
    at?
TypeError: unsupported operand type\(s\) for .*'str'
    a word where a number is wanted: are two arguments exchanged?
TypeError: '(\w+)' object is not callable
    parentheses after a {0}
AttributeError: '(?:builtin_function_or_method|method|function)' object
    a function where its value is wanted: are its parentheses missing?
TypeError: '(\w+)' object is not subscriptable
    square brackets after a {0}, which has no entries
AttributeError: '(float|int|bool)' object has no attribute '(\w+)'
    a plain number ({0}) has no .{1}(): `math` has functions for numbers; or was it a
    tensor before .item() or float()?
AttributeError: .*module 'torch\S*' has no attribute '(\w+)'
    torch has no `{0}`: is it in torch.nn.functional (F), or called otherwise?
AttributeError: 'Tensor' object has no attribute '(\w+)'
    a tensor has no .{0}: is it a function of torch, or called otherwise there?
_LinAlgError: .*singular
    a singular matrix, which has no inverse: is something left free that must be held
    fixed, such as the first item's score?
RuntimeError: linalg.*square matri
    a matrix that is not square: rows and columns have to be cut alike
RuntimeError: zero-dimensional tensor .* cannot be concatenated
    a single number where a row of numbers is joined: was it summed away?
RuntimeError: .*does not require grad
    a gradient is asked for where requires_grad_() was forgotten or cut off
RuntimeError: grad can be implicitly created only for scalar
    a gradient is that of one number: sum or average first
TypeError: .*(Tensor as element|tuple of Tensors)
    a list of tensors is wanted, and there is a plain number in it, or none
TypeError: .*(concatenate list|'list')
    a Python list where a tensor is wanted: torch.tensor(…) makes one
RuntimeError: Index tensor must have the same number of dimensions
    gather wants an index with as many dimensions as its tensor: `index.unsqueeze(-1)`,
    and `.squeeze(-1)` afterwards
RuntimeError: shape mismatch: value tensor
    what is written does not fit the places that are picked: pick the same places on the
    right of the =
(?:RuntimeError|ValueError): .*(size of tensor|be broadcast together|shapes? cannot be)
(?:RuntimeError|ValueError): .*(must match|not broadcast|same number of dimensions)
(?:RuntimeError|ValueError): .*(equal size|Expected target size|at least 1D)
(?:RuntimeError|ValueError): .*(inconsistent tensor size|vector.*expected|expanded size)
(?:RuntimeError|ValueError): .*(Size does not match|expected index)
    two tensors whose shapes do not go together: print both; keepdim=True keeps a
    dimension that is summed away, and [:, None] adds one
RuntimeError: .*(same (scalar type|dtype)|dtypes? to match)
    two tensors of different dtypes: make a new one by `x.new_zeros(…)`, or with
    `dtype=x.dtype`
AttributeError: '(\w+)' object has no attribute '(\w+)'
    a {0} has no .{1}: is it what you take it for? Print it, and its type
RuntimeError: .*not implemented for '(Long|Int|Bool)'
    whole numbers where floats are wanted: is it the right argument?
TypeError: .*'torch\.return_types\.(\w+)'
    .{0}(…) over a dimension gives values and places: take its `.values`
RuntimeError: .*modified by an inplace operation
    a tensor is overwritten after its values were used, and the gradient needs them:
    make a new one (a method whose name ends in _ writes into its tensor)
RuntimeError: .*(expected|dtype) .*\b(Long|int64|int)\b
    places must be whole numbers (`.long()`), and values floats
RuntimeError: .*Boolean value of Tensor
    an `if`, `and` or `max(…)` on a tensor of several entries: torch.where and
    torch.maximum work entry by entry
RuntimeError: .*Can't call numpy\(\)
    numpy knows no gradients: stay with torch's functions
RuntimeError: a view of a leaf Variable|RuntimeError: a leaf Variable
    it writes into its input, which must stay as it is: make a new tensor
IndexError: Dimension out of range
    a dimension that the tensor does not have: dim=-1 is the last of any
IndexError: .*(out of bounds|out of range)
    an index past the end: how many entries are there? x[places] picks whole rows of x;
    x.gather(-1, places) picks within each row
IndexError: shape mismatch: indexing
    lists of places that do not go together: one place for each row and column takes the
    rows as [:, None], or gather
ValueError: .*strides? .*negative
    numpy's [::-1], which torch does not take: x.flip(dim) is torch's own
IndexError: too many indices
    more indices than the tensor has dimensions: a single row has no batch
RuntimeError: Subtraction, the `-` operator, with a bool
    1 − a mask of True and False: write ~mask, or make numbers of it by .float()
(?:RuntimeError|NotImplementedError): .*derivative for \S*floor_divide
    // rounds down, and has no derivative: / divides
(?:RuntimeError|NotImplementedError): .*derivative for \S*?(\w+)\W* is not
    {0} has no derivative, and a gradient is asked for: use what has one (sums,
    index_add, gather, where)
\w+Error: only (one element tensors|length-1 arrays)
    a function for single numbers (of math, or float) was given several: torch has the
    same for whole tensors
RuntimeError: shape '.*' is invalid for input of size
    view or reshape into a table that the numbers do not fill: rows that keep different
    numbers of entries make none. Multiply by a mask, and pick nothing
RuntimeError: .*not to have been used in the graph
    a gradient with respect to something that the value was not computed from: compute
    the value from it first
\w+Error: .*process group has not been initialized
    torch.distributed, where one process runs alone: everything that is needed is among
    the arguments
RuntimeError: you can only change requires_grad flags
    it changes whether an input asks for a gradient: detach() makes a tensor of its own
ValueError: (not enough|too many) values to unpack
    {0} values on the right of an = for the names on its left: their number may differ
    from input to input
KeyError: (.+)
    nothing is stored under {0}: which keys are there?
(TypeError: slice indices|IndexError: only integers|TypeError: only integer)
    a place or a length that is no whole number: // divides without a remainder
ValueError: math domain error
    math.log or math.sqrt of a number that it does not take, such as 0 or −1
OverflowError
    a number too large for a computer: stay in logarithms (logsigmoid, logsumexp), and
    keep a search within bounds
TypeError: .*'(\w+)' object is not iterable|TypeError: iteration over a 0-d
    a loop over a single number: is it a tensor of no dimensions?
ImportError: cannot import name '(\w+)'
    there is no `{0}` to import: is it misspelt?
ModuleNotFoundError: .*'(\S+)'
    there is no module `{0}` here
AssertionError
    an `assert` of its own does not hold: print what it compares
RuntimeError: einsum
    an einsum whose letters do not fit its tensors: one letter for each dimension
RuntimeError: Trying to backward through the graph a second time
    backward runs twice over one graph: compute the value anew, or use
    torch.autograd.grad once for all inputs
ZeroDivisionError
    a division by 0: is something counted that may be 0?
RecursionError
    the function calls itself: has a helper the same name?
"""
CAUSES: list[tuple[str, str]] = []
for pattern, says in reversed([*sentences(TEXT)]):
    CAUSES.insert(0, (pattern, says or CAUSES[0][1]))


def cause(kind: str, message: str) -> str:
    """What has probably been done, or "".

    >>> cause("IndexError", "Dimension out of range (expected to be in range of …)")
    'a dimension that the tensor does not have: dim=-1 is the last of any'
    """
    for pattern, says in CAUSES:
        if found := re.match(pattern, f"{kind}: {message}", re.DOTALL):
            return says.format(*found.groups())
    return ""
