;; Makes a DaemonSet of the Deployment, which would run on every node.
;; load: ok
;; rewrite: ok
;; guard: DaemonSet team/shop (apps/v1) may not be added by any policy
(data (i32.const 256) "\"kind\":\"Deployment\"\00")
(data (i32.const 512) "\"kind\":\"Deployment\"\00")
(data (i32.const 768) "\"kind\":\"DaemonSet\"\00")
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (call $forge (local.get $objects) (local.get $count) (i32.const 256) (i32.const 512) (i32.const 768))
  (call $done (local.get $objects) (local.get $count)))
