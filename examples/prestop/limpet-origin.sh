#!/bin/sh
# An origin's own word to its router, as a hook around its process. Needs curl, and a token of the scope register:<pool>/<id prefix> (or operate).
#
#   limpet-origin.sh drain     before the process ends: no new sessions, live ones move away; ends when the process may end (exit code 0)
#   limpet-origin.sh undrain   after it has started: an origin that was drained takes sessions again
#   limpet-origin.sh lease     beside the process: joins the ring, and stays in it by renewing until it is ended
#
# LIMPET_URL             the router: https://app.example.com
# LIMPET_TOKEN           the token
# LIMPET_RING            pool/region: collab/weur
# LIMPET_ORIGIN          the origin's id: weur-1
# LIMPET_DRAIN_SECONDS   drain: how long at most (240). Below what the supervisor waits before it kills, above the pool's
#                        drain.deadlineMs + horizonMs + drain.graceMs (210 s at their defaults)
# LIMPET_ORIGIN_URL      lease: where the router reaches this origin: https://weur-1.example.com
# LIMPET_WEIGHT          lease: its weight (1)
# LIMPET_LEASE_SECONDS   lease: how long it stays without a renewal (30)
#
# What must stay true: every call and every wait is bounded. A router that is away never keeps a process from ending.
set -u

REACH_SECONDS=20 # an order that could not be given by then is given up: the ring notices a lost origin by its checks
LOOK_SECONDS=10  # one look holds the answer back so long

for name in LIMPET_URL LIMPET_TOKEN LIMPET_RING LIMPET_ORIGIN; do
  eval "value=\${$name:-}"
  [ -n "$value" ] || { echo "limpet: $name is not set" >&2; exit 2; }
done

say() { echo "limpet: $LIMPET_ORIGIN: $*" >&2; }
now() { date +%s; }
at="${LIMPET_URL%/}/_limpet/v1/rings/${LIMPET_RING%%/*}/${LIMPET_RING#*/}/origins/$LIMPET_ORIGIN"

# The status alone; 000: nobody answered. The token goes by standard input: arguments are seen by everybody on the machine.
ask() { # SECONDS CURL-ARGUMENTS…
  seconds=$1
  shift
  printf 'header = "Authorization: Bearer %s"\n' "$LIMPET_TOKEN" |
    curl --config - --silent --output /dev/null --write-out '%{http_code}' --connect-timeout 5 --max-time "$seconds" "$@" || true
}

# Until it is taken (0), refused (1: there is no use in asking again), or the time has passed (2).
order() { # WORD UNTIL
  while :; do
    status=$(ask 5 --request POST "$at/$1")
    case $status in
      2??) return 0 ;;
      429 | 5?? | 000) ;;
      *) say "$1 was refused ($status)"; return 1 ;;
    esac
    [ "$(now)" -lt "$2" ] || { say "no router took the $1 ($status)"; return 2; }
    sleep 1
  done
}

drain() {
  end=$(($(now) + ${LIMPET_DRAIN_SECONDS:-240}))
  reach=$(($(now) + REACH_SECONDS))
  [ "$reach" -lt "$end" ] || reach=$end
  order drain "$reach" || return 1
  while left=$((end - $(now))) && [ "$left" -gt 0 ]; do
    hold=$LOOK_SECONDS
    [ "$left" -ge "$hold" ] || hold=$left
    case $(ask $((hold + 5)) "$at?waitFor=drained&timeoutMs=${hold}000") in
      200) say "drained"; return 0 ;;
      202) ;;          # not yet
      404) return 0 ;; # nobody knows it any more
      *) sleep 1 ;;
    esac
  done
  say "not drained in time"
  return 1
}

lease() {
  ttl=${LIMPET_LEASE_SECONDS:-30}
  instance=$(cat /proc/sys/kernel/random/uuid 2>/dev/null || echo "$$-$(now)") # another process than the one that was drained
  body=$(printf '{"url":"%s","weight":%s,"ttlMs":%s000,"instance":"%s"}' "$LIMPET_ORIGIN_URL" "${LIMPET_WEIGHT:-1}" "$ttl" "$instance")
  trap 'exit 0' TERM INT
  while :; do
    status=$(ask 5 --request PUT --header 'content-type: application/json' --data "$body" "$at/lease")
    case $status in
      2??) wait_seconds=$((ttl / 3)) ;;
      *) say "the lease was not renewed ($status)"; wait_seconds=2 ;;
    esac
    sleep "$wait_seconds" &
    wait $! # a signal ends this wait at once
  done
}

case ${1:-} in
  drain) drain ;;
  undrain) order undrain $(($(now) + REACH_SECONDS)) ;;
  lease) : "${LIMPET_ORIGIN_URL:?}"; lease ;;
  *) echo "usage: limpet-origin.sh drain|undrain|lease" >&2; exit 2 ;;
esac
