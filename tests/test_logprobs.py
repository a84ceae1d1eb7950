"""Response log-probabilities against a loop that knows nothing of tensors."""

import math

import oracles
import pytest
import torch
from oracles import F64, refusals, seeded

from course_lib import logprobs
from course_lib.logprobs import (
    length_desensitized_logprobs,
    response_logprobs,
    token_logprobs,
    wpo_weights,
)

# prompts of different lengths, padding left and right, a response of one token
MASK = torch.tensor(
    [
        [0, 0, 1, 1, 1, 0],
        [0, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 1],
        [0, 1, 1, 1, 1, 1],
    ]
)
PREDICTS = MASK.bool().roll(-1, 1)  # the positions before the response's tokens


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 6, 5, generator=generator, dtype=F64)
    labels = torch.randint(0, 5, (4, 6), generator=generator)
    return logits, labels


def slow_token(logits: list[float], token: int) -> float:
    top = max(logits)
    return logits[token] - top - math.log(sum(math.exp(x - top) for x in logits))


def slow(logits, labels, mask) -> list[list[float]]:
    """The token at position t is predicted by the logits at t − 1."""
    rows = []
    for row in range(len(labels)):
        found = [0.0] * (labels.shape[1] - 1)
        for t in range(1, labels.shape[1]):
            if mask[row][t]:
                found[t - 1] = slow_token(
                    logits[row][t - 1].tolist(), int(labels[row][t])
                )
        rows.append(found)
    return rows


def test_tokens_and_responses_against_a_slow_loop(batch):
    expected = slow(*batch, MASK)
    tokens = token_logprobs(*batch, MASK)
    assert tokens.shape == (4, 5)
    assert tokens.flatten().tolist() == pytest.approx(
        [x for row in expected for x in row], abs=1e-14
    )
    sums = [sum(row) for row in expected]
    assert response_logprobs(*batch, MASK).tolist() == pytest.approx(sums, abs=1e-13)
    counts = [3, 1, 2, 5]
    averages = [total / n for total, n in zip(sums, counts, strict=True)]
    ours = response_logprobs(*batch, MASK, average=True).tolist()
    assert ours == pytest.approx(averages, abs=1e-13)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int32, torch.float32])
def test_masks_of_any_type_mean_the_same(batch, dtype):
    for average in (False, True):
        plain = response_logprobs(*batch, MASK, average=average)
        other = response_logprobs(*batch, MASK.to(dtype), average=average)
        assert torch.equal(plain, other)


def test_what_lies_off_the_response_does_not_matter(batch):
    logits, labels = batch
    plain = response_logprobs(logits, labels, MASK)
    ignored = labels.masked_fill(MASK == 0, -100)
    assert torch.equal(response_logprobs(logits, ignored, MASK), plain)
    for junk in (math.nan, math.inf, -math.inf):
        spoilt = logits.masked_fill(~PREDICTS[..., None], junk)
        assert torch.equal(response_logprobs(spoilt, labels, MASK), plain)


def test_probabilities_of_all_responses_sum_to_one():
    first, second = torch.randn(2, 3, generator=seeded(1), dtype=F64)
    total = 0.0
    for a in range(3):
        for b in range(3):
            logits = torch.stack([first, second * (a + 1), first])[None]
            labels = torch.tensor([[0, a, b]])
            log = response_logprobs(logits, labels, torch.tensor([[0, 1, 1]]))
            total += log.exp().item()
    assert total == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_extremes(dtype):
    logits = torch.tensor([[[5000.0, 0.0], [-5000.0, 0.0], [0.0, 0.0]]], dtype=dtype)
    labels, mask = torch.tensor([[0, 0, 0]]), torch.tensor([[0, 1, 1]])
    found = token_logprobs(logits, labels, mask)
    assert found.tolist() == [[0.0, -5000.0]]
    assert found.dtype == dtype


def test_the_four_traps_would_be_seen(batch):
    """Mistakes of published code differ from the truth by far more than rounding."""
    logits, labels = batch
    truth = response_logprobs(logits, labels, MASK)
    logps = logits.log_softmax(-1)
    unshifted = (logps.gather(-1, labels[..., None])[..., 0] * MASK).sum(-1)
    shifted = logps[:, :-1].gather(-1, labels[:, 1:, None])[..., 0]
    late = (shifted * MASK[:, :-1]).sum(-1)
    prompt_counted = shifted.sum(-1)
    for wrong in (unshifted, late, prompt_counted):
        # the last row has a prompt of one token, which counting it cannot change
        assert ((wrong - truth)[:3].abs() > 1e-3).all()


