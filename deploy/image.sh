#!/usr/bin/env bash
# Build the serving image with docker, podman or buildah, whichever is there.
#   deploy/image.sh [TAG]        BASE=… RUNTIME=cpu|gpu EXTRA='more build arguments'
set -euo pipefail
cd "$(dirname "$0")/.."
tag=${1:-foveal:0.1.0}
args=(--build-arg "BASE=${BASE:-python:3.11-slim}" --build-arg "RUNTIME=${RUNTIME:-cpu}" -t "$tag")
read -ra extra <<< "${EXTRA:-}"
if docker info > /dev/null 2>&1; then
    docker build "${args[@]}" "${extra[@]}" .
elif command -v podman > /dev/null; then
    podman build --format docker "${args[@]}" "${extra[@]}" . # docker format: OCI has no HEALTHCHECK
elif command -v buildah > /dev/null; then
    buildah bud --layers --format docker "${args[@]}" "${extra[@]}" .
else
    echo "image: expected docker (with its daemon), podman or buildah on the PATH, found none of them" >&2
    exit 2
fi
