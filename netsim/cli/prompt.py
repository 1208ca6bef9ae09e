"""The prompt of `netsim shell`: prompt_toolkit with completion, and a history that outlives the session.

Called by: `shell`, at a real terminal only.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from netsim.experiment.terminal.completion import complete
from netsim.experiment.terminal.line import here_document

if TYPE_CHECKING:
    from netsim.experiment.terminal.session import Session


class _Completer(Completer):
    def __init__(self, session: "Session") -> None:
        self._session = session

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        typed, found = complete(self._session, document.text_before_cursor)
        for text in found:
            yield Completion(text, start_position=-len(typed))


def reader(session: "Session") -> "Callable[[], tuple[str, str | None]]":
    """A function that asks for a line (and a here-document). It raises KeyboardInterrupt and EOFError."""
    prompt: PromptSession[str] = PromptSession(
        history=_history(),
        completer=_Completer(session),
        complete_while_typing=False,
        auto_suggest=AutoSuggestFromHistory(),
        enable_suspend=True,
    )

    def ask() -> tuple[str, str | None]:
        line = prompt.prompt(session.prompt)
        while line.endswith("\\"):
            line = line[:-1] + prompt.prompt("> ")
        line, end = here_document(line)
        if not end:
            return line, None
        found: list[str] = []
        while (text := prompt.prompt("> ")).strip() != end:
            found.append(text)
        return line, "".join(f"{text}\n" for text in found)

    return ask


def _history() -> History:
    """~/.local/state/netsim/history (XDG_STATE_HOME); in memory where that cannot be written."""
    home = os.environ.get("XDG_STATE_HOME")
    try:
        folder = (Path(home) if home else Path.home() / ".local" / "state") / "netsim"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "history"
        file.touch(mode=0o600)
        return FileHistory(str(file))
    except (OSError, RuntimeError):
        return InMemoryHistory()
