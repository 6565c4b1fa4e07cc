;; Adds an object of another custom resource, to take it over.
;; load: ok
;; rewrite: ok
;; guard: Deployment team/bank was added, or changed after another policy had added it, without the grant addKinds
(data (i32.const 256) "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"bank\",\"namespace\":\"team\"},\"spec\":{}}\00")
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (call $done
    (call $with (local.get $objects) (local.get $count) (i32.const 256))
    (i32.add (local.get $count) (i32.const 1))))
