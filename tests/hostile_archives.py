"""Tar files as a stranger could make them: every header's checksum fits, and little else does."""

import random
import tarfile

from tests.cifar_archives import CIFAR10, FIRST, contents

BLOCK = 512
END = bytes(2 * BLOCK)
NOTES = f"{CIFAR10.folder}/notes.txt"
FIELDS = {
    "name": (0, 100),
    "mode": (100, 108),
    "uid": (108, 116),
    "size": (124, 136),
    "mtime": (136, 148),
    "type": (156, 157),
    "linkname": (157, 257),
    "magic": (257, 265),
    "uname": (265, 297),
    "devmajor": (329, 337),
    "prefix": (345, 500),
    "the rest": (386, 512),
}
"""Place of each field of a header, without its checksum."""
NUMBERS = ("18446744073709551616", "-1", "1e400", "nan", "0x10", "", " ", "\0", "9" * 4000, "1.5")


def signed(header: bytes) -> bytes:
    """A header with the checksum that fits it."""
    total = sum(header[:148]) + 8 * 32 + sum(header[156:])
    return header[:148] + b"%06o\0 " % total + header[156:]


def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, /, **fields: bytes) -> bytes:
    """One header, with fields overwritten as bytes."""
    info = tarfile.TarInfo(name)
    info.type = kind
    raw = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    raw[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)  # pyright: ignore
    for field, value in fields.items():
        start, end = FIELDS[field]
        raw[start:end] = value[: end - start].ljust(end - start, b"\0")
    return signed(bytes(raw))


def padded(content: bytes) -> bytes:
    """Content up to the next block."""
    return content + bytes(-len(content) % BLOCK)


def record(key: str, value: str) -> bytes:
    """A record of pax, its length right."""
    rest = f" {key}={value}\n".encode()
    size = len(rest) + 1
    while len(str(size)) + len(rest) != size:
        size = len(str(size)) + len(rest)
    return str(size).encode() + rest


