#!/usr/bin/env bash
# Build the image and run it, also on a machine without a container daemon (needs root, buildah, debootstrap).
#   deploy/image-test.sh [bento]       EXTRA='more build flags'   EXTRA_ZOO=FOLDER of more packages
#
# bento: not the Dockerfile's image but the one that `bentoml containerize` makes of bentofile.yaml; EXTRA are --opt then.
#
# Base: Debian bookworm, built once and kept. The image's own entry point, user, environment and health check run in a
# network namespace with only a loopback interface, on a read-only root with a tmpfs at /tmp. A golden image of every
# package in zoo/ is sent to its endpoint; all four endpoints must answer. Then SIGTERM during an upload.
set -euo pipefail
cd "$(dirname "$0")/.."
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
kind=${1:-dockerfile} base=localhost/foveal-test-base work=$(mktemp -d)
root=$work/root
case $kind in
    dockerfile) tag=localhost/foveal:test user=10001 uid=10001 zoo=$root/zoo venv=$root/opt/foveal ;;
    bento) tag=localhost/foveal-bento:test user=bentoml uid=1034 zoo=$root/home/bentoml/bento/src/zoo venv=$root/app/.venv ;;
    *) echo "image-test: expected no argument or bento, got $kind" >&2 && exit 2 ;;
esac
log() { echo "image-test: $*"; }
fail() { log "$*" >&2; exit 1; }
clean() {
    kill -KILL "${server:-}" 2> /dev/null || true
    umount -R -l "$root" 2> /dev/null || true
    [ -z "${box:-}" ] || buildah rm "$box" > /dev/null
    rm -rf "$work"
}
trap clean EXIT

if ! buildah inspect --type image "$base" > /dev/null 2>&1; then
    log "making a base image (Debian bookworm with its Python 3.11)"
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$work/base" > "$work/log"
    box=$(buildah from scratch)
    buildah add -q "$box" "$work/base" / > /dev/null
    buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$box"
    buildah commit -q "$box" "$base" > /dev/null
    buildah rm "$box" > /dev/null && box=
fi
if [ "$kind" = bento ]; then # python:3.11-slim, which its Dockerfile starts from, has pip on the PATH
    box=$(buildah from "$base") && base=$base-pip
    buildah run "$box" python3 -m venv /usr/local/python
    buildah config --env PATH=/usr/local/python/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        --env SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt "$box" # uv brings certificates of its own
    buildah commit -q "$box" "$base" > /dev/null && buildah rm "$box" > /dev/null && box=
    make -s bento > /dev/null
    read -ra extra <<< "${EXTRA:-}"
    .venv-serve/bin/bentoml containerize foveal:latest -t "$tag" --backend buildah --opt "from=$base" "${extra[@]}"
else
    BASE=$base deploy/image.sh "$tag"
fi

# Configuration of the image.
config() { buildah inspect --type image "$tag" | jq -r ".Docker.config.$1"; }
[ "$(config User)" = "$user" ] || fail "expected USER $user, got $(config User)"
mapfile -t environment < <(config 'Env[]')
[ "$kind" = dockerfile ] || environment+=(BENTOML_HOME=/tmp) # as `docker run --read-only --tmpfs /tmp -e BENTOML_HOME=/tmp`
mapfile -t command < <(config 'Entrypoint[], .Docker.config.Cmd[]?')
mapfile -t health < <(config 'Healthcheck.Test[1:][]?')
if [ "$kind" = dockerfile ]; then # BentoML supports neither
    [ "$(config StopSignal)" = SIGTERM ] || fail "expected STOPSIGNAL SIGTERM, got $(config StopSignal)"
    [ "${#health[@]}" -gt 0 ] || fail "expected a HEALTHCHECK"
fi

# Its size, in all and by part.
root_mb() { box=$(buildah from "$1"); du -sm "$(buildah mount "$box")" | cut -f1; buildah rm "$box" > /dev/null; box=; }
root_mb "$base" > "$work/base_mb" && root_mb "$tag" > "$work/whole_mb"
ours_mb=$(($(cat "$work/whole_mb") - $(cat "$work/base_mb")))
log "base $(cat "$work/base_mb") MB, image $(cat "$work/whole_mb") MB, ours $ours_mb MB"
[ "$kind" = bento ] || [ "$ours_mb" -le 500 ] || fail "expected at most 500 MB beyond the base"

