"""Which addresses the portal may call: public ones, and those that FTA_HTTP_ALLOW names.

A name is resolved once, its addresses are judged, and a judged address is what is dialled: a name that answers differently
a moment later (DNS rebinding) gains nothing.
"""

import ipaddress
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

from django.conf import settings

Address = IPv4Address | IPv6Address

# Not reachable from the internet, or able to carry such an address inside. Python's is_global passes several of them.
_INNER = [
    ipaddress.ip_network(net)
    for net in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/3",
        "::/96",
        "::ffff:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",
        "2002::/16",
        "fc00::/7",
        "fe80::/10",
        "ff00::/8",
    )
]


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host in the order of preference. Raises OSError or UnicodeError when there are none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def permitted(host: str, port: int, addresses: Iterable[str], trusted: bool = False) -> list[str]:
    """Return those addresses that may be dialled for this host and port; `trusted` lifts the test for inner ranges."""
    if trusted or _named(host, port):
        return list(addresses)
    return [address for address in addresses if _may_dial(ipaddress.ip_address(address), port)]


def _named(host: str, port: int) -> bool:
    wanted = host.casefold().rstrip(".")
    names = {wanted, f"{wanted}:{port}", f"[{wanted}]:{port}"}
    return any(entry.strip().casefold() in names for entry in settings.FTA_HTTP_ALLOW)


def _may_dial(address: Address, port: int) -> bool:
    if address.is_global and not any(address in net for net in _INNER if net.version == address.version):
        return True
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(_covers(entry.strip(), address, port) for entry in settings.FTA_HTTP_ALLOW)


def _covers(entry: str, address: Address, port: int) -> bool:
    """Tell whether an entry that is an address, address:port or CIDR covers the address."""
    if entry in (f"{address}:{port}", f"[{address}]:{port}"):
        return True
    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:  # a name
        return False
