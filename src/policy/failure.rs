//! Why a policy could not be loaded or gave no result: a fixed word, and a text for people. PURE.

use std::fmt;

use super::limits;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal,)*) => {
        /// Why there is no result. The names are API: they are reasons of conditions and labels of metrics.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])* $name = $code,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The fixed word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

reasons! {
    /// The bytes are no component: a core module, text, or something else.
    NotAComponent = 1,
    /// The bytes are a component that breaks the rules of WebAssembly, or uses a part of it that is switched off.
    InvalidModule = 2,
    /// The section that says what the module is misses or cannot be read.
    InvalidManifest = 3,
    /// It wants something that the operator does not offer.
    ForbiddenImport = 4,
    /// It does not offer what the operator calls, or with other types.
    WrongInterface = 5,
    /// Compiling it takes more time, memory or code than a module may.
    CompileLimit = 6,
    /// The settings do not fit the schema of the policy, or the policy does not like them.
    SettingsInvalid = 7,
    /// It used up its fuel.
    FuelExhausted = 8,
    /// It was still running when its time was over.
    Timeout = 9,
    /// It wanted more memory than it may have.
    MemoryLimit = 10,
    /// It called itself too deep.
    StackLimit = 11,
    /// It ended itself and said why.
    Panicked = 12,
    /// It did what WebAssembly does not allow: an access outside its memory, a division by zero, `unreachable`.
    Trapped = 13,
    /// What it handed over cannot be read: wild pointers, or text that is no UTF-8.
    BadOutput = 14,
    /// It handed over more than it may.
    OutputLimit = 15,
    /// It said that it cannot do it.
    PolicyFailed = 16,
    /// The process that ran it ended by itself.
    EngineCrashed = 17,
    /// The process to run it in could not be started or spoken to.
    EngineUnavailable = 18,
}

impl Reason {
    /// Whether the same bytes and arguments would fail the same way again, so that there is no point in trying.
    #[must_use]
    pub const fn is_lasting(self) -> bool {
        !matches!(self, Self::Timeout | Self::EngineCrashed | Self::EngineUnavailable)
    }

    /// The reason of a number on the pipe.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| *reason as u8 == code)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A reason and a text for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct Failure {
    /// The fixed word.
    pub reason: Reason,
    /// What happened and what to do; parts may be a guest's own words, see [`clean`].
    pub message: String,
}

impl Failure {
    /// A failure whose text is made fit to be shown.
    #[must_use]
    pub fn new(reason: Reason, message: impl AsRef<str>) -> Self {
        Self { reason, message: clean(message.as_ref(), limits::MESSAGE) }
    }
}

/// Text of a guest made fit for a status or a terminal: no control characters, and at most `most` bytes.
#[must_use]
pub fn clean(text: &str, most: usize) -> String {
    let mut kept = String::with_capacity(text.len().min(most));
    for character in text.chars() {
        let start = kept.len();
        if character.is_control() || is_invisible(character) {
            kept.extend(character.escape_default());
        } else {
            kept.push(character);
        }
        if kept.len() > most {
            kept.truncate(start);
            while kept.len() + '…'.len_utf8() > most && kept.pop().is_some() {}
            kept.push('…');
            break;
        }
    }
    kept
}

/// Characters that turn the writing direction or take no room: they make a text look like another one.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::{Reason, clean};

    #[test]
    fn codes_and_words_are_fixed() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(*reason as u8), Some(*reason));
        }
        assert_eq!(Reason::from_code(0), None);
        assert_eq!(Reason::FuelExhausted.to_string(), "FuelExhausted");
    }

    #[test]
    fn text_of_a_guest_cannot_act() {
        assert_eq!(clean("a\u{1b}[31mred\nline\u{202e}", 100), r"a\u{1b}[31mred\nline\u{202e}");
        assert_eq!(clean("short", 5), "short");
        let long = clean(&"ä".repeat(1000), 11);
        assert!(long.len() <= 11 && long.ends_with('…'), "{long}");
        assert!(clean(&"\n".repeat(1000), 512).len() <= 512);
    }
}
