# What the scripts in the virtual machine share. What they print is read by tests/vm/machine.rs: a line is a word, the name of
# the case, and the rest: `fact CASE KEY VALUE`, `record CASE JSON` (the newest record of the case's finding), `time CASE
# SECONDS`, `failed CASE WHAT`.

port=4000
spool=/var/lib/tetherd/spool
tool() { python3 /payload/tool.py "$@"; }
fact() { printf 'fact %s %s %s\n' "$1" "$2" "$(tr '\n' ' ' <<<"$3")"; }

# attack CASE COMMAND...: listens on a port of loopback for the command, in which PORT stands for the port, to connect back;
# has `id` run over the connection, and prints the last record of the finding that comes of it.
attack() {
    local name=$1 began=$SECONDS child listener
    shift
    port=$((port + 1))
    tool listen "$port" 90 >"/tmp/$name.answer" 2>&1 &
    listener=$!
    until grep -q "$(printf ':%04X 00000000:0000 0A' "$port")" /proc/net/tcp; do
        kill -0 "$listener" 2>/dev/null || break
        sleep 0.05
    done
    "${@//PORT/$port}" </dev/null >"/tmp/$name.log" 2>&1 &
    child=$!
    # A command that failed before it connected never will.
    local first
    wait -n -p first "$listener" "$child" || {
        [ "$first" = "$child" ] && sleep 1 && [ ! -s "/tmp/$name.answer" ] && kill "$listener" 2>/dev/null
    }
    # The listener ends when it had its answer and the record is there.
    if wait "$listener"; then
        tool record "$port" "$name" "$spool"
    else
        printf 'failed %s %s\n' "$name" "$(tail -c 700 "/tmp/$name.log" "/tmp/$name.answer" | tr '\n' '|')"
    fi
    ( sleep 20 && kill "$child" ) 2>/dev/null &
    local guard=$!
    wait "$child" 2>/dev/null
    kill "$guard" 2>/dev/null
    printf 'time %s %s\n' "$name" "$((SECONDS - began))"
}
