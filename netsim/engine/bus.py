"""The record bus: whoever has something to tell publishes a frozen record; whoever wants it subscribes to its type.

A topic is a plain list that lives as long as the bus, so an emitter keeps a reference to it and pays one truth test
when nobody listens:

    subscribers = bus.topic(RequestDone)
    ...
    if subscribers:
        record = RequestDone(...)
        for subscriber in subscribers:
            subscriber(record)
"""

from collections.abc import Callable
from typing import Any

Subscriber = Callable[[Any], None]


class Bus:
    """Topics by record type."""

    def __init__(self) -> None:
        self._topics: dict[type, list[Subscriber]] = {}

    def topic(self, record_type: type) -> list[Subscriber]:
        """The list of subscribers of a record type; the same list for ever."""
        return self._topics.setdefault(record_type, [])

    def subscribe(self, record_type: type, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber(record)` for each record of that type; returns a function that ends it."""
        topic = self.topic(record_type)
        topic.append(subscriber)
        return lambda: topic.remove(subscriber)

    def publish(self, record: object) -> None:
        """Hand a record to everybody who asked for its type."""
        for subscriber in self.topic(type(record)):
            subscriber(record)
