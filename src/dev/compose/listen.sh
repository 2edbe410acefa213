# Runs a command, says what it says, and writes down once a line of that held a text.
# What `/dev/tcp` is to a port this is to a line: Compose itself reads no output.
tool=$1 text=$2
shift 2
place=/tmp/rebeam-heard
$tool mkdir -p "$place"
$tool rm -f "$place/said" "$place/ready"
$tool mkfifo "$place/said"
{
  while IFS= read -r line || [ -n "$line" ]; do
    printf '%s\n' "$line"
    case $line in *"$text"*) : >"$place/ready"; break ;; esac
  done
  $tool cat
} <"$place/said" &
reader=$!
"$@" >"$place/said" 2>&1 &
child=$!
trap 'kill -TERM "$child" 2>/dev/null' TERM INT
# A signal interrupts the wait, and the command may take its time.
while :; do
  wait "$child"
  code=$?
  kill -0 "$child" 2>/dev/null || break
done
# What it left running may hold the pipe open.
{ $tool sleep 2; kill "$reader"; } 2>/dev/null &
wait "$reader"
exit "$code"
