#!/bin/sh
# Starts the server that its arguments name, and on Fly's kill signal drains the origin before the server is told to end.
# What must stay true: the server ends only after the drain, or after LIMPET_DRAIN_SECONDS; and its exit code is the machine's.
set -u
origin=${LIMPET_ORIGIN_SH:-$(dirname "$0")/limpet-origin.sh}

"$@" &
server=$!
sh "$origin" undrain & # the drain of the machine's last stop
hello=$!

leave() {
  trap '' TERM INT # once is enough
  sh "$origin" drain
  kill -TERM "$server"
}
trap leave TERM INT

# A signal ends `wait` at once, then the server is waited for.
wait "$server"
code=$?
while kill -0 "$server" 2>/dev/null; do
  wait "$server"
  code=$?
done
kill "$hello" 2>/dev/null
exit "$code"
