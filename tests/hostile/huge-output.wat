;; Hands over one document of 60 MiB.
;; load: ok
;; rewrite: OutputLimit
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (drop (memory.grow (i32.const 1000)))
  (i32.store (i32.const 128) (i32.const 4096))
  (i32.store (i32.const 132) (i32.const 62914560))
  (call $done (i32.const 128) (i32.const 1)))
