"""Log densities and draws by zuko at ppgen's parameters: `python run_zuko.py inputs.npz results.npz`.

zuko turns argument checks off for its whole process, so it has one of its own. What is zuko's here: the masked and plain
layers and their masks, autoregressive and coupling transforms with their inverses, affine maps, splines, LU and the
composition of a flow. What is not: zuko squashes the numbers that a network gives its affine maps and splines in its own
way, so they are put in such that scales, bins and slopes come out as ppgen's are defined; and layers are strung together
with the residual connections that ppgen's networks have.
"""

import math
import sys

import numpy as np
import torch
import zuko
from zuko.flows.autoregressive import MaskedAutoregressiveTransform
from zuko.flows.coupling import GeneralCouplingTransform
from zuko.lazy import Flow, UnconditionalDistribution, UnconditionalTransform
from zuko.nn import Linear, MaskedLinear, MaskedMLP, Residual
from zuko.transforms import (
    AdditiveTransform,
    DependentTransform,
    LULinearTransform,
    MonotonicAffineTransform,
    MonotonicRQSTransform,
)

RELU, STEEPEST = torch.nn.ReLU(), 1e-9
SMALLEST = 1e-3  # of ppgen's splines: size of a bin as a share of the interval, and slope at a knot


# the elementwise maps, from data to base: they take what ppgen's networks give ------------------------------------


def unsquashed(value, slope, share=1):
    """What zuko turns into `value`: it squashes a to a / (1 + |share a / log slope|)."""
    return value / (1 - (share * value / math.log(slope)).abs())


def affine(shift, log_scale):
    """(y - shift) e^-log_scale."""
    return MonotonicAffineTransform(-shift * torch.exp(-log_scale), unsquashed(-log_scale, STEEPEST), slope=STEEPEST)


def bounded_affine(theta):
    return MonotonicAffineTransform(theta[..., 0], theta[..., 1], slope=math.exp(-2))


def shifted(theta):
    return AdditiveTransform(theta[..., 0])


def spline(theta):
    bins = (theta.shape[-1] + 1) // 3
    widths, heights, slopes = theta.split((bins, bins, bins - 1), -1)

    def logits(numbers):
        shares = torch.log(SMALLEST + (1 - SMALLEST * bins) * torch.softmax(numbers, -1))
        return unsquashed(shares - shares.mean(-1, keepdim=True), STEEPEST, share=2)

    slopes = SMALLEST + torch.nn.functional.softplus(slopes + math.log(math.expm1(1 - SMALLEST)))
    slopes = unsquashed(torch.log(slopes), STEEPEST)
    return MonotonicRQSTransform(logits(widths), logits(heights), slopes, bound=5.0, slope=STEEPEST)


# the networks ------------------------------------------------------------------------------------------------------


def fill(layer, weight, bias):
    """Give a linear layer ppgen's weight [inputs, outputs] and its bias."""
    with torch.no_grad():
        assert layer.weight.shape == weight.T.shape
        layer.weight.copy_(weight.T)
        layer.bias.copy_(bias)
    return layer


def fill_masked(net, p, residual):
    """Give a `MaskedMLP` ppgen's weights; both have the same degrees, ppgen sorted, zuko in turn."""
    layers = [layer for layer in net if isinstance(layer, MaskedLinear)]
    places = [layer.mask.sum(1).argsort(stable=True) for layer in layers[:-1]]
    places.append(torch.arange(layers[-1].out_features))
    source = torch.arange(layers[0].in_features)
    for i, (layer, place) in enumerate(zip(layers, places, strict=True)):
        name = f"{i}" if i + 1 < len(layers) else "out"
        weight = p[f"{name}.weight"]
        if i == 0 and "context.weight" in p:
            weight = torch.cat([weight, p["context.weight"]])
        found, bias = torch.zeros_like(weight), torch.zeros_like(p[f"{name}.bias"])
        found[source[:, None], place] = weight
        bias[place] = p[f"{name}.bias"]
        fill(layer, found, bias)
        source = place
    first, *inner, last = layers
    together = Residual if residual else torch.nn.Sequential
    return torch.nn.Sequential(first, *(together(RELU, layer) for layer in inner), RELU, last)


def residual_network(p):
    """`ppgen.nn.ResidualMLP` of zuko's layers."""

    def layer(name, weight=None):
        weight = p[f"{name}.weight"] if weight is None else weight
        return fill(Linear(*weight.shape), weight, p[f"{name}.bias"])

    first = torch.cat([p["in.weight"], *([p["context.weight"]] if "context.weight" in p else [])])
    blocks = [
        Residual(RELU, layer(f"{i}"), RELU, layer(f"{i}.back")) for i in range(sum(".back.w" in path for path in p))
    ]
    return torch.nn.Sequential(layer("in", first), *blocks, RELU, layer("out"))


# the transforms, from data to base ---------------------------------------------------------------------------------


def context_of(p):
    return p["context.weight"].shape[0] if "context.weight" in p else 0


