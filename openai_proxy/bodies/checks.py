"""What every handler asks of a decoded body: the model's name, its abilities and the configured limits."""

from __future__ import annotations

from collections.abc import Iterable, Set, Sized

from backends import Kind, Model
from backends.errors import Unsupported
from openai_proxy.config import Limits
from openai_proxy.decode import Given
from openai_proxy.errors import InvalidRequest, TooManyItems
from openai_proxy.router import Router
from openai_proxy.served import Served


def served_model(router: Router, name: str | None, kind: Kind, limits: Limits) -> Served:
    """The model a body means. Raises ModelNotFound or InvalidRequest."""
    if not name and router.default_model is None:
        raise InvalidRequest("You must provide a model.", param="model")
    if name and len(name) > limits.model_name:
        raise InvalidRequest(f"model is longer than {limits.model_name} characters.", param="model")
    served = router.find(name or None)
    check_kind(served, kind, name)
    return served


def model_of_kind(router: Router, name: str | None, kind: Kind, limits: Limits) -> tuple[Served, str]:
    """The model a body means, and its name there; for no name the default one if it takes such requests, else the first
    that does, those before that take none but these. Raises ModelNotFound or InvalidRequest.
    """
    if not name:
        default = router.default_model
        known = [(found, served.known(found).kinds) for found, served in router.names]
        fitting = [(found, kinds) for found, kinds in known if kind in kinds]
        name, _ = min(fitting, key=lambda each: (each[0] != default, "chat" in each[1]), default=(default, kind))
    served = served_model(router, name, kind, limits)
    return served, served.called(name)


def check_kind(served: Served, kind: Kind, name: str | None = None) -> None:
    """Raises Unsupported when the model, one of several that go by their `name`, takes no requests of that kind."""
    if kind not in (served.known(name) if served.discovers else served.model).kinds:
        called = name if served.discovers else served.name
        raise Unsupported(f"The model {called} does not take {kind} requests.", param="model")


def at_most(items: Sized, limit: int, param: str) -> None:
    """Raises TooManyItems."""
    if len(items) > limit:
        raise TooManyItems(f"{param} has {len(items)} items; at most {limit} are taken.", param=param)


def at_most_characters(text: str, limit: int, param: str) -> None:
    """Raises InvalidRequest."""
    if len(text) > limit:
        raise InvalidRequest(f"{param} is longer than {limit} characters.", param=param)


def able(model: Model, parameter: str, param: str | None = None) -> None:
    """Raises Unsupported when the model's engine does not honour a parameter."""
    if parameter not in model.parameters:
        raise Unsupported(f"This model does not support {param or parameter}.", param=param or parameter)


def token_ids(tokens: Iterable[int], model: Model, param: str) -> None:
    """Raises InvalidRequest for ids beyond the model's vocabulary."""
    if model.vocabulary is not None and any(token >= model.vocabulary for token in tokens):
        raise InvalidRequest(f"{param}: token ids end at {model.vocabulary - 1}.", param=param)


def all_able(model: Model, fields: Given, parameters: Set[str]) -> None:
    """`able` for every one of these parameters that is among the fields a body sets."""
    missing = (fields.keys() & parameters) - model.parameters
    if missing:
        able(model, min(missing))
