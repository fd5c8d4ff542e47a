"""Which of a model's tensors is the W of a module that an adapter changes."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from lorascope.errors import listing
from lorascope.models.auditing.adapters import Part
from lorascope.models.auditing.tensors import Stored


class Weights:
    """A model's tensors, by the names of its modules.

    A file may name a module otherwise than transformers does once it is loaded, by what stands
    before: a tensor counts where it alone ends like the module, from its layer's number on.
    """

    def __init__(self, tensors: Mapping[str, Stored]) -> None:
        self._tensors = tensors
        self._ends: defaultdict[str, list[str]] = defaultdict(list)
        for name in tensors:
            for end in _ends(name):
                self._ends[end].append(name)

    def of(self, part: Part) -> Stored | None:
        """Return W of a module; None where it cannot be told, or is quantised."""
        found = self._find(part.module)
        return found if found and found.is_plain and _fits(found, part) else None

    def misfit(self, parts: Iterable[Part]) -> str:
        """Return why an adapter cannot be this model's, in words; "" where nothing tells so.

        Only tensors of the very name of a module are believed.
        """
        parts = [*parts]
        own = {part.module: self._tensors.get(f"{part.module}.weight") for part in parts}
        for part in parts:
            weight = own[part.module]
            if weight and _is_matrix(weight, part) and not _fits(weight, part):
                has = " x ".join(map(str, weight.shape))
                return f"it changes {part.outputs} x {part.inputs} of {part.module}, which is {has}"
        stacks = {part.place[::2] for part in parts if own[part.module]}
        lacking = [p.module for p in parts if not own[p.module] and p.place[::2] in stacks]
        return f"it changes what the model has not: {listing(lacking)}" if lacking else ""

    def _find(self, module: str) -> Stored | None:
        exact = self._tensors.get(f"{module}.weight")
        if exact:
            return exact
        for end in _ends(f"{module}.weight"):
            if names := self._ends.get(end):
                return self._tensors[names[0]] if len(names) == 1 else None
        return None


def _ends(name: str) -> Iterator[str]:
    """Yield the ends of a tensor's name, the longest first, that tell its layer and kind."""
    words = name.split(".")
    numbers = [place for place, word in enumerate(words) if word.isdecimal()]
    last = numbers[0] if numbers else max(len(words) - 2, 0)
    yield from (".".join(words[first:]) for first in range(last + 1))


def _is_matrix(weight: Stored, part: Part) -> bool:
    """Return whether the size of W alone tells that a module is another one."""
    matrices = len(weight.shape) == len(part.down.shape) == 2
    return weight.is_plain and matrices and part.experts == 1


def _fits(weight: Stored, part: Part) -> bool:
    """Return whether W has the size of B A, which some layers keep the other way round."""
    if len(weight.shape) < 2 or part.experts > 1:
        return False
    sides = (weight.shape[0], weight.size // weight.shape[0])
    return sides in ((part.outputs, part.inputs), (part.inputs, part.outputs))
