"""Layouts against each other and against a slow loop; the schedule; what is refused."""

import itertools

import pytest
import torch
from oracles import refusals

from course_lib.batches import (
    LAYOUTS,
    Texts,
    collate,
    pairs,
    part_mask,
    response_logps,
    schedule,
    sum_by_owner,
    texts_logps,
)
from course_lib.logprobs import response_logprobs
from course_lib.transformer import PrefixTable, Shape, Transformer

RANDOM = torch.Generator().manual_seed(0)


def words(low: int, high: int, vocab: int = 9) -> list[int]:
    length = int(torch.randint(low, high + 1, (), generator=RANDOM))
    return torch.randint(vocab, (length,), generator=RANDOM).tolist()


def some_texts(count: int, longest: int = 7) -> tuple[Texts, list]:
    rows = []
    while len(rows) < count:
        row = (words(1, 4, 13), words(1, longest), words(1, longest))
        if row[1] != row[2]:
            rows.append(row)
    return pairs(*zip(*rows, strict=True)), rows


def model() -> Transformer:
    torch.manual_seed(0)
    return Transformer(Shape(vocab=13, outputs=9)).double()


@torch.no_grad()
def one_by_one(network, texts: Texts) -> torch.Tensor:
    """Each response by itself, token by token: (sides, examples)."""
    found = torch.zeros(texts.lengths.T.shape, dtype=torch.float64)
    for side, row in itertools.product(*map(range, found.shape)):
        ids = texts.prompts[row, : texts.prompt_lengths[row]].tolist()
        for token in texts.responses[row, side, : texts.lengths[row, side]].tolist():
            logits = network(torch.tensor([ids]))[0, -1]
            found[side, row] += float(logits[token] - logits.logsumexp(-1))
            ids.append(token)
    return found


@pytest.fixture(scope="module")
def nine():
    """Nine pairs, and their log-probs one by one."""
    texts, _ = some_texts(9)
    return texts, one_by_one(model(), texts)


@pytest.mark.parametrize("chunk", [None, 1, 5, 1000])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_log_probs_are_those_of_each_response_by_itself(layout, chunk, nine):
    texts, expected = nine
    got = response_logps(model(), collate(texts, layout), chunk=chunk).view(2, -1)
    assert torch.allclose(got, expected, atol=1e-12)
    for at_once in (1, 4, 9):
        all_of_them = texts_logps(model(), texts, at_once, layout=layout, chunk=chunk)
        assert torch.allclose(all_of_them, expected.T, atol=1e-12)
        assert not all_of_them.requires_grad


@pytest.mark.parametrize("chunk", [None, 4])
def test_the_gradient_is_the_same_in_every_layout_and_chunk(chunk):
    texts, _ = some_texts(6)
    texts = texts.take(torch.tensor([0, 1, 0, 2, 3, 3, 4, 5]))  # some of them twice
    network = model()

    def gradient(layout, chunk):
        network.zero_grad()
        weights = torch.linspace(-1, 1, 16, dtype=torch.float64)
        logps = response_logps(network, collate(texts, layout), chunk=chunk)
        (logps @ weights).backward()
        return torch.cat([p.grad.flatten() for p in network.parameters()])

    plain = gradient("padded", None)
    assert plain.abs().max() > 0.01
    for layout in LAYOUTS:
        assert torch.allclose(gradient(layout, chunk), plain, atol=1e-12)
    rows = {layout: len(collate(texts, layout).ids) for layout in LAYOUTS}
    assert rows == {"shared": 8, "padded": 16, "distinct": 12}


