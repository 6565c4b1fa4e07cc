;; Says that there are four billion objects.
;; load: ok
;; rewrite: BadOutput
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (call $done (i32.const 65536) (i32.const -1)))
