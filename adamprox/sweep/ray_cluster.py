"""A Ray cluster for sweeps: a private one on this machine, or the user's own.

Everybody who can connect to a cluster can run programs as the user who started it. Therefore a
private cluster listens only on the loopback interface, requires a token, and keeps its files and
sockets in a directory that only its owner can enter.
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
"""Oldest version of Ray with token authentication."""

_CONNECT_SECONDS = 5.0
_TRIAL_SECONDS = 60.0  # importing Ray from a slow disk takes most of it
_OBJECT_STORE_BYTES = 100 * 2**20  # configurations and records are small
_INSTALL = "run: pip install 'adamprox[ray]'"
_QUIET = {"log_to_driver": False, "logging_level": "ERROR"}
_TRIAL = f"import ray, sys; ray.init(address=sys.argv[1], **{_QUIET})"
_TOKEN_TROUBLE = re.compile("Auth\\w*Token|AUTH_TOKEN|AuthenticationError|Illegal header value")


def load() -> Any:
    """Return the module ``ray``.

    Raises:
      ValueError: Ray is not installed, or older than `OLDEST_RAY`.
    """
    try:
        ray = importlib.import_module("ray")
    except ImportError:
        ray = None
    version = getattr(ray, "__version__", None)  # a folder named ray has none
    if version is None:
        raise ValueError(f"engine ray needs Ray, which is not installed; {_INSTALL}") from None
    if Version(version) < Version(OLDEST_RAY):
        raise ValueError(
            f"engine ray needs Ray {OLDEST_RAY} or newer, for its token authentication,"
            f" {version} is installed; {_INSTALL}"
        )
    return ray


def check_cluster(address: str | None) -> None:
    """Refuse a missing cluster before any work.

    Args:
      address: Address for `adamprox.sweep.ray_engine.run_ray`. None and ``local``, which start Ray
        on this machine, only require its installation.

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
    """Connect to Ray or start it, and disconnect afterwards; keep an existing connection.

    Args:
      ray: Module ``ray``.
      workers: Number of CPUs of a private cluster, at most and by default those of this process.
      address: Address for `adamprox.sweep.ray_engine.run_ray`.
    """
    if ray.is_initialized():
        yield
        return
    # Ray replaces the handler of SIGTERM.
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
    """Start a private cluster on this machine, for the context."""
    variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _token()}
    variables["RAY_USAGE_STATS_ENABLED"] = os.environ.get("RAY_USAGE_STATS_ENABLED", "0")
    with _private_directory() as directory, _session(ray):
        with _environment(ray, variables), _loopback(), warnings.catch_warnings():
            # After use, JAX warns about forks; these are harmless, because Ray executes programs at
            # once.
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
    """Connect to the user's cluster, for the context."""
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
    """Shut Ray down after the context, and reset what it read from the environment."""
    try:
        yield
    finally:
        ray.shutdown()
        _read_environment(ray)


@contextlib.contextmanager
def _environment(ray: Any, variables: dict[str, str]) -> Iterator[None]:
    """Set ``variables`` while Ray starts; then restore the environment.

    Ray's processes inherit the variables, and Ray in this process remembers what it needs.
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
    """Make Ray read its variables again; by default it reads them only at import."""
    ray._raylet.Config.initialize("")
    ray._raylet.AuthenticationTokenLoader.instance().reset_cache()


@contextlib.contextmanager
def _loopback() -> Iterator[None]:
    """Make a new cluster listen on the loopback interface.

    The address 127.0.0.1 is not enough: Ray replaces it by a reachable address, unless the platform
    (such as macOS) does not support clusters of several nodes. This context sets that flag.
    """
    constants: Any = importlib.import_module("ray._private.ray_constants")
    before = constants.ENABLE_RAY_CLUSTER
    constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before


def _check_loopback(host: str) -> None:
    """Refuse a private cluster that others can reach; another version of Ray may create one."""
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"Ray must listen on the loopback interface only, it listens on {host}")


@contextlib.contextmanager
def _private_directory() -> Iterator[str]:
    """Create a directory in /tmp that only its owner can enter; paths of sockets must be short.

    Yields:
      A path inside the directory, because Ray makes its own directory accessible to everybody.
    """
    directory = tempfile.mkdtemp(prefix="ray-", dir=os.environ.get("RAY_TMPDIR") or "/tmp")
    try:
        yield os.path.join(directory, "ray")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _token() -> str:
    """Return the user's token from the environment, else a new one."""
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
    if not (token and token.isascii() and token.isprintable()):  # for an HTTP header
        raise ValueError(f"{name} must be a line of printable ASCII characters")
    return token


def _no_cluster(reason: str) -> ValueError:
    return ValueError(f"address must be that of a Ray cluster, {one_line(reason)}")


def _check_address(address: str) -> None:
    """Refuse a port without a listener; Ray itself tries for minutes, then ends the process."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise ValueError(f"address must be local, auto or host:port, got {address!r}")
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(f"{address} cannot be reached ({error})") from None


def _try(address: str) -> None:
    """Connect in another process first: with a wrong token Ray prints long errors, or aborts."""
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
