"""Small clean preference data, and every way that the tests spoil it."""

import copy
import csv
import json
from pathlib import Path

PAIRS = [  # prompt, chosen, rejected: which is longer alternates
    (
        "Where do swifts sleep in summer?",
        "On the wing: they climb at dusk and doze as they glide.",
        "In burrows, like moles.",
    ),
    (
        "Why does a kettle sing before it boils?",
        "Bubbles form at the hot floor and collapse higher up.",
        "The metal of a kettle is tuned in the factory, since buyers like a melody.",
    ),
    (
        "Which is larger, 3/8 or 2/5?",
        "2/5, because 16/40 is more than 15/40.",
        "3/8, because eight is more than five.",
    ),
    (
        "Name a use for old corks.",
        "Slice them and glue the discs under chair legs.",
        "Old corks have none at all; put them back in the bottle and wait for a year.",
    ),
    (
        "How do I keep basil alive indoors?",
        "Water it from below, give it light, and pick the tops before it flowers.",
        "Basil needs darkness.",
    ),
    (
        "Translate 'good evening' into Danish.",
        "God aften.",
        "Guten Abend, as in every northern country.",
    ),
    (
        "What does a fuse protect?",
        "The wiring: it melts before a cable gets hot enough to burn.",
        "It protects the light bulb from moths.",
    ),
    (
        "Write a line about fog for a poem.",
        "The harbour keeps its boats like half-told secrets.",
        "Fog, fog, what a lot of fog there is in this foggy poem about some fog.",
    ),
    (
        "Is glass a liquid at room temperature?",
        "No, it is a solid without crystal order; old panes are uneven by manufacture.",
        "Yes, that is why windows drip.",
    ),
    (
        "How many minutes are there in a fortnight?",
        "20,160: fourteen days of 1,440 minutes each.",
        "About a thousand, depending on the season and on how busy somebody is.",
    ),
    (
        "Why do cats knead blankets?",
        "Kittens knead for milk, and grown cats keep the habit when they are content.",
        "They test the price of wool.",
    ),
    (
        "Which tool measures air pressure?",
        "A barometer.",
        "A thermometer, when you hold it against the wind for long enough.",
    ),
    (
        "Give me a rule of thumb for tips in Italy.",
        "Round up or leave a euro or two; service is often on the bill already.",
        "Never pay first.",
    ),
    (
        "What is a haiku?",
        "Three lines, often five, seven and five syllables, with a turn in the season.",
        "Any poem that is sold in Kyoto.",
    ),
    (
        "Can I freeze cooked rice?",
        "Yes, if it is cooled fast and sealed.",
        "No, rice explodes in the cold and must be kept in a cupboard over the stove.",
    ),
    (
        "Explain recursion with one example.",
        "A queue asks the one in front for their number and adds one.",
        "It is when a program is recursive, which makes it recurse, recursively.",
    ),
]


def standard() -> list[dict]:
    """A fresh copy of the clean rows, to be spoilt."""
    return [
        {"prompt": prompt, "chosen": chosen, "rejected": rejected}
        for prompt, chosen, rejected in PAIRS
    ]


def said(role: str, content: str) -> dict:
    return {"role": role, "content": content}


def conversational() -> list[dict]:
    return [
        {
            "prompt": [said("user", row["prompt"])],
            "chosen": [said("assistant", row["chosen"])],
            "rejected": [said("assistant", row["rejected"])],
        }
        for row in standard()
    ]


def implicit(system: str | None = "Answer in one sentence.") -> list[dict]:
    start = [said("system", system)] if system else []
    return [
        {side: [*start, *row["prompt"], *row[side]] for side in ("chosen", "rejected")}
        for row in copy.deepcopy(conversational())
    ]


def plain_implicit() -> list[dict]:
    return [
        {side: f"{row['prompt']} {row[side]}" for side in ("chosen", "rejected")}
        for row in standard()
    ]


def dialogues(rows: list[dict] | None = None) -> list[dict]:
    return [
        {
            side: f"\n\nHuman: {row['prompt']}\n\nAssistant: {row[side]}"
            for side in ("chosen", "rejected")
        }
        for row in rows or standard()
    ]


def unpaired(pairs=standard) -> list[dict]:
    return [
        {"prompt": row["prompt"], "completion": row[side], "label": side == "chosen"}
        for row in pairs()
        for side in ("chosen", "rejected")
    ]


def unpaired_turns() -> list[dict]:
    return unpaired(conversational)


