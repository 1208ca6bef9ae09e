"""The API server's refusals (`netsim.cluster.validation`) at their places in the file.

Called by `rules_services`, `rules_endpoints` and `rules_ingress`.
"""

from collections.abc import Iterable

from netsim.cluster.validation.field import FieldError
from netsim.experiment.rules_place import Place


def tell(errors: Iterable[FieldError], place: Place) -> None:
    """Record them."""
    for error in errors:
        place.error(error.path, error.message, key=error.key)
