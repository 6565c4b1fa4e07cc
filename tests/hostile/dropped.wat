;; Leaves out an object, the last one of those that it was given.
;; load: ok
;; rewrite: ok
;; guard: Deployment team/shop was dropped
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (call $done (local.get $objects) (i32.sub (local.get $count) (i32.const 1))))
