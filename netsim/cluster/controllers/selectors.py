"""Which Services select a pod, without asking every Service.

Called by: the EndpointSlice controller. A selector is filed under one of its labels; a pod looks only under its own.
"""

from collections.abc import Iterator, Mapping

from netsim.cluster.apiserver import Key
from netsim.cluster.objects import Pod, matches_labels

Label = tuple[str, str, str]


def label_pairs(pod: Pod) -> Iterator[Label]:
    """(namespace, key, value) of each of the pod's labels, as index keys."""
    namespace = pod.metadata.namespace
    for key, value in pod.metadata.labels.items():
        yield namespace, key, value


class SelectorIndex:
    """Equality selectors by one of their labels."""

    def __init__(self) -> None:
        self._selectors: dict[Key, Mapping[str, str]] = {}
        self._by_label: dict[Label, dict[Key, None]] = {}

    def add(self, key: Key, selector: Mapping[str, str]) -> None:
        """File a selector, which must not be empty."""
        self._selectors[key] = selector
        self._by_label.setdefault(self._place(key, selector), {})[key] = None

    def remove(self, key: Key) -> None:
        """Forget a selector; harmless for an unknown one."""
        selector = self._selectors.pop(key, None)
        if selector is not None:
            self._by_label[self._place(key, selector)].pop(key, None)

    def matching(self, namespace: str, labels: Mapping[str, str]) -> list[Key]:
        """The selectors of this namespace that select these labels."""
        found = []
        for name, value in labels.items():
            for key in self._by_label.get((namespace, name, value), ()):
                if matches_labels(self._selectors[key], labels):
                    found.append(key)
        return found

    def _place(self, key: Key, selector: Mapping[str, str]) -> Label:
        name = min(selector)
        return key[0], name, selector[name]
