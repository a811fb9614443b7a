# One Consul server that trusts nobody without a token. A cluster that has to outlive the
# loss of a machine has three of them, or an agent on each node.
server           = true
bootstrap_expect = 1
data_dir         = "/consul/data"
client_addr      = "0.0.0.0"

ui_config {
  enabled = false
}

connect {
  enabled = false
}

disable_update_check = true

acl {
  enabled                  = true
  default_policy           = "deny"
  down_policy              = "extend-cache"
  enable_token_persistence = true
}
