# What the scripts beside it share: each thing that is looked at is a line, "ok: WHAT" or
# "FAILED: WHAT" with what was seen instead; END is the last.

# check WHAT COMMAND...
check() {
    local what=$1 seen
    shift
    if seen=$("$@" 2>&1); then echo "ok: $what"; else echo "FAILED: $what: ${seen:-($*)}"; fi
}
not() { ! "$@"; }
says() { grep -qF -- "$1" || { echo "nothing says $1"; return 1; }; }
# until_so COMMAND...: waits for something to become so
until_so() {
    for _ in $(seq 300); do "$@" > /dev/null 2>&1 && return; sleep 0.1; done
    "$@"
}
