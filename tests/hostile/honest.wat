;; Gives back what it was given. Not hostile: it shows that the others fail for what they do.
;; load: ok
;; rewrite: ok
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (call $done (local.get $objects) (local.get $count)))
