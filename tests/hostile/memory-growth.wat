;; Takes one page after the other, and goes on when it is refused one.
;; load: ok
;; rewrite: MemoryLimit
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (loop $more (drop (memory.grow (i32.const 1))) (br $more))
  unreachable)
