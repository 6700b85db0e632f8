"""Layer normalisation and attention."""

from ppgen.ops.dispatch import Array, dispatched_by


@dispatched_by("x", "scale")
def layer_norm(x: Array, scale: Array, bias: Array, epsilon: float = 1e-5) -> Array:
    r"""Layer normalisation (Ba et al., 2016) over the last axis.

    .. math:: y = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} \cdot \text{scale} + \text{bias}

    with the mean and the variance (a sum divided by n) of each row.

    Args:
        x: [..., n].
        scale: [n].
        bias: [n].
        epsilon: keeps rows of equal entries finite.

    Example:
        >>> import numpy as np
        >>> from ppgen import ops
        >>> ops.layer_norm(np.array([[1.0, 3.0]]), np.ones(2), np.zeros(2), epsilon=0.0).tolist()
        [[-1.0, 1.0]]
    """


def attention(query: Array, key: Array, value: Array, bias: Array | None = None, causal: bool = False) -> Array:
    r"""Scaled dot-product attention (Vaswani et al., 2017).

    .. math:: \operatorname{softmax}(Q K^\top / \sqrt{d} + B) V

    Args:
        query: [..., t, d]; leading axes (rows, heads) broadcast.
        key: [..., s, d].
        value: [..., s, n].
        bias: what is added to the scores, [..., t, s]; -inf hides a key. A query that sees none gets zeros.
        causal: hide the keys after a query's own place; as many keys as queries.

    Returns:
        [..., t, n].

    Example:
        >>> import numpy as np
        >>> from ppgen import ops
        >>> x = np.array([[1.0, 0.0], [0.0, 1.0]])
        >>> ops.attention(x, x, x, causal=True)[0].tolist()  # the first sees itself alone
        [1.0, 0.0]
    """
    if causal and query.shape[-2] != key.shape[-2]:
        raise ValueError(
            f"expected as many keys as queries for causal attention; got {key.shape[-2]} and {query.shape[-2]}. "
            "To hide other keys, pass a bias with -inf."
        )
    return attend(query, key, value, bias, causal)


@dispatched_by("query", "key")
def attend(query: Array, key: Array, value: Array, bias: Array | None, causal: bool) -> Array:
    """`attention` of checked arguments."""
