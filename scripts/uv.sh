# Sourced by setup.sh and lock.sh from the repository's root: finds uv or installs it under
# build/uv, and hands it the package sources that pip is configured with, which it does not read.

fail() {
  echo "error: $*" >&2
  exit 1
}

# The first interpreter that runs, 3.11 before any other; a pyenv shim may exist and still not run.
# The one behind an activated virtual environment, which may be the one about to be replaced.
find_python() {
  local candidate
  for candidate in python3.11 /usr/bin/python3.11 python3 python; do
    "$candidate" -c 'import sys; print(sys._base_executable)' 2>/dev/null && return
  done
  fail "no Python found: install python3.11 and its venv package, then run this again"
}

# pip's setting NAME: its variable PIP_NAME, else its configuration files.
pip_setting() {
  local variable="PIP_${1^^}"
  variable=${variable//-/_}
  echo "${!variable:-$("$python" -m pip config get "global.$1" 2>/dev/null || true)}"
}

install_uv() {
  echo "setup: installing uv into build/uv"
  mkdir -p build
  if ! { "$python" -m pip install --quiet --upgrade --target build/uv uv ||
    { "$python" -m venv --clear build/uv && build/uv/bin/python -m pip install --quiet uv; }; } \
    </dev/null >build/setup.log 2>&1; then
    fail "uv could not be installed (build/setup.log says why): fix that, or install uv yourself"
  fi
}

python=$(find_python) || exit 1
if ! command -v uv >/dev/null; then
  build/uv/bin/uv --version >/dev/null 2>&1 || install_uv
  PATH="$PWD/build/uv/bin:$PATH"
fi

index=$(pip_setting index-url)
[[ -z $index || -n ${UV_DEFAULT_INDEX:-} ]] || export UV_DEFAULT_INDEX=$index
links=$(pip_setting find-links | tr -s ' \n' ',')
[[ -z ${links%,} || -n ${UV_FIND_LINKS:-} ]] || export UV_FIND_LINKS=${links%,}
# A certificate bundle of your own, named to pip only.
[[ -n ${SSL_CERT_FILE:-} || -z ${PIP_CERT:-} ]] || export SSL_CERT_FILE=$PIP_CERT
export UV_NO_PROGRESS=1
