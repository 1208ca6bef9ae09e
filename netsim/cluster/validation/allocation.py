"""What the allocators of cluster addresses and node ports answer.

Called by `netsim.cluster.ipam` and by the loader's rules. Sources:
pkg/registry/core/service/{ipallocator,portallocator} (ErrNotInRange, ErrAllocated),
pkg/registry/core/service/storage/alloc.go (how they are wrapped).
"""

from typing import Final

PORT_ALLOCATED: Final = "provided port is already allocated"
ADDRESS_ALLOCATED: Final = "provided IP is already allocated"


def port_not_in_range(low: int, high: int) -> str:
    """ErrNotInRange of the port allocator."""
    return f"provided port is not in the valid range. The range of valid ports is {low}-{high}"


def address_not_in_range(address: str, subnet: str) -> str:
    """ErrNotInRange of the address allocator."""
    return f"the provided IP ({address}) is not in the valid range. The range of valid IPs is {subnet}"


def failed_address(address: str, why: str) -> str:
    """How alloc.go wraps it."""
    return f"failed to allocate IP {address}: {why}"


def failed_health_port(port: int, why: str) -> str:
    """How alloc.go wraps it."""
    return f"failed to allocate requested HealthCheck NodePort {port}: {why}"
