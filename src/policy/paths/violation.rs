//! What the guard refuses, with object, path and both values. PURE.

use crate::{
    object::{ObjectId, compare::FieldChange, path::Path},
    policy::grants::Grant,
};

/// What the guard refuses. As text it shows no literal value of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Two documents for one object.
    #[error("{0} is there twice")]
    Duplicate(ObjectId),
    /// An object outside the namespace of the custom resource, or one whose document names another object.
    #[error("{0} is not an object of this custom resource")]
    Identity(ObjectId),
    /// An object was there and is missing.
    #[error("{0} was dropped")]
    Dropped(ObjectId),
    /// An object of a kind that was not granted, or a kind that none can be granted.
    #[error("{0} was added, or changed after another policy had added it, without the grant addKinds")]
    Added(ObjectId),
    /// An added object says what objects of its kind must not.
    #[error("{object} was added with {path}, which {why}")]
    AddedContent {
        /// The object.
        object: ObjectId,
        /// Where.
        path: String,
        /// What is wrong there.
        why: &'static str,
    },
    /// A change that no policy may make.
    #[error("{object} was changed where no policy may: {}", change.show(false))]
    PathNotAllowed {
        /// The object.
        object: ObjectId,
        /// Path, old and new value.
        change: Box<FieldChange>,
    },
    /// A change that this policy may not make.
    #[error("{object} was changed without the grant {grant}: {}", change.show(false))]
    NotGranted {
        /// The object.
        object: ObjectId,
        /// What would allow it.
        grant: Grant,
        /// Path, old and new value.
        change: Box<FieldChange>,
    },
    /// Two elements of a list with one merge key: the server refuses them.
    #[error("{object} has {path} twice")]
    DuplicateKey {
        /// The object.
        object: ObjectId,
        /// The element.
        path: Path,
    },
    /// A value that the server cannot read, or a field that it does not know.
    #[error("{object} has a value of the wrong type or an unknown field at {path}{}{inside}", if inside.is_empty() { "" } else { ": " })]
    WrongType {
        /// The object.
        object: ObjectId,
        /// Where.
        path: Path,
        /// Where inside the value; empty when it is the value itself.
        inside: String,
    },
}

impl Violation {
    /// The object that it is about.
    #[must_use]
    pub const fn object(&self) -> &ObjectId {
        match self {
            Self::Duplicate(object) | Self::Identity(object) | Self::Dropped(object) | Self::Added(object) => object,
            Self::AddedContent { object, .. }
            | Self::PathNotAllowed { object, .. }
            | Self::NotGranted { object, .. }
            | Self::DuplicateKey { object, .. }
            | Self::WrongType { object, .. } => object,
        }
    }

    /// Where in the object; `None` when it is about the whole of it, or of one that was added.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Duplicate(_) | Self::Identity(_) | Self::Dropped(_) | Self::Added(_) | Self::AddedContent { .. } => {
                None
            }
            Self::PathNotAllowed { change, .. } | Self::NotGranted { change, .. } => Some(&change.path),
            Self::DuplicateKey { path, .. } | Self::WrongType { path, .. } => Some(path),
        }
    }
}
