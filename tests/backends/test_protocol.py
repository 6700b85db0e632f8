"""Each backend provides what `ppgen/backends/protocol.py` says, with the same arguments."""

import inspect
from typing import Protocol

import pytest

from ppgen import backends
from ppgen.backends import protocol

PARTS = [part for part in protocol.Backend.__bases__ if part is not Protocol]


def members(part):
    return {name: member for name, member in vars(part).items() if inspect.isfunction(member) and name[0] != "_"}


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_a_backend_has_every_part(backend, part):
    found = backends.get(backend)
    assert isinstance(found, part)
    for name, wanted in members(part).items():
        asked = list(inspect.signature(wanted).parameters)[1:]
        has = list(inspect.signature(getattr(found, name)).parameters)
        assert has == asked, f"{name}{tuple(has)}, where the protocol says {tuple(asked)}"
        assert inspect.getdoc(wanted), f"{name} is not described"


def test_nothing_is_left_out_of_the_protocol(backend):
    """What a backend offers in public is written down: a third one would miss nothing."""
    promised = {name for part in PARTS for name in (*members(part), *inspect.get_annotations(part))}
    own = {"lend", "borrowing"}  # of torch modules, which only the Pyro backend's own files use
    offered = {name for name in dir(type(backends.get(backend))) if name[0] != "_"}
    assert offered - promised <= own


def test_a_missing_method_is_noticed():
    class Half:
        name = library = "half"
        compiles = False

    assert not isinstance(Half(), protocol.Arrays)
