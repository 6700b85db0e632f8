"""How probable data are: log p(x), exact where that is possible, bounded or estimated with a guide where it is not."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ppgen.errors import NoLikelihoodError
from ppgen.evaluation.enumerated import Table
from ppgen.evaluation.inputs import described, guide_of, is_enumerated, needs_densities, prepare, rows_apart
from ppgen.evaluation.psis import khat as psis_khat
from ppgen.evaluation.result import Evaluation
from ppgen.evaluation.weights import ROWS, Chunks, Running
from ppgen.inference.algorithm import positive
from ppgen.problem.problem import Problem

KHAT_ROWS = 500  # rows whose weights are kept for k-hat
KHAT_WEIGHTS = 20_000_000  # weights kept, at most


def likelihood(
    problem: Problem,
    parameters: Mapping[str, Any],
    arrays: Mapping[str, Any],
    *,
    particles: int = 1000,
    batch_size: int | None = None,
    seed: int = 0,
    khat: bool = True,
    quantization: int | None = None,
) -> Evaluation:
    r"""Log-likelihood of each row, by the best means there are; the result says by which.

    - No latent sites: :math:`\log p(x)`, exact.
    - Latent sites discrete and few, without a guide: :math:`\log \sum_z p(x, z)`, exact.
    - Local latent sites with a guide: :math:`\log \frac1K \sum_k p(x, z_k) / q(z_k | x)`, :math:`z_k \sim q`; in
      expectation a lower bound, tighter with more particles (Burda et al., 2016).
    - A guide of points (a Delta for each site): :math:`\log p(x, z)` there, called a joint; of points that all rows share,
      what they predict, :math:`\log p(x | w)`.
    - Global latent sites w with a guide: the log pointwise predictive density
      :math:`\log \frac1S \sum_s p(x, z_s | w_s) / q(z_s | x, w_s)`, :math:`w_s \sim q`, an estimate of what the fit
      predicts for a new row. `evidence` bounds the probability of the whole data instead.

    Bits per dimension are :math:`-\text{nats} / (D \log 2)` for D observed scalar variables. Those of continuous sites
    are of a density and may be negative. For data of L levels that were dequantised and scaled to [0, 1],
    :math:`\log_2 L` bits per continuous dimension turn the density into a bound on the probability of the levels: pass
    `quantization=256` for 8-bit images. `nats` stay those of the density.

    Args:
        problem: the programs, see `ppgen.Problem`.
        parameters: unconstrained parameters by name, as in its state.
        arrays: data by name.
        particles: importance samples K per row, where they are needed.
        batch_size: rows computed at once, at most. Particles are divided so that memory stays bounded.
        seed: seed of the importance samples.
        khat: compute the PSIS k-hat of the weights (of 500 rows, where there are more).
        quantization: levels L of dequantised data.

    Raises:
        DataError: data that do not belong to the programs.
        NoLikelihoodError: latent sites that can neither be summed out nor weighed by a guide; an implicit site.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen import dist, param, plate, sample
        >>> def model(rows):
        ...     loc = param("loc", 0.0)
        ...     with plate("data", rows):
        ...         sample("x", dist.Normal(loc, 1.0))
        >>> data = {"x": np.array([-1.0, 1.0], np.float32)}
        >>> problem = ppgen.Problem(model, data=data)
        >>> likelihood(problem, problem.start, data)
        -1.4189 ± 0.0000 nats per row (2 rows), 2.0471 bits per dimension
        exact: all sites observed
    """
    positive("particles", particles, "evaluate")
    if batch_size is not None:
        positive("batch_size", batch_size, "evaluate")
    problem, arrays = prepare(problem, arrays)
    needs_densities(problem)
    about = described(problem, arrays, quantization)
    if not problem.model.latent(problem.data) or is_enumerated(problem):
        return _exact(problem, parameters, arrays, batch_size, about)
    if not arrays:  # a target without data has one number
        return evidence(problem, parameters, arrays, particles=particles, seed=seed)
    rows_apart(problem, guide_of(problem))

    points, local = problem.points, {s.name for s in problem.model.latent(problem.data) if problem.model.is_local(s)}
    if points and (not local or local & set(points)):  # otherwise rows have weights, given the points
        return _at_points(problem, parameters, arrays, batch_size, seed, points, about)
    chunks = Chunks(problem, parameters, arrays, particles, batch_size or ROWS, seed)
    chosen = _rows_for_khat(chunks.rows, particles, seed) if khat else np.zeros(0, int)
    per_row, ess, tails = np.empty(chunks.rows), np.empty(chunks.rows), []
    for chunk in range(len(chunks)):
        rows, running, kept = chunks.slice(chunk), Running(), []
        mine = chosen[(chosen >= rows.start) & (chosen < rows.stop)] - rows.start
        for local, _, _ in chunks.draws(chunk):
            running.add(local)
            kept.append(local[:, mine].astype(np.float32))
        per_row[rows], ess[rows] = running.log_mean, running.ess
        if mine.size:
            tails.append(psis_khat(np.concatenate(kept)))
    if khat and len(chosen) < chunks.rows:
        about["note"] = _join(about["note"], f"k-hat of {len(chosen)} rows chosen at random")
    kind, estimator = "lower bound", "importance sampling from the guide"
    model = problem.model
    if model.has_global(problem.data):
        kind, estimator = "estimate", "posterior predictive under the guide"
        if any(model.is_local(site) for site in model.latent(problem.data)):
            estimator += ", importance sampling of local sites"
    return Evaluation.of_rows(
        per_row, kind=kind, estimator=estimator, particles=particles,
        khat=np.concatenate(tails) if tails else None, ess=float(ess.mean()), **about,
    ).doubted(bool(model.mixed))  # fmt: skip


def _at_points(
    problem: Problem,
    parameters: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    batch_size: int | None,
    seed: int,
    points: tuple[str, ...],
    about: dict,
) -> Evaluation:
    """What a guide of points tells: the joint density there; of points that rows share, a prediction."""
    model = problem.model
    if {site.name for site in model.latent(problem.data)} != set(points):
        raise NoLikelihoodError(
            f"the guide gives the sites {list(points)} one value and draws others, so its weights are no densities; expected "
            "all of them drawn, or none. Give each site a distribution, such as ppgen.guides.MeanField() does."
        )
    chunks = Chunks(problem, parameters, arrays, 1, batch_size or ROWS, seed)
    per_row = np.concatenate([local[0] for i in range(len(chunks)) for local, _, _ in chunks.draws(i)])
    mine = [name for name in points if model.is_local(model.sites[name])]
    if not mine:
        return Evaluation.of_rows(per_row, kind="estimate", estimator="prediction at the point of the guide", **about)
    about["note"] = _join(about["note"], "log p(x, z), and no bound on log p(x)")
    about["normalised"] = True
    found = Evaluation.of_rows(
        per_row, kind="joint", estimator=f"at the point of the guide, in {', '.join(mine)}", **about
    )
    return replace(found, bits_per_dim=float("nan"))


def evidence(
    problem: Problem,
    parameters: Mapping[str, Any],
    arrays: Mapping[str, Any],
    *,
    particles: int = 1000,
    seed: int = 0,
    quantization: int | None = None,
) -> Evaluation:
    r"""Log-probability of all rows together, with global latent sites integrated out; `nats` are per row.

    .. math:: \log \frac1K \sum_k \frac{p(w_k) \prod_i p(x_i, z_{ik} | w_k)}{q(w_k) \prod_i q(z_{ik} | x_i, w_k)}

    In expectation a lower bound. It judges the fit on the data it was made of, where the guide stands for the
    posterior of just these rows; `likelihood` judges predictions. Each chunk of particles sees all rows at once.

    Args:
        problem: the programs, see `ppgen.Problem`.
        parameters: unconstrained parameters by name.
        arrays: the data by name.
        particles: importance samples K of everything latent.
        seed: seed of the importance samples.
        quantization: levels of dequantised data, see `likelihood`.

    Returns:
        An evaluation without `per_row` and `stderr`; its `total` is the log-probability of the data. Without global
        sites it is the sum of what `likelihood` finds for each row.

    Raises:
        DataError: data that do not belong to the programs.
        NoLikelihoodError: latent sites that can neither be summed out nor weighed by a guide; an implicit site.
    """
    positive("particles", particles, "evidence")
    problem, arrays = prepare(problem, arrays)
    needs_densities(problem)
    about = described(problem, arrays, quantization)
    if not problem.model.latent(problem.data) or is_enumerated(problem):
        found = _exact(problem, parameters, arrays, None, about)
        return replace(found, per_row=None, stderr=float("nan"))
    if problem.points:
        raise NoLikelihoodError(
            f"the guide gives the sites {list(problem.points)} one value (a Delta), so no draw has a weight; expected a guide "
            "with a density. Learn one, such as ppgen.guides.Laplace()."
        )
    if not guide_of(problem).has_global(problem.data):
        found = likelihood(
            problem, parameters, arrays, particles=particles, seed=seed, quantization=quantization, khat=False
        )
        return replace(found, per_row=None, stderr=float("nan"))

    chunks = Chunks(problem, parameters, arrays, particles, None, seed)
    log_weights = np.concatenate([local.sum(1) + shared for local, shared, _ in chunks.draws(0)])
    running = Running()
    running.add(log_weights)
    return Evaluation.of_total(
        float(running.log_mean), rows=chunks.rows, kind="lower bound", estimator="importance sampling of all rows together",
        particles=particles, khat=psis_khat(log_weights[:, None]), ess=float(running.ess), **about,
    )  # fmt: skip


def _exact(
    problem: Problem,
    parameters: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    batch_size: int | None,
    about: dict,
) -> Evaluation:
    """No latent sites, or few and discrete ones."""
    table = Table(problem, parameters, arrays, batch_size)
    model = problem.model
    estimator = "enumeration of the latent sites" if model.latent(problem.data) else "all sites observed"
    if not model.has_global(problem.data):
        exact = Evaluation.of_rows(table.given_global[0], kind="exact", estimator=estimator, **about)
        return exact.doubted(bool(model.mixed))
    total = np.logaddexp.reduce(table.shared + table.given_global.sum(1))
    about["note"] = _join(about["note"], "global sites are summed out under their prior, for all rows together")
    found = Evaluation.of_total(total, rows=table.local.shape[1], kind="exact", estimator=estimator, **about)
    return found.doubted(bool(model.mixed))


def _rows_for_khat(rows: int, particles: int, seed: int) -> np.ndarray:
    """Rows whose weights are kept, chosen by the seed."""
    most = max(1, min(KHAT_ROWS, KHAT_WEIGHTS // particles))
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def _join(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
