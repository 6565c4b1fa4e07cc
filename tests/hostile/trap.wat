;; Divides by zero.
;; load: ok
;; rewrite: Trapped
;; says: divide by zero
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (drop (i32.div_u (i32.const 1) (local.get $context)))
  (i32.div_u (i32.const 1) (i32.const 0)))
