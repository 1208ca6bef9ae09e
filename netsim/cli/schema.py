"""`netsim schema cluster|experiment|sweep`: the JSON Schema of netsim's documents, for editors.

Called by: `main`. In VS Code and other editors with a YAML language server, write at the top of a file:
`# yaml-language-server: $schema=./netsim.schema.json`.
"""

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel


class Document(StrEnum):
    """Which document."""

    CLUSTER = "cluster"
    EXPERIMENT = "experiment"
    SWEEP = "sweep"


def schema(
    document: Annotated[Document, typer.Argument(help="Which document.")] = Document.CLUSTER,
) -> int:
    """Print the JSON Schema of a document."""
    print(json.dumps(json_schema(document), indent=2))
    return 0


def json_schema(document: Document) -> dict[str, Any]:
    """The schema. It says nothing about documents of other kinds, so it fits a file that also holds manifests."""
    from netsim.experiment.spec_cluster import ClusterDocument
    from netsim.experiment.spec_experiment import ExperimentDocument
    from netsim.experiment.spec_sweep import SweepDocument

    models: dict[Document, type[BaseModel]] = {
        Document.CLUSTER: ClusterDocument,
        Document.EXPERIMENT: ExperimentDocument,
        Document.SWEEP: SweepDocument,
    }
    model = models[document]
    body = model.model_json_schema(by_alias=True)
    definitions = body.pop("$defs")
    for part in (body, definitions[f"{model.__name__.removesuffix('Document')}Spec"]):
        part["patternProperties"] = {"^x-": True}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"netsim {document.value}",
        "if": {"properties": {"apiVersion": {"const": "netsim/v1"}}, "required": ["apiVersion"]},
        "then": body,
        "$defs": definitions,
    }
