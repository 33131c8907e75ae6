#!/bin/bash
# One run on one GPU, started again where its time was up:
#
#     sbatch launch/slurm/single.sh --config=configs/nsd_mlp.py:path=DIR --workdir=DIR2
#
# Submit it from the project's root. Two minutes before the end of its time, or when it is preempted,
# the run is told (SIGTERM), saves and ends with "to be continued"; the job then queues itself again.
#SBATCH --job-name=recon
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus=1
#SBATCH --mem=64G
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

trap : TERM # of a preemption: the run has it too, and this script waits for its end
srun python launch/main.py "$@"

if grep -q '"status": "stopped"' "$workdir/run.json"; then
  scontrol requeue "$SLURM_JOB_ID"
fi
