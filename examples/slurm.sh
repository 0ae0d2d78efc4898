#!/bin/bash
# A Ray cluster for one optsearch command, in a SLURM job:
#     sbatch examples/slurm.sh search my.yaml --gpus-per-worker 0.5
#SBATCH --job-name=optsearch
#SBATCH --nodes=3
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=4
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@300
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
RAY_AUTH_TOKEN=$(python -c "import secrets; print(secrets.token_hex(32))")
export RAY_AUTH_TOKEN
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
ip=$(python -c "import socket, sys; print(socket.gethostbyname(sys.argv[1]))" "$head")
port=$((20000 + SLURM_JOB_ID % 20000))
# Random ports and a folder of the job's own: other jobs may run Ray on the same nodes.
own=(--min-worker-port=0 --max-worker-port=0 --dashboard-agent-listen-port=0 --disable-usage-stats --block)

trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT

# The head's raylet leaves one core to the command itself, which runs in this script on the first node.
srun --nodes=1 --ntasks=1 --nodelist="$head" --overlap \
    ray start --head --node-ip-address="$ip" --port="$port" --num-cpus=$((SLURM_CPUS_PER_TASK - 1)) \
    --include-dashboard=false --temp-dir="/tmp/ray-$SLURM_JOB_ID" "${own[@]}" &
ray=$!
until (: < "/dev/tcp/$ip/$port") 2> /dev/null; do
    kill -0 "$ray"  # without the head the job ends
    sleep 1
done
others=$((SLURM_JOB_NUM_NODES - 1))
if [ "$others" -gt 0 ]; then
    srun --nodes="$others" --ntasks="$others" --exclude="$head" --overlap \
        ray start --address="$ip:$port" --num-cpus="$SLURM_CPUS_PER_TASK" "${own[@]}" &
fi

# The number of workers is decided when the command starts, so all nodes have to be there.
python - "$ip:$port" "$SLURM_JOB_NUM_NODES" <<'PYTHON'
import sys, time
import ray

ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
end = time.monotonic() + 300
while (joined := sum(node["Alive"] for node in ray.nodes())) < int(sys.argv[2]):
    if time.monotonic() > end:
        sys.exit(f"{joined} of {sys.argv[2]} nodes have joined within 300 s")
    time.sleep(1)
PYTHON

optsearch "$@" --address "$ip:$port" &
driver=$! stopped= code=0
trap 'stopped=yes; kill -TERM "$driver"' TERM
wait "$driver" || code=$?
if [ -n "$stopped" ]; then  # the signal ended the first `wait`; the command saves its state and exits
    code=0
    wait "$driver" || code=$?
    [ "$code" -eq 0 ] || scontrol requeue "$SLURM_JOB_ID"  # the same command resumes
fi
exit "$code"
