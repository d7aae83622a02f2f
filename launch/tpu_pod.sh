#!/usr/bin/env bash
# Runs a launcher on every host of a TPU slice, with the code of the last commit:
#   launch/tpu_pod.sh POD ZONE reproduce --config=configs/reference.py --workdir=gs://BUCKET/w
# Started again it goes on. It ends with the launcher's status; hosts go on if this machine is lost.
set -euo pipefail
if (($# < 3)); then
  sed -n '2,3s/^# *//p' "$0" >&2
  exit 2
fi
pod=$1 zone=$2 launcher=$3
shift 3
root=$(cd "$(dirname "$0")/.." && pwd)
archive=$(mktemp --suffix=.tgz)
trap 'rm -f "$archive"' EXIT
git -C "$root" archive --format=tgz --output="$archive" HEAD

slice() { gcloud compute tpus tpu-vm "$1" --zone="$zone" --worker=all "${@:2}"; }

slice scp "$archive" "$pod:tts.tgz"
slice ssh "$pod" --command='
  set -e
  mkdir -p tts && tar -xzf tts.tgz -C tts
  python3 -m venv --upgrade-deps uv-env && uv-env/bin/pip install --quiet uv
  # Images on Ubuntu 22.04 have Python 3.10, which is too old for JAX; uv fetches another.
  uv-env/bin/uv venv --quiet --allow-existing --python 3.12 tts-env
  uv-env/bin/uv pip install --quiet --python tts-env -e "tts[gcs,open,math,tensorboard]" "jax[tpu]"'
slice ssh "$pod" --command="cd tts && ../tts-env/bin/python -m launch.$launcher $(printf '%q ' "$@") --distributed"
