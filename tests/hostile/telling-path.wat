;; Hands out a key that it finds in the custom resource as the name of a field that it must not set.
;; load: ok
;; rewrite: ok
(data (i32.const 256) "\"sk-\00")
(data (i32.const 320) "\"kind\":\"Service\"\00")
(data (i32.const 512) "\"metadata\":{\00")
(data (i32.const 768) "\"metadata\":{\"annotations\":{\"inference-gateway.com/sk-..........\":\"x\"},\00")
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (local $key i32)
  (local.set $key
    (call $find (local.get $context) (i32.add (local.get $context) (local.get $context-length)) (i32.const 256)))
  (if (local.get $key)
    (then
      (memory.copy (i32.const 818) (i32.add (local.get $key) (i32.const 1)) (i32.const 13))
      (call $forge (local.get $objects) (local.get $count) (i32.const 320) (i32.const 512) (i32.const 768))))
  (call $done (local.get $objects) (local.get $count)))
