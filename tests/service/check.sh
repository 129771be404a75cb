#!/bin/bash
# Runs as a unit of the Debian tree that `cargo xtask service` boots, and says what it finds as
# lib.sh has it.
exec > /var/tmp/result.txt 2>&1
export DEBIAN_FRONTEND=noninteractive
. "${0%/*}/lib.sh"

property() { systemctl show -P "$2" "$1"; }
is() { # PROPERTY VALUE [UNIT]
    local seen
    seen=$(property "${3:-openrtmp.service}" "$1")
    [ "$seen" = "$2" ] || { echo "$1 is $seen"; return 1; }
}
# hello PORT: begins the handshake of RTMP, which a server answers with its version
hello() {
    python3 - "$1" <<'PYTHON'
import socket, sys
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30)
peer.sendall(b"\x03" + bytes(1536))
answer = peer.recv(1)
sys.exit(answer != b"\x03" and f"answered {answer}")
PYTHON
}
http() {
    python3 - "$1" <<'PYTHON'
import socket, sys
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30)
peer.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
answer = peer.recv(4096).decode()
sys.exit("200 OK" not in answer and answer)
PYTHON
}
pid() { property openrtmp.service MainPID; }

ip link set lo up

# The package.
check "the package is installed" dpkg -i /var/tmp/openrtmp.deb
check "it runs, and said so" is ActiveState active
check "it is waited for until it says that it serves" is Type notify
check "it told where" eval 'property openrtmp.service StatusText | says "0.0.0.0:1935"'
check "it starts with the system" is UnitFileState enabled
check "it serves" hello 1935
check "it is a user of its own" eval '[ "$(stat -c %U /proc/$(pid))" = openrtmp ]'
check "its settings are for it alone" eval '[ "$(stat -c %a:%U:%G /etc/openrtmp/openrtmp.yaml)" = 640:root:openrtmp ]'
check "its settings are right" openrtmp config check /etc/openrtmp/openrtmp.yaml
silent() {
    local seen
    seen=$("$@" 2>&1)
    [ -z "$seen" ] || { echo "$seen"; return 1; }
}
check "the units are right" silent systemd-analyze verify --man=no openrtmp.service openrtmp@a.service openrtmp.socket

check "an operator reaches it" openrtmp ctl streams
check "its manual is there" test -s /usr/share/man/man1/openrtmp-serve.1

# Sandboxing.
check "systemd rates it OK" eval 'systemd-analyze security --no-pager openrtmp.service | tail -1 | says " OK "'
systemd-analyze security --no-pager openrtmp.service | tail -1
check "it gains no privileges" eval 'grep -q "NoNewPrivs:	1" /proc/$(pid)/status'
check "its system calls are filtered" eval 'grep -q "Seccomp:	2" /proc/$(pid)/status'
check "it may bind low ports and no more" eval 'grep -q "CapEff:	0000000000000400" /proc/$(pid)/status'
check "it sees a system that it cannot write" eval 'not nsenter -t $(pid) -m touch /etc/openrtmp/x'
check "it may write its state" eval 'nsenter -t $(pid) -m touch /var/lib/openrtmp/x'
mkdir -p /home/ann
check "it sees nobody's home" eval 'not nsenter -t $(pid) -m test -e /home/ann'

# Settings read again.
echo 'metrics: {listen: ["127.0.0.1:9090"]}' > /etc/openrtmp/openrtmp.yaml
check "it is reloaded" systemctl reload openrtmp.service
check "what it was reloaded for is in force" until_so http 9090

# The journal.
# priorities FORMAT: the journal has each line with the priority of its level, and without what
# told it: as text, or as a JSON object
priorities() {
    journalctl --sync
    lines() { journalctl -u openrtmp.service _COMM=openrtmp -o cat --no-pager "$@"; }
    lines | grep -q '^<' && return 1
    for pair in ERROR:3 WARN:4 INFO:6; do
        case $1 in
            text) line="^${pair%:*} " ;;
            json) line="^{.*\"level\":\"${pair%:*}\"" ;;
        esac
        with=$(lines PRIORITY="${pair#*:}" | grep -ci "$line")
        [ "$with" -gt 0 ] && [ "$with" = "$(lines | grep -ci "$line")" ] || return 1
    done
}
# One that is refused is a warning, settings that are not right are an error.
for format in text json; do
    settings="metrics: {listen: ['127.0.0.1:9090']}, log: {format: $format}"
    echo "{$settings, access: {play_keys: [a-key]}}" > /etc/openrtmp/openrtmp.yaml
    systemctl reload openrtmp.service
    refused() { timeout 5 openrtmp play "rtmp://127.0.0.1/live/$format" 2>&1 | says refused; }
    check "who has no key is refused" until_so refused
    echo "{$settings, workers: -1}" > /etc/openrtmp/openrtmp.yaml
    systemctl reload openrtmp.service
    check "lines of the journal have their priorities ($format)" until_so priorities "$format"
