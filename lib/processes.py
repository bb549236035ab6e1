"""Child processes that never outlive their parent, and that need not be root where the parent is.

Linux tells a child when its parent dies (PR_SET_PDEATHSIG). Elsewhere one small process, the Watchdog, holds the end of
a pipe: when the parent is gone the pipe closes, and it ends whom the parent had named to it.

Only the main thread of a program without other threads may call `spawn`: it forks.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522
NOBODY = 65534
IS_LINUX = sys.platform == "linux"
CANNOT_EXECUTE = 127


class Identity(Enum):
    """As whom a child runs."""

    SELF = "self"
    NAMESPACE = "namespace"
    """Root outside, 65534 to itself and to what it asks: for programs that refuse to be root."""
    OTHER_USER = "other user"
    """For the same programs where a user namespace is refused, as in most containers."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to start. `death_signal` is what it gets when the parent dies; `input` (below 4 KB) is its stdin."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    input: str = ""
    folder: Path | None = None
    identity: Identity = Identity.SELF
    death_signal: signal.Signals = signal.SIGKILL


def spawn(program: Program, *, output: int, watchdog: Watchdog | None = None) -> int:
    """Starts it in a process group of its own, with `output` as stdout and stderr; returns its pid.

    With a watchdog the child begins only when the watchdog knows it, so none can be missed.
    """
    parent = os.getpid()
    gate_out, gate_in = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(gate_in)
            _become(program, parent=parent, gate=gate_out, output=output)
        except BaseException as error:
            _complain(output, f"{program.argv[0]} could not be started: {error}\n")
        finally:
            os._exit(CANNOT_EXECUTE)
    os.close(gate_out)
    if watchdog:
        watchdog.add(pid, program.death_signal)
    with contextlib.suppress(BrokenPipeError):
        os.write(gate_in, b"g")
    os.close(gate_in)
    return pid


def _become(program: Program, *, parent: int, gate: int, output: int) -> None:
    """The child's way from fork to exec. Changing who one is forgets the death signal, so that is asked for last."""
    os.setsid()
    restore_signals()
    if os.read(gate, 1) != b"g":
        os._exit(CANNOT_EXECUTE)
    _TAKE_ON[program.identity]()
    die_with_parent(program.death_signal, parent=parent)
    os.dup2(_open_input(program.input), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if program.folder:
        os.chdir(program.folder)
    os.execve(program.argv[0], program.argv, dict(program.env))  # noqa: S606


def _open_input(text: str) -> int:
    if not text:
        return os.open(os.devnull, os.O_RDONLY)
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    return reading


def _complain(output: int, sentence: str) -> None:
    with contextlib.suppress(OSError):
        os.write(output, sentence.encode())


def restore_signals() -> None:
    """As a fresh program expects them: nothing ignored or held back that this one chose to."""
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def die_with_parent(number: signal.Signals, *, parent: int) -> None:
    """Get this signal when `parent` dies; exits at once where it already has. Does nothing where there is no Linux."""
    if not IS_LINUX:
        return
    _check(_libc().prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0), "prctl")
    if os.getppid() != parent:
        os._exit(CANNOT_EXECUTE)


# --- not being root -----------------------------------------------------------------------------------------


def identity_for_servers() -> Identity:
    """As whom to run a program that refuses to be root."""
    if os.geteuid() != 0:
        return Identity.SELF
    return Identity.NAMESPACE if _can_enter_namespace() else Identity.OTHER_USER


def other_user() -> tuple[int, int]:
    """(user, group) a server runs as where root may not and a namespace is refused: postgres if there is one."""
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return found.pw_uid, found.pw_gid
    return NOBODY, NOBODY


def owner_of(identity: Identity) -> tuple[int, int]:
    """(user, group) that files of such a child belong to."""
    return other_user() if identity is Identity.OTHER_USER else (os.geteuid(), os.getegid())


def _can_enter_namespace() -> bool:
    """Tried in a child: there is no other way to know, and no way back."""
    if not IS_LINUX:
        return False
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(BaseException):
            _enter_namespace()
            status = 0 if os.geteuid() == NOBODY else 1
        os._exit(status)
    return os.waitpid(pid, 0)[1] == 0


def _enter_namespace() -> None:
    group = os.getegid()
    _check(_libc().unshare(CLONE_NEWUSER), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {group} 1")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} 0 1")


def _become_other_user() -> None:
    """Another user who may still pass through root's folders, where root itself may give that away.

    Its files lie below DATA_DIR, which is closed to everybody else, as the folders above it may be.
    """
    user, group = other_user()
    keeps = IS_LINUX and _libc().prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) == 0
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
    if keeps:
        _keep_only(CAP_DAC_OVERRIDE)


def _keep_only(capability: int) -> None:
    """Drops every capability but this one, and keeps that across exec, if we have it."""
    libc = _libc()
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then the same for capabilities above 31
    for index in range(3):
        sets[index] = 1 << capability
    if libc.capset(header, sets) == 0:
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)
    else:
        _check(libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")


_TAKE_ON: Mapping[Identity, Callable[[], None]] = {
    Identity.SELF: lambda: None,
    Identity.NAMESPACE: _enter_namespace,
    Identity.OTHER_USER: _become_other_user,
}


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


# --- where no kernel tells a child that its parent died -----------------------------------------------------


class Watchdog:
    """A process that ends the children of this one when this one is gone, however it went."""

    def __init__(self) -> None:
        listening, self._pipe = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self._pipe)
                _watch(listening)
            finally:
                os._exit(0)
        os.close(listening)

    def add(self, pid: int, number: signal.Signals) -> None:
        self._say(f"+{pid} {int(number)}\n")

    def remove(self, pid: int) -> None:
        """To be said as soon as the child is reaped: its number may then be given to somebody else."""
        self._say(f"-{pid}\n")

    def close(self) -> None:
        """Ends the watchdog, and with it whoever is still named to it."""
        os.close(self._pipe)
        os.waitpid(self.pid, 0)

    def _say(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._pipe, line.encode())


def _watch(listening: int) -> None:
    os.setsid()
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    watched: dict[int, int] = {}
    with os.fdopen(listening) as lines:
        for line in lines:
            if line.startswith("+"):
                pid, number = line[1:].split()
                watched[int(pid)] = int(number)
            else:
                watched.pop(int(line[1:]), None)
    for child, last_signal in watched.items():
        end(child, signal.Signals(last_signal))


def end(pid: int, number: signal.Signals) -> None:
    """Signals a spawned child; SIGKILL goes to all it has started as well."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if number is signal.SIGKILL:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)


def is_running(pid: int) -> bool:
    """Whether there is a process of that number, ours or not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
