;; Adds a document that is no object, and so has neither kind nor name.
;; load: ok
;; rewrite: ok
;; guard: it handed over an object without kind or name
(data (i32.const 256) "[{\"kind\":\"Service\"}]\00")
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (call $done
    (call $with (local.get $objects) (local.get $count) (i32.const 256))
    (i32.add (local.get $count) (i32.const 1))))
