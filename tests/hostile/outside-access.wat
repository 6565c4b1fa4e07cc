;; Reads outside its memory.
;; load: ok
;; rewrite: Trapped
;; says: out of bounds
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (i32.load (i32.const -4)))
