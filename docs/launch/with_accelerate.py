"""The same five steps of DPO through accelerate: the file decides where they run.

    cd docs/launch
    accelerate launch --config_file here.yaml with_accelerate.py
    accelerate launch --config_file cluster.yaml with_accelerate.py

`here.yaml` asks for two processes on this machine, `cluster.yaml` for two machines of
eight GPUs. The script knows of neither.
"""

import time

import torch
from accelerate import Accelerator
from torch import nn

from course_lib.batches import batch_order, collate, response_logps, sentence_texts
from course_lib.losses import dpo_loss
from course_lib.training import reference_logps
from course_lib.transformer import load
from course_lib.worlds import sample_preferences, world_s

STEPS, PAIRS_A_STEP = 5, 32


class Scorer(nn.Module):
    """Wrappers see calls of `forward` alone, so that is where all happens."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, batch):
        return response_logps(self.model, batch)


def main():
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    rank, world = accelerator.process_index, accelerator.num_processes

    accelerator.print(f"{world} processes, {accelerator.distributed_type.value}")
    sentences, ref = world_s(), load("S").double()
    pairs = sample_preferences(sentences.exact(ref), 512, seed=0)
    texts = sentence_texts(sentences, *pairs)
    known = reference_logps(ref, texts)
    rows_of = batch_order(texts, PAIRS_A_STEP, seed=0)

    scorer = Scorer(load("S").double())
    optimiser = torch.optim.AdamW(scorer.parameters(), 2e-3)
    scorer, optimiser = accelerator.prepare(scorer, optimiser)

    for step in range(STEPS):
        rows = rows_of(step)[rank::world]
        batch = collate(texts.take(rows), "padded").to(accelerator.device)
        logps, ref_rows = scorer(batch), known[rows].T.to(accelerator.device)
        loss = dpo_loss(*logps.chunk(2), *ref_rows, beta=0.5)
        optimiser.zero_grad()
        accelerator.backward(loss)
        optimiser.step()
        mean = accelerator.reduce(loss.detach(), "mean")
        accelerator.print(f"step {step}: loss {mean:.12f}")
    # until Gloo has let go of the last tensor, or torch 2.13 can wait for ever
    time.sleep(0.5)
    accelerator.end_training()


if __name__ == "__main__":
    main()
