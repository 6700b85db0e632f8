"""Scores of how strange rows are to a fit."""

import numpy as np

from ppgen.errors import NoLikelihoodError
from ppgen.evaluation.comparison import check_same_units
from ppgen.evaluation.result import Evaluation


def anomalies(rows: Evaluation, training: Evaluation) -> dict[str, np.ndarray]:
    r"""How strange each row is, by its likelihood and by its typicality: higher is stranger.

    .. math:: s_\text{likelihood}(x) = -\log p(x), \qquad
        s_\text{typicality}(x) = \big| \log p(x) - \tfrac1N \textstyle\sum_n \log p(x_n) \big|

    In many dimensions nearly all rows of a distribution lie where its density is neither low nor highest: the mode of a
    Gaussian has the best likelihood of all points and is like none of its draws. Typicality (Nalisnick et al., 2019) asks
    whether a row's likelihood is that of the training rows; it misses what is strange and yet as likely as they are.

    Args:
        rows: evaluation of the rows to judge.
        training: evaluation of the training rows, by the same means (`fit.evaluate(train)`).

    Returns:
        `likelihood` and `typicality`, in nats [rows].

    Raises:
        NoLikelihoodError: evaluations without numbers for each row.
        DataError: evaluations of other sites.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen import dist, param, plate, sample
        >>> def model(rows):
        ...     scale = param("scale", 1.0, "positive")
        ...     with plate("data", rows):
        ...         sample("x", dist.Normal(0.0, scale).expand([100]).to_event(1))
        >>> train = np.random.default_rng(0).normal(size=(50, 100)).astype(np.float32)
        >>> strange = np.stack([train[0], 0 * train[0]])  # a draw, and the mode
        >>> scores = anomalies(*(ppgen.evaluate(model, data={"x": x}) for x in (strange, train)))
        >>> scores["likelihood"].argmax().item(), scores["typicality"].argmax().item()
        (0, 1)
    """
    if rows.per_row is None or training.per_row is None:
        raise NoLikelihoodError(
            "anomalies: expected evaluations with a number for each row; got one for all rows together."
        )
    check_same_units({"the rows": rows, "the training rows": training})
    return {"likelihood": -rows.per_row, "typicality": np.abs(rows.per_row - training.per_row.mean())}
