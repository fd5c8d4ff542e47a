"""One optimiser for every stage: AdamW, warm-up, cosine decay, gradients clipped at norm 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a stage learns."""

    steps: int
    learning_rate: float
    warmup: int = 20
    weight_decay: float = 0.01


def minimise(
    name: str,
    loss: Callable[[], Tensor],
    parameters: Iterable[nn.Parameter],
    schedule: Schedule,
) -> None:
    """Take `schedule.steps` steps down `loss`, which draws a new batch at each call."""
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    optimiser = torch.optim.AdamW(
        parameters,
        schedule.learning_rate,
        betas=(0.9, 0.98),
        weight_decay=schedule.weight_decay,
    )

    def factor(step: int) -> float:
        cosine = 0.5 * (1 + math.cos(math.pi * step / schedule.steps))
        return min(1.0, (step + 1) / schedule.warmup) * (0.97 * cosine + 0.03)

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    mean = None
    for _ in (progress := tqdm(range(schedule.steps), name)):
        value = loss()
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        scheduler.step()
        mean = value.item() if mean is None else 0.98 * mean + 0.02 * value.item()
        progress.set_postfix(loss=f"{mean:.3f}", refresh=False)
