"""DPO with FSDP2: each process keeps its share of weights, gradients and Adam's state.

    torchrun --nproc-per-node 2 docs/launch/fsdp.py          two CPU processes, or GPUs
    torchrun --nnodes 4 --nproc-per-node 8 --rdzv-backend c10d \
        --rdzv-endpoint HOST:29500 docs/launch/fsdp.py       four machines of eight GPUs

The losses are those of one process, whatever the number: a batch is split, not changed.
"""

import os
import time

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from course_lib.batches import batch_order, collate, response_logps, sentence_texts
from course_lib.losses import dpo_loss
from course_lib.training import reference_logps
from course_lib.transformer import load
from course_lib.worlds import sample_preferences, world_s

STEPS, PAIRS_A_STEP = 5, 32


class Scorer(nn.Module):
    """FSDP gathers weights when `forward` is called, so that is where all happens."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, batch):
        return response_logps(self.model, batch)


def main():
    gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if gpu else "cpu"
    if gpu:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if gpu else "gloo")
    rank, world = dist.get_rank(), dist.get_world_size()

    sentences, ref = world_s(), load("S").double()
    pairs = sample_preferences(sentences.exact(ref), 512, seed=0)
    texts = sentence_texts(sentences, *pairs)
    known = reference_logps(ref, texts)  # once, before anything is split
    rows_of = batch_order(texts, PAIRS_A_STEP, seed=0)

    mesh = init_device_mesh("cuda" if gpu else "cpu", (world,))
    scorer = Scorer(load("S").double().to(device))
    for block in scorer.model.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(scorer, mesh=mesh)  # what is left: embedding and norm
    optimiser = torch.optim.AdamW(scorer.parameters(), 2e-3)  # of the shares

    for step in range(STEPS):
        rows = rows_of(step)[rank::world]  # this process's share of the batch
        batch = collate(texts.take(rows), "padded").to(device)
        logps, ref_rows = scorer(batch), known[rows].T.to(device)
        loss = dpo_loss(*logps.chunk(2), *ref_rows, beta=0.5)  # mean over the share
        optimiser.zero_grad()
        loss.backward()  # gradients are averaged over processes, and split
        optimiser.step()
        mean = loss.detach().clone()
        dist.all_reduce(mean)
        if rank == 0:
            print(f"step {step}: loss {mean / world:.12f}")
    # until Gloo has let go of the last tensor, or torch 2.13 can wait for ever
    time.sleep(0.5)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
