"""Starts PostgreSQL or MariaDB, Debian's, on a free port of 127.0.0.1, for ML Metadata.

The servers keep their data in a folder of their own under the temporary folder, run as the users
that the packages made when the tests run as root, and end with the tests. `scripts/test-tools`
installs the packages.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

USER, PASSWORD, NAME = "babelrank", "p@ss 'wo\\rd", "babelrank"
_SECONDS = 60


class NotInstalledError(Exception):
    """There is no such server on this machine."""


@dataclass(frozen=True)
class Database:
    """A server that answers.

    Attributes:
        address: For BABELRANK_METADATA, without the password.
        password: For BABELRANK_METADATA_PASSWORD.
    """

    address: str
    password: str


@contextmanager
def postgresql() -> Iterator[Database]:
    """An empty PostgreSQL database.

    Raises:
        NotInstalledError: PostgreSQL is missing.
    """
    programs = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"),
        key=lambda path: int(path.parts[-3]),
    )
    if not programs:
        raise NotInstalledError("PostgreSQL is missing; scripts/test-tools installs it.")
    programs_folder = programs[-1].parent
    with _folder("postgres") as folder:
        (folder / "password").write_text(PASSWORD, encoding="utf-8")
        data, port = folder / "data", _free_port()
        make = [programs_folder / "initdb", "--auth=scram-sha-256", f"--username={USER}"]
        make += [f"--pgdata={data}", f"--pwfile={folder}/password", "--encoding=UTF8", "--no-sync"]
        _run(make, "postgres")
        serve = [programs_folder / "postgres", "-D", data, "-F", "-h", "127.0.0.1", "-p", port]
        serve += ["-c", "unix_socket_directories="]
        with _server(serve, "postgres", signal.SIGINT, folder, port):
            _createdb(programs_folder / "createdb", port)
            yield Database(f"postgresql://{USER}@127.0.0.1:{port}/{NAME}", PASSWORD)


@contextmanager
def mariadb() -> Iterator[Database]:
    """An empty MariaDB database.

    Raises:
        NotInstalledError: MariaDB is missing.
    """
    install = shutil.which("mariadb-install-db")
    program = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
    if install is None or program is None:
        raise NotInstalledError("MariaDB is missing; scripts/test-tools installs it.")
    with _folder("mysql") as folder:
        data, port, begin = folder / "data", _free_port(), folder / "begin.sql"
        quoted = PASSWORD.replace("\\", "\\\\").replace("'", "''")
        begin.write_text(
            f"CREATE DATABASE {NAME};\n"
            f"CREATE USER '{USER}'@'%' IDENTIFIED BY '{quoted}';\n"
            f"GRANT ALL ON {NAME}.* TO '{USER}'@'%';\n",
            encoding="utf-8",
        )
        make = [install, "--no-defaults", f"--datadir={data}", "--skip-test-db"]
        _run([*make, "--auth-root-authentication-method=normal"], "mysql")
        serve = [program, "--no-defaults", f"--datadir={data}", "--bind-address=127.0.0.1"]
        serve += [f"--port={port}", f"--socket={folder}/socket", f"--init-file={begin}"]
        serve += ["--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0"]
        serve += ["--innodb-snapshot-isolation=ON"]  # what newer versions have by default
        with _server(serve, "mysql", signal.SIGTERM, folder, port):
            yield Database(f"mysql://{USER}@127.0.0.1:{port}/{NAME}", PASSWORD)


@contextmanager
def _folder(user: str) -> Iterator[Path]:
    """A folder of that user; pytest's own folders are closed to other users."""
    with tempfile.TemporaryDirectory(prefix=f"babelrank-{user}-") as made:
        if os.getuid() == 0:
            shutil.chown(made, user, user)
        yield Path(made)


def _as(user: str) -> dict[str, object]:
    """What makes a process that user's; servers refuse to run as root."""
    return {"user": user, "group": user, "extra_groups": []} if os.getuid() == 0 else {}


def _run(command: Sequence[object], user: str) -> None:
    done = subprocess.run(
        [str(word) for word in command],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        **_as(user),
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@contextmanager
def _server(
    command: Sequence[object], user: str, end: signal.Signals, folder: Path, port: int
) -> Iterator[None]:
    """A server, from when it takes connections; it does not survive this process."""
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", end.name[3:], *(str(word) for word in command)],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            **_as(user),
        )
        try:
            _await(process, log, port)
            yield
        finally:
            process.send_signal(end)
            process.wait(_SECONDS)


def _await(process: subprocess.Popen[bytes], log: Path, port: int) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"no server on port {port}: {log.read_text(errors='replace')}")


def _createdb(program: Path, port: int) -> None:
    """PostgreSQL takes connections a moment before it takes orders."""
    command = [str(program), "--host=127.0.0.1", f"--port={port}", f"--username={USER}", NAME]
    deadline = time.monotonic() + _SECONDS
    while True:
        done = subprocess.run(
            command,
            env={"PATH": os.environ["PATH"], "PGPASSWORD": PASSWORD},
            capture_output=True,
            text=True,
        )
        if done.returncode == 0:
            return
        assert "starting up" in done.stderr and time.monotonic() < deadline, done.stderr
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])
