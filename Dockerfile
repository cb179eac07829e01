# Foveal's serving image. `make image` builds it with docker, podman or buildah, whichever is there.
#
#   --build-arg BASE=…         any Debian-like image with Python 3.11 or newer
#   --build-arg RUNTIME=gpu    onnxruntime-gpu instead of onnxruntime; then BASE must bring CUDA and cuDNN
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
ARG RUNTIME=cpu
WORKDIR /build
COPY requirements/serve.txt ./
# Both runtimes install into the same folder, so the lock's onnxruntime is replaced, not installed beside the other.
RUN if [ "$RUNTIME" = gpu ]; then sed -i 's/^onnxruntime==/onnxruntime-gpu==/' serve.txt; fi \
 && python3 -m venv /opt/foveal && /opt/foveal/bin/pip install --no-cache-dir -q -r serve.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY models models
COPY export export
COPY service service
COPY examples examples
# Bytecode is shipped: on a read-only root it would be compiled at every start, which takes three times as long.
RUN /opt/foveal/bin/pip install --no-cache-dir -q --no-deps . \
 && python3 -m venv /sbom && /sbom/bin/pip install --no-cache-dir -q 'cyclonedx-bom>=7,<8' \
 && /sbom/bin/cyclonedx-py environment --output-reproducible -o /opt/foveal/sbom.json /opt/foveal/bin/python \
 && /opt/foveal/bin/pip uninstall -q -y pip setuptools \
 && find /opt/foveal -depth -type d '(' -name __pycache__ -o -path '*/site-packages/*/tests' ')' -exec rm -rf {} + \
 && /opt/foveal/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/foveal/lib

FROM ${BASE}
LABEL org.opencontainers.image.title="foveal" \
      org.opencontainers.image.description="Fine-tuned vision models over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0"
# A number, so that Kubernetes' runAsNonRoot can check it.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin foveal
COPY --from=build /opt/foveal /opt/foveal
COPY zoo /zoo
# Only /tmp is written to: with a tmpfs there, the root file system may be read-only.
ENV PATH=/opt/foveal/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    BENTOML_DO_NOT_TRACK=True \
    HOME=/tmp \
    FOVEAL_ZOO=/zoo
USER 10001
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:3000/readyz', timeout=2)"]
ENTRYPOINT ["foveal"]
CMD ["serve", "--host", "0.0.0.0", "--port", "3000"]
