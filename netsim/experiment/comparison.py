"""The results of an experiment with variants: the same seeds, some fields set otherwise, side by side.

Called by `Experiment.run` and `netsim run`. The folder that is written holds

    run.json             what was run, with the fingerprint of each variant
    report.html          the variants side by side and each by itself, in one page
    comparison.parquet   one row per variant and Service
    VARIANT/             the results of each variant, as of any experiment
    figures/             the variants side by side
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from netsim.experiment.folder import MANIFEST, write_folder
from netsim.experiment.report import write_report
from netsim.experiment.results import Results, read_manifest
from netsim.measure.comparison import Condition

if TYPE_CHECKING:
    import pandas as pd

    from netsim.experiment.loader import ExperimentBundle
    from netsim.measure.comparison import Variant
    from netsim.measure.style import Plot

SCHEMA_VERSION: Final = 1
# What a variant may set and still differ from the others in proxy mode and number of Services only.
_MODES: Final = ("cluster.networking.kubeProxyMode", "cluster.kubeProxy.mode")
_SIZE: Final = "cluster.fillers.services"


def conditions(bundle: "ExperimentBundle") -> dict[str, Condition]:
    """In which proxy mode and with how many fillers each variant ran; empty if they differ in something else, too."""
    if not all(key in (*_MODES, _SIZE) for variant in bundle.spec.variants for key in variant.set):
        return {}
    specs = {variant.name: variant.topology.spec for variant in bundle.variants}
    return {
        name: Condition(spec.networking.kubeProxyMode, spec.fillers.services) for name, spec in specs.items()
    }


class Comparison:
    """`results` holds the results of each variant by its name, in the order of the file; `conditions` what sets the
    variants apart, where that is the proxy mode and the number of Services; `command` runs all again."""

    KIND: ClassVar[str] = "ComparisonResult"

    def __init__(
        self,
        name: str,
        results: Mapping[str, Results],
        conditions: Mapping[str, Condition] | None = None,
        command: str = "",
    ) -> None:
        self.name = name
        self.command = command
        self.results = dict(results)
        self.conditions = dict(conditions or {})

    def __getitem__(self, variant: str) -> Results:
        return self.results[variant]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the fingerprints of the variants."""
        text = "".join(f"{name} {result.fingerprint}\n" for name, result in self.results.items())
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def passed(self) -> bool:
        """Whether the checks of all variants hold."""
        return all(result.passed for result in self.results.values())

    @cached_property
    def table(self) -> "pd.DataFrame":
        """One row per variant and Service; see `netsim.measure.comparison`."""
        from netsim.measure.comparison import comparison_frame

        return comparison_frame(self._variants())

    def _variants(self) -> "list[Variant]":
        from netsim.measure.comparison import Variant

        nothing = Condition()
        return [
            Variant(name, result.analysis, self.conditions.get(name, nothing))
            for name, result in self.results.items()
        ]

    # ------------------------------------------------------------------ showing
    def text(self) -> str:
        """The report for a terminal."""
        from netsim.measure.cause_words import cause_overview
        from netsim.measure.comparison import comparison_lines
        from netsim.measure.text import check_overview, header_lines, wrapped

        first = next(iter(self.results.values()))
        head = header_lines(first.header(self.name, self.fingerprint))[0]
        number = f"{self.name}: {len(self.results)} variants, each"
        sections = [[head.replace(f"{self.name}:", number, 1)], *comparison_lines(self._variants())]
        sections.append(cause_overview({name: result.causes for name, result in self.results.items()}))
        sections += check_overview({name: result.checks for name, result in self.results.items()})
        notes = dict.fromkeys(note for result in self.results.values() for note in result.info.warnings)
        sections.append(wrapped(list(notes), "note: "))
        return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.text())}</pre>"

    # ------------------------------------------------------------------ keeping
    def write(self, folder: str | Path, figures: bool = True) -> Path:
        """Write the result folder, all or nothing. Raises FileExistsError when something else is there."""
        target = Path(folder)
        write_folder(target, lambda part: self._fill(part, figures))
        return target

    def _fill(self, part: Path, figures: bool) -> None:
        self.table.to_parquet(part / "comparison.parquet", index=False)
        if figures:
            from netsim.measure.figures_compare import comparison_plots

            (part / "figures").mkdir()
            for name, plot in (*comparison_plots(self.table), *self._client_plots()):
                (part / "figures" / f"{name}.png").write_bytes(plot.png())
        for name, result in self.results.items():
            result.write(part / name, figures=figures)
        write_report(part, self)
        text = json.dumps(self.manifest(), indent=2, ensure_ascii=False)
        (part / MANIFEST).write_text(text + "\n", encoding="utf-8")

    def _client_plots(self) -> "Iterator[tuple[str, Plot]]":
        """How long each client was hurt, where there are several and a fault."""
        from netsim.measure.figures_hurt import hurt_plot
        from netsim.measure.hurt import hurt_frame

        frames = {name: hurt_frame(r.requests, r.events) for name, r in self.results.items()}
        if len({load for frame in frames.values() for load in frame["load"]}) > 1:
            yield "clients", hurt_plot(frames)

    def manifest(self) -> dict[str, Any]:
        """The contents of `run.json`."""
        return {
            "schemaVersion": SCHEMA_VERSION,
            "kind": self.KIND,
            "name": self.name,
            "command": self.command,
            "fingerprint": self.fingerprint,
            "variants": {name: result.fingerprint for name, result in self.results.items()},
            "conditions": {name: asdict(condition) for name, condition in self.conditions.items()},
        }

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """Read a result folder back. FileNotFoundError when it is none, ValueError when it is damaged or too new."""
        manifest = read_manifest(Path(folder))
        results = {name: Results.read(Path(folder) / name) for name in manifest["variants"]}
        found = {name: Condition(**entry) for name, entry in manifest.get("conditions", {}).items()}
        return cls(manifest["name"], results, found, manifest.get("command", ""))
