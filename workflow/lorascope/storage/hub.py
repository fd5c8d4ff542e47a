"""The model hub: fetch models and data sets, and find them again without a network.

Only the download rules use the network. Models stay in the hub's own cache, which holds every file
whole or not at all, knows the commit of each revision, and can tell an unfinished download from a
finished one. A token, where a repository wants one, comes from the environment variable HF_TOKEN;
neither it nor a password in HF_ENDPOINT is ever written.
"""

# Only what comes from the hub needs its library.
# ruff: noqa: PLC0415

from __future__ import annotations

import logging
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, quote_plus, unquote, urlsplit

from lorascope.errors import UserError
from lorascope.storage.records import read_json, write_json

log = logging.getLogger("lorascope")

HARMLESS = "fetches files, whose content or commit is in the fingerprint of what they are for"

_USERINFO = re.compile(r"://[^/@\s]+@")
SHORTEST = 4  # of a secret that is looked for; a shorter one is part of too many words
TEXTS = ("*.json", "*.jinja", "*.model", "*.txt", "*.py")
"""What is fetched of a model's repository beside its weights."""
REMEDY = "check `hub` and `revision` of the data set in the study"


def fetch_model(source: Mapping[str, Any], root: Path) -> str:
    """Fetch a model's source into the hub's cache; return its commit. ``root`` is not used."""
    snapshot, path = _fetched(source)
    log.info("%s", path)
    return snapshot.name


def download_source(source: Mapping[str, Any]) -> Path:
    """Fetch what a model's source in the study (hub, revision, file) names; return its local path.

    That is one file, or the repository's folder with configuration, tokenizer and weights in one
    format: many repositories hold the same weights in several. Errors as in `download_model`.
    """
    return _fetched(source)[1]


def _fetched(source: Mapping[str, Any]) -> tuple[Path, Path]:
    """Return the folder of a source's commit, and the path that the source names."""
    repo, revision, file = source["hub"], source["revision"], source["file"]
    if file:
        folder = download_model(repo, revision, [file])
        return folder, folder / str(file)
    # The first answer settles the commit: a branch may move between two questions.
    folder = download_model(repo, revision, TEXTS)
    return folder, download_model(repo, folder.name, _patterns(_listed(repo, folder.name)))


def local_source(source: Mapping[str, Any]) -> Path:
    """Return the path that `download_source` returned, without any network.

    Raises UserError when it, or a file of it, is not in the cache.
    """
    repo, revision, file = source["hub"], source["revision"], source["file"]
    if file:
        return local_model(repo, revision, [file]) / str(file)
    folder = local_model(repo, revision, ["config.json", "adapter_config.json"])
    return local_model(repo, revision, _patterns(map(str, folder.rglob("*"))))


def _patterns(names: Iterable[str]) -> list[str]:
    """Return what to fetch of a model repository that holds the files `names`."""
    safe = any(name.endswith(".safetensors") for name in names)
    return [*TEXTS, "*.safetensors" if safe else "*.bin"]


def download_model(repo: str, revision: str, patterns: Sequence[str] | None = None) -> Path:
    """Fetch the files of a model that match `patterns` (None: all) and return their folder.

    It lies in the hub's cache and is named after the commit that `revision` stands for now; the
    cache records that commit for `local_model` and `cached_commit`. Files that are there already
    are not fetched again.

    Raises UserError for a repository or revision that does not exist or is not open to the token,
    for patterns that match no file, and for a download that breaks off.
    """
    return _snapshot(repo, revision, "model", patterns, offline=False)


def local_model(repo: str, revision: str, patterns: Sequence[str] | None = None) -> Path:
    """Return the folder `download_model` made for the same arguments, without any network.

    Raises UserError when it, or a file that `patterns` ask for, is not in the cache.
    """
    return _snapshot(repo, revision, "model", patterns, offline=True)


def cached_commit(repo: str, revision: str) -> str | None:
    """Return the commit that `revision` of a model stood for when it was last fetched, if ever.

    A look at one small file, for planning.
    """
    from huggingface_hub import constants

    storage = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
    if (storage / "snapshots" / revision).is_dir():
        return revision
    try:
        return (storage / "refs" / revision).read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None