def ranking() -> list[dict]:
    return [
        {
            "prompt": row["prompt"],
            "responses": [row["rejected"], row["chosen"], f"I am not sure about {at}."],
            "scores": [2.0, 9.0, 4.0],
        }
        for at, row in enumerate(standard())
    ]


def nested_ranking() -> list[dict]:
    return [
        {
            "instruction": row["prompt"],
            "completions": [
                {"response": row["chosen"], "model": "a", "overall_score": 8.5},
                {"response": row["rejected"], "model": "b", "overall_score": 3.0},
            ],
        }
        for row in standard()
    ]


def ultrafeedback() -> list[dict]:
    return [
        {
            "prompt": row["prompt"],
            "prompt_id": f"{at:04x}",
            **turns,
            "score_chosen": 8.0,
            "score_rejected": 5.5,
        }
        for at, (row, turns) in enumerate(zip(standard(), implicit(None), strict=True))
    ]


def scored() -> list[dict]:
    return [row | {"chosen_score": 7.5, "rejected_score": 3.0} for row in standard()]


HARD = [  # clean, and near to what the checks look for
    ("Strike a word out in HTML.", "Write <s>old</s> for it.", "Use <blink>, always."),
    ("What is `<|endoftext|>`?", "`<|endoftext|>` ends a document.", "Decoration."),
    ("Multiply two arrays in numpy.", "Write `a @ b`.", "Use a@b.T.T and then a**b."),
    ("Add 123456789 and 987654321.", "1111111110", "About 1,111,111,000 or so."),
    ("Give pi to 20 digits.", "3.14159265358979323846", "3.14159265358979399999"),
    ("What is its ISBN?", "978-3-16-148410-0", "I do not know such a number."),
    ("When is it?", "From 2024-05-06 to 2024-06-07, 10:30 to 12:45.", "06.05.2024."),
    ("法国的首都是哪里？", "法国的首都是巴黎。", "法国的首都是里昂，我想。"),
    ("ما هي عاصمة مصر؟", "القاهرة هي عاصمة مصر.", "الإسكندرية."),
    ("Et « merci » ?", "« merci » est français, à l'évidence.", "Ça dépend de l'âge —"),
    ("Is 7 a prime?", "Yes.", "No."),
    ("A table, please.", "| a | b |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |", "a b\n1 2"),
    ("Hello in JSON?", '{"hello": {"to": "world"}}', '{"hello": ["hello"]}'),
    ("An emoji for a party?", "🎉🥳", "🙂"),
    (
        "The refrain?",
        "Row, row, row your boat. Merrily, merrily, merrily.",
        "La la la.",
    ),
    ("List files.", "```bash\nls -la | sort -n\n```", "```bash\nrm -rf ./x\n```"),
    ("Write a dialogue.", "Ann: Tea?\nBob: Yes.\nAnn: Here.", "They talk of tea."),
    ("Correct: 'He go home'.", "He goes home", "He go to home"),
    ("A title on tides?", "The Moon's Long Arm", "Tides And Their Being Tides"),
    ("The capital of Chile?", "Santiago", "Valparaíso"),
    ("Print with an f-string.", "print(f'{name}: {answer:.2f}')", "print('{name}')"),
    ("Where is it?", "At https://example.org/a?c=1&d=2 I think.", "In /etc/x.conf"),
    ("How cold is it?", "It is −3 °C now.", "It is −30 °C now."),
    ("The version?", "1.2.3.4, on 10.0.0.1 and port 8080.", "127.0.0.1, 8080-8090."),
    ("A letter?", "Dear Ms. [Name],\n\nThank you.\n\n[Your Name]", "Hey, whatever."),
    ("Umlaute?", "Das „Ä“ ist einer; Â und Ã sind keine.", "Ä, Ö – und ß."),
]


def look_alikes() -> list[dict]:
    return [
        dict(zip(("prompt", "chosen", "rejected"), row, strict=True)) for row in HARD
    ]


FORMATS = {  # clean data → the format that is told
    "standard explicit": standard,
    "standard explicit + scores": scored,
    "standard implicit": plain_implicit,
    "conversational explicit": conversational,
    "conversational implicit": implicit,
    "HH dialogue strings": dialogues,
    "KTO unpaired": unpaired,
    "KTO unpaired conversational": unpaired_turns,
    "ranking + scores": ranking,
    "UltraFeedback-like + scores": ultrafeedback,
}


