#!/bin/sh
# Redis: filled at the first start, and then served.
set -eu
data=/var/lib/rebeam/data
if [ ! -e "$data/rebeam-filled" ]; then
  # What was begun and not finished is begun anew.
  find "$data" -mindepth 1 -delete
  # Nobody reaches it before it is filled.
  redis-server --port 0 --unixsocket /tmp/redis.sock --dir "$data" --appendonly yes --save '' --daemonize yes --logfile /tmp/redis.log
  until redis-cli -s /tmp/redis.sock ping 2>/dev/null | grep -q PONG; do sleep 0.1; done
  for file in /seed/*; do
    [ -e "$file" ] || continue
    echo "reading $file"
    answers=$(redis-cli -s /tmp/redis.sock <"$file" 2>&1)
    if echo "$answers" | grep -E '^(\(error\)|ERR|WRONGTYPE|NOSCRIPT|EXECABORT|Could not connect)'; then exit 1; fi
  done
  redis-cli -s /tmp/redis.sock shutdown
  while [ -e /tmp/redis.sock ]; do sleep 0.1; done
  : >"$data/rebeam-filled"
fi
exec redis-server --port "${PORT:-6379}" --bind '*' --protected-mode no --dir "$data" --appendonly yes --save '' --daemonize no --logfile ''
