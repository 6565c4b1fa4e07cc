;; Has a second memory, which would not count against the limit of the first.
;; load: InvalidModule
(memory $second 1)
