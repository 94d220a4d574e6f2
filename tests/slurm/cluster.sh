#!/usr/bin/env bash
# A real Slurm on this one machine, for tests: node n1 in the partition "cpu", and n2 and n3 in the partition "gpu", each
# of one processor (or CPUS=8, say), with a GPU that is none. FOLDER/jobs.txt gets a line for each job that has ended.
#
#   cluster.sh up FOLDER      starts it, with all its files in FOLDER; needs root, slurmctld, slurmd and munge
#   cluster.sh down FOLDER    stops it
#
# Its config is linked from /etc/slurm, where steps inside a job look for it; a Slurm that is there already is left alone.
set -euo pipefail

folder=$(mkdir -p "$2" && cd "$2" && pwd)
files=(slurm.conf gres.conf cgroup.conf)

down() {
    if [ -e "$folder/slurmctld.pid" ] && timeout 10 scancel --user=root 2>/dev/null; then sleep 1; fi
    # every daemon is the one whose number it left here, or it is not ours
    for pid_file in "$folder"/*.pid; do
        pid=$(cat "$pid_file" 2>/dev/null) || continue
        case $(cat "/proc/$pid/comm" 2>/dev/null) in slurmctld | slurmd | munged) kill "$pid" ;; esac
        for _ in {1..50}; do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
        rm -f "$pid_file"
    done
    for file in "${files[@]}"; do
        if [ "$(readlink /etc/slurm/$file)" = "$folder/$file" ]; then rm "/etc/slurm/$file"; fi
    done
}

up() {
    for file in "${files[@]}"; do
        if [ -e "/etc/slurm/$file" ] && [ "$(readlink /etc/slurm/$file)" != "$folder/$file" ]; then
            echo "/etc/slurm/$file is there already: another Slurm is left alone" >&2
            exit 3
        fi
    done
    down
    rm -rf "$folder/state" "$folder"/spool-* "$folder/jobs.txt"
    mkdir -p "$folder"/{state,spool-n1,spool-n2,spool-n3} /etc/slurm
    chmod 755 "$folder"

    # any secret does: the socket is not where munge's own would be
    head -c 128 /dev/urandom >"$folder/munge.key"
    chmod 400 "$folder/munge.key"
    munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --seed-file="$folder/munge.seed" \
        --pid-file="$folder/munged.pid" --log-file="$folder/munged.log"

    host=$(hostname -s)
    [ -e "$folder/gpu" ] || mknod "$folder/gpu" c 1 3 2>/dev/null || ln -s /dev/null "$folder/gpu" # a device that is none
    cat >"$folder/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job may start when its old credential has expired, by default after two minutes
AuthInfo=socket=$folder/munge.socket,cred_expire=10
SlurmctldPort=26917
SlurmctldPidFile=$folder/slurmctld.pid
SlurmctldLogFile=$folder/slurmctld.log
StateSaveLocation=$folder/state
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmdLogFile=$folder/slurmd-%n.log
SlurmdSpoolDir=$folder/spool-%n
# Processors and memory as stated below, whatever this machine has: nothing is measured or enforced
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$folder/jobs.txt
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
# Jobs start at once, and finished ones are remembered for squeue, which has to do without accounting
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=2
MinJobAge=900
JobRequeue=1
ReturnToService=1
SlurmdTimeout=20
KillWait=5
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=26918 CPUs=${CPUS:-1} RealMemory=256000 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=26919 CPUs=${CPUS:-1} RealMemory=256000 Gres=gpu:1 State=UNKNOWN
NodeName=n3 NodeHostname=$host NodeAddr=127.0.0.1 Port=26920 CPUs=${CPUS:-1} RealMemory=256000 Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes=n1 Default=YES MaxTime=1-0 State=UP
PartitionName=gpu Nodes=n2,n3 MaxTime=1-0 State=UP
CONF
    echo "NodeName=n[2-3] Name=gpu File=$folder/gpu" >"$folder/gres.conf"
    echo "CgroupAutomount=no" >"$folder/cgroup.conf"
    for file in "${files[@]}"; do ln -sf "$folder/$file" "/etc/slurm/$file"; done

    slurmctld -i
    for node in n1 n2 n3; do slurmd -N "$node"; done
    for _ in {1..150}; do
        if [ "$(sinfo -h -N -o %T 2>/dev/null | grep -c '^idle')" = 3 ]; then exit 0; fi
        sleep 0.2
    done
    tail -n 20 "$folder"/*.log >&2
    exit 4
}

"$1"
