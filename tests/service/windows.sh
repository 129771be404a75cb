#!/bin/bash
# `cargo xtask winservice` runs it with TREE, a Debian tree that has wine, and PROGRAM, our
# command for Windows, where nothing but a loopback of its own is. The manager of services, the
# registry and the programs that ask them are wine's; FFmpeg is this system's. Of the event log,
# the firewall and rights of files wine has stand-ins, which say what they are asked for: that
# is all that is seen of these. What it finds is said as lib.sh has it.
tree=$1 program=$2
. "${0%/*}/lib.sh"

prefix=/var/tmp/winservice
drive=$tree$prefix/drive_c
folder=$drive/ProgramData/OpenRTMP
made=$(mktemp -d)
# What the stand-ins say: of services, and of what is run here.
events=$made/events asked=$made/asked
key='HKLM\SYSTEM\CurrentControlSet\Services'

# in_tree PROGRAM...
in_tree() {
    chroot "$tree" /usr/bin/env -i HOME=/root PATH=/usr/bin:/bin WINEPREFIX=$prefix \
        WINEDEBUG="-all,$debug" "$@"
}
wine() {
    in_tree /usr/lib/wine/wine64 "$@" < /dev/null 2> "$made/errors" | tr -d '\r'
    local code=${PIPESTATUS[0]}
    tee -a "$asked" < "$made/errors" | tr -d '\r' >&2
    return "$code"
}
openrtmp() { wine 'C:\Program Files\OpenRTMP\openrtmp.exe' "$@"; }
service() { openrtmp service "$@"; }

# fails CODE TEXT COMMAND...: with this code, and a line that has this
fails() {
    local code=$1 text=$2 said seen
    shift 2
    said=$("$@" 2>&1)
    seen=$?
    [ $seen = "$code" ] && says "$text" <<< "$said" || { echo "$seen: $said"; return 1; }
}
# state STATE [NAME]: what the manager says
state() { wine sc.exe query "${2:-openrtmp}" | grep -q "STATE *: .* $1\$"; }
told() { wine sc.exe query "${2:-openrtmp}" | says "$1"; }
value() { # KEY NAME TEXT
    local seen
    seen=$(wine reg.exe query "$1" /v "$2" | sed -n "s/^ *$2  *REG_[A-Z_]*  *//p")
    [ "$seen" = "$3" ] || { echo "$2 is $seen"; return 1; }
}
event() { # LEVEL TEXT: wine has three channels for the kinds of events
    grep -F ":eventlog:" "$events" | grep "^[^ ]*$1:" | says "$2"
}
# hello PORT: begins the handshake of RTMP, which a server answers with its version
hello() (
    exec 3<> "/dev/tcp/127.0.0.1/$1" || exit
    { printf '\003' && head -c 1536 /dev/zero; } >&3
    [ "$(timeout 30 head -c 1 <&3)" = $'\003' ]
)
settings() { printf '%s\n' "$1" > "$folder/${2:-openrtmp}.yaml"; }

