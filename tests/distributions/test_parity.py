"""The same weights give the same densities and draws in zuko and in flowjax, each in a process of its own."""

import functools
import subprocess
import sys
import zlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest

import ppgen
from ppgen import nn, ops
from ppgen.distributions import MADE, Flow, GaussianMixture, StandardNormal, flows
from ppgen.distributions.flows import AutoregressiveTransform

ROWS = 6
VERSIONS = {"zuko": "1.6.0", "flowjax": "19.1.2"}  # those whose parameters the scripts in `peers` know
RUN = Path(__file__).parent / "peers"

# Hidden layers are as wide as makes all degrees of masked units equally frequent: the peers deal them out in turn, ppgen
# in sorted order, and units of one degree can stand for each other.
CASES = {
    "maf": lambda: flows.MAF(4, transforms=2, hidden=(8, 8), context=3),
    "maf_of_any_order": lambda: Flow(
        StandardNormal(5), (AutoregressiveTransform(5, hidden=(8, 12), order=(3, 1, 4, 0, 2), residual=False),)
    ),
    "nsf_autoregressive": lambda: flows.NSF(3, transforms=2, hidden=(6,), context=2, bins=5, autoregressive=True),
    "iaf": lambda: flows.IAF(3, transforms=2, hidden=(6, 6)),
    "nice": lambda: flows.NICE(5, transforms=2, hidden=(8,)),
    "realnvp": lambda: flows.RealNVP(5, transforms=3, hidden=(8, 6), context=2),
    "nsf": lambda: flows.NSF(4, transforms=2, hidden=(8,), context=3, bins=4),
    "made": lambda: MADE(5, hidden=(8, 8), order=(3, 1, 4, 0, 2)),
    "gaussian_mixture": lambda: GaussianMixture(3, 4, context=2),
    "gaussian_mixture_full": lambda: GaussianMixture(3, 4, covariance="full", context=2),
}
PARITY = [("zuko", name) for name in CASES] + [
    ("flowjax", name) for name in ("maf", "nsf_autoregressive", "realnvp", "nsf")
]


def given(name):
    """The distribution, its parameters, and what it is asked: NumPy arrays."""
    entry, rng = CASES[name](), np.random.default_rng(zlib.crc32(name.encode()))
    params = {
        path: (spec.draw(rng) + 0.2 * rng.normal(size=spec.shape)).astype(np.float32)
        for path, spec in entry.specs().items()
    }
    for path in params:
        if path.endswith("context.direct"):  # from the context to the outputs: the peers' networks lack it
            params[path] *= 0
    shape = (ROWS, *entry.event_shape)
    if entry.support == "boolean":
        inputs = {"x": rng.integers(0, 2, shape).astype(np.float32), "u": rng.random(shape, np.float32)}
    else:
        inputs = {"x": rng.normal(size=shape) * np.linspace(0.5, 4, ROWS)[:, None], "z": rng.normal(size=shape)}
        if isinstance(entry, GaussianMixture):  # which component a draw comes from is chosen in other ways
            del inputs["z"]
    if entry.context:
        inputs["context"] = rng.normal(size=(ROWS, entry.context))
    return entry, params, {key: value.astype(np.float32) for key, value in inputs.items()}


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    """`peer(library)`: what the library answers to all cases, as `case/log_prob` and `case/draw`."""
    answers = {}

    def ask(library):
        try:
            found = version(library)
        except PackageNotFoundError:
            pytest.skip(f"{library} is not installed: pip install -e '.[test]' has it")
        if found != VERSIONS[library]:
            pytest.skip(f"expected {library} {VERSIONS[library]}; got {found}, whose parameters may be others")
        if library not in answers:
            folder = tmp_path_factory.mktemp(library)
            arrays = {}
            for _, name in (pair for pair in PARITY if pair[0] == library):
                _, params, inputs = given(name)
                arrays |= {f"{name}/params/{path}": value for path, value in params.items()}
                arrays |= {f"{name}/inputs/{key}": value for key, value in inputs.items()}
            np.savez(folder / "inputs.npz", **arrays)
            command = [sys.executable, RUN / f"run_{library}.py", folder / "inputs.npz", folder / "results.npz"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr
            answers[library] = dict(np.load(folder / "results.npz"))
        return answers[library]

    return ask


class Given:
    """Noise that is known: one draw's worth."""

    def __init__(self, numbers):
        self.numbers = numbers

    def normal(self, shape):
        return self.numbers.reshape(shape)

    uniform = normal


def in_ppgen(name, backend):
    """Log density and draws by ppgen."""
    entry, params, inputs = given(name)
    on = ppgen.backends.get(backend)
    params, inputs = ({key: on.array(value) for key, value in arrays.items()} for arrays in (params, inputs))
    noise = inputs.get("z", inputs.get("u"))

    def both():
        found = {"log_prob": entry.log_prob(params, inputs["x"], inputs.get("context"))}
        if noise is not None:
            found["draw"] = entry.draw(params, Given(noise), (ROWS,), inputs.get("context"))
        return found

    with ppgen.using(backend):
        return {what: on.numpy(value) for what, value in on.without_gradients(both)().items()}


computed = functools.cache(in_ppgen)  # two peers ask for the same


def largest_difference(found, answers, name):
    """The largest difference of densities and of draws, as a share of the larger of 1 and the number."""
    assert found.keys() == {key.split("/")[1] for key in answers if key.startswith(f"{name}/")}
    differences = []
    for what, value in found.items():
        wanted = answers[f"{name}/{what}"]
        assert value.shape == wanted.shape
        differences.append((np.abs(value - wanted) / np.maximum(1, np.abs(wanted))).max())
    return max(differences)


@pytest.mark.parametrize(("library", "name"), PARITY)
def test_parity(library, name, peer, backend):
    """The same log densities, and the same draws from the same noise."""
    assert largest_difference(computed(name, backend), peer(library), name) < 1e-4


# planted bugs ------------------------------------------------------------------------------------------------------


def test_a_planted_scale_is_caught(peer, monkeypatch):
    """A scale that nears its bound in another way, log-determinants too, which invertibility and autodiff cannot see."""
    monkeypatch.setattr(flows.Affine, "_log_scale", lambda self, theta: 2 * ops.tanh(theta[..., 1] / 2))
    assert largest_difference(in_ppgen("realnvp", "pyro"), peer("zuko"), "realnvp") > 1e-3


def test_a_planted_slope_is_caught(peer, monkeypatch):
    """Splines whose slopes are off by a thousandth of one."""
    monkeypatch.setattr("ppgen.distributions.flows.spline.SMALLEST", 2e-3)
    assert largest_difference(in_ppgen("nsf", "pyro"), peer("zuko"), "nsf") > 1e-3


def test_a_planted_mask_is_caught(peer, monkeypatch):
    """Masks that leave out what they could let through: still autoregressive, but not MADE's."""
    masks = nn.MaskedMLP._masks.__get__
    monkeypatch.setattr(
        nn.MaskedMLP,
        "_masks",
        property(lambda self: {k: ops.Mask(m.ones * (np.arange(m.ones.shape[1]) > 0)) for k, m in masks(self).items()}),
    )
    assert largest_difference(in_ppgen("made", "pyro"), peer("zuko"), "made") > 1e-3
