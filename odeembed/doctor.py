"""What can be wrong with an installation: versions, devices, disk, caches, and the known traps, each one sprung."""

import importlib.metadata
import importlib.util
import math
import platform
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from odeembed.data.prepare import cache_root
from odeembed.data.vocabulary import SentencePiece
from odeembed.errors import CheckpointError
from odeembed.evaluate.vectors import WordVectors
from odeembed.export import Format, export
from odeembed.precision import products
from odeembed.solve.config import SolveConfig
from odeembed.solve.solve import solve
from odeembed.train.checkpoint import FOLDER, Checkpoints
from odeembed.train.compilation import enable_compilation_cache
from odeembed.train.parallel import make_parallel
from odeembed.train.sharding import DATA
from odeembed.train.state import TrainState

_FREE = 2 << 30  # bytes; checkpoints of a full run and its prepared corpus


class Check(NamedTuple):
    """One thing looked at, whether it is well, and what was found or should be done."""

    name: str
    passed: bool
    text: str


class _Fault(Exception):
    """What a check raises when something is wrong."""


def examine(names: Iterable[str] | None = None) -> Iterator[Check]:
    """Yields every check, or those named, as soon as it is done.

    None changes anything outside a temporary folder and the caches.
    """
    for name in _CHECKS if names is None else names:
        try:
            yield Check(name, True, _CHECKS[name]())
        except _Fault as fault:
            yield Check(name, False, str(fault))
        except Exception as error:  # whatever a broken installation raises is a finding
            first = str(error).strip().partition("\n")[0]
            yield Check(name, False, f"{type(error).__name__}: {first}")


def versions() -> str:
    """The installed packages are those that odeembed asks for."""
    from packaging.requirements import Requirement

    wrong, found = [], [f"python {platform.python_version()}"]
    for text in importlib.metadata.requires("odeembed") or ():
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            version = None
        if version is None or not wanted.specifier.contains(version, prereleases=True):
            wrong.append(f"{wanted.name} {version or 'missing'} (wants {wanted.specifier or 'any'})")
        found.append(f"{wanted.name} {version}")
    if wrong:
        raise _Fault(f"{', '.join(wrong)}. Install odeembed again, in an environment of its own.")
    return ", ".join(found)


