"""Layer normalisation and attention."""

import torch
from torch import Tensor
from torch.nn import functional


def layer_norm(x: Tensor, scale: Tensor, bias: Tensor, epsilon: float = 1e-5) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:], scale, bias, epsilon)


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, causal: bool) -> Tensor:
    if bias is not None and causal:  # torch takes one of them
        past = torch.ones(bias.shape[-2:], dtype=torch.bool, device=bias.device).tril()
        bias, causal = torch.where(past, bias, -torch.inf), False
    return functional.scaled_dot_product_attention(query, key, value, bias, is_causal=causal)
