"""The tables that every contract test runs over: a distribution or a transform is tested by being listed here."""

from collections.abc import Callable

from ppgen.distributions import flows
from ppgen.distributions.autoregressive import (
    FVSBN,
    MADE,
    NADE,
    RNADE,
    DeepNADE,
    MarkovChain,
    OrderEnsemble,
    Recurrent,
    conditionals,
)
from ppgen.distributions.bases import StandardNormal, StandardUniform
from ppgen.distributions.empirical import Empirical
from ppgen.distributions.flows import Affine, AutoregressiveTransform, Flow, Inverse, Shift, Transform
from ppgen.distributions.hidden_markov import HiddenMarkov
from ppgen.distributions.implicit import Implicit
from ppgen.distributions.infinite_mixture import InfiniteMixture
from ppgen.distributions.learnable import Learnable
from ppgen.distributions.mixtures import GaussianMixture, Mixture

DISTRIBUTIONS: dict[str, Callable[[], Learnable]] = {
    # autoregressive
    "made": lambda: MADE(5, hidden=(16,)),
    "made_deep": lambda: MADE(5, hidden=(12, 12), order=(3, 1, 4, 0, 2), residual=True, direct=True, seed=1),
    "made_conditional": lambda: MADE(4, hidden=(16,), context=3),
    "made_categorical": lambda: MADE(3, hidden=(12,), conditional=conditionals.Categorical(3)),
    "made_gaussian": lambda: MADE(4, hidden=(12,), conditional=conditionals.Gaussian(), context=2),
    "recurrent_gru": lambda: Recurrent(4, hidden=8),
    "recurrent_lstm": lambda: Recurrent(3, hidden=6, cell="lstm", conditional=conditionals.Categorical(3), context=2),
    "made_logistics": lambda: MADE(3, hidden=(8,), conditional=conditionals.MixtureOfLogistics(2)),
    "made_levels": lambda: MADE(3, hidden=(8,), conditional=conditionals.DiscretisedLogistics(2, 5), context=2),
    "fvsbn": lambda: FVSBN(4, order=(2, 0, 3, 1)),
    "fvsbn_categorical": lambda: FVSBN(3, conditional=conditionals.Categorical(3), context=2),
    "nade": lambda: NADE(9, hidden=6),
    "nade_conditional": lambda: NADE(3, 5, conditionals.Categorical(3), context=2, order=(1, 2, 0), activation="relu"),
    "rnade": lambda: RNADE(4, hidden=6, conditional=conditionals.MixtureOfGaussians(2), order=(2, 3, 0, 1)),
    "rnade_gaussian": lambda: RNADE(3, hidden=6, conditional=conditionals.Gaussian(), context=2),
    "deep_nade": lambda: DeepNADE(9, hidden=(6, 5), order=(8, 1, 2, 3, 4, 5, 6, 7, 0)),
    "deep_nade_categorical": lambda: DeepNADE(3, (6,), conditionals.Categorical(3), context=2, activation="tanh"),
    "deep_nade_gaussian": lambda: DeepNADE(3, (6, 5, 4), conditionals.Gaussian(), context=2, order=(1, 2, 0)),
    "order_ensemble": lambda: OrderEnsemble(DeepNADE(4, hidden=(6, 5)), orders=3),
    "order_ensemble_of_made": lambda: OrderEnsemble(
        MADE(3, hidden=(8,), conditional=conditionals.MixtureOfLogistics(2), seed=1), ((0, 1, 2), (2, 0, 1))
    ),
    "order_ensemble_picked": lambda: OrderEnsemble(
        NADE(3, 5, conditionals.Categorical(3), context=2), orders=3, pick=True
    ),
    "markov_chain": lambda: MarkovChain(5, classes=3),
    "markov_chain_second": lambda: MarkovChain(4, classes=2, order=2, context=3),
    "markov_chain_short": lambda: MarkovChain(2, classes=2, order=3),
    # flows
    "flow_autoregressive": lambda: Flow(
        StandardNormal(4), (AutoregressiveTransform(4, hidden=(16, 16), context=3), Inverse(AutoregressiveTransform(4)))
    ),
    # mixtures and hidden states
    "mixture": lambda: Mixture((MADE(3, hidden=(6,), context=2), Recurrent(3, hidden=4)), context=2),
    "mixture_continuous": lambda: Mixture((GaussianMixture(2, 2), StandardNormal(2))),
    "gaussian_mixture": lambda: GaussianMixture(2, 3, context=2),
    "gaussian_mixture_full": lambda: GaussianMixture(3, 2, covariance="full", context=2),
    "gaussian_mixture_one": lambda: GaussianMixture(1, 2, covariance="full"),
    "hidden_markov": lambda: HiddenMarkov(5, states=3),
    "hidden_markov_bits": lambda: HiddenMarkov(3, states=2, emission=conditionals.Bernoulli(), features=2),
    "hidden_markov_categorical": lambda: HiddenMarkov(4, states=2, emission=conditionals.Categorical(3)),
    "nice": lambda: flows.NICE(3, transforms=2, hidden=(8,)),
    "realnvp": lambda: flows.RealNVP(2, transforms=2, hidden=(8,)),
    "realnvp_conditional": lambda: flows.RealNVP(3, transforms=2, hidden=(8, 8), context=2),
    "maf": lambda: flows.MAF(3, transforms=2, hidden=(8, 8), context=2),
    "maf_one": lambda: flows.MAF(1, transforms=2, hidden=(8,)),
    "iaf": lambda: flows.IAF(3, transforms=2, hidden=(8,)),
    "nsf": lambda: flows.NSF(3, transforms=2, hidden=(8,), context=2, bins=4),
    "nsf_autoregressive": lambda: flows.NSF(2, transforms=2, hidden=(8,), bins=4, autoregressive=True),
    "nsf_one": lambda: flows.NSF(1, transforms=1, hidden=(8,), context=2, bins=4),
    "flow_in_an_interval": lambda: Flow(StandardUniform(1), (flows.AffineConstant(1.0, 2.0),)),
    "flow_positive": lambda: Flow(StandardNormal(2), (flows.LU(2), flows.Softplus())),
    "flow_in_a_cube": lambda: Flow(
        StandardNormal(2), (flows.Coupling(2, hidden=(8,), context=2), flows.Sigmoid(), flows.AffineConstant(-1.0, 3.0))
    ),
    "glow": lambda: flows.Glow((1, 4, 4), levels=2, steps=2, hidden=(4,)),
    "glow_pixels": lambda: Flow(flows.Glow((1, 2, 2), 1, 1, (4,), context=2), (flows.Logit(),)),
    "realnvp_images": lambda: flows.ImageRealNVP((1, 4, 4), levels=2, steps=1, hidden=(4,), context=2),
    "flow_of_two_channels": lambda: Flow(
        StandardNormal(2, 1, 1), (flows.ChannelCoupling(2, hidden=(4,)), flows.Pixelwise(flows.LU(2)))
    ),
    # the rows at hand
    "empirical": lambda: Empirical([[0, 1], [1, 1], [0, 1]], support="boolean"),
    # bases
    "standard_normal": lambda: StandardNormal(3),
    "standard_uniform": lambda: StandardUniform(2),
}
"""Learnable distributions by name, each small enough to run through every test."""

