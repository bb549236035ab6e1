"""helicone_site/embedded: servers of our own, found, made ready, started and stopped."""

from __future__ import annotations

import dataclasses
import os
import signal
import stat

import psycopg
import pytest

from helicone_site import embedded
from lib.processes import IS_LINUX, Identity, identity_for_servers, spawn
from tests.faults.processes import descendants, is_alive, running, wait_until

IS_ROOT = os.geteuid() == 0
IDENTITIES = [Identity.NAMESPACE, Identity.OTHER_USER] if IS_ROOT and IS_LINUX else [Identity.SELF]


@pytest.fixture
def cluster(tmp_path):
    """A short folder: unix sockets have no room for pytest's."""
    server = embedded.postgres(tmp_path / "data", tmp_path / "s", is_throw_away=True)
    server.prepare()
    return server


def connect(server):
    return psycopg.connect(host=str(server.sockets), dbname=embedded.NAME, user=embedded.NAME, autocommit=True)


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: identity.value)
def test_postgres_starts_and_keeps_what_it_was_told(tmp_path, identity):
    server = embedded.postgres(tmp_path / "data", tmp_path / "s", is_throw_away=True)
    server = dataclasses.replace(server, identity=identity)
    for step in ("CREATE TABLE kept (word text)", "INSERT INTO kept VALUES ('here')"):
        server.prepare()
        with running(server, tmp_path / "log") as pid, connect(server) as connection:
            connection.execute(step)
            assert is_alive(pid)
    server.prepare()
    with running(server, tmp_path / "log"), connect(server) as connection:
        assert connection.execute("SELECT word FROM kept").fetchall() == [("here",)]


@pytest.mark.skipif(not IS_ROOT or not IS_LINUX, reason="only root can become another")
def test_what_one_identity_has_made_another_goes_on_with(tmp_path):
    for identity in (Identity.OTHER_USER, Identity.NAMESPACE, Identity.OTHER_USER):
        server = embedded.postgres(tmp_path / "data", tmp_path / "s", is_throw_away=True)
        server = dataclasses.replace(server, identity=identity)
        server.prepare()
        with running(server, tmp_path / "log"), connect(server) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_text_is_compared_and_folded_as_unicode(cluster, tmp_path):
    with running(cluster, tmp_path / "log"), connect(cluster) as connection:
        assert connection.execute("SELECT lower('ÄÖÜ'), 'ÄB' ILIKE 'äb'").fetchone() == ("äöü", True)


def test_nobody_else_may_reach_the_socket_and_no_port_is_open(cluster, tmp_path):
    with running(cluster, tmp_path / "log"), connect(cluster) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert stat.S_IMODE(cluster.sockets.stat().st_mode) == 0o700


def test_an_operators_own_settings_win_and_stay(cluster, tmp_path):
    (cluster.folder / "own.conf").write_text("work_mem = '17MB'\n")
    cluster.prepare()
    with running(cluster, tmp_path / "log"), connect(cluster) as connection:
        assert connection.execute("SHOW work_mem").fetchone() == ("17MB",)


def test_data_of_another_major_version_is_refused_with_what_to_do(cluster):
    (cluster.folder / "PG_VERSION").write_text("9\n")
    with pytest.raises(embedded.CannotEmbed, match=r"holds data of Postgres 9; .* Set PG_BIN .* pg_dump"):
        cluster.prepare()


def test_a_first_start_cut_short_is_begun_anew(tmp_path):
    server = embedded.postgres(tmp_path / "data", tmp_path / "s", is_throw_away=True)
    (tmp_path / "data.new").mkdir()
    (tmp_path / "data.new" / "PG_VERSION").write_text("18\n")
    server.prepare()
    with running(server, tmp_path / "log"), connect(server) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_number_of_a_dead_one_that_lives_on_in_another_process_stops_nothing(cluster, tmp_path):
    (cluster.folder / "postmaster.pid").write_text(f"{os.getpid()}\n{cluster.folder}\n")
    cluster.prepare()
    with running(cluster, tmp_path / "log"), connect(cluster) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_one_that_still_runs_is_waited_for_and_then_named(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "STOP_OF_AN_EARLIER_ONE_SECONDS", 0.2)
    with running(cluster, tmp_path / "log") as pid, pytest.raises(embedded.CannotEmbed, match=f"kill -INT {pid}"):
        cluster.prepare()


