//! What operator and evaluating child say to each other, and how it lies in bytes. PURE.
//!
//! A frame is its length in four bytes (little endian) and that many bytes. Documents go as they are: as JSON inside
//! JSON every quote would be escaped twice. The operator reads answers as if somebody hostile had written them.

use super::{
    failure::{Failure, Reason},
    limits::{self, Limits},
};

/// What the operator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Take native code under a key, and try it out.
    Load {
        /// Digest of the module.
        key: String,
        /// JSON schema of its settings, empty for none.
        schema: String,
        /// Native code.
        native: Vec<u8>,
        /// What the trial may use.
        limits: Limits,
    },
    /// Forget what is under a key.
    Unload {
        /// Digest of the module.
        key: String,
    },
    /// Check settings: by schema, then by the policy.
    ValidateSettings {
        /// Digest of the module.
        key: String,
        /// A JSON document.
        settings: String,
        /// What the policy may use.
        limits: Limits,
    },
    /// Rewrite objects.
    Rewrite {
        /// Digest of the module.
        key: String,
        /// A JSON document.
        context: String,
        /// A JSON document.
        settings: String,
        /// A JSON document each.
        objects: Vec<String>,
        /// What the policy may use.
        limits: Limits,
    },
    /// Do what no child may do; for the test of its cage, and only in builds for tests.
    #[cfg(debug_assertions)]
    Misbehave {
        /// `open PATH`, `socket`, `exec`, `kill`.
        how: String,
    },
}

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// For authors of policies.
    Debug = 0,
    /// What happened.
    Info = 1,
    /// What looks wrong.
    Warn = 2,
    /// What is wrong.
    Error = 3,
}

/// A line of a policy's log, fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How important it is.
    pub level: Level,
    /// The text.
    pub text: String,
}

/// What a policy made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// A JSON document each, as the policy wrote them: not checked in any way.
    pub objects: Vec<String>,
    /// A JSON object, not checked either.
    pub details: String,
}

impl Output {
    /// Bytes of all of it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.details.len() + self.objects.iter().map(String::len).sum::<usize>()
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What one call used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Units of fuel.
    pub fuel: u64,
    /// Bytes of memory at its most.
    pub memory: u64,
    /// Microseconds in the child, for metrics alone: they differ from run to run.
    pub micros: u64,
}

/// How one call went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What came out; empty where nothing was asked for.
    pub result: Result<Output, Failure>,
    /// What it used.
    pub usage: Usage,
    /// What it logged.
    pub log: Vec<Line>,
    /// Lines that were too many.
    pub log_dropped: u32,
}

impl Report {
    /// A report of a call that used nothing.
    #[must_use]
    pub fn of(result: Result<Output, Failure>) -> Self {
        Self { result, usage: Usage::default(), log: Vec::new(), log_dropped: 0 }
    }
}

/// Bytes that are no request or no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes on the pipe make no sense")]
pub struct Garbled;

impl Request {
    /// The whole frame.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let mut out = Writer::new();
        match self {
            Self::Load { key, schema, native, limits } => {
                out.byte(0).bytes(key.as_bytes()).bytes(schema.as_bytes()).bytes(native).limits(*limits)
            }
            Self::Unload { key } => out.byte(1).bytes(key.as_bytes()),
            Self::ValidateSettings { key, settings, limits } => {
                out.byte(2).bytes(key.as_bytes()).bytes(settings.as_bytes()).limits(*limits)
            }
            Self::Rewrite { key, context, settings, objects, limits } => {
                out.byte(3).bytes(key.as_bytes()).bytes(context.as_bytes()).bytes(settings.as_bytes());
                out.texts(objects).limits(*limits)
            }
            #[cfg(debug_assertions)]
            Self::Misbehave { how } => out.byte(4).bytes(how.as_bytes()),
        };
        out.frame()
    }

    /// Reads what is inside a frame.
    ///
    /// # Errors
    /// When it is no request.
    pub fn read(bytes: &[u8]) -> Result<Self, Garbled> {
        let mut from = Reader(bytes);
        let request = match from.byte()? {
            0 => {
                let (key, schema, native) = (from.text()?, from.text()?, from.bytes()?.to_vec());
                Self::Load { key, schema, native, limits: from.limits()? }
            }
            1 => Self::Unload { key: from.text()? },
            2 => Self::ValidateSettings { key: from.text()?, settings: from.text()?, limits: from.limits()? },
            3 => Self::Rewrite {
                key: from.text()?,
                context: from.text()?,
                settings: from.text()?,
                objects: from.texts()?,
                limits: from.limits()?,
            },
            #[cfg(debug_assertions)]
            4 => Self::Misbehave { how: from.text()? },
            _ => return Err(Garbled),
        };
        from.end(request)
    }
}

