#!/usr/bin/env bash
# Make a virtual environment for a validator that lorascope's own environment cannot hold.
#
#   up.sh FOLDER PACKAGE==VERSION [PYTHON]    prints the folder of its commands; all else on stderr
#
# It lies in FOLDER, under the package's name and version, and is made once. PYTHON (3.11) is the
# oldest one that the package runs on. Exit code 77: this machine does not allow it.
set -euo pipefail
folder=${1:?usage: up.sh FOLDER PACKAGE==VERSION [PYTHON]}
package=${2:?usage: up.sh FOLDER PACKAGE==VERSION [PYTHON]}
oldest=${3:-3.11}
place=$folder/$package

say() { echo "up.sh: $*" >&2; }
cannot() { say "$*"; exit 77; }

suits() { "$1" -c "import sys, venv; sys.exit(sys.version_info < tuple(map(int, '$oldest'.split('.'))))"; }

python() { # the first Python that is new enough, those of pyenv among them
  local command
  for command in python3 python3.{11..15} "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python3; do
    if suits "$command" 2>/dev/null; then
      echo "$command"
      return
    fi
  done
  return 1
}

if [ ! -e "$place/.done" ]; then
  command=$(python) || cannot "no Python $oldest or newer"
  mkdir -p "$folder"
  "$command" -m venv "$place" >&2 || cannot "no virtual environment can be made"
  "$place/bin/pip" install --quiet --disable-pip-version-check "$package" >&2 ||
    cannot "$package cannot be installed"
  touch "$place/.done"
fi
echo "$place/bin"
