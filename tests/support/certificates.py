"""A certificate authority of the tests' own, and what it signs; made once, in memory and a file."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAMES = ("provider.test", "localhost")

Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


@cache
def authority() -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    return _signed("Authority of the tests", key, key, "Authority of the tests"), key


@cache
def server_context(*, is_trusted: bool = True) -> ssl.SSLContext:
    """Serves `NAMES`, 127.0.0.1 and ::1; signed by the authority, or by nobody known."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer = authority()[1] if is_trusted else key
    certificate = _signed("provider.test", key, signer, "Authority of the tests")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pair.pem"
        pem = serialization.Encoding.PEM
        plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        path.write_bytes(key.private_bytes(pem, *plain) + certificate.public_bytes(pem))
        context.load_cert_chain(path)
    return context


def authority_pem() -> str:
    return authority()[0].public_bytes(serialization.Encoding.PEM).decode()


def client_context() -> ssl.SSLContext:
    """Trusts the authority alone."""
    return ssl.create_default_context(cadata=authority_pem())


def _signed(
    name: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, issuer: str
) -> x509.Certificate:
    is_authority = name == issuer
    now = datetime.datetime.now(datetime.UTC)
    addresses = [ipaddress.ip_address(address) for address in ("127.0.0.1", "::1")]
    alternatives = [*map(x509.DNSName, NAMES), *map(x509.IPAddress, addresses)]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(signer, hashes.SHA256())
    )
