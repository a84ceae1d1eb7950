"""What passes between the grader and the process that holds a learner's code.

Frames of JSON with their length before them, over a socket. Nothing is ever unpickled;
what comes from the learner's side is numbers and short texts, and every field of it is
checked before it is used.
"""

import base64
import json
import math
import socket
import struct
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy
import torch
from torch import Tensor

from course_lib.submission.observing import MOST, Observation

__all__ = [
    "ASKED",
    "NUMBERS",
    "ROOM",
    "Nonsense",
    "decode",
    "encode",
    "frame",
    "observation",
    "read",
    "receive",
    "send",
    "tensors_in",
]

ROOM = 1 << 20  # bytes of one frame from the learner's side
ASKED = 32 << 20  # and of one that asks a function of the grader's
NUMBERS = 1_000_000  # values of one tensor from there
_KINDS = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8),
    *(torch.complex64, torch.complex128),
)
_DTYPES = {str(kind).removeprefix("torch."): kind for kind in _KINDS}


class Nonsense(Exception):
    """A frame that no honest process would send."""


def send(channel: socket.socket, message: Any):
    """One frame: four bytes of length, then JSON, or bytes that are JSON already."""
    body = message if type(message) is bytes else json.dumps(message).encode()
    channel.sendall(struct.pack("!I", len(body)) + body)


def receive(
    channel: socket.socket, room: int = ROOM, until: float | None = None
) -> Any:
    """The next frame; `until` is a time of `time.monotonic`.

    raises: EOFError if the other side is gone, TimeoutError if it is late, Nonsense for
        a frame that is too long or not JSON
    """
    return read(frame(channel, room, until))


def frame(channel: socket.socket, room: int, until: float | None) -> bytes:
    """The next frame as it came."""
    (length,) = struct.unpack("!I", _exactly(channel, 4, until))
    if length > room:
        raise Nonsense(f"an answer of {length} bytes; there is room for {room}")
    return _exactly(channel, length, until)


