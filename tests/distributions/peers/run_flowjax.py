"""Log densities and draws by flowjax at ppgen's parameters: `python run_flowjax.py inputs.npz results.npz`.

It has a process of its own, as it may set JAX in its own way. What is flowjax's here: the masks and masked layers,
masked autoregressive and coupling bijections with their inverses, affine maps, splines, triangular maps, permutations and
the composition of a flow. What is not: its affine maps and splines turn the numbers that a network gives them into
scales, bins and slopes in their own way, so those are put in as ppgen defines them; and layers are strung together with
the residual connections that ppgen's networks have.
"""

import sys
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flowjax import bijections as fb
from flowjax.distributions import StandardNormal, Transformed
from paramax import AbstractUnwrappable

SMALLEST = 1e-3  # of ppgen's splines: size of a bin as a share of the interval, and slope at a knot


def put(where, tree, value):
    """`tree` with a value in the place of what its constructor put there, wrapped or not."""
    return eqx.tree_at(where, tree, value, is_leaf=lambda leaf: isinstance(leaf, AbstractUnwrappable))


# the elementwise maps, from data to base: they take what ppgen's networks give ------------------------------------


class Elementwise(fb.AbstractBijection):
    """One of flowjax's maps of a number, with parameters made of theta."""

    theta: jax.Array
    shape = ()
    cond_shape = None

    def transform_and_log_det(self, x, condition=None):
        return self.made().transform_and_log_det(x)

    def inverse_and_log_det(self, y, condition=None):
        return self.made().inverse_and_log_det(y)


class BoundedAffine(Elementwise):
    def made(self):
        return put(
            lambda m: m.scale, fb.Affine(self.theta[0]), jnp.exp(self.theta[1] / (1 + jnp.abs(self.theta[1]) / 2))
        )


class Shift(Elementwise):
    def made(self):
        return fb.Loc(self.theta[0])


class Spline(Elementwise):
    def made(self):
        bins = (len(self.theta) + 1) // 3
        *sizes, slopes = jnp.split(self.theta, [bins, 2 * bins])

        def knots(logits):
            shares = SMALLEST + (1 - SMALLEST * bins) * jax.nn.softmax(logits)
            return 10 * jnp.concatenate([jnp.zeros(1), jnp.cumsum(shares)]) - 5

        slopes = SMALLEST + jax.nn.softplus(slopes + jnp.log(jnp.expm1(1 - SMALLEST)))
        slopes = jnp.concatenate([jnp.ones(1), slopes, jnp.ones(1)])
        spline = fb.RationalQuadraticSpline(knots=bins - 1, interval=5.0)
        return put(lambda s: (s.x_pos, s.y_pos, s.derivatives), spline, (*map(knots, sizes), slopes))


# the networks ------------------------------------------------------------------------------------------------------


class Residual(eqx.Module):
    """A masked perceptron that adds what enters each hidden layer to what enters the next."""

    layers: tuple

    def __call__(self, x):
        first, *inner, last = self.layers
        a = first(x)
        for layer in inner:
            a = a + layer(jax.nn.relu(a))
        return last(jax.nn.relu(a))


class ResidualMLP(eqx.Module):
    """`ppgen.nn.ResidualMLP` of equinox' layers."""

    first: eqx.nn.Linear
    blocks: list
    last: eqx.nn.Linear

    def __init__(self, p):
        def layer(name, weight):
            empty = eqx.nn.Linear(*weight.shape, key=jax.random.key(0))
            return put(lambda part: (part.weight, part.bias), empty, (weight.T, p[f"{name}.bias"]))

        self.first = layer("in", jnp.concatenate([p["in.weight"], *([p["context.weight"]] if context_of(p) else [])]))
        pairs = [(f"{i}", f"{i}.back") for i in range(sum(".back.w" in path for path in p))]
        self.blocks = [[layer(name, p[f"{name}.weight"]) for name in pair] for pair in pairs]
        self.last = layer("out", p["out.weight"])

    def __call__(self, x):
        h = self.first(x)
        for inner, outer in self.blocks:
            h = h + outer(jax.nn.relu(inner(jax.nn.relu(h))))
        return self.last(jax.nn.relu(h))


def fill_masked(net, p):
    """Give a masked perceptron ppgen's weights; both have the same degrees, ppgen sorted, flowjax in turn."""
    dim, context = p["0.weight"].shape[0], context_of(p)
    degrees = dim if context else dim - 1
    widths = [dim + context, *(p[f"{i}.bias"].shape[0] for i in range(len(net.layers) - 1)), p["out.bias"].shape[0]]
    inner = [np.argsort(np.arange(width) % degrees, stable=True) for width in widths[1:-1]]
    places = [np.arange(widths[0]), *inner, np.arange(widths[-1])]
    filled = []
    for i, layer in enumerate(net.layers):
        name = "out" if i + 1 == len(net.layers) else f"{i}"
        weight = p[f"{name}.weight"]
        if i == 0 and context:
            weight = jnp.concatenate([weight, p["context.weight"]])
        rows, columns = (np.argsort(place) for place in places[i : i + 2])
        values = weight[rows][:, columns].T, p[f"{name}.bias"][columns]
        filled.append(eqx.tree_at(lambda part: (part.weight.args[1], part.bias), layer, values))
    return Residual(tuple(filled))


