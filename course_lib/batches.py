"""Responses as rows of tokens: how they are laid out, and their log-probabilities.

Logits are computed only where a response is predicted. Three layouts give the same
numbers: `padded`, a row for each response; `shared`, one row [prompt, chosen, rejected]
in which both responses start at one position and cannot see each other; `distinct`, a
row for each different response, where a batch holds the same ones many times.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from course_lib import validate
from course_lib._moved import renamed
from course_lib.logprobs import at_least_float32
from course_lib.worlds import SentenceWorld

__all__ = [
    "LAYOUTS",
    "Batch",
    "Texts",
    "batch_order",
    "collate",
    "evaluation_mode",
    "pairs",
    "part_mask",
    "response_logps",
    "schedule",
    "sentence_texts",
    "sum_by_owner",
    "texts_logps",
    "with_mismatched",
    "with_thumbs",
]

LAYOUTS = ("shared", "padded", "distinct")
__getattr__ = renamed(__name__, score="response_logps")


class Texts(NamedTuple):
    """Prompts with one response each, or several: the chosen, the rejected, more."""

    prompts: Tensor  # token ids, (examples, time), zeros after the end
    prompt_lengths: Tensor  # (examples,)
    responses: Tensor  # (examples, sides, time)
    lengths: Tensor  # (examples, sides), tokens that count
    desirable: Tensor | None = None  # of single responses, for KTO: thumbs, (examples,)

    def __len__(self) -> int:
        return len(self.prompts)

    def replace(self, **changed: Tensor) -> "Texts":
        """These texts with some parts replaced (`_replace` trips over our `len`)."""
        return Texts(**(self._asdict() | changed))

    def take(self, rows: Tensor) -> "Texts":
        """The examples of those rows, as wide as the longest among them."""
        taken = Texts(*(part if part is None else part[rows] for part in self))
        wide, long = int(taken.prompt_lengths.max()), int(taken.lengths.max())
        return taken.replace(
            prompts=taken.prompts[:, :wide], responses=taken.responses[..., :long]
        )


class Batch(NamedTuple):
    """Rows for a model, and where in them the response tokens are predicted."""

    ids: Tensor  # (rows, time)
    positions: Tensor | None  # (rows, time), None for 0, 1, 2, …
    attend: Tensor | None  # (rows, 1, time, time), None for causal
    predictors: Tensor  # (response tokens,), places in the flattened rows
    targets: Tensor  # (response tokens,), the ids that they should have predicted
    owners: Tensor  # (response tokens,), which response each belongs to
    lengths: Tensor  # (responses,): all first responses, then all second ones
    ends: Tensor | None  # (responses,), place of each one's last token, if it is read
    copies: Tensor | None = None  # (responses,), which row each is, if some are alike

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(*(part if part is None else part.to(device) for part in self))


def pairs(
    prompts: Sequence[Sequence[int]],
    chosen: Sequence[Sequence[int]],
    rejected: Sequence[Sequence[int]] | None = None,
) -> Texts:
    """Token ids of prompts and responses, checked and put into tensors.

    prompts, chosen, rejected: one sequence of ids an example; responses with their end
        token, if they have one; without `rejected`: single responses, for SFT
    raises: ValueError if there is none, if one is empty, or if a pair has equal sides

    >>> pairs([[9, 1]], [[4, 8]], [[5, 5, 8]]).lengths
    tensor([[2, 3]])
    """
    sides = [chosen] if rejected is None else [chosen, rejected]
    if not len(prompts):
        raise ValueError("prompts is empty: there is nothing to train on")
    names = ("prompts", "chosen", "rejected")
    for name, texts in zip(names, [prompts, *sides], strict=False):
        if len(texts) != len(prompts):
            raise ValueError(f"{name} has {len(texts)} entries, not {len(prompts)}")
        for row, text in enumerate(texts):
            if not len(text):
                raise ValueError(f"{name}[{row}] is empty: it has no token to score")
    if rejected is not None:
        for row, (first, second) in enumerate(zip(chosen, rejected, strict=True)):
            if list(first) == list(second):
                raise ValueError(f"chosen[{row}] and rejected[{row}] are equal")
    wide = [torch.tensor(text) for texts in zip(*sides, strict=True) for text in texts]
    lengths = torch.tensor([len(text) for text in wide]).view(len(prompts), -1)
    return Texts(
        pad_sequence([torch.tensor(text) for text in prompts], batch_first=True),
        torch.tensor([len(text) for text in prompts]),
        pad_sequence(wide, batch_first=True).view(*lengths.shape, -1),
        lengths,
    )


def sentence_texts(
    sentences: SentenceWorld, prompts: Tensor, *responses: Tensor
) -> Texts:
    """Prompts and sentences of an exact world, by number, as token ids.

    prompts: numbers, (examples,); responses: of one side or more, (examples,) each, as
        from `worlds.sample_demonstrations` or `worlds.sample_preferences`
    raises: ValueError if there is none, or if a pair has equal sides

    >>> from course_lib.worlds import world_s
    >>> one, two = torch.tensor([[0], [5]])               # the empty sentence, "good"
    >>> sentence_texts(world_s(), one, two, one).lengths
    tensor([[2, 1]])
    """
    if not len(prompts):
        raise ValueError("prompts is empty: there is nothing to train on")
    if len(responses) == 2 and (responses[0] == responses[1]).any():
        raise ValueError("responses hold a pair of equal sides: it says nothing")
    numbers = torch.stack(responses, 1)
    return Texts(
        sentences.prompt_ids(prompts),
        torch.ones_like(prompts),
        sentences.tokens[numbers],
        sentences.lengths[numbers],
    )


def with_thumbs(texts: Texts, desirable: Tensor) -> Texts:
    """Single responses, each with a thumb: what KTO trains on without any pairs.

    texts: one response a prompt; desirable: booleans, True for a thumb up, (examples,)
    raises: ValueError for texts with two sides, or anything but a boolean an example

    >>> with_thumbs(pairs([[3]], [[0]]), torch.tensor([True])).desirable
    tensor([True])
    """
    if texts.lengths.shape[1] != 1:
        raise ValueError("texts must hold one response a prompt: pairs need no thumbs")
    if desirable.dtype != torch.bool or desirable.shape != texts.prompt_lengths.shape:
        raise ValueError("desirable must hold booleans, one for each example")
    return texts.replace(desirable=desirable)


def schedule(texts: Texts, size: int, seed: int, epoch: int) -> list[Tensor]:
    """The rows of each batch of an epoch: shuffled, then near in length.

    Sixteen batches at a time are sorted by length, so that a batch holds little
    padding; the batches themselves then come in random order.

    texts: what to train on; size: examples a batch, at most len(texts)
    seed, epoch: the same order again for the same two numbers
    returns: tensors of `size` rows; what is left over of an epoch is dropped

    >>> texts = pairs([[3]] * 4, [[0], [0, 1], [1], [1, 1]])
    >>> [len(rows) for rows in schedule(texts, 2, seed=0, epoch=0)]
    [2, 2]
    """
    random = torch.Generator().manual_seed(1_000_003 * seed + epoch)
    order = torch.randperm(len(texts), generator=random)
    order = order[: len(texts) // size * size]
    total = texts.prompt_lengths + texts.lengths.sum(1)
    pools = [pool[total[pool].argsort(stable=True)] for pool in order.split(16 * size)]
    batches = [rows for pool in pools for rows in pool.split(size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=random).tolist()]


def batch_order(texts: Texts, size: int, seed: int) -> Callable[[int], Tensor]:
    """Which texts a step sees, for any step, whatever was asked before.

    texts, size, seed: as for `schedule`
    returns: a function of the step's number, which gives `size` rows
    raises: ValueError for too few texts
    """
    if not 0 < size <= len(texts):
        raise ValueError(f"batch_size is {size} for {len(texts)} texts")
    batches = functools.lru_cache(1)(functools.partial(schedule, texts, size, seed))

    def rows(step: int) -> Tensor:
        epoch, number = divmod(step, len(texts) // size)
        return batches(epoch)[number]

    return rows


def with_mismatched(texts: Texts) -> Texts:
    """One more side, for KTO's reference point: a response that another prompt got.

    Of whom is drawn at random, always in the same way; chosen and rejected responses
    take turns, since the policy's drift is to be seen on both kinds

    raises: ValueError if there is one prompt only, so nothing can be mismatched

    >>> with_mismatched(pairs([[3], [4]], [[0], [1, 1]], [[2], [2]])).lengths
    tensor([[1, 1, 2],
            [2, 1, 1]])
    """
    each = torch.cat((texts.prompt_lengths[:, None], texts.prompts), 1)
    _, asked, sizes = each.unique(dim=0, return_inverse=True, return_counts=True)
    count, sides = texts.lengths.shape
    if len(sizes) == 1:
        raise ValueError("texts have one prompt: KTO mismatches responses to others")
    by_prompt, end = asked.argsort(stable=True), sizes.cumsum(0)
    others = count - sizes[asked]  # how many examples there are of other prompts
    random = torch.rand(count, generator=torch.Generator().manual_seed(0))
    step = (random.double() * others).long().clamp(max=others - 1)
    partner = by_prompt[(end[asked] + step) % count]
    side = torch.arange(count) % sides
    responses = torch.cat((texts.responses, texts.responses[partner, side][:, None]), 1)
    lengths = torch.cat((texts.lengths, texts.lengths[partner, side][:, None]), 1)
    return texts.replace(responses=responses, lengths=lengths)


def collate(texts: Texts, layout: str = "shared", *, whole: bool = False) -> Batch:
    """Lay examples out as rows.

    A response's last token is predicted, and predicts nothing: it need not be read

    layout: "shared", a row for each prompt with all of its responses; "padded", a row
        for each response; "distinct", a row for each different one. With one response a
        prompt the first two are the same
    whole: read last tokens too, for callers that need `ends`
    raises: ValueError for another layout
    """
    validate.choice("layout", layout, LAYOUTS)
    count, sides = texts.lengths.shape
    owners = torch.arange(count * sides).view(sides, count).T
    if layout == "shared":
        return _rows(texts, owners, whole)
    texts = Texts(  # all first responses, then all second ones
        texts.prompts.repeat(sides, 1),
        texts.prompt_lengths.repeat(sides),
        texts.responses.transpose(0, 1).flatten(0, 1)[:, None],
        texts.lengths.T.reshape(-1, 1),
    )
    if layout == "padded":
        return _rows(texts, torch.arange(count * sides)[:, None], whole)
    first, copies = _different(texts)
    batch = _rows(texts.take(first), torch.arange(len(first))[:, None], whole)
    ends = batch.ends[copies] if whole else None
    return batch._replace(lengths=batch.lengths[copies], ends=ends, copies=copies)


def _different(texts: Texts) -> tuple[Tensor, Tensor]:
    """The first of each kind of example, and of which kind each example is."""
    parts = (texts.prompts, texts.prompt_lengths[:, None], texts.responses[:, 0])
    whole = torch.cat([*parts, texts.lengths], 1)
    kinds, copies = whole.unique(dim=0, return_inverse=True)
    order = torch.arange(len(copies))
    first = order.new_full((len(kinds),), len(copies))
    return first.scatter_reduce(0, copies, order, "amin"), copies


def _rows(texts: Texts, owners: Tensor, whole: bool) -> Batch:
    """One row an example: the prompt, then each response, then padding.

    owners: which response of the batch each one is, (examples, sides)
    """
    after, lengths = texts.prompt_lengths[:, None], texts.lengths
    read = lengths - int(not whole)
    starts = after + read.cumsum(1) - read  # column of a response's first token
    time = int((after.squeeze(1) + read.sum(1)).max())
    place = torch.arange(time).expand(len(texts), time)
    prompts = F.pad(texts.prompts, (0, time))[:, :time]
    ids, parts, positions = prompts * (place < after), place * 0, place.clone()

    number = torch.arange(texts.responses.shape[2])
    row, side, t = (number < lengths[..., None]).nonzero(as_tuple=True)
    targets, column = texts.responses[row, side, t], starts[row, side] + t
    before = torch.where(t == 0, after[row, 0], column) - 1
    kept = t < read[row, side]
    here = row[kept], column[kept]
    ids[here], parts[here] = targets[kept], side[kept] + 1
    positions[here] = after[row, 0][kept] + t[kept]
    in_order = owners.flatten().argsort()
    ends = time * torch.arange(len(texts))[:, None] + starts + read - 1
    batch = Batch(
        ids,
        None,
        None,
        row * time + before,
        targets,
        owners[row, side],
        lengths.flatten()[in_order],
        ends.flatten()[in_order] if whole else None,
    )
    if owners.shape[1] == 1:
        return batch
    return batch._replace(positions=positions, attend=part_mask(parts)[:, None])


def part_mask(parts: Tensor) -> Tensor:
    """Who may see whom in rows that hold a prompt and several responses to it.

    A token sees what stands before it or is itself, in its own part or in the prompt

    parts: 0 on the prompt, 1, 2, … on each response, (batch, time)
    returns: True where a query (row) sees a key (column), (batch, time, time)

    >>> part_mask(torch.tensor([[0, 1, 2]])).int()
    tensor([[[1, 0, 0],
             [1, 1, 0],
             [1, 0, 1]]], dtype=torch.int32)
    """
    causal = torch.ones(parts.shape[1], parts.shape[1], dtype=torch.bool).tril()
    mine, theirs = parts[:, :, None], parts[:, None, :]
    return causal.to(parts.device) & ((theirs == 0) | (mine == theirs))


def sum_by_owner(values: Tensor, owners: Tensor, count: int) -> Tensor:
    """Add up token values response by response.

    values: one a token, (tokens,); owners: which response each belongs to, (tokens,)
    count: of responses
    returns: (count,), 0 for a response without tokens

    >>> sum_by_owner(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 1, 0]), 2)
    tensor([5., 2.])
    """
    return values.new_zeros(count).index_add(0, owners, values)


def response_logps(
    model: nn.Module, batch: Batch, *, chunk: int | None = None
) -> Tensor:
    """Log-probability of every response of a batch: the sum over its tokens.

    model: with `features` and `head`, as in `course_lib.transformer`; the head is
        called at the places that predict a response token, and nowhere else
    chunk: take that many tokens at a time and compute their logits again for the
        gradient: memory then does not grow with tokens × vocabulary
    returns: nats, (responses,); an average is this over `batch.lengths`
    """
    layout = {"positions": batch.positions, "attend": batch.attend}
    features = model.features(batch.ids, at=batch.predictors, **layout)
    if chunk is None:
        logps = _realised(features, batch.targets, model.head)
    else:
        pieces = zip(features.split(chunk), batch.targets.split(chunk), strict=True)
        logps = torch.cat(
            [checkpoint(_realised, *p, model.head, use_reentrant=False) for p in pieces]
        )
    if batch.copies is None:
        return sum_by_owner(logps, batch.owners, len(batch.lengths))
    return sum_by_owner(logps, batch.owners, len(batch.ids))[batch.copies]


@contextlib.contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Without dropout, then as before: each part in the mode that it was in."""
    training = [part for part in model.modules() if part.training]
    model.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


@torch.no_grad()
def texts_logps(
    model: nn.Module,
    texts: Texts,
    at_once: int,
    *,
    layout: str = "shared",
    chunk: int | None = None,
) -> Tensor:
    """Log-probability of every response of many texts, a batch at a time, no gradient.

    The model is in evaluation mode: dropout would add noise, and DPO would learn it

    model, chunk: as for `response_logps`; layout: of LAYOUTS
    at_once: examples in a batch
    returns: nats, (examples, sides), on the CPU
    """
    device, pieces = next(model.parameters()).device, []
    with evaluation_mode(model):
        for rows in torch.arange(len(texts)).split(at_once):
            batch = collate(texts.take(rows), layout).to(device)
            logps = response_logps(model, batch, chunk=chunk)
            pieces.append(logps.view(-1, len(rows)).T.cpu())
    return torch.cat(pieces)


def _realised(features: Tensor, targets: Tensor, head) -> Tensor:
    logits = at_least_float32(head(features))
    return -F.cross_entropy(logits, targets, reduction="none")
