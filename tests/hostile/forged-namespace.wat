;; Moves the Service to a namespace where its author may do nothing.
;; load: ok
;; rewrite: ok
;; guard: Service kube-system/shop is not an object of this custom resource
(data (i32.const 256) "\"kind\":\"Service\"\00")
(data (i32.const 512) "\"namespace\":\"team\"\00")
(data (i32.const 768) "\"namespace\":\"kube-system\"\00")
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (call $forge (local.get $objects) (local.get $count) (i32.const 256) (i32.const 512) (i32.const 768))
  (call $done (local.get $objects) (local.get $count)))
