"""What the module `ssl` of the standard library needs to be imported: a sandbox has no TLS of its own.

Contexts can be made and set up, as libraries do when they are imported. A socket that is wrapped is one whose requests
the server sends over TLS (`myweb_adapter/sockets.py`); all else fails with a sentence.
"""

import os

_CONSTANTS = """
    ALERT_DESCRIPTION_ACCESS_DENIED=49 ALERT_DESCRIPTION_BAD_CERTIFICATE=42
    ALERT_DESCRIPTION_BAD_CERTIFICATE_HASH_VALUE=114 ALERT_DESCRIPTION_BAD_CERTIFICATE_STATUS_RESPONSE=113
    ALERT_DESCRIPTION_BAD_RECORD_MAC=20 ALERT_DESCRIPTION_CERTIFICATE_EXPIRED=45
    ALERT_DESCRIPTION_CERTIFICATE_REVOKED=44 ALERT_DESCRIPTION_CERTIFICATE_UNKNOWN=46
    ALERT_DESCRIPTION_CERTIFICATE_UNOBTAINABLE=111 ALERT_DESCRIPTION_CLOSE_NOTIFY=0
    ALERT_DESCRIPTION_DECODE_ERROR=50 ALERT_DESCRIPTION_DECOMPRESSION_FAILURE=30 ALERT_DESCRIPTION_DECRYPT_ERROR=51
    ALERT_DESCRIPTION_HANDSHAKE_FAILURE=40 ALERT_DESCRIPTION_ILLEGAL_PARAMETER=47
    ALERT_DESCRIPTION_INSUFFICIENT_SECURITY=71 ALERT_DESCRIPTION_INTERNAL_ERROR=80
    ALERT_DESCRIPTION_NO_RENEGOTIATION=100 ALERT_DESCRIPTION_PROTOCOL_VERSION=70
    ALERT_DESCRIPTION_RECORD_OVERFLOW=22 ALERT_DESCRIPTION_UNEXPECTED_MESSAGE=10 ALERT_DESCRIPTION_UNKNOWN_CA=48
    ALERT_DESCRIPTION_UNKNOWN_PSK_IDENTITY=115 ALERT_DESCRIPTION_UNRECOGNIZED_NAME=112
    ALERT_DESCRIPTION_UNSUPPORTED_CERTIFICATE=43 ALERT_DESCRIPTION_UNSUPPORTED_EXTENSION=110
    ALERT_DESCRIPTION_USER_CANCELLED=90 CERT_NONE=0 CERT_OPTIONAL=1 CERT_REQUIRED=2 ENCODING_DER=2 ENCODING_PEM=1
    HOSTFLAG_ALWAYS_CHECK_SUBJECT=1 HOSTFLAG_MULTI_LABEL_WILDCARDS=8 HOSTFLAG_NEVER_CHECK_SUBJECT=32
    HOSTFLAG_NO_PARTIAL_WILDCARDS=4 HOSTFLAG_NO_WILDCARDS=2 HOSTFLAG_SINGLE_LABEL_SUBDOMAINS=16 OP_ALL=2147483728
    OP_CIPHER_SERVER_PREFERENCE=4194304 OP_ENABLE_KTLS=8 OP_ENABLE_MIDDLEBOX_COMPAT=1048576
    OP_IGNORE_UNEXPECTED_EOF=128 OP_LEGACY_SERVER_CONNECT=4 OP_NO_COMPRESSION=131072 OP_NO_RENEGOTIATION=1073741824
    OP_NO_SSLv2=0 OP_NO_SSLv3=33554432 OP_NO_TICKET=16384 OP_NO_TLSv1=67108864 OP_NO_TLSv1_1=268435456
    OP_NO_TLSv1_2=134217728 OP_NO_TLSv1_3=536870912 OP_SINGLE_DH_USE=0 OP_SINGLE_ECDH_USE=0 PROTOCOL_SSLv23=2
    PROTOCOL_TLS=2 PROTOCOL_TLS_CLIENT=16 PROTOCOL_TLS_SERVER=17 PROTOCOL_TLSv1=3 PROTOCOL_TLSv1_1=4
    PROTOCOL_TLSv1_2=5 PROTO_MAXIMUM_SUPPORTED=-1 PROTO_MINIMUM_SUPPORTED=-2 PROTO_SSLv3=768 PROTO_TLSv1=769
    PROTO_TLSv1_1=770 PROTO_TLSv1_2=771 PROTO_TLSv1_3=772 SSL_ERROR_EOF=8 SSL_ERROR_INVALID_ERROR_CODE=10
    SSL_ERROR_SSL=1 SSL_ERROR_SYSCALL=5 SSL_ERROR_WANT_CONNECT=7 SSL_ERROR_WANT_READ=2 SSL_ERROR_WANT_WRITE=3
    SSL_ERROR_WANT_X509_LOOKUP=4 SSL_ERROR_ZERO_RETURN=6 VERIFY_ALLOW_PROXY_CERTS=64 VERIFY_CRL_CHECK_CHAIN=12
    VERIFY_CRL_CHECK_LEAF=4 VERIFY_DEFAULT=0 VERIFY_X509_PARTIAL_CHAIN=524288 VERIFY_X509_STRICT=32
    VERIFY_X509_TRUSTED_FIRST=32768
"""
globals().update((pair.partition("=")[0], int(pair.partition("=")[2])) for pair in _CONSTANTS.split())

