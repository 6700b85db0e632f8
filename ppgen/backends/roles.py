"""Roles that share a loss share a backward pass."""

from collections.abc import Iterable, Mapping
from typing import Any


def by_loss(losses: Mapping[str, Any], owned: Mapping[str, Iterable[str]]) -> list[tuple[Any, list[str], list[str]]]:
    """Each distinct loss with the roles that gave it and the parameters that follow it.

    Roles share a loss where they return the same object.

    Args:
        losses: a loss per role.
        owned: names of the parameters that each moving role owns.
    """
    groups: dict[int, tuple[Any, list[str], list[str]]] = {}
    for role, loss in losses.items():
        _, roles, names = groups.setdefault(id(loss), (loss, [], []))
        roles.append(role)
        names.extend(owned.get(role, ()))
    return list(groups.values())
