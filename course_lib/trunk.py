"""Training the last blocks of a transformer, on remembered outputs of the others.

The lower blocks are frozen, so what they make of a text never changes. It is computed
when a text is first read and remembered; from then on a step costs the last blocks and
the head alone.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from course_lib.transformer import Transformer, rotation

__all__ = ["LastBlocks", "Trunk"]


class Trunk:
    """All blocks but the last, frozen, and what they said of each row.

    model: stays as it is; several `LastBlocks` may stand on one trunk
    depth: how many blocks are left to train, from 1 to all
    raises: ValueError for another depth
    """

    def __init__(self, model: Transformer, depth: int):
        if not 1 <= depth <= len(model.blocks):
            raise ValueError(
                f"depth must be from 1 to the {len(model.blocks)} blocks, got {depth}"
            )
        self.model, self.cut = model, len(model.blocks) - depth
        self._known: dict[bytes, Tensor] = {}

    @torch.no_grad()
    def __call__(self, ids: Tensor, at: Tensor | None = None) -> Tensor:
        """The state of each token after the frozen blocks, (batch, time, width).

        ids: (batch, time), rows of one response, padded on the right
        at: the places that will be read, in the flattened (batch × time), None for all:
            what comes after the last of a row is padding, and its state 0
        """
        batch, time = ids.shape
        counts = ids.new_full((batch,), time)
        if at is not None:
            counts = (counts * 0).scatter_reduce(0, at // time, at % time + 1, "amax")
        read = zip(ids.cpu(), counts.tolist(), strict=True)
        keys = [row[:count].numpy().tobytes() for row, count in read]
        new = [row for row, key in enumerate(keys) if key not in self._known]
        if new:
            for row, states in zip(new, self._states(ids[new]), strict=True):
                self._known[keys[row]] = states[: counts[row]].clone()
        rows = [self._known[key].to(ids.device) for key in keys]
        states = pad_sequence(rows, batch_first=True)
        return F.pad(states, (0, 0, 0, time - states.shape[1]))

    def _states(self, ids: Tensor) -> Tensor:
        model = self.model.to(ids.device)
        x, turn = model.embedding(ids), _turn(model, ids)
        for block in model.blocks[: self.cut]:
            x = block(x, turn, None, None, 0, None)
        return x


class LastBlocks(nn.Module):
    """The last blocks of a transformer on a frozen trunk: what is trained, and nothing
    else. Ids in, logits out, as the whole model has them.

    The head is the embedding, and it is frozen with the trunk.

    trunk: of the model whose last blocks are copied

    >>> from course_lib.transformer import Shape
    >>> model = Transformer(Shape(vocab=13, outputs=9, layers=3))
    >>> top = LastBlocks(Trunk(model, depth=1))
    >>> torch.equal(top(torch.tensor([[9, 0, 1]])), model(torch.tensor([[9, 0, 1]])))
    True
    """

    def __init__(self, trunk: Trunk):
        super().__init__()
        self.trunk = trunk
        self.blocks = copy.deepcopy(trunk.model.blocks[trunk.cut :])
        self.norm = copy.deepcopy(trunk.model.norm)
        # Two models that differ below only are told apart by what they hold
        below = [p.detach().double().sum() for p in trunk.model.parameters()]
        self.register_buffer("below", torch.stack(below), persistent=False)

    def features(self, ids: Tensor, *, at: Tensor | None = None, **layout) -> Tensor:
        """What the model knows at each place, before the head.

        ids: (batch, time), rows of one response; at: as for `Transformer.features`
        returns: (batch, time, width), or (places, width) with `at`
        raises: TypeError for another layout than "padded", whose rows are causal
        """
        if any(value is not None for value in layout.values()):
            raise TypeError("a trunk needs rows of one response, in padded layout")
        x, turn = self.trunk(ids, at), _turn(self.trunk.model, ids)
        last = len(self.blocks) - 1
        for number, block in enumerate(self.blocks):
            x = block(x, turn, None, None, 0, at if number == last else None)
        return self.norm(x)

    def head(self, features: Tensor) -> Tensor:
        model = self.trunk.model
        weight = model.embedding.weight[: model.shape.outputs].detach()  # frozen
        return F.linear(features, weight)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.features(ids))

    def whole(self) -> Transformer:
        """The model with these last blocks; its weights are those of trunk and top."""
        model = self.trunk.model
        whole = copy.deepcopy(model, {id(p): p for p in model.parameters()})
        whole.blocks = nn.ModuleList([*model.blocks[: self.trunk.cut], *self.blocks])
        whole.norm = self.norm
        return whole


def _turn(model: Transformer, ids: Tensor) -> tuple[Tensor, Tensor]:
    positions = torch.arange(ids.shape[1], device=ids.device)[None]
    return rotation(positions, model.shape, model.embedding.weight.dtype)
