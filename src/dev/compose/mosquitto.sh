#!/bin/sh
# Mosquitto, open to everybody who reaches it.
set -eu
data=/var/lib/rebeam/data
printf 'listener %s\nallow_anonymous true\npersistence true\npersistence_location %s/\nlog_dest stderr\n' "${PORT:-1883}" "$data" >/tmp/mosquitto.conf
exec mosquitto -c /tmp/mosquitto.conf
