"""Flows of images by their papers: where pixels go, exact densities, and bits per dimension."""

import functools

import jax
import numpy as np
import pytest
import torch

import ppgen
from ppgen import data, module, plate, sample
from ppgen.distributions import Flow, Glow, StandardNormal, StandardUniform, flows
from ppgen.distributions.flows import (
    LU,
    ActNorm,
    AffineConstant,
    ChannelCoupling,
    CheckerboardCoupling,
    Compose,
    Inverse,
    Logit,
    MultiScale,
    Pixelwise,
    Repeat,
    Sigmoid,
    Squeeze,
    dequantise,
)

RNG = np.random.default_rng(0)


def moved(entry, seed=0):
    """Parameters away from their start."""
    rng = np.random.default_rng(seed)
    return {
        path: (value + 0.2 * rng.normal(size=value.shape)).astype(np.float32) for path, value in entry.init().items()
    }


def transform_params(transform, seed=0):
    rng = np.random.default_rng(seed)
    return {path: rng.normal(0, 0.3, spec.shape).astype(np.float32) for path, spec in transform.specs().items()}


def on(backend, fn, *arrays):
    """`fn` on NumPy arrays under a backend."""
    library = ppgen.backends.get(backend)
    fn = jax.jit(fn) if backend == "numpyro" else fn
    with ppgen.using(backend):
        result = fn(*(jax.tree.map(library.array, array) for array in arrays))
    return jax.tree.map(library.numpy, result)