def cached_config(repo: str, revision: str, name: str = "config.json") -> Path | None:
    """Return a configuration of a model that was fetched, None if there is none; for planning."""
    commit = cached_commit(repo, revision)
    if commit is None:
        return None
    from huggingface_hub import constants

    storage = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
    file = storage / "snapshots" / commit / name
    return file if file.exists() else None


# -------------------------------------------------------------------------------- hub


def _snapshot(
    repo: str, revision: str, repo_type: str, patterns: Sequence[str] | None, *, offline: bool
) -> Path:
    from huggingface_hub import errors, snapshot_download

    # Its HTTP library's error, by whichever name that library has just now.
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    try:
        folder = snapshot_download(
            repo,
            repo_type=repo_type,
            revision=revision,
            allow_patterns=None if patterns is None else list(patterns),
            local_files_only=offline,
            token=os.environ.get("HF_TOKEN") or False,
        )
    except errors.HFValidationError as error:
        raise UserError(
            f"{repo}: not the name of a {repo_type} on the hub: {_one_line(error)}"
        ) from None
    except errors.LocalEntryNotFoundError as error:
        _raise_absent(f"{repo} at revision {revision}", error, offline=offline)
    except (OSError, HTTPError, RuntimeError) as error:  # RuntimeError: hf_xet's transfers
        _raise_failed(f"{repo} at revision {revision}", error)
    if not matching(Path(folder), patterns):
        raise UserError(
            f"{repo} at revision {revision}: no file matches {', '.join(patterns or ('*',))}; "
            "check the repository's name and layout"
        )
    return Path(folder)


def _listed(repo: str, revision: str) -> list[str]:
    """Return the names of a model's files on the hub; UserError as in `download_model`."""
    from huggingface_hub import errors, list_repo_files
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    token = os.environ.get("HF_TOKEN") or False
    try:
        return list_repo_files(repo, revision=revision, token=token)
    except errors.HFValidationError as error:
        raise UserError(f"{repo}: not the name of a model on the hub: {_one_line(error)}") from None
    except (OSError, HTTPError) as error:
        _raise_failed(f"{repo} at revision {revision}", error)


def _raise_absent(what: str, error: Exception, *, offline: bool) -> NoReturn:
    from huggingface_hub.errors import IncompleteSnapshotError

    state = "only in part" if isinstance(error, IncompleteSnapshotError) else "not"
    if offline:
        raise UserError(
            f"{what}: {state} in the hub's cache; run the download rule (snakemake) on a machine "
            "with network access, or give a local folder"
        ) from None
    raise UserError(
        f"{what}: {state} in the hub's cache, and the hub does not give it "
        f"({_one_line(error.__cause__ or error)}); check the network and the environment variables "
        "HF_ENDPOINT and HF_HUB_OFFLINE, then run it again"
    ) from None


def _raise_failed(what: str, error: Exception) -> NoReturn:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        raise UserError(
            f"{what}: gated; accept its terms on the hub and set HF_TOKEN to a token of yours"
        ) from None
    if isinstance(error, errors.RepositoryNotFoundError):
        raise UserError(
            f"{what}: no such repository, or a private one; check its name, or set HF_TOKEN"
        ) from None
    if isinstance(error, errors.RevisionNotFoundError):
        raise UserError(f"{what}: no such revision; give a branch, tag or commit") from None
    raise UserError(
        f"{what}: the download broke off ({_one_line(error)}); run it again: whole files are kept"
    ) from error


def _one_line(error: BaseException) -> str:
    return redacted(" ".join(str(error).split())) or type(error).__name__


def check_endpoint() -> None:
    """Raise UserError if the environment variable HF_ENDPOINT is no address."""
    try:
        address = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
        whole = address.scheme in ("http", "https") and address.hostname and address.port != 0
    except ValueError:
        whole = False
    if not whole:
        raise UserError(
            "the environment variable HF_ENDPOINT is no address; write https://host, or unset it"
        )


_kept: set[str] = set()


