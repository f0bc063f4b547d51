"""Program that prints the records of ArrayRecord files, with little memory.

These files are compressed. In an untrusted file, a record of a few bytes can expand to gigabytes
inside a library without limits. Therefore `adamprox.data.prepared` runs this file as a separate
program with a memory limit. The program imports only the standard library and array_record, and
starts fast.

``python shards.py FILE COUNT [FILE COUNT …]`` writes the length (two bytes, little-endian) and the
bytes of every record in order. After an error it writes `FAILURE` and a reason.
"""

import pathlib
import resource
import sys

from array_record.python import array_record_module  # pyright: ignore

RECORD_BYTES = 4096
"""Largest length of a record in bytes; an incompressible image needs 3,150."""
FAILURE = 2**16 - 1
"""Value in place of a length, before the reason of a failure."""
_ROOM = 2**27  # bytes of memory; normal use is 2**23
_BATCH = 1000  # records
_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"


def main(arguments: list[str]) -> None:
    """Write every record of the files."""
    try:
        _limit_memory()
        for path, count in zip(arguments[::2], map(int, arguments[1::2]), strict=True):
            _write_all(path, count)
    except Exception as error:  # MemoryError, or errors of the library without a common base
        _write(FAILURE, f"{type(error).__name__}: {error}".encode()[:1000])


def _limit_memory() -> None:
    """Limit further allocations, on systems that count them (Linux)."""
    # The first reader starts threads, whose stacks would count.
    array_record_module.ArrayRecordReader("/dev/null", options=_OPTIONS)
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        used = 1024 * int(status.read_text().split("VmData:")[1].split()[0])
        resource.setrlimit(resource.RLIMIT_DATA, (used + _ROOM, used + _ROOM))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _write_all(path: str, count: int) -> None:
    name = pathlib.Path(path).name
    reader = array_record_module.ArrayRecordReader(path, options=_OPTIONS)
    if reader.num_records() != count:
        raise ValueError(f"{name} has {reader.num_records():,} records, not {count:,}")
    for start in range(0, count, _BATCH):
        for record in reader.read(start, min(start + _BATCH, count)):
            if len(record) > RECORD_BYTES:
                raise ValueError(f"a record of {name} has {len(record):,} bytes")
            _write(len(record), record)


def _write(number: int, content: bytes) -> None:
    sys.stdout.buffer.write(number.to_bytes(2, "little") + content)


if __name__ == "__main__":
    main(sys.argv[1:])
