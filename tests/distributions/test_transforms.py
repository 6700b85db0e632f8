"""What every transform of the registry owes, on both backends: an inverse, and true log-determinants."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ppgen
from ppgen.distributions import flows
from ppgen.distributions.flows import Affine, AutoregressiveTransform, Compose, Inverse
from ppgen.distributions.registry import TRANSFORMS

ALL = list(TRANSFORMS)
ROWS = 3


def close(a, b, tolerance=1e-4):
    """Equal up to `tolerance` of the larger of 1 and the largest number."""
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1.0, float(np.abs(b).max(initial=0.0))))


def domain(transform):
    """The values that `forward` takes, as far as tests need to know."""
    if isinstance(transform, Compose):
        return domain(transform.transforms[0])
    return (transform.transform.support if isinstance(transform, Inverse) else None) or "real"


def points(name, transform, event_shape):
    """Points to transform, [ROWS, *event_shape]: near the middle, around it, and far out."""
    rng = np.random.default_rng(len(name))
    spread = np.array([0.3, 1.0, 3.0]).reshape(ROWS, *[1] * len(event_shape))
    x = spread * rng.normal(size=(ROWS, *event_shape))
    values = domain(transform)
    if values == "positive":
        x = np.exp(x)
    elif values != "real":
        low, high = (0.0, 1.0) if values == "unit_interval" else values
        x = low + (high - low) / (1 + np.exp(-x))
    return x.astype(np.float32)


@functools.cache
def start(name):
    build, event_shape = TRANSFORMS[name]
    return points(name, build(), event_shape)


@functools.cache
def found(on):
    """There, back again, both log-determinants, and gradients: of the way back, and on Pyro of both ways.

    (On NumPyro both would double the time to compile; distributions test the gradients of draws there.)
    """
    transform, x = on.entry, start(on.name)
    y = on.backend.numpy(on.call(lambda p, x, c: transform.forward(p, x, c), on.params, x, on.context)[0])

    def loss(inputs, x, y):
        params = {path: value for path, value in inputs.items() if path != "context"}
        there = transform.forward(params, x, inputs.get("context"))
        back = transform.inverse(params, y, inputs.get("context"))
        learned = [*back, *(there if on.backend.library == "torch" else ())]
        total = sum((wave(value, phase) * value).sum() for phase, value in enumerate(learned))
        return total, {"y": there[0], "log_det": there[1], "x": back[0], "log_det_back": back[1]}

    def wave(value, phase):  # weights that differ from entry to entry
        weights = np.cos(np.arange(np.prod(value.shape, dtype=int)) + phase)
        return on.backend.array(weights.astype(np.float32).reshape(value.shape))

    inputs = dict(on.params) | ({} if on.context is None else {"context": on.context})
    return on.differentiated(loss)(inputs, x, y) | {"given_y": y}


@pytest.mark.parametrize("name", ALL)
def test_there_and_back(name, transform_case, backend):
    """The inverse of forward is where one came from, and the two log-determinants cancel."""
    on = transform_case(name, backend)
    result = found(on)
    close(result["x"], start(name))
    assert result["log_det"].shape == result["log_det_back"].shape == (ROWS,)
    close(result["log_det"], -result["log_det_back"])


def log_det_by_autodiff(on):
    """log |det J| of `forward` at each row, from the Jacobian that JAX finds."""

    def one(params, x, context):
        flat = jax.jacfwd(lambda v: on.entry.forward(params, v.reshape(x.shape), context)[0].reshape(-1))(x.reshape(-1))
        return jnp.linalg.slogdet(flat)[1], flat

    axes = None, 0, None if on.context is None else 0
    return on.call(jax.vmap(one, axes), on.params, start(on.name), on.context)


@pytest.mark.parametrize("name", ALL)
def test_log_determinants_are_those_of_the_jacobian(name, transform_case):
    on = transform_case(name, "numpyro")
    log_det, jacobian = log_det_by_autodiff(on)
    close(found(on)["log_det"], log_det, 2e-4)
    net = getattr(on.entry, "net", None)
    if hasattr(net, "permutation"):  # autoregressive: a triangle, in the order of the dimensions
        ordered = jacobian[:, net.permutation][:, :, net.permutation]
        assert not np.triu(ordered, 1).any()
        assert np.abs(np.tril(ordered, -1)).max(0).any(1)[1:].all()


@pytest.mark.parametrize("name", ALL)
def test_backends_agree(name, transform_case):
    """The same values and log-determinants on both backends."""
    on = {backend: found(transform_case(name, backend)) for backend in ("numpyro", "pyro")}
    for part in ("y", "log_det", "x", "log_det_back"):
        close(on["numpyro"][part], on["pyro"][part], 2e-4)


@pytest.mark.parametrize("name", ALL)
def test_every_parameter_learns(name, transform_case, backend):
    """Both ways give every parameter, and the context, a finite gradient that is not zero."""
    for path, grad in found(transform_case(name, backend))["grads"].items():
        assert np.isfinite(grad).all(), path
        assert np.any(grad != 0), f"no gradient to {path}"


@pytest.mark.parametrize("name", ALL)
def test_values_lie_in_the_image(name, transform_case):
    on = transform_case(name, "pyro")
    image = on.entry.image(domain(on.entry))
    y = found(on)["y"]
    assert np.isfinite(y).all()
    if image != "real":
        low, high = {"positive": (0, np.inf), "unit_interval": (0, 1)}.get(image, image)
        assert (y > low).all()
        assert (y < high).all()


@pytest.mark.parametrize("name", ALL)
def test_contexts_and_values_broadcast(name, transform_case):
    """A row alone is transformed as in company, and leading axes of values and contexts broadcast."""
    on = transform_case(name, "pyro")
    x, context = start(name), on.context

    def forward(x, context):
        return on.call(lambda p, x, c: on.entry.forward(p, x, c), on.params, x, context)

    def inverse(y, context):
        return on.call(lambda p, y, c: on.entry.inverse(p, y, c), on.params, y, context)

    for way, value in ((forward, x), (inverse, found(on)["given_y"])):
        whole = way(value, context)
        for b in range(ROWS):
            alone = way(value[b], None if context is None else context[b])
            close(alone[0], whole[0][b])
            close(alone[1], whole[1][b])
        particles = way(np.stack([value, value]), context)
        close(particles[0][1], whole[0])
        close(particles[1][1], whole[1])
        if context is not None:
            spread = way(value[:1], context)
            assert spread[0].shape[0] == spread[1].shape[0] == ROWS
            close(spread[1], way(np.repeat(value[:1], ROWS, 0), context)[1])


def innermost(transform):
    return innermost(transform.transform) if isinstance(transform, Inverse) else transform


ITERATED = [name for name, (build, _) in TRANSFORMS.items() if hasattr(innermost(build()), "method")]


@pytest.mark.parametrize("name", ITERATED)
def test_methods_agree(name, transform_case, backend, small_blocks):
    """Dimension by dimension, by iteration and by brute force: one result."""

    def both(method):
        on = transform_case(name, backend).with_method(method)
        x = start(name)
        return on.call(lambda p, x, c: (on.entry.forward(p, x, c), on.entry.inverse(p, x, c)), on.params, x, on.context)

    naive = jax.tree.leaves(both("naive"))
    for method in ("incremental", "jacobi"):
        for value, expected in zip(jax.tree.leaves(both(method)), naive, strict=True):
            close(value, expected, 2e-4)


@pytest.mark.parametrize("bug", ["a block forgotten", "one turn too few"])
def test_a_planted_bug_of_blocks_is_caught(bug, transform_case, backend, small_blocks, planted_in_blocks):
    planted_in_blocks(bug)
    with pytest.raises(AssertionError):
        test_methods_agree("autoregressive_affine", transform_case, backend, small_blocks)


@pytest.mark.parametrize("name", ALL)
def test_float64_all_the_way(name, transform_case):
    """In float64 there and back again is exact to nine digits."""
    on = transform_case(name, "pyro")
    double = {path: value.astype(np.float64) for path, value in on.params.items()}
    context = None if on.context is None else on.context.astype(np.float64)
    x = start(name).astype(np.float64)
    y, log_det = on.call(lambda p, x, c: on.entry.forward(p, x, c), double, x, context)
    back, log_det_back = on.call(lambda p, y, c: on.entry.inverse(p, y, c), double, y, context)
    assert y.dtype == log_det.dtype == back.dtype == np.float64
    close(back, x, 1e-8)
    close(log_det, -log_det_back, 1e-8)


@pytest.mark.parametrize("name", ALL)
def test_a_transform_is_a_value(name):
    build, _ = TRANSFORMS[name]
    one, same = build(), build()
    assert one == same
    assert hash(one) == hash(same)
    assert repr(one) == repr(same)
    assert type(one).__name__ in repr(one)
    assert one != Inverse(one)
    for other, (build_other, _) in TRANSFORMS.items():
        assert (build_other() == one) == (repr(build_other()) == repr(one)), other


def test_a_planted_lost_log_determinant_is_caught(transform_case, monkeypatch):
    """A scale that is left out of the log-determinant shows, though both ways leave it out."""
    on = transform_case("autoregressive_affine", "numpyro")

    def lossy(way):
        original = getattr(Affine, way)
        monkeypatch.setattr(Affine, way, lambda self, theta, x: (original(self, theta, x)[0], 0 * theta[..., 1]))

    lossy("forward"), lossy("inverse")
    _, log_det = on.call(lambda p, x, c: on.entry.forward(p, x, c), on.params, start(on.name), on.context)
    assert np.abs(log_det - log_det_by_autodiff(on)[0]).max() > 0.01


def test_a_planted_order_is_caught(transform_case):
    """The Jacobian of one order is no triangle in another."""
    on = transform_case("autoregressive_shift", "numpyro")
    _, jacobian = log_det_by_autodiff(on)
    wrong = on.entry.net.permutation[::-1]
    assert np.triu(jacobian[:, wrong][:, :, wrong], 1).any()


def test_the_bijections_start_at_the_identity(backend):
    """Theta = 0 leaves a number as it is."""
    kinds = [kind for kind in vars(flows).values() if isinstance(kind, type) and issubclass(kind, flows.Bijection)]
    x = np.linspace(-6, 6, 13).astype(np.float32)
    for kind in kinds:
        if kind is flows.Bijection:
            continue
        bijection = kind()
        theta = np.zeros((13, bijection.outputs), np.float32)
        on = ppgen.backends.get(backend)
        with ppgen.using(backend):
            for way in (bijection.forward, bijection.inverse):
                y, log_slope = way(on.array(theta), on.array(x))
                close(on.numpy(y), x, 1e-5)
                close(on.numpy(log_slope), 0 * x, 1e-5)


def test_an_autoregressive_transform_of_one_dimension(backend):
    """With D = 1 nothing comes before: a plain affine map."""
    transform = AutoregressiveTransform(1, hidden=(4,))
    on = ppgen.backends.get(backend)
    params = {path: on.array(spec.draw(np.random.default_rng(0)) + 0.5) for path, spec in transform.specs().items()}
    with ppgen.using(backend):
        y, log_det = transform.forward(params, on.array(np.array([[0.0], [1.0]], np.float32)))
    y, log_det = on.numpy(y), on.numpy(log_det)
    assert y[1, 0] - y[0, 0] == pytest.approx(np.exp(log_det[0]), rel=1e-5)
    assert log_det[0] == pytest.approx(log_det[1])
