"""Which model an h2oGPT client means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backends import Kind
from openai_proxy.bodies.checks import model_of_kind
from openai_proxy.config import Limits
from openai_proxy.errors import InvalidRequest, ModelNotFound
from openai_proxy.h2ogpt.over import none_of
from openai_proxy.router import Router
from openai_proxy.served import Served


def model_of(given: Mapping[str, Any], router: Router, kind: Kind, limits: Limits) -> tuple[Served, str]:
    """The model that `model` or else `visible_models` names, and its name there: a name, its number among those of that
    kind, or a list of one; without any the first of that kind. Raises ModelNotFound or InvalidRequest.
    """
    named = given.get("model")
    if none_of(named):
        named = given.get("visible_models")
        if isinstance(named, list) and len(named) == 1:
            named = named[0]
    if isinstance(named, int) and not isinstance(named, bool):
        named = _numbered(router, named, kind)
    if none_of(named):
        return model_of_kind(router, None, kind, limits)
    if not isinstance(named, str):
        message = "visible_models must be a model's name, its number, or a list of one."
        raise InvalidRequest(message, param="visible_models")
    return model_of_kind(router, named, kind, limits)


def _numbered(router: Router, number: int, kind: Kind) -> str:
    names = [name for name, served in router.names if kind in served.known(name).kinds]
    if not 0 <= number < len(names):
        raise ModelNotFound(f"visible_models: there are {len(names)} models, counted from 0.", param="visible_models")
    return names[number]
