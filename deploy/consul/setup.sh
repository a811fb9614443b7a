#!/bin/sh
# Gives the nodes of MarketPrism a token of their own in Consul: the policy of
# marketprism.hcl, and a token by it whose secret is CONSUL_TOKEN. It asks the Consul at
# CONSUL_HTTP_ADDR with a management token in CONSUL_HTTP_TOKEN, and may run again.
set -eu
rules=${1:-/consul/marketprism.hcl}

if consul acl policy read -name marketprism >/dev/null 2>&1; then
	consul acl policy update -name marketprism -rules "@$rules" >/dev/null
else
	consul acl policy create -name marketprism -rules "@$rules" >/dev/null
fi
if ! CONSUL_HTTP_TOKEN=$CONSUL_TOKEN consul acl token read -self >/dev/null 2>&1; then
	consul acl token create -secret "$CONSUL_TOKEN" -policy-name marketprism -description MarketPrism >/dev/null
fi
echo "the token of MarketPrism is in force"
