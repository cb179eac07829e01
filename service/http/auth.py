"""API keys (`ApiKeys`): `Authorization: Bearer KEY`, known by SHA-256 digests, with a rate limit for each key."""

import hashlib
import hmac
import time
from collections.abc import Callable, Sequence

from foveal.service.errors import Busy, Unauthorised

Clock = Callable[[], float]  # seconds from any fixed moment


class ApiKeys:
    """The accepted API keys and their rates; without any, every request passes. For the event loop's thread."""

    def __init__(self, digests: Sequence[str], requests_per_s: float, clock: Clock = time.monotonic) -> None:
        """`digests`: SHA-256 of each key, hex. Keys are long and random, so a fast hash without salt suffices."""
        self._buckets = {digest: _TokenBucket(requests_per_s, clock) for digest in digests}
        self._limited = requests_per_s > 0

    def check(self, authorization: str | None) -> None:
        """Authenticate a request by its Authorization header.

        Raises:
            Unauthorised: no key or a wrong one. Busy: the key is over its rate limit.
        """
        if not self._buckets:
            return
        scheme, _, key = (authorization or "").partition(" ")
        digest = hashlib.sha256(key.strip().encode()).hexdigest()
        # compared with every known key, each in constant time: the duration reveals nothing about them
        known = [each for each in self._buckets if hmac.compare_digest(each, digest)]
        if scheme.lower() != "bearer" or not known:
            raise Unauthorised("expected the header 'Authorization: Bearer KEY' with a valid key")
        if self._limited:
            self._buckets[known[0]].take()


class _TokenBucket:
    """Rate limit: `rate` requests a second in the long run, bursts of twice as many."""

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
            detail = f"expected at most {self._rate:g} requests a second with this key"
            raise Busy(detail, (1 - self._tokens) / self._rate)
        self._tokens -= 1
