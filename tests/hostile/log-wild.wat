;; Logs what lies outside its memory.
;; load: ok
;; rewrite: BadOutput
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (call $log (i32.const 1) (i32.const -65536) (i32.const 100))
  unreachable)
