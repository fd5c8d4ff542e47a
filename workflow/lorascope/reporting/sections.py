"""The notes and the sections of a report's page, in their order."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from lorascope.planning.report import AGREEMENT, LIKELIHOODS, RETENTION
from lorascope.reporting import adapter_sections, outcomes, page, surroundings
from lorascope.reporting.agreement import agreement_section
from lorascope.reporting.audits import audit_notes, audit_section
from lorascope.reporting.columns import as_shown
from lorascope.reporting.dates import dates_section
from lorascope.reporting.drift import without_drift
from lorascope.reporting.gathered import Gathered
from lorascope.reporting.hearing import hearing_section
from lorascope.reporting.imported import imported_section
from lorascope.reporting.likelihoods import likelihood_section
from lorascope.reporting.measures import measures_section
from lorascope.reporting.nulls import null_notes
from lorascope.reporting.pivot import Sources
from lorascope.reporting.values import values


def notes(found: Gathered) -> Iterator[str]:
    """Yield what the reader is warned of before the values."""
    planned, job = found.planned, found.job
    yield from page.scope_notes(planned, job.missing)
    yield from surroundings.notes(found.environments)
    yield from page.sources_notes(found.commits)
    yield from outcomes.outcome_warnings(found.scored)
    yield from audit_notes(found.audits)
    yield from null_notes(job.nulls.get("unmatched", []))
    yield from page.unaudited_notes(planned.get("audits", {}), [one.name for one in found.audits])


def sections(
    found: Gathered, made: Mapping[str, pd.DataFrame], pivoted: Sources, folder: Path
) -> Iterator[str]:
    """Yield the sections, the values and what the replies were first.

    made: the tables by the names of their files. Those on adapters write their own into ``folder``.
    """
    accuracy = made["accuracy.csv"]
    yield page.values_section(found.planned, accuracy, found.remarks, values(accuracy, pivoted))
    yield outcomes.outcome_section(as_shown(without_drift(made["outcomes.csv"], found.scored)))
    yield adapter_sections.choices(found, folder)
    yield adapter_sections.searches(found, folder)
    yield page.retention_section(as_shown(made[RETENTION]))
    yield likelihood_section(as_shown(made[LIKELIHOODS]))
    yield agreement_section(as_shown(made[AGREEMENT]))
    yield audit_section(found.audits)
    yield measures_section(found.measures.items())
    yield hearing_section(found.sidecars)
    yield adapter_sections.drift(found, folder)
    yield adapter_sections.nulls(found, folder)
    yield adapter_sections.mixes(found, folder)
    yield adapter_sections.profiles(found, folder, pivoted.series)
    yield page.loss_section(bool(found.trainings))
    yield page.sources_section(found.commits)
    yield imported_section(found.imported)
    yield dates_section(found.sidecars)
    yield page.generation_section(found.generation, found.scored)
