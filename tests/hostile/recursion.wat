;; Calls itself until the stack is full.
;; load: ok
;; rewrite: StackLimit
(func $deeper (param $a i64) (param $b i64) (result i64)
  (i64.add (call $deeper (i64.add (local.get $a) (i64.const 1)) (local.get $a)) (local.get $b)))
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (drop (call $deeper (i64.const 1) (i64.const 2)))
  unreachable)
