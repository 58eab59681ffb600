"""Messages to people, through whatever apprise knows: mail, chat, pagers, webhooks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from ingestctl.domain.errors import ConfigurationError, Exit, IngestError, Retryable

if TYPE_CHECKING:
    from collections.abc import Sequence


class NotifyFailed(IngestError):
    """A notification could not be delivered to at least one of its addresses."""

    code = "notify_failed"
    exit_code = Exit.UNAVAILABLE
    default_retryable: ClassVar[Retryable] = "yes"
    default_hint = "Check INGESTCTL_NOTIFY_URLS and that those services are up."


class Notifier:
    """Sends to each of ``urls`` (apprise's). Their text is a secret: only schemes are ever told."""

    def __init__(self, urls: Sequence[str]) -> None:
        if not urls:
            raise ConfigurationError(
                "INGESTCTL_NOTIFY_URLS is not set: there is nobody to notify",
                hint="Set it to one or more apprise URLs, e.g. mailto://… or slack://….",
            )
        self._urls = tuple(urls)

    def send(self, title: str, body: str) -> int:
        """Send to all; return how many were reached. Raises NotifyFailed naming the schemes of the rest.

        One address that fails does not keep the others from being told.
        """
        import apprise

        # Both log addresses with the secrets in their paths.
        for name in ("apprise", "urllib3"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        failed = []
        for number, url in enumerate(self._urls, 1):
            name = f"no. {number} ({url.partition('://')[0][:20]}://…)"
            service = apprise.Apprise()
            if not service.add(url):
                raise ConfigurationError(
                    f"INGESTCTL_NOTIFY_URLS {name} is no address that apprise knows",
                    hint="See apprise's list of services for how its URL is written.",
                )
            if not service.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT):
                failed.append(name)
        if failed:
            raise NotifyFailed(f"{len(failed)} of {len(self._urls)} not notified: {', '.join(failed)}")
        return len(self._urls)
