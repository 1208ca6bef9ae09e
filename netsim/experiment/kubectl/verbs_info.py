"""`kubectl api-resources`, `version`, `cluster-info`, `config` (the namespace), `explain` (what is simulated).

Called by: `command`. Source: k8s.io/kubectl/pkg/cmd/{apiresources,version,clusterinfo,config}.
"""

from typing import Final

from netsim.cluster.objects import Namespace, Service
from netsim.cluster.objects.registry import KINDS
from netsim.experiment.kubectl.arguments import Flag, Given, boolean
from netsim.experiment.kubectl.context import Context, KubectlError
from netsim.experiment.kubectl.output import release
from netsim.experiment.kubectl.resources import RESOURCES
from netsim.experiment.kubectl.tabwriter import table

FLAGS: Final = (boolean("client"), Flag("output", "o"), boolean("current", help="the current context"))


def api_resources(context: Context, _given: Given) -> int:
    """kubectl api-resources"""
    lines = [("NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND")]
    for resource in sorted(RESOURCES, key=lambda item: (item.group, item.plural)):
        version = f"{resource.group}/{resource.version}" if resource.group else resource.version
        namespaced = str(resource.namespaced).lower()
        lines.append((resource.plural, ",".join(resource.short), version, namespaced, resource.kind))
    context.out(table(lines))
    return 0


def version(context: Context, _given: Given) -> int:
    """kubectl version"""
    text = release(context.cluster.spec.kubernetesVersion)
    context.out(f"Client Version: {text}\nServer Version: {text}\n")
    return 0


def cluster_info(context: Context, _given: Given) -> int:
    """kubectl cluster-info"""
    service = context.api.get(Service, "default", "kubernetes")
    address = service.spec.clusterIP if service else ""
    context.out(f"Kubernetes control plane is running at https://{address}\n")
    return 0


def config(context: Context, given: Given) -> int:
    """kubectl config current-context | set-context --current --namespace NAME"""
    if given.args == ["current-context"]:
        context.out(f"{context.cluster.topology.name}\n")
        return 0
    name = given.get("namespace")
    if given.args[:1] != ["set-context"] or not given.is_set("current") or not name:
        raise KubectlError(
            "error: only `config current-context` and `config set-context --current --namespace NAME`"
        )
    if context.api.get(Namespace, "", name) is None:
        context.err(f'Warning: there is no namespace "{name}"\n')
    context.namespace = name
    context.out(f'Context "{context.cluster.topology.name}" modified.\n')
    return 0


def explain(context: Context, given: Given) -> int:
    """kubectl explain KIND"""
    from netsim.experiment.kubectl.resources import lookup

    if not given.args:
        raise KubectlError("error: You must specify the type of resource to explain. ")
    resource = lookup(given.args[0].partition(".")[0], context.api)
    model = KINDS.get(resource.kind)
    group = f"GROUP:      {resource.group}\n" if resource.group else ""
    context.out(f"{group}KIND:       {resource.kind}\nVERSION:    {resource.version}\n\nDESCRIPTION:\n")
    if model is None:
        context.out("    Kept, without effect on packets.\n")
        return 0
    context.out(f"    {(model.__doc__ or '').strip()}\n\nFIELDS:\n")
    spec = model.model_fields.get("spec")
    parts = getattr(spec.annotation, "model_fields", {}) if spec is not None else {}
    for name in sorted(parts):
        note = "" if not parts[name].metadata else " (no effect on packets)" if _inert(parts[name]) else ""
        context.out(f"  spec.{name}{note}\n")
    return 0


def _inert(field: object) -> bool:
    from netsim.cluster.objects.inert import Inert

    return any(isinstance(mark, Inert) for mark in getattr(field, "metadata", ()))
