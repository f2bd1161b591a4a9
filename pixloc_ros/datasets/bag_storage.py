"""The files of a bag: rosbag2 folders, bare mcap and db3 files, ROS 1 .bag files.

What is stored counts; metadata.yaml only tells the order of the files and their compression, so
that folders without one, or with a wrong one, are read too. A file that was cut off is read as far
as it goes. Messages come out as CDR, those of ROS 1 too.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import yaml

from pixloc_ros.core.errors import DataError
from pixloc_ros.datasets.mcap_scan import McapScan

log = logging.getLogger(__name__)

SUFFIXES = (".mcap", ".db3", ".bag")
#: Types of ROS 1 that have another name in ROS 2 and the same fields.
RENAMED = {"tf/msg/tfMessage": "tf2_msgs/msg/TFMessage"}
#: What to do about a file that cannot be read at all.
REMEDIES = {
    ".mcap": "record or copy it again",
    ".db3": "try `sqlite3 FILE .recover | sqlite3 NEW.db3`",
    ".bag": "try `rosbag reindex FILE`",
}


def is_bag(path: Path) -> bool:
    """Whether a bag lies there: a file of `SUFFIXES`, or a folder of such or of metadata.yaml."""
    if path.is_dir():
        return (path / "metadata.yaml").is_file() or bool(_files_in(path))
    return path.suffix in SUFFIXES and path.is_file()


class BagStorage:
    """An open bag. connections: of rosbags, one for each topic and file of the bag.

    DataError for what is no bag, or where nothing can be read; what is lost of one that can be read
    is said in a warning.
    """

    def __init__(self, path: Path):
        from rosbags.typesys import Stores, get_typestore

        self.path = path
        self._types = get_typestore(Stores.ROS2_JAZZY)
        self._parts = [part for part in map(self._opened, self._sources()) if part is not None]
        if not self._parts:
            raise DataError(f"{path}: none of its files can be read; record or copy it again")
        self.connections = [c for part in self._parts for c in _connections(part)]
        self.start_ns = min(part.start_time for part in self._parts)
        self.end_ns = max(part.end_time for part in self._parts)

    def messages(
        self, topics: Collection[str], start: int | None = None, stop: int | None = None
    ) -> Iterator[tuple[int, Any, bytes]]:
        """(log time in ns, connection, CDR bytes) of the topics, in the order of the log.

        start, stop: log times (ns) from which and before which messages are wanted.
        """
        streams = [self._of_part(i, topics, start, stop) for i in range(len(self._parts))]
        yield from heapq.merge(*streams, key=lambda message: message[0])

    def close(self) -> None:
        """Close the files."""
        for part in self._parts:
            part.close()

    def _sources(self) -> list[Path]:
        """The files to read, or the folder itself where rosbags is to unpack it."""
        if not self.path.exists():
            raise DataError(f"{self.path}: there is no such file or folder")
        if self.path.is_file():
            if self.path.suffix not in SUFFIXES:
                raise DataError(f"{self.path} is no bag; bags end in {', '.join(SUFFIXES)}")
            return [self.path]
        files = _files_in(self.path)
        try:
            information = _information(self.path)
        except DataError as error:
            if not files:
                raise DataError(
                    f"{self.path} is no bag: {error}, and there is no {', '.join(SUFFIXES)} file"
                ) from error
            log.warning("%s: %s; its files are read by their names", self.path, error)
            return files
        if (information.get("compression_mode") or "none").lower() != "none":
            return [self.path]
        named = [self.path / Path(name).name for name in information["relative_file_paths"]]
        missing = [file.name for file in named if not file.is_file()]
        if missing:
            log.warning("%s: %s missing; the rest is read", self.path, ", ".join(missing))
            named = [file for file in named if file.is_file()]
        return named or files

    def _opened(self, source: Path) -> Any:
        """A reader of one source, or None (said) where others of the bag may be read without it."""
        from rosbags import rosbag1, rosbag2

        try:
            reader = (rosbag1.Reader if source.suffix == ".bag" else rosbag2.Reader)(source)
            reader.open()
            indexed = source.suffix != ".mcap" or getattr(reader.storage, "chunks", True)
            if indexed:
                return reader
            reader.close()  # rosbags refuses files without an index whose messages are out of order
        except Exception as error:  # whatever rosbags makes of damaged bytes
            if source.suffix != ".mcap":
                return self._given_up(source, error)
        try:
            return self._scanned(source)
        except (DataError, OSError) as error:
            return self._given_up(source, error)

    def _scanned(self, source: Path) -> McapScan:
        scan = McapScan(source)
        if scan.lost:
            log.warning("%s: %sthe rest is read", source, scan.lost)
        return scan

    def _given_up(self, source: Path, error: Exception) -> None:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        text = (
            f"{source} cannot be read: {reason}; {REMEDIES.get(source.suffix, 'record it again')}"
        )
        if source == self.path:
            raise DataError(text) from error
        log.warning("%s; the rest of the bag is read", text)

    def _of_part(
        self, number: int, topics: Collection[str], start: int | None, stop: int | None
    ) -> Iterator[tuple[int, Any, bytes]]:
        part, unread = self._parts[number], start
        chosen = {c.id: c for c in _connections(part) if c.topic in topics}
        if not chosen:
            return
        try:
            for connection, log_ns, raw in part.messages(chosen.values(), start, stop):
                unread = log_ns + 1
                yield log_ns, chosen[connection.id], self._as_cdr(chosen[connection.id], raw)
        except Exception as error:  # whatever rosbags makes of damaged bytes
            if not isinstance(getattr(part, "storage", None), _mcap_reader()):
                reason = " ".join(str(error).split())[:200]
                raise DataError(
                    f"{part.path} is damaged: {reason}; {REMEDIES.get(part.path.suffix)}"
                ) from error
            if self._parts[number] is part:
                self._parts[number] = self._scanned(part.path)
                part.close()
            yield from self._of_part(number, topics, unread, stop)

    def _as_cdr(self, connection: Any, raw: bytes) -> bytes:
        """The message; no bytes where it is of ROS 1 and not what its type says in ROS 2."""
        if getattr(connection.ext, "serialization_format", "ros1") != "ros1":
            return raw
        try:
            return self._types.ros1_to_cdr(raw, connection.msgtype)
        except Exception:  # unknown types and damaged bytes alike: no reader can use it
            return b""


def _mcap_reader() -> type:
    from rosbags.rosbag2.storage_mcap import McapReader

    return McapReader


def _connections(part: Any) -> list:
    return [
        connection._replace(msgtype=RENAMED.get(connection.msgtype, connection.msgtype))
        for connection in part.connections
    ]


def _files_in(folder: Path) -> list[Path]:
    """Storage files in the order in which they were written (bag_2.mcap before bag_10.mcap)."""
    files = [path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file()]
    return sorted(files, key=lambda path: (len(path.name), path.name))


def _information(folder: Path) -> dict:
    path = folder / "metadata.yaml"
    if not path.is_file():
        raise DataError("it has no metadata.yaml")
    try:
        information = yaml.safe_load(path.read_text())["rosbag2_bagfile_information"]
        if not isinstance(information["relative_file_paths"], list):
            raise TypeError("relative_file_paths is no list")
    except (yaml.YAMLError, OSError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"its metadata.yaml cannot be read ({reason})") from error
    return information
