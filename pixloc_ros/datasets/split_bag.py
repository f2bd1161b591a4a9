"""Long rosbag2 recordings in parts: what is written stays written, and memory does not grow.

rosbag2 splits a recording into storage files that one metadata.yaml joins; players and readers
treat them as one bag. Each part here is finished and set aside before the next one is begun, so an
interrupted run goes on with the part it was writing.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import yaml

from pixloc_ros.core.errors import DataError
from pixloc_ros.datasets.bag_topics import Channel, add_channels, check_storage, open_writer

_INFORMATION = "rosbag2_bagfile_information"


@dataclass(frozen=True)
class Event:
    """A message to be: `make` returns its CDR bytes. `slow` ones are made ahead, in threads."""

    stamp_ns: int
    channel: str
    make: Callable[[], memoryview]
    slow: bool = False


def write_split_bag(
    path: Path,
    channels: Mapping[str, Channel],
    events: Iterator[Event],
    typestore,
    request: dict,
    storage: str = "mcap",
    part_ns: int = 120_000_000_000,
    notes: Mapping[str, str] | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, int]:
    """Write events, whose stamps must not decrease, as the rosbag2 folder `path`.

    request: what the bag is made from, as plain JSON; an unfinished bag of the same request is
    continued. notes: custom_data of the bag. progress: called with each stamp written or passed.
    Returns the number of messages by topic.

    Raises DataError if `path` is there, if an unfinished bag was made from something else, or if
    there is not a single message.
    """
    check_storage(storage)
    if path.exists():
        raise DataError(f"{path} exists already; remove it or choose another name")
    partial = _open_partial(path, {**request, "storage": storage, "part_ns": part_ns})
    first_ns = None
    written: list[Path] = []

    def number(event: Event) -> int:
        nonlocal first_ns
        first_ns = event.stamp_ns if first_ns is None else first_ns
        return (event.stamp_ns - first_ns) // part_ns

    for index, group in groupby(_watched(events, progress), number):
        note = partial / f"{path.name}_{index}.yaml"
        if note.is_file():
            deque(group, maxlen=0)
        else:
            _write_part(partial, note.stem, channels, group, typestore, storage)
        written.append(note)
    if not written:
        shutil.rmtree(partial)
        raise DataError(f"{path}: nothing to write; is the time range right?")
    information = join((yaml.safe_load(n.read_text())[_INFORMATION] for n in written), notes)
    text = yaml.safe_dump({_INFORMATION: information}, sort_keys=False)
    (partial / "metadata.yaml").write_text(text)
    for leftover in (*partial.glob(f"{path.name}_*.yaml"), partial / "request.json"):
        leftover.unlink()
    partial.rename(path)
    return {
        entry["topic_metadata"]["name"]: entry["message_count"]
        for entry in information["topics_with_message_count"]
    }


def join(parts: Iterable[dict], notes: Mapping[str, str] | None = None) -> dict:
    """The bag information of parts that follow each other, from that of each (version 9)."""
    files, counts, whole = [], {}, None
    for part in parts:
        whole = whole or part
        files += part["files"]
        for entry in part["topics_with_message_count"]:
            name = entry["topic_metadata"]["name"]
            counts[name] = counts.get(name, 0) + entry["message_count"]
    begins = [entry["starting_time"]["nanoseconds_since_epoch"] for entry in files]
    ends = [b + entry["duration"]["nanoseconds"] for b, entry in zip(begins, files)]
    return {
        **whole,
        "relative_file_paths": [entry["path"] for entry in files],
        "duration": {"nanoseconds": max(ends) - min(begins)},
        "starting_time": {"nanoseconds_since_epoch": min(begins)},
        "message_count": sum(counts.values()),
        "topics_with_message_count": [
            {**entry, "message_count": counts[entry["topic_metadata"]["name"]]}
            for entry in whole["topics_with_message_count"]
        ],
        "files": files,
        "custom_data": dict(notes) if notes else None,
    }


def _open_partial(path: Path, request: dict) -> Path:
    partial = path.with_name(path.name + ".partial")
    note, text = partial / "request.json", json.dumps(request, sort_keys=True)
    if partial.exists() and (not note.is_file() or note.read_text() != text):
        raise DataError(
            f"{partial}: an unfinished bag made with other options; repeat those to "
            "go on with it, or remove it"
        )
    partial.mkdir(parents=True, exist_ok=True)
    note.write_text(text)
    return partial


def _write_part(
    partial: Path,
    name: str,
    channels: Mapping[str, Channel],
    events: Iterable[Event],
    typestore,
    storage: str,
) -> None:
    folder = partial / name
    shutil.rmtree(folder, ignore_errors=True)
    with open_writer(folder, storage) as writer:
        connections = add_channels(writer, channels, typestore)
        for event, data in _made(events):
            writer.write(connections[event.channel], event.stamp_ns, data)
    for file in folder.iterdir():
        if file.name != "metadata.yaml":
            os.replace(file, partial / file.name)
    # The last step: a part that has its note is whole.
    os.replace(folder / "metadata.yaml", partial / f"{name}.yaml")
    folder.rmdir()


def _made(events: Iterable[Event]) -> Iterator[tuple[Event, memoryview]]:
    """The events in order with their bytes; a bounded number of slow ones is under way."""
    workers = len(os.sched_getaffinity(0))
    waiting: deque = deque()
    slow = 0
    with ThreadPoolExecutor(workers) as pool:
        for event in events:
            waiting.append((event, pool.submit(event.make) if event.slow else None))
            slow += event.slow
            while waiting and (slow > 2 * workers or not waiting[0][0].slow):
                first, future = waiting.popleft()
                slow -= first.slow
                yield first, future.result() if future else first.make()
        for event, future in waiting:
            yield event, future.result() if future else event.make()


def _watched(events: Iterator[Event], progress) -> Iterator[Event]:
    last = None
    for event in events:
        if last is not None and event.stamp_ns < last:
            raise DataError(f"the stamp {event.stamp_ns} comes after {last}")
        last = event.stamp_ns
        if progress:
            progress(last)
        yield event
