"""One HTTP connection (`Connection`): uvicorn's on httptools, with limits on what a client sends, owes or reads."""

import fcntl
import socket
import struct
import termios
from collections import deque
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from foveal.formats import to_json
from foveal.service.connections.table import ConnectionTable
from foveal.service.errors import (
    MEDIA_TYPE,
    BadHead,
    HeadTooLarge,
    RequestError,
    TooManyConnections,
    problem,
)

HEAD_BYTES = 64_000  # of a request line and its header fields
HEAD_FIELDS = 256
FIRST_CHUNKS, CHUNK_BYTES = 1024, 256  # chunks of a body that may be of any size; what all of them have on average
PIPELINED = 16  # requests that a client may send ahead of their answers
LINGER_S, LINGER_BYTES = 1.0, 10_000_000  # how long, and how much of, a body that nobody reads is still received
WRITE_STEP = 64_000  # bytes that a client reads in `write_s` at least, if so many are left


_ENCODING = b"transfer-encoding"


class _Writing:
    """What a request sees of its connection's transport: closing it waits for what the client still sends."""

    def __init__(self, connection: "Connection") -> None:
        self.write, self.is_closing = connection.transport.write, connection.transport.is_closing
        self.close = connection.close_behind_answer


class Connection(HttpToolsProtocol):
    """A connection, in the event loop's thread. Requests to upgrade to another protocol are answered as HTTP/1.1."""

    def __init__(self, *arguments: Any, table: ConnectionTable, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._table = table
        self.timeout_keep_alive = table.limits.keep_alive_s  # type: ignore[assignment]  # uvicorn allows whole seconds
        self._in_message = self._in_head = False
        self._head_bytes = self._framing = self._body_bytes = self._chunks = 0
        self._refused = False  # all that still comes is discarded
        self._discarded = 0
        self._unsent, self._unsent_since = 0, 0.0

    def connection_made(self, transport: Any) -> None:
        """asyncio."""
        super().connection_made(transport)
        self._table.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio."""
        self._table.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """asyncio. While a head is incomplete, no more of it is parsed than it may have.

        A body must be the greater part of what it comes in, chunk sizes, their extensions and trailers being the other.
        """
        left = memoryview(data)
        while left:
            if self._refused:
                self._discard(len(left))
                return
            ahead = not self._in_message or self._in_head
            piece = left[: HEAD_BYTES - self._head_bytes] if ahead else left
            left = left[len(piece) :]
            started = self._in_head
            self._feed(piece)
            if not ahead:
                self._framing += len(piece)
                if self._framing > HEAD_BYTES + 2 * self._body_bytes:
                    self._reset()
                    return
            if self._in_head and not self._refused:
                self._head_goes_on(len(piece) if ahead else 0, started)

    def _feed(self, piece: memoryview) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            pass  # answered as any other; see on_headers_complete
        except httptools.HttpParserError:
            self._refuse(BadHead("expected HTTP/1.1, got something else"))

    def _head_goes_on(self, added: int, started: bool) -> None:
        self._head_bytes += added
        if self._head_bytes >= HEAD_BYTES:
            self._refuse(HeadTooLarge(f"expected a request line and header of less than {HEAD_BYTES} bytes, got more"))
        elif not started and self.cycle is not None and self.cycle.response_complete:
            self._table.wait(self, self._table.limits.head_s)  # of a first request, it began with the connection

    def on_message_begin(self) -> None:
        """httptools."""
        super().on_message_begin()
        self._in_message = self._in_head = True
        self._head_bytes = self._framing = self._body_bytes = self._chunks = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools. Fields are counted as they come: of an incomplete head thousands would take megabytes."""
        if self._in_head:
            if len(self.headers) >= HEAD_FIELDS:
                self._end_parsing(HeadTooLarge(f"expected at most {HEAD_FIELDS} header fields, got more"))
            if len(name) == len(_ENCODING) and name.lower() == _ENCODING:
                again = any(each == _ENCODING for each, _ in self.headers)
                if again or value.strip().lower() != b"chunked":
                    self._end_parsing(BadHead("expected no Transfer-Encoding but one 'chunked', got another"))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """httptools. The request starts; the last one if the service is about to stop."""
        self._in_head, self._head_bytes = False, 0
        if len(self.pipeline) >= PIPELINED:
            self._end_parsing(BadHead(f"expected at most {PIPELINED} requests ahead of their answers, got more"))
        super().on_headers_complete()
        self.cycle.transport = _Writing(self)  # type: ignore[assignment]  # all that a cycle needs of one
        self.headers = deque(maxlen=0)  # type: ignore[assignment]  # where trailers go, which nobody reads
        self._table.work(self)
        if self._table.draining or self.parser.should_upgrade():
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """httptools."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_chunk_header(self) -> None:
        """httptools. Each chunk costs the event loop as much as some kilobytes."""
        self._chunks += 1
        if self._chunks > FIRST_CHUNKS + self._body_bytes // CHUNK_BYTES:
            self._reset()
            raise ConnectionAbortedError

    def on_message_complete(self) -> None:
        """httptools."""
        self._in_message = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """uvicorn. The client now owes the next request, or the rest of this one's body, which nobody reads."""
        super().on_response_complete()
        if self.cycle.response_complete and not self._refused and not self.transport.is_closing():
            limits = self._table.limits
            self._table.wait(self, limits.head_s if self._in_message else limits.keep_alive_s)

    def _should_upgrade(self) -> bool:
        return False

    def turn_away(self) -> None:
        """Answer that there are too many connections, and close."""
        number = self._table.limits.connections
        self._refuse(TooManyConnections(f"expected at most {number} open connections, got more"))

    def close_behind_answer(self) -> None:
        """Close; while a body still comes it is discarded for a while, or a reset would take the answer with it.

        RFC 9112, 9.6.
        """
        if not self._in_message or self.transport.is_closing():
            self.transport.close()
            return
        self._refused = True
        self.pipeline.clear()
        self.transport.write_eof()
        self._table.wait(self, LINGER_S)

    def _end_parsing(self, error: RequestError) -> None:
        self._refuse(error)
        raise ConnectionAbortedError

    def _refuse(self, error: RequestError) -> None:
        """Answer without the application and close. What still comes is discarded for a while."""
        if self._refused:
            return
        self._refused = True
        self._table.on_refusal(error)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False  # the earlier request's answer is the last
            return
        body = to_json(problem(error))
        fields = [*self.server_state.default_headers, *((n.encode(), v.encode()) for n, v in error.headers.items())]
        fields += [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body))]
        head = b"".join(b"%b: %b\r\n" % field for field in fields)
        self.transport.write(STATUS_LINE[error.status] + head + b"\r\n" + body)
        self.transport.write_eof()
        self._table.wait(self, LINGER_S)

    def _discard(self, count: int) -> None:
        self._discarded += count
        if self._discarded > LINGER_BYTES:
            self._reset()

    def close(self) -> None:
        """Close in order."""
        self._table.closed(self)
        self.transport.close()

    def check_written(self, now: float) -> None:
        """Reset the connection if in `write_s` its client has read less than WRITE_STEP, and not all."""
        unsent = self.transport.get_write_buffer_size()
        if self.cycle is not None and not unsent and not self.transport.is_closing():
            unsent = _queued(self.transport.get_extra_info("socket"))
        if not unsent or not self._unsent or unsent <= self._unsent - WRITE_STEP:
            self._unsent, self._unsent_since = unsent, now
        elif now - self._unsent_since > self._table.limits.write_s:
            self._table.unread = True
            self._reset()

    def _reset(self) -> None:
        """Close at once; the operating system drops its unsent bytes too."""
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def _queued(connection: Any) -> int:
    """Bytes in the operating system's queue that the client has not acknowledged."""
    (queued,) = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))
    return int(queued)
