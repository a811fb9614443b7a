#!/bin/sh
# The last trades of an instrument as CSV, the newest first:
#   trades.sh binance BTC-USDT 5
set -eu
exchange=${1:-binance} symbol=${2:-BTC-USDT} count=${3:-10}
url=${MARKETPRISM_URL:-http://127.0.0.1:8083}

exec curl --silent --show-error --fail-with-body ${MARKETPRISM_KEY:+--header "X-API-Key: $MARKETPRISM_KEY"} \
	"$url/api/v1/storage/query/trade/$exchange/$symbol?market=spot&order=desc&limit=$count&format=csv&fields=exchange_time_ns,id,price,amount,side"
