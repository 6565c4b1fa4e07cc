;; Offers the interface without its functions.
;; load: WrongInterface
(component
  (instance $policy)
  (export "inference-gateway:policy/policy@1.0.0" (instance $policy)))
