#!/usr/bin/env bash
# A Slurm of one node on this machine, for the tests marked slurm: root, Debian. It listens on loopback only, claims
# eight CPUs, and keeps all it writes in DIR (installing its packages the first time). In seconds:
#
#   eval "$(tests/slurm/up.sh DIR)"     sets SLURM_CONF; what else there is to say goes to standard error
#   tests/slurm/down.sh DIR
#
# Partitions: main, and scavenge, whose jobs are told to stop (USR1, as they ask for) and requeued where one of main
# needs their place.
set -euo pipefail

DIR=$(mkdir -p "${1:?usage: up.sh DIR}" && cd "$1" && pwd -P)
PORT=${SLURM_TEST_PORT:-16817}
exec 3>&1 >&2
[ "$(id -u)" = 0 ] || { echo "up.sh: needs root"; exit 1; }
[ "${#DIR}" -lt 80 ] || { echo "up.sh: a socket's path has to be shorter: $DIR"; exit 1; }

if ! command -v slurmctld slurmd sbatch munged >/dev/null; then
    # first on dpkg's path two commands that do nothing, or the packages start their services
    mkdir -p "$DIR/nostart"
    for command in invoke-rc.d deb-systemd-invoke; do
        printf '#!/bin/sh\nexit 0\n' >"$DIR/nostart/$command"
        chmod 755 "$DIR/nostart/$command"
    done
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
        -o DPkg::Path="$DIR/nostart:$PATH" munge slurmctld slurmd slurm-client; } >"$DIR/apt.log" 2>&1 </dev/null ||
        { tail -n 5 "$DIR/apt.log"; exit 1; }
fi

NODE=$(hostname -s)
mkdir -p "$DIR"/{munge,state,spool,log,pid}
chmod 755 "$DIR" "$DIR/munge"
chown munge: "$DIR/munge"
cat >"$DIR/slurm.conf" <<CONF
ClusterName=tests
SlurmctldHost=$NODE(127.0.0.1)
SlurmctldPort=$PORT
SlurmdPort=$((PORT + 1))
SlurmUser=root
# a credential's life is also how long a requeued job waits before it starts again: two minutes by default
AuthInfo=socket=$DIR/munge/socket,cred_expire=5
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool
SlurmctldPidFile=$DIR/pid/slurmctld.pid
SlurmdPidFile=$DIR/pid/slurmd.pid
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdLogFile=$DIR/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=bf_interval=5,sched_interval=5,batch_sched_delay=0
DefMemPerCPU=256
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
KillWait=5
ReturnToService=2
SlurmdParameters=config_overrides
NodeName=$NODE NodeAddr=127.0.0.1 CPUs=8 RealMemory=$(slurmd -C | sed -n 's/.*RealMemory=\([0-9]*\).*/\1/p') State=UNKNOWN
PartitionName=main     Nodes=$NODE Default=YES PriorityTier=10 PreemptMode=OFF     State=UP
PartitionName=scavenge Nodes=$NODE Default=NO  PriorityTier=1  PreemptMode=REQUEUE State=UP GraceTime=15
CONF
export SLURM_CONF=$DIR/slurm.conf

start() { # NAME COMMAND...: unless it runs
    local name=$1
    shift
    if ! { [ -s "$DIR/pid/$name" ] && kill -0 "$(cat "$DIR/pid/$name")" 2>/dev/null; }; then
        setsid "$@" </dev/null >>"$DIR/log/$name.out" 2>&1 3>&- &
        echo $! >"$DIR/pid/$name"
    fi
}
as_munge() { setpriv --reuid=munge --regid=munge --init-groups "$@"; }

[ -e "$DIR/munge/key" ] || as_munge mungekey --create --keyfile="$DIR/munge/key"
start munged setpriv --reuid=munge --regid=munge --init-groups munged --foreground --socket="$DIR/munge/socket" \
    --key-file="$DIR/munge/key" --pid-file="$DIR/munge/pid" --seed-file="$DIR/munge/seed" \
    --log-file="$DIR/munge/log"
for _ in $(seq 100); do [ -S "$DIR/munge/socket" ] && break || sleep 0.1; done
start slurmctld slurmctld -D -f "$SLURM_CONF"
start slurmd slurmd -D -f "$SLURM_CONF"
for _ in $(seq 300); do
    case "$(sinfo --noheader --partition=main --format=%T 2>/dev/null)" in
        idle | mixed | allocated | completing)
            echo "export SLURM_CONF='$SLURM_CONF'" >&3
            exit 0
            ;;
    esac
    sleep 0.1
done
echo "up.sh: it does not answer"
tail -n 5 "$DIR"/log/*
exit 1