IMPLICIT: dict[str, Callable[[], Learnable]] = {
    "implicit": lambda: Implicit((3,), noise=2, hidden=(8, 8)),
    "implicit_conditional": lambda: Implicit((2,), noise=3, hidden=(8,), support="positive", context=2),
    "implicit_image": lambda: Implicit((1, 2, 2), noise=3, hidden=(6,), support="unit_interval", activation="tanh"),
    "implicit_linear": lambda: Implicit((2,), noise=1, hidden=(), support=(-1.0, 2.0)),
    "infinite_mixture": lambda: InfiniteMixture(
        GaussianMixture(2, 3, context=3), MADE(3, hidden=(8,), conditional=conditionals.Gaussian(), context=2)
    ),
    "infinite_mixture_of_networks": lambda: InfiniteMixture(
        Implicit((2,), noise=2, hidden=(6,), context=3), Implicit((3,), noise=1, hidden=(6,), context=2)
    ),
    "flow_of_implicit": lambda: Flow(Implicit((2,), noise=2, hidden=(6,)), (flows.LU(2), flows.Exp())),
    "mixture_with_implicit": lambda: Mixture((Implicit((2,), noise=2, hidden=(6,)), StandardNormal(2))),
}
"""Learnable distributions without a density, which have contract tests of their own."""

