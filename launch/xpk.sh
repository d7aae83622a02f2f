#!/usr/bin/env bash
# Runs a launcher on a TPU slice of a GKE cluster by XPK, with this folder's code:
#   launch/xpk.sh CLUSTER v5litepod-16 NAME reproduce --config=C --workdir=gs://BUCKET/w
# `pip install xpk` and `gcloud auth login` first. A workload of the same workdir goes on.
set -euo pipefail
if (($# < 4)); then
  sed -n '2,3s/^# *//p' "$0" >&2
  exit 2
fi
cluster=$1 type=$2 name=$3 launcher=$4
shift 4
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
xpk workload create --cluster="$cluster" --workload="$name" --tpu-type="$type" \
  --base-docker-image=python:3.12 --script-dir="$root" --command="
    pip install --quiet -e '.[gcs,open,math,tensorboard]' 'jax[tpu]' &&
    python -m launch.$launcher $(printf '%q ' "$@") --distributed"
