"""API keys: `Authorization: Bearer KEY`, when keys are set. The service knows only their hashes."""

import hashlib
import hmac
import time
from collections.abc import Callable, Sequence

from foveal.service.errors import Busy, Unauthorised

Clock = Callable[[], float]  # seconds from whenever


class Keys:
    """Who may come in, and how often. Used on the event loop only."""

    def __init__(self, digests: Sequence[str], requests_per_s: float, clock: Clock = time.monotonic) -> None:
        """`digests`: sha256 of each key, hex. Keys are random and long, so a fast hash without salt will do."""
        self._buckets = {digest: _Bucket(requests_per_s, clock) for digest in digests}
        self._limited = requests_per_s > 0

    def check(self, authorization: str | None) -> None:
        """Let a request pass.

        Raises:
            Unauthorised: no key or a wrong one. Busy: this key asks more often than it may.
        """
        if not self._buckets:
            return
        scheme, _, key = (authorization or "").partition(" ")
        digest = hashlib.sha256(key.strip().encode()).hexdigest()
        # every known key is compared, each in constant time: the time taken tells nothing about them
        known = [each for each in self._buckets if hmac.compare_digest(each, digest)]
        if scheme.lower() != "bearer" or not known:
            raise Unauthorised("expected the header 'Authorization: Bearer KEY' with a valid key")
        if self._limited:
            self._buckets[known[0]].take()


class _Bucket:
    """Token bucket: `rate` requests a second in the long run, twice as many at once."""

    def __init__(self, rate: float, clock: Clock) -> None:
        self._rate = rate
        self._size = max(1.0, 2 * rate)
        self._clock = clock
        self._tokens, self._at = self._size, clock()

    def take(self) -> None:
        now = self._clock()
        self._tokens = min(self._size, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            raise Busy(f"this key may ask {self._rate:g} times a second", (1 - self._tokens) / self._rate)
        self._tokens -= 1
