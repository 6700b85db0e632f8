"""What a model makes of latent values on straight lines."""

from collections.abc import Sequence

import numpy as np

from ppgen import ops
from ppgen.errors import ProgramError
from ppgen.evaluation.kept import once
from ppgen.evaluation.learned import Learned
from ppgen.evaluation.simulated import resized
from ppgen.problem.batch import Batch


def traverse(
    fit: Learned,
    site: str,
    *,
    start: np.ndarray | None = None,
    span: Sequence[float] = (-2.0, -1.0, 0.0, 1.0, 2.0),
    dimensions: Sequence[int] | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Means of the observed sites where one number of a latent site goes along a line, and the others stay.

    Args:
        fit: what was learned.
        site: a continuous latent site of single rows, whose event is a vector.
        start: value [d] from which lines go out; 0 by default. A row's posterior mean shows the neighbourhood of that row.
        span: what is added to one number.
        dimensions: which of the numbers; all by default.
        seed: seed of other latent sites, which are drawn from their prior, the same in each place.

    Returns:
        By observed site, [lines, places, ...].

    Raises:
        ProgramError: no such latent site.

    Example:
        >>> import numpy as np, ppgen
        >>> model, guide = ppgen.models.vae(6, latents=(2,), hidden=(8,))
        >>> fit = ppgen.fit(model, guide, data={"x": np.eye(6, dtype=np.float32)}, steps=1)
        >>> traverse(fit, "z")["x"].shape
        (2, 5, 6)
    """
    problem, model = fit.problem, fit.problem.model
    vectors = {s.name: s for s in model.latent(problem.data) if model.is_local(s) and len(s.event_shape) == 1}
    if site not in vectors:
        raise ProgramError(
            f"traverse: expected one of the latent sites whose events are vectors, {list(vectors)}; got {site!r}."
        )
    width = vectors[site].event_shape[0]
    chosen = range(width) if dimensions is None else dimensions
    steps = np.zeros((len(chosen), len(span), width), np.float64 if problem.backend.double() else np.float32)
    steps += 0 if start is None else np.asarray(start)
    for line, dimension in enumerate(chosen):
        steps[line, :, dimension] += np.asarray(span)
    rows, observed = len(chosen) * len(span), [s.name for s in model.observed(problem.data)]
    emitted = [name for name in observed if model.sites[name].has_mean]

    def dream(parameters, batch, z, key):
        with ops.activate(problem.backend):
            drawn = Batch({site: z}, rows=rows, drawn=[site])
            return dict(
                problem.joints(parameters, key)["model"].dream(Batch(batch, rows=rows) | drawn, emit=emitted).values
            )

    z = problem.backend.array(steps.reshape(1, rows, width))
    batch = problem.device({name: np.repeat(value[:1], rows, 0) for name, value in resized(problem, 1).items()})
    found = once(problem, ("traverse", site), dream)(fit.state.parameters, batch, z, problem.backend.key(seed))
    means = {name: problem.backend.numpy(found[name])[0] for name in observed}
    return {name: mean.reshape(len(chosen), len(span), *mean.shape[1:]) for name, mean in means.items()}
