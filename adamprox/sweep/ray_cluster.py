"""A Ray cluster to run cells on: started on this machine, and for it alone, or the user's own.

Whoever reaches a cluster can run any program as the user who started it. So one that is started
here listens on the loopback interface only, asks for a token, and keeps its files and sockets in a
directory of its owner's.
"""

import contextlib
import importlib
import ipaddress
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from packaging.version import Version

from adamprox.output import one_line
from adamprox.sweep.local import cores

OLDEST_RAY = "2.52"
"""The oldest version of Ray that has token authentication."""

_CONNECT_SECONDS = 5.0
_TRIAL_SECONDS = 60.0  # most of it for the import of Ray from a slow disk
_OBJECT_STORE_BYTES = 100 * 2**20  # cells and records are small
_INSTALL = "run: pip install -e '.[ray]'"
_QUIET = {"log_to_driver": False, "logging_level": "ERROR"}
# What begins an HTTP/2 connection, and thereby gRPC's, which Ray speaks: see RFC 9113, 3.4.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS = 4
_TRIAL = f"import ray, sys; ray.init(address=sys.argv[1], **{_QUIET})"
_TOKEN_TROUBLE = re.compile("Auth\\w*Token|AUTH_TOKEN|AuthenticationError|Illegal header value")


def load() -> Any:
    """Return the module ``ray``.

    Raises:
      ValueError: It is not installed, or older than `OLDEST_RAY`.
    """
    try:
        ray = importlib.import_module("ray")
    except ImportError:
        ray = None
    version = getattr(ray, "__version__", None)  # a folder of that name has none
    if version is None:
        raise ValueError(f"engine ray needs Ray, which is not installed; {_INSTALL}") from None
    if Version(version) < Version(OLDEST_RAY):
        raise ValueError(
            f"engine ray needs Ray {OLDEST_RAY} or newer, for its token authentication,"
            f" {version} is installed; {_INSTALL}"
        )
    return ray


def check_cluster(address: str | None) -> None:
    """Refuse a cluster that is not there, before anything is begun.

    Args:
      address: Address for `adamprox.sweep.ray_engine.run_ray`; one that starts Ray on this machine
        only needs it installed.

    Raises:
      ValueError: Ray is missing or too old, or no cluster at ``address`` takes our token.
    """
    ray = load()
    if address not in (None, "local"):
        with connected(ray, None, address):
            pass
    elif not ray.is_initialized():
        _token()


@contextlib.contextmanager
def connected(ray: Any, workers: int | None, address: str | None) -> Iterator[None]:
    """Connect to Ray, or start it, and disconnect afterwards; a connection of the user's is kept.

    Args:
      ray: The module.
      workers: CPUs of a cluster that is started; as many as this process may use by default and at
        most.
      address: Address for `adamprox.sweep.ray_engine.run_ray`.
    """
    if ray.is_initialized():
        yield
        return
    # Ray takes SIGTERM for itself.
    before = signal.getsignal(signal.SIGTERM)
    try:
        if address in (None, "local"):
            cluster = _started(ray, min(workers or len(cores()), len(cores())))
        else:
            cluster = _joined(ray, address)
        with cluster:
            yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _started(ray: Any, cpus: int) -> Iterator[None]:
    """A cluster of this machine, for it alone."""
    variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _token()}
    variables["RAY_USAGE_STATS_ENABLED"] = os.environ.get("RAY_USAGE_STATS_ENABLED", "0")
    with _private_directory() as directory, _session(ray):
        with _environment(ray, variables), _loopback(), warnings.catch_warnings():
            # Where JAX has been used, it warns of forks; these become Ray's programs at once.
            warnings.filterwarnings("ignore", message="os.fork", category=RuntimeWarning)
            ray.init(
                address="local",
                num_cpus=cpus,
                object_store_memory=_OBJECT_STORE_BYTES,
                include_dashboard=False,
                _temp_dir=directory,
                **_QUIET,
            )
        _check_loopback(ray.util.get_node_ip_address())
        yield


@contextlib.contextmanager
def _joined(ray: Any, address: str) -> Iterator[None]:
    """A cluster of the user's."""
    if address != "auto":
        _check_address(address)
    _try(address)
    with _session(ray):
        try:
            with _environment(ray, {}):
                ray.init(address=address, **_QUIET)
        except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
            raise _no_cluster(f"{address}: {str(error).splitlines()[0]}") from None
        yield


