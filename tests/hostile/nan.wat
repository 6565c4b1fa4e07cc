;; Makes NaNs in several ways and hands over their bits: what differs from machine to machine must not show.
;; load: ok
;; rewrite: ok
;; gives: 7fc00000
(func $hex (param $value i32) (param $at i32)
  (local $i i32) (local $digit i32)
  (loop $next
    (local.set $digit
      (i32.and (i32.shr_u (local.get $value) (i32.sub (i32.const 28) (i32.mul (local.get $i) (i32.const 4)))) (i32.const 15)))
    (i32.store8 (i32.add (local.get $at) (local.get $i))
      (i32.add (local.get $digit)
        (select (i32.const 87) (i32.const 48) (i32.gt_u (local.get $digit) (i32.const 9)))))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $next (i32.lt_u (local.get $i) (i32.const 8)))))
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (local $zero f32)
  (call $hex
    (i32.reinterpret_f32
      (f32.add (f32.div (local.get $zero) (local.get $zero)) (f32.sqrt (f32.neg (f32.const 1)))))
    (i32.const 256))
  (i32.store (i32.const 128) (i32.const 256))
  (i32.store (i32.const 132) (i32.const 8))
  (call $done (i32.const 128) (i32.const 1)))
