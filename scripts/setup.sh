# Sourced by scripts/demo and scripts/test: what they need on a fresh Debian or Ubuntu. POSIX sh; `root` is the checkout.
# Only the checkout itself and Debian packages are changed; what cannot be had is said, and the caller decides.

say() { printf '%s\n' "$*"; }

# The project's own Node comes with npm; npm itself needs one of the system's.
need_node() {
  if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
    install_packages nodejs npm || true
  fi
  command -v npm >/dev/null 2>&1 || { say "setup: Node >= 20 and npm are needed: apt-get install nodejs npm" >&2; exit 1; }
  major=$(node -p 'process.versions.node.split(".")[0]')
  [ "$major" -ge 20 ] || { say "setup: Node >= 20 is needed to start with; this is $(node --version)" >&2; exit 1; }
}

install_modules() {
  stamp="$root/node_modules/.package-lock.json"
  if [ -f "$stamp" ] && ! [ "$root/package-lock.json" -nt "$stamp" ]; then return 0; fi
  say "setup: npm ci --ignore-scripts"
  if (cd "$root" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error); then
    touch "$stamp"
    return 0
  fi
  # A registry that mirrors only some of the optional packages fails `ci`; the lock file still decides the versions.
  say "setup: npm ci failed; trying npm install --no-save --ignore-scripts"
  if (cd "$root" && npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error); then
    touch "$stamp"
    return 0
  fi
  [ -f "$stamp" ] || { say "setup: npm failed and there is no node_modules: check the network or the registry" >&2; exit 1; }
  say "setup: npm failed; going on with the node_modules that are here" >&2
}

# Ordinary users mount through /dev/fuse, which udev makes 0666; where no udev runs (containers, virtual machines) it stays 0600.
open_device() {
  [ "$(id -u)" = 0 ] && [ -c /dev/fuse ] && [ "$(stat -c %a /dev/fuse)" = 600 ] || return 0
  say "setup: chmod 666 /dev/fuse, as udev does, for the tests of ordinary users"
  chmod 666 /dev/fuse
}

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# install_packages NAME...: 0 when all are there afterwards. Without root or apt: says what is missing.
install_packages() {
  missing=
  for package in "$@"; do installed "$package" || missing="$missing $package"; done
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    say "setup: not installed, and only root can:$missing" >&2
    return 1
  fi
  say "setup: apt-get install$missing"
  # shellcheck disable=SC2086
  apt_install $missing && return 0
  apt-get -qq update >/dev/null 2>&1 || true
  # shellcheck disable=SC2086
  apt_install $missing && return 0
  # One that a release does not have must not cost the others.
  for package in $missing; do apt_install "$package" || say "setup: no package $package to be had" >&2; done
  for package in $missing; do installed "$package" || return 1; done
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" </dev/null >/dev/null 2>&1
}

imports() { [ -x "$1" ] && "$1" -c "import $2" >/dev/null 2>&1; }

# Sets `python` to one that has torch and Pillow; else to one that has Pillow; else to any, with `lacking` saying what.
find_python() {
  python= lacking=
  pick_python "torch, PIL" && return 0
  if [ "$(id -u)" = 0 ] && install_packages python3 python3-torch python3-pil python3-numpy; then
    pick_python "torch, PIL" && return 0
  fi
  if command -v python3 >/dev/null 2>&1; then
    say "setup: torch from PyPI into .bench/venv (about 200 MB, once)"
    if python3 -m venv "$root/.bench/venv" >/dev/null 2>&1; then
      pip="$root/.bench/venv/bin/pip --quiet --disable-pip-version-check install"
      $pip pillow numpy 2>/dev/null || true
      $pip torch --index-url https://download.pytorch.org/whl/cpu 2>/dev/null || $pip torch 2>/dev/null || true
      pick_python "torch, PIL" && return 0
    fi
  fi
  lacking="PyTorch"
  pick_python PIL && return 0
  lacking="PyTorch and Pillow"
  pick_python sys && return 0
  say "setup: no python3: apt-get install python3" >&2
  exit 1
}

pick_python() {
  for candidate in "${ML_OVERLAY_PYTHON:-}" "$root/.bench/venv/bin/python" /usr/bin/python3 "$(command -v python3 || true)"; do
    if [ -n "$candidate" ] && imports "$candidate" "$1"; then python=$candidate; return 0; fi
  done
  return 1
}

need_fuse() {
  [ -c /dev/fuse ] || { say "setup: no /dev/fuse: load the module (modprobe fuse), or give the container --device /dev/fuse --cap-add SYS_ADMIN" >&2; exit 1; }
  [ "$(id -u)" = 0 ] || [ -w /dev/fuse ] || { say "setup: /dev/fuse is root's alone here: chmod 666 /dev/fuse, as udev does elsewhere" >&2; exit 1; }
  command -v fusermount3 >/dev/null 2>&1 || install_packages fuse3 || true
}
