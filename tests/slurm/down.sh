#!/usr/bin/env bash
# Take away what up.sh started: cancel the jobs, end each daemon by its own pid, remove the folder.
#
#   down.sh FOLDER
set -uo pipefail
folder=${1:?usage: down.sh FOLDER}
export SLURM_CONF=$folder/slurm.conf

running() { # NAME: the process in NAME.pid lives and is that program
  [ -s "$folder/$1.pid" ] &&
    [ "$(cat "/proc/$(cat "$folder/$1.pid")/comm" 2>/dev/null)" = "$1" ]
}

cancel_jobs() {
  scancel --user=root
  for _ in $(seq 150); do
    [ -z "$(squeue --noheader 2>/dev/null)" ] && return
    sleep 0.1
  done
}

end() { # NAME
  running "$1" || return 0
  local pid
  pid=$(cat "$folder/$1.pid")
  kill "$pid"
  for _ in $(seq 100); do
    [ -e "/proc/$pid" ] || return 0
    sleep 0.1
  done
  kill -KILL "$pid"
}

running slurmctld && cancel_jobs
end slurmd
end slurmctld
end munged
rm -rf "$folder"
