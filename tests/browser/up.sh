#!/usr/bin/env bash
# Print where a Chromium is, for the tests of the item page; install Debian's where there is none.
#
#   up.sh               the browser's path on stdout; all else on stderr
#
# Installing needs root on Debian (Ubuntu's package of that name is a mere stub); the package stays.
# Exit code 77: this machine does not allow it.
set -euo pipefail

say() { echo "up.sh: $*" >&2; }
cannot() { say "$*"; exit 77; }

found() { command -v chromium || command -v google-chrome-stable || command -v google-chrome; }

install_package() {
  [ "$(id -u)" = 0 ] || cannot "there is no Chromium, and installing one needs root"
  command -v apt-get >/dev/null || cannot "there is no Chromium, and no apt-get"
  local apt=(apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=1 -o Acquire::http::Timeout=20)
  export DEBIAN_FRONTEND=noninteractive
  { "${apt[@]}" update &&
    "${apt[@]}" install --yes --no-install-recommends chromium; } >&2 || say "apt-get failed"
}

found >/dev/null || install_package
found || cannot "Chromium cannot be installed"
