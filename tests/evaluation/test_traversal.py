"""Lines through the latent space: what the model makes of each place, and nothing else."""

import numpy as np
import pytest

import ppgen
from ppgen.errors import ProgramError
from ppgen.evaluation import traverse


def test_lines_of_a_linear_model(backend):
    """Means are W z + mu at each place."""
    model, guide = ppgen.models.ppca(3, latents=2)
    fit = ppgen.fit(model, guide, data={"x": np.eye(3, dtype=np.float32)}, steps=2, backend=backend)
    start, span = np.array([0.5, -1.0]), (-1.0, 0.0, 3.0)
    found = traverse(fit, "z", start=start, span=span)["x"]
    weights, mean = fit.params["W"], fit.params["mu"]
    for line in (0, 1):
        for place, step in enumerate(span):
            z = start + step * np.eye(2)[line]
            np.testing.assert_allclose(found[line, place], weights @ z + mean, atol=1e-5)
    np.testing.assert_array_equal(traverse(fit, "z", start=start, span=span, dimensions=[1])["x"], found[1:])
    with pytest.raises(ProgramError, match=r"\['z'\]; got 'w'"):
        traverse(fit, "w")
