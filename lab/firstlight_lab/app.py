"""The server extension: where its parts are put together."""

from __future__ import annotations

import asyncio
from pathlib import Path

from jupyter_server.extension.application import ExtensionApp
from traitlets import Unicode

from .feed import Feed
from .handlers import routes
from .reading import RUN, STATE
from .stream import Stream


class FirstlightLab(ExtensionApp):
    """Below `<base_url>firstlight/`: state, events, actions, logs and the timeline."""

    name = "firstlight_lab"

    run = Unicode(RUN, help="Folder of the runner's socket and of this container's state.json.").tag(config=True)
    state = Unicode(STATE, help="Folder on the workspace with state.json.").tag(config=True)
    logs = Unicode("/var/log/supervisor", help="Folder of the logs; those of stages in its `stages`.").tag(config=True)
    command = Unicode("firstlight", help="The command that draws the timeline.").tag(config=True)
    cookie = Unicode("", help="NAME=VALUE that lets who is let in here through the portal, too.").tag(config=True)

    def initialize_handlers(self) -> None:
        self._streams: set[Stream] = set()
        feed = Feed(Path(self.run), Path(self.state))
        self.handlers.extend(routes(feed, Path(self.run), Path(self.logs), self.command, self._streams, self.cookie))

    async def stop_extension(self) -> None:
        """End what still streams, so that the server stops without leaving work behind."""
        for stream in list(self._streams):
            stream.end()
        for _ in range(100):
            if not self._streams:
                return
            await asyncio.sleep(0.01)
