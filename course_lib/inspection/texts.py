"""What should not be in a text: template tokens, personal data, garbage."""

import re
from itertools import pairwise

from course_lib.inspection.fields import Found

__all__ = ["check_texts", "remarkable"]

TOKENS = re.compile(
    r"<\|[a-zA-Z_0-9]+\|>|<｜[^｜<>]+｜>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>"
    r"|<(?:bos|eos|pad|unk)>|\A\s*<s>|</s>\s*\Z|\[(?:BOS|EOS|SEP|CLS|PAD)\]"
    r"|^### (?:Instruction|Response|Input):",
    re.M,
)
FIRST = ("<s>", "<bos>", "<|begin_of_text|>", "<|startoftext|>", "[BOS]", "<｜begin")
LAST = (
    "</s>",
    "<eos>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end|>",
    "[EOS]",
)
QUOTED = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.S)
EMAIL = re.compile(r"(?<![\w.+-])(?!git@)[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\b")
PHONE = re.compile(
    r"(?<![\w.+-])(?:\+\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){2,5}\d{2,4}"
    r"|\(\d{3}\) ?\d{3}[ .-]\d{4}|\d{3}([.-])\d{3}\1\d{4})(?![\w-]|\.\d)"
)
CARD = re.compile(r"(?<![\w.,-])[3-6](?:[ -]?\d){12,15}(?![\w-]|[.,]\d)")
SSN = re.compile(
    r"(?<![\w.-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w.-]\d|-)"
)
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")
KEYS = re.compile(r"\b(?:sk-[\w-]{20,}|AKIA[0-9A-Z]{16}|gh[pousr]_\w{30,})")
WRONG = re.compile(  # UTF-8 that was read as Windows-1252 or Latin-1
    "[Ââã][\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]{1,2}|Ã[\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
    "|ð[\x9fŸ][\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]{2}|ï[»¿][¿½]"
)
EMPTY_WORDS = (
    r"todo|tbd|tba|fixme|n\.?/?a\.?|none|null|nan|undefined|placeholder|lorem ipsum.*"
    r"|\[?(?:deleted|removed|redacted|empty|blank)\]?|\.{2,}|…|-+|_+|\?+|x{3,}|asdf\w*"
    r"|(?:your|insert|enter|write|add)\b.{0,30}\b(?:answer|response|text)(?: here)?\.?"
    r"|<[^<>]*\b(?:answer|response|text|insert|todo)\b[^<>]*>"
    r"|\[[^\[\]]*\b(?:answer|response|insert|todo)\b[^\[\]]*\]|#(?:n/a|ref!|value!|name\?)"
    r"|\{{1,2} ?\w+ ?\}{1,2}|(?:chosen|rejected|response|answer|completion)(?: ?\d)?"
)
PLACEHOLDER = re.compile(rf"\s*(?:{EMPTY_WORDS})[.!]?\s*", re.I | re.S)
UNFILLED = re.compile(
    r"lorem ipsum dolor|\[(?:insert|todo)\b[^\]]{0,40}\]|\bTODO:"
    r"|\{\{? ?(?:prompt|question|instruction|response|answer|completion"
    r"|user_input|chosen|rejected) ?\}\}?",
    re.I,
)
REPEATED = re.compile(r"(?=\w*[^\W\d])(\S.{4,160}?)(?:\s*\1){3,}", re.S)


def remarkable(whole: str, answers: tuple[str, ...]) -> bool:
    """Is there anything that `check_texts` could mind? Most rows need no closer look.

    It looks for signs, counts digits, and asks whether a piece of an answer recurs.
    whole: all texts of the row in one
    """
    if not whole.isascii() or "orem ipsum" in whole:
        return True
    signs = whole.encode()
    if len(signs) != len(signs.translate(None, b"<[{@+#")):
        return True
    if len(signs) - len(signs.translate(None, b"0123456789")) > 8:
        return True
    return min(map(len, answers), default=0) < 50 or any(map(recurs, answers))


def recurs(text: str) -> bool:
    """Is a piece of the text there four times or more? Loops have such pieces."""
    middle = len(text) // 2
    return text.count(text[-6:]) > 3 or text.count(text[middle : middle + 6]) > 3


def check_texts(parts: dict[str, str], answers: tuple[str, ...], found: Found) -> None:
    """Look at the texts of a row. What is quoted as code is let alone.

    parts: field → text; answers: which of the fields a model learns from
    """
    _tokens(parts, answers, found)
    _personal(parts, found)
    _encoding(parts, found)
    for name, text in parts.items():
        if name in answers or len(text) > 3:
            _placeholder(name, text, found)
        if name in answers:
            _repetition(name, text, found)