# squeeze -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 2, 2), (3, 4, 6), (2, 5, 3, 8, 2)])
def test_squeeze_is_exact(shape, backend):
    """Channel 4 i + 2 a + b holds row a and column b of each square of channel i; not a bit is lost on the way back."""
    x = RNG.normal(size=shape).astype(np.float32)
    y, log_det = on(backend, lambda x: Squeeze().forward({}, x), x)
    *lead, c, h, w = shape
    assert y.shape == (*lead, 4 * c, h // 2, w // 2)
    for i in range(c):
        for a in range(2):
            for b in range(2):
                np.testing.assert_array_equal(y[..., 4 * i + 2 * a + b, :, :], x[..., i, a::2, b::2])
    back, log_det_back = on(backend, lambda y: Squeeze().inverse({}, y), y)
    np.testing.assert_array_equal(back, x)
    assert log_det.shape == log_det_back.shape == tuple(lead)
    assert not log_det.any()
    assert not log_det_back.any()


# couplings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("shape", [(1, 4, 4), (2, 3, 5)])
def test_the_checkerboard(shape, swap, backend):
    """What stays, stays to the bit; every other pixel changes, by what stays alone."""
    coupling = CheckerboardCoupling(shape[0], hidden=(6,), swap=swap)
    params, x = transform_params(coupling), RNG.normal(size=shape).astype(np.float32)
    y, _ = on(backend, lambda p, x: coupling.forward(p, x), params, x)
    rows, columns = np.indices(shape[1:])
    changes = np.broadcast_to((rows + columns + swap) % 2 == 1, shape)
    np.testing.assert_array_equal(y[~changes], x[~changes])
    assert (np.abs(y - x)[changes] > 1e-6).all()
    other = np.where(changes, x + 1, x)  # the slope of each changed pixel is that of the same affine map
    z, _ = on(backend, lambda p, x: coupling.forward(p, x), params, other)
    w, _ = on(backend, lambda p, x: coupling.forward(p, x), params, np.where(changes, x + 2, x))
    np.testing.assert_allclose((w - z)[changes], (z - y)[changes], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("swap", [False, True])
def test_halves_of_channels(swap, backend):
    """With an odd number of channels the smaller half comes first."""
    coupling = ChannelCoupling(3, hidden=(6,), swap=swap)
    params, x = transform_params(coupling), RNG.normal(size=(3, 2, 2)).astype(np.float32)
    y, _ = on(backend, lambda p, x: coupling.forward(p, x), params, x)
    assert (y != x).all((1, 2)).tolist() == ([True, False, False] if swap else [False, True, True])
    assert (y == x).all((1, 2)).tolist() == ([False, True, True] if swap else [True, False, False])


def test_one_by_one_convolutions(backend):
    """`Pixelwise(LU)` is a convolution with a 1 x 1 kernel, and its log-determinant h w log |det W|."""
    mix = Pixelwise(LU(3))
    params, x = transform_params(mix), RNG.normal(size=(2, 3, 4, 5)).astype(np.float32)
    y, log_det = on(backend, lambda p, x: mix.forward(p, x), params, x)
    matrix = params["matrix"].astype(np.float64)
    kernel = (np.tril(matrix, -1) + np.eye(3)) @ (np.triu(matrix, 1) + np.diag(np.exp(np.diag(matrix))))
    expected = torch.nn.functional.conv2d(
        torch.tensor(x), torch.tensor(kernel[:, :, None, None], dtype=torch.float32), torch.tensor(params["shift"])
    )
    np.testing.assert_allclose(y, expected.numpy(), atol=1e-5)
    np.testing.assert_allclose(log_det, [20 * np.linalg.slogdet(kernel)[1]] * 2, rtol=1e-4)


# several scales ------------------------------------------------------------------------------------------------------


def test_what_leaves_at_each_scale(backend):
    """With scales 2 and 3 the density is known: half of the pixels leave between the two, those of odd rows."""
    flow = MultiScale(
        (1, 4, 4),
        (
            Compose((AffineConstant(0.0, 3.0, 3), Inverse(Squeeze()))),
            Compose((Inverse(Squeeze()), AffineConstant(1.0, 2.0, 3))),
        ),
    )
    x = RNG.normal(size=(7, 1, 4, 4)).astype(np.float32)
    scale = np.where(np.arange(4) % 2 == 0, 6.0, 2.0)[:, None]
    expected = -0.5 * ((x - 1) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(
        on(backend, lambda x: flow.log_prob({}, x), x), expected.sum((1, 2, 3)), rtol=1e-5, atol=1e-4
    )


class Given:
    """Noise that is given: the numbers of a vector one after another."""

    def __init__(self, z):
        self.z, self.used = z, 0

    def normal(self, shape):
        size = int(np.prod(shape))
        self.used += size
        return self.z[self.used - size : self.used].reshape(shape)


SMALL = {
    "glow": Glow((1, 4, 4), levels=2, steps=1, hidden=(4,)),
    "glow_colours": Glow((2, 2, 4), levels=1, steps=2, hidden=(4,)),
    "realnvp": flows.ImageRealNVP((1, 4, 4), levels=2, steps=1, hidden=(4,)),
}


@functools.cache
def by_change_of_variables(name, backend):
    """A draw as a function of its noise: log N(z) - log |det dx/dz| by autodiff, and what the flow says of itself."""
    flow = SMALL[name]
    size = int(np.prod(flow.event_shape))
    params = {path: value.astype(np.float64) for path, value in moved(flow).items()}
    z = np.random.default_rng(3).normal(size=size)

    def draw(params, z):
        given = Given(z)
        x, log_prob = flow.draw_with_log_prob(params, given, ())
        assert given.used == size
        return x.reshape(-1), (log_prob, flow.log_prob(params, x))

    def both(params, z):
        if backend == "numpyro":
            return jax.jacfwd(draw, 1, has_aux=True)(params, z)
        jacobian = torch.autograd.functional.jacobian(lambda z: draw(params, z)[0], z)
        return jacobian, draw(params, z)[1]

    with jax.enable_x64(True):
        jacobian, (known, log_prob) = on(backend, both, params, z)
    normal = -0.5 * (z**2).sum() - 0.5 * size * np.log(2 * np.pi)
    return normal - np.linalg.slogdet(jacobian)[1], known, log_prob


@pytest.mark.parametrize(("name", "backend"), [("glow", "numpyro"), *((name, "pyro") for name in SMALL)])
def test_densities_are_those_of_a_change_of_variables(name, backend):
    """So a multi-scale flow is a distribution, whose mass is that of the noise: one."""
    exact, known, log_prob = by_change_of_variables(name, backend)
    assert known == pytest.approx(exact, abs=1e-5)
    assert log_prob == pytest.approx(exact, abs=1e-5)


def test_a_planted_lost_scale_is_caught(monkeypatch):
    """Log-determinants that forget that there are several pixels."""
    exact = by_change_of_variables("glow", "pyro")[0]
    original = Pixelwise._everywhere

    def forgetful(self, map_, params, x, context):
        y, log_det = original(self, map_, params, x, context)
        return y, log_det / (x.shape[-1] * x.shape[-2])

    monkeypatch.setattr(Pixelwise, "_everywhere", forgetful)
    assert abs(by_change_of_variables.__wrapped__("glow", "pyro")[1] - exact) > 0.05


def test_a_small_glow_has_mass_one():
    """The four pixels of the smallest image there is, by the midpoint rule."""
    flow, n = Glow((1, 2, 2), levels=1, steps=2, hidden=(4,)), 27
    params = moved(flow)
    x = on("pyro", lambda p: flow.apply(p).sample((2000,)), params).reshape(-1, 4)
    low, high = x.min(0) - 2, x.max(0) + 2
    axes = [a + (b - a) * (np.arange(n) + 0.5) / n for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 1, 2, 2).astype(np.float32)
    log_prob = on("pyro", lambda p, x: flow.log_prob(p, x), params, points)
    assert np.exp(log_prob.astype(np.float64)).sum() * np.prod((high - low) / n) == pytest.approx(1, abs=0.02)


def test_a_fresh_glow_is_a_standard_normal():
    flow = Glow((2, 4, 4), levels=2, steps=2, hidden=(4,))
    x = RNG.normal(size=(3, 2, 4, 4)).astype(np.float32)
    found = on("pyro", lambda p, x: flow.log_prob(p, x), flow.init(), x)
    np.testing.assert_allclose(found, on("pyro", lambda x: StandardNormal(2, 4, 4).log_prob({}, x), x), rtol=1e-4)


def test_the_tree_of_a_flow_is_told():
    """One line a part, indented by depth."""
    lines = repr(Glow((1, 4, 4), levels=2, steps=3, hidden=(8,))).splitlines()
    assert [line for line in lines if not line.startswith("    ")] == [
        "MultiScale(",
        "  (1, 4, 4),",
        "  Compose(",
        "  ),",
        "  Compose(",
        "  ),",
        ")",
    ]
    assert sum("Repeat(" in line for line in lines) == 2
    assert sum("ChannelCoupling(channels=8" in line for line in lines) == 1
    assert sum("ChannelCoupling(channels=4" in line for line in lines) == 2  # in the steps, and where numbers leave
    assert max(map(len, lines)) < 150


# pixels --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_dequantised_levels_can_be_read_back(levels):
    x = np.repeat(np.arange(levels), 2000).reshape(-1, 2)
    y = dequantise(x, levels, seed=1)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(np.floor(y.astype(np.float64) * levels), x)
    u = y.astype(np.float64) * levels - x
    assert abs(u.mean() - 0.5) < 5 * np.sqrt(1 / 12 / u.size)
    assert u.var() == pytest.approx(1 / 12, rel=0.1)
    np.testing.assert_array_equal(y, dequantise(x, levels, seed=1))
    assert (y != dequantise(x, levels, seed=2)).any()


def evaluated(flow, x, backend, **options):
    """What a fresh flow says of images."""

    def model(rows):
        with plate("data", rows):
            sample("x", module("p", flow)())

    return ppgen.evaluate(model, data={"x": x}, backend=backend, **options)


def test_uniform_bytes_have_eight_bits(backend):
    """Whatever the bytes: the model is uniform over [0, 1], or over the little more that `Logit` leaves it."""
    bytes_ = RNG.integers(0, 256, size=(6, 1, 4, 4))
    x = dequantise(bytes_)
    scale = Pixelwise(ActNorm(1))  # fresh, it does nothing
    uniform = Flow(StandardUniform(1, 4, 4), (scale,))
    assert evaluated(uniform, x, backend, quantization=256).bits_per_dim == pytest.approx(8, abs=1e-6)
    assert evaluated(uniform, x, backend).bits_per_dim == pytest.approx(0, abs=1e-6)  # of the density, not of bytes
    logits = Flow(StandardUniform(1, 4, 4), (Inverse(Sigmoid(3)), scale, Logit(0.05)))
    found = evaluated(logits, x, backend, quantization=256)
    assert found.bits_per_dim == pytest.approx(8 - np.log2(0.9), abs=1e-4)
    assert found.stderr == pytest.approx(0, abs=1e-3)


def test_bits_of_a_biased_byte_are_its_entropy(backend):
    """A density that is flat on each level gives the levels' exact code length: the bound is tight."""
    level = RNG.integers(0, 2, size=(500, 1, 2, 2))
    x = dequantise(level, levels=2)
    uniform = Flow(StandardUniform(1, 2, 2), (Pixelwise(ActNorm(1)),))
    assert evaluated(uniform, x, backend, quantization=2).bits_per_dim == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("alpha", "tolerance"), [(1e-6, 1e-2), (0.05, 1e-5), (0.4, 1e-5)])  # 1 - 1e-6 has few digits
def test_logit_is_finite_at_black_and_white(alpha, tolerance, backend):
    x = np.array([[[0.0, 0.25, 1.0]]], np.float32)
    y, log_det = on(backend, lambda x: Logit(alpha).inverse({}, x), x)
    p = alpha + (1 - 2 * alpha) * x.astype(np.float64)
    np.testing.assert_allclose(y, np.log(p) - np.log1p(-p), rtol=tolerance, atol=1e-5)
    assert log_det == pytest.approx((np.log(1 - 2 * alpha) - np.log(p) - np.log1p(-p)).sum(), rel=tolerance)


def test_glow_learns_digits(backend):
    digits, levels = data.digits(binarize=False), {"numpyro": 1, "pyro": 2}[backend]  # two take JAX long to compile
    x = dequantise(np.rint(digits.train["x"][:256] * 16), 17).reshape(-1, 1, 8, 8)

    def model(rows):
        with plate("data", rows):
            sample("x", module("p", Flow(Glow((1, 8, 8), levels, steps=1, hidden=(8,)), (Logit(),)))())

    fit = ppgen.fit(
        model, data={"x": x}, algorithm=ppgen.MaximumLikelihood(), backend=backend, epochs=15, batch_size=128,
        optimizer=ppgen.Adam(5e-3, clip=100.0),
    )  # fmt: skip
    loss = fit.history["loss/model"]
    assert np.isfinite(loss).all()
    assert loss[-1] < loss[0] - 20
    if backend == "pyro":  # the other would compile again
        draws = fit.sample(rows=4)["x"]
        assert draws.shape == (4, 1, 8, 8)
        assert np.abs(draws - 0.5).max() < 0.5 + 0.05 / 0.9 + 1e-6


# wrong input ---------------------------------------------------------------------------------------------------------


def apply(transform, *shape):
    return transform.forward({}, np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: apply(Squeeze(), 1, 3, 4), r"even sides to squeeze; got height 3 and width 4. Pad or crop"),
        (
            lambda: apply(Squeeze(), 4),
            r"expected images \[\.\.\., channels, height, width\] for Squeeze\(\); got shape \(4,\)",
        ),
        (lambda: apply(Inverse(Squeeze()), 6, 2, 2), "a multiple of 4 channels to make squares of; got 6"),
        (
            lambda: Glow((1, 28, 28), levels=3),
            r"halved once for each.*got shape \(1, 28, 28\) and 3 levels. Pad or crop",
        ),
        (lambda: Glow((1, 7, 8), levels=1), r"got shape \(1, 7, 8\) and 1 levels"),
        (lambda: Glow((8, 8), levels=1), r"expected a shape \(channels, height, width\).*got shape \(8, 8\)"),
        (lambda: Glow((1, 8, 8), levels=0), "at least one level; got .* and 0 levels"),
        (lambda: flows.ImageRealNVP((3, 6, 6), levels=2), r"got shape \(3, 6, 6\) and 2 levels"),
        (lambda: ChannelCoupling(1), "at least two channels to couple; got 1. Squeeze the image first"),
        (
            lambda: apply(ChannelCoupling(4), 5, 3, 2, 2),
            r"images \[\.\.\., 4, height, width\].*got shape \(5, 3, 2, 2\)",
        ),
        (lambda: apply(CheckerboardCoupling(1), 2, 2), r"images \[\.\.\., 1, height, width\].*got shape \(2, 2\)"),
        (
            lambda: apply(Pixelwise(LU(3)), 4, 2, 2),
            r"images \[\.\.\., 3, height, width\] for Pixelwise[^;]*; got shape \(4, 2, 2\)",
        ),
        (lambda: Repeat(0, LU(2)), "times to be a positive integer; got 0"),
        (lambda: Repeat(2, Squeeze()), r"a transform with parameters to repeat; got Squeeze\(\). Use Compose"),
        (lambda: MultiScale((1, 4, 4), ()), r"at least one level; got shape \(1, 4, 4\) and 0 levels"),
        (
            lambda: MultiScale((1, 2, 2), (Compose((AffineConstant(0.0, 2.0, 3),)),)).log_prob({}, np.zeros((1, 2, 2))),
            r"stage 0 to make images of shape \(4, 1, 1\), undone; got \(1, 2, 2\). Each stage has one Inverse",
        ),
        (lambda: Glow((1, 4, 4), 1, 1, (4,)).log_prob({}, np.zeros((2, 4, 1, 4))), r"last axes are \(1, 4, 4\)"),
        (lambda: Logit(0.5), "expected alpha between 0 and 1/2; got 0.5"),
        (lambda: dequantise([0, 256]), "integers from 0 to 255; got values from 0 to 256"),
        (lambda: dequantise([0.5, 1.0]), "integers from 0 to 255; got values from 0.5 to 1, not all of them such"),
    ],
)
def test_wrong_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
