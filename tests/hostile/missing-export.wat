;; Offers nothing.
;; load: WrongInterface
(component)
