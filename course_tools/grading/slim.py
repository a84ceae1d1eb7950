"""A notebook without its outputs, read a piece at a time: what counts is the code."""

import re
from collections.abc import Callable, Iterable

__all__ = ["slim"]

TOKEN = re.compile(rb'["\[\]{}](?:(?<=")(?:[^"\\]++|\\.)*+("?))?', re.DOTALL)
CLOSING = {b"[": b"]", b"{": b"}"}
LEFT_OUT = (b'"outputs"', b'"attachments"', b'"metadata"')


def slim(
    pieces: Iterable[bytes], most: int, spend: Callable[[int], None] = lambda _: None
) -> bytes:
    """The JSON text with nothing in its outputs, pictures and metadata.

    pieces: of the text, in order; never is more than one of them held beside the result
    spend: is told how many strings and brackets there were, after each piece
    raises: ValueError if more than `most` bytes remain; whatever `spend` raises

    >>> slim([b'{"cells": [{"outputs": [{"te', b'xt": "]"}], "source": "x"}]}'], 99)
    b'{"cells": [{"outputs": [], "source": "x"}]}'
    """
    reader = _Reader(most)
    for piece in pieces:
        spend(reader.feed(piece))
    return bytes(reader.kept) + reader.rest


class _Reader:
    """What is kept so far, and where in the text we are.

    depth: of brackets within what is left out; rest: a token that is not whole yet
    """

    def __init__(self, most: int):
        self.most, self.kept, self.rest = most, bytearray(), b""
        self.depth = 0

    def feed(self, piece: bytes) -> int:
        """Read on; return how many strings and brackets that were."""
        text = self.rest + piece
        self.rest = b""
        start, key = 0, None  # of what is to be kept; a key whose value is left out
        number = 0
        for token in TOKEN.finditer(text):
            number += 1
            word = token[0]
            if word[:1] == b'"' and not token[1]:  # goes on in the next piece
                key = None
                if self.depth:
                    self.rest = b'"' + text[token.end() :]
                else:
                    self.kept += text[start : token.start()]
                    self.rest, start = text[token.start() :], len(text)
                break
            if self.depth:
                self.depth += (word in b"[{") - (word in b"]}")
                start = token.end()
            elif (
                key
                and word in b"[{"
                and text[key.end() : token.start()].strip() == b":"
            ):
                self.kept += text[start : token.end()] + CLOSING[word]
                self.depth, key = 1, None
            else:
                key = token if word in LEFT_OUT else None
        if key:  # its value may begin in the next piece
            self.kept += text[start : key.start()]
            self.rest, start = text[key.start() :], len(text)
        if not self.depth:
            self.kept += text[start:]
        if len(self.kept) + len(self.rest) > self.most:
            raise ValueError(
                f"holds more than {self.most >> 20} MiB beside its outputs"
            )
        return number