TRANSFORMS: dict[str, tuple[Callable[[], Transform], tuple[int, ...]]] = {
    "coupling": (lambda: flows.Coupling(3, Affine(), hidden=(8, 8), context=2), (3,)),
    "coupling_shift": (lambda: flows.Coupling(4, Shift(), hidden=(8,), mask=(True, False, False, True)), (4,)),
    "coupling_spline": (
        lambda: flows.Coupling(3, flows.RationalQuadraticSpline(5, 2.0), hidden=(8,), swap=True),
        (3,),
    ),
    "autoregressive_spline": (
        lambda: AutoregressiveTransform(2, flows.RationalQuadraticSpline(4), hidden=(8,), context=2),
        (2,),
    ),
    "lu": (lambda: flows.LU(3), (3,)),
    "lu_one": (lambda: flows.LU(1), (1,)),
    "actnorm": (lambda: flows.ActNorm(3), (3,)),
    "permutation": (lambda: flows.Permutation((2, 0, 1)), (3,)),
    "affine_constant": (lambda: flows.AffineConstant((1.0, -2.0), (0.5, -3.0)), (2,)),
    "exp": (lambda: flows.Exp(), (2,)),
    "softplus": (lambda: flows.Softplus(rank=2), (2, 2)),
    "sigmoid": (lambda: flows.Sigmoid(), (2,)),
    "tanh": (lambda: flows.Tanh(), (2,)),
    "compose": (lambda: flows.Compose((flows.LU(2), flows.Coupling(2, hidden=(8,), context=2), flows.Exp())), (2,)),
    "autoregressive_affine": (lambda: AutoregressiveTransform(4, Affine(), hidden=(16,), context=2), (4,)),
    "autoregressive_shift": (lambda: AutoregressiveTransform(3, Shift(), hidden=(8,), order=(2, 0, 1)), (3,)),
    "inverse_autoregressive": (lambda: Inverse(AutoregressiveTransform(3, hidden=(8,))), (3,)),
    "squeeze": (flows.Squeeze, (2, 4, 2)),
    "channel_coupling": (lambda: flows.ChannelCoupling(3, hidden=(4, 4), context=2), (3, 2, 2)),
    "channel_coupling_spline": (
        lambda: flows.ChannelCoupling(2, flows.RationalQuadraticSpline(4), hidden=(4,), swap=True),
        (2, 2, 3),
    ),
    "checkerboard_coupling": (lambda: flows.CheckerboardCoupling(1, hidden=(4,), context=2), (1, 3, 4)),
    "checkerboard_coupling_shift": (lambda: flows.CheckerboardCoupling(2, Shift(), hidden=(4,), swap=True), (2, 2, 2)),
    "pixelwise": (lambda: flows.Pixelwise(flows.Compose((flows.Reverse(2), flows.LU(2), flows.ActNorm(2)))), (2, 2, 3)),
    "repeat": (lambda: flows.Repeat(3, flows.Coupling(3, hidden=(4,), context=2)), (3,)),
    "logit": (lambda: flows.Logit(0.1), (1, 2, 2)),
}
"""Transforms by name, each with the event shape that it acts on."""