def autoregressive(p, univariate, order=None, residual=True):
    hidden = [p[f"{i}.bias"].shape[0] for i in range(sum(path[0].isdigit() for path in p) // 2)]
    context, dim = context_of(p), p["0.weight"].shape[0]
    outputs = p["out.bias"].shape[0] // dim
    ranks = torch.arange(dim) if order is None else torch.tensor(order).argsort()
    transform = MaskedAutoregressiveTransform(
        dim, context, order=ranks, univariate=univariate, shapes=[(outputs,)], hidden_features=hidden
    )
    transform.hyper = fill_masked(transform.hyper, p, residual)
    return [transform]


def coupling(p, univariate, outputs, swap):
    kept, changed = p["in.weight"].shape[0], p["out.bias"].shape[0] // outputs
    mask = torch.arange(kept + changed) % 2 == 0
    transform = GeneralCouplingTransform(
        kept + changed, context_of(p), mask ^ swap, univariate=univariate, shapes=[(outputs,)], hidden_features=[1]
    )
    transform.hyper = residual_network(p)
    return [transform]


def linear(p):
    """ppgen has the scales on the diagonal of U, zuko on that of L."""
    scales = torch.exp(p["matrix"].diagonal())
    lower = torch.tril(p["matrix"], -1) * scales + torch.diag(scales)
    both = lower + torch.triu(p["matrix"], 1) / scales[:, None]
    away = UnconditionalTransform(lambda shift: DependentTransform(AdditiveTransform(shift), 1), -p["shift"])
    return [away, UnconditionalTransform(LULinearTransform, both).inv]


def scaling(p):
    return [UnconditionalTransform(lambda *a: DependentTransform(affine(*a), 1), p["shift"], p["log_scale"])]


def inverted(transforms):
    return [transform.inv for transform in reversed(transforms)]


def part(params, i):
    return {path.removeprefix(f"{i}."): value for path, value in params.items() if path.startswith(f"{i}.")}


def layers(params, kinds):
    """A flow's transforms from data to base; `kinds` are functions of parameters, from base to data."""
    return [step for i, kind in reversed(list(enumerate(kinds))) for step in kind(part(params, i))]


def with_linear(kind, n):
    return [each for i in range(n) for each in (lambda p, i=i: kind(p, i), linear)]


def back(p, i):
    """Every other autoregressive layer goes in reverse order."""
    return range(p["0.weight"].shape[0])[:: -1 if i % 2 else 1]


FLOWS = {
    "maf": with_linear(lambda p, i: autoregressive(p, bounded_affine, back(p, i)), 2),
    "maf_of_any_order": [lambda p: autoregressive(p, bounded_affine, (3, 1, 4, 0, 2), residual=False)],
    "nsf_autoregressive": with_linear(lambda p, i: autoregressive(p, spline, back(p, i)), 2),
    "iaf": with_linear(lambda p, i: inverted(autoregressive(p, bounded_affine, back(p, i))), 2),
    "nice": [*(lambda p, i=i: coupling(p, shifted, 1, bool(i)) for i in range(2)), scaling],
    "realnvp": with_linear(lambda p, i: coupling(p, bounded_affine, 2, bool(i % 2)), 3),
    "nsf": with_linear(lambda p, i: coupling(p, spline, 3 * 4 - 1, bool(i % 2)), 2),
}


# what is asked -----------------------------------------------------------------------------------------------------


def flow(name, params, x, z, context=None):
    dim = x.shape[-1]
    base = UnconditionalDistribution(zuko.distributions.DiagNormal, torch.zeros(dim), torch.ones(dim))
    p = Flow(layers(params, FLOWS[name]), base)(context)
    return {"log_prob": p.log_prob(x), "draw": p.transform.inv(z)}


def made(params, x, u):
    """A masked autoencoder of bits: zuko's network, dimension by dimension to draw."""
    order = torch.tensor((3, 1, 4, 0, 2))
    ranks = order.argsort()
    net = fill_masked(MaskedMLP(ranks[:, None] > ranks, [8, 8]), params, residual=False)
    draw = torch.zeros_like(u)
    for i in order:
        draw[..., i] = (u < torch.sigmoid(net(draw)))[..., i].to(u)
    return {"log_prob": torch.distributions.Bernoulli(logits=net(x)).log_prob(x).sum(-1), "draw": draw}


def mixture(covariance, params, x, context):
    """zuko's mixture density network with one linear layer."""
    names = ("logits", "loc", "log_scale", "below")[: 4 if covariance == "full" else 3]
    p = zuko.mixtures.GMM(
        x.shape[-1], context.shape[-1], params["logits"].shape[0], covariance, epsilon=0.0, hidden_features=()
    )
    weight = torch.cat([params[f"{name}.context"] for name in names], -1)
    fill(p.hyper[0], weight, torch.cat([params[name].flatten() for name in names]))
    return {"log_prob": p(context).log_prob(x)}


def answer(name, params, inputs):
    if name == "made":
        return made(params, **inputs)
    if name.startswith("gaussian_mixture"):
        return mixture("full" if name.endswith("full") else "diagonal", params, **inputs)
    return flow(name, params, **inputs)


if __name__ == "__main__":
    cases = {}
    for key, value in np.load(sys.argv[1]).items():
        case, kind, entry = key.split("/")
        cases.setdefault(case, {"params": {}, "inputs": {}})[kind][entry] = torch.from_numpy(value)
    with torch.no_grad():
        results = {
            f"{case}/{what}": value.numpy()
            for case, given in cases.items()
            for what, value in answer(case, given["params"], given["inputs"]).items()
        }
    np.savez(sys.argv[2], **results)
