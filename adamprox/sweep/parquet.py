"""Conversion of one row of JSON values to a small Parquet file and back, in bounded memory.

A Parquet file of 600 bytes can represent a list of 10⁸ zeros, and its footer can hide that. Before
Arrow decodes a value, `decode` checks the types and sums the sizes in the headers of all pages,
from which Arrow takes the amount of data to decode.
"""

import io
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

LARGEST = 2**24
"""Largest size of a file in bytes; the record of 300 epochs has 100,000 bytes."""

_MOST_MEMORY = 2**27  # bytes of Arrow's buffers and Python's objects
_LARGEST_FOOTER = 2**18
_LONGEST_LIST = 10_000  # elements of a Thrift list in the footer
_LARGEST_HEADER = 2**12
_DEEPEST = 4  # depth of nested lists or structures
_BYTES_A_LEVEL = 64  # per value: its place in Arrow's buffers, and its Python object or list
_BYTES_A_PAGE = 2**10
# Encodings whose output the header of a page bounds.
_PLAIN, _PLAIN_DICTIONARY, _RLE, _RLE_DICTIONARY = 0, 2, 3, 8
_PAGES = {
    0: (5, {_PLAIN, _PLAIN_DICTIONARY, _RLE, _RLE_DICTIONARY}),
    2: (7, {_PLAIN, _PLAIN_DICTIONARY}),
}
"""Field of the header that describes a page, and its allowed encodings, by type of page."""


class NotARowError(ValueError):
    """A file is not one row of JSON values, or is too large."""


def encode(row: Mapping[str, Any]) -> bytes:
    """Return a Parquet file of one row.

    Args:
      row: Values by column: numbers, strings, booleans, None, and lists and dictionaries of them.

    Raises:
      NotARowError: A column has values that Parquet cannot store, such as lists of mixed types.
    """
    buffer = io.BytesIO()
    try:
        table = pa.Table.from_pylist([dict(row)])
        pq.write_table(table, buffer, compression="snappy", data_page_version="1.0")
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise NotARowError(_one_line(error)) from error
    return buffer.getvalue()


def decode(data: bytes) -> dict[str, Any]:
    """Return the row of a Parquet file from an untrusted source.

    Raises:
      NotARowError: The file is damaged, has another number of rows or types outside of JSON, or
        needs more than 128 MiB to decode.

    Example:
      >>> decode(encode({"error": [0.5, None], "seed": 0}))
      {'error': [0.5, None], 'seed': 0}
    """
    try:
        if len(data) > LARGEST or int.from_bytes(data[-8:-4], "little") > _LARGEST_FOOTER:
            raise NotARowError("it is too large")
        source = pa.BufferReader(data)
        file = pq.ParquetFile(source, thrift_container_size_limit=_LONGEST_LIST)
        _check_types(file)
        _check_size(file.metadata, data)
        (row,) = file.read(use_threads=False).to_pylist()
    except NotARowError:
        raise
    # Arrow raises OSError for damaged data too; no disk is involved here.
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


def _is_json(kind: pa.DataType, depth: int = 0) -> bool:
    """Return True for a type of JSON; dates are refused, they may be out of Python's range."""
    types = pa.types
    if types.is_list(kind) and depth < _DEEPEST:
        return _is_json(kind.value_type, depth + 1)
    if types.is_struct(kind) and depth < _DEEPEST:
        return all(_is_json(kind.field(i).type, depth + 1) for i in range(kind.num_fields))
    number = types.is_integer(kind) or types.is_float32(kind) or types.is_float64(kind)
    return number or types.is_null(kind) or types.is_boolean(kind) or types.is_string(kind)