# Mount it as in a read-only container; a container runtime would supply /etc/hosts.
box=$(buildah from "$tag") && mounted=$(buildah mount "$box")
echo "127.0.0.1 localhost" > "$mounted/etc/hosts"
mkdir "$root" && mount --bind "$mounted" "$root" && mount -o remount,ro,bind "$root"
log "its largest parts, MB: $(cd "$root" && du -sm "$zoo" "$venv"/lib/python3*/site-packages/* | sort -rn | head -8 |
    awk '{n = split($2, part, "/"); printf "%s %s, ", part[n], $1}')"
[ "$kind" = bento ] || jq -e '.bomFormat == "CycloneDX" and (.components | length) > 20' "$venv/sbom.json" > /dev/null ||
    fail "expected an SBOM"
[ ! -e "$venv"/lib/python3*/site-packages/torch ] || fail "expected no torch"
[ -z "$(find "$root"/usr/bin -name '*gcc*' -o -name 'g++*')" ] || fail "expected no compiler"
if [ "${EXTRA_ZOO:-}" ]; then # more packages beside the shipped ones, mounted over the zoo
    cp -r zoo "$work/zoo" && cp -rn "$EXTRA_ZOO"/. "$work/zoo" && mount --bind "$work/zoo" "$zoo" && mount -o remount,ro,bind "$zoo"
fi
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp" && mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero random urandom; do touch "$root/dev/$device" && mount --bind "/dev/$device" "$root/dev/$device"; done
mkdir "$root/dev/shm" && mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
jail=(chroot "--userspec=$uid:$uid" "$root" /usr/bin/env -i -C "$(config WorkingDir | grep / || echo /)" "${environment[@]}")
"${jail[@]}" sh -c 'touch "$0"/x || touch /opt/x || touch /x || touch ./x' "${zoo#"$root"}" 2> /dev/null && fail "the root file system can be written"

started=$(date +%s%N)
unshare --net sh -c 'ip link set lo up && exec "$@"' - "${jail[@]}" "${command[@]}" 2> "$work/server.log" & server=$!
inside() { nsenter --net="/proc/$server/ns/net" "$@"; }
ready() { inside curl -fs localhost:3000/readyz > /dev/null; }
for _ in $(seq 600); do ready 2> /dev/null && break; [ -d "/proc/$server" ] || break; sleep 0.2; done
ready 2> /dev/null || { cat "$work/server.log" >&2; fail "never turned ready"; }
log "ready $((($(date +%s%N) - started) / 1000000)) ms after its start (every golden image reproduced)"
[ "$(stat -c %u "/proc/$server")" = "$uid" ] || fail "expected to run as $uid"
[ "${#health[@]}" -eq 0 ] || inside "${jail[@]}" "${health[@]}" || fail "the health check fails on a ready service"

declare -A endpoint=([classification]=classify [semantic-segmentation]=segment
                     [object-detection]=detect [instance-segmentation]=instances) answered=()
for package in "$zoo"/*/*/; do
    name=$(basename "$(dirname "$package")")
    task=$(jq -r .pipeline.task "$package/manifest.json")
    image=$(find "$package/golden" -name '*.png' | sort | head -1)
    answer=$(inside curl -fsS --data-binary "@$image" "localhost:3000/v1/${endpoint[$task]}?model=$name")
    answered[$task]=yes
    log "/v1/${endpoint[$task]} $name: $(jq -c '.results[0] | del(.image)' <<< "$answer" | cut -c1-100)…"
done
log "resident: $(cat "/proc/$server/smaps_rollup" $(pgrep -P "$server" | sed 's#.*#/proc/&/smaps_rollup#') |
    awk '/^Pss:/ {kb += $2} END {print int(kb / 1024)}') MB (PSS of the supervisor and its worker)"

# SIGTERM during an upload of one or two seconds: it is answered, then the service stops.
inside curl -fsS --limit-rate $(($(stat -c %s "$image") / 2)) --data-binary "@$image" -o "$work/last" \
    "localhost:3000/v1/${endpoint[$task]}?model=$name" & upload=$!
sleep 0.7
stopping=$(date +%s%N)
kill -TERM "$server"
wait "$upload" || fail "the request in flight was not answered"
wait "$server" && code=0 || code=$?
log "stopped by SIGTERM in $((($(date +%s%N) - stopping) / 1000000)) ms with exit code $code; the upload in flight was answered"
[ "$code" -eq 0 ] || [ "$code" -eq 143 ] || fail "expected exit code 0 or 143"
for task in "${!endpoint[@]}"; do [ "${answered[$task]:-}" ] || fail "no package answers /v1/${endpoint[$task]}"; done
log "all four endpoints answered"
