# Steps with time limits, for the scripts of this folder. Each of them begins with
#
#   . "${BASH_SOURCE[0]%/*}/steps.sh"
#   begin NAME "$@"
#
# and ends with `finish`. The arguments of a script are BINARIES and OUT. BINARIES is an archive that `benches/gpu/pack` has
# made, or a folder with its contents. OUT gets one file, NAME.tar.gz, with the output of every step. It is replaced after every
# step, so a script that is killed loses no finished step. The exit status is 1 if a step failed, and 2 for wrong arguments.
#
# Environment: WARPFRAME_PYTHON is the Python interpreter (python3), WARPFRAME_SCRIPT_LIMIT the time limit of a script in seconds
# (420), and WARPFRAME_QUICK=1 selects few rows, for rehearsals.
set -uo pipefail
here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
python=${WARPFRAME_PYTHON:-python3}
quick=${WARPFRAME_QUICK:-}

# Checks the arguments, and unpacks BINARIES.
begin() {
    script=$1
    [ $# -eq 3 ] || { echo "usage: benches/gpu/$script BINARIES OUT" >&2; exit 2; }
    [ -e "$2" ] || { echo "error: there is no '$2': benches/gpu/pack makes it" >&2; exit 2; }
    mkdir -p "$3" || exit 2
    "$python" -c '' || { echo "error: '$python' is no Python interpreter: set WARPFRAME_PYTHON" >&2; exit 2; }
    out=$(cd "$3" && pwd)
    ends=$((SECONDS + ${WARPFRAME_SCRIPT_LIMIT:-420}))
    work=$(mktemp -d)
    results=$work/$script
    mkdir "$results"
    child=
    prefix=()
    trap 'archive; rm -rf "$work"' EXIT
    trap 'stop 143' TERM
    trap 'stop 130' INT
    trap 'stop 129' HUP
    binaries=$2
    if [ -d "$binaries" ]; then
        binaries=$(cd "$binaries" && pwd)
    else
        "$python" -m tarfile -e "$binaries" "$work/binaries" ||
            { echo "error: '$2' is no archive of benches/gpu/pack" >&2; exit 2; }
        binaries=$work/binaries
    fi
    # The PATH of tests: NVRTC is searched in the packages of `python3`, and there is no C++ compiler.
    mkdir "$work/path"
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$(command -v "$python")" >"$work/path/python3"
    chmod +x "$work/path/python3"
    # Nothing is left in the user's caches, and what was measured before does not count.
    export XDG_CACHE_HOME=$work/cache
    failed=0
    date -u +%FT%TZ >"$results/started.txt"
    echo "benches/gpu/$script, at most $((ends - SECONDS)) s; every step is in $out/$script.tar.gz"
}

# Replaces the archive in OUT.
archive() {
    tar -C "$work" -czf "$out/.$script.tar.gz" "$script" && mv "$out/.$script.tar.gz" "$out/$script.tar.gz"
}

# Ends the script with a status, after a signal.
stop() {
    [ -z "$child" ] || kill "$child" 2>/dev/null
    [ -z "$child" ] || wait "$child" 2>/dev/null
    [ -z "$child" ] || record "$running" stopped $((SECONDS - since)) "the script was stopped"
    exit "$1"
}

# Records how a step ended: NAME STATUS SECONDS WHAT
record() {
    printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4//[$'\t\n']/ }" >>"$results/steps.tsv"
}

# Prints what the expectations of a step were, and archives the results.
conclude() {
    "$python" "$here/verdicts.py" "$results" --step "$1"
    archive
}

# Reports that a step does not run: NAME REASON
skip() {
    echo "SKIPPED: $1: $2"
    record "$1" skipped 0 "$2"
    conclude "$1"
}

# Runs a command for at most a number of seconds: NAME SECONDS COMMAND...
# Its output is $results/NAME.txt, whose last lines are printed.
step() {
    running=$1
    local limit=$2 status
    shift 2
    if ! command -v "$1" >/dev/null; then
        skip "$running" "there is no ${1##*/}"
        return
    fi
    [ "$limit" -le $((ends - SECONDS)) ] || limit=$((ends - SECONDS))
    if [ "$limit" -lt 5 ]; then
        skip "$running" "the time of the script is used up"
        return
    fi
    local command="$*"
    command=${command//"$binaries/"/}
    command=${command//"$results/"/}
    echo
    echo "== $running (at most $limit s): $command"
    since=$SECONDS
    # In the background, because a trap runs only when a command in the foreground has ended.
    timeout --kill-after=5 "$limit" "${prefix[@]}" "$@" >"$results/$running.txt" 2>&1 </dev/null &
    child=$!
    wait "$child"
    status=$?
    child=
    tail -n "${lines:-12}" "$results/$running.txt" | cut -c 1-240
    case $status in
    0) record "$running" ok $((SECONDS - since)) "$command" ;;
    124 | 137) failure "stopped after $limit s" "$command" ;;
    *) failure "exit status $status" "$command" ;;
    esac
    conclude "$running"
}

failure() {
    echo "FAILED: $running: $1"
    failed=$((failed + 1))
    record "$running" failed $((SECONDS - since)) "$1: $2"
}

# The path of a program of the CUDA toolkit: in PATH or where the toolkit is installed.
tool() {
    command -v "$1" || ls -d /usr/local/cuda/bin/"$1" /usr/local/cuda-*/bin/"$1" /opt/nvidia/*/*/"$1" 2>/dev/null | head -n 1
}

# Runs tests as a step: NAME SECONDS TEST ARGUMENTS... Without a C++ compiler in PATH they test the GPU of the machine and no
# simulated ones.
on_gpu() {
    local name=$1 limit=$2 test=$3
    shift 3
    prefix=(env "PATH=$work/path")
    step "$name" "$limit" "$binaries/$test" "$@"
    prefix=()
}

# Prints all expectations, and ends the script.
finish() {
    echo
    "$python" "$here/verdicts.py" "$results"
    echo "$failed steps failed; $((ends - SECONDS)) s were left"
    exit $((failed > 0))
}
