"""What is found: a line, a kind, a severity and a sentence; kept up to a limit."""

from collections import Counter
from dataclasses import dataclass

__all__ = ["SEVERITY", "Finding", "Findings"]

SEVERITY = {  # kind: how bad; what trains on garbage or not at all is an error
    # the file
    "unreadable_file": "error",
    "empty_file": "error",
    "unknown_format": "error",
    "invalid_json": "error",
    "invalid_csv": "error",
    "duplicate_json_key": "error",
    "duplicate_column": "error",
    "not_utf8": "error",
    "bom": "warning",
    "mixed_formats": "error",
    "misnamed_field": "warning",
    "one_label_only": "error",
    "label_imbalance": "note",
    # the fields of a row
    "missing_field": "error",
    "null_field": "error",
    "wrong_type": "error",
    "empty_answer": "error",
    "empty_prompt": "error",
    "too_few_answers": "error",
    # the turns of a conversation
    "wrong_role": "error",
    "consecutive_same_role": "error",
    "does_not_end_with_assistant": "error",
    "system_prompt_mismatch": "error",
    "different_prompts_in_pair": "error",
    # the two answers
    "chosen_equals_rejected": "error",
    "near_identical_pair": "warning",
    "prompt_repeated_in_answer": "error",
    "conversation_in_answer": "error",
    "inconsistent_boundary_whitespace": "warning",
    "label_contradicts_score": "error",
    "tie": "warning",
    # the text
    "chat_template_tokens_in_text": "error",
    "placeholder": "warning",
    "degenerate_repetition": "warning",
    "truncated_answer": "warning",
    "identical_after_truncation": "error",
    "mojibake": "warning",
    "pii": "warning",
    # row against row, and file against file
    "duplicate_row": "warning",
    "near_duplicate_row": "warning",
    "contradicting_pairs": "error",
    "leaked_from_train": "error",
    # what the labels can be read from
    "length_bias": "warning",
    "label_readable_from_surface": "warning",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    line: physical line, from 1 (in Parquet the row); None if it is the whole file
    kind: a name out of SEVERITY
    severity: "error", "warning" or "note"
    says: what is wrong and how to fix it, in one sentence
    """

    line: int | None
    kind: str
    severity: str
    says: str


class Findings:
    """A growing list. Past `limit` of a kind it counts and keeps no more, so that a
    file with a million faults needs no more memory than one with a few."""

    def __init__(self, limit: int = 1000):
        self.limit = limit
        self.counts: Counter[str] = Counter()
        self._kept: list[Finding] = []

    def add(self, kind: str, line: int | None, says: str) -> None:
        """Note a fault of a known kind."""
        self.counts[kind] += 1
        if self.counts[kind] <= self.limit:
            self._kept.append(Finding(line, kind, SEVERITY[kind], says))

    def sorted(self) -> tuple[Finding, ...]:
        """By line; what concerns the whole file comes last."""
        return tuple(
            sorted(self._kept, key=lambda f: (f.line is None, f.line or 0, f.kind))
        )