impl Report {
    /// The whole frame.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let mut out = Writer::new();
        match &self.result {
            Ok(output) => out.byte(0).texts(&output.objects).bytes(output.details.as_bytes()),
            Err(failure) => out.byte(failure.reason as u8).bytes(failure.message.as_bytes()),
        };
        out.number(self.usage.fuel).number(self.usage.memory).number(self.usage.micros);
        out.number(self.log_dropped.into()).length(self.log.len());
        for line in &self.log {
            out.byte(line.level as u8).bytes(line.text.as_bytes());
        }
        out.frame()
    }

    /// Reads what is inside a frame. The child may have been taken over: texts are made fit to be shown once more.
    ///
    /// # Errors
    /// When it is no answer.
    pub fn read(bytes: &[u8]) -> Result<Self, Garbled> {
        let mut from = Reader(bytes);
        let result = match from.byte()? {
            0 => Ok(Output { objects: from.texts()?, details: from.text()? }),
            code => Err(Failure::new(Reason::from_code(code).ok_or(Garbled)?, from.text()?)),
        };
        let usage = Usage { fuel: from.number()?, memory: from.number()?, micros: from.number()? };
        let log_dropped = u32::try_from(from.number()?).map_err(|_| Garbled)?;
        let mut log = Vec::new();
        for _ in 0..from.length()? {
            if log.len() == limits::LOG_LINES {
                return Err(Garbled);
            }
            let level = match from.byte()? {
                0 => Level::Debug,
                1 => Level::Info,
                2 => Level::Warn,
                3 => Level::Error,
                _ => return Err(Garbled),
            };
            log.push(Line { level, text: super::failure::clean(&from.text()?, limits::LOG_LINE) });
        }
        from.end(Self { result, usage, log, log_dropped })
    }
}

/// Length of a frame's content, from the four bytes before it.
///
/// # Errors
/// When it is longer than `most`.
pub fn frame_length(head: [u8; 4], most: usize) -> Result<usize, Garbled> {
    let length = usize::try_from(u32::from_le_bytes(head)).map_err(|_| Garbled)?;
    if length > most { Err(Garbled) } else { Ok(length) }
}

struct Writer(Vec<u8>);

impl Writer {
    fn new() -> Self {
        Self(vec![0; 4])
    }

    fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    fn length(&mut self, length: usize) -> &mut Self {
        // What is longer than four bytes can say is refused by its frame.
        self.0.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.length(bytes.len());
        self.0.extend(bytes);
        self
    }

    fn texts(&mut self, texts: &[String]) -> &mut Self {
        self.length(texts.len());
        texts.iter().fold(self, |out, text| out.bytes(text.as_bytes()))
    }

    fn limits(&mut self, limits: Limits) -> &mut Self {
        self.number(limits.fuel).number(limits.memory)
    }

    fn frame(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len() - 4).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_le_bytes());
        self.0
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Garbled> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Garbled)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Garbled> {
        self.take(1)?.first().copied().ok_or(Garbled)
    }

    fn number(&mut self) -> Result<u64, Garbled> {
        self.take(8)?.try_into().map(u64::from_le_bytes).map_err(|_| Garbled)
    }

    fn length(&mut self) -> Result<usize, Garbled> {
        let length = self.take(4)?.try_into().map(u32::from_le_bytes).map_err(|_| Garbled)?;
        usize::try_from(length).map_err(|_| Garbled)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Garbled> {
        let length = self.length()?;
        self.take(length)
    }

    fn text(&mut self) -> Result<String, Garbled> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| Garbled)
    }

    fn texts(&mut self) -> Result<Vec<String>, Garbled> {
        // Not with_capacity: the number is somebody else's word.
        let mut texts = Vec::new();
        for _ in 0..self.length()? {
            if texts.len() == limits::OBJECTS {
                return Err(Garbled);
            }
            texts.push(self.text()?);
        }
        Ok(texts)
    }

    fn limits(&mut self) -> Result<Limits, Garbled> {
        Ok(Limits { fuel: self.number()?, memory: self.number()? })
    }

    fn end<T>(&self, read: T) -> Result<T, Garbled> {
        if self.0.is_empty() { Ok(read) } else { Err(Garbled) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Garbled, Level, Limits, Line, Output, Reason, Report, Request, Usage, frame_length, limits};

    fn requests() -> Vec<Request> {
        let (key, limits) = (String::from("sha256:1"), Limits { fuel: 1, memory: u64::MAX });
        let text = || String::from("{\"a\":\"ä\"}");
        vec![
            Request::Load { key: key.clone(), schema: String::new(), native: vec![0, 255], limits },
            Request::Unload { key: key.clone() },
            Request::ValidateSettings { key: key.clone(), settings: text(), limits },
            Request::Rewrite { key, context: text(), settings: text(), objects: vec![text(), String::new()], limits },
        ]
    }

    fn reports() -> Vec<Report> {
        let failed = Report::of(Err(Failure::new(Reason::Trapped, "it did")));
        let output = Output { objects: vec!["{}".into(), "x".into()], details: "{}".into() };
        let log = vec![Line { level: Level::Warn, text: "hm".into() }];
        let usage = Usage { fuel: 3, memory: 4, micros: 5 };
        vec![failed, Report { result: Ok(output), usage, log, log_dropped: 7 }]
    }

    #[test]
    fn what_is_written_is_read() {
        for request in requests() {
            let frame = request.frame();
            let head = [frame[0], frame[1], frame[2], frame[3]];
            assert_eq!(frame_length(head, 1 << 20), Ok(frame.len() - 4));
            assert_eq!(Request::read(&frame[4..]), Ok(request));
        }
        for report in reports() {
            assert_eq!(Report::read(&report.frame()[4..]), Ok(report));
        }
    }

    #[test]
    fn what_was_cut_or_glued_is_refused() {
        for report in reports() {
            let frame = report.frame();
            for end in 4..frame.len() {
                assert_eq!(Report::read(&frame[4..end]), Err(Garbled));
            }
            assert_eq!(Report::read(&[&frame[4..], &[0]].concat()), Err(Garbled));
        }
        assert_eq!(Report::read(&[0, 255, 255, 255, 255]), Err(Garbled), "a number is only believed when it is there");
        assert_eq!(frame_length([255; 4], limits::REQUEST), Err(Garbled));
    }
}
