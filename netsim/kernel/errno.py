"""Error numbers that system calls and sockets report, by Linux's names and wordings (errno(3))."""

from enum import Enum


class Errno(Enum):
    """The errors a network application meets."""

    ECONNREFUSED = "Connection refused"
    ECONNRESET = "Connection reset by peer"
    ETIMEDOUT = "Connection timed out"
    EHOSTUNREACH = "No route to host"
    ENETUNREACH = "Network is unreachable"
    EADDRINUSE = "Address already in use"
    EADDRNOTAVAIL = "Cannot assign requested address"
    EPIPE = "Broken pipe"
    EMSGSIZE = "Message too long"
    EPERM = "Operation not permitted"
    ENETDOWN = "Network is down"
    EINVAL = "Invalid argument"
    EACCES = "Permission denied"
    EPROTO = "Protocol error"

    def __str__(self) -> str:
        return self.value
