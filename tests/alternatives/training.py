"""Chapter 07."""

import itertools

import numpy as np
import torch
import torch.nn.functional as F


def sentence_logps__one_by_one(levels):
    """Each sentence on its own, its path looked up in the tree."""
    words, longest = levels[0].shape[-1] - 1, len(levels)
    found = []
    for length in range(longest + 1):
        for sentence in itertools.product(range(words), repeat=length):
            prefix, total = 0, 0.0
            for depth, word in enumerate(sentence):
                total = total + levels[depth][..., prefix, word]
                prefix = prefix * words + word
            if length < longest:
                total = total + levels[length][..., prefix, words]
            found.append(total)
    return torch.stack(found, -1)


def sentence_logps__from_behind(levels):
    """First the continuations of every prefix, then what leads there."""
    first, rest = levels[0], levels[1:]
    if not rest:
        return torch.cat([first[..., 0, -1:], first[..., 0, :-1]], -1)
    words = first.shape[-1] - 1
    below = []
    for word in range(words):
        share = []
        for level in rest:
            size = level.shape[-2] // words
            share.append(level[..., word * size : (word + 1) * size, :])
        after = sentence_logps__from_behind(share)
        below.append(after + first[..., 0, word, None])
    pieces, place = [first[..., 0, -1:]], 0
    for depth in range(len(levels)):
        size = words**depth
        pieces += [after[..., place : place + size] for after in below]
        place += size
    return torch.cat(pieces, -1)


def sentence_logps__by_repeating(levels):
    words = levels[0].shape[-1] - 1
    path = levels[0].new_zeros(levels[0].shape[:-1])
    out = path[..., :0]
    for level in levels:
        steps = path.unsqueeze(-1) + level
        out = torch.cat([out, steps[..., words]], -1)
        path = steps[..., :words].reshape(*level.shape[:-2], -1)
    return torch.cat([out, path], -1)


def part_mask__cell_by_cell(parts):
    rows, time = parts.shape
    mask = torch.zeros(rows, time, time, dtype=torch.bool)
    for row, query in itertools.product(range(rows), range(time)):
        for key in range(query + 1):
            part = int(parts[row, key])
            mask[row, query, key] = part in (0, int(parts[row, query]))
    return mask


def part_mask__in_numpy(parts):
    ids = parts.numpy()
    known = np.equal(ids[:, None, :], ids[:, :, None]) | (ids[:, None, :] == 0)
    return torch.from_numpy(np.tril(known))


def part_mask__by_what_is_hidden(parts):
    key, query = parts.unsqueeze(1), parts.unsqueeze(2)
    stranger = (key != query) & (key > 0)
    place = torch.arange(parts.shape[1])
    return ~(stranger | (place[None, :] > place[:, None]))


def sum_by_owner__by_scatter(values, owners, count):
    return torch.zeros(count, dtype=values.dtype).scatter_add(0, owners, values)


def sum_by_owner__by_one_hot(values, owners, count):
    return values @ F.one_hot(owners, count).to(values.dtype)


def sum_by_owner__by_a_loop(values, owners, count):
    return torch.stack([values[owners == owner].sum() for owner in range(count)])


def sum_by_owner__by_index_put(values, owners, count):
    zeros = torch.zeros(count, dtype=values.dtype)
    return zeros.index_put((owners,), values, accumulate=True)


def clipped_policy_loss__by_cases(logps, old_logps, advantages, clip=0.2):
    ratio = torch.exp(logps - old_logps.detach())
    too_far = (advantages > 0) & (ratio > 1 + clip)
    too_far |= (advantages < 0) & (ratio < 1 - clip)
    bound = 1 + clip * advantages.sign()
    return -(torch.where(too_far, bound, ratio) * advantages).mean()


def clipped_policy_loss__by_a_loop(logps, old_logps, advantages, clip=0.2):
    losses = []
    for new, old, advantage in zip(logps, old_logps, advantages, strict=True):
        ratio = (new - old).exp()
        kept = torch.clip(ratio, 1 - clip, 1 + clip)
        losses.append(max(-ratio * advantage, -kept * advantage))
    return torch.stack(losses).mean()


def clipped_policy_loss__by_relu(logps, old_logps, advantages, clip=0.2):
    """The gain, less what lies beyond the clip."""
    gain = (logps - old_logps).exp() * advantages
    most = advantages + clip * advantages.abs()
    return (F.relu(gain - most) - gain).sum() / len(gain)
