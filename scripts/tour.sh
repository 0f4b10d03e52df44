#!/usr/bin/env bash
# A tour of failover against a running store (npm start in another terminal): 2,000 real files, a whole storage center
# that goes dark in the middle of an rclone sync, work during the outage, the center's return, the primary directory killed
# in the middle of another sync, and the proof that both sides are equal again. Needs rclone. Ends with exit code 0 only when every step did what it says.
#   bash scripts/tour.sh [--data DIR]        TOUR_FILES=2000 by default
set -euo pipefail
cd "$(dirname "$0")/.."
data=./data
[ "${1:-}" = --data ] && data=$2
files=${TOUR_FILES:-2000}
work=$(mktemp -d)
dark=()
trap 'kill -CONT "${dark[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT

say() { printf '\n── %s\n' "$*"; }
fail() { printf 'tour: %s\n' "$*" >&2; exit 1; }
node() { command node "$@"; }
antipode() { node bin/antipode.js "$@" --data "$data"; }
# field NAME of the status document, by a JavaScript expression over `s` (its exit code says only whether all is well)
status() { { antipode status --json || true; } | node -p "const s = JSON.parse(require('fs').readFileSync(0)); $1"; }
secret() { node -p "JSON.parse(require('fs').readFileSync('$data/secrets/root-credentials.json')).$1"; }
# Every attempt is rclone's own: no retry around it hides a failed request.
export RCLONE_CONFIG_TOUR_TYPE=s3 RCLONE_CONFIG_TOUR_PROVIDER=Other RCLONE_CONFIG_TOUR_REGION=us-east-1
RCLONE_CONFIG_TOUR_ENDPOINT=$(node -p "JSON.parse(require('fs').readFileSync('$data/run/supervisor.json')).s3")
RCLONE_CONFIG_TOUR_ACCESS_KEY_ID=$(secret accessKeyId)
RCLONE_CONFIG_TOUR_SECRET_ACCESS_KEY=$(secret secretKey)
export RCLONE_CONFIG_TOUR_ENDPOINT RCLONE_CONFIG_TOUR_ACCESS_KEY_ID RCLONE_CONFIG_TOUR_SECRET_ACCESS_KEY
export RCLONE_CONFIG="$work/rclone.conf" RCLONE_COPY_LINKS=true
touch "$RCLONE_CONFIG"
unset AWS_CA_BUNDLE # with it, rclone 1.60 does not start at all
bucket=tour-$(date +%s)

say "$files real files"
mkdir "$work/files"
for folder in $(seq 0 19); do mkdir "$work/files/$folder"; done
find -L node_modules -type f -size -256k -print0 2>/dev/null | head -z -n "$files" >"$work/list" || true
number=0
while IFS= read -r -d '' file; do
  number=$((number + 1))
  # A link costs nothing; rclone follows it with --copy-links.
  ln -s "$PWD/$file" "$work/files/$((number % 20))/$number-${file##*/}"
done <"$work/list"
[ "$number" -eq "$files" ] || fail "only $number files in node_modules"
rclone mkdir "tour:$bucket"

say "rclone sync begins; center b goes dark in the middle of it (every process of it is stopped: nothing answers)"
rclone sync --transfers 8 "$work/files" "tour:$bucket/files" &
sync=$!
until [ "$(rclone size --json "tour:$bucket" | node -p 'JSON.parse(require("fs").readFileSync(0)).count')" -ge $((files / 4)) ]; do
  kill -0 "$sync" 2>/dev/null || break
done
read -ra dark < <(status "s.members.filter(m => m.center === 'b' && m.pid).map(m => m.pid).join(' ')")
kill -STOP "${dark[@]}"
kill -0 "$sync" 2>/dev/null || echo "(the sync was over before: take more files)"
wait "$sync" || fail "the sync did not finish"
echo "the sync has finished, without center b"

say "the outage is known"
for _ in $(seq 60); do
  [ "$(status "s.centers.find(c => c.name === 'b').condition")" = failed-over ] && break
  sleep 0.5
done
antipode status || echo "(exit code 1: redundancy is lost)"

say "list, read, write and delete during the outage"
rclone check --download "$work/files" "tour:$bucket/files" || fail "not every file reads back"
head -c 20000000 /dev/urandom >"$work/big"
rclone copyto "$work/big" "tour:$bucket/big" || fail "writing during the outage"
rclone cat "tour:$bucket/big" | cmp - "$work/big" || fail "what was written reads otherwise"
rclone purge "tour:$bucket/files/0" || fail "deleting during the outage"
rm -r "$work/files/0"
antipode locate "s3://$bucket/big" | head -n 12

say "the center's power comes back: its processes begin anew"
kill -9 "${dark[@]}" 2>/dev/null || true
dark=()
for _ in $(seq 240); do
  [ "$(status s.redundant)" = true ] && break
  sleep 0.5
done
antipode failover history --max 12
antipode status || fail "the center did not come back in time"

say "rclone sync again; the primary directory is killed (-9) in the middle of it, and its twin takes over"
primary() { status "s.members.find(m => m.primary).$1"; }
old=$(primary id)
rclone sync --transfers 8 "$work/files" "tour:$bucket/again" &
sync=$!
until [ "$(rclone size --json "tour:$bucket/again" | node -p 'JSON.parse(require("fs").readFileSync(0)).count')" -ge $((files / 4)) ]; do
  kill -0 "$sync" 2>/dev/null || break
done
kill -9 "$(primary pid)"
wait "$sync" || fail "the sync did not finish"
rclone check --download "$work/files" "tour:$bucket/again" || fail "not every file reads back"
new=$(primary id)
[ "$new" != "$old" ] || fail "$old is still the primary directory"
echo "the sync has finished; $new is the primary directory now"
for _ in $(seq 240); do
  [ "$(status s.redundant)" = true ] && break
  sleep 0.5
done
antipode failover history --max 6
antipode status || fail "$old did not come back in time"

say "both sides are equal: every byte of every replica is read"
antipode verify --deep || fail "verify found exceptions"
rclone check --download "$work/files" "tour:$bucket/files" || fail "not every file reads back"
rclone purge "tour:$bucket"
say "done"
