# shellcheck shell=bash disable=SC2034
# What the scripts of this folder share. Sourced, not run.

# The folder of the project.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Where cargo puts what it builds.
target_dir=${CARGO_TARGET_DIR:-$root/target}

# say TEXT...: a heading.
say() {
    printf '\n== %s\n' "$*"
}

# timed NAME COMMAND...: runs a command under a heading and tells how long it took.
timed() {
    local name=$1 started=$SECONDS status=0
    shift
    say "$name"
    "$@" || status=$?
    if [ "$status" -eq 0 ]; then
        printf -- '-- %s: done in %d s\n' "$name" $((SECONDS - started))
    else
        printf -- '-- %s: FAILED after %d s\n' "$name" $((SECONDS - started)) >&2
    fi
    return "$status"
}