def jsonl(path: Path, rows: list) -> Path:
    """Write rows, one a line; what is text already goes as it is."""
    told = (
        r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in rows
    )
    path.write_text("".join(f"{row}\n" for row in told), encoding="utf-8")
    return path


def table(path: Path, rows: list[dict]) -> Path:
    """Write rows as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


def put(rows: list, **values) -> list:
    """Rows with `field__line=value`: a field of a line that is spoilt."""
    for where, value in values.items():
        field, _, line = where.rpartition("__")
        rows[int(line) - 1][field] = value
    return rows


def spoilt(kind: str, rows: list | None = None, **values) -> tuple[str, list, list]:
    """The kind of a fault, the rows with it, as in `put`, and its lines."""
    lines = sorted({int(where.rpartition("__")[2]) for where in values})
    return kind, put(standard() if rows is None else rows, **values), lines


def without(rows: list[dict], line: int, *fields: str) -> list:
    for field in fields:
        del rows[line - 1][field]
    return rows


def of(line: int, field: str, rows=standard) -> str:
    return rows()[line - 1][field]


def with_all(rows: list[dict], field: str, change) -> list[dict]:
    return [row | {field: change(row[field])} for row in rows]


def moved(rows: list, *pairs: tuple[int, int]) -> list:
    """Rows with copies of some put elsewhere: (which line, to which place)."""
    for which, to in pairs:
        rows.insert(to - 1, copy.deepcopy(rows[which - 1]))
    return rows


def reversed_pair(row: dict) -> dict:
    return row | {"chosen": row["rejected"], "rejected": row["chosen"]}


def with_more(rows: list[dict]) -> list[dict]:
    """Every chosen answer the longer one, and no word in all of them."""
    texts = [row["chosen"] for row in rows]
    more = texts[5:] + texts[:5], texts[9:] + texts[:9]
    return [
        row | {"chosen": f"{row['chosen']} {one} {other}"}
        for row, one, other in zip(rows, *more, strict=True)
    ]


LOOP = "The answer is in the box." + " The answer is in the box." * 9
EQUAL = [
    {"response": answer, "overall_score": 4.0}
    for answer in ("It is the left one.", "Either of them will do.")
]
LINE = json.dumps(PAIRS[0][0])
A, U, S = "assistant", "user", "system"
SPOILT = [  # kind, the spoilt rows, the lines that must be named (None: the file)
    spoilt("chosen_equals_rejected", rejected__4=of(4, "chosen")),
    spoilt(
        "chosen_equals_rejected",
        conversational(),
        rejected__5=[said(A, of(5, "chosen"))],
    ),
    spoilt("near_identical_pair", rejected__4=of(4, "chosen") + " \n"),
    spoilt("near_identical_pair", rejected__4=of(4, "chosen").upper()),
    spoilt("near_identical_pair", rejected__4=of(4, "chosen")[:-1]),
    spoilt("near_identical_pair", rejected__1=of(1, "chosen").replace(" ", "  ")),
    spoilt("empty_answer", chosen__2="", rejected__5=" \n\u200b"),
    spoilt("empty_answer", conversational(), chosen__2=[]),
    spoilt("empty_answer", conversational(), chosen__2=[said(A, " ")]),
    spoilt(
        "empty_answer",
        dialogues(),
        chosen__3=of(3, "chosen", dialogues).partition("2/5, ")[0],
    ),
    spoilt("empty_prompt", prompt__3="  "),
    spoilt("empty_prompt", conversational(), prompt__3=[said(U, "")]),
    spoilt("null_field", prompt__2=None, rejected__7=None),
    spoilt("null_field", conversational(), chosen__2=[said(A, None)]),
    spoilt("null_field", unpaired(), label__9=None),
    ("missing_field", without(standard(), 6, "prompt"), [6]),
    ("missing_field", without(standard(), 6, "chosen", "rejected"), [6]),
    ("missing_field", without(unpaired(), 6, "label"), [6]),
    spoilt("missing_field", conversational(), chosen__2=[{"role": A}]),
    spoilt(
        "missing_field", conversational(), chosen__2=[{"from": "gpt", "value": "Hi"}]
    ),
    ("missing_field", [{"chosen": c, "rejected": r} for _, c, r in PAIRS], [None]),
    (
        "misnamed_field",
        [{"question": p, "chosen": c, "rejected": r} for p, c, r in PAIRS],
        [None],
    ),
    ("unknown_format", [{"text": p} for p, _, _ in PAIRS], [None]),
    spoilt("wrong_type", chosen__2=7, prompt__5={"text": "Why?"}),
    spoilt("wrong_type", chosen__2=["A list of one answer."]),
    spoilt("wrong_type", conversational(), chosen__2=["So it is."]),
    spoilt("wrong_type", unpaired(), label__3="true", label__4=0),
    ("wrong_type", [*standard(), "[1, 2]"], [17]),
    spoilt("wrong_type", ranking(), scores__2=[1.0, 2.0]),
    spoilt("too_few_answers", ranking(), responses__2=[], scores__2=[]),
    spoilt("tie", nested_ranking(), completions__2=EQUAL),
    ("duplicate_row", [*nested_ranking()[:7], nested_ranking()[2]], [3, 8]),
    spoilt("too_few_answers", ranking(), responses__2=["One."], scores__2=[1.0]),
    ("invalid_json", [*standard(), '{"prompt": "Why?", }', "{'prompt': 1}"], [17, 18]),
    ("invalid_json", [*standard(), '{"prompt": "Why?", "chosen": "So'], [17]),
    ("invalid_json", [*standard(), '{"prompt": NaN}', "{} {}", "prompt"], [17, 18, 19]),
    (
        "duplicate_json_key",
        [
            *standard(),
            f'{{"prompt": {LINE}, "prompt": "a", "chosen": "b", "rejected": "c"}}',
        ],
        [17],
    ),
    ("mixed_formats", [*standard(), *conversational()[:2]], [17, 18]),
    ("mixed_formats", [*standard(), *unpaired()[:1], *dialogues()[:1]], [17, 18]),
    ("mixed_formats", [*conversational(), *standard()[:1]], [17]),
    ("mixed_formats", [*conversational(), *implicit()[:1]], [17]),
    ("mixed_formats", [*unpaired(), *standard()[:1]], [33]),
    spoilt("wrong_role", conversational(), chosen__2=[said(U, "So it is.")]),
    spoilt("wrong_role", conversational(), chosen__2=[said("asistant", "Yes.")]),
    spoilt("wrong_role", conversational(), prompt__2=[said("human", "Is it?")]),
    spoilt(
        "wrong_role",
        conversational(),
        prompt__2=[said(U, "Is it?"), said(S, "Be short.")],
    ),
    spoilt(
        "consecutive_same_role",
        conversational(),
        prompt__2=[said(U, "Is it?"), said(U, "Well?")],
    ),
    spoilt(
        "consecutive_same_role",
        conversational(),
        prompt__2=[said(U, "Is it?"), said(A, "Maybe.")],
    ),
    spoilt(
        "does_not_end_with_assistant",
        conversational(),
        chosen__2=[said(A, "It is."), said(U, "Thanks!")],
    ),
    spoilt(
        "does_not_end_with_assistant",
        dialogues(),
        chosen__2=of(2, "chosen", dialogues) + "\n\nHuman: Thanks!",
    ),
    spoilt(
        "does_not_end_with_assistant",
        implicit(),
        rejected__2=implicit()[1]["rejected"] + [said(U, "Thanks!")],
    ),
    spoilt(
        "different_prompts_in_pair", implicit(), rejected__2=implicit()[4]["rejected"]
    ),
    spoilt(
        "different_prompts_in_pair",
        dialogues(),
        rejected__2=of(5, "rejected", dialogues),
    ),
    spoilt(
        "different_prompts_in_pair",
        plain_implicit(),
        rejected__2=of(5, "rejected", plain_implicit),
    ),
    spoilt(
        "different_prompts_in_pair",
        ultrafeedback(),
        rejected__2=ultrafeedback()[4]["rejected"],
    ),
    spoilt(
        "system_prompt_mismatch",
        implicit(),
        rejected__2=implicit("Be rude.")[1]["rejected"],
    ),
    spoilt(
        "system_prompt_mismatch", implicit(), rejected__2=implicit(None)[1]["rejected"]
    ),
    spoilt(
        "prompt_repeated_in_answer", chosen__3=f"{of(3, 'prompt')} {of(3, 'chosen')}"
    ),
    spoilt(
        "prompt_repeated_in_answer",
        chosen__3=f"Human: {of(3, 'prompt')}\nAssistant: So.",
    ),
    spoilt(
        "prompt_repeated_in_answer", chosen__3=f" {of(3, 'prompt').upper()}\n\nIt is."
    ),
    spoilt(
        "prompt_repeated_in_answer",
        conversational(),
        chosen__3=[*conversational()[2]["prompt"], said(A, "So.")],
    ),
    spoilt(
        "conversation_in_answer",
        chosen__3="It is.\n\nHuman: Thanks!\n\nAssistant: Any time.",
    ),
    spoilt("conversation_in_answer", chosen__3="Assistant: It is so."),
    spoilt("inconsistent_boundary_whitespace", chosen__3=" " + of(3, "chosen")),
    spoilt("inconsistent_boundary_whitespace", rejected__3=of(3, "rejected") + "\n"),
    spoilt("inconsistent_boundary_whitespace", prompt__3=of(3, "prompt") + " "),
    spoilt("label_contradicts_score", scored(), chosen_score__2=1.0, chosen_score__9=0),
    spoilt("label_contradicts_score", ultrafeedback(), score_chosen__2=1),
    (
        "label_contradicts_score",
        [row | {"chosen-rating": 2, "rejected-rating": 4} for row in standard()][:1],
        [1],
    ),
    spoilt("tie", scored(), chosen_score__2=3.0),
    spoilt("tie", ranking(), scores__2=[5.0, 5.0, 5.0]),
    ("tie", [row | {"winner": "tie"} for row in standard()][:1], [1]),
    spoilt("chat_template_tokens_in_text", chosen__2="It is.</s>"),
    spoilt("chat_template_tokens_in_text", prompt__2="<s>Is it?"),
    spoilt(
        "chat_template_tokens_in_text", prompt__2="<|im_start|>user\nIs it?<|im_end|>"
    ),
    spoilt(
        "chat_template_tokens_in_text",
        conversational(),
        chosen__2=[said(A, "<start_of_turn>model\nIt is.")],
    ),
    spoilt("placeholder", chosen__2="TODO", rejected__5="N/A"),
    spoilt("placeholder", chosen__2="[insert answer here]"),
    spoilt("placeholder", prompt__2="{prompt}"),
    spoilt("placeholder", rejected__2="Lorem ipsum dolor sit amet."),
    spoilt("placeholder", prompt__2="Answer this: {{question}}"),
    spoilt("degenerate_repetition", chosen__2=LOOP),
    spoilt("degenerate_repetition", rejected__2="very " * 30 + "good."),
    spoilt("degenerate_repetition", rejected__2="No! " + "a" * 60),
    spoilt(
        "degenerate_repetition",
        rejected__2="It is so and " + "so on and " * 12 + "that is it.",
    ),
    spoilt("truncated_answer", chosen__2=of(2, "chosen")[:37]),
    spoilt("truncated_answer", rejected__2="It is what it is, and the"),
    spoilt("mojibake", chosen__2="A cafÃ© on the corner.", prompt__5="Itâ€™s?"),
    spoilt("mojibake", chosen__2="A caf\ufffd on the corner."),
    spoilt("pii", chosen__2="Write to jo.doe@mail.net today."),
    spoilt("pii", prompt__2="Ring me at (212) 555-0187, will you?"),
    spoilt("pii", prompt__2="My number is 212-555-0187, will you call?"),
    spoilt("pii", prompt__2="Is 4111 1111 1111 1111 my card?"),
    spoilt("pii", prompt__2="My SSN is 123-45-6789, is it valid?"),
    ("duplicate_row", moved(standard(), (3, 9)), [3, 9]),
    ("duplicate_row", moved(conversational(), (3, 9), (3, 12)), [3, 9, 12]),
    ("duplicate_row", moved(unpaired(), (3, 9)), [3, 9]),
    (
        "near_duplicate_row",
        [*standard(), standard()[2] | {"prompt": of(3, "prompt").upper() + "!"}],
        [3, 17],
    ),
    (
        "near_duplicate_row",
        [
            *standard(),
            standard()[8] | {"chosen": of(9, "chosen").replace("solid", "hard body")},
        ],
        [9, 17],
    ),
    ("contradicting_pairs", [*standard(), reversed_pair(standard()[4])], [5, 17]),
    (
        "contradicting_pairs",
        [*conversational(), reversed_pair(conversational()[4])],
        [5, 17],
    ),
    ("contradicting_pairs", [*unpaired(), unpaired()[4] | {"label": False}], [5, 33]),
    ("length_bias", with_more(standard()), [None]),
    (
        "label_readable_from_surface",
        with_all(standard(), "chosen", lambda text: f"Certainly: {text}"),
        [None],
    ),
    (
        "label_readable_from_surface",
        with_all(standard(), "rejected", lambda text: f"{text} 🙂"),
        [None],
    ),
    ("one_label_only", [row for row in unpaired() if row["label"]], [None]),
]
