#!/bin/bash
# Train on two nodes of eight GPUs:  sbatch slurm.sh
# Checkpoints are written by rank 0; after a time-out, submit again: --resume goes on to the same
# weights.
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
set -euo pipefail

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
resume=()
if [ -e runs/k400/run.json ]; then resume=(--resume); fi

srun torchrun --nnodes "$SLURM_NNODES" --nproc-per-node 8 \
  --rdzv-id "$SLURM_JOB_ID" --rdzv-backend c10d --rdzv-endpoint "$head:29500" \
  -m actcli finetune k400_train.csv --val k400_val.csv --method actionclip --frames 16 \
  --offline --workers 6 -o runs/k400 "${resume[@]}"
