//! The cage of a child: limits, no new privileges, and a filter of system calls, put on before the first byte of a
//! stranger is read.
//!
//! The child runs under the operator's user, next to its token and its connections. So it may do nothing but read and
//! write what is open already (its pipes), use memory, and end. Anything else ends it with SIGSYS, which the operator reports.

use std::{collections::BTreeMap, hash::RandomState};

use rustix::process::{DumpableBehavior, Resource, Rlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::limits;

/// Which child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It compiles one module and never runs what came out.
    Compile,
    /// It runs native code.
    Evaluate,
}

/// The cage could not be closed; nothing may run in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A limit or a setting of the process.
    #[error("failed to limit the process: {0}")]
    Limits(#[from] rustix::io::Errno),
    /// The filter.
    #[error("failed to filter system calls: {0}")]
    Filter(#[from] seccompiler::Error),
    /// The filter, as it is put together.
    #[error("failed to filter system calls: {0}")]
    Rule(#[from] seccompiler::BackendError),
}

/// Closes the cage around every thread of this process, for good.
///
/// # Errors
/// When the kernel refuses; then the process is not caged and has to end.
pub fn enter(role: Role) -> Result<(), Error> {
    // The keys of hash maps are read from the kernel once a thread, which is not possible later.
    let _ = RandomState::new();
    let fixed = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    let set = rustix::process::setrlimit;
    set(Resource::Core, fixed(0))?;
    set(Resource::Nofile, fixed(0))?;
    set(Resource::Fsize, fixed(0))?;
    match role {
        Role::Compile => {
            set(Resource::As, fixed(limits::COMPILE_MEMORY))?;
            // One more, so that it ends with SIGXCPU, which says why.
            let (current, maximum) = (Some(limits::COMPILE_CPU), Some(limits::COMPILE_CPU + 1));
            set(Resource::Cpu, Rlimit { current, maximum })?;
        }
        Role::Evaluate => set(Resource::As, fixed(limits::EVALUATE_MEMORY))?,
    }
    // Nor may anything of the same user look into it.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::thread::set_no_new_privs(true)?;
    seccompiler::apply_filter_all_threads(&filter(role)?)?;
    Ok(())
}

/// What is allowed without a condition.
fn allowed() -> Vec<i64> {
    vec![
        // What is open already: its pipes.
        libc::SYS_read,
        libc::SYS_write,
        // Memory.
        libc::SYS_brk,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        // Locks between its own threads.
        libc::SYS_futex,
        // Time.
        libc::SYS_clock_gettime,
        // Signals of its own: a trap of a guest is one.
        libc::SYS_rt_sigreturn,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigaction,
        libc::SYS_sigaltstack,
        libc::SYS_restart_syscall,
        libc::SYS_getpid,
        libc::SYS_gettid,
        // The end.
        libc::SYS_exit,
        libc::SYS_exit_group,
    ]
}

fn filter(role: Role) -> Result<BpfProgram, Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = allowed().into_iter().map(|call| (call, Vec::new())).collect();
    // abort() sends itself SIGABRT; nobody else, and nothing else.
    let own = u64::from(rustix::process::getpid().as_raw_nonzero().get().unsigned_abs());
    let abort = SeccompRule::new(vec![equal(0, own)?, equal(2, libc::SIGABRT.unsigned_abs().into())?])?;
    rules.insert(libc::SYS_tgkill, vec![abort]);
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        let condition = match role {
            Role::Evaluate => Vec::new(),
            // What a module was compiled to has no business in the process that compiled it.
            Role::Compile => vec![SeccompRule::new(vec![without(2, libc::PROT_EXEC.unsigned_abs().into())?])?],
        };
        rules.insert(call, condition);
    }
    let filter = SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, architecture())?;
    Ok(filter.try_into()?)
}

fn equal(argument: u8, value: u64) -> Result<SeccompCondition, Error> {
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)?)
}

fn without(argument: u8, bits: u64) -> Result<SeccompCondition, Error> {
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(bits), 0)?)
}

const fn architecture() -> TargetArch {
    if cfg!(target_arch = "aarch64") { TargetArch::aarch64 } else { TargetArch::x86_64 }
}
