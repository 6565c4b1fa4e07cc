;; Adds an object that gives its author rights.
;; load: ok
;; rewrite: ok
;; guard: RoleBinding team/shop (rbac.authorization.k8s.io/v1) may not be added by any policy
(data (i32.const 256) "{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"RoleBinding\",\"metadata\":{\"name\":\"shop\",\"namespace\":\"team\"},\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"ClusterRole\",\"name\":\"cluster-admin\"}}\00")
(func (export "inference-gateway:policy/policy@1.0.0#rewrite")
  (param $context i32) (param $context-length i32) (param $settings i32) (param $settings-length i32)
  (param $objects i32) (param $count i32) (result i32)
  (call $done
    (call $with (local.get $objects) (local.get $count) (i32.const 256))
    (i32.add (local.get $count) (i32.const 1))))
