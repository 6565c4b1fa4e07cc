;; Gives the first object twice and leaves out the last one: their number is right.
;; load: ok
;; rewrite: ok
;; guard: Service team/shop is there twice
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (local $last i32)
  (local.set $last
    (i32.add (local.get $objects) (i32.mul (i32.sub (local.get $count) (i32.const 1)) (i32.const 8))))
  (i64.store align=4 (local.get $last) (i64.load align=4 (local.get $objects)))
  (call $done (local.get $objects) (local.get $count)))
