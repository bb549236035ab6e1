"""Links people need to get in: mailed where a mail server is set, and always in the operator's log where not."""

from __future__ import annotations

import logging

from django.conf import settings
from django.core.mail import send_mail

logger = logging.getLogger("accounts")


def is_set_up() -> bool:
    return bool(settings.EMAIL_HOST)


def send_link(email: str, subject: str, *, text: str, link: str) -> None:
    """Never raises: where no mail can be sent, the operator finds the link in the log and passes it on."""
    if is_set_up():
        try:
            send_mail(subject, f"{text}\n\n{link}\n", settings.DEFAULT_FROM_EMAIL, [email])
        except OSError as error:
            logger.warning("mail failed to=%s error=%s", email, error)
        else:
            return
    logger.warning("link for=%s subject=%r link=%s", email, subject, link)
