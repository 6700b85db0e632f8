"""How networks start: every weight and bias within 1 / sqrt(n), n the numbers that enter its unit."""

import jax
import numpy as np
import pytest

import ppgen
from ppgen import nn
from ppgen.distributions import DeepNADE, MarkovChain
from ppgen.distributions.autoregressive import conditionals
from ppgen.distributions.autoregressive.nade import NADENetwork

ENTERING = {  # by network: how many numbers enter the units of each layer, or 0 where it starts at 0
    nn.MLP(5, 7, (2, 3)): {"0": 5, "1": 7},
    nn.ResidualMLP(3, (8, 6), 2, context=4): {
        "in": 7, "context": 7, "0": 8, "0.back": 8, "1": 8, "1.back": 6, "out": 0
    },
    nn.ConvNet(3, (5, 6), 2, context=4): {
        "in": 31, "context": 31, "0": 45, "0.back": 5, "1": 45, "1.back": 6, "out": 0
    },
    nn.ConvEncoder((1, 8, 8), (3, 5), 2): {"0": 9, "1": 27, "out": 20},
    nn.ConvDecoder(4, (5, 3), (1, 8, 8)): {"in": 4, "0": 45, "1": 27},
    nn.RecurrentNetwork(6, 5, 2, 3, context=4): {"cell.input": 8, "cell.state": 8, "context": 12, "out": 5},
    nn.RecurrentNetwork(6, 5, 2, 3, "lstm"): {"cell.input": 8, "cell.state": 8, "out": 5},
    NADENetwork(6, 5, 2, 3, context=4): {"in": 22, "context": 22, "out": 9, "context.direct": 9},
    DeepNADE(6, (5, 8), conditionals.Categorical(3)).net: {"in": 24, "1": 5, "out": 8},
    MarkovChain(5, classes=3, context=2).net: {"context": 2},
}  # fmt: skip
MASKED = [
    nn.MaskedMLP(4, (7, 5), 2),
    nn.MaskedMLP(5, (6,), 1, 2, context=3, order=(3, 0, 4, 1, 2)),
    nn.MaskedMLP(4, (9,), direct=True, context=2, seed=1),
    nn.MaskedMLP(3, (), 2, context=1),
    nn.MaskedMLP(1, (4,)),
]


@pytest.mark.parametrize("net", ENTERING, ids=lambda net: type(net).__name__)
def test_bounds(net):
    specs, entering = net.specs(), ENTERING[net]
    for path, spec in specs.items():
        name = path.removesuffix(".weight").removesuffix(".bias")
        if name in entering:
            assert spec.bound == pytest.approx(entering[name] and entering[name] ** -0.5), path
    assert entering.keys() <= {path.removesuffix(".weight").removesuffix(".bias") for path in specs}


def check_masked(net):
    """Counted anew: a number enters a unit where its weight changes an output."""
    specs = net.specs()
    rng = np.random.default_rng(0)
    params = {path: rng.uniform(0.5, 1, spec.shape).astype(np.float32) for path, spec in specs.items()}
    x, context = np.ones((net.dim, net.inputs), np.float32), np.ones(net.context, np.float32)
    with ppgen.using("numpyro"):
        slopes = jax.grad(lambda p: net.conditionals(p, x, context if net.context else None).sum())(params)
    seen = {path: np.asarray(slope != 0).sum(0) for path, slope in slopes.items() if not path.endswith("bias")}
    entering = {"out": seen["out.weight"] + seen.get("direct.weight", 0) + seen.get("context.direct", 0)}
    entering |= {f"{i}": seen[f"{i}.weight"] for i in range(len(net.hidden))}
    if net.hidden:
        entering["0"] = entering["0"] + seen.get("context.weight", 0)
    layers = {"context.weight": "0", "context.direct": "out", "direct.weight": "out"}
    for path, spec in specs.items():
        n = entering[layers.get(path, path.split(".")[0])]
        used = n > 0  # a unit that no output hears counts for nothing, and has no gradient
        expected = np.where(used, 1 / np.sqrt(np.maximum(n, 1)), 0)
        np.testing.assert_allclose(np.broadcast_to(spec.bound, n.shape)[used], expected[used], err_msg=path)
        if path == "out.bias":  # outputs of the first dimension: they start at 0 where nothing enters
            np.testing.assert_allclose(spec.bound, expected, err_msg=path)


@pytest.mark.parametrize("net", MASKED, ids=repr)
def test_behind_a_mask_what_it_lets_through_counts(net):
    check_masked(net)


def test_a_planted_count_before_masking_is_caught(monkeypatch):
    sizes = property(lambda self: {name: np.full(m.ones.shape[1], len(m.ones)) for name, m in self._masks.items()})
    monkeypatch.setattr(nn.MaskedMLP, "_entering", sizes)
    with pytest.raises(AssertionError):
        check_masked(nn.MaskedMLP(4, (7, 5), 2))


def test_draws_fill_their_bounds():
    """Uniform: of variance bound^2 / 3, column by column."""
    rng = np.random.default_rng(0)
    bounds = np.array([0.5, 2.0, 0.0])
    draws = nn.Spec((20_000, 3), tuple(bounds), centre=1.0).draw(rng)
    assert draws.dtype == np.float32
    assert (np.abs(draws - 1) <= bounds).all()
    np.testing.assert_allclose(np.abs(draws - 1).max(0), bounds, rtol=1e-2)
    np.testing.assert_allclose(draws.var(0), bounds**2 / 3, rtol=0.03)  # one sigma is 0.6%
    np.testing.assert_array_equal(nn.Spec((2,), centre=1.0).draw(rng), 1)


def test_kinks_are_spread():
    """Those of the rectifiers of one number: on both sides, a fifth of them and more between 0.1 and 1."""
    rng = np.random.default_rng(0)
    params = {path: spec.draw(rng) for path, spec in nn.MLP(1, 400, 1).specs().items()}
    kinks = -params["0.bias"] / params["0.weight"][0]
    for side in (kinks, -kinks):
        assert ((side > 0.1) & (side < 1)).mean() > 0.2
