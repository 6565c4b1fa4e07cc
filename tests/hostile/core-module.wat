;; Is no component.
;; load: NotAComponent
;; says: igw policy build
(module (memory (export "memory") 1))