done
echo "metrics: {listen: ['127.0.0.1:9090']}" > /etc/openrtmp/openrtmp.yaml
systemctl reload openrtmp.service

# The watchdog.
mkdir -p /run/systemd/system/openrtmp.service.d
printf '[Service]\nWatchdogSec=2\n' > /run/systemd/system/openrtmp.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart openrtmp.service
sleep 3
check "who is alive is left alone" is NRestarts 0
before=$(pid)
kill -STOP "$before"
check "who hangs is killed and started again" until_so is NRestarts 1
check "that was the watchdog" eval 'journalctl -u openrtmp.service --no-pager | says "Watchdog timeout"'
check "another serves" until_so hello 1935
check "it is another" eval '[ $(pid) != '"$before"' ]'
rm -r /run/systemd/system/openrtmp.service.d
systemctl daemon-reload

# Stopping.
check "it stops" systemctl stop openrtmp.service
check "it stopped well" is Result success
check "nobody serves any more" not hello 1935

# Sockets of systemd.
check "the socket is opened" systemctl start openrtmp.socket
check "nobody runs yet" is ActiveState inactive
check "who connects starts it" hello 1935
check "it runs" is ActiveState active
check "on the socket of systemd" eval 'ls -l /proc/1/fd | says "$(readlink /proc/$(pid)/fd/3)"'
check "nobody is turned away while it is started again" python3 - <<'PYTHON'
import socket, subprocess, sys
restart = subprocess.Popen(["systemctl", "restart", "openrtmp.service"])
served = 0
while restart.poll() is None or served < 20:
    peer = socket.create_connection(("127.0.0.1", 1935), 60)
    try:
        peer.sendall(b"\x03" + bytes(1536))
        answer = peer.recv(1)
    except ConnectionError:
        # It was taken by the one that stopped.
        answer = b""
    served += answer == b"\x03"
    peer.close()
sys.exit(restart.returncode)
PYTHON
check "the socket is closed" systemctl stop openrtmp.socket openrtmp.service

# One of several.
printf 'listen: ["0.0.0.0:1940", "0.0.0.0:443"]\n' > /etc/openrtmp/studio.yaml
check "another is installed" openrtmp service install --name studio
check "and started" openrtmp service start --name studio
check "it has its own port" hello 1940
check "and one below 1024" hello 443
check "its status is told" openrtmp service status --name studio
check "an operator reaches it" openrtmp ctl --control /run/openrtmp-studio/ctl.sock streams
check "its state is its own" eval '[ "$(stat -c %U /var/lib/openrtmp/studio)" = openrtmp ]'
check "it is uninstalled" openrtmp service uninstall --name studio
check "and gone" is ActiveState inactive openrtmp@studio.service
rm /etc/openrtmp/studio.yaml

# An end without a trace.
cp /usr/bin/openrtmp /usr/local/bin/openrtmp
systemctl start openrtmp.service
check "it is purged" dpkg --purge openrtmp
check "nobody serves" not hello 1935
check "nothing is left" eval '[ -z "$(ls -d /etc/openrtmp /var/lib/openrtmp /usr/lib/systemd/system/openrtmp* /etc/systemd/system/*/openrtmp* 2>/dev/null)" ]'

# Without the package.
hash -r
check "it installs itself" openrtmp service install
check "it starts" openrtmp service start
check "it serves" hello 1935
check "it runs from where it is" eval 'property openrtmp.service ExecStart | says /usr/local/bin/openrtmp'
check "it stops" openrtmp service stop
check "it uninstalls itself" openrtmp service uninstall
check "its units are gone" eval 'not ls /etc/systemd/system/openrtmp*'

systemctl --failed --no-pager --no-legend
echo END
sync
