#!/usr/bin/env bash
# Runs a launcher on GPU nodes under Slurm, a process a node, from where the code is installed:
#   sbatch --nodes=4 launch/slurm.sh reproduce --config=configs/reference.py --workdir=/shared/w
# The workdir is a folder that all nodes see, or gs://. A job that is requeued goes on.
#SBATCH --job-name=tts
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --requeue
#SBATCH --signal=TERM@60
set -euo pipefail
if (($# < 1)); then
  sed -n '2,3s/^# *//p' "$0" >&2
  exit 2
fi
launcher=$1
shift
srun --kill-on-bad-exit=1 python -m "launch.$launcher" "$@" --distributed
