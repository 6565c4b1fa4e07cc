;; Wants a function that nobody offers.
;; load: ForbiddenImport
;; says: but a policy may import
(component
  (import "apply" (func))
  (instance $policy)
  (export "inference-gateway:policy/policy@1.0.0" (instance $policy)))
