"""`kubectl describe` of Services, Endpoints, EndpointSlices and Ingresses.

Called by: `describe`. Source: k8s.io/kubectl/pkg/describe/describe.go, Kubernetes 1.34.
"""

from netsim.cluster.objects import Endpoints, EndpointSlice, Ingress, Service, ServicePort
from netsim.cluster.objects.ingress import IngressBackend
from netsim.experiment.kubectl.columns import NONE, labels_text
from netsim.experiment.kubectl.columns_net import address_text, host_port
from netsim.experiment.kubectl.context import Context
from netsim.experiment.kubectl.describe_parts import annotations, events_text, head, labels
from netsim.experiment.kubectl.output import view_of

UNSET = "<unset>"
_MOST = 3


def service_text(context: Context, item: Service) -> str:
    """A Service."""
    spec = item.spec
    text = head(item) + f"Selector:\t{labels_text(spec.selector)}\nType:\t{spec.type}\n"
    if spec.ipFamilyPolicy is not None:
        text += f"IP Family Policy:\t{spec.ipFamilyPolicy}\n"
    if spec.ipFamilies:
        text += f"IP Families:\t{','.join(spec.ipFamilies)}\n"
    text += f"IP:\t{spec.clusterIP}\n"
    text += f"IPs:\t{','.join(spec.clusterIPs) or NONE}\n"
    if spec.externalIPs:
        text += f"External IPs:\t{','.join(spec.externalIPs)}\n"
    if spec.externalName:
        text += f"External Name:\t{spec.externalName}\n"
    if item.status.loadBalancer.ingress:
        entries = (
            (entry.ip or entry.hostname) + (f" ({entry.ipMode})" if entry.ipMode else "")
            for entry in item.status.loadBalancer.ingress
        )
        text += f"LoadBalancer Ingress:\t{', '.join(entries)}\n"
    for port in spec.ports:
        text += _port(context, item, port)
    return text + _policies(item) + events_text(context, item)


def _port(context: Context, item: Service, port: ServicePort) -> str:
    name = port.name or UNSET
    text = f"Port:\t{name}\t{port.port}/{port.protocol}\nTargetPort:\t{port.target}/{port.protocol}\n"
    if port.nodePort:
        text += f"NodePort:\t{name}\t{port.nodePort}/{port.protocol}\n"
    return text + f"Endpoints:\t{_endpoints_of(context, item, port.name)}\n"


def _endpoints_of(context: Context, item: Service, port_name: str) -> str:
    """formatEndpointSlices: ready endpoints, three of them."""
    found: list[str] = []
    for entry in context.api.list(EndpointSlice, item.metadata.namespace):
        if entry.service_name != item.metadata.name:
            continue
        numbers = [port.port for port in entry.ports if port.name == port_name and port.port is not None]
        for endpoint in entry.endpoints:
            if endpoint.conditions.ready is not False:
                found += [host_port(address, n) for n in numbers for address in endpoint.addresses]
    text = ",".join(found[:_MOST])
    return f"{text} + {len(found) - _MOST} more..." if len(found) > _MOST else text


def _policies(item: Service) -> str:
    spec = item.spec
    text = f"Session Affinity:\t{spec.sessionAffinity}\n"
    if spec.externalTrafficPolicy:
        text += f"External Traffic Policy:\t{spec.externalTrafficPolicy}\n"
    if spec.type != "ExternalName":
        text += f"Internal Traffic Policy:\t{spec.internalTrafficPolicy}\n"
    if spec.trafficDistribution:
        text += f"TrafficDistribution:\t{spec.trafficDistribution}\n"
    if spec.healthCheckNodePort:
        text += f"HealthCheck NodePort:\t{spec.healthCheckNodePort}\n"
    if spec.loadBalancerSourceRanges:
        text += f"LoadBalancer Source Ranges:\t{','.join(spec.loadBalancerSourceRanges)}\n"
    return text


def endpoints_text(context: Context, item: Endpoints) -> str:
    """Endpoints."""
    text = head(item) + "Subsets:\n"
    for subset in item.subsets:
        ready = ",".join(entry.ip for entry in subset.addresses)
        waiting = ",".join(entry.ip for entry in subset.notReadyAddresses)
        text += f"  Addresses:\t{ready or NONE}\n  NotReadyAddresses:\t{waiting or NONE}\n"
        if subset.ports:
            text += "  Ports:\n    Name\tPort\tProtocol\n    ----\t----\t--------\n"
            for port in subset.ports:
                text += f"    {port.name or UNSET}\t{port.port}\t{port.protocol}\n"
        text += "\n"
    return text + events_text(context, item)


def slice_text(context: Context, item: EndpointSlice) -> str:
    """An EndpointSlice."""
    text = head(item) + f"AddressType:\t{item.addressType}\n"
    if item.ports:
        text += "Ports:\n  Name\tPort\tProtocol\n  ----\t----\t--------\n"
        for port in item.ports:
            text += f"  {port.name or UNSET}\t{port.port or UNSET}\t{port.protocol}\n"
    else:
        text += f"Ports:\t{UNSET}\n"
    text += "Endpoints:\n" if item.endpoints else f"Endpoints:\t{NONE}\n"
    for endpoint in item.endpoints:
        ready = UNSET if endpoint.conditions.ready is None else str(endpoint.conditions.ready).lower()
        text += f"  - Addresses:\t{', '.join(endpoint.addresses)}\n    Conditions:\n      Ready:\t{ready}\n"
        text += f"    Hostname:\t{endpoint.hostname or UNSET}\n"
        if endpoint.targetRef is not None:
            text += f"    TargetRef:\t{endpoint.targetRef.kind}/{endpoint.targetRef.name}\n"
        text += f"    NodeName:\t{endpoint.nodeName or UNSET}\n    Zone:\t{endpoint.zone or UNSET}\n"
    return text + events_text(context, item)


def ingress_text(context: Context, item: Ingress) -> str:
    """An Ingress."""
    text = f"Name:\t{item.metadata.name}\n" + labels("Labels", item.metadata.labels)
    text += f"Namespace:\t{item.metadata.namespace}\n"
    text += f"Address:\t{address_text(item, view_of(context, wide=True))}\n"
    text += f"Ingress Class:\t{item.spec.ingressClassName or NONE}\n"
    default = item.spec.defaultBackend
    text += f"Default backend:\t{_backend(context, item, default) if default else '<default>'}\n"
    text += "Rules:\n  Host\tPath\tBackends\n  ----\t----\t--------\n"
    for rule in item.spec.rules:
        text += f"  {rule.host or '*'}\t\n"
        for path in rule.http.paths if rule.http else ():
            text += f"    \t{path.path} \t{_backend(context, item, path.backend)}\n"
    return text + annotations(item.metadata.annotations) + events_text(context, item)


def _backend(context: Context, item: Ingress, backend: IngressBackend) -> str:
    """`web:80 (10.244.1.2:80)`"""
    wanted = backend.service
    if wanted is None:
        return NONE
    port = wanted.port.name or str(wanted.port.number or "")
    service = context.api.get(Service, item.metadata.namespace, wanted.name)
    if service is None:
        return f'{wanted.name}:{port} (<error: services "{wanted.name}" not found>)'
    name = next(
        (p.name for p in service.spec.ports if p.name == wanted.port.name or p.port == wanted.port.number), ""
    )
    return f"{wanted.name}:{port} ({_endpoints_of(context, service, name)})"
