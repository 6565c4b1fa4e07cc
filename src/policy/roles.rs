//! The two roles in which the operator's own program runs as its child: compile one module, or evaluate policies.
//!
//! Both close the cage before they read a byte, and know nothing but what comes over their pipe: no environment, no
//! arguments, no open file besides.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd as _, BorrowedFd},
};

use super::{
    failure::{Failure, Reason},
    host::{Host, Policy},
    limits,
    protocol::{Output, Report, Request, frame_length},
    sandbox::{self, Role},
    settings::Schema,
};

/// Why a child ended before it could answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cage.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// The pipe.
    #[error("failed to speak to the operator: {0}")]
    Pipe(#[from] io::Error),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] Failure),
}

/// Reads one module from standard input, writes what [`Compiled`] says to standard output, and ends.
///
/// # Errors
/// When the pipe breaks or the cage does not close.
pub fn compile() -> Result<(), Error> {
    let output = raw(io::stdout().as_fd())?;
    let host = Host::compiler()?;
    sandbox::enter(Role::Compile)?;
    let mut module = Vec::new();
    io::stdin().lock().take(limits::MODULE as u64 + 1).read_to_end(&mut module)?;
    let compiled = match host.compile(&module) {
        Ok(native) => Compiled::Native { engine: host.hash(), native },
        Err(failure) => Compiled::Failed(failure),
    };
    output.write_all(&compiled.bytes())?;
    Ok(())
}

/// What the compiling child answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compiled {
    /// Native code.
    Native {
        /// Hash of the engine that it is for.
        engine: u64,
        /// The code.
        native: Vec<u8>,
    },
    /// Why there is none.
    Failed(Failure),
}

impl Compiled {
    /// A reason or zero, and then the text, or the hash and the code.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Native { engine, native } => [&[0][..], &engine.to_le_bytes(), native].concat(),
            Self::Failed(failure) => [&[failure.reason as u8][..], failure.message.as_bytes()].concat(),
        }
    }

    /// Reads an answer; none when it makes no sense.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (code, rest) = bytes.split_first()?;
        if *code == 0 {
            let (engine, native) = rest.split_first_chunk()?;
            return Some(Self::Native { engine: u64::from_le_bytes(*engine), native: native.to_vec() });
        }
        Some(Self::Failed(Failure::new(Reason::from_code(*code)?, String::from_utf8_lossy(rest))))
    }
}

/// Answers requests from standard input on standard output until there are no more.
///
/// # Errors
/// When the pipe breaks or the cage does not close.
pub fn evaluate() -> Result<(), Error> {
    let input = raw(io::stdin().as_fd())?;
    let output = raw(io::stdout().as_fd())?;
    let host = Host::new()?;
    Schema::warm_up();
    sandbox::enter(Role::Evaluate)?;
    // Says that the cage is closed, and which code fits.
    output.write_all(&host.hash().to_le_bytes())?;
    let mut evaluator = Evaluator { host, policies: HashMap::new() };
    let mut body = Vec::new();
    loop {
        let mut head = [0; 4];
        match input.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let garbled = |_| io::Error::from(io::ErrorKind::InvalidData);
        body.clear();
        body.resize(frame_length(head, limits::REQUEST).map_err(garbled)?, 0);
        input.read_exact(&mut body)?;
        let report = evaluator.answer(Request::read(&body).map_err(garbled)?);
        output.write_all(&report.frame())?;
        // One large request must not cost its memory for ever.
        if body.capacity() > 1 << 20 {
            body = Vec::new();
        }
    }
}

/// Standard input and output buffer and look for line ends; frames want neither. Never closed: the cage does not allow
/// that, and the end of the process does it.
fn raw(stream: BorrowedFd<'_>) -> io::Result<&'static mut File> {
    Ok(Box::leak(Box::new(File::from(stream.try_clone_to_owned()?))))
}

struct Evaluator {
    host: Host,
    policies: HashMap<String, (Policy, Option<Schema>)>,
}

impl Evaluator {
    fn answer(&mut self, request: Request) -> Report {
        match request {
            Request::Load { key, schema, native, limits } => {
                let linked = self.host.link(&native);
                let schema = if schema.is_empty() { Ok(None) } else { Schema::new(&schema).map(Some) };
                match (linked, schema) {
                    (Err(failure), _) | (_, Err(failure)) => Report::of(Err(failure)),
                    (Ok(policy), Ok(schema)) => {
                        let report = self.host.try_out(&policy, limits);
                        if report.result.is_ok() {
                            self.policies.insert(key, (policy, schema));
                        }
                        report
                    }
                }
            }
            Request::Unload { key } => {
                self.policies.remove(&key);
                Report::of(Ok(Output::default()))
            }
            Request::ValidateSettings { key, settings, limits } => {
                let Some((policy, schema)) = self.policies.get(&key) else { return unknown() };
                match schema.as_ref().map_or(Ok(()), |schema| schema.check(&settings)) {
                    Ok(()) => self.host.validate_settings(policy, &settings, limits),
                    Err(failure) => Report::of(Err(failure)),
                }
            }
            Request::Rewrite { key, context, settings, objects, limits } => match self.policies.get(&key) {
                Some((policy, _)) => self.host.rewrite(policy, &context, &settings, &objects, limits),
                None => unknown(),
            },
            #[cfg(debug_assertions)]
            Request::Misbehave { how } => misbehave(&how),
        }
    }
}

fn unknown() -> Report {
    Report::of(Err(Failure::new(Reason::EngineUnavailable, "the policy is not loaded in this process")))
}

/// What a guest that broke out of wasmtime would try. None of it comes back.
#[cfg(debug_assertions)]
fn misbehave(how: &str) -> Report {
    let done = match how.split_once(' ') {
        Some(("open", path)) => File::open(path).map(drop).map_err(|error| error.to_string()),
        _ if how == "socket" => {
            std::net::TcpStream::connect("127.0.0.1:1").map(drop).map_err(|error| error.to_string())
        }
        _ if how == "exec" => std::process::Command::new("true").status().map(drop).map_err(|error| error.to_string()),
        _ if how == "kill" => rustix::process::getppid().map_or(Ok(()), |parent| {
            rustix::process::kill_process(parent, rustix::process::Signal::URG).map_err(|error| error.to_string())
        }),
        _ if how == "memory" => {
            let mut hoard = Vec::new();
            while hoard.len() < 1 << 10 {
                hoard.push(vec![1_u8; 1 << 20]);
            }
            Ok(())
        }
        _ => Ok(()),
    };
    Report::of(Ok(Output { objects: Vec::new(), details: format!("{done:?}") }))
}

#[cfg(test)]
mod tests {
    use super::{Compiled, Failure, Reason};

    #[test]
    fn answers_of_the_compiler_are_read() {
        let native = Compiled::Native { engine: 7, native: vec![1, 2] };
        let failed = Compiled::Failed(Failure::new(Reason::CompileLimit, "too large"));
        for answer in [native, failed] {
            assert_eq!(Compiled::read(&answer.bytes()), Some(answer));
        }
        for nonsense in [&[][..], &[0, 1, 2], &[200, 1]] {
            assert_eq!(Compiled::read(nonsense), None);
        }
    }
}
