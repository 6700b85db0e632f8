"""Convolution networks against torch's own layers, how they start, and what they refuse."""

import jax
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import ppgen
from ppgen import nn

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(5, 3, 4, 8)).astype(np.float32)
CONTEXT = RNG.normal(size=(5, 2)).astype(np.float32)
NETS = {
    "net": (nn.ConvNet(3, (6, 5), 4), IMAGES),
    "net_wide": (nn.ConvNet(3, (4,), 2, kernel=5, activation="tanh"), IMAGES),
    "net_context": (nn.ConvNet(3, (6,), 4, context=2, activation="silu"), IMAGES, CONTEXT),
    "encoder": (nn.ConvEncoder((3, 4, 8), (6, 5), 7), IMAGES),
    "decoder": (nn.ConvDecoder(2, (6, 5), (3, 4, 8), kernel=5), CONTEXT),
}


def parameters(net):
    """Away from the start, where the last layer is zero."""
    rng = np.random.default_rng(1)
    return {path: rng.normal(0, 0.3, spec.shape).astype(np.float32) for path, spec in net.specs().items()}


def run(net, params, backend, *inputs):
    on = ppgen.backends.get(backend)
    apply = jax.jit(net.apply) if backend == "numpyro" else net.apply
    with ppgen.using(backend):
        result = apply({path: on.array(value) for path, value in params.items()}, *map(on.array, inputs))
        return [on.numpy(part) for part in result] if isinstance(result, tuple) else on.numpy(result)


