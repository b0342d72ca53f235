"""Secrets, and signatures by them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path

import pytest

from openai_proxy.config import WebhookSettings
from openai_proxy.webhooks.secret import SecretProblem, secrets_of
from openai_proxy.webhooks.signing import signed
from tests.edge.test_configure import ECHO, config, problems

# Of the examples of Standard Webhooks.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, SECONDS, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
PLAIN = "some-plain-secret-of-letters"
VARIABLE = "OPENAI_PROXY_WEBHOOK_SECRET"
NONE: Mapping[str, str] = {}


def secrets(text: str = "", **settings: str) -> tuple[bytes, ...]:
    return secrets_of(WebhookSettings(**settings), {VARIABLE: text})  # type: ignore[arg-type]


def test_the_signature_of_the_standards_example() -> None:
    told = dict(signed(secrets(SECRET), ID, SECONDS, BODY))
    assert told == {
        b"webhook-id": ID.encode(),
        b"webhook-timestamp": b"1614265330",
        b"webhook-signature": SIGNATURE,
    }


def test_each_secret_signs_and_the_files_come_first(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"# the new one\n{SECRET}\n\n")
    both = secrets(PLAIN, secret_file=str(file))
    assert both == (base64.b64decode(SECRET.removeprefix("whsec_")), PLAIN.encode())
    content = f"{ID}.{SECONDS}.".encode() + BODY
    other = base64.b64encode(hmac.new(PLAIN.encode(), content, hashlib.sha256).digest())
    assert dict(signed(both, ID, SECONDS, BODY))[b"webhook-signature"] == SIGNATURE + b" v1," + other
    assert secrets(f"{SECRET}, {PLAIN}") == both
    assert secrets_of(WebhookSettings(secret_env="MINE"), {"MINE": PLAIN}) == (PLAIN.encode(),)
    assert secrets() == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("short", "secret 1: a secret has at least 16 bytes"),
        ("whsec_c2hvcnQ=", "secret 1: a secret has at least 16 bytes"),
        (f"{PLAIN},whsec_this-is-no-base64", "secret 2: after whsec_ comes base64"),
        ("with some blanks in between", "secret 1: a secret is visible ASCII characters without blanks and commas"),
        (",".join([PLAIN] * 9), " holds more than 8 secrets"),
    ],
)
def test_what_is_no_secret_is_told_without_it(text: str, problem: str) -> None:
    with pytest.raises(SecretProblem) as caught:
        secrets(text)
    assert str(caught.value).removeprefix(VARIABLE).removeprefix(", ") == problem
    assert text not in str(caught.value)


def test_settings_that_are_wrong(tmp_path: Path) -> None:
    def wrong(text: str, environ: Mapping[str, str] = NONE) -> list[str]:
        return problems(tmp_path, f"[webhooks]\n{text}\n{ECHO}", environ)

    needed = f"needs a secret to sign with too, in webhooks.secret_file or the variable {VARIABLE}"
    assert wrong("domains = ['*']") == [f"file.toml:2: webhooks.domains {needed}"]
    assert wrong("domains = ['*', 'a.b', '*.a.b']", {VARIABLE: PLAIN}) == []
    assert wrong("schemes = []") == ["file.toml:2: webhooks.schemes is empty: nothing could be called"]
    assert wrong("networks = ['x']") == ['file.toml:2: "x" is not a network such as "10.0.0.0/8"']
    assert wrong("secret_file = '/none'") == [
        "file.toml:2: webhooks.secret_file: /none cannot be read: No such file or directory"
    ]
    (tmp_path / "empty").write_text("# nothing\n")
    assert wrong(f"secret_file = '{tmp_path}/empty'") == ["file.toml:2: webhooks.secret_file: empty holds no secret"]
    told = wrong("", {VARIABLE: "a-secret,b"})
    assert [each.partition("webhooks.")[2] for each in told] == [
        f"secret_env: {VARIABLE}, secret 1: a secret has at least 16 bytes"
    ]
    assert config(tmp_path, ECHO).webhooks == WebhookSettings()
