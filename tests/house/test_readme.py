"""Whatever a user can name is in the README, and what the README lists exists."""

from __future__ import annotations

import re

import msgspec
import pytest
from starlette.routing import Route

from backends import BACKENDS
from backends.diffusers import figures as drawing
from backends.remote.figures import figures
from backends.vllm.figures import OWN
from openai_proxy import __version__
from openai_proxy.app import create_app
from openai_proxy.config import (
    AccountSettings,
    Auth,
    Config,
    JobSettings,
    Limits,
    Media,
    ModelConfig,
    Server,
    Timeouts,
    Vision,
    WebhookSettings,
)
from openai_proxy.errors import TABLE
from openai_proxy.keys import Keys
from openai_proxy.settings.documents import DocumentSettings
from openai_proxy.settings.protocols import (
    Aime,
    AimeEndpoint,
    Container,
    GradioSettings,
    Infernet,
    Predictions,
    Protocols,
)
from tests.house.source import PACKAGES, ROOT, files

README = (ROOT / "README.md").read_text()
SECTIONS: dict[str, type[msgspec.Struct]] = {
    "server": Server,
    "auth": Auth,
    "accounts": AccountSettings,
    "media": Media,
    "limits": Limits,
    "timeouts": Timeouts,
    "vision": Vision,
    "jobs": JobSettings,
    "documents": DocumentSettings,
    "protocols": Protocols,
    "predictions": Predictions,
    "aime": Aime,
    "aime.endpoints.NAME": AimeEndpoint,
    "infernet": Infernet,
    "webhooks": WebhookSettings,
    "infernet.containers.NAME": Container,
    "gradio": GradioSettings,
    "models.NAME": ModelConfig,
}
VARIABLE = re.compile(r"\bOPENAI_PROXY_[A-Z_]*[A-Z]\b")


@pytest.fixture(scope="module")
def section() -> dict[str, str]:
    """The text of each second-level section, by its title."""
    parts = re.split(r"^## (.+)$", README, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_route(section: dict[str, str]) -> None:
    app = create_app(Config(), Keys())
    routes = {
        f"{method} {re.sub(r':path', '', route.path)}"
        for route in app.starlette.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD", "OPTIONS"}
    }
    listed = set(re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^`]*)`", section["Routes"]))
    assert {re.sub(r"\{\w+\}", "{}", each) for each in listed} == {re.sub(r"\{\w+\}", "{}", each) for each in routes}


def test_every_setting() -> None:
    fields = {f"{name}.{field.name}" for name, kind in SECTIONS.items() for field in msgspec.structs.fields(kind)}
    sections = "|".join(re.escape(section) for section in SECTIONS)
    rows = set(re.findall(rf"^\| `((?:{sections})\.\w+)` \|", README, re.MULTILINE))
    assert rows == fields
    assert {field.name for field in msgspec.structs.fields(Config)} == {
        *(name.partition(".")[0] for name in SECTIONS),
        "default_model",
    }


def test_every_default() -> None:
    for name, kind in SECTIONS.items():
        for field in msgspec.structs.fields(kind):
            if isinstance(field.default, bool | int | float):
                shown = str(field.default).lower() if isinstance(field.default, bool) else f"{field.default:g}"
                exact = str(field.default) if isinstance(field.default, int) else shown
                assert re.search(rf"`{name}\.{field.name}` \| ({shown}|{exact.lower()}) \|", README), field.name


def test_every_backend(section: dict[str, str]) -> None:
    first_table = section["Backends"].strip().partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", first_table, re.MULTILINE)) == set(BACKENDS)


def test_every_metric(section: dict[str, str]) -> None:
    metrics = create_app(Config(), Keys()).edge.metrics.render().decode()
    names = set(re.findall(r"^# HELP (openai_proxy_\S+)", metrics, re.MULTILINE))
    created = {name for name in names if name.endswith("_created")}
    told = set(re.findall(r"`(openai_proxy_\w+)`", section["Metrics"]))
    engines = {f"openai_proxy_engine_{name}" for name in (*OWN, *drawing.OWN)}
    pool = figures((), 0, 0.0)
    upstreams = {f"openai_proxy_upstream_{figure.name}" for figure in pool}
    assert {name for name in told if name.removesuffix("_total") not in engines | upstreams} == names - created
    assert {name.removesuffix("_total") for name in told} >= engines | upstreams


def test_every_error(section: dict[str, str]) -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| `(\w+)` \| ([^|]*) \|", section["Errors"], re.MULTILINE)
    listed = {
        (kind, int(status), code, family)
        for status, code, family, kinds in rows
        for kind in re.findall(r"`(\w+)`", kinds)
    }
    assert listed == {(kind.__name__, row.status, row.code, row.type) for kind, row in TABLE.items()}


def test_every_variable() -> None:
    used = {name for path in files(*PACKAGES) for name in VARIABLE.findall((ROOT / path).read_text())}
    assert {name for name in used if f"`{name}" not in README} == {"OPENAI_PROXY_DEFAULT_MODEL"} & used


def test_the_changes_begin_with_this_version(section: dict[str, str]) -> None:
    assert list(section)[-1] == "Changes"
    newest = re.search(r"^### (\S+)", section["Changes"], re.MULTILINE)
    assert newest is not None
    assert newest[1] == __version__


def test_nothing_is_left_to_fill_in() -> None:
    assert re.findall(r"^@\w+@$", README, re.MULTILINE) == []
