"""Expectation maximisation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ppgen import ops
from ppgen.inference import requirements as needs
from ppgen.inference.algorithm import positive
from ppgen.inference.exact.posteriors import check_gaussian, posterior
from ppgen.inference.procedure import Info, Procedure, Result
from ppgen.problem.batch import Batch
from ppgen.problem.problem import Problem


@dataclass(frozen=True)
class EM(Procedure):
    r"""Alternate between the exact posterior and the model that explains it best (Dempster et al., 1977).

    .. math:: \theta' = \arg\max_\theta E_{p(z | x; \theta_{old})} \log p(x, z; \theta)

    The likelihood never falls. The posterior is exact: of discrete latent sites that are few, a sum over their values; of
    continuous ones in whose values log p(x, z) is quadratic (linear-Gaussian models, such as probabilistic PCA), a Gaussian;
    of what a learnable distribution hides (the states of `HiddenMarkov`, the components of `GaussianMixture`), its own. The
    maximum is climbed to by L-BFGS, so that any parameters will do, those of networks too; what is found is never lower than
    the start. Each step sees all rows; `ppgen.fit(..., steps=50)` takes 50.

    The history has `log_likelihood`, that of the parameters before each step, in nats per row.

    Args:
        climb: iterations of L-BFGS in each step.

    Example:
        >>> import numpy as np, ppgen
        >>> model, _ = ppgen.models.gaussian_mixture(1, components=2)
        >>> x = np.array([[-2.0], [-1.9], [-2.1], [2.0], [2.2], [1.8]], np.float32)
        >>> fit = ppgen.fit(model, data={"x": x}, algorithm=ppgen.EM(), steps=10)
        >>> sorted(fit.params["loc"].round(1).ravel().tolist())
        [-2.0, 2.0]
    """

    climb: int = 20

    needs = (needs.densities, needs.weights, needs.normalised, needs.a_model_that_learns, needs.an_exact_posterior)

    def __post_init__(self) -> None:
        positive("climb", self.climb, "EM")

    @property
    def reports(self) -> tuple[str, ...]:
        """The log-likelihood."""
        return ("log_likelihood",)

    def init(self, problem: Problem, parameters: Mapping[str, Any], batch: Mapping[str, Any], key: Any) -> Any:
        """The parameters, after a look whether the posterior can be had."""
        check_gaussian(problem.joints(parameters, key)["model"], Batch.of_data(batch))
        return dict(parameters)

    def step(self, problem: Problem, state: Any, batch: Mapping[str, Any], key: Any) -> tuple[Any, Info]:
        """Expect, and maximise."""
        data, p = Batch.of_data(batch), problem.joints(state, key)["model"]
        q = posterior(p.frozen, data)

        def expected(parameters: Mapping[str, Any]) -> ops.Array:
            return ops.sum(q.expect(p.bound(parameters), data)) / data.rows

        state = problem.backend.climb(expected, state, self.climb)
        return state, {"log_likelihood": ops.sum(q.log_likelihood) / data.rows}

    def result(self, problem: Problem, state: Any, infos: Info) -> Result:
        """The parameters."""
        return Result(parameters=state)
