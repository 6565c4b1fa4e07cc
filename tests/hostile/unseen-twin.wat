;; Makes an object that it was not shown, because it did not ask for the kind, as if it were the right one.
;; load: ok
;; rewrite: ok
;; guard: ServiceAccount team/shop is there twice
(data (i32.const 256) "{\"apiVersion\":\"v1\",\"kind\":\"ServiceAccount\",\"metadata\":{\"name\":\"shop\",\"namespace\":\"team\"},\"secrets\":[{\"name\":\"token\"}]}\00")
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (call $done
    (call $with (local.get $objects) (local.get $count) (i32.const 256))
    (i32.add (local.get $count) (i32.const 1))))