def _tokens(parts: dict[str, str], answers: tuple[str, ...], found: Found) -> None:
    for name, text in parts.items():
        token = TOKENS.search(text)
        if token and "`" in text:
            token = TOKENS.search(QUOTED.sub(" ", text))
        if not token:
            continue
        seen = token[0].strip()
        says = f'"{name}" holds {seen!r}, which the chat template writes'
        if seen.startswith(FIRST):
            says = f'"{name}" begins with {seen!r}, and the tokenizer adds another'
        elif seen.startswith(LAST) and len(answers) == 2:
            ends = [parts[side].rstrip().endswith(LAST) for side in answers]
            if ends[0] != ends[1]:
                says = f"{seen!r} ends one answer and not the other, a label to read"
        found["chat_template_tokens_in_text"] = f"{says}: delete it from the text"
        return


def _personal(parts: dict[str, str], found: Found) -> None:
    for name, text in parts.items():
        kind = personal(text)
        if kind:
            says = f'"{name}" seems to hold {kind}, which a model can learn by heart'
            found["pii"] = f"{says}: replace it by an invented one"
            return


def personal(text: str) -> str | None:
    """What personal data a text seems to hold, or None.

    >>> personal("Mail jo.doe@mail.net"), personal("Version 1.2.3 of 2024-05-06")
    ('an e-mail address', None)
    """
    if "@" in text and EMAIL.search(text):
        return "an e-mail address"
    if PHONE.search(text):
        return "a telephone number"
    if any(_luhn(card[0]) for card in CARD.finditer(text)):
        return "a card number"
    if SSN.search(text):
        return "a social security number"
    if any(_iban(account[0]) for account in IBAN.finditer(text)):
        return "a bank account"
    return "a secret key" if KEYS.search(text) else None


def _luhn(text: str) -> bool:
    digits = [int(c) for c in text if c.isdigit()]
    if len(digits) not in (13, 14, 15, 16) or len(set(digits)) < 2:
        return False
    doubled = [
        d if at % 2 == 0 else sum(divmod(2 * d, 10))
        for at, d in enumerate(digits[::-1])
    ]
    return sum(doubled) % 10 == 0


def _iban(text: str) -> bool:
    packed = text.replace(" ", "")
    return int("".join(str(int(c, 36)) for c in packed[4:] + packed[:4])) % 97 == 1


def _encoding(parts: dict[str, str], found: Found) -> None:
    for name, text in parts.items():
        if "\ufffd" in text:
            found["mojibake"] = (
                f'"{name}" holds �, a character lost in an earlier conversion: '
                "take the text from its source again"
            )
        elif any("\ud800" <= c <= "\udfff" for c in text):
            found["mojibake"] = (
                f'"{name}" holds half of a surrogate pair (\\ud800…), which no '
                "encoding can write: take the text from its source again"
            )
        elif wrong := _misread(text):
            found["mojibake"] = (
                f'"{name}" holds {wrong!r}, UTF-8 that was read as Windows-1252: '
                'encode it as "cp1252" and decode it as "utf-8"'
            )


def _misread(text: str) -> str | None:
    for wrong in WRONG.finditer(text):
        for encoding in ("cp1252", "latin-1"):
            try:
                wrong[0].encode(encoding).decode()
            except UnicodeError:
                continue
            return wrong[0]
    return None


def _placeholder(name: str, text: str, found: Found) -> None:
    blank = PLACEHOLDER.fullmatch(text) if len(text) < 80 else None
    unfilled = None if blank or "f'" in text or 'f"' in text else UNFILLED.search(text)
    if unfilled and "`" in text and not UNFILLED.search(QUOTED.sub(" ", text)):
        return
    if blank or unfilled:
        shown = (blank or unfilled)[0].strip()[:40]
        found["placeholder"] = (
            f'"{name}" holds {shown!r}, an unfilled placeholder: '
            "write the text or delete the row"
        )


def _repetition(name: str, text: str, found: Found) -> None:
    loop = looping(text) if recurs(text) else None
    if loop:
        found["degenerate_repetition"] = (
            f'"{name}" repeats {loop!r} over and over, as a sampler does that is '
            "stuck: delete the row, or keep it only if such text is what you reject"
        )


def looping(text: str) -> str | None:
    """What a text repeats again and again, or None.

    >>> looping("I am " + "very " * 20 + "sorry."), looping("Row, row, row your boat")
    ('very', None)
    """
    words = text.split()
    run = 1
    for one, other in pairwise(words):
        run = run + 1 if one == other and any(map(str.isalpha, one)) else 1
        if run == 8:
            return one
    if len(words) >= 40 and len(set(words)) < 0.15 * len(words):
        return max(set(words), key=words.count)
    text = text[:4000]
    for found in REPEATED.finditer(text):
        letters = sum(map(str.isalpha, found[1]))
        if len(found[0]) >= 40 and letters >= 0.4 * len(found[1]):
            return found[1].strip()[:40]
    stuck = re.search(r"([^\W\d_]|[!?])\1{19,}", text)
    return stuck[1] if stuck else None
