#!/bin/sh
# Trades of an instrument as they come, one JSON object a line, until Ctrl-C or for some
# seconds:
#   follow.sh BTC-USDT 10
set -eu
symbol=${1:-BTC-USDT} seconds=${2:-0}
url=${MARKETPRISM_URL:-http://127.0.0.1:8083}

curl --silent --show-error --no-buffer --max-time "$seconds" ${MARKETPRISM_KEY:+--header "X-API-Key: $MARKETPRISM_KEY"} \
	"$url/api/v1/collector/stream?kinds=trade&symbols=$symbol" | sed -n 's/^data: \({.*"kind":"trade".*\)/\1/p'