# Its beginning is read by libraries.
OPENSSL_VERSION = "OpenSSL 3.0.0, in name only: the server does TLS for its guests"
OPENSSL_VERSION_NUMBER = 0x30000000
OPENSSL_VERSION_INFO = _OPENSSL_API_VERSION = (3, 0, 0, 0, 0)
_DEFAULT_CIPHERS = "DEFAULT"
HAS_SNI = HAS_ECDH = HAS_ALPN = HAS_TLSv1_2 = HAS_TLSv1_3 = True

_SENTENCE = "a sandboxed app has no TLS of its own: the server does it"


def __getattr__(name):
    if name.startswith("HAS_"):
        return False
    raise AttributeError(f"module '_ssl' has no attribute {name!r}: {_SENTENCE}")


class SSLError(OSError):
    library = None
    reason = None

    def __str__(self):
        return str(self.strerror or self.args)


class SSLZeroReturnError(SSLError):
    pass


class SSLWantReadError(SSLError):
    pass


class SSLWantWriteError(SSLError):
    pass


class SSLSyscallError(SSLError):
    pass


class SSLEOFError(SSLError):
    pass


class SSLCertVerificationError(SSLError, ValueError):
    pass


class SSLSession:
    pass


class MemoryBIO:
    def __init__(self):
        raise SSLError(1, _SENTENCE)


def _setting(name, default):
    """A property that only remembers."""
    key = "_of_" + name

    def read(self):
        return self.__dict__.get(key, default)

    def write(self, value):
        self.__dict__[key] = value

    return property(read, write)


class _SSLContext:
    def __new__(cls, protocol=2, *_, **__):
        self = super().__new__(cls)
        self.__dict__["protocol"] = protocol
        return self

    options = _setting("options", 0)
    verify_flags = _setting("verify_flags", 0)
    verify_mode = _setting("verify_mode", 0)
    check_hostname = _setting("check_hostname", False)
    minimum_version = _setting("minimum_version", -2)
    maximum_version = _setting("maximum_version", -1)
    sni_callback = _setting("sni_callback", None)
    keylog_filename = _setting("keylog_filename", None)
    num_tickets = _setting("num_tickets", 2)
    security_level = _setting("security_level", 1)
    post_handshake_auth = _setting("post_handshake_auth", False)
    _host_flags = _setting("host_flags", 0)
    _msg_callback = _setting("msg_callback", None)

    def _nothing(self, *_, **__):
        """There is nothing to set up."""

    set_ciphers = set_default_verify_paths = load_verify_locations = load_cert_chain = _nothing
    load_dh_params = set_ecdh_curve = _set_alpn_protocols = set_alpn_protocols = _nothing

    def get_ciphers(self):
        return []

    def get_ca_certs(self, binary_form=False):
        return []

    def cert_store_stats(self):
        return {"x509": 0, "crl": 0, "x509_ca": 0}

    def session_stats(self):
        return {}

    def _wrap(self, *_, **__):
        raise SSLError(1, _SENTENCE)

    _wrap_socket = _wrap_bio = wrap_socket = wrap_bio = _wrap


def RAND_bytes(number):
    return os.urandom(number)


def RAND_status():
    return True


def RAND_add(string, entropy):
    """The server's numbers need none."""


def txt2obj(txt, name=False):
    return (0, txt, txt, txt)


def nid2obj(nid):
    raise ValueError(f"unknown NID {nid}")


def get_default_verify_paths():
    return ("SSL_CERT_FILE", "/nothing", "SSL_CERT_DIR", "/nothing")
