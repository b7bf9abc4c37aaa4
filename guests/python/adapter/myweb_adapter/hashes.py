"""hashlib's key derivation, which is OpenSSL's elsewhere."""

import hashlib
import hmac

from componentize_py_types import Err
from wit_world.imports import keys

from . import report

# OpenSSL's default.
_SCRYPT_MEMORY = 32 << 20


def install():
    hashlib.pbkdf2_hmac = pbkdf2_hmac
    hashlib.scrypt = scrypt


def scrypt(password, *, salt, n, r, p, maxmem=0, dklen=64):
    """RFC 7914: the server does it, in as much time as OpenSSL, of the request's own."""
    needed = 128 * r * (n + p + 2)
    if needed > (maxmem or _SCRYPT_MEMORY):
        raise ValueError(f"Invalid parameter combination for n, r, p: memory limit exceeded, {needed} bytes")
    if report.is_building():
        raise RuntimeError("hashlib.scrypt() cannot be called while the component is built; call it in a request")
    try:
        return keys.scrypt(bytes(password), bytes(salt), n, r, p, dklen)
    except Err as error:
        if isinstance(error.value, keys.Error_TooLarge):
            raise MemoryError(f"scrypt takes {needed} bytes, which are beyond the app's limit of memory") from None
        raise ValueError(f"scrypt: {error.value.value}") from None


def pbkdf2_hmac(hash_name, password, salt, iterations, dklen=None):
    """PKCS #5 v2 (RFC 8018 section 5.2)."""
    if not isinstance(hash_name, str):
        raise TypeError("hash_name must be str")
    if iterations < 1:
        raise ValueError("iteration value must be greater than 0.")
    inner = hashlib.new(hash_name)
    block = inner.block_size
    size = inner.digest_size
    dklen = size if dklen is None else dklen
    if dklen < 1:
        raise ValueError("key length must be greater than 0.")
    password, salt = bytes(password), bytes(salt)
    if len(password) > block:
        password = hashlib.new(hash_name, password).digest()
    key = password.ljust(block, b"\0")
    inner.update(key.translate(hmac.trans_36))
    outer = hashlib.new(hash_name, key.translate(hmac.trans_5C))

    def prf(message):
        first, second = inner.copy(), outer.copy()
        first.update(message)
        second.update(first.digest())
        return second.digest()

    derived = b""
    number = 0
    while len(derived) < dklen:
        number += 1
        last = prf(salt + number.to_bytes(4, "big"))
        mixed = int.from_bytes(last, "big")
        for _ in range(iterations - 1):
            last = prf(last)
            mixed ^= int.from_bytes(last, "big")
        derived += mixed.to_bytes(size, "big")
    return derived[:dklen]
