;; Was built for an operator that is not there yet.
;; load: ForbiddenImport
;; says: speaks version 1
(component
  (import "inference-gateway:policy/host@2.0.0" (instance))
  (instance $policy)
  (export "inference-gateway:policy/policy@1.0.0" (instance $policy)))
