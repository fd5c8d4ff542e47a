"""Null adapters: they change a model as strongly as a real one, and have learned nothing.

Where a null changes scores as much as the real adapter, the effect is one of any change of that
size: random LoRAs merge about as well as trained ones (arXiv:2602.12323). All of one seed are the
same on every machine: draws come from generators that NumPy never changes, and what is computed of
norms is rounded to float32 before it counts.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lorascope.errors import UserError, listing
from lorascope.models.auditing.adapters import Part as Lora
from lorascope.models.auditing.tensors import Array
from lorascope.models.deriving.modules import Module, config_of, modules_of
from lorascope.models.deriving.parts import Made, Part, Tensor


def random_null(parts: Sequence[Part], seed: int, draw: int) -> Made:
    """Return Gaussian A and B, B scaled so that s B A of each module has the real one's norm.

    It is the Frobenius norm, for each expert of a module that has several. A bias of B is Gaussian
    of the real one's norm.
    """
    return _each(parts, lambda module: _random(module, seed))


def negated(parts: Sequence[Part], seed: int | None, draw: int) -> Made:
    """Return the adapter with B, and its bias, negated: what it does at the scaling -s."""
    return _each(
        parts,
        lambda module: {side: v if side == "A" else -v for side, v in module.values.items()},
    )


def _each(parts: Sequence[Part], change: Callable[[Module], Mapping[str, Tensor]]) -> Made:
    """Return the one part with the tensors of each module changed, and all else as it is."""
    [part] = parts
    modules = modules_of(part)
    tensors = {
        module.names[side]: values for module in modules for side, values in change(module).items()
    }
    if broken := [name for name, values in tensors.items() if not np.isfinite(values).all()]:
        raise UserError(f"{part.name}: beyond the range of float32: {listing(broken)}")
    return Made(config_of(part, {m.lora.module: m.lora for m in modules}), tensors, {})


def _random(module: Module, seed: int) -> dict[str, Tensor]:
    real = module.values
    named = f"{seed} {module.lora.module}".encode()
    words = np.frombuffer(hashlib.sha256(named).digest(), "<u4")
    # Neither RandomState nor these two ever change what they draw.
    generator = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(words.tolist())))
    drawn = {
        side: generator.standard_normal(v.shape).astype(np.float32) for side, v in real.items()
    }
    factors = np.divide(product_norms(module.lora, real), product_norms(module.lora, drawn)).astype(
        np.float32
    )
    up = drawn["B"].reshape(module.lora.outputs, module.lora.rank, -1) * factors
    drawn["B"] = up.reshape(real["B"].shape)
    if "bias" in real:
        wanted, have = (float(np.linalg.norm(d["bias"].astype(np.float64))) for d in (real, drawn))
        drawn["bias"] *= np.float32(wanted / have)
    return drawn


def product_norms(lora: Lora, values: Mapping[str, Tensor]) -> Array:
    """Return the Frobenius norm of B A of each expert, in float64, of their QR decompositions."""
    down = values["A"].astype(np.float64).reshape(lora.experts, lora.rank, -1)
    up = values["B"].astype(np.float64).reshape(lora.outputs, lora.rank, lora.experts)
    triangles = [
        [np.asarray(np.linalg.qr(side, mode="r")) for side in (up[..., i], down[i].T)]
        for i in range(lora.experts)
    ]
    return np.array([np.linalg.norm(b @ a.T) for b, a in triangles])
