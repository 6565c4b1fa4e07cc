;; Uses a part of WebAssembly that is switched off.
;; load: InvalidModule
(func (drop (v128.const i64x2 0 0)))
