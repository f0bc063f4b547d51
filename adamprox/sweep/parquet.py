"""One row of JSON values as a small Parquet file, and back, in bounded memory.

A Parquet file of 600 bytes can stand for a list of 10⁸ zeros, and its footer need not admit it. Before
Arrow decodes a value, `decode` checks the types, and it adds up the header of every page, which is
where Arrow itself learns how much to decode.
"""

import io
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

LARGEST = 2**24
"""Bytes of a file, and of what it decodes to; the record of 300 epochs has 100,000."""

_LARGEST_FOOTER = 2**18
_LARGEST_HEADER = 2**16
_BYTES_A_VALUE = 16  # a number and its two levels, in Arrow's buffers
_BYTES_A_PAGE = 2**10
_COUNTED_IN = {0: 5, 2: 7, 3: 8}  # type of a page to the field of its header that counts values


class NotARowError(ValueError):
    """A file is no row of JSON values, or one that is too large."""


def encode(row: Mapping[str, Any]) -> bytes:
    """Return a Parquet file of one row.

    Args:
      row: Columns of numbers, texts, booleans, None, and lists and dictionaries of them.

    Raises:
      NotARowError: A column has values that Parquet cannot hold, such as lists of mixed types.
    """
    buffer = io.BytesIO()
    try:
        pq.write_table(pa.Table.from_pylist([dict(row)]), buffer)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise NotARowError(_one_line(error)) from error
    return buffer.getvalue()


def decode(data: bytes) -> dict[str, Any]:
    """Return the row of a Parquet file that anybody may have made.

    Raises:
      NotARowError: It is damaged, has another number of rows or other types than JSON has, or
        decodes to more than `LARGEST` bytes.

    Example:
      >>> decode(encode({"error": [0.5, None], "seed": 0}))
      {'error': [0.5, None], 'seed': 0}
    """
    try:
        if len(data) > LARGEST or int.from_bytes(data[-8:-4], "little") > _LARGEST_FOOTER:
            raise NotARowError("it is too large")
        file = pq.ParquetFile(pa.BufferReader(data))
        _check_types(file)
        _check_size(file.metadata, data)
        (row,) = file.read(use_threads=False).to_pylist()
    except NotARowError:
        raise
    # For damage Arrow raises OSError too: nothing is read from a disk here.
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError) as error:
        raise NotARowError(_one_line(error)) from error
    return row


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def _check_types(file: pq.ParquetFile) -> None:
    about = file.metadata
    if (about.num_rows, about.num_row_groups) != (1, 1):
        raise NotARowError(f"it has {about.num_rows} rows in {about.num_row_groups} groups, not 1")
    for field in file.schema_arrow:
        if not _is_json(field.type):
            raise NotARowError(f"its column {field.name!r} has values of type {field.type}")


def _is_json(kind: pa.DataType) -> bool:
    """Return whether values of a type are those of JSON; dates may be out of Python's range."""
    types = pa.types
    if types.is_list(kind):
        return _is_json(kind.value_type)
    if types.is_struct(kind):
        return all(_is_json(kind.field(i).type) for i in range(kind.num_fields))
    number = types.is_integer(kind) or types.is_float32(kind) or types.is_float64(kind)
    return number or types.is_null(kind) or types.is_boolean(kind) or types.is_string(kind)


def _check_size(about: pq.FileMetaData, data: bytes) -> None:
    """Refuse what Arrow would need more than `LARGEST` bytes for."""
    if not about.created_by.startswith("parquet-cpp-arrow"):  # Arrow reads others past their end
        raise NotARowError(f"it was written by {about.created_by[:40]!r}")
    total, group = 0, about.row_group(0)
    for column in map(group.column, range(group.num_columns)):
        is_text = column.physical_type.endswith("BYTE_ARRAY")
        values = largest = 0
        for page in _pages(column, data):
            values += page.values
            largest = max(largest, page.size)
            # A text is stored once, in the dictionary, and may be repeated by every value.
            needed = values * (_BYTES_A_VALUE + is_text * largest)
            total += page.size + _BYTES_A_PAGE
            if total + needed > LARGEST:
                raise NotARowError(f"it decodes to more than {LARGEST:,} bytes")
        total += values * (_BYTES_A_VALUE + is_text * largest)


class _Page(NamedTuple):
    values: int
    size: int  # bytes, uncompressed
    end: int  # offset of the next page


def _pages(column: pq.ColumnChunkMetaData, data: bytes) -> Iterator[_Page]:
    starts = column.data_page_offset, column.dictionary_page_offset
    place = min(start for start in starts if start)
    end = place + column.total_compressed_size
    if not 0 < place <= end <= len(data):
        raise NotARowError("a column lies outside of it")
    while place < end:
        thrift = _Thrift(data, place)
        header = thrift.struct()
        body = header[_COUNTED_IN[header[1]]]
        page = _Page(body[1], header[2], thrift.place + header[3])
        if min(page.values, page.size, header[3]) < 0:
            raise NotARowError("a page has a negative size")
        yield page
        place = page.end


class _Thrift:
    """The page headers of Parquet, in Thrift's compact protocol: 32-bit integers and structures.

    Other types are passed over, as Arrow does, wherever they stand.

    Source: the compact protocol specification of Apache Thrift; parquet.thrift of Apache Parquet.
    """

    def __init__(self, data: bytes, place: int):
        self.data, self.place = data, place
        self.end = place + _LARGEST_HEADER

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Return fields by their number."""
        fields: dict[int, Any] = {}
        number = 0
        while kind_and_delta := self.byte():
            kind, delta = kind_and_delta & 15, kind_and_delta >> 4
            number = number + delta if delta else self.integer(16)
            value = self.value(kind, depth)
            if value is not None:
                fields[number] = value
        return fields

    def value(self, kind: int, depth: int) -> Any:
        """Return an integer of 32 bits or a structure, None for anything else."""
        if kind == 12 and depth < 4:
            return self.struct(depth + 1)
        if kind in (4, 5, 6):
            number = self.integer(32)
            return number if kind == 5 else None
        if kind == 8:
            length = self.varint()
            self.place += length
        elif kind == 7:
            self.place += 8
        elif kind == 3:
            self.place += 1
        elif kind not in (1, 2):  # booleans, which have no value of their own
            raise NotARowError(f"a page's header has a field of type {kind}")
        return None

    def integer(self, bits: int) -> int:
        """Return a signed integer."""
        number = self.varint() % 2**bits
        return (number >> 1) ^ -(number & 1)

    def varint(self) -> int:
        """Return an unsigned integer of at most 64 bits."""
        number = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
        raise NotARowError("a number in a page's header has no end")

    def byte(self) -> int:
        """Return the next byte."""
        if self.place >= self.end:
            raise NotARowError("a page's header is too large")
        self.place += 1
        return self.data[self.place - 1]