@contextlib.contextmanager
def _session(ray: Any) -> Iterator[None]:
    """Shut Ray down afterwards, and have it forget what it read of the environment."""
    try:
        yield
    finally:
        ray.shutdown()
        _read_environment(ray)


@contextlib.contextmanager
def _environment(ray: Any, variables: dict[str, str]) -> Iterator[None]:
    """Set ``variables`` while Ray starts; undo that and whatever Ray sets itself.

    Its processes inherit them, and Ray in this one remembers what it needs.
    """
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        _read_environment(ray)
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


def _read_environment(ray: Any) -> None:
    """Have Ray read its variables again; by itself it does so once, when it is imported."""
    ray._raylet.Config.initialize("")
    ray._raylet.AuthenticationTokenLoader.instance().reset_cache()


@contextlib.contextmanager
def _loopback() -> Iterator[None]:
    """Have a cluster that is started listen on the loopback interface.

    An address of this machine does not: Ray replaces 127.0.0.1 by one that others can reach, but
    where it holds that there are no clusters of many nodes, as on macOS.
    """
    constants: Any = importlib.import_module("ray._private.ray_constants")
    before = constants.ENABLE_RAY_CLUSTER
    constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before


def _check_loopback(host: str) -> None:
    """Refuse a cluster of ours that others can reach, should another version of Ray make one."""
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"Ray must listen on the loopback interface only, it listens on {host}")


@contextlib.contextmanager
def _private_directory() -> Iterator[str]:
    """A directory that only its owner can enter; in /tmp, for a socket's path has to be short.

    It is one within another, because Ray opens the directory that it is given to everybody.
    """
    directory = tempfile.mkdtemp(prefix="ray-", dir=os.environ.get("RAY_TMPDIR") or "/tmp")
    try:
        yield os.path.join(directory, "ray")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _token() -> str:
    """Return the user's token where the environment has one, else a new one."""
    token, path = os.environ.get("RAY_AUTH_TOKEN"), os.environ.get("RAY_AUTH_TOKEN_PATH")
    name = "RAY_AUTH_TOKEN"
    if not token and path:
        name = f"RAY_AUTH_TOKEN_PATH ({path})"
        try:
            token = pathlib.Path(path).read_text(encoding="utf-8", errors="replace").strip()
        except OSError as error:
            raise ValueError(f"{name} cannot be read: {error.strerror}") from None
    elif not token:
        return secrets.token_hex(32)
    if not (token and token.isascii() and token.isprintable()):  # goes into a header of HTTP
        raise ValueError(f"{name} must be a line of printable ASCII characters")
    return token


def _no_cluster(reason: str) -> ValueError:
    return ValueError(f"address must be that of a Ray cluster, {one_line(reason)}")


def _check_address(address: str) -> None:
    """Refuse what is not there within seconds; Ray itself tries for minutes, then ends the process."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise ValueError(f"address must be local, auto or host:port, got {address!r}")
    try:
        with socket.create_connection((host, int(port)), _CONNECT_SECONDS) as connection:
            connection.sendall(_PREFACE)
            header = connection.recv(9)
    except (OSError, OverflowError) as error:
        raise _no_cluster(f"{address} cannot be reached ({error})") from None
    if len(header) <= 3 or header[3] != _SETTINGS:
        raise _no_cluster(f"{address} answers, but is no Ray cluster")


def _try(address: str) -> None:
    """Connect in another process: without the right token Ray complains at length, or aborts."""
    command = [sys.executable, "-P", "-c", _TRIAL, address]
    once = os.environ | {"RAY_NUM_REDIS_GET_RETRIES": "1"}
    try:
        trial = subprocess.run(
            command, env=once, capture_output=True, text=True, timeout=_TRIAL_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise _no_cluster(f"{address} does not answer") from None
    if trial.returncode and _TOKEN_TROUBLE.search(trial.stderr):
        raise ValueError(
            f"address must be that of a Ray cluster that takes our token, {address} does not; set"
            " RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to a file with the token of its head"
        )
    if trial.returncode:
        raise _no_cluster(f"{address}: {(trial.stderr.strip() or 'Ray fails').splitlines()[-1]}")
