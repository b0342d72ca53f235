"""What must hold in the section `[webhooks]` beyond the type of each setting. No secret is shown."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from openai_proxy.config import WebhookSettings
from openai_proxy.configure.media import check_reach
from openai_proxy.configure.shape import Report
from openai_proxy.webhooks.guard import ANY
from openai_proxy.webhooks.secret import SecretProblem, secrets_of


def check_webhooks(settings: WebhookSettings, environ: Mapping[str, str], report: Report) -> None:
    named = tuple(domain for domain in settings.domains if domain != ANY)
    check_reach("webhooks", replace(settings, domains=named), "called", report)
    try:
        secrets = secrets_of(settings, environ)
    except SecretProblem as problem:
        report(("webhooks", problem.setting), f"webhooks.{problem.setting}: {problem}")
        return
    if settings.domains and not secrets:
        where = f"webhooks.secret_file or the variable {settings.secret_env}"
        report(("webhooks", "domains"), f"webhooks.domains needs a secret to sign with too, in {where}")
