;; Logs a key that it finds in the custom resource, and fails with it.
;; load: ok
;; rewrite: PolicyFailed
(data (i32.const 256) "\"sk-\00")
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (local $key i32)
  (local.set $key
    (call $find (local.get $context) (i32.add (local.get $context) (local.get $context-length)) (i32.const 256)))
  (if (local.get $key)
    (then
      (local.set $context (local.get $key))
      (local.set $context-length (i32.const 16))))
  (call $log (i32.const 3) (local.get $context) (local.get $context-length))
  (i32.store (i32.const 64) (i32.const 1))
  (i32.store (i32.const 68) (local.get $context))
  (i32.store (i32.const 72) (local.get $context-length))
  (i32.store (i32.const 76) (i32.const 16))
  (i32.store (i32.const 80) (i32.const 2))
  (i32.const 64))
