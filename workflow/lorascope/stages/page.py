"""Make the page of a report: its items, answers and scores as a folder that opens from disk."""

import argparse
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lorascope.benchmarks.conditions import Condition
from lorascope.benchmarks.items import from_table
from lorascope.errors import UserError
from lorascope.identity.sources import SourceIndex, files_below
from lorascope.planning.checks import check_code
from lorascope.planning.page import RATE, PageDataset, PageExperiment, PageJob
from lorascope.planning.report import MANIFEST
from lorascope.planning.results import SOURCE_INDEX
from lorascope.reporting.browsing import clips as heard
from lorascope.reporting.browsing.clips import Clip, Made, make_clips
from lorascope.reporting.browsing.hearing import clips_of
from lorascope.reporting.browsing.index import items_part, scores_part
from lorascope.reporting.browsing.scripts import write_script
from lorascope.reporting.browsing.summary import DatasetPart, read_csv, summary
from lorascope.reporting.browsing.texts import REPLY, Texts, chunk_of
from lorascope.stages.command import check_report_file, leave, log, parser, run
from lorascope.storage.files import read_text
from lorascope.storage.records import (
    atomic_path,
    file_sha256,
    read_document,
    read_table,
    write_document,
    write_text,
    writing,
)

PAGE = "page"
INDEX = "index.html"
BASE = '<head>\n<base href="page/">'
AUDIO = tuple(
    f"lorascope/{module}.py"
    for module in ("benchmarks/audio", "benchmarks/conditions", "reporting/browsing/clips")
)
"""Modules, among those that the page is made by, that decide what a clip sounds like."""


def work(job: PageJob, arguments: argparse.Namespace) -> None:
    """Write the data, the clips, the page and, last, the listing of its files."""
    check_code(job)
    folder = arguments.out.parent
    page, data = folder / PAGE, folder / PAGE / "data"
    for older in (*folder.glob("page-*.json"), folder / INDEX):
        older.unlink(missing_ok=True)
    manifest = read_document(job.manifest, MANIFEST, job.reported)
    browsed = [_Browsed(place, one, job) for place, one in enumerate(job.datasets)]
    made = _make_clips(browsed, job, page)
    written: list[Path] = []
    parts = []
    for one in browsed:
        written += one.write(data, made)
        parts.append(one.part(made))
    value = summary(manifest, _tables(folder, manifest["files"]), parts)
    written.append(write_script(data, "study", value))
    written += [*_copy_app(job, page), *_pages(job, folder)]
    _remove_others(page, written)
    _list(arguments.out, job, written, made)
    log.info("%s: %s", folder / INDEX, _sizes(written, made))


class _Browsed:
    """A dataset of the page: its items, and what was heard of their clips."""

    def __init__(self, place: int, dataset: PageDataset, job: PageJob) -> None:
        self.place, self.dataset = place, dataset
        self.items = from_table(read_table(dataset.items, "items", dataset.made))
        self.experiments = [one for one in job.experiments if one.dataset == dataset.name]
        self.chunk = chunk_of(len(self.experiments))
        self.condition: Condition | None = None
        self.clips: dict[str, Clip] = {}
        self.keys: dict[str, str] = {}
        self.categories: dict[str, None] = {}
        self.answered: dict[str, int] = {}
        if any(item.clip for item in self.items):
            self._hear(job)

    def _hear(self, job: PageJob) -> None:
        """Find out what was heard of each clip."""
        dataset = self.dataset
        self.condition = Condition.of_dataset(dataset.settings)
        rate = max((ears.rate for ears in dataset.ears), default=RATE)
        ears = [(one.seconds, _lost(one.runtime, one.predicted)) for one in dataset.ears]
        self.clips = clips_of(self.items, dataset.root, self.condition, rate, ears)
        code = {module: job.fingerprint["code"][module] for module in AUDIO}
        self.keys = {clip: found.key(code) for clip, found in self.clips.items()}

    def write(self, data: Path, made: Made | None) -> Iterator[Path]:
        """Write the index and the texts; yield their paths."""
        files = made.names if made else {}
        names = {clip: files[key] for clip, key in self.keys.items() if key in files}
        said = {clip: heard.said_of(one, names.get(clip)) for clip, one in self.clips.items()}
        texts = Texts(data, self.dataset.name, self.place, self.items, said, self.chunk)
        own = {one.id: self._experiment(one, texts) for one in self.experiments}
        value = {
            "dataset": self.dataset.name,
            "items": items_part(self.items, names if names else None),
            "experiments": own,
        }
        yield write_script(data, f"index-{self.place}", value)
        yield from texts.close()

    def _experiment(self, one: PageExperiment, texts: Texts) -> dict[str, Any]:
        """Add what an experiment answered to the texts; return its scores."""
        predictions = read_table(one.predictions, "predictions", one.predicted, REPLY)
        verdicts = read_table(one.verdicts, "verdicts", one.judged) if one.verdicts else None
        texts.add(one.id, predictions, verdicts)
        table = read_table(one.scores, "scores", one.scored)
        self.categories |= dict.fromkeys(table["category"].unique().to_pylist())
        self.answered[one.id] = len(table["item_id"].unique())
        return scores_part(table, self.items)

    def part(self, made: Made | None) -> DatasetPart:
        """Return what the study's data says of the dataset, once it is written."""
        return DatasetPart(
            name=self.dataset.name,
            place=self.place,
            items=len(self.items),
            chunk=self.chunk,
            categories=list(self.categories),
            answered=self.answered,
            condition=heard.in_words(self.condition) if self.condition else None,
            note=self._note(made),
        )

    def _note(self, made: Made | None) -> str:
        if not self.clips:
            return ""
        if made is None:
            return "Clips are left out (report.page.clips)."
        return "; ".join(heard.lacking(made, self.keys.values()))


