"""The lines of one watch stream, as they arrive from the network.

Owns how a stream can end: cleanly, cut in a line, silent, or with a line past the bound. What the lines say is
`kube.reflector`'s.
"""

from __future__ import annotations

from userproxy.kube.client import ByteStream
from userproxy.kube.failures import RequestFailed
from userproxy.kube.lines import MAX_LINE_BYTES, LineSplitter, LineTooLong


class LineStream:
    """Lines of a `ByteStream`. `heard` tells whether any whole line has come."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._splitter = LineSplitter(MAX_LINE_BYTES)
        self.server = stream.server
        self.heard = False

    async def read(self, timeout: float) -> list[bytes] | None:
        """Return the lines that one network read completed (perhaps none), or None at a clean end.

        Raise RequestFailed; its reason is "stalled" after `timeout` seconds of silence.
        """
        try:
            chunk = await self._stream.read(timeout)
            lines = self._splitter.feed(chunk)
        except LineTooLong:
            text = f"the API server {self.server} sent a line of more than {MAX_LINE_BYTES} bytes"
            raise RequestFailed(text, "line_too_long", relist=True) from None
        except RequestFailed as failure:
            if failure.reason == "stalled" and not self.heard:
                # Perhaps a server that was set back and waits in silence for the version we asked for.
                failure.relist = True
            raise
        if not chunk and self._splitter.inside_line:
            raise RequestFailed(f"the API server {self.server} ended the stream inside a line", "cut")
        self.heard = self.heard or bool(lines)
        return lines if chunk else None
