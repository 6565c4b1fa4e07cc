//! Reads a policy module without running any of it: unpacks it, checks what it wants, and finds what it says of
//! itself. PURE.
//!
//! What is checked here gives better messages than a compiler would; what keeps a hostile module from doing harm are
//! the limits of the child that compiles it.

use std::{borrow::Cow, io::Read as _};

use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasmparser::{ComponentExternalKind, Encoding, FunctionBody, Operator, Parser, Payload};

pub use super::grants::GroupKind;
use super::{
    failure::{Failure, Reason, clean},
    limits,
};

/// Name of the section that says what a module is.
pub const SECTION: &str = "igw:policy";
/// The only thing a module may import, but for the version.
pub const HOST: &str = "inference-gateway:policy/host";
/// What a module must export, but for the version.
pub const POLICY: &str = "inference-gateway:policy/policy";

/// What a module says of itself. Fields that are not known are for later versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// JSON schema of its settings; none means that it takes none but `{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Value>,
    /// Kinds of objects that it wants to see.
    #[serde(default)]
    pub kinds: Vec<GroupKind>,
    /// Kinds of objects that it adds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adds: Vec<GroupKind>,
}

/// What is known of a module before any of it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// What it says of itself.
    pub manifest: Manifest,
    /// What it imports.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
    /// Functions with a body, in all its core modules.
    pub functions: u32,
    /// Bytes of the largest function.
    pub largest: usize,
}

/// The bytes of a component: as they are, or unpacked when they are gzip.
///
/// # Errors
/// When they are too many, or no gzip after all.
pub fn unpack(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Failure> {
    let too_many = || {
        let most = limits::MODULE >> 20;
        Failure::new(Reason::InvalidModule, format!("the module is larger than {most} MiB; build it with opt-level s"))
    };
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return if bytes.len() > limits::MODULE { Err(too_many()) } else { Ok(Cow::Borrowed(bytes)) };
    }
    let mut unpacked = Vec::new();
    // One byte over the limit is enough to know.
    GzDecoder::new(bytes).take(limits::MODULE as u64 + 1).read_to_end(&mut unpacked).map_err(|error| {
        Failure::new(Reason::InvalidModule, format!("failed to unpack the module: {error}; pack it with gzip"))
    })?;
    if unpacked.len() > limits::MODULE { Err(too_many()) } else { Ok(Cow::Owned(unpacked)) }
}

/// Reads an unpacked module.
///
/// # Errors
/// When it cannot be a policy, with what to do.
pub fn inspect(bytes: &[u8]) -> Result<Inspected, Failure> {
    is_component(bytes)?;
    let mut reading = Reading::default();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| invalid(format!("failed to read the module: {error}")))?;
        reading.take(payload)?;
    }
    reading.finish()
}

fn invalid(message: impl AsRef<str>) -> Failure {
    Failure::new(Reason::InvalidModule, message)
}

fn is_component(bytes: &[u8]) -> Result<(), Failure> {
    let refuse = |message: &str| Err(Failure::new(Reason::NotAComponent, message));
    if Parser::is_component(bytes) {
        return Ok(());
    }
    if Parser::is_core_wasm(bytes) {
        return refuse(
            "this is a core module, not a component: build it with `igw policy build`, which makes one of it",
        );
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return refuse("this is packed twice: pack the module with gzip once");
    }
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'(') {
        return refuse(
            "this is WebAssembly text: it has to be assembled, and made a component with `igw policy build`",
        );
    }
    refuse("this is no WebAssembly: give the file that `igw policy build` wrote, or that file packed with gzip")
}

/// What was seen so far. Sections of the outermost component are at depth 0.
#[derive(Debug, Default)]
struct Reading {
    encodings: Vec<Encoding>,
    manifest: Option<Manifest>,
    imports: Vec<String>,
    exports: Vec<String>,
    functions: u32,
    largest: usize,
}

