;; Logs for ever.
;; load: ok
;; rewrite: FuelExhausted
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (loop $forever
    (call $log (i32.const 1) (i32.const 0) (i32.const 4000))
    (br $forever))
  unreachable)
