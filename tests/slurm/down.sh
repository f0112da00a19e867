#!/usr/bin/env bash
# Stops the Slurm that up.sh started in DIR: its jobs, then its processes, by the numbers that it wrote down.
set -uo pipefail
DIR=$(cd "${1:?usage: down.sh DIR}" && pwd -P)
export SLURM_CONF=$DIR/slurm.conf
JOBS=$(timeout 10 squeue --noheader --format=%A 2>/dev/null | sort -u)
[ -z "$JOBS" ] || timeout 10 scancel $JOBS
for _ in $(seq 100); do [ -z "$(timeout 10 squeue --noheader 2>/dev/null)" ] && break || sleep 0.1; done
for name in slurmd slurmctld munged; do
    [ -s "$DIR/pid/$name" ] && kill "$(cat "$DIR/pid/$name")" 2>/dev/null
    rm -f "$DIR/pid/$name"
done
exit 0