def read(body: bytes) -> Any:
    """What a frame says."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Nonsense("an answer that is not JSON") from None


def _exactly(channel: socket.socket, count: int, until: float | None) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        if until is not None:
            channel.settimeout(max(until - time.monotonic(), 1e-3))
        part = channel.recv(min(count - len(parts), 1 << 16))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


# ── inputs, and what functions that stayed with the grader give back ──────────────────


def encode(value: Any, functions: list[Callable]) -> Any:
    """An input as JSON. A function stays here: its place in `functions` goes instead.

    >>> encode({"x": torch.ones(1)}, [])
    {'dict': {'x': {'tensor': 'AACAPw==', 'dtype': 'float32', 'shape': [1]}}}
    """
    if isinstance(value, Tensor):
        return {
            "tensor": base64.b64encode(_bytes(value)).decode(),
            "dtype": str(value.dtype).removeprefix("torch."),
            "shape": list(value.shape),
        }
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, numpy.generic):
        return encode(value.item(), functions)
    if callable(value):
        functions.append(value)
        return {"function": len(functions) - 1}
    kind = "named" if hasattr(value, "_asdict") else type(value).__name__
    if kind in ("dict", "named"):
        held = value._asdict() if kind == "named" else value
        return {kind: {key: encode(v, functions) for key, v in held.items()}}
    if kind in ("list", "tuple"):
        return {kind: [encode(v, functions) for v in value]}
    raise TypeError(f"no way to send a {kind} to a learner's function")


def decode(value: Any, function: Callable[[int], Callable] | None = None) -> Any:
    """The inverse of `encode`; `function` makes a stand-in for one that stayed behind.

    raises: Nonsense for what `encode` does not write
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    kind, held = next(iter(value.items()), ("", 0)) if type(value) is dict else ("", 0)
    if kind == "tensor":
        return _tensor(held, value.get("dtype"), value.get("shape"))
    if kind == "function" and function and type(held) is int:
        return function(held)
    if kind in ("dict", "named"):
        found = {key: decode(v, function) for key, v in held.items()}
        return found if kind == "dict" else SimpleNamespace(**found)
    if kind in ("list", "tuple"):
        found = [decode(v, function) for v in held]
        return found if kind == "list" else tuple(found)
    raise Nonsense("a value that has no meaning here")


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Those in lists and dictionaries, however deep: in one order on both sides."""
    if isinstance(value, Tensor):
        yield value
    elif type(value) in (list, tuple, dict):
        for part in value.values() if type(value) is dict else value:
            yield from tensors_in(part)


def _bytes(tensor: Tensor) -> bytes:
    flat = tensor.detach().flatten().clone(memory_format=torch.contiguous_format)
    return flat.view(torch.uint8).numpy().tobytes()


def _tensor(text: Any, dtype: Any, shape: Any) -> Tensor:
    _demand(dtype in _DTYPES, "a dtype that does not exist")
    _demand(_is_shape(shape), "a shape that is none")
    kind, count = _DTYPES[dtype], math.prod(shape)
    _demand(type(text) is str and count <= NUMBERS, "a tensor that is too large")
    try:
        held = bytearray(base64.b64decode(text, validate=True))
    except ValueError:
        raise Nonsense("a tensor that is no text of bytes") from None
    _demand(len(held) == count * kind.itemsize, "a tensor that does not fill its shape")
    if kind == torch.bool:
        held = bytearray(byte != 0 for byte in held)
    if not held:
        return torch.empty(shape, dtype=kind)
    return torch.frombuffer(held, dtype=kind).reshape(shape).clone()


# ── what a learner's function did ─────────────────────────────────────────────────────


def observation(message: Any, arguments: int) -> Observation:
    """What `vars` of an observation said, by a message from whoever.

    arguments: how many the function was given
    raises: Nonsense unless each field is of its type and the numbers fill the shape
    """
    fields = Observation.__dataclass_fields__.keys()
    _demand(type(message) is dict and message.keys() == fields, "unknown fields")
    seen = Observation(**message)  # with lists, as JSON has them
    kind, shape, error = seen.kind, seen.shape, seen.error
    _demand(_is_text(kind, 80) and _is_text(seen.dtype, 40), "names that are too long")
    _demand(_is_shape(shape) and _is_numbers(seen.numbers), "numbers that are none")
    size = {"tensor": math.prod(shape), "number": 1, "bool": 1}.get(kind, 0)
    filled = len(seen.numbers) == (size if size <= MOST else 0)
    _demand(filled, "numbers that do not fill a shape")
    _demand(type(seen.differentiable) is bool, "a flag that is none")
    _demand(
        _is_list(seen.gradients, arguments)
        and all(g is None or _is_numbers(g) for g in seen.gradients),
        "gradients that are none",
    )
    places = _is_shape(seen.changed) and all(at < arguments for at in seen.changed)
    _demand(places, "a strange place")
    _demand(
        error is None
        or (
            _is_list(error, 3)
            and len(error) == 3
            and all(_is_text(part, 400) for part in error)
        ),
        "an error that is none",
    )
    _demand((kind == "error") == (error is not None), "an error that is none")
    return Observation(**{name: _frozen(value) for name, value in message.items()})


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if type(value) is list else value


def _demand(condition: bool, otherwise: str):
    if not condition:
        raise Nonsense(f"an answer with {otherwise}")


def _is_text(value: Any, most: int) -> bool:
    return type(value) is str and len(value) <= most


def _is_list(value: Any, most: int) -> bool:
    return type(value) is list and len(value) <= most


def _is_shape(value: Any) -> bool:
    return _is_list(value, 20) and all(
        type(n) is int and 0 <= n < 1 << 40 for n in value
    )


def _is_numbers(value: Any) -> bool:
    return type(value) is list and all(type(number) is float for number in value)
