"""Log-likelihoods by annealed importance sampling; and from both sides, on data whose latent sites are known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ppgen import ops
from ppgen.backends.protocol import REAL
from ppgen.errors import NoLikelihoodError
from ppgen.evaluation.inputs import described, needs_densities, prepare
from ppgen.evaluation.kept import once
from ppgen.evaluation.learned import Learned
from ppgen.evaluation.psis import khat
from ppgen.evaluation.result import Evaluation
from ppgen.evaluation.simulated import as_data, resized, simulate
from ppgen.evaluation.weights import ROWS, SCALARS, Running, breadth, device, even
from ppgen.inference.algorithm import positive
from ppgen.inference.requirements import a_latent_to_sample, local_latents, sampled_or_summed_out
from ppgen.inference.smc.annealing import Path, anneal
from ppgen.inference.smc.moves import MOVES
from ppgen.inference.target import RowTarget
from ppgen.problem.batch import Batch, rows_of
from ppgen.problem.problem import Problem

ENOUGH_FOR_KHAT = 25
OWN_NOISE = 0xA15  # folded into the seed's key: rows simulated from one seed share no noise with their annealing


def annealed(
    fit: Learned,
    data: Mapping[str, Any],
    *,
    particles: int = 16,
    temperatures: int = 500,
    batch_size: int | None = None,
    seed: int = 0,
    quantization: int | None = None,
) -> Evaluation:
    r"""Log-likelihood of each row by annealed importance sampling with Hamiltonian moves (Neal, 2001; Wu et al., 2017).

    .. math::
        z_0 \sim p(z), \quad z_t \sim T_t(\cdot | z_{t-1}), \qquad
        w = \prod_t p(x | z_{t-1})^{\beta_t - \beta_{t-1}}, \qquad \log \frac1K \sum_k w_k

    where :math:`T_t` leaves :math:`p(z) p(x | z)^{\beta_t}` as it is. The mean weight is p(x), so that the log of a mean is a
    lower bound in expectation. It is tight with many temperatures, also where the guide's bound is loose, and needs no guide:
    it judges a GAN's model, too. Step sizes, one a temperature and row, are found by a first run with particles of its own,
    and stay as they are in the second, whose weights they therefore leave unbiased.

    Args:
        fit: what was learned; its model counts.
        data: arrays by name.
        particles: annealed particles K per row.
        temperatures: moves of each particle, from the prior to the posterior.
        batch_size: rows computed at once, at most.
        seed: seed of particles and moves.
        quantization: levels of dequantised data, see `ppgen.evaluation.likelihood`.

    Raises:
        DataError: data that do not belong to the programs.
        NoLikelihoodError: nothing continuous is latent; a latent site that all rows share, or that can neither be moved nor
            summed out.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen import dist, plate, sample
        >>> def model(rows):
        ...     with plate("data", rows):
        ...         z = sample("z", dist.Normal(0.0, 1.0))
        ...         sample("x", dist.Normal(z, 1.0))
        >>> data = {"x": np.array([1.0, -2.0], np.float32)}
        >>> fit = ppgen.fit(model, ppgen.guides.MeanField(), data=data, steps=1)
        >>> found = annealed(fit, data, particles=20, temperatures=50)
        >>> exact = -0.5 * np.log(4 * np.pi) - data["x"] ** 2 / 4  # x ~ N(0, 2)
        >>> found.kind, bool(abs(found.per_row - exact).max() < 0.2)
        ('lower bound', True)
    """
    problem, arrays = prepare(fit.problem, data)
    return _Annealer(
        problem, fit.state.parameters, particles, temperatures, batch_size, seed, quantization
    ).evaluations(arrays)[0]


@dataclass(frozen=True)
class Sandwich:
    """The log-likelihood of simulated rows from both sides; the truth lies between the two, within their errors.

    Attributes:
        lower: by annealing from the prior to the posterior.
        upper: by annealing from the posterior, of which the latent sites that the rows came from are a draw, to the prior.
        data: the simulated rows, for other estimators: `fit.evaluate(sandwich.data)`.
    """

    lower: Evaluation
    upper: Evaluation
    data: dict[str, np.ndarray]

    @property
    def gap(self) -> float:
        """Nats per row between the two bounds: how far the lower one is from the truth, at most."""
        return self.upper.nats - self.lower.nats


def sandwich(
    fit: Learned,
    rows: int | None = None,
    *,
    particles: int = 16,
    temperatures: int = 500,
    batch_size: int | None = None,
    seed: int = 0,
) -> Sandwich:
    r"""Bidirectional annealing (Grosse et al., 2015): how far `annealed` is from the truth, on rows that the model simulates.

    .. math:: E \log \hat p(x) \le \log p(x) \le -E \log \widehat{1 / p}(x)

    A row that was simulated comes with an exact draw of its posterior, the latent sites that it was made from. Annealed from
    there back to the prior, the mean weight is 1 / p(x). The gap between both says how good the temperatures are for rows as
    the model makes them; real rows may be harder.

    Args:
        fit: what was learned; its model counts.
        rows: number of rows to simulate; by default as many as the first batch had. Covariates are those of that batch.
        particles: annealed particles per row, each way.
        temperatures: moves of each particle.
        batch_size: rows computed at once, at most.
        seed: seed of rows, particles and moves.

    Raises:
        NoLikelihoodError: see `annealed`.
    """
    arrays = resized(fit.problem, rows)
    problem = fit.problem.observing([name for name in arrays if name in fit.problem.data])
    annealer = _Annealer(problem, fit.state.parameters, particles, temperatures, batch_size, seed, None)
    drawn = simulate(problem, fit.state.parameters, arrays, 1, seed=seed)
    data = problem.host(as_data(problem, drawn, arrays, 0))
    truth = {name: value for name, value in drawn.items() if name.startswith(REAL)}
    lower, upper = annealer.evaluations(data, truth)
    return Sandwich(lower, upper, data)


class _Annealer:
    """Anneals the particles of some rows at a time."""

    def __init__(
        self, problem: Problem, parameters: Mapping[str, Any], particles: int, temperatures: int,
        batch_size: int | None, seed: int, quantization: int | None,
    ) -> None:  # fmt: skip
        positive("particles", particles, "annealed")
        positive("temperatures", temperatures, "annealed")
        if batch_size is not None:
            positive("batch_size", batch_size, "annealed")
        needs_densities(problem)
        for needed, advice in (
            (a_latent_to_sample, "fit.evaluate finds the likelihood exactly, or says why not"),
            (local_latents, "ppgen.SMC finds the evidence of all rows together"),
            (sampled_or_summed_out, "Use fit.evaluate with a guide"),
        ):
            if reason := needed(problem):
                raise NoLikelihoodError(f"annealing moves the continuous latent sites of each row: {reason}. {advice}.")
        self.problem, self.parameters, self.particles = problem, parameters, particles
        self.path, self.batch_size, self.quantization = Path.up(temperatures), batch_size, quantization
        self.key = problem.backend.fold_in(problem.backend.key(seed), OWN_NOISE)

    def evaluations(
        self, arrays: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray] | None = None
    ) -> list[Evaluation]:
        """The lower bound; and the upper one, where the unconstrained values of the latent sites are known [1, rows, ...]."""
        problem, rows = self.problem, rows_of(arrays)
        width = even(rows, self.batch_size or max(1, min(ROWS, SCALARS // (self.particles * breadth(problem)))))
        true_u = None if truth is None else self._laid_out(arrays, truth)
        weights, rates = [], []
        for start in range(0, rows, width):
            some = slice(start, min(start + width, rows))
            key = problem.backend.fold_in(self.key, start)
            found, rate = self._chunk(device(problem, arrays, some, width), width, key, _padded(true_u, some, width))
            weights.append([log_weight[:, : some.stop - start] for log_weight in found])
            rates.append(rate)
        about = described(problem, arrays, self.quantization)
        rate = f"acceptance rate {np.mean(rates):.2f}"
        about |= {"particles": self.particles, "note": "; ".join(filter(None, [about["note"], rate]))}
        kinds = ("lower bound", "upper bound")
        return [
            self._evaluation(np.concatenate(parts, 1), kind, about)
            for kind, parts in zip(kinds, zip(*weights, strict=True), strict=False)
        ]

    def _evaluation(self, log_weights: np.ndarray, kind: str, about: dict[str, Any]) -> Evaluation:
        """What log weights [particles, rows] say: means are p(x) of the way up, and 1 / p(x) of the way down."""
        running = Running()
        running.add(log_weights)
        up, moves = kind == "lower bound", len(self.path.temperature)
        return Evaluation.of_rows(
            running.log_mean if up else -running.log_mean,
            kind=kind,
            estimator=f"annealed importance sampling, {moves} temperatures, from the {'prior' if up else 'posterior'}",
            khat=khat(log_weights) if self.particles >= ENOUGH_FOR_KHAT else None,
            ess=float(running.ess.mean()),
            **about,
        )

    def _chunk(self, batch: dict[str, Any], rows: int, key: Any, true_u: Any) -> tuple[list[np.ndarray], float]:
        """Log weights [particles, rows] of each direction, and the acceptance rate."""
        backend, moves = self.problem.backend, len(self.path.temperature)
        keys = [backend.fold_in(key, i) for i in range(5)]
        u = self._begin(batch, keys[0])
        spread = backend.numpy(u).std((0, 1))
        scale = backend.array(np.where(spread > 0, spread, 1).astype(spread.dtype))
        first = np.full((moves, rows), MOVES["hmc"].first(u.shape[-1]), spread.dtype)
        _, steps, _ = self._anneal(batch, u, self.path, scale, backend.array(first), True, keys[1])
        log_weight, _, rates = self._anneal(batch, self._begin(batch, keys[2]), self.path, scale, steps, False, keys[3])
        found = [log_weight]
        if true_u is not None:
            u = backend.array(np.repeat(true_u, self.particles, 0))
            back = backend.array(backend.numpy(steps)[::-1].copy())
            found.append(self._anneal(batch, u, self.path.down, scale, back, False, keys[4])[0])
        return [backend.numpy(x).astype(np.float64) for x in found], float(backend.numpy(rates).mean())

    def _begin(self, batch: dict[str, Any], key: Any) -> Any:
        """Draws from the prior, u [particles, rows, width]."""

        def begin(parameters: Any, batch: Any, key: Any) -> Any:
            return self._target(parameters, batch, key).draw(self.particles)

        return once(self.problem, ("prior", self.particles), self._active(begin))(self.parameters, batch, key)

    def _anneal(self, batch: Any, u: Any, path: Path, scale: Any, steps: Any, adapt: bool, key: Any) -> Any:
        """See `ppgen.inference.smc.annealing.anneal`."""
        array = self.problem.backend.array

        def run(parameters: Any, batch: Any, u: Any, path: Path, scale: Any, steps: Any, adapt: Any, key: Any) -> Any:
            return anneal(self._target(parameters, batch, key), u, path, scale, steps, adapt, key)

        path, run = jax.tree.map(array, path), once(self.problem, "anneal", self._active(run))
        return run(self.parameters, batch, u, path, scale, steps, array(np.array(adapt)), key)

    def _active(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        def active(*args: Any) -> Any:
            with ops.activate(self.problem.backend):
                return fn(*args)

        return active

    def _target(self, parameters: Any, batch: Mapping[str, Any], key: Any) -> RowTarget:
        return RowTarget(self.problem.joints(parameters, key)["model"], Batch.of_data(batch))

    def _laid_out(self, arrays: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> np.ndarray:
        """Unconstrained values of the latent sites as u, [1, rows, width]."""
        problem, backend = self.problem, self.problem.backend
        reals = {name: backend.array(value) for name, value in truth.items()}
        with ops.activate(backend):
            target = self._target(self.parameters, problem.device(arrays), backend.key(0))
            return backend.numpy(target.flat(Batch(reals, drawn=reals)))


def _padded(u: np.ndarray | None, some: slice, width: int) -> np.ndarray | None:
    """Some rows of u, filled up with the last one."""
    return None if u is None else u[:, np.minimum(np.arange(some.start, some.start + width), some.stop - 1)]