def test_length_desensitised_weights_the_tail(batch):
    tokens = token_logprobs(*batch, MASK)
    shared = torch.tensor([2, 1, 1, 5])
    ours = length_desensitized_logprobs(tokens, MASK, shared, 0.25).tolist()
    for row, total in enumerate(ours):
        parts = [x for x, m in zip(tokens[row], MASK[row, 1:], strict=True) if m]
        cut = int(shared[row])
        slow_total = sum(parts[:cut]) + 0.25 * sum(parts[cut:])
        assert total == pytest.approx(float(slow_total), abs=1e-14)
    whole = length_desensitized_logprobs(tokens, MASK, shared, 1.0)
    assert torch.allclose(whole, response_logprobs(*batch, MASK), atol=1e-14)
    cut = length_desensitized_logprobs(tokens, MASK, shared, 0.0)
    assert cut[1] == tokens[1, 0]


def test_wpo_weights_against_a_slow_loop(batch):
    logits, labels = batch
    ours = wpo_weights(logits.requires_grad_(), labels, MASK)
    assert not ours.requires_grad
    for row, weight in enumerate(ours.tolist()):
        logs = []
        for t in range(1, 6):
            if MASK[row, t]:
                p = [
                    math.exp(slow_token(logits[row, t - 1].tolist(), v))
                    for v in range(5)
                ]
                logs.append(math.log(p[labels[row, t]] / sum(x * x for x in p)))
        assert weight == pytest.approx(math.exp(sum(logs) / len(logs)), rel=1e-12)


ONE = torch.zeros(1, 3, 4)
IDS, ON = torch.tensor([[0, 1, 2]]), torch.tensor([[0, 1, 1]])
OFF_IN_THE_MIDDLE = torch.tensor([[0, 1, 1], [0, 0, 0], [0, 1, 1]])
BAD = [
    ((ONE, IDS, torch.zeros(1, 3)), "mask has no response token in row 0"),
    ((ONE, IDS, torch.tensor([[1, 1, 1]])), "mask marks the first token"),
    ((ONE, IDS, ON * 2), "mask must be 0 or 1"),
    ((ONE, IDS, ON * math.nan), "mask must be 0 or 1"),
    ((ONE, IDS, ON[:, :2]), "mask has shape"),
    ((ONE, IDS[:, :2], ON), "labels has shape"),
    ((ONE, IDS + 2, ON), "labels hold an id outside"),
    ((ONE, IDS * 0 - 1, ON), "labels hold an id outside"),
    ((ONE.expand(3, 3, 4), IDS.expand(3, 3), OFF_IN_THE_MIDDLE), "token in row 1"),
    ((ONE[0], IDS, ON), "logits must be"),
    ((torch.zeros(0, 3, 4), IDS[:0], ON[:0]), "logits must be"),
    ((ONE * math.nan, IDS, ON), "logits hold NaN"),
]


ALL = token_logprobs, response_logprobs, wpo_weights
test_what_is_refused_is_named = refusals(*((f, *bad) for f in ALL for bad in BAD))
test_other_types_are_refused = refusals(
    (response_logprobs, (ONE.long(), IDS, ON), "logits must be floating point"),
    (response_logprobs, (ONE, IDS.float(), ON), "labels must be token ids"),
    (response_logprobs, (ONE, IDS.tolist(), ON), "labels must be a tensor"),
    (response_logprobs, (ONE, IDS, ON.tolist()), "mask must be a tensor"),
    error=TypeError,
)


# ── one bad row among good ones, and what must not change ─────────────────────────────


def two_rows(logits=None, labels=None, mask=None):
    """A good batch of two, whose second row can be spoilt."""
    batch = [torch.zeros(2, 4, 3, dtype=F64), torch.zeros(2, 4).long()]
    batch.append(torch.tensor([[0, 1, 1, 0], [0, 0, 1, 1]]))
    for tensor, row in zip(batch, (logits, labels, mask), strict=True):
        if row is not None:
            tensor[1] = torch.tensor(row)
    return batch


