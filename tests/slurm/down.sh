#!/usr/bin/env bash
# Take away what up.sh started: cancel the jobs, end each daemon by its own pid, remove the folder.
#
#   down.sh FOLDER
set -uo pipefail
folder=${1:?usage: down.sh FOLDER}
export SLURM_CONF=$folder/slurm.conf

running() { # NAME: the process in NAME.pid lives and is that program, of a node if there is one
  local state
  state=$(awk '/^(Name|State):/ {printf "%s ", $2}' "/proc/$(cat "$folder/$1.pid")/status")
  [[ $state = "${1%%-*} "[^Z]* ]]
} 2>/dev/null

wait_while() { # SECONDS COMMAND...
  for _ in $(seq $(($1 * 10))); do
    "${@:2}" || return 0
    sleep 0.1
  done
  return 1
}

has_jobs() { [ -n "$(squeue --noheader 2>/dev/null)" ]; }

end() { # NAME
  running "$1" || return 0
  kill "$(cat "$folder/$1.pid")"
  wait_while 10 running "$1" || kill -KILL "$(cat "$folder/$1.pid")"
}

if running slurmctld; then
  scancel --user=root
  wait_while 15 has_jobs
fi
for file in "$folder"/slurmd-*.pid; do
  end "$(basename "$file" .pid)"
done
for daemon in slurmctld munged; do
  end $daemon
done
rm -rf "$folder"
