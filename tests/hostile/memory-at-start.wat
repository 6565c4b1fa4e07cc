;; Wants 4 GiB to begin with.
;; load: MemoryLimit
;; memory: 65536
