"""Services that nobody asks for, to see what a large cluster does to the ones that matter.

Called by `cluster.py` when the topology says `fillers: {services: 10000, endpoints: 10}`. Each has one TCP port and
hand-written endpoints that lead nowhere: addresses of the range for benchmarks (RFC 2544, 198.18.0.0/15). Half of them
stand in a namespace that sorts before all usual ones and half in one that sorts behind, so that the Services of
interest are in the middle of the rules, where kube-proxy's random order would put them on average.
"""

from collections.abc import Iterator
from typing import Final

from netsim.cluster.objects import ApiObject, Endpoint, EndpointPort, EndpointSlice, ObjectMeta, Service
from netsim.cluster.objects.service import ServicePort, ServiceSpec
from netsim.wire.addr import Prefix, ip_text

NAMESPACES: Final = ("a-fillers", "z-fillers")
RANGE: Final = Prefix.parse("198.18.0.0/15")
_PER_SLICE: Final = 100


def fillers(services: int, endpoints: int) -> Iterator[ApiObject]:
    """Services and EndpointSlices; `endpoints` for each Service."""
    for number in range(services):
        namespace = NAMESPACES[number >= services // 2]
        name = f"filler-{number:05}"
        yield Service(
            metadata=ObjectMeta(name=name, namespace=namespace),
            spec=ServiceSpec(ports=(ServicePort(port=80),)),
        )
        addresses = [ip_text(RANGE.nth(1 + number * endpoints + i)) for i in range(endpoints)]
        for first in range(0, endpoints, _PER_SLICE):
            labels = {
                "kubernetes.io/service-name": name,
                "endpointslice.kubernetes.io/managed-by": "netsim-fillers",
            }
            yield EndpointSlice(
                metadata=ObjectMeta(name=f"{name}-{first // _PER_SLICE}", namespace=namespace, labels=labels),
                addressType="IPv4",
                endpoints=tuple(
                    Endpoint(addresses=(address,)) for address in addresses[first : first + _PER_SLICE]
                ),
                ports=(EndpointPort(port=80),),
            )
