"""The benchmark of samplers compares like with like: the programs of both libraries have one posterior."""

import os
from pathlib import Path

import jax
import numpy as np
import pytest
from numpyro.infer.util import potential_energy

import ppgen
from benchmarks import mcmc
from benchmarks.posteriors import POSTERIORS
from ppgen import ops
from ppgen.inference.target import target_of

HERE = (Path(os.environ.get("PPGEN_DATA", ".")) / "posteriordb").is_dir()


@pytest.mark.skipif(not HERE, reason="posteriordb is not below PPGEN_DATA")
@pytest.mark.parametrize("name", ["eight schools", "mixture"])
def test_both_programs_have_one_posterior(name):
    posterior = POSTERIORS[name]()
    problem = ppgen.Problem(posterior.model, data=posterior.data)
    batch, rng = problem.device(problem.example), np.random.default_rng(0)
    with ops.activate(problem.backend):
        target = target_of(problem, {}, batch, problem.backend.key(0))

        def energies(u):
            parts = jax.numpy.split(u, np.cumsum(target.sizes)[:-1])
            given = {site.name: part.reshape(site.real_shape) for site, part in zip(target.sites, parts, strict=True)}
            return -target.log_density(u[None])[0], potential_energy(posterior.native, (), posterior.data, given)

        mine, theirs = jax.jit(jax.vmap(energies))(rng.normal(size=(4, target.width)).astype(np.float32))
    np.testing.assert_allclose(mine, theirs, rtol=1e-4)


@pytest.mark.skipif(not HERE, reason="posteriordb is not below PPGEN_DATA")
def test_the_distance_from_the_reference():
    """Reference draws are near themselves; shifted ones are not."""
    posterior, rng = POSTERIORS["linear regression"](), np.random.default_rng(0)
    chosen = rng.choice(10000, (4, 500), replace=False)
    beta = np.stack([posterior.reference[f"beta[{i}]"] for i in range(1, 6)], 1)
    draws = {"beta": beta[chosen], "sigma": posterior.reference["sigma"][chosen]}
    means, sds = mcmc.distance(posterior, draws)
    assert means < 4 and sds < 0.1
    assert mcmc.distance(posterior, draws | {"sigma": draws["sigma"] * 1.2})[0] > 10
