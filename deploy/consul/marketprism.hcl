# What a node of MarketPrism may do, with cluster.consul.name "marketprism":
#
#   consul acl policy create -name marketprism -rules @marketprism.hcl
#   consul acl token create -policy-name marketprism -description "MarketPrism"

# It announces its services, under these names only.
service_prefix "marketprism" {
  policy = "write"
}
service "data-storage-service" {
  policy = "write"
}
service "scheduler-service" {
  policy = "write"
}
service "market-data-collector" {
  policy = "write"
}
service "api-gateway-service" {
  policy = "write"
}
service "monitoring-service" {
  policy = "write"
}
service "message-broker-service" {
  policy = "write"
}

# It sees on which nodes they are.
node_prefix "" {
  policy = "read"
}

# It takes leases.
session_prefix "" {
  policy = "write"
}
key_prefix "marketprism/" {
  policy = "write"
}