def _lost(runtime: str, digest: str) -> Mapping[str, float]:
    """Return item -> seconds of its clip that were not heard."""
    table = read_table(runtime, "runtime", digest, ["item_id", "seconds_lost"]).to_pydict()
    pairs = zip(table["item_id"], table["seconds_lost"], strict=True)
    return {item: lost for item, lost in pairs if lost}


def _make_clips(browsed: Sequence[_Browsed], job: PageJob, page: Path) -> Made | None:
    """Write the clips; return what there is of them, None where there are none, or shall not be."""
    settings = job.fingerprint["page"]
    if not settings["clips"] or not any(one.clips for one in browsed):
        shutil.rmtree(page / heard.FOLDER, ignore_errors=True)
        (page / heard.LISTING).unlink(missing_ok=True)
        return None
    clips = {key: one.clips[clip] for one in browsed for clip, key in one.keys.items()}
    # A partial report and a smoke run lie in the folder of the whole study's.
    made = make_clips(clips, page, [page.parent.parent / PAGE], settings["clip_megabytes"])
    log.info(
        "%d clips, %d of them as an earlier page has them; %.1f MB",
        *(len(made.names), made.reused, made.bytes / 1e6),
    )
    for one in browsed:
        for line in heard.lacking(made, one.keys.values()):
            log.warning("dataset %s: %s", one.dataset.name, line)
    return made


def _tables(folder: Path, files: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return name -> table of a report's CSV files; UserError for one that it did not write."""
    found = {}
    for path in (folder / name for name in files if name.endswith(".csv")):
        check_report_file(path, files)
        found[path.stem] = read_csv(read_text(path))
    return found


def _copy_app(job: PageJob, page: Path) -> Iterator[Path]:
    """Copy the page's own files beside its data; yield their paths."""
    app = Path(job.app)
    files = files_below(app)
    if SourceIndex(SOURCE_INDEX).files(files, app) != job.fingerprint["app"]:
        raise UserError(f"{app}: changed since this run was planned; run snakemake again")
    for file in files:
        if file != app / INDEX:
            copy = page / "app" / file.relative_to(app)
            with atomic_path(copy) as temporary:
                shutil.copyfile(file, temporary)
            yield copy


def _pages(job: PageJob, folder: Path) -> Iterator[Path]:
    """Write the page into its own folder, and above that for whom comes by the report's."""
    text = read_text(Path(job.app, INDEX))
    inner, upper = folder / PAGE / INDEX, folder / INDEX
    write_text(inner, text)
    write_text(upper, text.replace("<head>", BASE, 1))
    yield from (inner, upper)


def _remove_others(page: Path, written: Iterable[Path]) -> None:
    """Remove what an earlier page had besides, but clips, which are looked after by themselves."""
    kept = {*written}
    for part in ("data", "app"):
        for path in (page / part).rglob("*"):
            if path.is_file() and path not in kept:
                with writing(path):
                    path.unlink()


def _list(out: Path, job: PageJob, written: Iterable[Path], made: Made | None) -> None:
    """Write the listing of the page's files by their hashes."""
    clips = [out.parent / PAGE / heard.FOLDER / name for name in made.sizes] if made else []
    files = {str(path.relative_to(out.parent)): file_sha256(path) for path in (*written, *clips)}
    write_document(out, PAGE, job.digest, {"fingerprint": job.fingerprint, "files": files})


def _sizes(written: Iterable[Path], made: Made | None) -> str:
    size = sum(path.stat().st_size for path in written) / 1e6
    return f"{size:.1f} MB" + (f", and {made.bytes / 1e6:.1f} MB of clips" if made else "")


def main() -> int:
    """Run the stage from the command line."""
    return run(parser("lorascope.stages.page", __doc__), PageJob, work)


if __name__ == "__main__":
    leave(main())