# the transforms, from data to base ---------------------------------------------------------------------------------


def context_of(p):
    return p["context.weight"].shape[0] if "context.weight" in p else 0


def autoregressive(p, kind, turned):
    dim, depth = p["0.weight"].shape[0], sum(path[0].isdigit() for path in p) // 2
    if turned:  # flowjax knows one order: turn the dimensions round, before and after, and their weights with them
        p = p | {"0.weight": p["0.weight"][::-1]}
        for path in ("out.weight", "out.bias"):
            each = p[path].reshape(*p[path].shape[:-1], dim, -1)
            p[path] = each[..., ::-1, :].reshape(p[path].shape)
    transform = fb.MaskedAutoregressive(
        jax.random.key(0), transformer=kind(jnp.zeros(len(p["out.bias"]) // dim)), dim=dim, cond_dim=context_of(p) or None,
        nn_width=len(p["0.bias"]), nn_depth=depth,
    )  # fmt: skip
    net = fill_masked(transform.masked_autoregressive_mlp, p)
    transform = eqx.tree_at(lambda t: t.masked_autoregressive_mlp, transform, net)
    return [fb.Flip((dim,)), transform, fb.Flip((dim,))] if turned else [transform]


def coupling(p, kind, outputs, swap):
    kept, changed = p["in.weight"].shape[0], len(p["out.bias"]) // outputs
    dim = kept + changed
    transform = fb.Coupling(
        jax.random.key(0), transformer=kind(jnp.zeros(outputs)), untransformed_dim=kept, dim=dim,
        cond_dim=context_of(p) or None, nn_width=1, nn_depth=1,
    )  # fmt: skip
    transform = eqx.tree_at(lambda t: t.conditioner, transform, ResidualMLP(p))
    stays = (np.arange(dim) % 2 == 0) ^ swap
    turn = fb.Permute(jnp.asarray(np.argsort(~stays, stable=True)))  # what stays comes first
    return [turn, transform, fb.Invert(turn)]


def linear(p):
    """L U x + shift undone: a triangular map after the other."""
    dim = len(p["shift"])

    def triangular(shift, matrix, lower):
        empty = fb.TriangularAffine(shift, jnp.eye(dim), lower=lower)
        return fb.Invert(put(lambda t: t.triangular, empty, matrix))

    upper = jnp.triu(p["matrix"], 1) + jnp.diag(jnp.exp(jnp.diag(p["matrix"])))
    return [
        triangular(p["shift"], jnp.tril(p["matrix"], -1) + jnp.eye(dim), True),
        triangular(jnp.zeros(dim), upper, False),
    ]


def scaling(p):
    return [fb.Invert(fb.Affine(p["shift"], jnp.exp(p["log_scale"])))]


def inverted(transforms):
    return [fb.Invert(transform) for transform in reversed(transforms)]


def part(params, i):
    return {path.removeprefix(f"{i}."): value for path, value in params.items() if path.startswith(f"{i}.")}


def layers(params, kinds):
    """A flow's transforms from data to base; `kinds` are functions of parameters, from base to data."""
    return [step for i, kind in reversed(list(enumerate(kinds))) for step in kind(part(params, i))]


def with_linear(kind, n):
    return [each for i in range(n) for each in (lambda p, i=i: kind(p, bool(i % 2)), linear)]


FLOWS = {
    "maf": with_linear(lambda p, turned: autoregressive(p, BoundedAffine, turned), 2),
    "nsf_autoregressive": with_linear(lambda p, turned: autoregressive(p, Spline, turned), 2),
    "iaf": with_linear(lambda p, turned: inverted(autoregressive(p, BoundedAffine, turned)), 2),
    "nice": [*(lambda p, i=i: coupling(p, Shift, 1, bool(i)) for i in range(2)), scaling],
    "realnvp": with_linear(lambda p, swap: coupling(p, BoundedAffine, 2, swap), 3),
    "nsf": with_linear(lambda p, swap: coupling(p, Spline, 3 * 4 - 1, swap), 2),
}


@partial(jax.jit, static_argnums=0)
def answer(name, params, x, z, context=None):
    to_base = fb.Chain(layers(params, FLOWS[name]))
    p = Transformed(StandardNormal(x.shape[1:]), fb.Invert(to_base))
    draw = jax.vmap(p.bijection.transform, (0, None if context is None else 0))
    return {"log_prob": p.log_prob(x, context), "draw": draw(z, context)}


if __name__ == "__main__":
    cases = {}
    for key, value in np.load(sys.argv[1]).items():
        case, kind, entry = key.split("/")
        cases.setdefault(case, {"params": {}, "inputs": {}})[kind][entry] = value
    results = {
        f"{case}/{what}": np.asarray(value)
        for case, given in cases.items()
        for what, value in answer(case, given["params"], **given["inputs"]).items()
    }
    np.savez(sys.argv[2], **results)