def by_torch(net, params, x, context=None):
    """The formulas of the docstrings, with torch's layers."""
    p = {path: torch.tensor(value) for path, value in params.items()}
    x, f = torch.tensor(x), {"relu": F.relu, "tanh": torch.tanh, "silu": F.silu}[net.activation]

    def conv(name, h, stride=1):
        return F.conv2d(h, p[f"{name}.weight"], p[f"{name}.bias"], stride, padding=p[f"{name}.weight"].shape[-1] // 2)

    if isinstance(net, nn.ConvNet):
        h = conv("in", x)
        if context is not None:
            h = h + (torch.tensor(context) @ p["context.weight"])[:, :, None, None]
        for i in range(len(net.hidden)):
            h = h + conv(f"{i}.back", f(conv(f"{i}", f(h))))
        return conv("out", f(h))
    if isinstance(net, nn.ConvEncoder):
        for i in range(len(net.hidden)):
            x = f(conv(f"{i}", x, stride=2))
        return x.flatten(1) @ p["out.weight"] + p["out.bias"]
    height, width = (side // 2 ** len(net.hidden) for side in net.shape[1:])
    h = (x @ p["in.weight"] + p["in.bias"]).reshape(len(x), -1, height, width)
    for i in range(len(net.hidden)):
        h = conv(f"{i}", F.interpolate(f(h), scale_factor=2, mode="nearest"))
    return h


@pytest.mark.parametrize("name", NETS)
def test_nets_are_torchs(name, backend):
    net, *inputs = NETS[name]
    params = parameters(net)
    expected = by_torch(net, params, *inputs).numpy()
    np.testing.assert_allclose(run(net, params, backend, *inputs), expected, atol=2e-5 * np.abs(expected).max())


def test_a_planted_flip_is_caught():
    """A convolution that turns its kernel over (as signal processing has it) is another one."""
    net, x = NETS["net"]
    params = parameters(net)
    flipped = params | {"in.weight": np.flip(params["in.weight"], (2, 3)).copy()}
    assert np.abs(run(net, flipped, "pyro", x) - by_torch(net, params, x).numpy()).max() > 0.1


@pytest.mark.parametrize("name", NETS)
def test_leading_axes(name, backend):
    """A row alone, and rows behind particles, give what the rows give."""
    net, *inputs = NETS[name]
    params = parameters(net)
    rows = run(net, params, backend, *inputs)
    alone = run(net, params, backend, *(x[0] for x in inputs))
    particles = run(net, params, backend, *(np.stack([x, x[::-1]]) for x in inputs))
    assert alone.shape == rows.shape[1:]
    np.testing.assert_allclose(alone, rows[0], atol=1e-4)
    np.testing.assert_allclose(particles, np.stack([rows, rows[::-1]]), atol=1e-4)


def test_a_context_without_rows_is_for_all(backend):
    net, x, context = NETS["net_context"]
    params = parameters(net)
    spread = run(net, params, backend, x, np.repeat(context[:1], 5, 0))
    np.testing.assert_allclose(run(net, params, backend, x, context[0]), spread, atol=1e-4)


def test_several_outputs(backend):
    net = nn.ConvEncoder((3, 4, 8), (6,), (2, 3))
    params = parameters(net)
    together = run(nn.ConvEncoder((3, 4, 8), (6,), 5), params, backend, IMAGES)
    loc, scale = run(net, params, backend, IMAGES)
    np.testing.assert_allclose(np.concatenate([loc, scale], -1), together, atol=1e-5)


def test_a_net_starts_at_zero():
    net = nn.ConvNet(3, (8, 8), 4)
    params = {path: spec.draw(np.random.default_rng(0)) for path, spec in net.specs().items()}
    assert not run(net, params, "pyro", IMAGES).any()


@pytest.mark.parametrize("name", NETS)
def test_every_parameter_learns(name):
    net, *inputs = NETS[name]
    weights = np.cos(np.arange(1000.0))

    def loss(params):
        out = net.apply(params, *inputs).reshape(-1)
        return (out * weights[: out.size]).sum()

    with ppgen.using("numpyro"):
        for path, gradient in jax.jit(jax.grad(loss))(parameters(net)).items():
            assert np.isfinite(gradient).all(), path
            assert np.any(gradient != 0), f"no gradient to {path}"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.ConvNet(3, (), 4), r"expected hidden to be a tuple of positive integers.*got \(\)"),
        (lambda: nn.ConvNet(0, (4,), 4), "ConvNet: expected inputs to be a positive integer; got 0"),
        (lambda: nn.ConvNet(3, (4,), 4, kernel=2), "expected an odd kernel; got 2"),
        (lambda: nn.ConvNet(3, (4,), 4, activation="step"), "expected an activation, one of"),
        (lambda: nn.ConvEncoder((1, 28, 28), (4, 4, 4), 2), r"halved 3 times.*got shape \(1, 28, 28\)"),
        (lambda: nn.ConvEncoder((1, 8, 8), (), 2), r"at least one hidden layer; got shape \(1, 8, 8\) and hidden \(\)"),
        (lambda: nn.ConvEncoder((1, 8, 8), (4,), 2, kernel=4), "expected an odd kernel; got 4"),
        (
            lambda: nn.ConvDecoder(2, (4,), (28, 28)),
            r"expected images \(channels, height, width\).*got shape \(28, 28\)",
        ),
        (lambda: nn.ConvDecoder(2, (4,), (1, 8, 8), kernel=0), "expected an odd kernel; got 0"),
        (
            lambda: run(nn.ConvNet(3, (4,), 4), parameters(nn.ConvNet(3, (4,), 4)), "pyro", IMAGES[:, :2]),
            r"expected images \[\.\.\., 3, height, width\] for ConvNet.*got shape \(5, 2, 4, 8\)",
        ),
        (
            lambda: run(NETS["encoder"][0], {}, "pyro", IMAGES[:, :, :2]),
            r"images of shape \(3, 4, 8\).*got \(5, 3, 2, 8\)",
        ),
        (
            lambda: run(NETS["decoder"][0], {}, "pyro", CONTEXT[:, :1]),
            r"expected inputs of size 2 on the last axis of ConvDecoder.*got shape \(5, 1\)",
        ),
    ],
)
def test_wrong_settings_and_inputs(make, message):
    with pytest.raises(ValueError, match=message):
        make()
