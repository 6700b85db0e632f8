"""Where an axis of an operand goes in the result of a JAX primitive."""

import math
from collections.abc import Callable
from typing import Any

MIXED = "mixed"  # numbers along the axis are combined, or change places
LOST = "lost"  # it cannot be told

ELEMENTWISE = frozenset((
    "abs", "acos", "acosh", "add", "and", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "clamp",
    "convert_element_type", "copy", "copy_p", "cos", "cosh", "digamma", "div", "eq", "erf", "erf_inv", "erfc", "exp",
    "exp2", "expm1", "floor", "ge", "gt", "igamma", "igammac", "integer_pow", "is_finite", "le", "lgamma", "log",
    "log1p", "logistic", "lt", "max", "min", "mul", "name", "ne", "neg", "nextafter", "not", "or", "polygamma", "pow",
    "random_gamma_grad", "real", "reduce_precision", "regularized_incomplete_beta", "rem", "round", "rsqrt",
    "select_n", "sign", "sin", "sinh", "sqrt", "square", "stop_gradient", "sub", "tan", "tanh", "xor",
))  # fmt: skip


def carried(primitive: str, params: dict[str, Any], shapes: list[tuple], out: tuple, operand: int, axis: int) -> Any:
    """The axis of the result that `axis` of an operand becomes, or MIXED, or LOST.

    Args:
        primitive: the primitive's name.
        params: its parameters.
        shapes: shapes of all operands.
        out: shape of the result.
        operand: which operand.
        axis: which of its axes.
    """
    if primitive in ELEMENTWISE:
        return axis
    if primitive.startswith(("reduce_", "argm")) and "axes" in params:
        return _without(params["axes"], axis)
    rule = _RULES.get(primitive)
    return LOST if rule is None else rule(params, shapes, out, operand, axis)


def _without(removed: tuple[int, ...], axis: int) -> Any:
    return MIXED if axis in removed else axis - sum(other < axis for other in removed)


def _reshape(params: Any, shapes: Any, out: tuple, operand: int, axis: int) -> Any:
    before, length = math.prod(shapes[0][:axis]), shapes[0][axis]
    found = [j for j in range(len(out)) if math.prod(out[:j]) == before and out[j] == length]
    return found[0] if found else LOST


def _dot(params: Any, shapes: Any, out: tuple, operand: int, axis: int) -> Any:
    contracted, batched = params["dimension_numbers"]
    if axis in contracted[operand]:
        return MIXED
    if axis in batched[operand]:
        return batched[operand].index(axis)
    free = [
        [d for d in range(len(shape)) if d not in contracted[i] and d not in batched[i]]
        for i, shape in enumerate(shapes)
    ]
    return len(batched[0]) + (len(free[0]) if operand else 0) + free[operand].index(axis)


def _slice(params: Any, shapes: Any, out: tuple, operand: int, axis: int) -> Any:
    return axis if operand == 0 and out[axis] == shapes[0][axis] else MIXED if operand == 0 else LOST


def _pad(params: Any, shapes: Any, out: tuple, operand: int, axis: int) -> Any:
    return axis if operand == 0 and params["padding_config"][axis] == (0, 0, 0) else MIXED


def _gather(params: Any, shapes: Any, out: tuple, operand: int, axis: int) -> Any:
    numbers = params["dimension_numbers"]
    if operand == 1:
        rest = [d for d in range(len(out)) if d not in numbers.offset_dims]
        return rest[axis] if axis < len(rest) else LOST
    gone = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    if axis in gone or params["slice_sizes"][axis] != shapes[0][axis]:
        return LOST
    return numbers.offset_dims[[d for d in range(len(shapes[0])) if d not in gone].index(axis)]


def _convolution(params: Any, shapes: Any, out: tuple, operand: int, axis: int) -> Any:
    numbers = params["dimension_numbers"]
    return numbers.out_spec[0] if operand == 0 and axis == numbers.lhs_spec[0] else LOST


def _along(name: str) -> Callable[..., Any]:
    """A primitive that works along the axis, or axes, that a parameter of it names."""

    def rule(params: Any, shapes: Any, out: tuple, operand: int, axis: int) -> Any:
        named = params[name]
        return MIXED if axis in (named if isinstance(named, tuple) else (named,)) else axis

    return rule


_RULES: dict[str, Callable[..., Any]] = {
    "broadcast_in_dim": lambda params, shapes, out, operand, axis: (
        params["broadcast_dimensions"][axis] if operand == 0 else LOST
    ),
    "concatenate": _along("dimension"),
    "conv_general_dilated": _convolution,
    "cumlogsumexp": _along("axis"),
    "cummax": _along("axis"),
    "cummin": _along("axis"),
    "cumprod": _along("axis"),
    "cumsum": _along("axis"),
    "dot_general": _dot,
    "dynamic_slice": _slice,
    "gather": _gather,
    "pad": _pad,
    "reshape": _reshape,
    "rev": _along("dimensions"),
    "slice": _slice,
    "sort": _along("dimension"),
    "split": _along("axis"),
    "squeeze": lambda params, shapes, out, operand, axis: _without(params["dimensions"], axis),
    "transpose": lambda params, shapes, out, operand, axis: params["permutation"].index(axis),
}
