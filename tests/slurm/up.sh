#!/usr/bin/env bash
# Start a throw-away SLURM of a node or several with fake GPUs in a folder; down.sh takes it away.
#
#   up.sh FOLDER        prints "export ..." lines on stdout, to be evaluated; all else on stderr
#
# Needs root on Debian or Ubuntu; installs their slurm packages where they are missing (they stay).
# Loopback only, an own munge key, no systemd, no accounting database, nothing in /etc/slurm.
# FAKE_GPUS (2) and FAKE_CPUS (64) say what a node claims to have, FAKE_NODES (1) how many there are;
# several have a folder of their own each for locks of GPUs, as machines do. FOLDER must have a short
# path, since it holds a socket. Exit code 77: this machine does not allow it, and nothing was started.
set -euo pipefail
# Where the daemons lie, and what dpkg calls; some users' PATH leaves it out.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
folder=${1:?usage: up.sh FOLDER}
gpus=${FAKE_GPUS:-2}
cpus=${FAKE_CPUS:-64}
host=$(hostname -s)
names=("$host")
[ "${FAKE_NODES:-1}" = 1 ] || mapfile -t names < <(seq -f 'n%g' "$FAKE_NODES")

say() { echo "up.sh: $*" >&2; }
cannot() { say "$*"; exit 77; }

installed() { command -v slurmctld && command -v slurmd && command -v munged; } >/dev/null

install_packages() {
  command -v apt-get >/dev/null || cannot "slurm is not installed, and there is no apt-get"
  # dpkg must not start the daemons of the packages.
  local policy=/usr/sbin/policy-rc.d made=
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy; chmod +x $policy; made=$policy; }
  local apt=(apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=1 -o Acquire::http::Timeout=20)
  export DEBIAN_FRONTEND=noninteractive
  { "${apt[@]}" update &&
    "${apt[@]}" install --yes --no-install-recommends slurmctld slurmd slurm-client munge; } >&2 ||
    say "apt-get failed"
  [ -z "$made" ] || rm $made
}

free_ports() { # COUNT free TCP ports
  python3 - "$1" <<'PY'
import socket, sys
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(s.getsockname()[1] for s in sockets))
PY
}

start_munge() {
  local munge=$folder/munge
  (umask 077; head -c 1024 /dev/urandom >"$munge/munge.key")
  munged --force --num-threads=2 --key-file="$munge/munge.key" --socket="$munge/socket" \
    --pid-file="$folder/munged.pid" --log-file="$folder/log/munged.log" \
    --seed-file="$munge/munge.seed" >&2
}

make_gpus() { # As plain files SLURM would not put them into CUDA_VISIBLE_DEVICES.
  local name first=0
  for name in "${names[@]}"; do
    for ((i = first; i < first + gpus; i++)); do
      mknod "$folder/dev/nvidia$i" c 1 3 2>/dev/null || cannot "device nodes cannot be made here"
    done
    echo "NodeName=$name Name=gpu Type=fake File=$folder/dev/nvidia[$first-$((first + gpus - 1))]"
    first=$((first + gpus))
  done >"$folder/gres.conf"
}

write_configuration() {
  local ports
  read -ra ports < <(free_ports $((${#names[@]} + 1)))
  cat >"$folder/slurm.conf" <<CONF
ClusterName=lorascope
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort=${ports[0]}
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
# Ended jobs stay visible to squeue, which takes the place of the missing accounting database.
MinJobAge=600
KillWait=5
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=200000,sched_interval=1,bf_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
PartitionName=gpu Nodes=ALL Default=YES MaxTime=INFINITE DefMemPerCPU=200 State=UP
CONF
  local i
  for i in "${!names[@]}"; do
    echo "NodeName=${names[i]} NodeAddr=127.0.0.1 NodeHostname=$host Port=${ports[i + 1]}" \
      "CPUs=$cpus RealMemory=1000000 Gres=gpu:fake:$gpus" >>"$folder/slurm.conf"
  done
  [ ${#names[@]} = 1 ] || lock_apart
}

lock_apart() { # Jobs of a node find the locks of GPUs where those of others do not look.
  local name
  for name in "${names[@]}"; do
    mkdir -m 1777 "$folder/locks-$name"
  done
  printf '#!/bin/sh\necho "export LORASCOPE_LOCKS=%s/locks-$SLURMD_NODENAME"\n' "$folder" \
    >"$folder/bin/locks"
  chmod +x "$folder/bin/locks"
  echo "TaskProlog=$folder/bin/locks" >>"$folder/slurm.conf"
}

write_commands() {
  # Snakemake's job step strips SLURM_CONF from the environment of its srun; these put it back.
  local command
  for command in srun sbatch scancel squeue; do
    printf '#!/bin/sh\nSLURM_CONF=%s exec %s "$@"\n' \
      "$SLURM_CONF" "$(command -v $command)" >"$folder/bin/$command"
    chmod +x "$folder/bin/$command"
  done
}

ready() {
  [ "$(sinfo --noheader --Node --format=%T 2>/dev/null | grep -cE '^(idle|mixed|allocated)$')" \
    = ${#names[@]} ]
}

wait_until_ready() {
  for _ in $(seq 300); do
    ready && return
    sleep 0.1
  done
  say "the nodes do not come up"
  tail -n 20 "$folder"/log/*.log >&2
  return 1
}

[ "$(id -u)" = 0 ] || cannot "starting SLURM needs root"
installed || install_packages
installed || cannot "the slurm packages cannot be installed"
mkdir -p "$folder"/{munge,dev,state,log,bin}
chmod 755 "$folder" "$folder"/*
export SLURM_CONF=$folder/slurm.conf
make_gpus
write_configuration
write_commands
start_munge
slurmctld -f "$SLURM_CONF" >&2
for name in "${names[@]}"; do
  slurmd -N "$name" -f "$SLURM_CONF" >&2
done
wait_until_ready
say "ready: $(sinfo --noheader --format='partition %P, %c CPUs, %G')"
echo "export SLURM_CONF=$SLURM_CONF PATH=$folder/bin:\$PATH"
