//! What a policy may use, in one table. PURE.

use std::time::Duration;

/// Bytes of a module, unpacked.
pub const MODULE: usize = 4 << 20;
/// Bytes of the section that says what a module is.
pub const MANIFEST: usize = 64 << 10;
/// Bytes of native code that one module may become.
pub const CODE: usize = 16 << 20;
/// Bytes of native code of all modules together.
pub const ALL_CODE: usize = 64 << 20;
/// The same when a policy of a namespace is loaded: the other half is for those of the cluster.
pub const CODE_WITH_NAMESPACES: usize = 32 << 20;

/// Functions, bytes of one function, its locals, how deep its blocks nest, and how deep components do. What is over these would
/// most likely be over the limits of the compiling child too; a count says it better than a dead child. They do not
/// bound what compiling costs.
pub const FUNCTIONS: u32 = 10_000;
/// See [`FUNCTIONS`].
pub const BODY: usize = 256 << 10;
/// See [`FUNCTIONS`].
pub const LOCALS: u32 = 2_000;
/// See [`FUNCTIONS`].
pub const NESTING: usize = 512;
/// See [`FUNCTIONS`].
pub const COMPONENTS: usize = 4;

/// Address space of the child that compiles.
pub const COMPILE_MEMORY: u64 = 256 << 20;
/// Processor seconds of the child that compiles.
pub const COMPILE_CPU: u64 = 10;
/// How long the operator waits for it.
pub const COMPILE_WALL: Duration = Duration::from_secs(15);

/// Address space of the child that evaluates: all code, one memory, and room to pass documents.
pub const EVALUATE_MEMORY: u64 = 512 << 20;
/// How long one call may take when fuel does not end it first: some instructions of one unit move many bytes.
pub const EPOCH: Duration = Duration::from_secs(2);
/// How long the operator waits for one answer; only the schema of the settings or a broken child reaches it.
pub const EVALUATE_WALL: Duration = Duration::from_secs(5);

/// Bytes that a guest may hand to the operator in one call.
pub const HANDED_OVER: usize = 8 << 20;
/// Objects that a guest may hand over.
pub const OBJECTS: usize = 1_000;
/// Bytes of a request on the pipe.
pub const REQUEST: usize = 32 << 20;
/// Bytes of an answer on the pipe.
pub const ANSWER: usize = HANDED_OVER + (1 << 20);
/// Elements of all tables.
pub const TABLE_ELEMENTS: usize = 20_000;
/// Core instances and tables: what `wit-component` makes of one module has five and two.
pub const INSTANCES: usize = 16;
/// See [`INSTANCES`].
pub const TABLES: usize = 4;

/// Lines that a policy may log in one call.
pub const LOG_LINES: usize = 64;
/// Bytes of one line.
pub const LOG_LINE: usize = 512;
/// Bytes of a message of a policy that are kept, as in a status.
pub const MESSAGE: usize = 512;
/// Fuel that a call of the operator's own functions costs, besides a unit for each byte.
pub const HOST_CALL_FUEL: u64 = 1_000;

/// Bytes of results that are remembered.
pub const MEMO: usize = 4 << 20;

/// What one call may use. The same arguments with the same limits end the same way on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Units of fuel: about one an instruction.
    pub fuel: u64,
    /// Bytes of memory.
    pub memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { fuel: 50_000_000, memory: 64 << 20 }
    }
}