impl Reading {
    fn take(&mut self, payload: Payload<'_>) -> Result<(), Failure> {
        let outermost = self.encodings.len() == 1;
        match payload {
            Payload::Version { encoding, .. } => {
                self.encodings.push(encoding);
                if self.encodings.len() > limits::COMPONENTS {
                    return Err(invalid(format!("components are nested more than {} deep", limits::COMPONENTS)));
                }
            }
            Payload::End(_) => {
                self.encodings.pop();
            }
            Payload::ComponentImportSection(section) if outermost => {
                for import in section {
                    let import = import.map_err(|error| invalid(format!("failed to read the imports: {error}")))?;
                    self.imports.push(import.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if outermost => {
                for export in section {
                    let export = export.map_err(|error| invalid(format!("failed to read the exports: {error}")))?;
                    if export.kind == ComponentExternalKind::Instance {
                        self.exports.push(export.name.name.to_owned());
                    }
                }
            }
            Payload::CustomSection(section) if outermost && section.name() == SECTION => {
                if self.manifest.is_some() {
                    return Err(wrong_manifest(format!("there are two sections {SECTION}")));
                }
                self.manifest = Some(manifest(section.data())?);
            }
            Payload::CodeSectionEntry(body) => self.body(&body)?,
            _ => {}
        }
        Ok(())
    }

    fn body(&mut self, body: &FunctionBody<'_>) -> Result<(), Failure> {
        let over = |what: &str, most: usize| {
            Failure::new(
                Reason::CompileLimit,
                format!("a function {what}, of which {most} are allowed; build it with opt-level s"),
            )
        };
        let unreadable = |error: wasmparser::BinaryReaderError| invalid(format!("failed to read a function: {error}"));
        self.functions += 1;
        if self.functions > limits::FUNCTIONS {
            let message =
                format!("the module has more than {} functions; leave out what it does not need", limits::FUNCTIONS);
            return Err(Failure::new(Reason::CompileLimit, message));
        }
        let length = body.range().len();
        self.largest = self.largest.max(length);
        if length > limits::BODY {
            return Err(over(&format!("has {length} bytes"), limits::BODY));
        }
        let mut locals = 0_u32;
        for entry in body.get_locals_reader().map_err(unreadable)? {
            locals = locals.saturating_add(entry.map_err(unreadable)?.0);
        }
        if locals > limits::LOCALS {
            return Err(over(&format!("has {locals} locals"), limits::LOCALS as usize));
        }
        let mut depth = 0_usize;
        let mut operators = body.get_operators_reader().map_err(unreadable)?;
        while !operators.eof() {
            match operators.read().map_err(unreadable)? {
                Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => depth += 1,
                Operator::End => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > limits::NESTING {
                return Err(over("has too many blocks inside each other", limits::NESTING));
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Inspected, Failure> {
        for import in &self.imports {
            if !is_version_1(import, HOST) {
                return Err(Failure::new(Reason::ForbiddenImport, forbidden(import)));
            }
        }
        if !self.exports.iter().any(|export| is_version_1(export, POLICY)) {
            let message = format!("the module does not export {POLICY}@1.0.0: build it with `igw policy build`");
            return Err(Failure::new(Reason::WrongInterface, message));
        }
        let missing = || wrong_manifest(format!("the module has no section {SECTION}"));
        let manifest = self.manifest.ok_or_else(missing)?;
        let Self { imports, exports, functions, largest, .. } = self;
        Ok(Inspected { manifest, imports, exports, functions, largest })
    }
}

fn is_version_1(name: &str, interface: &str) -> bool {
    name.strip_prefix(interface).and_then(|rest| rest.strip_prefix("@1.")).is_some()
}

fn forbidden(import: &str) -> String {
    let name = clean(import, 128);
    let what = if import.starts_with("wasi:") {
        "policies have no WASI: build for wasm32-unknown-unknown, not for wasm32-wasip2, and do without files, clocks, \
         network and environment"
    } else if import.starts_with(HOST) {
        "this operator speaks version 1 of it: build with the wasm-sdk of this operator"
    } else {
        "remove what needs it"
    };
    format!("the module imports {name}, but a policy may import {HOST}@1 alone; {what}")
}

fn wrong_manifest(message: impl AsRef<str>) -> Failure {
    Failure::new(Reason::InvalidManifest, format!("{}: build it with `igw policy build`", message.as_ref()))
}

fn manifest(data: &[u8]) -> Result<Manifest, Failure> {
    if data.len() > limits::MANIFEST {
        return Err(wrong_manifest(format!("section {SECTION} is larger than {} KiB", limits::MANIFEST >> 10)));
    }
    let manifest: Manifest = serde_json::from_slice(data)
        .map_err(|error| wrong_manifest(format!("failed to read section {SECTION}: {error}")))?;
    let short = |text: &str| !text.is_empty() && text.len() <= 128 && clean(text, 128) == text;
    if !short(&manifest.name) || !short(&manifest.version) {
        return Err(wrong_manifest("name and version have 1 to 128 bytes without control characters"));
    }
    Ok(manifest)
}
