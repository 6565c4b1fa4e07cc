//! An added ConfigMap: any content. It reaches a container only by the grant configMaps. PURE.

use super::Shape::{self, Fields, Flag, Map, Text};

pub(super) static CONFIG_MAP: Shape =
    Fields(&[("binaryData", Map(&Text)), ("data", Map(&Text)), ("immutable", Flag)], &[]);
