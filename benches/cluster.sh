#!/usr/bin/env bash
# The overhead of clusters on this machine. The ratios within one run are the result:
#   cargo build --release && benches/cluster.sh target/release/warpframe
# All files are written into a temporary folder, which is removed at the end.
set -euo pipefail
binary=$(realpath "$1")
cores=$(nproc)
folder=$(mktemp -d)
cd "$folder"
scheduler=
executor=
trap 'kill $scheduler $executor 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$folder"' EXIT

echo "## 10 million rows from Parquet: the sum, then all results in the client's memory"
for result in sum collect; do
    "$binary" compare --source parquet --result $result --repeat 15 --report report \
        --modes parallel,cluster-threads-1,cluster-threads,cluster-processes-1,cluster-processes 2>/dev/null
done

start() { # slots
    "$binary" cluster scheduler --bind 127.0.0.1:0 >url &
    scheduler=$!
    until [ -s url ]; do sleep 0.05; done
    url=$(cat url)
    "$binary" cluster executor --scheduler "${url#df://}" --slots "$1" 2>ready &
    executor=$!
    until [ -s ready ]; do sleep 0.05; done
}

microseconds() { # command...
    local begin end
    begin=$(date +%s%N)
    "$@" >/dev/null
    end=$(date +%s%N)
    echo $(((end - begin) / 1000))
}

echo "## A query over 3 rows on a running cluster, microseconds (median of 41)"
start "$cores"
query='SELECT sum(log3(x, y, z)) AS r FROM generate_rows(3);'
for _ in $(seq 41); do
    microseconds "$binary" sql --cluster "$url" -q "$query"
done | sort -n | sed -n '21s/^/whole process: /p'
many=$(printf "$query%.0s" $(seq 101))
for _ in $(seq 5); do
    one=$(microseconds "$binary" sql --cluster "$url" -q "$query")
    all=$(microseconds "$binary" sql --cluster "$url" -q "$many")
    echo $(((all - one) / 100))
done | sort -n | sed -n '3s/^/each further query of a session: /p'

echo "## The scheduler's CPU for 10,000 tasks of one small file each"
"$binary" generate --rows 1000 --out small.parquet 2>/dev/null
mkdir small
for file in $(seq -w 10000); do ln small.parquet "small/$file.parquet"; done
ticks() { awk '{print $14 + $15}' "/proc/$scheduler/stat"; }
before=$(ticks)
"$binary" sql --cluster "$url" --table t=small --format csv \
    -q 'SET datafusion.execution.target_partitions = 10000; SELECT count(*) AS n, sum(x) AS s FROM t'
after=$(ticks)
echo "scheduler: $(((after - before) * 1000 / $(getconf CLK_TCK))) ms of CPU for 10,000 tasks"
