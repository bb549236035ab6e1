"""Tasks of the code agent: what it is told, what it reads, what it changes, what the tests say."""

from __future__ import annotations

from dataclasses import dataclass

SYSTEM = """You are Loom, the code agent of Fernweh Outfitters. You work in one repository with four tools.
Read before you write. Change as little as the task needs. Run the tests after every change and quote what they say.
Stop and ask when a task would change a public interface, touch a migration that has run, or delete data.
House style: short functions, plain names, no comments that repeat the code, type hints everywhere.
When you are done, say in two sentences what changed and how you know that it works.
""" + "\n".join(
    f"Rule {number}: {rule}"
    for number, rule in enumerate(
        (
            "money is an integer of cents, never a float",
            "times are UTC inside and local only on a page",
            "no query inside a loop over rows",
            "an error names what the reader can do about it",
            "a test that cannot fail is worse than none",
            "a flag that is on everywhere is removed",
            "logs carry no names, mails or card numbers",
            "an import at the top of the file, or a reason why not",
        ),
        1,
    )
)


@dataclass(frozen=True, slots=True)
class Task:
    title: str
    branch: str
    file: str
    before: str
    after: str
    failing: str
    passing: str
    summary: str


TASKS = (
    Task(
        "Shipping cost is wrong for orders of exactly 100 EUR", "fix/free-shipping-edge", "shop/shipping.py",
        "def cost(total_cents: int) -> int:\n    if total_cents > 10_000:\n        return 0\n    return 490\n",
        "def cost(total_cents: int) -> int:\n    return 0 if total_cents >= FREE_FROM_CENTS else FLAT_CENTS\n",
        "FAILED tests/test_shipping.py::test_free_from_one_hundred - assert 490 == 0\n1 failed, 41 passed in 2.31s",
        "42 passed in 2.28s",
        "Shipping is now free from 100 EUR on, not only above, and both amounts have names. The edge is in a test.",
    ),
    Task(
        "Two exports at the same second overwrite each other", "fix/export-names", "shop/exports.py",
        'def path_for(user: str, at: datetime) -> Path:\n    return EXPORTS / f"{user}-{at:%Y%m%d%H%M%S}.csv"\n',
        "def path_for(user: str, at: datetime) -> Path:\n"
        '    return EXPORTS / f"{user}-{at:%Y%m%dT%H%M%S}-{token_hex(4)}.csv"\n',
        "FAILED tests/test_exports.py::test_two_in_one_second - assert 1 == 2\n1 failed, 17 passed in 1.02s",
        "18 passed in 0.99s",
        "Export names carry eight random digits, so two in one second no longer share a file.",
    ),
    Task(
        "Order list needs 900 queries", "perf/order-list", "shop/orders.py",
        "for order in Order.objects.filter(user=user):\n"
        "    rows.append(row(order, order.items.all(), order.carrier))\n",
        "orders = Order.objects.filter(user=user).select_related('carrier').prefetch_related('items')\n"
        "rows = [row(order) for order in orders]\n",
        "FAILED tests/test_orders.py::test_list_takes_three_queries - 903 != 3\n1 failed, 63 passed in 6.84s",
        "64 passed in 3.11s",
        "The order list takes three queries however many orders there are. A test counts them.",
    ),
    Task(
        "Remove the feature flag new-checkout", "chore/flag-new-checkout", "shop/checkout.py",
        "if flags.is_on('new-checkout', user):\n    return checkout_two(cart)\nreturn checkout_one(cart)\n",
        "return checkout_two(cart)\n",
        "FAILED tests/test_checkout.py::test_old_checkout - NameError: checkout_one\n1 failed, 88 passed in 5.40s",
        "88 passed in 5.02s",
        "The flag, the old checkout and its test are gone; 214 lines fewer. All remaining tests pass.",
    ),
    Task(
        "Newsletter goes out in the reader's language", "feat/newsletter-language", "shop/newsletter.py",
        "subject = 'News from Fernweh'\nsend(reader.mail, subject, render('news.html', reader=reader))\n",
        "with translation.override(reader.language):\n"
        "    send(reader.mail, gettext('News from Fernweh'), render('news.html'))\n",
        "FAILED tests/test_newsletter.py::test_german_subject - 'News from Fernweh'\n1 failed, 12 passed in 0.88s",
        "13 passed in 0.91s",
        "Subject and body follow the reader's language. One test each for German and French.",
    ),
)  # fmt: skip

LOOP = Task(
    "Flaky test in the warehouse sync", "fix/flaky-sync", "warehouse/sync.py",
    "def wait_until_synced(timeout: float = 2.0) -> None:\n    time.sleep(timeout)\n",
    "def wait_until_synced(timeout: float = {timeout}) -> None:\n    time.sleep(timeout)\n",
    "FAILED tests/test_sync.py::test_second_run_is_empty - assert 3 == 0\n1 failed, 127 passed in 61.90s",
    "",
    "",
)  # fmt: skip
"""The task of the run nobody stopped: the agent waits longer and longer for what waiting will not cure."""
