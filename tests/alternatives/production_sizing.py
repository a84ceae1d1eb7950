"""Chapter 09, second half."""

import torch


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
