"""Ray Serve in the form of its documentation: the raw body, one replica."""

import signal
import sys

import ray
from obvious import Detector
from ray import serve
from starlette.requests import Request

PORT, PACKAGE = int(sys.argv[1]), sys.argv[2]


@serve.deployment(num_replicas=1, max_ongoing_requests=64)
class Service:
    def __init__(self) -> None:
        self.detector = Detector(PACKAGE)

    async def __call__(self, request: Request) -> list[dict]:
        return self.detector(await request.body())


ray.init(
    num_cpus=2, include_dashboard=False, logging_level="error", runtime_env={"env_vars": {"PYTHONPATH": sys.path[0]}}
)
serve.start(http_options={"host": "127.0.0.1", "port": PORT})
serve.run(Service.bind(), route_prefix="/detect")
signal.sigwait({signal.SIGTERM, signal.SIGINT})
serve.shutdown()
ray.shutdown()
