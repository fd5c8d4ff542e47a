"""How far something is: items done, rate and time left, on a terminal and in logs."""

# Status tells how far a job is, and draws no bar.
# ruff: noqa: PLC0415

import logging
import sys
import time

HARMLESS = "shows how far a job is"

log = logging.getLogger("lorascope")

LOG_SECONDS = 20.0


class Progress:
    """A bar on a terminal, and a line in the log now and then and at the end."""

    def __init__(self, total: int, done: int, what: str, unit: str = "item") -> None:
        from tqdm import tqdm

        self.total, self.first, self.done, self.what = total, done, done, what
        self.unit = unit
        self.drawn = sys.stderr.isatty()
        self.bar = tqdm(
            total=total,
            initial=done,
            desc=what,
            unit=unit,
            dynamic_ncols=True,
            disable=not self.drawn,
        )
        self.started = self.logged = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()
        if self.done > self.first:
            self._log()

    def update(self, items: int) -> None:
        """Count ``items`` more as done."""
        self.done += items
        self.bar.update(items)
        if time.monotonic() - self.logged >= LOG_SECONDS:
            self._log()

    def _log(self) -> None:
        self.logged = time.monotonic()
        rate = (self.done - self.first) / max(self.logged - self.started, 1e-9)
        text = progress_text(self.done, self.total, rate, self.unit)
        # What a bar shows is not printed below it, see lorascope.stages.command.
        log.info("%s: %s", self.what, text, extra={"drawn": self.drawn})


def progress_text(done: int, total: int, rate: float, unit: str = "item") -> str:
    """Return in words how far something is, at ``rate`` units per second (0: not known)."""
    if not rate:
        return f"{done} of {total} {unit}s"
    minutes, seconds = divmod(round((total - done) / rate), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{done} of {total} {unit}s, {rate:.3g} a second, {hours}:{minutes:02}:{seconds:02} left"
