;; Writes the mark by which the operator knows its own objects.
;; load: ok
;; rewrite: ok
;; guard: Service team/shop was changed where no policy may: .metadata.annotations[inference-gateway.com/owner]: (absent) -> "Gateway/bank"
(data (i32.const 256) "\"kind\":\"Service\"\00")
(data (i32.const 512) "\"metadata\":{\00")
(data (i32.const 768) "\"metadata\":{\"annotations\":{\"inference-gateway.com/owner\":\"Gateway/bank\"},\00")
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (call $forge (local.get $objects) (local.get $count) (i32.const 256) (i32.const 512) (i32.const 768))
  (call $done (local.get $objects) (local.get $count)))