def test_log_probs_are_those_of_logprobs_on_full_logits():
    texts, rows = some_texts(5)
    network, batch = model(), collate(texts, "padded", whole=True)
    mask = torch.zeros_like(batch.ids)
    for number, row in enumerate([*rows, *rows]):
        begin, response = len(row[0]), row[1 + number // 5]
        mask[number, begin : begin + len(response)] = 1
    full = response_logprobs(network(batch.ids), batch.ids, mask)
    assert torch.allclose(response_logps(network, batch), full, atol=1e-12)


def test_four_responses_share_a_prompt_too():
    network = model()
    texts = Texts(
        torch.tensor([[9, 1], [10, 0]]),
        torch.tensor([2, 1]),
        torch.randint(9, (2, 4, 3), generator=RANDOM),
        torch.tensor([[3, 1, 2, 3], [1, 1, 3, 2]]),
    )
    got = response_logps(network, collate(texts, "shared")).view(4, 2)
    assert torch.allclose(got, one_by_one(network, texts), atol=1e-12)


def test_ends_are_the_last_tokens_and_lengths_come_side_by_side():
    texts, rows = some_texts(7)
    for layout in LAYOUTS:
        batch = collate(texts, layout, whole=True)
        lasts = [row[side][-1] for side in (1, 2) for row in rows]
        assert batch.ids.flatten()[batch.ends].tolist() == lasts
        lengths = [len(row[side]) for side in (1, 2) for row in rows]
        assert batch.lengths.tolist() == lengths
        assert collate(texts, layout).ends is None


@pytest.mark.parametrize("whole", [True, False])
def test_a_shared_row_holds_the_prompt_once(whole):
    """And of each response what predicts something of it, or all of it."""
    texts, rows = some_texts(4)
    batch = collate(texts, "shared", whole=whole)
    longest = 0
    for ids, (prompt, *sides) in zip(batch.ids.tolist(), rows, strict=True):
        read = [side if whole else side[:-1] for side in sides]
        real = [*prompt, *read[0], *read[1]]
        assert ids[: len(real)] == real
        assert set(ids[len(real) :]) <= {0}
        longest = max(longest, len(real))
    assert batch.ids.shape[1] == longest


@pytest.mark.parametrize("layout", LAYOUTS)
def test_last_tokens_change_no_log_prob(layout):
    texts, _ = some_texts(6)
    network = model()
    short, long = (
        response_logps(network, collate(texts, layout, whole=w)) for w in (False, True)
    )
    assert torch.allclose(short, long, atol=1e-12, rtol=0)


def test_a_table_reads_padded_rows():
    table = PrefixTable(prompts=4, words=8, longest=3)
    torch.nn.init.normal_(table.logits)
    texts = pairs([[9], [12]], [[1, 2, 3], [8]], [[4, 8], [7, 0, 0]])
    got = response_logps(table, collate(texts, "padded")).view(2, 2)
    assert torch.allclose(got.double(), one_by_one(table, texts), atol=1e-5)


def test_the_mask_of_parts_by_a_loop():
    parts = torch.tensor([[0, 0, 1, 1, 2, 2, 2, 3], [0, 1, 2, 2, 2, 2, 3, 3]])
    mask = part_mask(parts)
    for row, query, key in torch.cartesian_prod(*map(torch.arange, (2, 8, 8))).tolist():
        mine, theirs = parts[row, query], parts[row, key]
        sees = key <= query and (theirs == 0 or theirs == mine)
        assert mask[row, query, key] == sees


def test_sums_by_owner():
    owners = torch.tensor([2, 0, 2, 2])
    found = sum_by_owner(torch.tensor([1.0, 10.0, 100.0, 1000.0]), owners, 4)
    assert found.tolist() == [10, 0, 1101, 0]


def test_an_epoch_shows_every_text_once_in_another_order_each_time():
    texts, _ = some_texts(103)
    first, second = (schedule(texts, 8, seed=5, epoch=e) for e in (0, 1))
    for batches in (first, second):
        seen = torch.cat(batches)
        assert len(batches) == 12  # seven texts are left over
        assert len(seen.unique()) == len(seen) == 96
        assert all(len(rows) == 8 for rows in batches)
    assert not torch.equal(torch.cat(first), torch.cat(second))
    again = schedule(texts, 8, seed=5, epoch=0)
    assert torch.equal(torch.cat(first), torch.cat(again))
    other = schedule(texts, 8, seed=6, epoch=0)
    assert not torch.equal(torch.cat(first), torch.cat(other))


def test_batches_hold_texts_near_in_length():
    texts, _ = some_texts(512, longest=40)
    total = texts.prompt_lengths + texts.lengths.sum(1)
    spread = [float(total[rows].float().std()) for rows in schedule(texts, 16, 0, 0)]
    assert sum(spread) / len(spread) < total.float().std() / 4


test_what_would_train_on_nothing_and_another_layout_are_refused = refusals(
    (pairs, ([], [], []), "prompts is empty"),
    (pairs, ([[1]], [[]], [[2]]), r"chosen\[0\] is empty"),
    (pairs, ([[1]], [[2]], [[]]), r"rejected\[0\] is empty"),
    (pairs, ([[]], [[2]], [[3]]), r"prompts\[0\] is empty"),
    (pairs, ([[1], [1]], [[2], [3]], [[3], [3]]), r"chosen\[1\] and rejected\[1\]"),
    (pairs, ([[1]], [[2], [3]], [[3]]), "chosen has 2 entries"),
    (collate, (pairs([[1]], [[2]], [[3]]), "packed"), "layout"),
)
