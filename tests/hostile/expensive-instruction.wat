;; Copies all of its memory with one instruction after the other: fuel goes by the byte.
;; load: ok
;; rewrite: FuelExhausted
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (drop (memory.grow (i32.const 1000)))
  (loop $forever
    (memory.copy (i32.const 0) (i32.const 8) (i32.const 65000000))
    (br $forever))
  unreachable)
