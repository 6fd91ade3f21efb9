"""The certificate of the HTTPS API server: generated, signed by itself, and so its own authority in the kubeconfig.

Owns making and keeping it, with the package `cryptography`: the standard library can use certificates but cannot make them.
"""

from __future__ import annotations

import datetime
import ipaddress
import logging
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from userproxy.errors import StoreError, UsageError
from userproxy.standalone.credentials import write_private

if TYPE_CHECKING:
    from cryptography import x509

log = logging.getLogger(__name__)

FILE = "server.pem"
_LIFE = datetime.timedelta(days=365)
_RENEW_BEFORE = datetime.timedelta(days=30)
_CLOCK_SKEW = datetime.timedelta(hours=1)
"""Clients whose clock is behind ours still take a new certificate."""


def server_certificate(directory: Path, names: Iterable[str]) -> tuple[ssl.SSLContext, bytes]:
    """Return the context of a server and its certificate in PEM, good for `names` (host names and IP addresses).

    The one kept in `directory` is used while it covers the names and has a month to live. Raises UsageError when
    `cryptography` is not installed, StoreError when the directory cannot be used.
    """
    try:
        import cryptography.x509  # noqa: F401
    except ImportError as fault:
        raise UsageError(
            "the API server's certificate needs the package cryptography: pip install cryptography, or use --no-api-tls"
        ) from fault
    wanted = sorted(set(names))
    file = directory / FILE
    try:
        kept = file.read_bytes()
    except FileNotFoundError:
        kept = b""
    except OSError as fault:
        raise StoreError(f"certificate {file} cannot be read: {fault.strerror}; remove it") from fault
    pem = kept if _is_usable(file, kept, wanted) else _generate(wanted)
    if pem is not kept:
        write_private(file, pem)
        log.info("made a certificate for %s in %s", ", ".join(wanted), file)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    begin = pem.index(b"-----BEGIN CERTIFICATE")
    return context, pem[begin:]


def _is_usable(file: Path, pem: bytes, wanted: list[str]) -> bool:
    from cryptography import x509

    if not pem:
        return False
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(file)
        certificate = x509.load_pem_x509_certificate(pem)
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ssl.SSLError, ValueError, x509.ExtensionNotFound):
        return False
    covered = {str(name.value) for name in found}
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return covered >= set(wanted) and left > _RENEW_BEFORE


def _generate(names: list[str]) -> bytes:
    """Return key and certificate in PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "userproxy standalone")])
    now = datetime.datetime.now(datetime.UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _general_name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage() -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
