"""Records of ArrayRecord files on standard output: a program of its own, with little memory.

These files are compressed, and a stranger's may be a bomb: a record of a few bytes becomes gigabytes
inside of a library that knows no limit. So `adamprox.data.prepared` runs this file as a program, under
a limit of the system. It needs the standard library and array_record alone, and starts at once.

``python shards.py FILE COUNT [FILE COUNT …]`` writes the length of a record (two bytes, little-endian)
and the record, for each in order; or `FAILURE` and a reason.
"""

import pathlib
import resource
import sys

from array_record.python import array_record_module  # pyright: ignore

RECORD_BYTES = 4096
"""Length of the longest record; an image that zlib cannot compress takes 3,150."""
FAILURE = 2**16 - 1
"""In the place of a length: what follows is a reason."""
_ROOM = 2**27  # bytes of memory; 2**23 are used
_BATCH = 1000  # records
_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"


def main(arguments: list[str]) -> None:
    """Write every record of the files."""
    try:
        _limit_memory()
        for path, count in zip(arguments[::2], map(int, arguments[1::2]), strict=True):
            _write_all(path, count)
    except Exception as error:  # MemoryError among them: of the library, and of no common base
        _write(FAILURE, f"{type(error).__name__}: {error}".encode()[:1000])


def _limit_memory() -> None:
    """Limit what is allocated from now on, where the system (Linux) counts it."""
    # The first reader starts threads, whose stacks would be counted.
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
