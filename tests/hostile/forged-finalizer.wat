;; Holds up the deletion of an object, and of its namespace.
;; load: ok
;; rewrite: ok
;; guard: Service team/shop was changed where no policy may: .metadata.finalizers: (absent) -> ["example.com/never"]
(data (i32.const 256) "\"kind\":\"Service\"\00")
(data (i32.const 512) "\"name\":\"shop\",\"namespace\":\"team\"\00")
(data (i32.const 768) "\"name\":\"shop\",\"namespace\":\"team\",\"finalizers\":[\"example.com/never\"]\00")
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (call $forge (local.get $objects) (local.get $count) (i32.const 256) (i32.const 512) (i32.const 768))
  (call $done (local.get $objects) (local.get $count)))
