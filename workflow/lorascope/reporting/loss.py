"""The chart of the training loss of a study's adapters."""

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from lorascope.reporting.figures import COLOURS, LINES, WIDTH, saved_figure

_SMOOTHED_SHARE = 20  # the smoothed line averages over about this fraction of a training


def loss_chart(trainings: Mapping[str, pd.DataFrame], title: str, svg: Path, png: Path) -> None:
    """Draw the loss against the optimiser step, a smoothed line over a pale raw one per adapter.

    trainings: adapter -> columns step and loss, in order of steps. The smoothed line is the mean
    over the last steps, weighted exponentially, over about a twentieth of the training. Writes
    SVG and PNG; equal data give equal bytes.
    """
    with saved_figure(title, svg, png) as figure:
        figure.set_size_inches(WIDTH * 0.6, 3.6)
        axes = figure.add_subplot(xlabel="optimiser step", ylabel="training loss")
        for number, (name, training) in enumerate(trainings.items()):
            colour = COLOURS[number % len(COLOURS)]
            line = LINES[number // len(COLOURS) % len(LINES)]
            steps, loss = training["step"], training["loss"]
            smoothed = loss.ewm(span=max(1, math.ceil(len(loss) / _SMOOTHED_SHARE))).mean()
            axes.plot(steps, loss, color=colour, linewidth=0.8, alpha=0.35)
            axes.plot(steps, smoothed, line, color=colour, linewidth=1.6, label=name)
        axes.set_ylim(bottom=0)
        figure.legend(loc="outside lower center", ncols=min(len(trainings), 5))
