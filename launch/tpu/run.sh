#!/bin/bash
# One run on all hosts of a TPU slice that exists:
#
#     launch/tpu/run.sh NAME ZONE setup
#     launch/tpu/run.sh NAME ZONE --config=configs/nsd_mlp.py:path=/mnt/DIR --workdir=/mnt/DIR2
#
# Run it from the project's root, where gcloud is signed in. `setup` copies the tracked files to
# every host and installs them there. Data and DIR2 lie where all hosts see them (a mounted bucket or
# disk). The same command after a preemption goes on where the run was stopped.
set -euo pipefail

if (($# < 3)); then
  echo 'usage: launch/tpu/run.sh NAME ZONE setup | --config=... --workdir=...' >&2
  exit 2
fi
name=$1 zone=$2
shift 2

on_all() { # runs one command on every host
  gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="$1"
}

if [[ $1 == setup ]]; then
  archive=$(mktemp --suffix=.tar.gz)
  trap 'rm -f "$archive"' EXIT
  git archive --format=tar.gz --output="$archive" HEAD
  gcloud compute tpus tpu-vm scp "$archive" "$name:recon.tar.gz" --zone="$zone" --worker=all
  on_all 'mkdir -p recon && tar -xzf recon.tar.gz -C recon && cd recon &&
    python3 -m venv .venv && .venv/bin/pip install -q -r requirements.txt "jax[tpu]"'
  exit
fi

words=$(printf '%q ' "$@")
# SIGTERM reaches the run itself: exec puts it in the shell's place.
on_all "cd recon && exec .venv/bin/python launch/main.py $words--multihost"
