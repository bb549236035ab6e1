"""`manage.py up`: everything the product is, on this machine, under one supervisor. No Django here: it stays small."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from helicone_site import embedded, places, settings
from helicone_site.supervise import Child, Supervisor
from lib import env, folders, heartbeat
from lib.processes import Program

REFUSED = 2
"""Exit code when nothing was started; a sentence on stderr says why."""
INTERRUPTED = 130
STARTS_BEFORE_GIVING_UP = 5
PREPARED = places.DATA_DIR / "postgres" / "prepared"
"""Which product prepared this database last; it goes where the database goes."""


class CannotStart(Exception):
    """`./up` cannot run here and now; the text says what to do."""


def main() -> int:
    arguments = _arguments()
    try:
        folders.make_private(places.DATA_DIR)
        with _alone(places.DATA_DIR):
            _verify_port_is_free(settings.HOST, settings.PORT)
            return _run(is_demo=arguments.demo)
    except (CannotStart, embedded.CannotEmbed, folders.NotPrivate, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    except KeyboardInterrupt:
        return INTERRUPTED


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./up", description="Starts the whole product; Ctrl-C stops it.")
    parser.add_argument("--demo", action="store_true", help="fill it with made-up traffic, to look around")
    return parser.parse_args()


# --- before anything starts ---------------------------------------------------------------------------------


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """Holds the data directory's lock; the kernel lets go of it however this process ends. Raises CannotStart."""
    descriptor = os.open(data_dir / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
        raise CannotStart(
            f"Another ./up (process {holder}) already runs on {data_dir}. Stop that one first, or start this one "
            "beside it with its own: DATA_DIR=elsewhere PORT=8586 ./up"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    try:
        yield
    finally:
        os.close(descriptor)


def _verify_port_is_free(host: str, port: int) -> None:
    """Raises CannotStart where `edge` could not listen."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
            trial.listen()
    except socket.gaierror as error:
        raise CannotStart(f"HOST={host} is no address of this machine ({error.strerror}).") from error
    except PermissionError as error:
        raise CannotStart(f"Only root may listen on port {port}. Choose one from 1024 on: PORT=8585 ./up") from error
    except OSError as error:
        raise CannotStart(
            f"Port {port} on {host} cannot be had ({error.strerror}). Stop what listens there, or choose another: "
            f"PORT={port + 1} ./up"
        ) from error


# --- what is started ----------------------------------------------------------------------------------------


def _run(*, is_demo: bool) -> int:
    folders.make_private(places.RUN_DIR)
    heartbeat.clear(settings.HEALTH_DIR)
    known_login = _first_login()
    services = _services()
    environment = _environment() | (_fake_providers() if is_demo else {})
    prepare = Child("prepare", _manage("prepare", environment), runs_once=True)
    processes = _processes(environment)
    if is_demo:
        processes.append(Child("demo", _manage("demo", environment), may_end=True))
    is_prepared = _is_prepared()
    stages = [services, [prepare, *processes]] if is_prepared else [services, [prepare], processes]
    embedded_ones = {child.name: child for child in services}

    def speak_for(name: str, pid: int) -> None:
        if child := embedded_ones.get(name):
            heartbeat.write(settings.HEALTH_DIR, name, is_ready=child.is_ready(pid), pid=pid)

    def greet() -> None:
        _note_prepared()
        _greet(known_login, is_demo=is_demo)

    return Supervisor(stages, on_ready=greet, on_tick=speak_for).run()


# --- whether the last start prepared the very same ------------------------------------------------------------------


def _is_prepared() -> bool:
    """Then nobody has to wait for the preparation: it runs beside the others and finds nothing to do."""
    try:
        return not settings.DATABASE_URL and PREPARED.read_text() == _product()
    except OSError:
        return False


def _note_prepared() -> None:
    if not settings.DATABASE_URL:
        PREPARED.write_text(_product())


def _product() -> str:
    """Names, sizes and times of the files the product is made of: what they prepare is the same while these are."""
    digest = hashlib.sha256()
    packages = [init.parent for init in places.BASE_DIR.glob("[!.]*/__init__.py")]
    files = [path for package in packages for path in package.rglob("*") if path.suffix not in {".pyc", ""}]
    for path in sorted([*files, places.BASE_DIR / "requirements.lock"]):
        found = path.stat()
        digest.update(f"{path} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _services() -> list[Child]:
    """What no URL names and is therefore embedded, prepared. Raises CannotEmbed."""
    children = []
    if not settings.DATABASE_URL:
        postgres = embedded.postgres(places.DATA_DIR / "postgres", places.POSTGRES_SOCKETS)
        postgres.prepare()
        children.append(
            Child("postgres", postgres.program(), is_ready=postgres.is_ready, stop_signal=signal.SIGINT,
                  grace_seconds=60, last_resort=signal.SIGQUIT, must_start=STARTS_BEFORE_GIVING_UP)
        )  # fmt: skip
    if not env.text("REDIS_URL"):
        valkey = embedded.valkey(places.VALKEY_SOCKET)
        valkey.prepare()
        children.append(
            Child("valkey", valkey.program(), is_ready=valkey.is_ready, must_start=STARTS_BEFORE_GIVING_UP)
        )
    return children


def _processes(environment: dict[str, str]) -> list[Child]:
    """Stopped from the last to the first: no new work comes in while what is there is finished."""
    graces = {"worker": 15.0, "line": 30.0, "web": 15.0, "edge": 40.0}
    arguments = {"worker": ("--with-beat",)}
    return [
        Child(name, _manage(name, environment, *arguments.get(name, ())), is_ready=_says_it_is_well(name),
              grace_seconds=grace)
        for name, grace in graces.items()
    ]  # fmt: skip


def _says_it_is_well(name: str) -> Callable[[int], bool]:
    def is_ready(_pid: int) -> bool:
        beat = heartbeat.read(settings.HEALTH_DIR).get(name)
        return beat is not None and beat.is_well

    return is_ready


def _manage(command: str, environment: dict[str, str], *arguments: str) -> Program:
    argv = (sys.executable, str(places.BASE_DIR / "manage.py"), command, *arguments)
    return Program(argv, environment, folder=places.BASE_DIR)


def _environment() -> dict[str, str]:
    """Ours, with what all children agree on. Threads that share memory arenas cost less of it."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if settings.DATABASE_URL or not re.fullmatch(r"PG[A-Z]+", name)
    }
    agreed = {"DATA_DIR": str(places.DATA_DIR), "PYTHONUNBUFFERED": "1"}
    return {"MALLOC_ARENA_MAX": "2", **ours, **agreed}


def _fake_providers() -> dict[str, str]:
    """Where the demo serves its fake provider: on a free port, or where the operator says."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    names = ("PROVIDER_URL_OPENAI", "PROVIDER_URL_ANTHROPIC")
    return {name: os.environ.get(name, url) for name in names}


# --- once all is ready --------------------------------------------------------------------------------------


def _first_login() -> str:
    try:
        return places.FIRST_LOGIN_FILE.read_text()
    except OSError:
        return ""


def _greet(known_login: str, *, is_demo: bool) -> None:
    text = _first_login()
    lines = ["", f"  Ready at {settings.PUBLIC_URL}", ""]
    if text and text != known_login:
        login = json.loads(text)
        lines += [f"  {name:<9} {login[key]}" for name, key in (("e-mail", "email"), ("password", "password"),
                                                                 ("API key", "api_key"))]  # fmt: skip
        lines += ["", f"  Kept in {places.FIRST_LOGIN_FILE}", ""]
    elif text:
        lines += [f"  The first login is kept in {places.FIRST_LOGIN_FILE}", ""]
    if is_demo:
        lines += ["  Demo: who calls OpenAI or Anthropic through it is answered by an invented provider.", ""]
    sys.stdout.write("\n".join([*lines, "  Ctrl-C stops everything.", "", ""]))
    sys.stdout.flush()