def _check_size(about: pq.FileMetaData, data: bytes) -> None:
    """Refuse a file that needs too much memory, or whose page headers do not bound its memory."""
    if not about.created_by.startswith("parquet-cpp-arrow"):  # Arrow can read past the end
        raise NotARowError(f"it was written by {about.created_by[:40]!r}")
    total, group = 0, about.row_group(0)
    for column in map(group.column, range(group.num_columns)):
        if column.compression not in ("SNAPPY", "UNCOMPRESSED"):
            raise NotARowError(f"a column is compressed by {column.compression}")
        is_text = column.physical_type.endswith("BYTE_ARRAY")
        a_value = _BYTES_A_LEVEL * (2 + column.path_in_schema.count("."))
        values = largest = 0
        for page in _pages(column, data):
            values += page.values
            largest = max(largest, page.size)
            # The dictionary stores a text once, and every value can repeat it.
            needed = values * (a_value + is_text * largest)
            total += page.size + _BYTES_A_PAGE
            if total + needed > _MOST_MEMORY:
                raise NotARowError(f"it needs more than {_MOST_MEMORY:,} bytes to decode")
        total += values * (a_value + is_text * largest)


class _Page(NamedTuple):
    values: int
    size: int  # bytes, uncompressed
    end: int  # offset of the next page


def _pages(column: pq.ColumnChunkMetaData, data: bytes) -> Iterator[_Page]:
    place, dictionary = column.data_page_offset, column.dictionary_page_offset
    if dictionary and 0 < dictionary < place:  # as Arrow chooses
        place = dictionary
    end = place + column.total_compressed_size
    if not 4 <= place <= end <= len(data):
        raise NotARowError("a column lies outside of the file")
    while place < end:
        thrift = _Thrift(data, place)
        header = thrift.struct()
        field, encodings = _PAGES[header[1]]
        body = header[field]
        page = _Page(body[1], header[2], thrift.place + header[3])
        levels = {body.get(3, _RLE), body.get(4, _RLE)}
        if body[2] not in encodings or levels != {_RLE}:
            raise NotARowError("a page has an unexpected encoding")
        if min(page.values, page.size, header[3]) < 0 or page.end > end:
            raise NotARowError("a page has an impossible size")
        yield page
        place = page.end


class _Thrift:
    """Reader of Parquet's page headers: 32-bit integers and structures in Thrift's protocol.

    The reader refuses everything that Arrow could read differently: fields that are not in
    ascending order, fields with a number in the long form, and integers with superfluous bits.

    Source: the compact protocol specification of Apache Thrift; parquet.thrift of Apache Parquet.
    """

    def __init__(self, data: bytes, place: int):
        self.data, self.place = data, place
        self.end = place + _LARGEST_HEADER

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Return the fields of a structure by number."""
        fields: dict[int, Any] = {}
        number = 0
        while kind_and_delta := self.byte():
            kind, delta = kind_and_delta & 15, kind_and_delta >> 4
            number += delta
            if not delta or number > 100:
                raise NotARowError("a page's header has a field with an invalid number")
            value = self.value(kind, depth)
            if value is not None:
                fields[number] = value
        return fields

    def value(self, kind: int, depth: int) -> Any:
        """Return a 32-bit integer or a structure, and None for other values."""
        if kind == 12 and depth < 4:
            return self.struct(depth + 1)
        if kind == 5:
            number = self.varint(2**32)
            return (number >> 1) ^ -(number & 1)
        if kind == 8:
            length = self.varint(2**32)
            self.place += length
        elif kind == 6:
            self.varint(2**64)
        elif kind not in (1, 2):  # booleans, whose type is their value
            raise NotARowError(f"a page's header has a field of type {kind}")
        return None

    def varint(self, limit: int) -> int:
        """Return an unsigned integer below ``limit``."""
        number = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            number |= (byte & 127) << shift
            if byte < 128:
                if number >= limit:
                    break
                return number
        raise NotARowError("a page's header has a number that is too large")

    def byte(self) -> int:
        """Return the next byte."""
        if self.place >= self.end:
            raise NotARowError("a page's header is too large")
        self.place += 1
        return self.data[self.place - 1]
