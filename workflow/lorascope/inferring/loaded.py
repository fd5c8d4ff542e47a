"""A model that is loaded once, and answers shards under one adapter after another."""

import logging
import uuid
from collections.abc import Sequence
from pkgutil import resolve_name

from lorascope.inferring.answering import Answering
from lorascope.inferring.clips import Clips
from lorascope.inferring.shard import Record, Shard, scaling_of
from lorascope.models.protocol import Answerer
from lorascope.planning.checks import check_code, check_sources, environment, local_sources
from lorascope.planning.told import InferJob
from lorascope.running.counters import count
from lorascope.running.devices import Lease
from lorascope.study.scaling_words import in_words

log = logging.getLogger("lorascope")


class Loaded:
    """The model of a shard's job, on leased devices; UserError where it is not as planned."""

    def __init__(self, shard: Shard, lease: Lease) -> None:
        from transformers.utils.logging import disable_progress_bar  # noqa: PLC0415 - heavy

        job = shard.job
        planned = job.fingerprint
        self.lease, self.name = lease, uuid.uuid4().hex[:12]
        settings = {**planned["settings"], **local_sources(job.sources)}
        settings.pop("adapter", None)
        disable_progress_bar()
        self.model: Answerer = resolve_name(job.load)(
            settings,
            lease.placement,
            planned["dtype"],
            scaling_of(job),
            _adapter(job),
            **_strength(job),
        )
        count("model loads")
        self._code = planned["code"]
        check_code(job)
        check_sources(job, job.sources)

    @property
    def scales_rows(self) -> bool:
        """Whether shards that differ in LoRA scaling can be answered together."""
        return self.model.scales_rows

    def adapt(self, shard: Shard) -> None:
        """Answer under the adapter and at the scaling of a shard; UserError if not as planned."""
        job = shard.job
        self.model.adapt(_adapter(job), scaling_of(job), **_strength(job))
        if job.fingerprint["code"] != self._code:
            check_code(job)
        check_sources(job, job.sources)

    def announce(self, shard: Shard) -> None:
        """Log what a shard is answered with."""
        planned, model = shard.job.fingerprint, self.model
        own, changed = scaling_of(shard.job), model.strength is not None
        scaling = model.lora_scaling if own is None else planned["lora_scaling"]
        log.info(
            "%s: %s %s on %d %s, %s on %s",
            shard.job.id,
            "strength" if changed else "LoRA scaling",
            in_words(model.strength if changed else scaling),
            model.parameters_adapted,
            "weights" if changed else "layers",
            planned["dtype"],
            self.lease.device_name,
        )

    def answer(self, shards: Sequence[Shard]) -> "Answering":
        """Return the answering of shards that differ in LoRA scaling and seed alone."""
        items = [item for shard in shards for item in shard.missing]
        beside = {shard: self._beside(shard) for shard in shards}
        return Answering(self.model, shards, Clips(shards[0].job, items), beside)

    def _beside(self, shard: Shard) -> Record:
        """Return what is kept beside each answer of a shard."""
        found = {**environment(self.lease, shard.sources)}
        found["dtype"] = shard.job.fingerprint["dtype"]
        if shard.trained:
            found["adapter"] = shard.trained
        return {
            "environment": found,
            "load": self.name,
            "template_date": getattr(self.model, "template_date", None),
        }


def _strength(job: InferJob) -> dict[str, float]:
    """Return the strength that a job asks for, if it does: not every family takes one."""
    return {key: job.fingerprint[key] for key in ("strength",) if key in job.fingerprint}


def _adapter(job: InferJob) -> str | None:
    """Return the folder of the adapter that a job is answered with, None for none of the study."""
    if job.adapter:
        return job.adapter
    ready = {key: job.sources[key] for key in job.sources if key == "adapter"}
    return local_sources(ready).get("adapter")
