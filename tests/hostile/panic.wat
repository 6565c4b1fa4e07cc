;; Says why it ends itself, with a control sequence for terminals, and then once more.
;; load: ok
;; rewrite: Panicked
;; says: ouch\u{1b}[31m
(data (i32.const 200) "ouch\1b[31m")
(data (i32.const 220) "not this one")
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (call $report-panic (i32.const 200) (i32.const 9))
  (call $report-panic (i32.const 220) (i32.const 12))
  unreachable)