def pax(*records: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    """An extension header with its content."""
    content = b"".join(records)
    return header("././@PaxHeader", len(content), kind) + padded(content)


def rest(without: str = "") -> bytes:
    """All members of a good archive, or all but one."""
    files = {name: data for name, data in contents(CIFAR10, 1).items() if name != without}
    return b"".join(header(name, len(data)) + padded(data) for name, data in files.items())


def first(before: bytes = b"", **fields: bytes) -> bytes:
    """A tar file that is good but for what is before its first file and in the header of that."""
    data = contents(CIFAR10, 1)[FIRST]
    return before + header(FIRST, len(data), **fields) + padded(data) + rest(FIRST) + END


def harmless() -> dict[str, bytes]:
    """Fields that a header may have without changing a record."""
    size = str(len(contents(CIFAR10, 1)[FIRST]))
    made = {
        "extension: a time": first(pax(record("mtime", "1.25"))),
        "extension: for all": first(pax(record("comment", "x" * 40), kind=tarfile.XGLTYPE)),
        "extension: the path that it has": first(pax(record("path", FIRST))),
        "extension: the size that it has": first(pax(record("size", size))),
        "extension: nothing": first(pax()),
        "no end": first()[: -len(END)],
        "a long end": first() + bytes(20 * BLOCK),
    }
    for key in ("mtime", "uid", "linkpath", "uname", "hdrcharset", "SCHILY.xattr.user.x"):
        for number in NUMBERS:
            made[f"extension: {key}={number[:20]!r}"] = first(pax(record(key, number)))
    return made


def hostile() -> dict[str, bytes]:
    """Headers that no archive has and every reader must expect."""
    many = [record("comment", "x")] * 10**5
    made = {
        "an extension of 100,000 records": first(pax(*many)),
        "an extension of 1 MB in one record": first(pax(record("comment", "x" * 2**20))),
        "extensions without an end": first(pax(record("mtime", "1")) * 1000),
        "an extension of an extension": first(pax(record("path", "x")) + pax(record("mtime", "1"))),
        "a path for all": first(pax(record("path", FIRST), kind=tarfile.XGLTYPE)),
        "a size for all": first(pax(record("size", "3073"), kind=tarfile.XGLTYPE)),
        "a path of another file": first(pax(record("path", "/etc/passwd"))),
        "an extension of Solaris": first(pax(record("path", "x"), kind=tarfile.SOLARIS_XHDTYPE)),
        "a length of no digits": first(pax(b"x mtime=1\n")),
        "a length of 0": first(pax(b"0 mtime=1\n")),
        "a length that is long": first(pax(b"9" * 5000 + b" mtime=1\n")),
        "a length beyond": first(pax(b"99 mtime=1\n")),
        "a length within": first(pax(b"3 mtime=1\n")),
        "a sparse map": first(pax(record("GNU.sparse.map", "0,1," * 1000))),
        "a sparse map of version 1": first(
            pax(record("GNU.sparse.major", "1"), record("GNU.sparse.minor", "0"))
        ),
        "a sparse size": first(pax(record("GNU.sparse.size", "1" * 30))),
        "a sparse file": first(header(NOTES, 0, tarfile.GNUTYPE_SPARSE, mode=b"0")),
        "many sparse blocks": first(
            header(NOTES, 0, tarfile.GNUTYPE_SPARSE) + b"\1" * BLOCK * 1000
        ),
        "many members": first(header(NOTES) * 1000),
        "an extension at the end": rest() + header("x", 2**20, tarfile.XHDTYPE),
        "a name of nothing": first(header("")),
        "a name of another alphabet": first(header("x", name=b"\xff\xfe" * 50)),
        "a name for the terminal": first(header("x", name=b"\x1b[2J\r\n" * 10)),
        "a longest name": first(header("x", name=b"\x90" * 100, prefix=b"\x91" * 155)),
        "a device": first(header(NOTES, type=tarfile.CHRTYPE, devmajor=b"9" * 8)),
        "an unknown type": first(header(NOTES, type=b"?")),
    }
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
        made[f"a long name of 1 MB, {kind!r}"] = first(
            header("././@LongLink", 2**20, kind) + b"a" * 2**20
        )
        made[f"long names without an end, {kind!r}"] = first(
            (header("././@LongLink", 5, kind) + padded(b"name")) * 1000
        )
    for number in NUMBERS:
        made[f"extension: size={number[:20]!r}"] = first(pax(record("size", number)))
    for size in (
        b"\xff" * 12,
        b"\x80" + b"\xff" * 11,
        b"\xff" + bytes(11),
        b"77777777777",
        b"-1",
        b"z",
    ):
        made[f"a size of {size!r}"] = first(size=size)
        made[f"an extension of the size {size!r}"] = first(
            header("x", type=tarfile.XHDTYPE, size=size)
        )
    return made


def mutated(draws: random.Random) -> bytes:
    """A tar file with one to three fields of its first headers drawn at random, all signed."""
    start = draws.choice(
        [
            b"",
            pax(record("mtime", "1.5")),
            header(NOTES),
            header("././@LongLink", 9, b"L") + bytes(512),
        ]
    )
    raw = bytearray(first(start))
    for _ in range(draws.randint(1, 3)):
        at = draws.randrange(1 + len(start) // BLOCK) * BLOCK
        begin, end = FIELDS[draws.choice(list(FIELDS))]
        raw[at + begin : at + end] = _value(draws, end - begin)
        raw[at : at + BLOCK] = signed(bytes(raw[at : at + BLOCK]))
    return bytes(raw)


def _value(draws: random.Random, length: int) -> bytes:
    kinds = "0123456789=,\n\0 gLKxXSVDNM/.-\x80\xff"
    drawn = "".join(draws.choices(kinds, k=length)).encode("latin-1")
    numbers = [
        b"%o" % 2 ** draws.randrange(70),
        b"%d" % draws.randrange(99),
        b"-1",
        b"\x80",
        b"\xff",
    ]
    value = draws.choice([drawn, draws.randbytes(length), *numbers, bytes(length)])
    return value[:length].ljust(length, draws.choice([b"\0", b" ", b"\xff"]))
