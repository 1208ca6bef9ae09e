"""What the API server answers when it cannot do what was asked (k8s.io/apimachinery/pkg/api/errors)."""


class ApiError(Exception):
    """A request that the API server refused."""


class NotFoundError(ApiError):
    """404: there is no such object."""


class AlreadyExistsError(ApiError):
    """409: there is one already."""


class ConflictError(ApiError):
    """409: the object has changed since it was read (optimistic concurrency)."""


class TooManyRequestsError(ApiError):
    """429: not now (an eviction that a disruption budget does not allow)."""


class InvalidError(ApiError):
    """422: the object cannot be as it is written."""
