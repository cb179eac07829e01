#!/usr/bin/env bash
# Build the image and RUN it, also on a machine without a container daemon (needs root, debootstrap and buildah):
# Debian bookworm as base, chroot isolation, read-only root file system, user 10001. Posts a golden picture of every
# package to its endpoint and stops the service with SIGTERM while it holds a request.
set -euo pipefail
cd "$(dirname "$0")/.."
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
work=$(mktemp -d) port=${PORT:-3456} base=localhost/foveal-test-base tag=localhost/foveal:test
trap 'kill "${server:-0}" 2> /dev/null || true; buildah rm "${box:-none}" > /dev/null 2>&1 || true; rm -rf "$work"' EXIT

if ! buildah inspect --type image "$base" > /dev/null 2>&1; then
    echo "image-test: making a base image (Debian bookworm with its Python 3.11)"
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$work/base" > "$work/log"
    box=$(buildah from scratch)
    buildah add -q "$box" "$work/base" / > /dev/null
    buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$box"
    buildah commit -q "$box" "$base" > /dev/null
    buildah rm "$box" > /dev/null
fi

# The host's certificates and pip settings are mounted while building, for networks with a certificate of their own.
mounts="-v /etc/ssl/certs:/etc/ssl/certs:ro"
[ -f /etc/pip.conf ] && mounts+=" -v /etc/pip.conf:/etc/pip.conf:ro"
BASE=$base EXTRA=$mounts PATH=$PATH deploy/image.sh "$tag"

echo "image-test: size of each layer"
buildah inspect --type image "$tag" --format '{{range .OCIv1.History}}{{.CreatedBy}}{{"\n"}}{{end}}' | cut -c1-100
root_mb() { box=$(buildah from "$1"); du -sm "$(buildah mount "$box")" | cut -f1; buildah rm "$box" > /dev/null; }
base_mb=$(root_mb "$base") whole_mb=$(root_mb "$tag")
echo "image-test: base $base_mb MB, image $whole_mb MB, ours $((whole_mb - base_mb)) MB"
[ $((whole_mb - base_mb)) -le 500 ] || { echo "image-test: expected at most 500 MB beyond the base" >&2; exit 1; }

box=$(buildah from "$tag")
root=$(buildah mount "$box")
mkdir -p "$work/run" && mount --bind "$root" "$work/run" && mount -o remount,ro,bind "$work/run"
mount -t tmpfs tmpfs "$work/run/tmp" && mount -t proc proc "$work/run/proc" && mount --rbind /dev "$work/run/dev"
trap 'kill "${server:-0}" 2> /dev/null || true; umount -R -l "$work/run" || true; buildah rm "$box" > /dev/null; rm -rf "$work"' EXIT
start=(chroot --userspec=10001:10001 "$work/run" /usr/bin/env -i PATH=/opt/foveal/bin:/usr/bin:/bin HOME=/tmp
       BENTOML_DO_NOT_TRACK=True FOVEAL_ZOO=/zoo foveal serve --port "$port")
"${start[@]}" & server=$!
for _ in $(seq 120); do curl -fs "localhost:$port/readyz" > /dev/null && break; sleep 0.5; done
curl -fs "localhost:$port/readyz" > /dev/null || { echo "image-test: never turned ready" >&2; exit 1; }
touch "$work/run/opt/x" 2> /dev/null && { echo "image-test: the root file system is writable" >&2; exit 1; }

declare -A endpoint=([classification]=classify [semantic-segmentation]=segment [object-detection]=detect [instance-segmentation]=instances)
for package in zoo/*/*/; do
    name=$(basename "$(dirname "$package")")
    task=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["task"])' "$package/manifest.json")
    picture=$(ls "$package"golden/*.png | head -1)
    answer=$(curl -fsS --data-binary "@$picture" "localhost:$port/v1/${endpoint[$task]}?model=$name")
    echo "image-test: $name: ${answer:0:140}…"
done

picture=$(ls zoo/*/*/golden/*.png | head -1)
kill -TERM "$server" && wait "$server" || code=$?
echo "image-test: stopped by SIGTERM with exit code ${code:-0}"
[ "${code:-0}" -eq 0 ] || [ "${code:-0}" -eq 143 ]