def keep_secret(secret: str) -> None:
    """Have `redacted` leave out a secret from now on, in this process."""
    _kept.add(secret)


def redacted(text: str) -> str:
    """Return a text without tokens of the hub and without what stands before @ in an address.

    What `keep_secret` was told is left out, too.
    """
    for secret in _secrets():
        text = text.replace(secret, "***")
    return _USERINFO.sub("://***@", text)


def _secrets() -> list[str]:
    """Return what the environment keeps secret, as written, encoded and decoded, longest first.

    Of an address that is what stands before its @, and the password of that.
    """
    found = {os.environ.get(name, "") for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")} | _kept
    for name in ("HF_ENDPOINT", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        for value in (os.environ.get(name, ""), os.environ.get(name.lower(), "")):
            userinfo = value.rpartition("@")[0].rpartition("//")[2]
            found |= {userinfo, userinfo.partition(":")[2]}
    decoded = {*found, *map(unquote, found)}
    written = {*decoded, *map(quote, decoded), *map(quote_plus, decoded)}
    return sorted((s for s in written if len(s) >= SHORTEST), key=len, reverse=True)


def matching(folder: Path, patterns: Sequence[str] | None) -> list[Path]:
    """Return the files of a snapshot that match the patterns as the hub matches them, sorted."""
    from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]

    names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    chosen = filter_repo_objects(names, allow_patterns=None if patterns is None else list(patterns))
    return sorted(folder / name for name in chosen)


# --------------------------------------------------------------------------- data sets


def fetch_data_set(
    repo: str,
    revision: str,
    patterns: Sequence[str],
    folder: Path,
    unpack: Callable[[Path, Path], None],
) -> str:
    """Fetch the files of a data set that match `patterns` and lay them out in `folder`.

    unpack: writes what a snapshot (first argument) holds into a new folder (second). `folder`
    appears whole or not at all, with a file source.json that says where it came from; one that is
    there already is kept. Returns the commit. Errors as in `download_model`, as `unpack` raises
    them, and for a folder that holds something else.
    """
    if not _is_downloaded(folder, repo, revision):
        snapshot = _snapshot(repo, revision, "dataset", patterns, offline=False)
        with _whole_folder(folder) as building:
            unpack(snapshot, building)
            source = {"repository": repo, "revision": revision, "commit": snapshot.name}
            write_json(building / "source.json", source)
    return str(read_json(folder / "source.json")["commit"])


def rows(file: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file of a data set; UserError if a column is not there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as parquet:
            missing = set(columns) - set(parquet.schema_arrow.names)
            if missing:
                raise UserError(f"{file}: no column {', '.join(sorted(missing))}; {REMEDY}")
            # few rows at a time: a row may hold a whole clip
            for batch in parquet.iter_batches(batch_size=32, columns=list(columns)):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{file}: not a readable Parquet file ({_one_line(error)}); "
            "remove it and download again"
        ) from None


def _is_downloaded(folder: Path, repo: str, revision: str) -> bool:
    """Tell whether a data set is there; UserError when its folder holds something else."""
    source = folder / "source.json"
    if source.is_file():
        recorded = read_json(source)
        if (recorded["repository"], recorded["revision"]) == (repo, revision):
            return True
    if any(path.is_file() for path in folder.rglob("*")):
        raise UserError(
            f"{folder}: holds files that are not {repo} at revision {revision}; remove the folder "
            "to download it"
        )
    return False


@contextmanager
def _whole_folder(destination: Path) -> Iterator[Path]:
    """Yield a new folder beside `destination`; rename it onto `destination` if the block succeeds.

    Only an empty folder gives way (rename refuses any other): Snakemake makes the folders of a
    job's outputs.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    building = destination.with_name(f".{destination.name}.{uuid.uuid4().hex}.partial")
    building.mkdir()
    try:
        yield building
        try:
            for folder, _, _ in os.walk(destination, topdown=False):
                Path(folder).rmdir()
            building.rename(destination)
        except OSError as error:
            raise UserError(
                f"{destination}: filled meanwhile ({error.strerror}); run again"
            ) from None
    finally:
        shutil.rmtree(building, ignore_errors=True)
