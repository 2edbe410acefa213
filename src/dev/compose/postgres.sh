#!/bin/sh
# PostgreSQL: made and filled at the first start, and then served.
set -eu
data=/var/lib/rebeam/data
bin=$(echo /usr/lib/postgresql/*/bin)
user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}
method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
options="-c unix_socket_directories=/tmp -c jit=off -c shared_buffers=32MB -c logging_collector=off"
if [ ! -e "$data/rebeam-filled" ]; then
  # What was begun and not finished is begun anew.
  find "$data" -mindepth 1 -delete
  (umask 077; printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password)
  "$bin/initdb" -D "$data" -U "$user" -A "$method" -E UTF8 --locale=C.UTF-8 --no-sync --pwfile=/tmp/password >/dev/null
  rm /tmp/password
  echo "host all all all $method" >>"$data/pg_hba.conf"
  # Nobody reaches it before it is filled.
  "$bin/pg_ctl" -D "$data" -w -s -o "$options -c listen_addresses=" start
  if [ "$database" != postgres ]; then
    PGPASSWORD=$POSTGRES_PASSWORD "$bin/createdb" -h /tmp -U "$user" --maintenance-db=postgres "$database"
  fi
  for file in /seed/*; do
    [ -e "$file" ] || continue
    echo "reading $file"
    PGPASSWORD=$POSTGRES_PASSWORD "$bin/psql" -X -q -v ON_ERROR_STOP=1 -h /tmp -U "$user" -d "$database" -f "$file"
  done
  "$bin/pg_ctl" -D "$data" -w -s -m fast stop
  : >"$data/rebeam-filled"
fi
# shellcheck disable=SC2086 # the options are words
exec "$bin/postgres" -D "$data" -c "port=${PORT:-5432}" -c 'listen_addresses=*' $options
