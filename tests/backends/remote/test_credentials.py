"""Keys and certificates: read where the settings say, and shown to nobody."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from backends.remote.credentials import Secret, read_certificates, read_key
from backends.remote.options import UpstreamOptions
from tests.backends.remote.turning import options


def upstream(**settings: Any) -> UpstreamOptions:
    return options({"url": "https://box", **settings}).upstreams[0]


def test_a_key_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from-file\n")
    assert read_key(upstream(key_env="KEY"), {"KEY": "from-env"}).header == b"authorization: Bearer from-env\r\n"
    assert read_key(upstream(key_file=str(file)), {}).header == b"authorization: Bearer from-file\r\n"


def test_without_a_key_no_header_is_sent() -> None:
    secret = read_key(upstream(), {})
    assert (bool(secret), secret.header, secret.hide("all")) == (False, b"", "all")


@pytest.mark.parametrize("value", ["", "  ", "two words", "line\nfeed", "ümlaut"])
def test_what_cannot_be_a_key_is_refused_and_not_shown(value: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(value)
    for settings in ({"key_env": "KEY"}, {"key_file": str(file)}):
        with pytest.raises(
            ValueError, match=rf"upstream box: {next(iter(settings))} .* (is empty|cannot be a key)"
        ) as no:
            read_key(upstream(**settings), {"KEY": value})
        assert not value.strip() or value not in str(no.value)


def test_a_key_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"key_file .*absent cannot be read: No such file"):
        read_key(upstream(key_file=str(tmp_path / "absent")), {})
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="cannot be read: not text"):
        read_key(upstream(key_file=str(tmp_path / "bytes")), {})


def test_a_secret_is_not_shown() -> None:
    secret = Secret("sk-123")
    assert "sk-123" not in f"{secret!r} {secret} {[secret]}"
    assert secret.hide("Incorrect API key provided: sk-123.") == "Incorrect API key provided: ***."


def test_headers_and_the_address_are_not_shown_either() -> None:
    secret = read_key(upstream(url="https://gpu1:8000", headers={"x-api-key": "hunter22", "x-team": "red"}), {})
    assert secret.hide("gpu1:8000 took no hunter22 of the red team") == "*** took no *** of the red team"
    assert secret.header == b""


def test_http_has_no_certificates() -> None:
    assert read_certificates(upstream(url="http://box")) is None


def test_certificates_are_checked_unless_told_otherwise() -> None:
    checked, blind = read_certificates(upstream()), read_certificates(upstream(verify=False))
    assert checked is not None
    assert blind is not None
    assert (checked.verify_mode, checked.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (blind.verify_mode, blind.check_hostname) == (ssl.CERT_NONE, False)


@pytest.mark.parametrize("field", ["ca_file", "cert_file"])
def test_a_certificate_that_cannot_be_used_is_named(field: str, tmp_path: Path) -> None:
    file = tmp_path / "no.pem"
    for text in (None, "no certificate"):
        if text is not None:
            file.write_text(text)
        with pytest.raises(ValueError, match=f"upstream box: {field} .*no.pem cannot be used"):
            read_certificates(upstream(**{field: str(file)}))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the program openssl to make a certificate")
def test_a_certificate_is_shown_but_nobody_is_asked_for_a_password(tmp_path: Path) -> None:
    cert, key, locked = (str(tmp_path / name) for name in ("cert.pem", "key.pem", "locked.pem"))
    ask = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=box"]
    subprocess.run([*ask, "-nodes", "-keyout", key, "-out", cert], check=True, capture_output=True)
    lock = ["openssl", "ec", "-aes128", "-passout", "pass:x", "-in", key, "-out", locked]
    subprocess.run(lock, check=True, capture_output=True)
    trusting = read_certificates(upstream(ca_file=cert, cert_file=cert, cert_key_file=key))
    assert trusting is not None
    assert [own["subject"] for own in trusting.get_ca_certs()] == [((("commonName", "box"),),)]
    with pytest.raises(ValueError, match=r"cert_file .*cert.pem with cert_key_file .*locked.pem cannot be used"):
        read_certificates(upstream(cert_file=cert, cert_key_file=locked))
