#!/bin/bash
# One run on the GPUs of several nodes, a process for each GPU:
#
#     sbatch --nodes=4 launch/slurm/multinode.sh --config=configs/nsd_mlp.py:path=DIR --workdir=DIR2
#
# Submit it from the project's root, with data and DIR2 where all nodes see them. Each process reads
# its own rows of a batch; batch must be a multiple of the number of GPUs. `--config.devices=N` lets N
# of them share one copy of the long parameters. It goes on where its time was up, as in single.sh,
# also on another number of nodes.
#SBATCH --job-name=recon-multinode
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --mem=0
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -euo pipefail

workdir=''
for word in "$@"; do
  case $word in
    --workdir=*) workdir=${word#--workdir=} ;;
  esac
done
if [[ -z $workdir ]]; then
  echo 'name --workdir=DIR, so that the job can go on there' >&2
  exit 2
fi

trap : TERM # see single.sh
# Every process sees all GPUs of its node and takes the one of its number.
srun --gpu-bind=none python launch/main.py "$@" --multihost

if grep -q '"status": "stopped"' "$workdir/run.json"; then
  scontrol requeue "$SLURM_JOB_ID"
fi
