"""A CA and certificates for tests, made by the `openssl` command."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.certificate = folder / f"{name}.pem"
        self._run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                  "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign",
                  "-keyout", f"{name}.key", "-out", f"{name}.pem")  # fmt: skip

    def issue(self, name: str, subject: str = "DNS:localhost,IP:127.0.0.1") -> Path:
        """A file with a key and a certificate that this authority signed."""
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={subject}\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n")
        self._run("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
                  "-keyout", f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
        self._run("x509", "-req", "-in", f"{name}.csr", "-CA", f"{self.name}.pem", "-CAkey", f"{self.name}.key",
                  "-days", "2", "-CAcreateserial", "-extfile", extensions.name, "-out", f"{name}.crt")  # fmt: skip
        both = self.folder / f"{name}.both"
        both.write_text(f"{(self.folder / f'{name}.key').read_text()}{(self.folder / f'{name}.crt').read_text()}")
        return both

    def server(self, certificate: Path, *, ask: bool = False, newest: bool = True) -> ssl.SSLContext:
        """A server's context; with `ask` it wants a certificate of this authority from the client."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        if not newest:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        if ask:
            context.load_verify_locations(self.certificate)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client(self, certificate: Path | None = None) -> ssl.SSLContext:
        """A client's context that trusts this authority."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        if certificate is not None:
            context.load_cert_chain(certificate)
        return context

    def _run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)