@pytest.mark.parametrize(
    ("spoilt", "says"),
    [
        ({"logits": [[0.0] * 3, [math.nan] * 3, *[[0.0] * 3] * 2]}, "logits hold NaN"),
        ({"labels": [0, 0, 0, 3]}, "labels hold an id outside"),
        ({"labels": [0, 0, -100, 0]}, "labels hold an id outside"),
        ({"mask": [1, 0, 1, 1]}, "mask marks the first token"),
        ({"mask": [0, 0, 0, 0]}, "mask has no response token in row 1"),
        ({"mask": [0, 0, 1, 2]}, "mask must be 0 or 1"),
    ],
)
@pytest.mark.parametrize("function", ALL)
def test_one_bad_row_is_enough(function, spoilt, says):
    function(*two_rows())
    with pytest.raises(ValueError, match=says):
        function(*two_rows(**spoilt))


TOKENS, BOTH = torch.zeros(2, 3), torch.tensor([1, 1])


@pytest.mark.parametrize(
    ("tokens", "shared", "alpha", "says"),
    [
        (TOKENS, torch.tensor([1, 0]), 0.5, "shared_length must be"),
        (TOKENS, BOTH[:1], 0.5, "shared_length"),
        (torch.zeros(2, 4), BOTH, 0.5, "token_logps"),
        (TOKENS / 0, BOTH, 0.5, "token_logps must be"),
        (TOKENS.long(), BOTH, 0.5, "token_logps must be"),
        *((TOKENS, BOTH, bad, "alpha must be") for bad in (1.5, -0.5, math.nan, "1")),
    ],
)
def test_one_bad_tail_is_enough(tokens, shared, alpha, says):
    mask = two_rows()[2]
    with pytest.raises((TypeError, ValueError), match=says):
        length_desensitized_logprobs(tokens, mask, shared, alpha)


def test_gradients_are_one_hot_minus_probabilities_where_a_logit_predicts(batch):
    """d log π(y_t) / d logits at t − 1, in closed form; 0 elsewhere."""
    logits, labels = batch
    leaf = logits.clone().requires_grad_()
    response_logprobs(leaf, labels, MASK).sum().backward()
    for row, t in PREDICTS.nonzero().tolist():
        slope = -logits[row, t].softmax(-1)
        slope[labels[row, t + 1]] += 1
        assert torch.allclose(leaf.grad[row, t], slope, rtol=0, atol=1e-14)
    assert torch.equal(leaf.grad.abs().sum(-1) > 0, PREDICTS)


def test_float32_follows_float64_and_nothing_changes_its_inputs(batch):
    logits, labels = batch[0].float(), batch[1]
    given = logits.clone(), labels.clone(), MASK.clone()
    shared = torch.tensor([2, 1, 1, 5])

    def all_four(logits):
        tokens = token_logprobs(logits, labels, MASK)
        return (
            tokens,
            response_logprobs(logits, labels, MASK),
            response_logprobs(logits, labels, MASK, average=True),
            length_desensitized_logprobs(tokens, MASK, shared, 0.25),
            wpo_weights(logits, labels, MASK),
        )

    # half of float32's digits must survive the arithmetic
    tolerance = torch.finfo(torch.float32).eps ** 0.5
    for narrow, wide in zip(all_four(logits), all_four(logits.double()), strict=True):
        assert (narrow.dtype, wide.dtype) == (torch.float32, F64)
        assert torch.allclose(narrow.double(), wide, rtol=tolerance, atol=tolerance)
    assert all(a.equal(b) for a, b in zip(given, (logits, labels, MASK), strict=True))


def test_wpo_weights_take_words_that_are_ruled_out():
    """Logits of −inf, as a sampler's mask leaves them, are probabilities of zero."""
    logits = torch.tensor([[[0.0, 0.0, -math.inf], [0.0, 0.0, 0.0]]], dtype=F64)
    weight = wpo_weights(logits, torch.tensor([[0, 1]]), torch.tensor([[0, 1]]))
    assert weight.tolist() == [pytest.approx(1.0, abs=1e-15)]


def test_signatures_are_the_contract_and_sources_are_named():
    assert oracles.contract(logprobs) == {
        "at_least_float32": "logits",
        "length_desensitized_logprobs": "token_logps, mask, shared_length, alpha",
        "response_logprobs": "logits, labels, mask, *, average=False",
        "token_logprobs": "logits, labels, mask",
        "wpo_weights": "logits, labels, mask",
    }
    assert oracles.undocumented(logprobs) == []
