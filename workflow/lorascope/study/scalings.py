"""LoRA scalings as a study has them: numbers, profiles by name or as they are, ready-made ones."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from lorascope.errors import UserError, unknown
from lorascope.study.profiles import DEFAULT, Scalings, canonical, parse_key
from lorascope.study.settings import MOST_SCALING, NAME, READ, Name, Settings, Text, read_number
from lorascope.study.validation import validated

HARMLESS = "settings that decide a result are in its fingerprint by their values"

READY = "ready"
"""The name that stands for all ready-made profiles in a grid."""
KEY = "lora_scaling"
_MOST = 100
"""Characters of a profile's name."""
Number = Annotated[float, Field(ge=-MOST_SCALING, le=MOST_SCALING), READ]


def _kind(value: Any) -> str | None:
    if isinstance(value, Mapping):
        return "<profile>"
    number = read_number(value)
    if isinstance(number, str):
        return "<name>" if _is_name(number) else None
    return "<number>" if isinstance(number, int | float) and not isinstance(number, bool) else None


def _is_name(text: str) -> bool:
    """Return whether a text is a name, and none that Python reads as a number, such as nan."""
    try:
        float(text)
    except ValueError:
        return len(text) <= _MOST and re.fullmatch(NAME, text) is not None
    return False


Profile = Annotated[
    dict[Text, Number | None],
    Field(min_length=1, max_length=1000),
    AfterValidator(canonical),
]
"""Key -> scaling; validated, its canonical form."""
LoraScaling = Annotated[
    Annotated[Number, Tag("<number>")]
    | Annotated[str, Field(max_length=_MOST, pattern=NAME), Tag("<name>")]
    | Annotated[Profile, Tag("<profile>")],
    Discriminator(
        _kind,
        custom_error_type="source",
        custom_error_message="a number, the name of a profile, or a mapping of parts to numbers",
    ),
]


class _Profile(Settings):
    """A profile of the study, as it is validated; its place is that of what holds it."""

    profile: Profile = Field(alias="<profile>", description="Parts of the model and scalings.")


class ReadyProfiles(Settings):
    """Profiles that are made of an adapter's layers and kinds of modules."""

    blocks: Annotated[int, Field(ge=2, le=1000), READ] | None = Field(
        None,
        description="Into how many blocks the adapted layers are divided, in order and as equal as "
        "can be, each stack of layers by itself: profiles block-1-off, block-1-alone, ....",
    )
    kinds: Annotated[list[Annotated[str, Field(pattern=NAME)]], Field(max_length=100)] = Field(
        [],
        description="Names of modules, such as attention, mlp or q_proj: profiles attention-off, "
        "attention-alone, ....",
    )
    scaling: Number | None = Field(
        None, description="The scaling of what is not off. Null is the adapter's own."
    )

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.blocks is None and not self.kinds:
            raise ValueError("makes no profile; give blocks: 4, or kinds: [attention, mlp]")
        for kind in self.kinds:
            if kind == DEFAULT or str(parse_key(kind)) != kind:
                raise ValueError(f"kinds: {kind!r} is no name of a module")
        return self

    def profiles(self) -> dict[str, Scalings]:
        """Return name -> profile: blocks off, blocks alone, and the same of kinds."""
        blocks = {f"block-{n}": f"layers.{n}/{self.blocks}" for n in _numbers(self.blocks)}
        kinds = {kind: kind for kind in dict.fromkeys(self.kinds)}
        found: dict[str, Scalings] = {}
        for parts in (blocks, kinds):
            found |= {f"{name}-off": {DEFAULT: self.scaling, k: 0} for name, k in parts.items()}
            found |= {f"{name}-alone": {DEFAULT: 0, k: self.scaling} for name, k in parts.items()}
        return found


def _numbers(count: int | None) -> range:
    return range(1, (count or 0) + 1)


Written = Annotated[dict[Name, dict[str, Any]], Field(max_length=1000)]
"""The profiles of a study file, and under ``ready`` the keys of those that are ready-made."""


def ready_of(written: Mapping[str, Mapping[str, Any]], file: str) -> dict[str, Scalings]:
    """Return the ready-made profiles that a study asks for, by name; UserError for odd keys."""
    if READY not in written:
        return {}
    found = validated(ReadyProfiles, dict(written[READY]), file, f"profiles.{READY}")
    return found.profiles()


def profiles_of(
    written: Mapping[str, Mapping[str, Any]], file: str
) -> dict[str, Scalings | float | None]:
    """Return the profiles of a study by name, in canonical form; UserError for an odd one."""
    found: dict[str, Scalings | float | None] = {}
    for name, keys in written.items():
        if name != READY:
            _check_name(name, file)
            held = {"<profile>": dict(keys)}
            found[name] = validated(_Profile, held, file, f"profiles.{name}").profile
    ready = ready_of(written, file)
    if twice := next((name for name in ready if name in found), None):
        raise UserError(
            f"{file}: profiles.{twice}: that is the name of a ready-made one, too; choose another"
        )
    return {**found, **{name: canonical(profile) for name, profile in ready.items()}}


def _check_name(name: str, file: str) -> None:
    if _kind(name) != "<name>":
        raise UserError(f"{file}: profiles.{name}: would be read as a number; choose another name")


def with_ready(template: Mapping[str, Any], ready: Iterable[str]) -> dict[str, Any]:
    """Return a template of experiments whose grid has ready-made profiles by their names."""
    grid = template.get("grid")
    if not isinstance(grid, Mapping) or not isinstance(grid.get(KEY), list):
        return dict(template)
    return {**template, "grid": {**grid, KEY: [*_named(grid[KEY], [*ready])]}}


def _named(values: Iterable[Any], ready: list[str]) -> Iterator[Any]:
    for value in values:
        yield from ready if value == READY and ready else [value]


def refuse_name(name: str, known: Iterable[str], where: str) -> UserError:
    """Return what is wrong with a scaling that is the name of no profile."""
    if name == READY:
        return UserError(
            f"{where}: {KEY}: {READY} stands for several profiles; put it into a grid, "
            f"as grid: {{{KEY}: [0, {READY}]}}, and say under profiles.{READY} which to make"
        )
    known = [*known]
    if not known:
        return UserError(
            f"{where}: {KEY}: {name!r} is no number, and the study has no profiles; define it "
            f"under profiles, as {name}: {{default: 1, layers.0-7: 0}}"
        )
    return UserError(f"{where}: {KEY}: {unknown('no profile', name, known)}")
