;; Wants a clock.
;; load: ForbiddenImport
;; says: policies have no WASI
(component
  (import "wasi:clocks/wall-clock@0.2.0" (instance))
  (instance $policy)
  (export "inference-gateway:policy/policy@1.0.0" (instance $policy)))
