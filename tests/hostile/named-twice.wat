;; Says its name twice, so that two readers may read two names.
;; load: ok
;; rewrite: ok
;; guard: Service team/bank was added, or changed after another policy had added it, without the grant addKinds
(data (i32.const 256) "\"kind\":\"Service\"\00")
(data (i32.const 512) "\"name\":\"shop\",\"namespace\":\"team\"\00")
(data (i32.const 768) "\"name\":\"bank\",\"name\":\"shop\",\"namespace\":\"team\",\"name\":\"bank\"\00")
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (call $forge (local.get $objects) (local.get $count) (i32.const 256) (i32.const 512) (i32.const 768))
  (call $done (local.get $objects) (local.get $count)))