ffmpeg() { timeout 300 "$(type -P ffmpeg)" -nostdin -v error "$@"; }
# publish: the same again and again, each picture in its time
publish() { ffmpeg -re -stream_loop -1 -i "$made/source.flv" -c copy -f flv rtmp://127.0.0.1/live/cam; }
pictures() { ffmpeg "$@" -c copy -f framemd5 - | grep -v '^#' | sed 's/.*, //'; }
# as_published COUNT: a player gets so many pictures, as they were published
as_published() {
    pictures -i rtmp://127.0.0.1/live/cam -frames:v "$1" > "$made/played"
    local count
    count=$(grep -cxFf "$made/pictures" "$made/played")
    [ "$count" = "$1" ] || { echo "$count of $(wc -l < "$made/played")"; return 1; }
}
ffmpeg -f lavfi -i testsrc=size=160x90:rate=25:duration=10 -c:v flv -g 25 -f flv "$made/source.flv"
pictures -i "$made/source.flv" > "$made/pictures"

# A Windows that is new, and runs until nobody writes to it any more.
rm -rf "$tree$prefix"
in_tree /usr/lib/wine/wine64 wineboot --init 2> /dev/null
in_tree /usr/lib/wine/wineserver64 -w
mkfifo "$made/session"
debug=+eventlog in_tree /usr/lib/wine/wine64 cmd.exe < "$made/session" > /dev/null 2>> "$events" &
exec 9> "$made/session"
mkdir -p "$drive/Program Files/OpenRTMP"
cp "$program" "$drive/Program Files/OpenRTMP/openrtmp.exe"

# Where nothing is installed.
check "what is not installed has no status" fails 1 "sc.exe query openrtmp" service status
check "nor is it started" fails 1 "(os error 1060)" service start
check "nor stopped" fails 1 "(os error 1060)" service stop
check "nor uninstalled" fails 1 "(os error 1060)" service uninstall
check "nobody but the manager starts it" \
    fails 2 "it is for the service control manager to start" openrtmp service-main --service-name openrtmp

# Installed.
debug=fixme+netsh,fixme+icacls
check "it is installed" service install
debug=
check "it is there, and does not run" state STOPPED
check "it is a process of its own" told WIN32_OWN_PROCESS
check "it starts with the system" value "$key\\openrtmp" Start 0x2
check "as nobody who may change the machine" value "$key\\openrtmp" ObjectName 'NT AUTHORITY\LocalService'
check "by its own command, with the settings of the machine" value "$key\\openrtmp" ImagePath \
    '"C:\Program Files\OpenRTMP\openrtmp.exe" service-main --service-name openrtmp --config "C:\ProgramData\OpenRTMP\openrtmp.yaml" --stop-timeout 30s'
check "it is called something" value "$key\\openrtmp" DisplayName openrtmp
check "and described" value "$key\\openrtmp" Description 'OpenRTMP server'
check "the event log knows its source" value "$key\\EventLog\\Application\\openrtmp" EventMessageFile \
    '%SystemRoot%\System32\EventCreate.exe'
check "and the kinds of its events" value "$key\\EventLog\\Application\\openrtmp" TypesSupported 0x7
check "the firewall is asked to let its program be reached" eval \
    'grep -F netsh "$asked" | says "L\"add\" L\"rule\" L\"name=openrtmp\" L\"dir=in\" L\"action=allow\" L\"protocol=TCP\" L\"program=C:\\\\Program Files\\\\OpenRTMP\\\\openrtmp.exe\""'
check "its folder is asked to be for it, administrators and the system" eval \
    'grep -F icacls "$asked" | says "\"C:\\\\ProgramData\\\\OpenRTMP\" \"/inheritance:r\" \"/grant:r\" \"*S-1-5-32-544:(OI)(CI)F\" \"*S-1-5-18:(OI)(CI)F\" \"*S-1-5-19:(OI)(CI)M\""'
check "its settings are right" openrtmp config check 'C:\ProgramData\OpenRTMP\openrtmp.yaml'

# Installed twice.
settings 'log: {level: debug}'
check "it is not installed twice" fails 1 "sc.exe create openrtmp" service install
check "its settings stay" eval 'says "level: debug" < "$folder/openrtmp.yaml"'

# Settings that are wrong.
settings 'workers: -1'
check "with settings that are wrong it is not started" fails 1 "openrtmp ended at once, with code 2" service start
check "nor stopped" fails 1 "(os error 1062)" service stop
check "it does not run" state STOPPED
check "it ended with a code of its own" told 'WIN32_EXIT_CODE    : 1066'
check "which is that of the command" told 'SERVICE_EXIT_CODE  : 2'
check "the event log has the reason, as an error" event err workers

# Started.
settings '{}'
check "it is started" service start
check "who connects at once is served" hello 1935
check "it runs" state RUNNING
check "its status is told" eval 'service status | says RUNNING'
check "it runs already" fails 1 "(os error 1056)" service start
check "an operator reaches it" openrtmp ctl streams
publish 2> /dev/null & publisher=$!
check "what is published is played" until_so as_published 50
check "an operator sees it" eval 'openrtmp ctl streams | says live/cam'
check "the event log has who came" event trace 'publish live/cam'

# Settings read again while it runs.
settings 'log: {output: [file], file: {path: "C:\\ProgramData\\OpenRTMP\\openrtmp.log"}}'
check "who publishes goes on when settings change" until_so test -e "$folder/openrtmp.log"
check "the log is where they say" eval 'as_published 25 && says "play live/cam" < "$folder/openrtmp.log"'

# A port that is taken.
check "another is installed" service install --name studio
check "it has settings of its own" test -s "$folder/studio.yaml"
check "where its port is taken it is not started" fails 1 "openrtmp-studio ended at once, with code 2" service start --name studio
check "it does not run" state STOPPED openrtmp-studio
check "the event log has the reason" event err '0.0.0.0:1935: the port is taken by another program'
settings 'listen: ["127.0.0.1:1940"]' studio
check "with a port of its own it is started" service start --name studio
check "both serve" eval 'hello 1935 && hello 1940'
check "it is uninstalled while it runs" service uninstall --name studio
check "it is gone" fails 1 "sc.exe query openrtmp-studio" service status --name studio
check "so is its port" not hello 1940
check "the first goes on" as_published 25

# Stopped, with a publisher who leaves.
pictures -i rtmp://127.0.0.1/live/cam -flush_packets 1 > "$made/watched" & player=$!
check "somebody watches" until_so test -s "$made/watched"
check "the manager stops it" wine sc.exe stop openrtmp
wait $player
check "who watches is told that it is over" test $? = 0
check "it is stopping while who publishes has time to leave" state STOP_PENDING
check "nobody new is let in" not hello 1935
kill $publisher
check "it has stopped" until_so state STOPPED
check "without an error" told 'WIN32_EXIT_CODE    : 0 '
check "it says what it did" eval 'says "unpublished" < "$folder/openrtmp.log"'

# Again, with a publisher who stays until that is not to be had any more.
settings '{}'
check "it is started again" service start
ffmpeg -re -stream_loop -1 -i "$made/source.flv" -c copy -f flv - 2> /dev/null \
    | in_tree /usr/lib/wine/wine64 'C:\Program Files\OpenRTMP\openrtmp.exe' publish - rtmp://127.0.0.1/live/cam \
        > "$made/published" 2>&1 & publisher=$!
check "it serves" until_so as_published 25
check "it is stopped" service stop
check "it has stopped by then" state STOPPED
check "its port is free" not hello 1935
wait $publisher
check "who published was told" eval 'says "the server closed the connection" < "$made/published"'
check "by force, when its time was over" event trace '1 connections closed by force'

# With the system.
check "it is started once more" service start
check "it serves who comes" hello 1935
exec 9>&-
in_tree /usr/lib/wine/wineserver64 -w
check "it ends with the system" not hello 1935
mkfifo "$made/session2"
debug=+eventlog in_tree /usr/lib/wine/wine64 cmd.exe < "$made/session2" > /dev/null 2>> "$events" &
exec 9> "$made/session2"
check "it starts with the system" until_so state RUNNING
check "and serves" hello 1935

# Uninstalled.
check "it is uninstalled" service uninstall
check "nothing is there" fails 1 "sc.exe query openrtmp" service status
check "nothing serves" not hello 1935
check "the event log knows no source of its" fails 1 "" wine reg.exe query "$key\\EventLog\\Application\\openrtmp"
check "its settings stay" test -e "$folder/openrtmp.yaml"
exec 9>&-
in_tree /usr/lib/wine/wineserver64 -k
rm -rf "$tree$prefix" "$made"
echo END
