"""Reading adapters that are derived from others: nulls, draws of them, and sums."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lorascope.errors import UserError, listing, shown
from lorascope.study.adapters import AdapterKeys, Derivation
from lorascope.study.registry import FAMILIES
from lorascope.study.settings import ModelSettings
from lorascope.study.study import Adapter

HARMLESS = "settings that decide a result are in its fingerprint by their values"

OF_NULLS = ("kind", "seed", "draws")
"""Keys of an adapter that only a null has."""


def is_derived(keys: AdapterKeys) -> bool:
    """Return whether an adapter is made from others."""
    return keys.null_of is not None or keys.sum_of is not None


def refuse_derivation_keys(keys: AdapterKeys, where: str) -> None:
    """UserError for a key of nulls in an adapter that is none."""
    for key in OF_NULLS:
        if getattr(keys, key) is not None:
            raise UserError(f"{where}.{key}: only a null has it; add null_of, or leave {key} out")


def derived_adapters(
    given: Mapping[str, AdapterKeys],
    ready: Mapping[str, Adapter],
    models: Mapping[str, ModelSettings],
    file: str,
) -> dict[str, Adapter]:
    """Return the adapters that are made from others, draws by names of their own.

    ``ready`` are those that are not. UserError for parts that are unknown, of several models, or
    that need each other.
    """
    derivations: dict[str, Derivation] = {}
    for name, keys in given.items():
        if is_derived(keys):
            _check_keys(keys, f"{file}: adapters.{name}")
            for own, derivation in _derivations(name, keys):
                if own != name and own in given:
                    raise UserError(
                        f"{file}: adapters.{own}: the name of a draw of {name}; choose another"
                    )
                derivations[own] = derivation
    found: dict[str, Adapter] = {}
    for name, derivation in derivations.items():
        parts = _Parts(given, ready, derivations, models, file)
        model = parts.model_of(name, ())
        written = given[name].model if name in given else None
        if written not in (None, model):
            raise UserError(
                f"{file}: adapters.{name}.model: {shown(written)}, but it is made of adapters for "
                f"the model {model!r}; leave model out"
            )
        found[name] = Adapter(model, None, None, None, derived=derivation)
    return found


def _check_keys(keys: AdapterKeys, where: str) -> None:
    if keys.null_of is not None and keys.sum_of is not None:
        raise UserError(f"{where}: give either null_of or sum_of")
    for key in ("source", "train", "base_model"):
        if getattr(keys, key) is not None:
            what = "null_of" if keys.null_of is not None else "sum_of"
            raise UserError(f"{where}.{key}: it is made of others ({what}); leave {key} out")
    if keys.null_of is None:
        refuse_derivation_keys(keys, where)
    elif keys.kind == "sign":
        for key in ("seed", "draws"):
            if getattr(keys, key) is not None:
                raise UserError(
                    f"{where}.{key}: there is one adapter of the other sign; leave {key} out"
                )


def _derivations(name: str, keys: AdapterKeys) -> Iterator[tuple[str, Derivation]]:
    """Yield each adapter that an entry stands for, by its name."""
    if keys.sum_of is not None:
        yield name, Derivation("sum", keys.sum_of)
        return
    kind, parts = keys.kind or "random", {str(keys.null_of): 1.0}
    if kind == "sign":
        yield name, Derivation(kind, parts)
        return
    for draw, own in enumerate(draws_of(name, keys)):
        yield own, Derivation(kind, parts, (keys.seed or 0) + draw, draw)


def draws_of(name: str, keys: AdapterKeys) -> Sequence[str]:
    """Return the names of the adapters that an entry stands for."""
    return [name] if keys.draws is None else [f"{name}-{draw}" for draw in range(keys.draws)]


def with_draws(
    entries: Iterable[dict[str, Any]], given: Mapping[str, AdapterKeys]
) -> Iterator[dict[str, Any]]:
    """Yield experiments, one for each draw that they name; by default no null is in the table."""
    nulls = {own: n for n, k in given.items() if k.null_of is not None for own in draws_of(n, k)}
    draws = {n: draws_of(n, k) for n, k in given.items() if k.draws is not None}
    for entry in entries:
        named = entry.get("adapter")
        names = draws.get(named, [named]) if isinstance(named, str) else [named]
        for name in names:
            hidden = {"table": False} if isinstance(name, str) and name in nulls else {}
            yield {**hidden, **entry, **({"adapter": name} if "adapter" in entry else {})}


class _Parts:
    """What derived adapters are made of, followed down to those that are not derived."""

    def __init__(
        self,
        given: Mapping[str, AdapterKeys],
        ready: Mapping[str, Adapter],
        derivations: Mapping[str, Derivation],
        models: Mapping[str, ModelSettings],
        file: str,
    ) -> None:
        self.given, self.ready, self.derivations = given, ready, derivations
        self.models, self.file = models, file

    def model_of(self, name: str, above: Sequence[str]) -> str:
        """Return the model of a derived adapter, of which those ``above`` are made."""
        where = f"{self.file}: adapters.{name}"
        if name in above:
            circle = " -> ".join([*above[above.index(name) :], name])
            raise UserError(f"{where}: made of itself: {circle}; let one of them be made of others")
        derivation = self.derivations[name]
        found = {part: self._model(part, where, [*above, name]) for part in derivation.parts}
        if len(set(found.values())) > 1:
            told = ", ".join(f"{part} for {model}" for part, model in found.items())
            raise UserError(f"{where}.sum_of: adapters for several models: {told}")
        return next(iter(found.values()))

    def _model(self, part: str, where: str, above: Sequence[str]) -> str:
        if part in self.ready:
            return self.ready[part].model
        if part in self.derivations:
            return self.model_of(part, above)
        if part in self.given:  # it stands for draws
            raise UserError(
                f"{where}: {part!r} stands for several draws; name one of them, such as {part}-0"
            )
        if part in self.models and FAMILIES[self.models[part].family].own_lora:
            return part
        known = listing([*self.ready, *self.derivations, *self._own()], 20) or "none"
        raise UserError(f"{where}: adapter {shown(part)} is not defined; known: {known}")

    def _own(self) -> list[str]:
        return [name for name, model in self.models.items() if FAMILIES[model.family].own_lora]
