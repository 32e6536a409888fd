# For the scripts beside this one: builds, starts and stops the relays under test. Sourced.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

relay_port=2625 peer_port=2626 sink_port=2526 policy_port=2627 admin_port=2628 nats_port=2629 metrics_port=2630
work=$(mktemp -d /var/tmp/hikyaku-load.XXXXXX)
processes=()

# Ends the processes, the youngest first, as one would: a role that drains needs its broker.
stop_all() {
  for ((n = ${#processes[@]} - 1; n >= 0; n--)); do
    kill "${processes[n]}" 2>/dev/null && wait "${processes[n]}" 2>/dev/null || true
  done
  processes=()
}

stop() {
  stop_all
  [ -d "$work/postfix/config" ] && postfix -c "$work/postfix/config" stop >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap stop EXIT

build() {
  deploy/local/get-nats-server
  export PATH="$PWD/.local/bin:$PATH"
  cargo build --quiet --release -p hikyaku -p hikyakuctl -p hikyaku-load
  target=$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json,sys; print(json.load(sys.stdin)["target_directory"])')/release
  "$target/hikyaku-load" routes --sink-port "$sink_port" >"$work/routes"
}

# wait_for FILE TEXT
wait_for() {
  for _ in $(seq 600); do grep -q "$2" "$1" 2>/dev/null && return; sleep 0.1; done
  echo "$1 does not say $2" >&2
  tail -5 "$1" >&2
  exit 1
}

# Postfix with its defaults, but for where it lives and where the mail goes.
start_postfix() {
  mkdir -p "$work/postfix/config" "$work/postfix/queue" "$work/postfix/data"
  chmod 755 "$work" "$work/postfix"
  chown postfix "$work/postfix/data"
  cp /etc/postfix/master.cf "$work/postfix/config/master.cf" 2>/dev/null || cp /usr/share/postfix/master.cf.dist "$work/postfix/config/master.cf"
  sed -i "s/^smtp  *inet .*/127.0.0.1:$peer_port inet n - n - - smtpd/; s/^\([a-z-]* *unix *[-n] *[-n] *\)y/\1n/" "$work/postfix/config/master.cf"
  "$target/hikyaku-load" transport --sink-port "$sink_port" >"$work/postfix/config/transport"
  cat >"$work/postfix/config/main.cf" <<CONFIG
compatibility_level = 3.6
queue_directory = $work/postfix/queue
data_directory = $work/postfix/data
myhostname = peer.load.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = loopback-only
inet_protocols = ipv4
transport_maps = texthash:$work/postfix/config/transport
maillog_file = /var/log/hikyaku-load-postfix.log
CONFIG
  postfix -c "$work/postfix/config" start >/dev/null 2>&1
  peer=$(tr -d ' ' <"$work/postfix/queue/pid/master.pid")
}

# The relay in one process, with its defaults.
start_up() {
  mkdir -p "$work/relay"
  HIKYAKU__LOG=json "$target/hikyaku" up --data-dir "$work/relay/data" \
    --smtp "127.0.0.1:$relay_port" --hostname relay.load.test --relay-from 127.0.0.0/8 >"$work/relay/log" &
  relay=$!
  processes+=("$relay")
  wait_for "$work/relay/log" '"message":"ready"'
  export HIKYAKU_TOKEN_FILE="$work/relay/data/operator-token"
  "$target/hikyakuctl" directory set routes "$work/routes" >/dev/null
}

# start_cluster WORKERS [TOML]: a broker, a policy service, an ingress node and so many workers.
start_cluster() {
  mkdir -p "$work/nats"
  printf '%s' load-test >"$work/password"
  cat >"$work/nats/nats.conf" <<CONFIG
server_name: load
listen: "127.0.0.1:$nats_port"
jetstream { store_dir: "$work/nats/store", sync_interval: always }
accounts {
  SYSTEM { users: [ { user: system, password: load-test } ] }
  HIKYAKU { jetstream: enabled, users: [ { user: hikyaku, password: load-test } ] }
}
system_account: SYSTEM
CONFIG
  start_broker
  if [ ! -e "$work/operator-token" ]; then
    "$target/hikyakuctl" token new operator --role operator --out "$work/operator-token" >"$work/callers"
  fi
  export HIKYAKU_TOKEN_FILE="$work/operator-token"
  cluster_toml="${2:-}"
  start_role policy 0 "policy_listen = \"127.0.0.1:$policy_port\"
metrics = \"127.0.0.1:$metrics_port\""
  printf '127.0.0.0/8\n' >"$work/relay-networks"
  for document in relay-networks routes; do
    "$target/hikyakuctl" --directory-server "http://127.0.0.1:$policy_port" directory set "$document" "$work/$document" >/dev/null
  done
  start_role ingress 0 "smtp = [\"127.0.0.1:$relay_port\"]"
  for n in $(seq "$1"); do start_worker "$n"; done
}

start_broker() {
  nats-server --config "$work/nats/nats.conf" >"$work/nats/log" 2>&1 &
  broker=$!
  processes+=("$broker")
  wait_for "$work/nats/log" 'Server is ready'
}

start_worker() { start_role delivery "$1" "admin_listen = \"127.0.0.1:$((admin_port + 10 + $1))\""; }

# start_role ROLE NUMBER TOML
start_role() {
  cat >"$work/$1$2.toml" <<CONFIG
hostname = "relay.load.test"
node = "$1-$2"
nats = "${nats_url:-nats://127.0.0.1:$nats_port}"
nats_login = { user = "hikyaku", password_file = "$work/password" }
nats_system_login = { user = "system", password_file = "$work/password" }
policy = "${policy_url:-http://127.0.0.1:$policy_port}"
grpc = { callers = "$work/callers" }
$3
$cluster_toml
CONFIG
  HIKYAKU__LOG=json "$target/hikyaku" "$1" --config "$work/$1$2.toml" >"$work/$1$2.log" &
  role=$!
  processes+=("$role")
  wait_for "$work/$1$2.log" '"message":"listening"'
}
