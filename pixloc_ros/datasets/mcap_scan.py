"""mcap files whose index is missing or damaged, read record by record from their beginning.

rosbags reads mcap files by the index at their end. A recording that was cut off has none; here
everything up to the last whole record is found by reading the file once
(https://mcap.dev/spec, version 0).
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pixloc_ros.core.errors import DataError

MAGIC = b"\x89MCAP0\r\n"
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, DATA_END = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0F
#: A record: operation, length; a message in it: channel, sequence, log time, publish time.
_HEAD, _MESSAGE, _CHUNK = struct.Struct("<BQ"), struct.Struct("<HIQQ"), struct.Struct("<QQQI")


class _Place(NamedTuple):
    """Where a message's bytes lie: in the chunk at a place of the file, or (-1) in the file."""

    log_ns: int
    channel: int
    chunk: int
    offset: int
    length: int


class McapScan:
    """One mcap file with the attributes of rosbags' readers; `lost` says what could not be read.

    DataError: the file is no mcap.
    """

    def __init__(self, path: Path):
        self.path = path
        self.lost = ""
        self._file = path.open("rb")
        self._size = path.stat().st_size
        if self._file.read(len(MAGIC)) != MAGIC:
            self._file.close()
            raise DataError(f"{path} is no mcap file: its first bytes are others")
        self._schemas: dict[int, str] = {}
        self._channels: dict[int, tuple] = {}
        self._places: list[_Place] = []
        self._open_chunk: tuple[int, bytes] = -1, b""
        self._scan()
        self._places.sort(key=lambda place: place.log_ns)
        self.connections = self._connections()
        self.start_time = self._places[0].log_ns if self._places else 2**63 - 1
        self.end_time = self._places[-1].log_ns + 1 if self._places else 0

    def messages(
        self, connections: Collection, start: int | None = None, stop: int | None = None
    ) -> Iterator[tuple]:
        """(connection, log time, bytes) in the order of the log times."""
        wanted = {connection.id: connection for connection in connections}
        first, last = (
            default if time is None else bisect_left(self._places, time, key=lambda p: p.log_ns)
            for time, default in ((start, 0), (stop, len(self._places)))
        )
        for place in self._places[first:last]:
            if place.channel in wanted:
                yield wanted[place.channel], place.log_ns, self._bytes(place)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _scan(self) -> None:
        position, damaged = len(MAGIC), 0
        while True:
            self._file.seek(position)
            head = self._file.read(_HEAD.size)
            operation, length = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0)
            end = position + _HEAD.size + length
            if operation in (FOOTER, DATA_END):
                break
            if operation == 0 or end > self._size:
                self.lost = f"it ends in the middle of a record at byte {position}; "
                break
            if operation == CHUNK:
                try:
                    self._records(self._chunk(position), position)
                except Exception:  # whatever rosbags' decompressors make of damaged bytes
                    damaged += 1
            elif operation == MESSAGE:
                channel, _, log_ns, _ = _MESSAGE.unpack(self._file.read(_MESSAGE.size))
                offset = position + _HEAD.size + _MESSAGE.size
                self._places.append(_Place(log_ns, channel, -1, offset, end - offset))
            elif operation in (SCHEMA, CHANNEL):
                self._declare(operation, self._file.read(length))
            position = end
        if damaged:
            self.lost += f"{damaged} damaged parts of it are left out; "

    def _records(self, data: bytes, chunk: int) -> None:
        """Take in what is declared and where messages lie in a chunk's records."""
        position = 0
        while position < len(data):
            operation, length = _HEAD.unpack_from(data, position)
            body, position = position + _HEAD.size, position + _HEAD.size + length
            if operation == MESSAGE:
                channel, _, log_ns, _ = _MESSAGE.unpack_from(data, body)
                offset = body + _MESSAGE.size
                self._places.append(_Place(log_ns, channel, chunk, offset, position - offset))
            elif operation in (SCHEMA, CHANNEL):
                self._declare(operation, data[body:position])

    def _declare(self, operation: int, data: bytes) -> None:
        (number,) = struct.unpack_from("<H", data)
        if operation == SCHEMA:
            self._schemas[number] = _string(data, 2)[0].decode()
            return
        (schema,) = struct.unpack_from("<H", data, 2)
        topic, after = _string(data, 4)
        encoding, after = _string(data, after)
        metadata, _ = _string(data, after)
        self._channels[number] = schema, topic.decode(), encoding.decode(), metadata

    def _connections(self) -> list:
        from rosbags.interfaces import (
            Connection,
            ConnectionExtRosbag2,
            MessageDefinition,
            MessageDefinitionFormat,
        )
        from rosbags.rosbag2.storage_mcap import get_qos

        none = MessageDefinition(MessageDefinitionFormat.NONE, "")
        counts = Counter(place.channel for place in self._places)
        found = []
        for number, (schema, topic, encoding, metadata) in self._channels.items():
            qos: list = []
            with suppress(
                Exception
            ):  # how others wrote it down; without it a publisher is reliable
                qos = get_qos(metadata)
            kind = self._schemas.get(schema, "")
            ext = ConnectionExtRosbag2(encoding, qos)
            found.append(Connection(number, topic, kind, none, "", counts[number], ext, self))
        return found

    def _bytes(self, place: _Place) -> bytes:
        if place.chunk < 0:
            self._file.seek(place.offset)
            return self._file.read(place.length)
        if self._open_chunk[0] != place.chunk:
            self._open_chunk = place.chunk, self._chunk(place.chunk)
        return self._open_chunk[1][place.offset : place.offset + place.length]

    def _chunk(self, position: int) -> bytes:
        """The records in the chunk whose own record begins there."""
        from rosbags.rosbag2.storage_mcap import decompress

        self._file.seek(position)
        _, length = _HEAD.unpack(self._file.read(_HEAD.size))
        data = self._file.read(length)
        _, _, size, checksum = _CHUNK.unpack_from(data)
        compression, after = _string(data, _CHUNK.size)
        (packed,) = struct.unpack_from("<Q", data, after)
        return decompress(
            data[after + 8 : after + 8 + packed], compression.decode(), size, checksum
        )


def _string(data: bytes, offset: int) -> tuple[bytes, int]:
    """A string or map with its length before it, and where it ends."""
    (length,) = struct.unpack_from("<I", data, offset)
    return data[offset + 4 : offset + 4 + length], offset + 4 + length
