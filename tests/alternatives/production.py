"""Chapter 09."""

import torch
import torch.nn.functional as F


def response_mask__row_by_row(prompt, prompt_lengths, whole, end):
    mask = torch.zeros_like(whole)
    for row in range(len(whole)):
        begins = 0
        most = min(int(prompt_lengths[row]), whole.shape[1])
        while begins < most and prompt[row, begins] == whole[row, begins]:
            begins += 1
        for place in range(begins, whole.shape[1]):
            mask[row, place] = 1
            if whole[row, place] == end:
                break
    return mask


def response_mask__by_first_places(prompt, prompt_lengths, whole, end):
    wide = min(prompt.shape[1], whole.shape[1])
    place = torch.arange(whole.shape[1])
    differs = torch.ones_like(whole, dtype=torch.bool)
    differs[:, :wide] = prompt[:, :wide] != whole[:, :wide]
    differs |= place >= prompt_lengths[:, None]
    none = torch.ones_like(differs[:, :1])
    first = torch.cat([differs, none], 1).long().argmax(1, keepdim=True)
    ends = torch.cat([(whole == end) & (place >= first), none], 1)
    last = ends.long().argmax(1, keepdim=True)
    return ((place >= first) & (place <= last)).long()


def response_mask__by_lists(prompt, prompt_lengths, whole, end):
    rows = []
    for p, n, w in zip(
        prompt.tolist(), prompt_lengths.tolist(), whole.tolist(), strict=True
    ):
        apart = [i for i, (x, y) in enumerate(zip(p[:n], w, strict=False)) if x != y]
        start = apart[0] if apart else min(n, len(w))
        rest = w[start:]
        size = rest.index(end) + 1 if end in rest else len(rest)
        rows.append([0] * start + [1] * size + [0] * (len(rest) - size))
    return torch.tensor(rows)


def lora_step__by_autograd(a, b, gradient, alpha, rate):
    scale = alpha / len(a)
    with torch.enable_grad():
        one, other = (
            x if x.requires_grad else x.clone().requires_grad_() for x in (a, b)
        )
        touched = (gradient * (scale * other @ one)).sum()
        to_a, to_b = torch.autograd.grad(touched, (one, other), create_graph=True)
    return scale * (b - rate * to_b) @ (a - rate * to_a) - scale * b @ a


def lora_step__multiplied_out(a, b, gradient, alpha, rate):
    s = alpha / a.shape[0]
    move_a, move_b = -rate * s * b.mT @ gradient, -rate * s * gradient @ a.mT
    return s * (b @ move_a + move_b @ a + move_b @ move_a)


def lora_step__by_linear(a, b, gradient, alpha, rate):
    s = alpha / a.size(0)
    new_a = torch.addmm(a, b.t(), gradient, alpha=-rate * s)
    new_b = b - rate * s * F.linear(gradient, a)
    return s * (torch.einsum("or,ri->oi", new_b, new_a) - torch.matmul(b, a))


def micro_batch_weights__by_a_loop(counts):
    rows, total = counts.tolist(), sum(map(sum, counts.tolist()))
    scaled = [[len(rows) * n / total for n in row] for row in rows]
    return torch.tensor(scaled, dtype=counts.dtype)


def micro_batch_weights__over_the_mean_process(counts):
    return counts / counts.sum(dim=1).mean()


def micro_batch_weights__by_softmax(counts):
    return torch.softmax(counts.log().flatten(), 0).view_as(counts) * counts.size(0)


def backward_peak__by_a_loop(activations, gradients):
    found = []
    for a, g in zip(activations, gradients, strict=True):
        sums = [a[: i + 1].sum() + g[i:].sum() for i in range(len(a))]
        found.append(torch.stack(sums).max())
    return torch.stack(found)


def backward_peak__step_by_step(activations, gradients):
    held = activations.sum(1)
    most = torch.zeros_like(held)
    for i in reversed(range(activations.shape[1])):
        held = held + gradients[:, i]
        most = torch.maximum(most, held)
        held = held - activations[:, i]
    return most


def backward_peak__by_a_matrix(activations, gradients):
    n = activations.shape[1]
    before = torch.ones(n, n, dtype=activations.dtype).triu()
    sums = activations @ before + gradients @ before.T
    return sums.max(dim=1).values
