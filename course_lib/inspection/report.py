"""What `inspect` hands back: for people as text and as a page, for programs as JSON."""

import json
import textwrap
from collections import Counter
from dataclasses import asdict, dataclass
from functools import cache

from course_lib.inspection.findings import SEVERITY, Finding

__all__ = ["Report"]

SHOWN = 12  # findings of a kind that the text lists
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{ it.file }}: {{ it.verdict }}</title><style>
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:2em;
max-width:64em}table{border-collapse:collapse;width:100%}td,th{padding:.35em .7em;
text-align:left;vertical-align:top;border-bottom:1px solid #8886}td.n{text-align:right;
font-variant-numeric:tabular-nums}code{white-space:nowrap}</style>
<body>{{ card | safe }}</body></html>"""
CARD = """<section aria-label="Inspection: {{ it.verdict }}">
<h1 style="font-size:1.3em">{{ it.verdict }}</h1>
<p>{{ it.file }}: {{ "{:,}".format(it.rows) }} rows, {{ it.format }}.</p>
{% if it.findings %}<table><caption>Findings by line</caption><thead><tr>
<th scope="col">line</th><th scope="col">severity</th><th scope="col">kind</th>
<th scope="col">what is wrong and how to fix it</th></tr></thead><tbody>
{% for f in it.findings %}<tr><td class="n">{{ f.line or "file" }}</td>
<td>{{ f.severity }}</td><td><code>{{ f.kind }}</code></td><td>{{ f.says }}</td></tr>
{% endfor %}</tbody></table>{% endif %}
{% for line in it.left_off %}<p>{{ line }}</p>{% endfor %}</section>"""


@dataclass(frozen=True)
class Report:
    """What is wrong with a data file.

    file: its path; format: the shape of its rows; rows: how many could be read
    findings: by line, at most `limit` of a kind; counts: kind → how many there are
    """

    file: str
    format: str
    rows: int
    findings: tuple[Finding, ...]
    counts: dict[str, int]

    @property
    def exit_code(self) -> int:
        """0 if there is nothing above a note, 1 for warnings, 2 for errors."""
        severities = {SEVERITY[kind] for kind in self.counts}
        return 2 if "error" in severities else int("warning" in severities)

    @property
    def verdict(self) -> str:
        """One line: how many errors, warnings and notes there are."""
        if not self.counts:
            return "nothing found"
        told = []
        for severity in ("error", "warning", "note"):
            number = sum(n for k, n in self.counts.items() if SEVERITY[k] == severity)
            if number:
                told.append(f"{number:,} {severity}{'s' * (number > 1)}")
        return ", ".join(told)

    @property
    def left_off(self) -> list[str]:
        """What was counted and not kept."""
        kept = Counter(finding.kind for finding in self.findings)
        return [
            f"{number:,} findings of {kind}: {kept[kind]:,} are listed."
            for kind, number in self.counts.items()
            if number > kept[kind]
        ]

    def json(self) -> str:
        """One line: file, format, rows, findings and counts."""
        return json.dumps(asdict(self))

    def __repr__(self) -> str:
        lines = [
            f"{self.file} · {self.rows:,} rows · {self.format}",
            f"{self.verdict[0].upper()}{self.verdict[1:]}.",
        ]
        for severity in ("error", "warning", "note"):
            for kind in self.counts:
                if SEVERITY[kind] == severity:
                    lines += ["", *self._of_kind(kind)]
        return "\n".join(lines)

    def _of_kind(self, kind: str) -> list[str]:
        number = self.counts[kind]
        lines = [f"{SEVERITY[kind]} · {kind} · {number:,}"]
        findings = [f for f in self.findings if f.kind == kind]
        for finding in findings[:SHOWN]:
            where = f"line {finding.line}: " if finding.line else ""
            lines += textwrap.wrap(
                where + finding.says,
                88,
                initial_indent="  ",
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        if number > min(SHOWN, len(findings)):
            some = ", ".join(str(f.line) for f in findings[SHOWN : SHOWN + 12])
            dots = " …" if number > SHOWN + 12 else ""
            where = f": lines {some}{dots}" if some else ""
            more = number - min(SHOWN, len(findings))
            lines.append(f"  and {more:,} more{where}")
        return lines

    def _repr_html_(self) -> str:
        return _template(CARD).render(it=self)

    def page(self) -> str:
        """The report as a page of its own."""
        return _template(PAGE).render(it=self, card=self._repr_html_())


@cache
def _template(source: str):
    from jinja2 import Environment

    return Environment(autoescape=True).from_string(source)
