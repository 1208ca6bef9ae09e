"""`netsim describe versions`: what `kubernetesVersion`, `kernel` and `cni` of a Cluster change, and who says so.

Called by: `netsim/cli/describe.py`. The rows come from the tables and constants that the code itself reads; this file
only puts them side by side.
"""

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from netsim.cluster import versions
from netsim.cluster.dns.manifests import UNCACHED_CLUSTER_NAMES_SINCE
from netsim.cluster.dns.resolvconf import EXPANDED_SINCE
from netsim.cluster.objects.registry import REMOVED_IN
from netsim.dataplane.nftables_config import FIRST_MINOR, PARTIAL_SYNC_MINOR
from netsim.engine import format_duration
from netsim.engine.switches import Release, Switch
from netsim.experiment.spec_cluster import NEWEST_MINOR, OLDEST_MINOR
from netsim.kernel import releases

_EVER: Final = (1, 0)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: since `since` the behaviour is `now`; before, it was `before`. `of` is Kubernetes, Linux or
    CNI."""

    of: str
    since: str
    component: str
    name: str
    before: str
    now: str
    what: str
    source: str


def kubernetes_switches() -> Sequence[Switch]:
    """Everything that depends on `kubernetesVersion`."""
    return (*versions.SWITCHES.values(), *_OTHERS, *_removed())


# Behaviours that live below the control plane or beside it; the releases are those modules' own constants.
_OTHERS: Final = (
    Switch(
        "kubeProxyMode nftables",
        "whether kube-proxy has the mode",
        ((_EVER, False), ((1, FIRST_MINOR), True)),
        "KEP-3866",
        component="kube-proxy",
    ),
    Switch(
        "nftables partial sync",
        "whether a sync in nftables mode writes only what has changed",
        ((_EVER, False), ((1, PARTIAL_SYNC_MINOR), True)),
        "kubernetes#126013 (pkg/proxy/nftables/proxier.go); F:kp.nftables.partialSync",
        component="kube-proxy",
    ),
    Switch(
        "resolv.conf search limits",
        "6 domains of 256 characters, or 32 of 2048",
        ((_EVER, "6 x 256"), ((1, EXPANDED_SINCE), "32 x 2048")),
        "ExpandedDNSConfig (KEP-2595), beta and on",
        component="kubelet",
    ),
    Switch(
        "CoreDNS cache of cluster names",
        "kubeadm's Corefile: whether names of the cluster are cached",
        ((_EVER, True), (UNCACHED_CLUSTER_NAMES_SINCE, False)),
        "cmd/kubeadm/app/phases/addons/dns/manifests.go (release from memory)",
        component="CoreDNS",
    ),
)


def _removed() -> Iterable[Switch]:
    by_minor: dict[int, list[str]] = {}
    for (version, kind), minor in REMOVED_IN.items():
        by_minor.setdefault(minor, []).append(f"{version} {kind}")
    for minor, names in by_minor.items():
        yield Switch(
            "old API versions in manifests",
            ", ".join(names),
            ((_EVER, "accepted"), ((1, minor), "refused")),
            "Deprecated API Migration Guide",
            component="kube-apiserver",
        )


def version_rows(first: Release, last: Release) -> list[Row]:
    """What changed after `first`, up to `last`, oldest first."""
    return _sorted(_rows("Kubernetes", switch, first, last) for switch in kubernetes_switches())


def kernel_rows() -> list[Row]:
    """What depends on the nodes' kernel."""
    return _sorted(_rows("Linux", switch, (0, 0), (99, 99)) for switch in releases.SWITCHES.values())


def _sorted(found: Iterable[Iterable[Row]]) -> list[Row]:
    rows = [row for part in found for row in part]
    return sorted(rows, key=lambda row: tuple(map(int, row.since.split("."))))


def cni_rows() -> list[Row]:
    """How the pod networks differ, in their own words."""
    from netsim.experiment.build import CNIS

    rows = []
    for name, make in CNIS.items():
        cni = make()
        link = "the pods of a node share a link" if cni.pods_on_link else "each pod is alone on its link"
        about = (inspect.getdoc(type(cni)) or "").split("\n\n")[0].replace("\n", " ")
        rows.append(Row("CNI", "", "", name, "", f"MTU {cni.mtu}; {link}", about, f"netsim/cni/{name}.py"))
    return rows


def _rows(of: str, switch: Switch, first: Release, last: Release) -> Iterable[Row]:
    unit = switch.field.endswith("_ns")
    for since, before, now in switch.changes(first, last):
        release = ".".join(map(str, since))
        yield Row(
            of, release, switch.component, switch.name, shown(before, unit), shown(now, unit),
            switch.what, switch.source,
        )  # fmt: skip


def shown(value: Any, is_duration: bool = False) -> str:
    """A value as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format_duration(value) if is_duration else f"{value:g}" if isinstance(value, float) else str(value)


OLDEST: Final = (1, OLDEST_MINOR)
NEWEST: Final = (1, NEWEST_MINOR)
