"""manage.py demo: fills a running product with invented traffic, then keeps calling through its gateway."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from helicone_site import places
from helicone_site.demo import home, live, send, stories
from helicone_site.demo.door import Door, Stopped
from helicone_site.demo.provider.serve import serve_if_nobody_does
from helicone_site.demo.stories import traced
from lib import clock, env

USUAL_DAYS = 30
LONGEST_START_SECONDS = 180


class Command(BaseCommand):
    help = "Fills a running product with 30 days of invented traffic, then goes on with live calls until stopped."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", default=f"http://127.0.0.1:{settings.PORT}", help="where the product answers")
        parser.add_argument("--key", help="API key; without it one of the demo's own")
        parser.add_argument("--days", type=int, default=USUAL_DAYS)
        parser.add_argument("--no-live", action="store_true", help="end once the past is told")
        parser.add_argument("--only-live", action="store_true", help="leave the past out")
        parser.add_argument("--pause", type=float, default=live.USUAL_PAUSE_SECONDS, help="seconds between live calls")

    def handle(self, *_: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        try:
            _wait_until_ready(options["url"], stop)
            key = options["key"] or _own_key()
            if not options["only_live"]:
                self._tell(options, key, stop)
            if not options["no_live"]:
                self._live(options, key, stop)
        except Stopped:
            return
        except send.KeyRefused as error:
            raise CommandError(f"The product does not take the key: {error}. Give another with --key.") from error

    def _tell(self, options: dict[str, Any], key: str, stop: threading.Event) -> None:
        steps = list(stories.days(clock.now(), options["days"]))
        self.stdout.write(f"telling {len(steps):,} calls of {options['days']} days")
        answered = send.send(steps, options["url"], key, stop=stop)
        answered += send.send_traces(traced.days(clock.now(), options["days"]), options["url"], key, stop=stop)
        self.stdout.write(f"told: {answered[200]:,} taken, {answered.total() - answered[200]:,} refused")

    def _live(self, options: dict[str, Any], key: str, stop: threading.Event) -> None:
        for name in ("PROVIDER_URL_OPENAI", "PROVIDER_URL_ANTHROPIC"):
            if not serve_if_nobody_does(env.text(name)):
                self.stdout.write(
                    f"no live calls: {name} must be the fake provider's address on this machine, "
                    f"such as http://127.0.0.1:8586, for the gateway and for this command"
                )
                return
        self.stdout.write("live calls go through the gateway until this is stopped")
        made = live.run(options["url"], key, stop=stop, pause=options["pause"])
        self.stdout.write(f"stopped after {made:,} live calls")


def _own_key() -> str:
    try:
        return home.key(places.FIRST_LOGIN_FILE, places.DATA_DIR / "demo.json")
    except (OSError, ValueError, KeyError) as error:
        raise CommandError(f"No API key in {places.FIRST_LOGIN_FILE} ({error}). Give one with --key.") from error


def _wait_until_ready(url: str, stop: threading.Event) -> None:
    """Returns when /healthz says 200. Raises CommandError after three minutes, Stopped before if asked to."""
    with Door(url, stop, timeout=5) as door:
        for _ in range(LONGEST_START_SECONDS * 2):
            try:
                if door.get("/healthz").status == 200:
                    return
            except OSError:
                pass
            if stop.wait(0.5):
                raise Stopped
    raise CommandError(f"Nothing answers at {url}/healthz. Start the product first: ./up")
