#!/bin/bash
# A sweep, each of its runs a task of one job array:
#
#     python launch/sweep.py --print --config=configs/X.py:path=DIR --workdir=DIR2 > runs.txt
#     sbatch --array=1-"$(wc -l < runs.txt)" launch/slurm/array.sh runs.txt
#     python launch/sweep.py --config=configs/X.py:path=DIR --workdir=DIR2   # the table, at the end
#
# Submit it from the project's root. What is done is not run again, so that the same array may be
# submitted until all of it is. Each task goes on where its time was up, as in single.sh.
#SBATCH --job-name=recon-sweep
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus=1
#SBATCH --mem=64G
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%A_%a.log
set -euo pipefail

line=$(sed -n "${SLURM_ARRAY_TASK_ID}p" "$1")
if [[ -z $line ]]; then
  echo "$1 has no line $SLURM_ARRAY_TASK_ID" >&2
  exit 2
fi
eval "set -- $line" # the words of the line, quoted as the sweep printed them

workdir=''
for word in "$@"; do
  case $word in
    --workdir=*) workdir=${word#--workdir=} ;;
  esac
done

trap : TERM # see single.sh
srun "$@"

if grep -q '"status": "stopped"' "$workdir/run.json"; then
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
