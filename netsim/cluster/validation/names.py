"""Names, ports and addresses: what is wrong with a text, in the API server's words.

Used by the other files of this folder; each function gives the details for `field.invalid`. Sources:
apimachinery/pkg/util/validation/{validation,ip}.go, pkg/apis/core/validation (ValidateNonSpecialIP).
"""

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_LABEL}(\.{_LABEL})*"
_WILDCARD: Final = rf"\*\.{_SUBDOMAIN}"
_DNS1035: Final = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED: Final = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"


def _regex_error(message: str, pattern: str, *examples: str) -> str:
    """RegexError in validation.go, double spaces included."""
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{message} (e.g. {shown}regex used for validation is '{pattern}')"


_LABEL_WORDS: Final = _regex_error(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character",
    _LABEL,
    "my-name",
    "123-abc",
)
_SUBDOMAIN_WORDS: Final = _regex_error(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character",
    _SUBDOMAIN,
    "example.com",
)
_WILDCARD_WORDS: Final = _regex_error(
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
    "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    _WILDCARD,
    "*.example.com",
)
_DNS1035_WORDS: Final = _regex_error(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character",
    _DNS1035,
    "my-name",
    "abc-123",
)
_QUALIFIED_WORDS: Final = _regex_error(
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character",
    _QUALIFIED,
    "MyName",
    "my.name",
    "123-abc",
)
_LABEL_VALUE: Final = rf"({_QUALIFIED})?"
_LABEL_VALUE_WORDS: Final = _regex_error(
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character",
    _LABEL_VALUE,
    "MyValue",
    "my_value",
    "12345",
)
PORT_NUMBER: Final = "must be between 1 and 65535, inclusive"
NOT_AN_ADDRESS: Final = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
NOT_A_CIDR: Final = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def _shaped(text: str, pattern: str, words: str, most: int) -> Iterator[str]:
    if len(text) > most:
        yield f"must be no more than {most} bytes"
    if not re.fullmatch(pattern, text):
        yield words


def dns1123_label(text: str) -> Iterator[str]:
    """IsDNS1123Label."""
    return _shaped(text, _LABEL, _LABEL_WORDS, 63)


def dns1123_subdomain(text: str) -> Iterator[str]:
    """IsDNS1123Subdomain."""
    return _shaped(text, _SUBDOMAIN, _SUBDOMAIN_WORDS, 253)


def wildcard_subdomain(text: str) -> Iterator[str]:
    """IsWildcardDNS1123Subdomain."""
    return _shaped(text, _WILDCARD, _WILDCARD_WORDS, 253)


def dns1035_label(text: str) -> Iterator[str]:
    """IsDNS1035Label: the name of a Service."""
    return _shaped(text, _DNS1035, _DNS1035_WORDS, 63)


def qualified_name(text: str) -> Iterator[str]:
    """IsQualifiedName: an optional prefix, a slash, a name."""
    prefix, slash, name = text.rpartition("/")
    if slash and not prefix:
        yield "prefix part must be non-empty"
    elif slash:
        for problem in dns1123_subdomain(prefix):
            yield f"prefix part {problem}"
    if not name:
        yield "name part must be non-empty"
    else:
        yield from _shaped(name, _QUALIFIED, _QUALIFIED_WORDS, 63)


def label_value(text: str) -> Iterator[str]:
    """IsValidLabelValue"""
    yield from _shaped(text, _LABEL_VALUE, _LABEL_VALUE_WORDS, 63)


def port_number(number: int) -> Iterator[str]:
    """IsValidPortNum."""
    if not 1 <= number <= 65535:
        yield PORT_NUMBER


def port_name(text: str) -> Iterator[str]:
    """IsValidPortName: RFC 6335 (IANA_SVC_NAME)."""
    if len(text) > 15:
        yield "must be no more than 15 bytes"
    if not re.fullmatch(r"[-a-z0-9]+", text):
        yield "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not re.search(r"[a-z]", text):
        yield "must contain at least one letter (a-z)"
    if "--" in text:
        yield "must not contain consecutive hyphens"
    if text[:1] == "-" or text[-1:] == "-":
        yield "must not begin or end with a hyphen"


def address(text: str, version: int = 0) -> Iterator[str]:
    """IsValidIP, IsValidIPv4Address, IsValidIPv6Address."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        yield f"must be a valid IPv{version} address" if version else NOT_AN_ADDRESS
        return
    if version not in (0, found.version):
        yield f"must be a valid IPv{version} address"


def cidr(text: str) -> Iterator[str]:
    """IsValidCIDR; bits beyond the prefix length do no harm (they are ignored)."""
    try:
        if "/" not in text:
            raise ValueError
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        yield NOT_A_CIDR


def non_special(text: str) -> Iterator[str]:
    """ValidateNonSpecialIP: addresses that mean the node itself or its own segment."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return
    if found.is_unspecified:
        yield f"may not be unspecified ({text})"
    if found.is_loopback:
        yield "may not be in the loopback range (127.0.0.0/8, ::1/128)"
    if found.is_link_local:
        yield "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
    if any(found in net for net in _LINK_LOCAL_MULTICAST if net.version == found.version):
        yield "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"


_LINK_LOCAL_MULTICAST: Final = (ipaddress.ip_network("224.0.0.0/24"), ipaddress.ip_network("ff02::/16"))
