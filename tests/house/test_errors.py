"""Every error class is in the one table."""

from __future__ import annotations

import inspect

import pytest

from backends import errors as engine
from openai_proxy import errors as edge

TREES = (edge.EdgeError, engine.BackendError)
CLASSES = [
    kind
    for module in (edge, engine)
    for kind in vars(module).values()
    if inspect.isclass(kind) and issubclass(kind, TREES) and kind.__module__ == module.__name__
]


def test_the_table_has_every_class_and_no_other() -> None:
    bring_their_own = {kind for kind in CLASSES if issubclass(kind, engine.Rejected)}
    assert set(edge.TABLE) == set(CLASSES) - bring_their_own


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_each_has_a_message_of_its_own_and_a_place_in_the_tree(kind: type[Exception]) -> None:
    assert kind.__doc__
    tree = (inspect.getmodule(kind).__doc__ or "") if inspect.getmodule(kind) else ""
    assert kind.__name__ in tree
