;; Says that it cannot do it, in words that are not text for a line.
;; load: ok
;; rewrite: PolicyFailed
;; says: no\nway
(data (i32.const 200) "no\0away")
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (i32.store (i32.const 64) (i32.const 1))
  (i32.store (i32.const 68) (i32.const 200))
  (i32.store (i32.const 72) (i32.const 6))
  (i32.store (i32.const 76) (i32.const 16))
  (i32.store (i32.const 80) (i32.const 2))
  (i32.const 64))