def devices() -> str:
    """Every device multiplies matrices, and in float32 when told to (TPUs and some GPUs round to fewer digits)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 256)).astype(np.float32)
    truth = x.astype(np.float64) @ x
    for device in jax.devices():
        placed = jax.device_put(x, device)
        with jax.default_matmul_precision("float32"):
            error = float(np.abs(np.asarray(placed @ placed) - truth).max() / np.abs(truth).max())
        if not error < 1e-5:
            raise _Fault(
                f"{device} multiplies float32 matrices with an error of {error:.1g}. Try another jaxlib."
            )
    kind = jax.devices()[0].device_kind
    return f"{len(jax.devices())} x {kind} ({jax.devices()[0].platform}), jax {jax.__version__}"


def precision() -> str:
    """Matrix products in an adaptive solve are exact, whatever the default is: rounding would cost it many steps."""
    default, adaptive = _product_error(), products("float32")(_product_error)()
    if adaptive > 1e-5:
        raise _Fault(
            f"matrix products have an error of {adaptive:.1g} though float32 is asked for; adaptive solves with rtol "
            f"below {100 * adaptive:.0g} would take very many steps. Try another jaxlib, or fix the steps."
        )
    if default > 1e-5:
        return (
            f"relative error of a product {adaptive:.1g} in adaptive solves and {default:.1g} elsewhere "
            "(JAX_DEFAULT_MATMUL_PRECISION=float32 makes all exact)"
        )
    return f"relative error of a product {default:.1g}"


def disk() -> str:
    """There is room where runs and caches go."""
    found = []
    for name, folder in (("here", Path.cwd()), ("cache", _existing(cache_root()))):
        free = shutil.disk_usage(folder).free
        found.append(f"{name} {free / 2**30:.0f} GiB free")
        if free < _FREE:
            raise _Fault(
                f"{folder} has {free / 2**30:.1f} GiB free; expected at least {_FREE >> 30}. Free some space."
            )
    return ", ".join(found)


def caches() -> str:
    """The caches can be written; a compiled program is kept and found again."""
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=root):
        pass
    corpora = sum(1 for _ in root.glob("corpora/*/manifest.json"))
    programs = enable_compilation_cache()
    if programs is None:
        return (
            f"{root}: {corpora} prepared corpora; compiled programs are not kept (ODEEMBED_COMPILE_CACHE=0)"
        )
    compiled = sum(1 for _ in programs.iterdir())
    return f"{root}: {_gigabytes(root):.2f} GiB, {corpora} prepared corpora, {compiled} compiled programs"


def mesh_axes() -> str:
    """The devices' mesh has Auto axes: under Explicit ones, jax's default, embeddings and solves fail (diffrax#738)."""
    mesh = make_parallel("jit").mesh
    ids = jnp.zeros((2 * mesh.size, 3), jnp.int32)
    split = jax.device_put(ids, jax.sharding.NamedSharding(mesh, P(DATA)))
    embedding = nn.Embed(4, 2)
    out = jax.jit(embedding.apply)(embedding.init(jax.random.key(0), ids), split)
    if out.shape != (2 * mesh.size, 3, 2):
        raise _Fault(f"an embedding on {mesh} has shape {out.shape}. Report this with the versions above.")
    return f"an embedding on {mesh.size} devices under jit"


def gradients() -> str:
    """Gradients through a solve are right under jit, shard_map and pmap."""
    fixed, adaptive = SolveConfig(solver="rk4", steps=8), SolveConfig(solver="dopri5", steps=None, rtol=1e-5)
    for mode in _MODES:
        for steps, config in (("fixed", fixed), ("adaptive", adaptive)):
            error = _gradient_error(mode, config)
            if not error < 1e-3:
                raise _Fault(
                    f"the gradient of {steps} steps under {mode} is wrong by {error:.1g}. Use parallel=jit."
                )
    return "right under jit, shard_map and pmap"


def failed_solves() -> str:
    """A solve that cannot go on says so in its row, as a value, and leaves the other rows alone."""
    config = SolveConfig(solver="dopri5", steps=None, max_steps=32)
    y0 = jnp.array(
        [[1.0], [-1.0]]
    )  # y' = y^2 from 1 has no solution beyond t = 1; from -1 it is -1 / (1 + t)
    solution = solve(
        lambda params, t, y, context: params * y**2, jnp.ones(()), y0, jnp.array([0.0, 2.0]), config
    )
    failed = np.asarray(solution.failed).tolist()
    if failed != [True, False] or abs(float(solution.ys[1, -1, 0]) + 1 / 3) > 1e-2:
        raise _Fault(
            f"a blow-up and a sound row gave failed = {failed}. Report this with the versions above."
        )
    return "a blow-up is reported in its row alone"


def checkpoints() -> str:
    """A NaN metric does not evict the best step (orbax#526), pruning leaves nothing, a flipped bit is noticed."""
    state = TrainState(np.int32(0), {"w": np.arange(4096.0)}, (), jax.random.key(0), None, {})
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Checkpoints(folder, write=True, keep_latest=1, keep_best=1) as kept:
            for step, rank in enumerate((3.0, 1.0, math.nan, 2.0), 1):
                kept.save(step, state._replace(step=np.int32(step)), rank)
            steps = kept.steps()
        left = sorted(path.name for path in (Path(folder) / FOLDER).iterdir() if path.is_dir())
        if steps != (2, 4) or left != ["2", "4"]:
            raise _Fault(
                f"after steps of rank 3, 1, NaN, 2 there are {left}; expected 2 and 4. Try another orbax."
            )
        _flip_a_bit(Path(folder) / FOLDER / "2")
        try:
            Checkpoints(folder).restore_params(2)
        except CheckpointError:
            return "the best survives a NaN, pruning leaves nothing behind, a flipped bit is noticed"
    raise _Fault(
        "a flipped bit in a checkpoint was restored without an error. Report this with the versions above."
    )


def sentencepiece() -> str:
    """SentencePiece trains the same model twice, with padding at 0."""
    lines = [
        f"the {a} {b} is not a {b} {a}" for a in ("cat", "dog", "sea") for b in ("tree", "house", "bird")
    ]
    first, second = (SentencePiece(size=20, byte_fallback=False).build(lines) for _ in range(2))
    if first.fingerprint != second.fingerprint or first.pad_id != 0 or first.encode("the cat").count(0):
        raise _Fault("the same text gave two different vocabularies. Install sentencepiece 0.2.3 or later.")
    return f"{first.size} pieces, the same twice"


def tensorflow_datasets() -> str:
    """TensorFlow Datasets opens without TensorFlow (it imports importlib_resources and does not declare it)."""
    import importlib_resources  # noqa: F401
    import tensorflow_datasets as tfds

    return f"data_source of version {tfds.__version__}" if callable(tfds.data_source) else ""


def exporters() -> str:
    """Exports read back equal, from a matrix that is not contiguous (safetensors#825) and odd words (gensim#2795)."""
    words = ("a b", "", "x\ny", "</s>")
    vectors = WordVectors(words, np.arange(12, dtype=np.float32).reshape(3, 4).T, np.ones(4, np.int64))
    forms = [form for form in get_args(Format) if form != "safetensors" or _installed("safetensors")]
    with tempfile.TemporaryDirectory() as folder:
        for form in forms:
            export(vectors, Path(folder) / form / "vectors", form)
    return ", ".join(forms) + (
        "" if "safetensors" in forms else "; safetensors is not installed (odeembed[export])"
    )


_CHECKS: dict[str, Callable[[], str]] = {
    "versions": versions,
    "devices": devices,
    "precision": precision,
    "disk": disk,
    "caches": caches,
    "mesh axes": mesh_axes,
    "gradients": gradients,
    "failed solves": failed_solves,
    "checkpoints": checkpoints,
    "sentencepiece": sentencepiece,
    "tensorflow datasets": tensorflow_datasets,
    "exporters": exporters,
}


_MODES = ("jit", "shard_map", "pmap")


def _gradient_error(mode: str, config: SolveConfig) -> float:
    """Relative error of d y(1) / d a of y' = a y, y(0) = 1, at a = 1, which is e."""

    def end(a: jax.Array, y0: jax.Array) -> jax.Array:
        return jnp.mean(solve(lambda a, t, y, context: a * y, a, y0, jnp.array([0.0, 1.0]), config).ys[:, -1])

    def gradient(a: jax.Array, y0: jax.Array) -> jax.Array:
        found = jax.value_and_grad(end)(a, y0)[1]
        return found if mode == "jit" else jax.lax.pmean(found, DATA)

    mesh = make_parallel("jit").mesh
    a, y0 = jnp.ones(()), jnp.ones((mesh.size, 1))
    if mode == "pmap":
        found = jax.pmap(gradient, DATA, in_axes=(None, 0), out_axes=None)(a, y0[:, None])
    elif mode == "shard_map":
        specs = {"in_specs": (P(), P(DATA)), "out_specs": P()}
        found = jax.jit(jax.shard_map(gradient, mesh=mesh, check_vma=False, **specs))(a, y0)
    else:
        found = jax.jit(gradient)(a, y0)
    return abs(float(found) / math.e - 1.0)


def _product_error() -> float:
    x = np.linspace(1.0, 2.0, 4096, dtype=np.float32).reshape(64, 64)
    truth = x.astype(np.float64) @ x
    return float(np.abs(np.asarray(jnp.dot(x, x)) - truth).max() / np.abs(truth).max())


def _flip_a_bit(folder: Path) -> None:
    file = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())


def _gigabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**30


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