def test_postgres_recovers_from_kill_9_and_takes_its_backends_along(tmp_path):
    server = embedded.postgres(tmp_path / "data", tmp_path / "s")
    server.prepare()
    with (tmp_path / "log").open("ab") as output:
        pid = spawn(server.program(), output=output.fileno())
    wait_until(lambda: server.is_ready(pid), "the server is ready")
    with connect(server) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        family = descendants(pid)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        wait_until(lambda: not any(is_alive(child) for child in family), "its backends are gone")
    server.prepare()
    with running(server, tmp_path / "log"), connect(server) as connection:
        assert connection.execute("SELECT one FROM kept").fetchall() == [(1,)]


@pytest.mark.parametrize("name", ["it's", 'say "so"', "back\\slash", "ünï cödé"])
def test_a_folder_may_be_called_anything(tmp_path, name):
    server = embedded.postgres(tmp_path / name / "data", tmp_path / name / "s", is_throw_away=True)
    server.prepare()
    with running(server, tmp_path / "log"), connect(server) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_what_libpq_reads_from_the_environment_does_not_reach_the_server(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("PGPORT", "nonsense")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("LC_ALL", "xx_YY.nonsense")
    with running(cluster, tmp_path / "log"):
        assert "PGPORT" not in cluster.program().env


# --- which programs ---------------------------------------------------------------------------------------------


def fake_postgres(folder, version):
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (folder / name).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}.1 (whoever built it)'\n")
        (folder / name).chmod(0o755)
    return folder


def test_pg_bin_wins_over_the_wheel(tmp_path, monkeypatch):
    monkeypatch.setenv("PG_BIN", str(fake_postgres(tmp_path / "bin", 16)))
    assert embedded.find_postgres() == tmp_path / "bin"


def test_without_a_wheel_the_newest_of_the_system_is_taken(tmp_path, monkeypatch):
    monkeypatch.delenv("PG_BIN", raising=False)
    folders = [fake_postgres(tmp_path / "17", 17), fake_postgres(tmp_path / "15", 15)]
    monkeypatch.setattr(embedded, "_postgres_folders", lambda: iter([tmp_path / "gone", *folders]))
    assert embedded.find_postgres() == tmp_path / "17"


def test_a_pg_bin_too_old_is_refused_by_its_version(tmp_path, monkeypatch):
    monkeypatch.setenv("PG_BIN", str(fake_postgres(tmp_path / "bin", 14)))
    with pytest.raises(embedded.CannotEmbed, match="is Postgres 14; 15 or later"):
        embedded.find_postgres()


def test_a_pg_bin_without_programs_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PG_BIN", str(tmp_path))
    with pytest.raises(embedded.CannotEmbed, match=f"no postgres in {tmp_path}"):
        embedded.find_postgres()


def test_where_there_is_none_the_ways_out_are_named(monkeypatch):
    monkeypatch.delenv("PG_BIN", raising=False)
    monkeypatch.setattr(embedded, "_postgres_folders", lambda: iter([]))
    with pytest.raises(embedded.CannotEmbed, match=r"apt install postgresql.*PG_BIN.*DATABASE_URL"):
        embedded.find_postgres()


def test_only_root_needs_to_be_somebody_else():
    assert (identity_for_servers() is Identity.SELF) is not IS_ROOT


# --- Valkey --------------------------------------------------------------------------------------------------------


def test_valkey_answers_on_its_socket_alone_and_again_after_kill_9(tmp_path):
    server = embedded.valkey(tmp_path / "r" / "v.sock")
    server.prepare()
    with (tmp_path / "log").open("ab") as output:
        pid = spawn(server.program(), output=output.fileno())
    wait_until(lambda: server.is_ready(pid), "the server is ready")
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o700
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert not server.is_ready(pid)
    with running(server, tmp_path / "log") as pid:
        assert server.is_ready(pid)


def test_a_valkey_bin_that_is_no_program_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("VALKEY_BIN", str(tmp_path))
    with pytest.raises(embedded.CannotEmbed, match="VALKEY_BIN"):
        embedded.find_valkey()


def test_without_a_wheel_one_on_the_path_is_taken(tmp_path, monkeypatch):
    (tmp_path / "redis-server").touch(mode=0o755)
    monkeypatch.setattr(embedded, "_package_folder", lambda _name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert embedded.find_valkey() == tmp_path / "redis-server"
    monkeypatch.setenv("PATH", "")
    with pytest.raises(embedded.CannotEmbed, match=r"apt install.*VALKEY_BIN.*REDIS_URL"):
        embedded.find_valkey()
