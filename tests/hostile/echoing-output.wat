;; Hands over a document of 1 MiB a hundred times: the same bytes in its memory, a hundred MiB in the operator's.
;; load: ok
;; rewrite: OutputLimit
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (local $i i32)
  (drop (memory.grow (i32.const 32)))
  (loop $next
    (i32.store (i32.add (i32.const 1024) (i32.mul (local.get $i) (i32.const 8))) (i32.const 65536))
    (i32.store (i32.add (i32.const 1028) (i32.mul (local.get $i) (i32.const 8))) (i32.const 1048576))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $next (i32.lt_u (local.get $i) (i32.const 100))))
  (call $done (i32.const 1024) (i32.const 100)))
